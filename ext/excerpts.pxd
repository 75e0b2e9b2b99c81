"""Reading the acknowledged journal from Python's threads."""

from libc.stdint cimport uint64_t

from ext.shared cimport cc_shared


cdef list blocks_from(cc_shared *s, uint64_t from_seq, uint64_t max_bytes)
cdef dict record_at(cc_shared *s, uint64_t seq)
