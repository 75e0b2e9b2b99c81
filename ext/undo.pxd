"""Reversals, voids and refunds: every undo is a new record linked to what it undoes."""

from ext.commands cimport cc_command, cc_reply
from ext.tables cimport cc_block, cc_tables
from ext.taps cimport cc_tap


cdef int decide_reverse(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil
cdef int decide_refund(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil
