"""The memory that the threads of one engine share."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc

from ext.atomics cimport monotonic_ns
from ext.checkpoint cimport checkpoint_close
from ext.clocks cimport clock_close
from ext.digest cimport sha256_free, sha256_new, wipe
from ext.jobs cimport jobs_close
from ext.memory cimport tables_close
from ext.records cimport CC_PAYLOAD_MAX, cc_record
from ext.ring cimport ring_close
from ext.shared cimport CC_FLIGHTS, cc_flight, cc_shared

cdef extern from "<sys/mman.h>" nogil:
    enum:
        PROT_READ
        PROT_WRITE
        MAP_PRIVATE
        MAP_ANONYMOUS
        MADV_DONTDUMP
    void *MAP_FAILED
    void *mmap(void *address, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t size)
    int madvise(void *address, size_t size, int advice)
    int mlock(const void *address, size_t size)

cdef enum:
    PAYLOAD_PADDING = 8


cdef int flight_open(cc_flight *f, uint32_t block_max) except -1:
    """Buffers of a block; large ones take memory only as far as they are filled."""
    f.block.records = <cc_record *>calloc(block_max, sizeof(cc_record))
    f.block.payload = <uint8_t *>malloc(CC_PAYLOAD_MAX + PAYLOAD_PADDING)
    f.block.max, f.block.payload_max = block_max, CC_PAYLOAD_MAX
    if f.block.records == NULL or f.block.payload == NULL:
        raise MemoryError
    return 0


cdef cc_shared *shared_new() except NULL:
    """Zeroed, in locked memory outside core dumps: the password key stands in it."""
    cdef void *at = mmap(
        NULL, sizeof(cc_shared), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0,
    )
    if at == MAP_FAILED:
        raise MemoryError
    madvise(at, sizeof(cc_shared), MADV_DONTDUMP)
    mlock(at, sizeof(cc_shared))
    return <cc_shared *>at


cdef int shared_open(cc_shared *s, uint32_t block_max) except -1:
    """The parts that need no directory; shared_free after any outcome."""
    cdef int i
    for i in range(CC_FLIGHTS):
        flight_open(&s.flight[i], block_max)
    s.monotonic_base_ns = monotonic_ns()
    s.sha = sha256_new()
    if s.sha == NULL:
        raise MemoryError
    return 0


cdef void shared_free(cc_shared *s) noexcept:
    cdef int i
    for i in range(CC_FLIGHTS):
        free(s.flight[i].block.records)
        free(s.flight[i].block.payload)
    sha256_free(s.sha)
    checkpoint_close(&s.checkpoint)
    jobs_close(&s.jobs)
    ring_close(&s.ring)
    clock_close(&s.clock)
    tables_close(&s.tables)
    wipe(s, sizeof(cc_shared))
    munmap(s, sizeof(cc_shared))
