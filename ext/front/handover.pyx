"""Calls that Python answers travel by name: one whose stream has died is found to be gone.

What is handed over is Python's until it is returned, and its thread's from then on. Between the
two it may stand in the list of what Python is to look at again; who is last frees it.
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.unistd cimport write

from ext.atomics cimport (
    add32, cas_pointer, load32, load64, load_pointer, store32, store64, swap32, swap_pointer,
)
from ext.digest cimport wipe
from ext.feed cimport feed_wake
from ext.front.parts cimport (
    FED_AHEAD, FED_MESSAGE, FRONT_FED, FRONT_STREAM, TOLD, TOLD_LAST, TOLD_NOTHING, cc_call,
    cc_front, cc_handed, cc_io, cc_status,
)
from ext.front.pools cimport call_named
from ext.front.responses cimport call_finish, call_refuse, call_refuse_for, call_respond, call_say
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


cdef bint push(void **list, cc_handed *handed, cc_handed **next) noexcept nogil:
    """Put it in front; True when the list was empty, and its taker may not be looking."""
    cdef void *head = load_pointer(list)
    while True:
        next[0] = <cc_handed *>head
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


cdef inline uint32_t *count_of(cc_front *front, uint32_t method) noexcept nogil:
    """Fed calls last long: they have places of their own, so that the others find theirs."""
    return &front.fed_count if front.method[method].kind == FRONT_FED else &front.handed_count


cdef void ring(cc_front *front) noexcept nogil:
    cdef uint64_t one = 1
    while write(front.handed_eventfd, &one, 8) < 0 and errno == EINTR:
        pass


cdef void call_hand(cc_call *call, const uint8_t *message, size_t length) noexcept nogil:
    cdef cc_front *front = call.io.front
    cdef bint fed = call.method.kind == FRONT_FED
    cdef uint32_t *count = count_of(front, <uint32_t>(call.method - front.method))
    cdef cc_handed *handed = NULL
    if load32(count) < (front.bounds.fed_max if fed else front.bounds.handed_max):
        handed = copy_of(call, message, length)
    if handed == NULL:
        call_refuse_for(call, CC_R_QUEUE_FULL, 0)
        return
    add32(count, 1)
    call.handed = handed
    call.io.handed += 1
    if push(&front.handed, handed, &handed.next):
        ring(front)


# ---- what Python is to look at again ----

cdef void tell(cc_handed *handed) noexcept nogil:
    cdef cc_front *front = handed.io.front
    if swap32(&handed.told, TOLD) == TOLD_NOTHING:
        if push(&front.told, handed, &handed.next_told):
            ring(front)


cdef void handed_gone(cc_call *call) noexcept nogil:
    store32(&call.handed.gone, 1)
    tell(call.handed)
    call.handed = NULL


cdef void handed_read(cc_call *call) noexcept nogil:
    """Told once in half of what may wait: whoever waits has written all of it since, or more."""
    cdef cc_handed *handed = call.handed
    store64(&handed.taken, handed.carried)
    if handed.carried - handed.told_taken >= FED_AHEAD // 2:
        handed.told_taken = handed.carried
        tell(handed)


cdef cc_handed *handed_told(cc_front *front) noexcept nogil:
    return <cc_handed *>swap_pointer(&front.told, NULL)


cdef bint handed_look(cc_handed *handed, bint *gone, uint64_t *ahead) noexcept nogil:
    """Read first: once it is out of the list, it is its thread's to free."""
    gone[0] = load32(&handed.gone) != 0
    ahead[0] = handed.written - load64(&handed.taken)
    if swap32(&handed.told, TOLD_NOTHING) == TOLD_LAST:
        handed_free(handed)
        return False
    return True


cdef void handed_leave(cc_handed *handed) noexcept nogil:
    """Its thread is done with it. In the list it stays until Python has taken it from there."""
    if swap32(&handed.told, TOLD_LAST) != TOLD:
        handed_free(handed)


# ---- back ----

cdef cc_handed *piece_of(cc_handed *handed, uint8_t *message, uint32_t length) noexcept nogil:
    cdef cc_handed *piece = <cc_handed *>calloc(1, sizeof(cc_handed))
    if piece == NULL:
        return NULL
    piece.io, piece.index, piece.generation = handed.io, handed.index, handed.generation
    piece.piece, piece.message, piece.message_length = True, message, length
    handed.written += length + FED_MESSAGE
    return piece


cdef uint64_t handed_ahead(const cc_handed *handed) noexcept nogil:
    return handed.written - load64(&handed.taken)


cdef cc_handed *handed_take(cc_front *front) noexcept nogil:
    return take_all(&front.handed)


cdef void handed_return(cc_handed *handed) noexcept nogil:
    cdef cc_io *io = handed.io
    if push(&io.returned, handed, &handed.next):
        feed_wake(&io.feed)


cdef cc_handed *handed_collect(cc_io *io) noexcept nogil:
    return take_all(&io.returned) if load_pointer(&io.returned) != NULL else NULL


cdef cc_call *handed_settle(cc_io *io, cc_handed *handed) noexcept nogil:
    cdef cc_call *call = call_named(io, handed.index, handed.generation)
    cdef cc_call *admitted = NULL
    if handed.piece:
        if call != NULL:
            feed(call, handed)
        handed_free(handed)
        return NULL
    if call != NULL:
        call.handed = NULL
        if handed.code != 0:
            end_as(call, handed)
        elif call.method.kind == FRONT_STREAM:
            admitted = call
        elif call.method.kind == FRONT_FED:
            call_finish(call, NULL)
        else:
            call_respond(call, handed.message, handed.message_length)
    add32(count_of(io.front, handed.method), <uint32_t>-1)
    handed_leave(handed)
    return admitted


cdef void feed(cc_call *call, const cc_handed *piece) noexcept nogil:
    call.handed.carried += piece.message_length + FED_MESSAGE
    if not call_say(call, piece.message, piece.message_length):
        handed_gone(call)


cdef void end_as(cc_call *call, cc_handed *handed) noexcept nogil:
    """The words are the call's from now on."""
    cdef cc_status *status = <cc_status *>calloc(1, sizeof(cc_status))
    if status == NULL:
        call_refuse(call, call.io.front.failed)
        return
    status.code = handed.code
    status.message, status.message_length = <char *>handed.metadata, handed.metadata_length
    status.details, status.details_length = <char *>handed.details, handed.details_length
    handed.metadata = handed.details = NULL
    call_finish(call, status)
