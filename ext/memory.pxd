"""Mapping the sequencer's tables at their configured maximum."""

from libc.stdint cimport uint32_t

from ext.tables cimport cc_tables


ctypedef struct cc_bounds:
    uint32_t accounts, media, merchants, terminals, holds, undos, requests, schedules


cdef int tables_open(cc_tables *t, const cc_bounds *bounds) except -1
cdef void tables_close(cc_tables *t) noexcept
