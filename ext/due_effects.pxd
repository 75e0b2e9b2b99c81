"""Effects that wait for their time: taken down, cancelled, carried out."""

from libc.stdint cimport uint32_t

from ext.commands cimport cc_effect
from ext.records cimport cc_record, cc_scheduled
from ext.tables cimport cc_block, cc_tables


# Whether the switches of a body of rules are ones there are.
cdef bint switches_known(const cc_effect *e) noexcept nogil
# Whether an effect may wait: 0, or a status. `before`: how many of its command come earlier.
cdef int check_scheduled(const cc_tables *t, const cc_effect *e, uint32_t before) noexcept nogil
# The body of an effect's SCHEDULED record; rows and key are set.
cdef void fill_scheduled(const cc_tables *t, const cc_effect *e, cc_record *r) noexcept nogil
# The UNSCHEDULED record of what waits: rows, name, body.
cdef void fill_unscheduled(const cc_scheduled *s, cc_record *r) noexcept nogil
# Its time has come: the record of its own type, or UNSCHEDULED when it no longer fits.
cdef void carry_out(cc_tables *t, cc_block *b, const cc_scheduled *s) noexcept nogil
