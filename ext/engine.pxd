"""The engine's Python face; its memory and threads."""

from libc.stdint cimport uint32_t, uint64_t

from ext.answers cimport Answers
from ext.feed cimport cc_ticket
from ext.commands cimport cc_command
from ext.shared cimport cc_shared
from ext.startup cimport Opened


cdef class Engine:
    cdef cc_shared *s
    cdef Answers answers
    cdef Opened opened
    cdef list threads
    cdef object checking         # guards the sequencer's standing still: one caller at a time
    cdef bint closed
    cdef object ledger_sum
    cdef object ledger_sum_at

    cdef cc_ticket *admit(self, object future, uint32_t kind) except NULL
    cdef cc_command *place(self, cc_ticket *ticket, uint64_t *reserved) except NULL
