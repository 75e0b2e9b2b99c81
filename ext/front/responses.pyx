"""Answers of calls: framed messages into a call's buffer, headers and trailers to HTTP/2."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, strlen

from ext.commands cimport CC_OP_GET_TRANSACTION, CC_ST_OK, cc_reply
from ext.front.nghttp2 cimport (
    NGHTTP2_CANCEL, NGHTTP2_FLAG_NONE, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NV_FLAG_NO_COPY_NAME,
    NGHTTP2_NV_FLAG_NO_COPY_VALUE, nghttp2_data_provider, nghttp2_nv, nghttp2_session_resume_data,
    nghttp2_submit_response, nghttp2_submit_rst_stream, nghttp2_submit_trailer,
)
from ext.front.parts cimport (
    CALL_ANSWERED, FRONT_BATCH, FRONT_METHODS_MAX, FRONT_STREAM, cc_call, cc_conn, cc_slot,
    cc_status,
)
from ext.front.pools cimport buffer_free, buffer_room, call_give_back, slot_pop
from ext.front.statuses cimport status_forget, status_of
from ext.reasons cimport CC_R_INTERNAL, CC_R_QUEUE_FULL
from ext.tables cimport cc_tables
from ext.wire_batch cimport WIRE_RESULT_MAX, wire_put_result, wire_put_undecided
from ext.wire_encode cimport (
    WIRE_RESPONSE_MAX, wire_encode, wire_encode_stream, wire_encode_stream_error,
    wire_encode_transaction, wire_status_reason, wire_status_retry_ms,
)

cdef enum:
    FRAME = 5                # a flag and four bytes of length before each message
    BACKLOG = 65536          # bytes of a stream's answers that wait for a slow reader
    DEADLINE_EXCEEDED = 4    # of gRPC
    NV_FIXED = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE


cdef inline void put_header(
    nghttp2_nv *nv, const char *name, size_t name_length, const char *value, size_t value_length,
) noexcept nogil:
    """Every name and value here lives longer than the session's queue: statuses are kept."""
    nv.name, nv.namelen = <uint8_t *>name, name_length
    nv.value, nv.valuelen = <uint8_t *>value, value_length
    nv.flags = NV_FIXED


cdef void conn_mark(cc_conn *conn) noexcept nogil:
    if not conn.dirty:
        conn.dirty = True
        conn.next_dirty = conn.io.dirty
        conn.io.dirty = conn


# ---- headers and trailers ----


cdef const char *CODES[17]
CODES[:] = [
    b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9", b"10", b"11", b"12", b"13", b"14",
    b"15", b"16",
]


cdef size_t put_status(nghttp2_nv *nv, const cc_status *status) noexcept nogil:
    """Write the two or three headers of a call's end; NULL is well."""
    cdef uint32_t code = 0 if status == NULL else min(status.code, <uint32_t>16)
    put_header(nv, b"grpc-status", 11, CODES[code], strlen(CODES[code]))
    if status == NULL:
        return 1
    put_header(nv + 1, b"grpc-message", 12, status.message, status.message_length)
    if status.details_length == 0:
        return 2
    put_header(
        nv + 2, b"grpc-status-details-bin", 23, status.details, status.details_length)
    return 3


cdef void count_end(cc_call *call) noexcept nogil:
    cdef uint32_t number = FRONT_METHODS_MAX
    cdef uint32_t code = 0 if call.status == NULL else min(call.status.code, <uint32_t>16)
    if call.method != NULL:
        number = <uint32_t>(call.method - call.io.front.method)
    call.io.count[number][code] += 1
    if call.status != NULL:
        count_reason(call, call.status.reason)


cdef void call_begin(cc_call *call) noexcept nogil:
    """Send the headers and let HTTP/2 ask for the rest, or tell it that there is more."""
    cdef nghttp2_nv nv[2]
    cdef nghttp2_data_provider provider
    if call.begun:
        if call.deferred:
            call.deferred = False
            nghttp2_session_resume_data(call.conn.session, call.stream)
        conn_mark(call.conn)
        return
    call.begun = True
    provider.source.ptr = call
    provider.read_callback = call.io.front.read
    put_header(&nv[0], b":status", 7, b"200", 3)
    put_header(&nv[1], b"content-type", 12, b"application/grpc", 16)
    if nghttp2_submit_response(call.conn.session, call.stream, nv, 2, &provider) != 0:
        nghttp2_submit_rst_stream(
            call.conn.session, NGHTTP2_FLAG_NONE, call.stream, NGHTTP2_INTERNAL_ERROR)
    conn_mark(call.conn)


