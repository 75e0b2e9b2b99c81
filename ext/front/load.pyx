"""A load of purchases on a front end: a client on nghttp2 in one thread, without Python per call.

Every purchase is one no server has seen: the next key of a terminal, an account and an amount of
the draws. For benchmarks; callers are in load.pyi.
"""

from array import array

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy
from posix.unistd cimport close

from ext.atomics cimport monotonic_ns
from ext.front.net cimport (
    CC_NET_AGAIN, CC_NET_GONE, EPOLLIN, EPOLLOUT, epoll_event, epoll_wait, net_recv,
    net_send,
    poll_add, poll_change, poll_new,
)
from ext.front.nghttp2 cimport (
    NGHTTP2_DATA_FLAG_EOF, NGHTTP2_ERR_DEFERRED, NGHTTP2_FLAG_NONE, NGHTTP2_NV_FLAG_NONE,
    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, nghttp2_data_provider, nghttp2_data_source,
    nghttp2_frame, nghttp2_nv, nghttp2_session, nghttp2_session_callbacks,
    nghttp2_session_callbacks_del, nghttp2_session_callbacks_new,
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback,
    nghttp2_session_callbacks_set_on_header_callback,
    nghttp2_session_callbacks_set_on_stream_close_callback, nghttp2_session_client_new2,
    nghttp2_session_del, nghttp2_session_get_stream_user_data, nghttp2_session_mem_recv,
    nghttp2_session_mem_send, nghttp2_session_resume_data, nghttp2_session_set_local_window_size,
    nghttp2_settings_entry, nghttp2_submit_request, nghttp2_submit_settings,
)
from ext.wire_writer cimport close_message, open_message, put_bytes, put_signed, put_unsigned

UNARY, BATCH, STREAM = 1, 2, 3

cdef enum:
    LOAD_UNARY = 1
    LOAD_BATCH = 2
    LOAD_STREAM = 3
    EVENTS = 256
    INBOX = 262144
    OUTBOX = 262144
    CHUNK = 16640
    WINDOW = 16777216
    FRAME = 5
    MESSAGE_MAX = 96         # bytes of a purchase, at most
    HEAD = 4                 # of an answer: where its outcome stands
    SEQ_MAX = 65535
    WAIT_MS = 10000          # without anything happening: something is lost

ctypedef struct cc_caller:   # one call in flight, or one stream
    cc_client *client
    int64_t *began           # of each purchase or call in flight, round
    uint64_t asked, answered
    uint8_t *body            # bytes to send
    size_t length, sent, room
    uint8_t head[FRAME + HEAD]
    uint32_t head_length, skip
    bint well, idle
    int32_t stream

ctypedef struct cc_client:
    cc_load *load
    nghttp2_session *session
    int fd
    uint8_t *rest            # what the socket did not take
    size_t rest_length, rest_sent
    cc_caller *caller

ctypedef struct cc_load:
    int kind
    uint32_t connections, callers, in_flight, items
    uint64_t count, asked, answered, approved, failed    # calls; of a stream: purchases
    const uint8_t *names     # of terminals, 16 bytes each
    const uint32_t *batch_no
    uint32_t terminals
    uint32_t terminal, seq   # the next key
    const uint32_t *account
    const uint32_t *amount
    uint64_t draws, drawn
    uint32_t *took_ns
    uint64_t took
    const char *authority
    size_t authority_length
    cc_client *client
    uint8_t *inbox
    int poll


# ---- purchases ----

cdef uint8_t *put_purchase(cc_load *load, uint8_t *p) noexcept nogil:
    """AuthorizeRequest with the next key."""
    cdef const uint8_t *name = load.names + 16 * <size_t>load.terminal
    cdef uint32_t account = load.account[load.drawn % load.draws]
    cdef uint8_t token[4]
    cdef uint8_t *medium
    cdef size_t length = 0
    while length < 16 and name[length] != 0:
        length += 1
    memcpy(token, &account, 4)
    p = put_bytes(p, 1, name, length)
    p = put_unsigned(p, 2, load.batch_no[load.terminal])
    p = put_unsigned(p, 3, load.seq)
    medium = open_message(p, 4)
    p = put_bytes(put_unsigned(medium, 1, 1), 2, token, 4)
    p = put_signed(close_message(medium, p), 5, load.amount[load.drawn % load.draws])
    next_key(load)
    return p


