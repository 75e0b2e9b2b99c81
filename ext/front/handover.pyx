"""Calls that Python answers travel by name: one whose stream has died is found to be gone."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.unistd cimport write

from ext.atomics cimport add32, cas_pointer, load32, load_pointer, swap_pointer
from ext.digest cimport wipe
from ext.feed cimport feed_wake
from ext.front.parts cimport FRONT_STREAM, cc_call, cc_front, cc_handed, cc_io
from ext.front.pools cimport call_named
from ext.front.responses cimport call_refuse_made, call_refuse_for, call_respond
from ext.reasons cimport CC_R_QUEUE_FULL


cdef void handed_free(cc_handed *handed) noexcept nogil:
    if handed == NULL:
        return
    if handed.message != NULL:
        wipe(handed.message, handed.message_length)
    if handed.metadata != NULL:
        wipe(handed.metadata, handed.metadata_length)
    free(handed.message)
    free(handed.metadata)
    free(handed.details)
    free(handed)


cdef cc_handed *copy_of(cc_call *call, const uint8_t *message, size_t length) noexcept nogil:
    cdef cc_handed *handed = <cc_handed *>calloc(1, sizeof(cc_handed))
    if handed == NULL:
        return NULL
    handed.message = <uint8_t *>malloc(length + 1)
    handed.metadata = <uint8_t *>malloc(call.metadata.length + 1)
    if handed.message == NULL or handed.metadata == NULL:
        handed_free(handed)
        return NULL
    if length != 0:
        memcpy(handed.message, message, length)
    if call.metadata.length != 0:
        memcpy(handed.metadata, call.metadata.at, call.metadata.length)
    handed.message_length = <uint32_t>length
    handed.metadata_length = <uint32_t>call.metadata.length
    handed.io, handed.index, handed.generation = call.io, call.index, call.generation
    memcpy(handed.terminal, call.conn.name, 16)
    handed.deadline_ms = call.deadline_ms
    handed.method = <uint32_t>(call.method - call.io.front.method)
    return handed


cdef bint push(void **list, cc_handed *handed) noexcept nogil:
    """Put it in front; True when the list was empty, and its taker may not be looking."""
    cdef void *head = load_pointer(list)
    while True:
        handed.next = <cc_handed *>head
        if cas_pointer(list, &head, handed):
            return head == NULL


cdef cc_handed *take_all(void **list) noexcept nogil:
    """Everything in a list, oldest first."""
    cdef cc_handed *at = <cc_handed *>swap_pointer(list, NULL)
    cdef cc_handed *next
    cdef cc_handed *oldest = NULL
    while at != NULL:
        next = at.next
        at.next = oldest
        oldest = at
        at = next
    return oldest


cdef void call_hand(cc_call *call, const uint8_t *message, size_t length) noexcept nogil:
    cdef cc_front *front = call.io.front
    cdef cc_handed *handed = NULL
    cdef uint64_t one = 1
    if load32(&front.handed_count) < front.bounds.handed_max:
        handed = copy_of(call, message, length)
    if handed == NULL:
        call_refuse_for(call, CC_R_QUEUE_FULL, 0)
        return
    add32(&front.handed_count, 1)
    call.handed = True
    call.io.handed += 1
    if push(&front.handed, handed):
        while write(front.handed_eventfd, &one, 8) < 0 and errno == EINTR:
            pass


cdef cc_handed *handed_take(cc_front *front) noexcept nogil:
    return take_all(&front.handed)


cdef void handed_return(cc_handed *handed) noexcept nogil:
    cdef cc_io *io = handed.io
    if push(&io.returned, handed):
        feed_wake(&io.feed)


cdef cc_handed *handed_collect(cc_io *io) noexcept nogil:
    return take_all(&io.returned) if load_pointer(&io.returned) != NULL else NULL


cdef cc_call *handed_settle(cc_io *io, cc_handed *handed) noexcept nogil:
    cdef cc_call *call = call_named(io, handed.index, handed.generation)
    cdef cc_call *admitted = NULL
    if call != NULL and call.conn != NULL:
        call.handed = False
        if handed.code != 0:
            call_refuse_made(
                call, handed.code, handed.metadata, handed.metadata_length, handed.details,
                handed.details_length)
        elif call.method.kind == FRONT_STREAM:
            admitted = call
        else:
            call_respond(call, handed.message, handed.message_length)
    add32(&io.front.handed_count, <uint32_t>-1)
    handed_free(handed)
    return admitted
