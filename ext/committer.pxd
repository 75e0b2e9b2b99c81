"""Commits decided blocks, beside the sequencer or in its place, and lets their answers go.

A large block is handed to the committer's thread, so that the next one is decided meanwhile. A
small one, with nothing behind it, the sequencer commits itself: handing over costs more than it
saves. Blocks are committed one at a time, in the order they were decided in, each with its own
commit.

A flight lands, its answers leave, when the journal says that its block is durable: at once after
a full commit, after a later sync when commits are pipelined. Who commits owes that sync: the next
block's commit brings it, and when there is none, `flights_settle`.
"""

from libc.stdint cimport uint8_t, uint64_t

from ext.atomics cimport load64
from ext.shared cimport CC_AHEAD, CC_FLIGHTS, cc_flight, cc_shared, cc_stand
from ext.tables cimport cc_tables

# The thread's body, without the GIL: until shared.commit_stop, when nothing is handed over.
cdef void committer_run(cc_shared *s) noexcept nogil

# The sequencer's: commit the flight just filled, here or there; commit it here and now, answers
# and all; wait for one to fill; wait until all have landed.
cdef void flight_send(cc_shared *s) noexcept nogil
cdef void flight_carry(cc_shared *s) noexcept nogil
cdef cc_flight *flight_await(cc_shared *s) noexcept nogil
cdef void flights_await(cc_shared *s) noexcept nogil

# For who may commit: make durable what is committed, if anything waits for that.
cdef void flights_settle(cc_shared *s) noexcept nogil

# Where the tables stand after a block; tells head() so.
cdef void take_stand(const cc_tables *t, cc_stand *at) noexcept nogil
cdef void tell_head(cc_shared *s, const cc_stand *at, const uint8_t *chain) noexcept nogil


cdef inline cc_flight *flight_of(cc_shared *s, uint64_t number) noexcept nogil:
    return &s.flight[number % CC_FLIGHTS]


cdef inline cc_flight *flight_next(cc_shared *s) noexcept nogil:
    """The one to fill, NULL while there is none. Sequencer."""
    if s.filled - load64(&s.landed) >= CC_FLIGHTS or s.filled - load64(&s.committed) >= CC_AHEAD:
        return NULL
    return flight_of(s, s.filled)


cdef inline bint flights_landed(const cc_shared *s) noexcept nogil:
    """Whether nothing is between decision and answer. Sequencer."""
    return load64(&s.landed) == s.filled


cdef inline bint may_commit(const cc_shared *s) noexcept nogil:
    """Whether the committer has nothing, and who decides commits. Sequencer."""
    return load64(&s.returned) == s.handed


cdef inline bint flights_trail(const cc_shared *s) noexcept nogil:
    """Whether it is the sequencer who owes a committed block its sync."""
    return may_commit(s) and load64(&s.landed) != load64(&s.committed)
