"""The feed's eventfd, and letting a block's answers go."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.unistd cimport close, read, write

from ext.atomics cimport fence, load32, swap32, swap_pointer
from ext.feed cimport CC_FEEDS_MAX, cc_chain, cc_feed, cc_outbox, cc_ticket, feed_push

cdef extern from "<sys/eventfd.h>" nogil:
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK
    int eventfd(unsigned int count, int flags)


cdef int feed_open(cc_feed *f, uint32_t number) except -1:
    memset(f, 0, sizeof(cc_feed))
    f.number = number
    f.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    if f.eventfd < 0:
        raise OSError(errno, "eventfd")
    return 0


cdef void feed_close(cc_feed *f) noexcept:
    if f.eventfd >= 0:
        close(f.eventfd)
        f.eventfd = -1


cdef void feed_wake(cc_feed *f) noexcept nogil:
    """Make the owner look. One that polls and is awake sees what was pushed before this."""
    cdef uint64_t one = 1
    if f.polled:
        fence()
        if load32(&f.asleep) == 0 or swap32(&f.asleep, 0) == 0:
            return
    # A full counter would mean 2^64 - 1 unread wake-ups; only a signal can interrupt.
    while write(f.eventfd, &one, 8) < 0 and errno == EINTR:
        pass


cdef void feed_reset(cc_feed *f) noexcept nogil:
    """Forget wake-ups. Before the list is taken: what comes in between wakes once too often."""
    cdef uint64_t count
    while read(f.eventfd, &count, 8) < 0 and errno == EINTR:
        pass


cdef cc_ticket *feed_list(cc_feed *f) noexcept nogil:
    """Everything released so far, oldest first."""
    cdef cc_ticket *ticket = <cc_ticket *>swap_pointer(&f.released, NULL)
    cdef cc_ticket *next
    cdef cc_ticket *oldest = NULL
    while ticket != NULL:
        next = ticket.next
        ticket.next = oldest
        oldest = ticket
        ticket = next
    return oldest


cdef cc_ticket *feed_take(cc_feed *f) noexcept nogil:
    """The same for an owner that sleeps on the eventfd only."""
    feed_reset(f)
    return feed_list(f)


cdef void outbox_release(cc_outbox *box, int64_t now_ns) noexcept nogil:
    """Let a block's answers go: one push and at most one wake-up a feed."""
    cdef int i
    cdef cc_chain *chain
    for i in range(CC_FEEDS_MAX):
        chain = &box.chain[i]
        if chain.newest != NULL:
            chain.newest.released_ns = now_ns
            feed_push(chain.newest.feed, chain.newest, chain.oldest)
            chain.newest = chain.oldest = NULL
    box.n = 0
