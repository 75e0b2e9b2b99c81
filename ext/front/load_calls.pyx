"""Calls of a load: purchases no server has seen, written as protobuf, and answers counted.

Every purchase has the next key of a terminal, an account and an amount of the draws.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcmp, memcpy, strlen

from ext.atomics cimport load32, monotonic_ns
from ext.front.load_frames cimport frames_ask
from ext.front.load_parts cimport (
    FRAME, HEAD, LOAD_BATCH, LOAD_STREAM, LOAD_UNARY, MESSAGE_MAX, SEQ_MAX, cc_keys,
)
from ext.front.nghttp2 cimport (
    NGHTTP2_DATA_FLAG_EOF, NGHTTP2_ERR_DEFERRED, NGHTTP2_NV_FLAG_NONE, nghttp2_data_provider,
    nghttp2_data_source, nghttp2_frame, nghttp2_nv, nghttp2_session,
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback,
    nghttp2_session_callbacks_set_on_header_callback,
    nghttp2_session_callbacks_set_on_stream_close_callback,
    nghttp2_session_get_stream_user_data, nghttp2_session_resume_data, nghttp2_submit_request,
)
from ext.histogram cimport hist_add
from ext.wire_writer cimport close_message, open_message, put_bytes, put_signed, put_unsigned

cdef enum:
    NAME = 16                # bytes of a terminal's name


# ---- purchases ----

cdef inline uint8_t *put_terminal(cc_load *load, uint32_t terminal, uint8_t *p) noexcept nogil:
    """terminal_id and batch_no."""
    cdef const uint8_t *name = load.names + NAME * <size_t>terminal
    cdef size_t length = 0
    while length < NAME and name[length] != 0:
        length += 1
    return put_unsigned(put_bytes(p, 1, name, length), 2, load.batch_no[terminal])


cdef inline cc_keys *keys_of(cc_client *client) noexcept nogil:
    return &client.own if client.load.own else &client.load.shared


cdef inline uint32_t seq_of(const cc_load *load, const cc_keys *keys) noexcept nogil:
    """No terminal_seq is what the decoder refuses last of all."""
    return 0 if load.echo else keys.seq


cdef inline void next_key(cc_load *load, cc_keys *keys) noexcept nogil:
    load.drawn += 1
    keys.seq += 1
    if keys.seq > SEQ_MAX and not load.own:
        keys.terminal, keys.seq = keys.terminal + 1, 1


cdef uint8_t *put_purchase(cc_client *client, uint8_t *p) noexcept nogil:
    """AuthorizeRequest with the next key."""
    cdef cc_load *load = client.load
    cdef cc_keys *keys = keys_of(client)
    cdef uint32_t account = load.account[load.drawn % load.draws]
    cdef uint8_t token[4]
    cdef uint8_t *medium
    memcpy(token, &account, 4)
    p = put_unsigned(put_terminal(load, keys.terminal, p), 3, seq_of(load, keys))
    medium = open_message(p, 4)
    p = put_bytes(put_unsigned(medium, 1, 1), 2, token, 4)
    p = put_signed(close_message(medium, p), 5, load.amount[load.drawn % load.draws])
    next_key(load, keys)
    return p


cdef uint8_t *put_item(cc_load *load, cc_keys *keys, uint8_t *p) noexcept nogil:
    cdef uint32_t account = load.account[load.drawn % load.draws]
    cdef uint8_t token[4]
    cdef uint8_t *item = open_message(p, 3)
    memcpy(token, &account, 4)
    p = put_unsigned(put_unsigned(item, 1, seq_of(load, keys)), 2, 1)
    p = close_message(item, put_signed(
        put_bytes(p, 3, token, 4), 4, load.amount[load.drawn % load.draws]))
    next_key(load, keys)
    return p


cdef uint8_t *put_batch(cc_client *client, uint8_t *p) noexcept nogil:
    """AuthorizeBatchRequest: a batch is of one terminal, so it does not begin near its end."""
    cdef cc_load *load = client.load
    cdef cc_keys *keys = keys_of(client)
    cdef uint32_t _
    if keys.seq + load.items > SEQ_MAX and not load.own:
        keys.terminal, keys.seq = keys.terminal + 1, 1
    p = put_terminal(load, keys.terminal, p)
    for _ in range(load.items):
        p = put_item(load, keys, p)
    return p


cdef void put_request(cc_caller *c) noexcept nogil:
    """Behind what the caller has not sent yet."""
    cdef cc_load *load = c.client.load
    cdef uint8_t *start = c.body + c.length
    cdef uint8_t *p = start + FRAME
    cdef uint8_t *message
    cdef size_t length
    if load.kind == LOAD_BATCH:
        p = put_batch(c.client, p)
    elif load.kind == LOAD_STREAM:
        message = open_message(p, 1)
        p = close_message(message, put_purchase(c.client, message))
    else:
        p = put_purchase(c.client, p)
    length = <size_t>(p - start) - FRAME
    start[0] = 0
    start[1], start[2] = <uint8_t>(length >> 24), <uint8_t>(length >> 16)
    start[3], start[4] = <uint8_t>(length >> 8), <uint8_t>length
    c.length += FRAME + length
    if load.gap_ns == NULL:
        c.began[c.asked % load.in_flight] = monotonic_ns()
    elif load.kind == LOAD_STREAM:
        c.owed -= 1          # its time was written when it was due
    else:
        c.began[0] = c.due_ns
    c.asked += 1
    load.asked += 1


# ---- what comes back ----

cdef bint may_ask(const cc_load *load) noexcept nogil:
    return load.asked < load.count and load32(&load.stop) == 0


cdef void mark(cc_client *client) noexcept nogil:
    if not client.dirty:
        client.dirty = True
        client.next_dirty = client.load.dirty
        client.load.dirty = client


cdef void set_free(cc_caller *c) noexcept nogil:
    cdef cc_load *load = c.client.load
    c.next = NULL
    if load.free_first == NULL:
        load.free_first = c
    else:
        load.free_last.next = c
    load.free_last = c


cdef void answered(cc_caller *c) noexcept nogil:
    cdef cc_load *load = c.client.load
    hist_add(load.took, monotonic_ns() - c.began[c.answered % load.in_flight])
    c.answered += 1
    load.answered += 1


cdef uint32_t approved_in(const uint8_t *head) noexcept nogil:
    """decision { outcome: APPROVED ... at the beginning of an answer. Refusals are longer."""
    return head[0] == 0x0A and head[1] < 0x80 and head[2] == 0x08 and head[3] == 1


cdef void wake(cc_caller *c) noexcept nogil:
    """A stream that had nothing to say may have now."""
    if c.idle:
        c.idle = False
        nghttp2_session_resume_data(c.client.session, c.stream)


cdef void take_data(cc_caller *c, const uint8_t *data, size_t length) noexcept nogil:
    """Of each message only the head is looked at."""
    cdef cc_load *load = c.client.load
    cdef size_t at = 0
    cdef uint32_t size, step
    while at < length:
        if c.skip != 0:
            step = <uint32_t>min(<size_t>c.skip, length - at)
            c.skip -= step
            at += step
            continue
        c.head[c.head_length] = data[at]
        c.head_length += 1
        at += 1
        if c.head_length < FRAME + HEAD:
            continue
        size = <uint32_t>c.head[2] << 16 | <uint32_t>c.head[3] << 8 | c.head[4]
        c.skip, c.head_length = size - HEAD, 0
        if load.kind == LOAD_BATCH:
            load.approved += load.items
        else:
            load.approved += approved_in(c.head + FRAME)
        if load.kind == LOAD_STREAM:
            answered(c)
    if load.kind == LOAD_STREAM:
        wake(c)


cdef void take_end(cc_caller *c) noexcept nogil:
    """A call is over: its caller asks again, or waits for something to ask."""
    cdef cc_load *load = c.client.load
    load.streams -= 1
    if not c.well:
        load.failed += 1
    if load.kind != LOAD_STREAM:
        answered(c)
        if load.gap_ns != NULL:
            set_free(c)
        elif may_ask(load):
            submit(c)


cdef int on_data(
    nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t length,
    void *user_data,
) noexcept nogil:
    cdef cc_caller *c = <cc_caller *>nghttp2_session_get_stream_user_data(session, stream_id)
    if c != NULL:
        take_data(c, data, length)
    return 0


cdef int on_header(
    nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t namelen,
    const uint8_t *value, size_t valuelen, uint8_t flags, void *user_data,
) noexcept nogil:
    cdef cc_caller *c = <cc_caller *>nghttp2_session_get_stream_user_data(
        session, frame.hd.stream_id)
    if c != NULL and namelen == 11 and memcmp(name, b"grpc-status", 11) == 0:
        c.well = valuelen == 1 and value[0] == b"0"
    return 0


cdef int on_close(
    nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data,
) noexcept nogil:
    cdef cc_caller *c = <cc_caller *>nghttp2_session_get_stream_user_data(session, stream_id)
    if c != NULL:
        take_end(c)
    return 0


cdef void set_callbacks(cc_load *load, nghttp2_session_callbacks *callbacks) noexcept nogil:
    load.on_data, load.on_end = take_data, take_end
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data)
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header)
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close)


# ---- calls ----

cdef inline bint has_due(const cc_caller *c) noexcept nogil:
    cdef const cc_load *load = c.client.load
    if load.gap_ns != NULL:
        return c.owed != 0
    return c.asked - c.answered < load.in_flight and may_ask(load)


cdef inline bint is_over(const cc_load *load) noexcept nogil:
    """A stream of this run will say nothing more."""
    return load32(&load.stop) != 0 or load.asked >= load.count


cdef long read_body(
    nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
    uint32_t *data_flags, nghttp2_data_source *source, void *user_data,
) noexcept nogil:
    cdef cc_caller *c = <cc_caller *>source.ptr
    cdef cc_load *load = c.client.load
    cdef size_t n
    if c.sent == c.length and load.kind == LOAD_STREAM:
        c.sent = c.length = 0
        while has_due(c) and c.length + MESSAGE_MAX <= c.room:
            put_request(c)
    n = min(length, c.length - c.sent)
    memcpy(buf, c.body + c.sent, n)
    c.sent += n
    if c.sent == c.length and (load.kind != LOAD_STREAM or (is_over(load) and c.owed == 0)):
        data_flags[0] |= NGHTTP2_DATA_FLAG_EOF
    elif n == 0:
        c.idle = True
        return NGHTTP2_ERR_DEFERRED
    return <long>n


cdef inline void header(
    nghttp2_nv *nv, const char *name, size_t n, const char *value, size_t m,
) noexcept nogil:
    nv.name, nv.namelen, nv.value, nv.valuelen = <uint8_t *>name, n, <uint8_t *>value, m
    nv.flags = NGHTTP2_NV_FLAG_NONE


cdef const char *path_of(int kind) noexcept nogil:
    if kind == LOAD_UNARY:
        return b"/campuscard.v1.TerminalService/Authorize"
    if kind == LOAD_BATCH:
        return b"/campuscard.v1.TerminalService/AuthorizeBatch"
    return b"/campuscard.v1.TerminalService/AuthorizeStream"


cdef inline void submit_frames(cc_caller *c) noexcept nogil:
    cdef cc_client *client = c.client
    client.frames.stream = client.frames.stream + 2 if client.frames.stream != 0 else 1
    c.stream = client.frames.stream
    if not frames_ask(client, c.stream, c.body, c.length):
        client.shut = True


cdef void submit(cc_caller *c) noexcept nogil:
    cdef cc_load *load = c.client.load
    cdef const char *path = path_of(load.kind)
    cdef nghttp2_nv nv[6]
    cdef nghttp2_data_provider provider
    c.length = c.sent = 0
    c.head_length = c.skip = 0
    c.well = c.idle = False
    if load.kind != LOAD_STREAM:
        put_request(c)
    load.streams += 1
    if c.client.session == NULL:
        submit_frames(c)
        return
    provider.source.ptr, provider.read_callback = c, read_body
    header(&nv[0], b":method", 7, b"POST", 4)
    header(&nv[1], b":scheme", 7, b"http", 4)
    header(&nv[2], b":path", 5, path, strlen(path))
    header(&nv[3], b":authority", 10, load.authority, load.authority_length)
    header(&nv[4], b"te", 2, b"trailers", 8)
    header(&nv[5], b"content-type", 12, b"application/grpc", 16)
    c.stream = nghttp2_submit_request(c.client.session, NULL, nv, 6, &provider, c)
