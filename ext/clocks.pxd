"""The one clock that decides: real time, or a mapped file that a test moves."""

from libc.stdint cimport int64_t, uint64_t

from ext.atomics cimport load64, realtime_us

ctypedef struct cc_clock:
    uint64_t *test       # microseconds since 1970, NULL: real time


cdef int clock_open(cc_clock *clock, str path) except -1
cdef void clock_close(cc_clock *clock) noexcept


cdef inline int64_t clock_now_us(const cc_clock *clock) noexcept nogil:
    """UTC microseconds since 1970. It may step back; block time does not."""
    return <int64_t>load64(clock.test) if clock.test != NULL else realtime_us()
