"""Where a block begins and ends: its time, its due list, its state hash."""

from libc.stdint cimport int64_t

from ext.records cimport cc_block_header
from ext.tables cimport cc_block, cc_tables


# Sets time, business date, rule version and first seq, and takes the due items as records.
cdef void begin_block(cc_tables *t, cc_block *b, int64_t now_us) noexcept nogil
# Brings the new images of the touched rows into the state hash.
cdef void end_block(cc_tables *t, cc_block *b) noexcept nogil
# When the next hold or scheduled effect waits for its time, microseconds; INT64_MAX none.
cdef int64_t next_due_us(const cc_tables *t) noexcept nogil

cdef void replay_begin(cc_tables *t, const cc_block_header *head) noexcept nogil
cdef void replay_end(cc_tables *t) noexcept nogil
# Indexes, free rows and the due list, from rows that were loaded.
cdef void index_rebuild(cc_tables *t) noexcept nogil
