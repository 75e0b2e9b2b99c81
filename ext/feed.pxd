"""Answers on their way back: a ticket a command, at most one eventfd write a block.

A ticket is taken before its command is queued and goes with it as the command's token, so there is
always room for the answer and nothing is copied. The sequencer or the reader writes `reply` and
lets go; the feed's owner collects.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from ext.atomics cimport cas_pointer, load_pointer
from ext.commands cimport cc_command, cc_reply

cdef enum:
    CC_FEEDS_MAX = 4         # front ends of one engine

ctypedef struct cc_feed:
    void *released           # newest first; pushed by sequencer and reader, taken by the owner
    int eventfd              # readable when the owner must look
    uint32_t number          # index in an outbox
    uint32_t polled          # the owner looks by itself while it is awake
    uint32_t asleep          # polled: it waits for the eventfd

ctypedef struct cc_ticket:
    cc_ticket *next          # in a chain: of the feed, of a block, or of free tickets
    cc_feed *feed            # where the answer goes
    void *owner              # the feed's: whom to tell
    uint32_t index           # the feed's: place in a batch
    uint16_t kind            # the feed's: how to encode
    uint16_t spare
    int64_t released_ns      # of the last of those that came together; the owner clears it
    cc_reply reply

ctypedef struct cc_chain:
    cc_ticket *newest
    cc_ticket *oldest

ctypedef struct cc_outbox:   # answers that leave together, by feed
    cc_chain chain[CC_FEEDS_MAX]
    uint64_t n


cdef int feed_open(cc_feed *f, uint32_t number) except -1
cdef void feed_close(cc_feed *f) noexcept
cdef void feed_wake(cc_feed *f) noexcept nogil
cdef void feed_reset(cc_feed *f) noexcept nogil
cdef cc_ticket *feed_list(cc_feed *f) noexcept nogil
cdef cc_ticket *feed_take(cc_feed *f) noexcept nogil
cdef void outbox_release(cc_outbox *box, int64_t now_ns) noexcept nogil


cdef inline cc_ticket *ticket_of(const cc_command *c) noexcept nogil:
    return <cc_ticket *>c.token


cdef inline void outbox_add(cc_outbox *box, cc_ticket *ticket) noexcept nogil:
    cdef cc_chain *chain = &box.chain[ticket.feed.number]
    ticket.next = chain.newest
    chain.newest = ticket
    if chain.oldest == NULL:
        chain.oldest = ticket
    box.n += 1


cdef inline void feed_push(cc_feed *f, cc_ticket *newest, cc_ticket *oldest) noexcept nogil:
    """Give a chain to the feed's owner. Only what makes the list non-empty has to wake."""
    cdef void *head = load_pointer(&f.released)
    while True:
        oldest.next = <cc_ticket *>head
        if cas_pointer(&f.released, &head, newest):
            break
    if head == NULL:
        feed_wake(f)
