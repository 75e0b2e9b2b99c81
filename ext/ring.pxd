"""The bounded queue between front ends and the sequencer: many producers, one consumer.

A producer reserves places, fills them, publishes them in any order and rings; it takes no lock. A
full queue refuses. Slots hold passwords, so they stand in locked memory outside of core dumps.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.atomics cimport bell_ring, cas64, cc_bell, load64, monotonic_ns, store64
from ext.commands cimport cc_command

ctypedef struct cc_ring:
    # fixed at open
    cc_command *slot
    uint64_t *turn       # position + 1 once a slot is published; by the producers
    uint64_t size, mask
    size_t bytes         # mapped for slots and turns
    bint locked          # mlock was allowed
    uint8_t pad0[64]
    uint64_t tail        # next position to reserve; by the producers
    uint8_t pad1[64]
    uint64_t head        # next position to decide; by the consumer
    uint8_t pad2[64]
    cc_bell bell         # wakes the sequencer, whoever brings it work


cdef int ring_open(cc_ring *r, uint32_t slots, bint lock) except -1
cdef void ring_close(cc_ring *r) noexcept

cdef enum:
    RING_FULL = 0
    TICK_NS = 256        # of a command's `asked`: 32 bits of them go round every 18 minutes


cdef inline uint32_t ticks_of(int64_t ns) noexcept nogil:
    return <uint32_t>(ns // TICK_NS)


cdef inline uint64_t ring_reserve(cc_ring *r, uint32_t n) noexcept nogil:
    """Take n neighbouring places, all or none: the first one's position + 1, RING_FULL none."""
    cdef uint64_t tail = load64(&r.tail)
    while True:
        # head only grows, so an old value of it refuses too much, never too little.
        if tail + n - load64(&r.head) > r.size:
            return RING_FULL
        if cas64(&r.tail, &tail, tail + n):
            return tail + 1


cdef inline cc_command *ring_place(cc_ring *r, uint64_t ticket, uint32_t i) noexcept nogil:
    """The i-th place of a reservation, emptied of what was there before."""
    cdef cc_command *c = &r.slot[(ticket - 1 + i) & r.mask]
    # `original` is only read after the reader has filled it, so its 512 bytes need no zeroing.
    memset(c, 0, <size_t>(<uint8_t *>&c.original - <uint8_t *>c))
    c.originals = c.loads = 0
    return c


cdef inline void ring_hand_over(cc_ring *r, uint64_t ticket, uint32_t n) noexcept nogil:
    """Publish n places; whoever does so with many rings once. One to be skipped has CC_OP_NONE.

    The others say when they were `asked`.
    """
    cdef uint32_t i
    for i in range(n):
        store64(&r.turn[(ticket - 1 + i) & r.mask], ticket + i)


cdef inline void ring_publish(cc_ring *r, uint64_t ticket, uint32_t n) noexcept nogil:
    """Queue n commands as of now."""
    cdef uint32_t now = ticks_of(monotonic_ns())
    cdef uint32_t i
    for i in range(n):
        r.slot[(ticket - 1 + i) & r.mask].asked = now
    ring_hand_over(r, ticket, n)
    bell_ring(&r.bell)


cdef inline cc_command *ring_peek(cc_ring *r, uint64_t ahead) noexcept nogil:
    """The command `ahead` places after the next one, NULL when it is not published. Consumer."""
    cdef uint64_t at = r.head + ahead
    if ahead >= r.size or load64(&r.turn[at & r.mask]) != at + 1:
        return NULL
    return &r.slot[at & r.mask]


cdef inline void ring_advance(cc_ring *r) noexcept nogil:
    """Give the next command's place back, its password already wiped. Consumer."""
    store64(&r.head, r.head + 1)


cdef inline uint64_t ring_depth(cc_ring *r) noexcept nogil:
    """Places reserved and not yet given back."""
    cdef uint64_t head = load64(&r.head)
    return load64(&r.tail) - head
