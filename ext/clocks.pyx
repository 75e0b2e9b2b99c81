"""Mapping the test clock.

The file holds the time as 8 bytes, int64 little-endian, microseconds since 1970. Whether a
directory may run on one is asked where it is opened.
"""

from libc.errno cimport errno
from posix.fcntl cimport O_CLOEXEC, O_RDONLY, open
from posix.unistd cimport SEEK_END, close, lseek

from libc.stdint cimport uint64_t

from ext.clocks cimport cc_clock

cdef extern from "<sys/mman.h>" nogil:
    enum:
        PROT_READ
        MAP_SHARED
    void *MAP_FAILED
    void *mmap(void *address, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t size)

cdef enum:
    CLOCK_BYTES = 8


cdef int clock_open(cc_clock *clock, str path) except -1:
    """Use the file at `path`, or with an empty path real time. Raises OSError."""
    cdef int fd, code
    cdef void *at
    cdef bytes name = path.encode()
    clock.test = NULL
    if not name:
        return 0
    fd = open(<const char *>name, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        raise OSError(errno, "test clock", path)
    if lseek(fd, 0, SEEK_END) < CLOCK_BYTES:
        close(fd)
        raise OSError(0, f"a test clock has {CLOCK_BYTES} bytes", path)
    at = mmap(NULL, CLOCK_BYTES, PROT_READ, MAP_SHARED, fd, 0)
    code = errno
    close(fd)
    if at == MAP_FAILED:
        raise OSError(code, "test clock", path)
    clock.test = <uint64_t *>at
    return 0


cdef void clock_close(cc_clock *clock) noexcept:
    if clock.test != NULL:
        munmap(clock.test, CLOCK_BYTES)
        clock.test = NULL
