"""Reads: nothing is journaled, the answer is as of the newest record decided."""

from ext.commands cimport cc_command, cc_reply
from ext.tables cimport cc_tables


cdef int decide_read(cc_tables *t, const cc_command *c, cc_reply *reply) noexcept nogil
