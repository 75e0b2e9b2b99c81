"""How often each terminal may call: a token bucket a name, counted by the thread it is with."""

from libc.stdint cimport uint8_t, uint32_t

from ext.front.parts cimport cc_io

# Takes one call's token: 0, or the milliseconds until there is one again. `name`: 16 bytes.
cdef uint32_t rate_take(cc_io *io, const uint8_t *name) noexcept nogil