cdef void call_trailers(cc_call *call) noexcept nogil:
    cdef nghttp2_nv nv[3]
    cdef size_t n = put_status(nv, call.status)
    nghttp2_submit_trailer(call.conn.session, call.stream, nv, n)
    count_end(call)


cdef void refuse_at_once(cc_call *call) noexcept nogil:
    """Headers and trailers in one, as nothing stands between them."""
    cdef nghttp2_nv nv[6]
    cdef size_t n
    put_header(&nv[0], b":status", 7, b"200", 3)
    put_header(&nv[1], b"content-type", 12, b"application/grpc", 16)
    n = 2 + put_status(&nv[2], call.status)
    if call.encoded:
        put_header(&nv[n], b"grpc-accept-encoding", 20, b"identity", 8)
        n += 1
    call.begun = call.over = True
    nghttp2_submit_response(call.conn.session, call.stream, nv, n, NULL)
    count_end(call)
    conn_mark(call.conn)


cdef void call_refuse(cc_call *call, const cc_status *status) noexcept nogil:
    if call.conn == NULL or call.state == CALL_ANSWERED or call.status != NULL:
        return
    call.status, call.drained = status, True
    buffer_free(call, &call.request)
    if call.method != NULL and call.method.kind == FRONT_STREAM and call.slots != 0:
        stream_answers(call)
        return
    call.state = CALL_ANSWERED
    if call.begun:
        call.over = True
        call_begin(call)
    else:
        refuse_at_once(call)


cdef void call_refuse_for(cc_call *call, int reason, uint32_t retry_after_ms) noexcept nogil:
    if call.conn != NULL:
        call_refuse(call, status_of(call.io.front, reason, retry_after_ms))


cdef void call_finish(cc_call *call, cc_status *own) noexcept nogil:
    if call.conn == NULL or call.state == CALL_ANSWERED:
        if own != NULL:
            status_forget(own)
        return
    call.status = call.own = own
    call.state, call.drained = CALL_ANSWERED, True
    if own != NULL and not call.begun:
        refuse_at_once(call)
    elif (own != NULL and own.code == DEADLINE_EXCEEDED
            and call.answer.read != call.answer.length):
        # Who has not taken in time what was said will not wait for the end either.
        nghttp2_submit_rst_stream(
            call.conn.session, NGHTTP2_FLAG_NONE, call.stream, NGHTTP2_CANCEL)
        count_end(call)
        conn_mark(call.conn)
    else:
        call.over = True
        call_begin(call)


cdef void call_refuse_http(cc_call *call, const char *status) noexcept nogil:
    cdef nghttp2_nv nv[1]
    if call.conn == NULL or call.state == CALL_ANSWERED:
        return
    call.state = CALL_ANSWERED
    call.begun = call.over = call.drained = True
    put_header(&nv[0], b":status", 7, status, 3)
    nghttp2_submit_response(call.conn.session, call.stream, nv, 1, NULL)
    conn_mark(call.conn)


# ---- messages ----

cdef inline void put_frame(uint8_t *at, size_t length) noexcept nogil:
    at[0] = 0
    at[1], at[2] = <uint8_t>(length >> 24), <uint8_t>(length >> 16)
    at[3], at[4] = <uint8_t>(length >> 8), <uint8_t>length


cdef bint call_say(cc_call *call, const uint8_t *message, size_t length) noexcept nogil:
    cdef uint8_t *at
    if call.conn == NULL or call.state == CALL_ANSWERED:
        return False
    if call.answer.read == call.answer.length:
        call.answer.read = call.answer.length = 0
    at = buffer_room(call, &call.answer, FRAME + length)
    if at == NULL:
        # The decision stands; who asks again under the same key is told.
        call_refuse_for(call, CC_R_QUEUE_FULL, 0)
        return False
    put_frame(at, length)
    memcpy(at + FRAME, message, length)
    call.answer.length += FRAME + length
    call_begin(call)
    return True


cdef void call_respond(cc_call *call, const uint8_t *message, size_t length) noexcept nogil:
    if call_say(call, message, length):
        call.state, call.over = CALL_ANSWERED, True


cdef size_t encode(cc_call *call, const cc_reply *reply, uint8_t *to) noexcept nogil:
    cdef const cc_tables *t = &call.io.front.s.tables
    cdef const uint8_t *name = NULL
    if call.method.op == CC_OP_GET_TRANSACTION:
        if reply.record.terminal != 0:
            name = t.terminal[reply.record.terminal].name
        return wire_encode_transaction(reply, name, to, WIRE_RESPONSE_MAX)
    return wire_encode(call.method.op, reply, to, WIRE_RESPONSE_MAX)


