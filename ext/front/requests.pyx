"""Requests: each message from its connection's bytes straight into the engine's queue."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove

from ext.atomics cimport load32, monotonic_ns
from ext.commands cimport (
    CC_OP_NONE, CC_PIN_MAX, CC_ST_DRAINING, CC_ST_OVERLOADED, cc_command,
)
from ext.digest cimport wipe
from ext.front.handover cimport call_hand
from ext.front.nghttp2 cimport (
    NGHTTP2_FLAG_NONE, NGHTTP2_NO_ERROR, nghttp2_session_consume_stream, nghttp2_submit_rst_stream,
)
from ext.front.parts cimport (
    CALL_ASKED, CALL_ASKING, DISCARD_MAX, FRONT_BATCH, FRONT_FED, FRONT_PASSED, FRONT_PATHS,
    FRONT_STREAM, cc_call, cc_conn, cc_front, cc_io, cc_method, cc_slot,
)
from ext.front.pools cimport buffer_add, call_take, slot_pop, slot_take
from ext.front.rates cimport rate_take
from ext.front.responses cimport (
    batch_arrived, call_refuse, call_refuse_for, call_refuse_http, conn_mark, count_reason,
    stream_answers,
)
from ext.front.statuses cimport status_of_field, status_of_size
from ext.reasons cimport (
    CC_R_FIELD_INVALID, CC_R_INTERNAL, CC_R_QUEUE_FULL, CC_R_RATE_LIMITED, CC_R_REQUEST_MALFORMED,
    CC_R_UNIMPLEMENTED,
)
from ext.ring cimport RING_FULL, ring_hand_over, ring_place, ring_reserve, ticks_of
from ext.shared cimport cc_shared, deadline_of
from ext.wire_batch cimport cc_wire_batch, wire_batch_next, wire_batch_open
from ext.wire_decode cimport cc_wire_error, wire_decode, wire_decode_stream
from ext.wire_encode cimport wire_status_reason, wire_status_retry_ms

cdef enum:
    FRAME = 5
    TIMEOUT_DIGITS = 8       # of grpc-timeout
    LONGEST_MS = 86400000    # a deadline further off is none
    PATH_TAIL = 8            # bytes at a path's end that its place is made of
    CLOCK_EVERY = 16         # commands between two looks at the clock


# ---- which method ----

cdef inline uint32_t place_of(const uint8_t *path, size_t length) noexcept nogil:
    cdef uint64_t tail
    memcpy(&tail, path + length - PATH_TAIL, PATH_TAIL)
    return <uint32_t>((tail * <uint64_t>0x9E3779B97F4A7C15 + length) >> 56) % FRONT_PATHS


cdef cc_method *method_of(cc_front *front, const uint8_t *path, size_t length) noexcept nogil:
    cdef uint32_t at, i
    cdef cc_method *method
    if length < PATH_TAIL:
        return NULL
    at = place_of(path, length)
    for i in range(FRONT_PATHS):
        if front.path[(at + i) % FRONT_PATHS] == 0:
            return NULL
        method = &front.method[front.path[(at + i) % FRONT_PATHS] - 1]
        if method.path_length == length and memcmp(method.path, path, length) == 0:
            return method
    return NULL


cdef int methods_index(cc_front *front) except -1:
    cdef uint32_t number, at
    cdef cc_method *method
    for number in range(front.methods):
        method = &front.method[number]
        if method.path_length < PATH_TAIL:
            raise ValueError("a path is /package.Service/Method")
        at = place_of(<const uint8_t *>method.path, method.path_length)
        while front.path[at] != 0:
            at = (at + 1) % FRONT_PATHS
        front.path[at] = <uint8_t>(number + 1)
    return 0


# ---- headers ----

cdef cc_call *call_open(cc_conn *conn, int stream) noexcept nogil:
    cdef cc_call *call = call_take(conn.io)
    if call == NULL:
        return NULL
    call.conn, call.stream, call.began_ns = conn, stream, conn.io.now_ns
    call.next = conn.calls
    if conn.calls != NULL:
        conn.calls.previous = call
    conn.calls = call
    conn.open += 1
    return call


cdef uint32_t timeout_ms(const uint8_t *value, size_t length) noexcept nogil:
    """Read grpc-timeout, `1S` or `500m`: at least 1; 0 for what is none."""
    cdef uint64_t number = 0
    cdef size_t i
    cdef uint8_t unit
    if not 2 <= length <= TIMEOUT_DIGITS + 1:
        return 0
    for i in range(length - 1):
        if not 0x30 <= value[i] <= 0x39:
            return 0
        number = number * 10 + value[i] - 0x30
    unit = value[length - 1]
    if unit == b"H":
        number *= 3600000
    elif unit == b"M":
        number *= 60000
    elif unit == b"S":
        number *= 1000
    elif unit == b"u":
        number //= 1000
    elif unit == b"n":
        number //= 1000000
    elif unit != b"m":
        return 0
    return <uint32_t>max(<uint64_t>1, number) if number < LONGEST_MS else 0


cdef inline bint named(
    const uint8_t *name, size_t length, const char *other, size_t other_length,
) noexcept nogil:
    return length == other_length and memcmp(name, other, length) == 0


cdef void keep_metadata(
    cc_call *call, const uint8_t *name, size_t name_length, const uint8_t *value,
    size_t value_length,
) noexcept nogil:
    """For Python: two lengths of two bytes, name, value."""
    cdef uint8_t head[4]
    head[0], head[1] = <uint8_t>name_length, <uint8_t>(name_length >> 8)
    head[2], head[3] = <uint8_t>value_length, <uint8_t>(value_length >> 8)
    if not (buffer_add(call, &call.metadata, head, 4)
            and buffer_add(call, &call.metadata, name, name_length)
            and buffer_add(call, &call.metadata, value, value_length)):
        call_refuse_for(call, CC_R_QUEUE_FULL, 0)


cdef void call_header(
    cc_call *call, const uint8_t *name, size_t name_length, const uint8_t *value,
    size_t value_length,
) noexcept nogil:
    cdef cc_front *front = call.io.front
    call.header_bytes += <uint32_t>(name_length + value_length + 32)
    if call.status != NULL:
        return
    if call.header_bytes > front.bounds.header_bytes:
        call_refuse(call, status_of_size(front, front.bounds.header_bytes))
    elif name[0] == b":":
        if named(name, name_length, b":path", 5):
            call.method = method_of(front, value, value_length)
        elif named(name, name_length, b":method", 7):
            call.post = named(value, value_length, b"POST", 4)
    elif named(name, name_length, b"content-type", 12):
        call.grpc = value_length >= 16 and memcmp(value, b"application/grpc", 16) == 0
    elif named(name, name_length, b"grpc-timeout", 12):
        call.deadline_ms = deadline_of(front.s, timeout_ms(value, value_length))
    elif named(name, name_length, b"grpc-encoding", 13):
        call.encoded = not named(value, value_length, b"identity", 8)
    elif name_length > 5 and memcmp(name, b"grpc-", 5) == 0 \
            or named(name, name_length, b"te", 2):
        return
    else:
        if named(name, name_length, b"authorization", 13):
            # Whom a certificate names is that terminal, whatever else it says it is.
            if call.conn.named:
                return
            call.signed_in = 1
        keep_metadata(call, name, name_length, value, value_length)


cdef void call_headers_end(cc_call *call) noexcept nogil:
    if not call.post:
        call_refuse_http(call, b"405")
    elif not call.grpc:
        call_refuse_http(call, b"415")
    elif call.method == NULL:
        call_refuse_for(call, CC_R_UNIMPLEMENTED, 0)
    elif call.status == NULL and call.signed_in and call.method.kind == FRONT_STREAM:
        call_hand(call, NULL, 0)


# ---- messages ----

cdef inline uint32_t frame_length(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[1] << 24 | <uint32_t>at[2] << 16 | <uint32_t>at[3] << 8 | at[4]


cdef bint frame_allowed(cc_call *call, const uint8_t *at) noexcept nogil:
    """A message's head: not compressed, not above the method's bound. False: refused."""
    if at[0] != 0:
        # Compressed: in a way we do not know, or in none that was named.
        call_refuse_for(call, CC_R_UNIMPLEMENTED if call.encoded else CC_R_INTERNAL, 0)
        return False
    if frame_length(at) > call.method.bytes_max:
        call_refuse(call, status_of_size(call.io.front, call.method.bytes_max))
        return False
    return True


cdef size_t discard(cc_call *call, size_t length) noexcept nogil:
    """Some clients send a refused request to its end before they read; a bound all the same."""
    if call.discarded <= DISCARD_MAX:
        call.discarded += <uint32_t>length
        return length
    if call.said:
        call.said = False
        nghttp2_submit_rst_stream(
            call.conn.session, NGHTTP2_FLAG_NONE, call.stream, NGHTTP2_NO_ERROR)
    return 0


cdef size_t call_data(cc_call *call, const uint8_t *data, size_t length) noexcept nogil:
    if call.state != CALL_ASKING or call.drained:
        return discard(call, length)
    if not buffer_add(call, &call.request, data, length):
        call_refuse_for(call, CC_R_QUEUE_FULL, 0)
        return length
    if call.method.kind == FRONT_STREAM:
        stream_take(call)
        return 0
    if call.request.length >= FRAME and call.request.length - length < FRAME:
        frame_allowed(call, call.request.at)
    if call.request.length > FRAME + call.method.bytes_max:
        call_refuse_for(call, CC_R_UNIMPLEMENTED, 0)
    return length


cdef void call_end(cc_call *call) noexcept nogil:
    cdef size_t length
    call.ended = True
    if call.state != CALL_ASKING or call.drained:
        return
    if call.method.kind == FRONT_STREAM:
        stream_take(call)
        return
    if call.request.length < FRAME or \
            call.request.length - FRAME != frame_length(call.request.at):
        # None, half of one, or two, where one was promised.
        call_refuse_for(call, CC_R_REQUEST_MALFORMED, 0)
        return
    length = call.request.length - FRAME
    call.state = CALL_ASKED
    if call.method.kind in (FRONT_PASSED, FRONT_FED) or call.signed_in:
        call_hand(call, call.request.at + FRAME, length)
    elif call.method.kind == FRONT_BATCH:
        batch_ask(call, call.request.at + FRAME, length)
    else:
        unary_ask(call, call.request.at + FRAME, length)
    wipe(call.request.at, call.request.length)


# ---- commands ----

cdef inline int closed_to(cc_call *call, uint32_t *retry_after_ms) noexcept nogil:
    """The reason why no command is taken now, 0 there is none."""
    cdef cc_front *front = call.io.front
    retry_after_ms[0] = 0
    if load32(&front.s.draining) != 0:
        retry_after_ms[0] = wire_status_retry_ms(CC_ST_DRAINING)
        return wire_status_reason(CC_OP_NONE, CC_ST_DRAINING)
    if load32(&front.refusing) != 0:
        retry_after_ms[0] = front.refusing_retry_ms
    return <int>load32(&front.refusing)


cdef inline void hand_over(cc_call *call, uint64_t reserved, uint32_t n) noexcept nogil:
    """The engine is rung once a turn of the loop: its blocks are larger, our calls fewer."""
    ring_hand_over(&call.io.front.s.ring, reserved, n)
    call.io.asked = True


cdef bint is_own(cc_call *call, const uint8_t *name, cc_wire_error *err) noexcept nogil:
    """A caller whose certificate names a terminal speaks for no other."""
    if not call.conn.named or memcmp(name, call.conn.name, 16) == 0:
        return True
    err.reason, err.item, err.parent = CC_R_FIELD_INVALID, -1, b""
    err.field, err.detail = b"terminal_id", b"the caller's own"
    return False


cdef inline void ask(cc_call *call, cc_slot *slot, cc_command *c) noexcept nogil:
    cdef cc_io *io = call.io
    if io.clock_left == 0:
        io.clock_ns, io.clock_left = monotonic_ns(), CLOCK_EVERY
    io.clock_left -= 1
    io.queued += 1
    io.parse_ns += io.clock_ns - io.now_ns
    c.token, c.deadline_ms = <uint64_t>&slot.ticket, call.deadline_ms
    c.asked = ticks_of(io.clock_ns)
    slot.asked_ns = io.now_ns


cdef inline void give_up(cc_command *c) noexcept nogil:
    """A place that was reserved and is not used. No password stays in it."""
    wipe(c.pin, CC_PIN_MAX)
    c.pin_len = 0
    c.op = CC_OP_NONE


cdef void unary_ask(cc_call *call, const uint8_t *data, size_t length) noexcept nogil:
    cdef cc_shared *s = call.io.front.s
    cdef cc_wire_error err
    cdef cc_command *c
    cdef cc_slot *slot
    cdef uint64_t reserved
    cdef uint32_t wait_ms = 0
    cdef int rc = closed_to(call, &wait_ms)
    if rc != 0:
        call_refuse_for(call, rc, wait_ms)
        return
    slot = slot_take(call)
    reserved = ring_reserve(&s.ring, 1) if slot != NULL else RING_FULL
    if reserved == RING_FULL:
        call_refuse_for(call, CC_R_QUEUE_FULL, wire_status_retry_ms(CC_ST_OVERLOADED))
        return
    c = ring_place(&s.ring, reserved, 0)
    rc = wire_decode(call.method.op, data, length, c, &err)
    if rc == 0 and c.terminal_name[0] != 0 and not is_own(call, c.terminal_name, &err):
        rc = err.reason
    if rc == 0:
        wait_ms = rate_take(call.io, c.terminal_name)
    if rc != 0 or wait_ms != 0:
        give_up(c)
    else:
        ask(call, slot, c)
        slot.ticket.kind = <unsigned short>call.method.op
        call.out = 1
    hand_over(call, reserved, 1)
    if rc != 0:
        call_refuse(call, status_of_field(call.io.front, &err))
    elif wait_ms != 0:
        call_refuse_for(call, CC_R_RATE_LIMITED, wait_ms)


cdef bint batch_slots(cc_call *call, uint32_t count) noexcept nogil:
    while call.slots < count:
        if slot_take(call) == NULL:
            while call.first != NULL:
                slot_pop(call)
            return False
    return True


cdef void batch_ask(cc_call *call, const uint8_t *data, size_t length) noexcept nogil:
    """All items as neighbours, or none. Those out of range are skipped and told."""
    cdef cc_shared *s = call.io.front.s
    cdef cc_wire_batch items
    cdef cc_wire_error err
    cdef cc_command *c
    cdef cc_slot *slot
    cdef uint64_t reserved = RING_FULL
    cdef uint32_t i, wait_ms
    cdef uint8_t name[16]
    cdef int rc = closed_to(call, &wait_ms)
    if rc != 0:
        call_refuse_for(call, rc, wait_ms)
        return
    if wire_batch_open(&items, data, length, &err) != 0:
        call_refuse(call, status_of_field(call.io.front, &err))
        return
    for i in range(16):
        name[i] = items.head.terminal[i] if i < items.head.terminal_len else 0
    if not is_own(call, name, &err):
        call_refuse(call, status_of_field(call.io.front, &err))
        return
    wait_ms = rate_take(call.io, name)
    if wait_ms != 0:
        call_refuse_for(call, CC_R_RATE_LIMITED, wait_ms)
        return
    if batch_slots(call, items.count):
        reserved = ring_reserve(&s.ring, items.count)
    if reserved == RING_FULL:
        call_refuse_for(call, CC_R_QUEUE_FULL, wire_status_retry_ms(CC_ST_OVERLOADED))
        return
    slot = call.first
    for i in range(items.count):
        c = ring_place(&s.ring, reserved, i)
        rc = wire_batch_next(&items, c, &err)
        slot.terminal_seq = c.terminal_seq
        if rc == 1:
            ask(call, slot, c)
            call.out += 1
        else:
            give_up(c)
            slot.reason = err.reason
            count_reason(call, err.reason)
        slot = slot.next
    hand_over(call, reserved, items.count)
    if call.out == 0:
        batch_arrived(call)


cdef int stream_ask(cc_call *call, const uint8_t *data, size_t length) noexcept nogil:
    """Queue one message of a stream, or put its refusal in its place; -1: no place is left."""
    cdef cc_shared *s = call.io.front.s
    cdef cc_slot *slot = slot_take(call)
    cdef cc_command spare
    cdef cc_command *c = &spare
    cdef cc_wire_error err
    cdef uint64_t reserved = RING_FULL
    cdef uint32_t wait_ms
    cdef int closed = closed_to(call, &wait_ms), rc
    if slot == NULL:
        return -1
    if closed == 0:
        reserved = ring_reserve(&s.ring, 1)
    if reserved != RING_FULL:
        c = ring_place(&s.ring, reserved, 0)
    rc = wire_decode_stream(data, length, c, &err)
    slot.terminal_seq = c.terminal_seq
    if rc == 0 and not is_own(call, c.terminal_name, &err):
        rc = err.reason
    if rc == 0 and closed != 0:
        rc, slot.retry_after_ms = closed, wait_ms
    elif rc == 0 and reserved == RING_FULL:
        rc, slot.retry_after_ms = CC_R_QUEUE_FULL, wire_status_retry_ms(CC_ST_OVERLOADED)
    elif rc == 0:
        slot.retry_after_ms = rate_take(call.io, c.terminal_name)
        rc = CC_R_RATE_LIMITED if slot.retry_after_ms != 0 else 0
    if rc != 0:
        give_up(c)
        slot.reason, slot.ready = rc, True
        count_reason(call, rc)
    else:
        ask(call, slot, c)
        call.out += 1
        call.conn.out += 1
    if reserved != RING_FULL:
        hand_over(call, reserved, 1)
    return 0


cdef inline bint may_ask(const cc_call *call) noexcept nogil:
    """Each stream may always ask one; all of a connection leave room in a turn for others'."""
    return call.slots == 0 or (
        call.slots < call.io.front.bounds.stream_in_flight
        and call.conn.out < call.io.front.bounds.connection_in_flight)


