"""Replies and records as Python sees them: the dicts of engine.pyi."""

from libc.stdint cimport int64_t, uint32_t

from ext.commands cimport cc_reply
from ext.records cimport cc_record

ctypedef struct cc_history_row:     # a history's reply.bytes are `count` of these
    cc_record record
    int64_t time_us                 # of its block, as the two below
    uint32_t business_date, rule_version


cdef dict transaction_view(const cc_record *r)
cdef dict office_view(const cc_reply *reply)
cdef dict account_view(const cc_reply *reply)
cdef dict history_view(const cc_reply *reply)
cdef object refused_view(const cc_reply *reply)
