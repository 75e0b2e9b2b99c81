"""Names of ext/turns.h: what a thread tells the operating system of itself."""

cdef extern from "turns.h" nogil:
    void thread_named "cc_thread_named"(const char *name) noexcept
