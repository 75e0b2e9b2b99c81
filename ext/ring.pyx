"""The memory of the command queue, and a face of it for tests."""

from array import array

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from ext.atomics cimport bell_arm, bell_disarm, bell_wait
from ext.commands cimport CC_OP_NONE, cc_command
from ext.digest cimport wipe
from ext.ring cimport (
    RING_FULL, cc_ring, ring_advance, ring_depth, ring_peek, ring_place, ring_publish, ring_reserve,
)

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef extern from "<sys/mman.h>" nogil:
    enum:
        PROT_READ
        PROT_WRITE
        MAP_PRIVATE
        MAP_ANONYMOUS
        MADV_DONTDUMP
        MADV_HUGEPAGE
    void *MAP_FAILED
    void *mmap(void *address, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t size)
    int madvise(void *address, size_t size, int advice)
    int mlock(const void *address, size_t size)

cdef enum:
    HUGE_FROM = 4194304


cdef int ring_open(cc_ring *r, uint32_t slots, bint lock) except -1:
    """Map a queue of at least `slots` places. Raises MemoryError."""
    cdef uint64_t size = 16
    memset(r, 0, sizeof(cc_ring))
    while size < slots:
        size *= 2
    r.size, r.mask = size, size - 1
    r.bytes = size * (sizeof(cc_command) + sizeof(uint64_t))
    r.slot = <cc_command *>mmap(
        NULL, r.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0,
    )
    if r.slot == MAP_FAILED:
        r.slot = NULL
        raise MemoryError(f"cannot map a queue of {size} commands")
    r.turn = <uint64_t *>(r.slot + size)
    madvise(r.slot, r.bytes, MADV_DONTDUMP)
    if r.bytes >= HUGE_FROM:
        madvise(r.slot, r.bytes, MADV_HUGEPAGE)
    # Refused under a low RLIMIT_MEMLOCK: then a password may reach the swap; doctor says so.
    r.locked = lock and mlock(r.slot, r.bytes) == 0
    return 0


cdef void ring_close(cc_ring *r) noexcept:
    if r.slot != NULL:
        wipe(r.slot, r.bytes)
        munmap(r.slot, r.bytes)
        r.slot = NULL


# ---- for Python: tests drive the queue from threads ----

cdef class Ring:
    """A queue whose commands carry only a token. One thread may take, any may put."""

    cdef cc_ring ring

    def __cinit__(self, uint32_t slots, bint lock=True):
        ring_open(&self.ring, slots, lock)

    def __dealloc__(self):
        ring_close(&self.ring)

    @property
    def size(self):
        return self.ring.size

    @property
    def locked(self):
        return self.ring.locked

    def depth(self):
        return ring_depth(&self.ring)

    def put(self, *tokens):
        """Queue all tokens as neighbours, or none: True when they are in."""
        cdef uint32_t n = len(tokens), i
        cdef uint64_t ticket = ring_reserve(&self.ring, n)
        if ticket == RING_FULL:
            return False
        for i in range(n):
            ring_place(&self.ring, ticket, i).token = tokens[i]
        ring_publish(&self.ring, ticket, n)
        return True

    def reserve(self):
        """Take one place and keep it, as a producer that was interrupted. 0 when full."""
        return ring_reserve(&self.ring, 1)

    def publish(self, uint64_t ticket, uint64_t token):
        cdef cc_command *c = ring_place(&self.ring, ticket, 0)
        c.token = token
        c.op = CC_OP_NONE
        ring_publish(&self.ring, ticket, 1)

    def take(self):
        """Return the next token, or None."""
        cdef cc_command *c = ring_peek(&self.ring, 0)
        if c == NULL:
            return None
        token = c.token
        ring_advance(&self.ring)
        return token

    def put_many(self, uint64_t first, uint32_t count, uint32_t together):
        """Queue tokens from `first` on, `together` at a time, waiting while full."""
        cdef uint64_t ticket
        cdef uint32_t done = 0, n, i
        with nogil:
            while done < count:
                n = min(together, count - done)
                ticket = ring_reserve(&self.ring, n)
                if ticket == RING_FULL:
                    sched_yield()
                    continue
                for i in range(n):
                    ring_place(&self.ring, ticket, i).token = first + done + i
                ring_publish(&self.ring, ticket, n)
                done += n

    def take_many(self, uint32_t count):
        """Take count tokens, waiting for them without the GIL; return them in order."""
        cdef uint64_t[::1] out = array('Q', bytes(8 * count))
        cdef cc_command *c
        cdef uint32_t done = 0
        with nogil:
            while done < count:
                c = ring_peek(&self.ring, 0)
                if c == NULL:
                    bell_arm(&self.ring.bell)
                    if ring_peek(&self.ring, 0) == NULL:
                        bell_wait(&self.ring.bell, -1)
                    bell_disarm(&self.ring.bell)
                    continue
                out[done] = c.token
                done += 1
                ring_advance(&self.ring)
        return out.base
