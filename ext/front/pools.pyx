"""Pools of one thread's calls and commands, and growing buffers with a bound per connection."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ext.digest cimport wipe
from ext.feed cimport feed_close, feed_open
from ext.front.heap cimport heap_close, heap_open
from ext.front.net cimport poll_new, private_bytes, private_free
from ext.front.parts cimport (
    FRONT_BUCKETS, FRONT_INBOX, FRONT_OUTBOX, SMALL_MESSAGE, cc_bucket, cc_buffer, cc_call,
    cc_conn, cc_front, cc_io, cc_slot,
)

cdef enum:
    PART = 128           # calls or slots of one part of a pool
    LEAST = 1024         # bytes of a buffer

cdef extern from *:
    """
    #include <unistd.h>
    """
    int close(int fd) nogil


# ---- a thread's ----

cdef cc_io *io_new(cc_front *front, uint32_t number) except NULL:
    cdef cc_io *io = <cc_io *>calloc(1, sizeof(cc_io))
    if io == NULL:
        raise MemoryError
    io.front, io.number, io.poll, io.feed.eventfd = front, number, -1, -1
    heap_open(&io.heap)
    io.call_part = <void **>calloc(front.bounds.calls_max // PART + 1, sizeof(void *))
    io.slot_part = <void **>calloc(front.bounds.slots_max // PART + 1, sizeof(void *))
    io.bucket = <cc_bucket *>calloc(FRONT_BUCKETS, sizeof(cc_bucket))
    io.inbox = <uint8_t *>private_bytes(FRONT_INBOX)
    io.outbox = <uint8_t *>malloc(FRONT_OUTBOX)
    io.sealed = <uint8_t *>malloc(FRONT_INBOX)
    if (io.call_part == NULL or io.slot_part == NULL or io.bucket == NULL or io.inbox == NULL
            or io.outbox == NULL or io.sealed == NULL):
        io_free(io)
        raise MemoryError
    try:
        feed_open(&io.feed, number + 1)
        io.feed.polled = 1
        io.poll = poll_new()
        if io.poll < 0:
            raise OSError("epoll")
    except BaseException:
        io_free(io)
        raise
    return io


cdef void io_free(cc_io *io) noexcept:
    cdef uint32_t i
    if io == NULL:
        return
    if io.call_part != NULL:
        for i in range(io.call_parts):
            private_free(io.call_part[i], PART * sizeof(cc_call))
    if io.slot_part != NULL:
        for i in range(io.slot_parts):
            free(io.slot_part[i])
    free(io.call_part)
    free(io.slot_part)
    free(io.bucket)
    private_free(io.inbox, FRONT_INBOX)
    free(io.outbox)
    free(io.sealed)
    heap_close(&io.heap)
    feed_close(&io.feed)
    if io.poll >= 0:
        close(io.poll)
    free(io)


# ---- calls ----

cdef bint more_calls(cc_io *io) noexcept nogil:
    cdef cc_call *part
    cdef uint32_t i
    if (io.call_parts + 1) * PART > io.front.bounds.calls_max + PART - 1:
        return False
    part = <cc_call *>private_bytes(PART * sizeof(cc_call))
    if part == NULL:
        return False
    for i in range(PART):
        part[PART - 1 - i].io = io
        part[PART - 1 - i].index = io.call_parts * PART + PART - 1 - i
        part[PART - 1 - i].next = io.free_calls
        io.free_calls = &part[PART - 1 - i]
    io.call_part[io.call_parts] = part
    io.call_parts += 1
    return True


cdef cc_call *call_take(cc_io *io) noexcept nogil:
    cdef cc_call *call
    if io.free_calls == NULL and not more_calls(io):
        return NULL
    call = io.free_calls
    io.free_calls = call.next
    io.calls += 1
    call.next = NULL
    return call


cdef cc_call *call_named(cc_io *io, uint32_t index, uint32_t generation) noexcept nogil:
    cdef cc_call *call
    if index >= io.call_parts * PART:
        return NULL
    call = &(<cc_call *>io.call_part[index // PART])[index % PART]
    return call if call.generation == generation and call.handed != NULL else NULL


cdef void call_give_back(cc_call *call) noexcept nogil:
    """The call's place, emptied but for its name, whose next bearer has another generation."""
    cdef cc_io *io = call.io
    cdef uint32_t index = call.index, generation = call.generation
    while call.first != NULL:
        slot_pop(call)
    buffer_free(call, &call.request)
    buffer_free(call, &call.answer)
    buffer_free(call, &call.metadata)
    memset(call, 0, sizeof(cc_call))
    call.io, call.index, call.generation = io, index, generation + 1
    call.next = io.free_calls
    io.free_calls = call
    io.calls -= 1


