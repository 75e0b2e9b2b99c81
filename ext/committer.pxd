"""Commits decided blocks, beside the sequencer or in its place.

A large block is handed to the committer's thread, so that the next one is decided meanwhile. A
small one, with nothing behind it, the sequencer commits itself: handing over costs more than it
saves. Blocks are committed one at a time, in the order they were decided in, each with its own
durable commit; at most CC_FLIGHTS of them are between decision and answer.
"""

from ext.shared cimport cc_flight, cc_shared, cc_stand
from ext.tables cimport cc_tables

# The thread's body, without the GIL: until shared.commit_stop, when nothing is handed over.
cdef void committer_run(cc_shared *s) noexcept nogil

# The sequencer's: the flight to fill next, NULL while that is the committer's; whether the
# committer has nothing; commit a filled one, here or there; wait for one, wait for all.
cdef cc_flight *flight_next(cc_shared *s) noexcept nogil
cdef bint flights_landed(const cc_shared *s) noexcept nogil
cdef void flight_send(cc_shared *s, cc_flight *f) noexcept nogil
cdef cc_flight *flight_await(cc_shared *s) noexcept nogil
cdef void flights_await(cc_shared *s) noexcept nogil

# The two steps of a flight, for who commits. Nobody else may be committing.
cdef void flight_commit(cc_shared *s, cc_flight *f) noexcept nogil
cdef void flight_release(cc_shared *s, cc_flight *f) noexcept nogil

# Where the tables stand after a block; tells head() so.
cdef void take_stand(const cc_tables *t, cc_stand *at) noexcept nogil
cdef void tell_head(cc_shared *s, const cc_stand *at) noexcept nogil
