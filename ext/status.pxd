"""Where the engine stands, for head(), stats() and tests."""

from libc.stdint cimport uint32_t

from ext.shared cimport cc_shared


cdef dict head_of(cc_shared *s, bint test)
cdef dict stats_of(cc_shared *s, object ledger_sum)
cdef dict faults_of(cc_shared *s)
cdef object ledger_sum_of(cc_shared *s)
cdef dict next_rows_of(cc_shared *s)
cdef bytes table_dump(cc_shared *s, uint32_t table)
