"""Replies and records as Python sees them: the dicts of engine.pyi."""

from ext.commands cimport cc_reply
from ext.records cimport cc_record


cdef dict transaction_view(const cc_record *r)
cdef dict office_view(const cc_reply *reply)
cdef dict account_view(const cc_reply *reply)
cdef dict history_view(const cc_reply *reply)
cdef object refused_view(const cc_reply *reply)