# ---- commands ----

cdef bint more_slots(cc_io *io) noexcept nogil:
    cdef cc_slot *part
    cdef uint32_t i
    if (io.slot_parts + 1) * PART > io.front.bounds.slots_max + PART - 1:
        return False
    part = <cc_slot *>calloc(PART, sizeof(cc_slot))
    if part == NULL:
        return False
    for i in range(PART):
        part[PART - 1 - i].ticket.feed = &io.feed
        part[PART - 1 - i].next = io.free_slots
        io.free_slots = &part[PART - 1 - i]
    io.slot_part[io.slot_parts] = part
    io.slot_parts += 1
    return True


cdef cc_slot *slot_take(cc_call *call) noexcept nogil:
    cdef cc_io *io = call.io
    cdef cc_slot *slot
    if io.free_slots == NULL and not more_slots(io):
        return NULL
    slot = io.free_slots
    io.free_slots = slot.next
    io.slots += 1
    slot.next, slot.call = NULL, call
    slot.reason, slot.ready, slot.terminal_seq, slot.retry_after_ms = 0, False, 0, 0
    if call.last == NULL:
        call.first = slot
    else:
        call.last.next = slot
    call.last = slot
    call.slots += 1
    return slot


cdef void slot_pop(cc_call *call) noexcept nogil:
    cdef cc_slot *slot = call.first
    call.first = slot.next
    if call.first == NULL:
        call.last = NULL
    call.slots -= 1
    free(slot.ticket.reply.bytes)
    slot.ticket.reply.bytes = NULL
    slot.next = call.io.free_slots
    call.io.free_slots = slot
    call.io.slots -= 1


# ---- bytes ----

cdef uint8_t *buffer_room(cc_call *call, cc_buffer *b, size_t more) noexcept nogil:
    """A request's first bytes stand in the call's own place; what is larger doubles."""
    cdef cc_conn *conn = call.conn
    cdef size_t size = b.size
    cdef uint8_t *at
    if b.at == NULL and b == &call.request and more <= SMALL_MESSAGE:
        b.at, b.size = call.small, SMALL_MESSAGE
    if b.length + more <= b.size:
        return b.at + b.length
    size = max(<size_t>LEAST, b.size)
    while size < b.length + more:
        size *= 2
    if conn != NULL and conn.held + size - b.size > conn.io.front.bounds.held_bytes:
        return NULL
    at = <uint8_t *>malloc(size)
    if at == NULL:
        return NULL
    if b.length != 0:
        memcpy(at, b.at, b.length)
        wipe(b.at, b.length)
    call.charged += size
    if conn != NULL:
        conn.held += size
    if b.at != NULL and b.at != call.small:
        call.charged -= b.size
        if conn != NULL:
            conn.held -= b.size
        free(b.at)
    b.at, b.size = at, size
    return at + b.length


cdef bint buffer_add(
    cc_call *call, cc_buffer *b, const void *bytes, size_t length,
) noexcept nogil:
    cdef uint8_t *at = buffer_room(call, b, length)
    if at == NULL:
        return False
    memcpy(at, bytes, length)
    b.length += length
    return True


cdef void buffer_free(cc_call *call, cc_buffer *b) noexcept nogil:
    if b.at == NULL:
        return
    wipe(b.at, b.length)
    if b.at != call.small:
        call.charged -= b.size
        if call.conn != NULL:
            call.conn.held -= b.size
        free(b.at)
    memset(b, 0, sizeof(cc_buffer))