cdef uint8_t *put_item(cc_load *load, uint8_t *p) noexcept nogil:
    cdef uint32_t account = load.account[load.drawn % load.draws]
    cdef uint8_t token[4]
    cdef uint8_t *item = open_message(p, 3)
    memcpy(token, &account, 4)
    p = put_unsigned(put_unsigned(item, 1, load.seq), 2, 1)
    p = close_message(item, put_signed(
        put_bytes(p, 3, token, 4), 4, load.amount[load.drawn % load.draws]))
    next_key(load)
    return p


cdef void next_key(cc_load *load) noexcept nogil:
    load.drawn += 1
    load.seq += 1
    if load.seq > SEQ_MAX:
        load.terminal, load.seq = load.terminal + 1, 1


cdef uint8_t *put_batch(cc_load *load, uint8_t *p) noexcept nogil:
    """AuthorizeBatchRequest: a batch is of one terminal, so it does not begin near its end."""
    cdef const uint8_t *name
    cdef size_t length = 0
    cdef uint32_t _
    if load.seq + load.items > SEQ_MAX:
        load.terminal, load.seq = load.terminal + 1, 1
    name = load.names + 16 * <size_t>load.terminal
    while length < 16 and name[length] != 0:
        length += 1
    p = put_unsigned(put_bytes(p, 1, name, length), 2, load.batch_no[load.terminal])
    for _ in range(load.items):
        p = put_item(load, p)
    return p


cdef void put_request(cc_caller *c) noexcept nogil:
    """Behind what the caller has not sent yet."""
    cdef cc_load *load = c.client.load
    cdef uint8_t *start = c.body + c.length
    cdef uint8_t *p = start + FRAME
    cdef uint8_t *message
    cdef size_t length
    if load.kind == LOAD_BATCH:
        p = put_batch(load, p)
    elif load.kind == LOAD_STREAM:
        message = open_message(p, 1)
        p = close_message(message, put_purchase(load, message))
    else:
        p = put_purchase(load, p)
    length = <size_t>(p - start) - FRAME
    start[0] = 0
    start[1], start[2] = <uint8_t>(length >> 24), <uint8_t>(length >> 16)
    start[3], start[4] = <uint8_t>(length >> 8), <uint8_t>length
    c.length += FRAME + length
    c.began[c.asked % load.in_flight] = monotonic_ns()
    c.asked += 1
    load.asked += 1


# ---- what comes back ----

cdef void answered(cc_caller *c) noexcept nogil:
    cdef cc_load *load = c.client.load
    if load.took < load.count:
        load.took_ns[load.took] = <uint32_t>min(
            monotonic_ns() - c.began[c.answered % load.in_flight], <int64_t>0xFFFFFFFF)
    load.took += 1
    c.answered += 1
    load.answered += 1


cdef uint32_t approved_in(const uint8_t *head) noexcept nogil:
    """decision { outcome: APPROVED ... at the beginning of an answer. Refusals are longer."""
    return head[0] == 0x0A and head[1] < 0x80 and head[2] == 0x08 and head[3] == 1


cdef int on_data(
    nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t length,
    void *user_data,
) noexcept nogil:
    """Of each message only the head is looked at."""
    cdef cc_caller *c = <cc_caller *>nghttp2_session_get_stream_user_data(session, stream_id)
    cdef cc_load *load = (<cc_client *>user_data).load
    cdef size_t at = 0
    cdef uint32_t size, step
    while c != NULL and at < length:
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
    if c != NULL and load.kind == LOAD_STREAM and c.idle:
        c.idle = False
        nghttp2_session_resume_data(session, stream_id)
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
    cdef cc_load *load = (<cc_client *>user_data).load
    if c == NULL:
        return 0
    if not c.well:
        load.failed += 1
    if load.kind != LOAD_STREAM:
        answered(c)
        if load.asked < load.count:
            submit(c)
    return 0


cdef long read_body(
    nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
    uint32_t *data_flags, nghttp2_data_source *source, void *user_data,
) noexcept nogil:
    cdef cc_caller *c = <cc_caller *>source.ptr
    cdef cc_load *load = c.client.load
    cdef size_t n
    if c.sent == c.length and load.kind == LOAD_STREAM:
        c.sent = c.length = 0
        while (c.asked - c.answered < load.in_flight and load.asked < load.count
                and c.length + MESSAGE_MAX <= c.room):
            put_request(c)
    n = min(length, c.length - c.sent)
    memcpy(buf, c.body + c.sent, n)
    c.sent += n
    if c.sent == c.length and (load.kind != LOAD_STREAM or load.asked >= load.count):
        data_flags[0] |= NGHTTP2_DATA_FLAG_EOF
    elif n == 0:
        c.idle = True
        return NGHTTP2_ERR_DEFERRED
    return <long>n


