"""The Python face of an HDR histogram; see histogram.pyi."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

cdef enum:
    MILLION = 1000000


cdef uint64_t quantile(const cc_histogram *h, uint64_t parts) noexcept nogil:
    cdef uint64_t wanted = max(<uint64_t>1, (h.total * parts + MILLION - 1) // MILLION)
    cdef uint64_t seen = 0
    cdef uint32_t i
    for i in range(HIST_SIZE):
        seen += h.count[i]
        if seen >= wanted:
            return min(hist_value(i), h.longest)
    return h.longest


cdef class Histogram:
    """Durations in nanoseconds, counted; see histogram.pyi."""

    def __cinit__(self):
        self.h = <cc_histogram *>calloc(1, sizeof(cc_histogram))
        if self.h == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.h)

    @property
    def total(self):
        """How many durations were counted."""
        return self.h.total

    @property
    def longest(self):
        """The longest of them, exactly."""
        return self.h.longest

    def add(self, int64_t ns):
        """Count one duration."""
        hist_add(self.h, ns)

    def add_all(self, Histogram other not None):
        """Count what another has counted."""
        cdef uint32_t i
        for i in range(HIST_SIZE):
            self.h.count[i] += other.h.count[i]
        self.h.total += other.h.total
        self.h.longest = max(self.h.longest, other.h.longest)

    def at(self, uint64_t parts):
        """The duration that `parts` of a million do not exceed."""
        if parts > MILLION:
            raise ValueError("at most 1,000,000 parts of a million")
        return quantile(self.h, parts)
