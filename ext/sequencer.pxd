"""The one thread that decides: takes what has arrived, decides it, has it committed."""

from ext.commands cimport cc_command
from ext.shared cimport cc_flight, cc_shared

# The loop, until shared.stop. A thread's body, without the GIL.
cdef void sequencer_run(cc_shared *s) noexcept nogil

# Its first step; ext.committer has the others.
cdef bint flight_decide(cc_shared *s, cc_flight *f) noexcept nogil

# Wipes the password of a decided or refused command; frees what an office command holds.
cdef void forget_secrets(cc_command *c) noexcept nogil
