"""The one thread that decides: takes what has arrived, decides it, commits it, lets answers go."""

from ext.commands cimport cc_command
from ext.shared cimport cc_flight, cc_shared

# The loop, until shared.stop. A thread's body, without the GIL.
cdef void sequencer_run(cc_shared *s) noexcept nogil

# Its three steps. Another strategy than `full` may commit the next block before it releases this.
cdef bint flight_decide(cc_shared *s, cc_flight *f) noexcept nogil
cdef void flight_commit(cc_shared *s, cc_flight *f) noexcept nogil
cdef void flight_release(cc_shared *s, cc_flight *f) noexcept nogil

# Tells head() where the tables stand.
cdef void tell_head(cc_shared *s) noexcept nogil

# Wipes the password of a decided or refused command; frees what an office command holds.
cdef void forget_secrets(cc_command *c) noexcept nogil