cdef void stream_take(cc_call *call) noexcept nogil:
    """What is taken widens the peer's window again: so it sends no more than we take."""
    cdef const uint8_t *at
    cdef size_t left, size, taken = 0
    if call.conn == NULL or call.drained or call.handed != NULL or call.state != CALL_ASKING:
        return
    while may_ask(call):
        left = call.request.length - taken
        if left < FRAME:
            break
        at = call.request.at + taken
        if not frame_allowed(call, at):
            return
        size = FRAME + frame_length(at)
        if left < size:
            break
        if stream_ask(call, at + FRAME, size - FRAME) != 0:
            if call.slots == 0:
                call_refuse_for(
                    call, CC_R_QUEUE_FULL, wire_status_retry_ms(CC_ST_OVERLOADED))
                return
            break
        wipe(<void *>at, size)
        taken += size
    left = call.request.length - taken
    if taken != 0:
        memmove(call.request.at, call.request.at + taken, left)
        call.request.length = left
        nghttp2_session_consume_stream(call.conn.session, call.stream, taken)
        conn_mark(call.conn)
    if call.ended and left == 0:
        call.drained = True
    elif call.ended and not whole(call):
        call_refuse_for(call, CC_R_REQUEST_MALFORMED, 0)
    stream_answers(call)


cdef inline bint whole(cc_call *call) noexcept nogil:
    """A message stands in the buffer from head to end."""
    return (
        call.request.length >= FRAME
        and call.request.length - FRAME >= frame_length(call.request.at)
    )
