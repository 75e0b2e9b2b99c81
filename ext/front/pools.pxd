"""Memory of one front-end thread: calls, commands under way, the bytes of messages.

Pools grow in parts up to a bound and are given back whole, so that a place stays a place for as
long as the engine or Python may name it.
"""

from libc.stdint cimport uint8_t, uint32_t

from ext.front.parts cimport cc_buffer, cc_call, cc_conn, cc_front, cc_io, cc_slot

# A thread's memory; NULL: none. io_free only after its last slot has come home.
cdef cc_io *io_new(cc_front *front, uint32_t number) except NULL
cdef void io_free(cc_io *io) noexcept

# NULL: as many as may be are under way.
cdef cc_call *call_take(cc_io *io) noexcept nogil
# The call with this name, NULL when it has ended.
cdef cc_call *call_named(cc_io *io, uint32_t index, uint32_t generation) noexcept nogil
cdef void call_give_back(cc_call *call) noexcept nogil
# A place for one command of a call, at the end of its order; NULL: as many as may be are out.
cdef cc_slot *slot_take(cc_call *call) noexcept nogil
# Gives back the call's oldest.
cdef void slot_pop(cc_call *call) noexcept nogil

# Room for `more` bytes behind the buffer's, charged to the call's connection. NULL: that holds as
# much as it may, or there is no memory.
cdef uint8_t *buffer_room(cc_call *call, cc_buffer *b, size_t more) noexcept nogil
cdef bint buffer_add(
    cc_call *call, cc_buffer *b, const void *bytes, size_t length) noexcept nogil
# Wipes what it held: a request may have a password in it.
cdef void buffer_free(cc_call *call, cc_buffer *b) noexcept nogil