# ---- calls ----

cdef inline void header(
    nghttp2_nv *nv, const char *name, size_t n, const char *value, size_t m,
) noexcept nogil:
    nv.name, nv.namelen, nv.value, nv.valuelen = <uint8_t *>name, n, <uint8_t *>value, m
    nv.flags = NGHTTP2_NV_FLAG_NONE


cdef void submit(cc_caller *c) noexcept nogil:
    cdef cc_load *load = c.client.load
    cdef nghttp2_nv nv[6]
    cdef nghttp2_data_provider provider
    c.length = c.sent = 0
    c.head_length = c.skip = 0
    c.well = c.idle = False
    if load.kind != LOAD_STREAM:
        put_request(c)
    provider.source.ptr, provider.read_callback = c, read_body
    header(&nv[0], b":method", 7, b"POST", 4)
    header(&nv[1], b":scheme", 7, b"http", 4)
    if load.kind == LOAD_UNARY:
        header(&nv[2], b":path", 5, b"/campuscard.v1.TerminalService/Authorize", 40)
    elif load.kind == LOAD_BATCH:
        header(&nv[2], b":path", 5, b"/campuscard.v1.TerminalService/AuthorizeBatch", 45)
    else:
        header(&nv[2], b":path", 5, b"/campuscard.v1.TerminalService/AuthorizeStream", 46)
    header(&nv[3], b":authority", 10, load.authority, load.authority_length)
    header(&nv[4], b"te", 2, b"trailers", 8)
    header(&nv[5], b"content-type", 12, b"application/grpc", 16)
    c.stream = nghttp2_submit_request(c.client.session, NULL, nv, 6, &provider, c)


cdef bint flush(cc_client *client) noexcept nogil:
    """Send; False: the connection is gone."""
    cdef cc_load *load = client.load
    cdef const uint8_t *at
    cdef size_t filled = 0
    cdef long n
    while True:
        if client.rest_sent < client.rest_length:
            n = net_send(
                client.fd, client.rest + client.rest_sent, client.rest_length - client.rest_sent)
            if n < 0:
                return n == CC_NET_AGAIN
            client.rest_sent += <size_t>n
            continue
        filled = 0
        while filled + CHUNK <= OUTBOX:
            n = nghttp2_session_mem_send(client.session, &at)
            if n <= 0:
                break
            memcpy(client.rest + filled, at, <size_t>n)
            filled += <size_t>n
        client.rest_length, client.rest_sent = filled, 0
        if filled == 0:
            poll_change(load.poll, client.fd, EPOLLIN, client)
            return True


cdef int load_run(cc_load *load) noexcept nogil:
    """0 all is answered, -1 a connection is gone, -2 nothing happened for too long."""
    cdef epoll_event event[EVENTS]
    cdef cc_client *client
    cdef uint32_t i, j
    cdef int n, k
    cdef long got
    for i in range(load.connections):
        for j in range(load.callers):
            if load.asked < load.count:
                submit(&load.client[i].caller[j])
        if not flush(&load.client[i]):
            return -1
    while load.answered < load.count:
        n = epoll_wait(load.poll, event, EVENTS, WAIT_MS)
        if n == 0:
            return -2
        for k in range(n):
            client = <cc_client *>event[k].data.ptr
            got = net_recv(client.fd, load.inbox, INBOX)
            if got == CC_NET_GONE:
                return -1
            if got > 0 and nghttp2_session_mem_recv(
                    client.session, load.inbox, <size_t>got) < 0:
                return -1
            if not flush(client):
                return -1
            if client.rest_sent < client.rest_length:
                poll_change(load.poll, client.fd, EPOLLIN | EPOLLOUT, client)
    return 0


# ---- for Python ----