cdef void unary_arrived(cc_call *call, cc_slot *slot) noexcept nogil:
    """Encoded where it is sent from, so that its length is known last."""
    cdef const cc_reply *reply = &slot.ticket.reply
    cdef uint8_t *at
    cdef size_t length
    if reply.status != CC_ST_OK:
        call_refuse_for(
            call, wire_status_reason(reply.op, reply.status), wire_status_retry_ms(reply.status))
        return
    at = buffer_room(call, &call.answer, FRAME + WIRE_RESPONSE_MAX)
    length = encode(call, reply, at + FRAME) if at != NULL else 0
    if at == NULL or length == 0:
        call_refuse_for(call, CC_R_QUEUE_FULL if at == NULL else CC_R_INTERNAL, 0)
        return
    put_frame(at, length)
    call.answer.length += FRAME + length
    call.state, call.over = CALL_ANSWERED, True
    slot_pop(call)
    call_begin(call)


cdef void batch_arrived(cc_call *call) noexcept nogil:
    """All items are decided: their results in request order."""
    cdef uint8_t *start = buffer_room(
        call, &call.answer, FRAME + <size_t>call.slots * WIRE_RESULT_MAX)
    cdef uint8_t *at = start + FRAME
    if start == NULL:
        call_refuse_for(call, CC_R_QUEUE_FULL, 0)
        return
    while call.first != NULL:
        if call.first.reason != 0:
            at = wire_put_undecided(at, call.first.terminal_seq, call.first.reason)
        else:
            at = wire_put_result(at, call.first.terminal_seq, &call.first.ticket.reply)
        slot_pop(call)
    put_frame(start, <size_t>(at - start) - FRAME)
    call.answer.length += <size_t>(at - start)
    call.state, call.over = CALL_ANSWERED, True
    call_begin(call)


cdef bint stream_answer(cc_call *call, cc_slot *slot) noexcept nogil:
    cdef uint8_t *at = buffer_room(call, &call.answer, FRAME + WIRE_RESPONSE_MAX)
    cdef size_t length
    if at == NULL:
        return False
    if slot.reason != 0:
        length = wire_encode_stream_error(
            slot.reason, slot.retry_after_ms, slot.terminal_seq, at + FRAME, WIRE_RESPONSE_MAX)
    else:
        length = wire_encode_stream(
            &slot.ticket.reply, slot.terminal_seq, at + FRAME, WIRE_RESPONSE_MAX)
    put_frame(at, length)
    call.answer.length += FRAME + length
    return True


cdef void stream_answers(cc_call *call) noexcept nogil:
    cdef bint some = False
    if call.answer.read != 0 and call.answer.read == call.answer.length:
        call.answer.read = call.answer.length = 0
    while call.first != NULL and call.first.ready \
            and call.answer.length < BACKLOG - FRAME - WIRE_RESPONSE_MAX:
        if not stream_answer(call, call.first):
            if call.answer.length == 0:
                # Nothing will be sent that could make room: its decisions stand, the call ends.
                nghttp2_submit_rst_stream(
                    call.conn.session, NGHTTP2_FLAG_NONE, call.stream, NGHTTP2_INTERNAL_ERROR)
                conn_mark(call.conn)
            break
        slot_pop(call)
        some = True
    if call.drained and call.first == NULL and not call.over:
        call.over = some = True
        call.state = CALL_ANSWERED
    if some:
        call_begin(call)


cdef void slot_arrived(cc_slot *slot) noexcept nogil:
    cdef cc_call *call = slot.call
    slot.ready = True
    call.out -= 1
    if call.conn == NULL:
        if call.out == 0:
            call_give_back(call)
        return
    if call.method.kind == FRONT_STREAM:
        call.conn.out -= 1
        if slot == call.first:
            stream_answers(call)
    elif call.method.kind == FRONT_BATCH:
        if call.out == 0:
            batch_arrived(call)
    else:
        unary_arrived(call, slot)


cdef void call_gone(cc_call *call) noexcept nogil:
    """A decision under way stands. Its places are kept until the engine lets go of them."""
    cdef cc_conn *conn = call.conn
    if call.previous != NULL:
        call.previous.next = call.next
    else:
        conn.calls = call.next
    if call.next != NULL:
        call.next.previous = call.previous
    call.next = call.previous = NULL
    conn.open -= 1
    if call.method != NULL and call.method.kind == FRONT_STREAM:
        conn.out -= call.out
    if conn.open == 0:
        conn.idle_ns = conn.io.now_ns
    buffer_free(call, &call.request)
    buffer_free(call, &call.answer)
    buffer_free(call, &call.metadata)
    if call.own != NULL:
        status_forget(call.own)
        call.status = call.own = NULL
    call.conn = NULL
    if call.out == 0:
        call_give_back(call)
