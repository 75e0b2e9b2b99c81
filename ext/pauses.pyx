"""How long a machine keeps a thread from its core; see pauses.pyi."""

from libc.stdint cimport int64_t

from ext.atomics cimport monotonic_ns

cdef enum:
    LEAST_NS = 500000        # shorter ones are the kernel's own work


def pauses(int64_t ns):
    cdef int64_t began, last, now, lost = 0, longest = 0
    with nogil:
        began = last = monotonic_ns()
        while last - began < ns:
            now = monotonic_ns()
            if now - last >= LEAST_NS:
                lost += now - last
                longest = max(longest, now - last)
            last = now
    return lost, longest