cdef class Load:
    """Clients of one shape against one front end; see load.pyi."""

    cdef cc_load load
    cdef nghttp2_session_callbacks *callbacks
    cdef list sockets, kept

    def __cinit__(self, list sockets not None, str authority, int kind, *, uint32_t in_flight=1,
                  uint32_t items=1):
        cdef uint32_t i
        self.sockets, self.kept = sockets, [authority.encode("ascii")]
        self.load.kind, self.load.connections = kind, <uint32_t>len(sockets)
        self.load.items = items
        self.load.callers = 1 if kind == LOAD_STREAM else in_flight
        self.load.in_flight = in_flight if kind == LOAD_STREAM else 1
        self.load.authority = <const char *>(<bytes>self.kept[0])
        self.load.authority_length = len(self.kept[0])
        self.load.poll = poll_new()
        self.load.inbox = <uint8_t *>malloc(INBOX)
        self.load.client = <cc_client *>calloc(len(sockets), sizeof(cc_client))
        if self.load.poll < 0 or self.load.inbox == NULL or self.load.client == NULL:
            raise MemoryError
        if nghttp2_session_callbacks_new(&self.callbacks) != 0:
            raise MemoryError
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(self.callbacks, on_data)
        nghttp2_session_callbacks_set_on_header_callback(self.callbacks, on_header)
        nghttp2_session_callbacks_set_on_stream_close_callback(self.callbacks, on_close)
        for i in range(self.load.connections):
            self.open(&self.load.client[i], sockets[i].fileno())

    cdef int open(self, cc_client *client, int fd) except -1:
        cdef nghttp2_settings_entry iv[1]
        cdef size_t room = max(
            <size_t>(MESSAGE_MAX * (self.load.items + 1)), <size_t>(MESSAGE_MAX * 512))
        cdef uint32_t i
        client.load, client.fd = &self.load, fd
        client.rest = <uint8_t *>malloc(OUTBOX)
        client.caller = <cc_caller *>calloc(self.load.callers, sizeof(cc_caller))
        if client.rest == NULL or client.caller == NULL:
            raise MemoryError
        for i in range(self.load.callers):
            client.caller[i].client, client.caller[i].room = client, room
            client.caller[i].body = <uint8_t *>malloc(room)
            client.caller[i].began = <int64_t *>calloc(self.load.in_flight, sizeof(int64_t))
            if client.caller[i].body == NULL or client.caller[i].began == NULL:
                raise MemoryError
        if nghttp2_session_client_new2(&client.session, self.callbacks, client, NULL) != 0:
            raise MemoryError
        iv[0].settings_id, iv[0].value = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW
        nghttp2_submit_settings(client.session, NGHTTP2_FLAG_NONE, iv, 1)
        nghttp2_session_set_local_window_size(client.session, NGHTTP2_FLAG_NONE, 0, WINDOW)
        poll_add(self.load.poll, fd, EPOLLIN, client)
        return 0

    def __dealloc__(self):
        cdef uint32_t i, j
        for i in range(self.load.connections if self.load.client != NULL else 0):
            for j in range(self.load.callers if self.load.client[i].caller != NULL else 0):
                free(self.load.client[i].caller[j].body)
                free(self.load.client[i].caller[j].began)
            nghttp2_session_del(self.load.client[i].session)
            free(self.load.client[i].caller)
            free(self.load.client[i].rest)
        free(self.load.client)
        free(self.load.inbox)
        nghttp2_session_callbacks_del(self.callbacks)
        if self.load.poll >= 0:
            close(self.load.poll)

    def run(self, uint64_t count, bytes names not None, const uint32_t[::1] batch_no,
            const uint32_t[::1] accounts, const uint32_t[::1] amounts, uint64_t drawn=0):
        """Make so many calls; see load.pyi."""
        cdef uint32_t[::1] took = array("I", bytes(4 * count))
        cdef cc_load *load = &self.load
        cdef int64_t began
        cdef int rc
        load.names, load.batch_no, load.terminals = names, &batch_no[0], <uint32_t>len(batch_no)
        if count * load.items > <uint64_t>load.terminals * (SEQ_MAX - load.items):
            raise ValueError("more purchases than the terminals have keys")
        load.account, load.amount = &accounts[0], &amounts[0]
        load.draws, load.drawn = <uint64_t>len(accounts), drawn
        load.count, load.took_ns, load.terminal, load.seq = count, &took[0], 0, 1
        load.asked = load.answered = load.approved = load.failed = load.took = 0
        began = monotonic_ns()
        with nogil:
            rc = load_run(load)
        if rc != 0:
            raise ConnectionError("a connection ended" if rc == -1 else "no answer for ten seconds")
        return monotonic_ns() - began, took.base, load.approved, load.failed
