"""Counts of durations, exact to a thousandth, in bounded memory: an HDR histogram.

A duration below 2,048 ns has a counter of its own; above, each power of two is cut into 1,024
counters. Durations above 2^40 ns (18 minutes) count as that.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    HIST_BITS = 10                 # of a power of two: 1,024 counters
    HIST_TOP = 40                  # bits of the longest duration
    HIST_SIZE = 31744              # (HIST_TOP - HIST_BITS + 1) << HIST_BITS

ctypedef struct cc_histogram:
    uint64_t total                 # durations
    uint64_t longest               # ns
    uint64_t count[HIST_SIZE]

cdef extern from *:
    int bit_length "64 - __builtin_clzll"(unsigned long long v) noexcept nogil


cdef inline uint32_t hist_index(uint64_t ns) noexcept nogil:
    cdef int shift = bit_length(ns | 1) - HIST_BITS - 1
    if shift <= 0:
        return <uint32_t>ns
    return (<uint32_t>shift << HIST_BITS) + <uint32_t>(ns >> shift)


cdef inline uint64_t hist_value(uint32_t index) noexcept nogil:
    """The longest duration that the counter counts."""
    cdef uint32_t shift = 0
    if index >= 2 << HIST_BITS:
        shift = (index >> HIST_BITS) - 1
    return ((<uint64_t>(index - (shift << HIST_BITS)) + 1) << shift) - 1


cdef inline void hist_add(cc_histogram *h, int64_t duration_ns) noexcept nogil:
    """Less than nothing counts as nothing."""
    cdef uint64_t ns = <uint64_t>min(max(duration_ns, 0), (<int64_t>1 << HIST_TOP) - 1)
    h.count[hist_index(ns)] += 1
    h.total += 1
    if ns > h.longest:
        h.longest = ns


cdef class Histogram:
    cdef cc_histogram *h
