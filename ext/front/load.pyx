"""A load on a front end: clients on nghttp2 in one thread, without Python per call.

Closed: who was answered asks again at once. Open: calls come at times fixed beforehand, and their
latency counts from these, however late they could be sent. Callers are in load.pyi.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.unistd cimport close

from ext.atomics cimport load32, monotonic_ns, store32
from ext.front.load_calls cimport mark, may_ask, path_of, set_callbacks, set_free, submit
from ext.front.load_frames cimport FRAMES_ROOM, frames_came, frames_close, frames_open
from ext.front.load_parts cimport (
    HALF, LOAD_BATCH, LOAD_STREAM, LOAD_UNARY, MESSAGE_MAX, REST, SEQ_MAX, cc_caller, cc_client,
    cc_load, exact_timers, load_tls_connect, load_tls_free, load_tls_open, load_wait,
)
from ext.front.net cimport (
    CC_NET_AGAIN, EPOLLIN, EPOLLOUT, epoll_event, net_recv, net_send, poll_add,
    poll_change, poll_new,
)
from ext.front.nghttp2 cimport (
    NGHTTP2_FLAG_NONE, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
    nghttp2_session_callbacks, nghttp2_session_callbacks_del, nghttp2_session_callbacks_new,
    nghttp2_session_client_new2, nghttp2_session_del, nghttp2_session_mem_recv,
    nghttp2_session_mem_send, nghttp2_session_resume_data, nghttp2_session_set_local_window_size,
    nghttp2_settings_entry, nghttp2_submit_settings,
)
from ext.front.tls cimport tls_close, tls_feed, tls_recv, tls_send
from ext.histogram cimport Histogram

UNARY, BATCH, STREAM = LOAD_UNARY, LOAD_BATCH, LOAD_STREAM

cdef enum:
    EVENTS = 256
    INBOX = 262144
    CHUNK = 16640
    WINDOW = 16777216
    ROOM = 512               # purchases written ahead of a stream
    HANDSHAKE_MS = 10000
    WAIT_NS = 10000000000    # without anything happening: something is lost
    LOOK_NS = 100000000      # how soon `stop` is seen
    LOST = -2
    GONE = -1


# ---- a connection ----

cdef inline long client_send(cc_client *client) noexcept nogil:
    cdef const uint8_t *at = client.rest + client.rest_sent
    cdef size_t n = client.rest_length - client.rest_sent
    if client.ssl != NULL:
        return tls_send(client.ssl, at, n)
    return net_send(client.fd, at, n)


cdef bint flush(cc_client *client) noexcept nogil:
    """Send; False: the connection is gone."""
    cdef const uint8_t *at
    cdef size_t filled
    cdef long n
    while True:
        if client.rest_sent < client.rest_length:
            n = client_send(client)
            if n == CC_NET_AGAIN:
                client.blocked = True
                poll_change(client.load.poll, client.fd, EPOLLIN | EPOLLOUT, client)
                return True
            if n < 0:
                return False
            client.rest_sent += <size_t>n
            if client.blocked:
                client.blocked = False
                poll_change(client.load.poll, client.fd, EPOLLIN, client)
            continue
        client.rest_length = client.rest_sent = 0
        if client.session == NULL:
            return not client.shut
        filled = 0
        while filled + CHUNK <= REST:
            n = nghttp2_session_mem_send(client.session, &at)
            if n <= 0:
                break
            memcpy(client.rest + filled, at, <size_t>n)
            filled += <size_t>n
        client.rest_length = filled
        if filled == 0:
            return True


cdef bint flush_all(cc_load *load) noexcept nogil:
    cdef cc_client *client
    while load.dirty != NULL:
        client = load.dirty
        load.dirty, client.dirty = client.next_dirty, False
        if not flush(client):
            return False
    return True


cdef bint take_in(cc_client *client, uint8_t *at, long got) noexcept nogil:
    if client.session == NULL:
        return frames_came(client, at, <size_t>got)
    return nghttp2_session_mem_recv(client.session, at, <size_t>got) >= 0


cdef bint receive(cc_client *client) noexcept nogil:
    """Take what has come; False: the connection is gone."""
    cdef uint8_t *inbox = client.load.inbox + HALF
    cdef long got = net_recv(
        client.fd, client.load.sealed if client.ssl != NULL else inbox, INBOX)
    mark(client)
    if got < 0:
        return got == CC_NET_AGAIN
    if client.ssl == NULL:
        return take_in(client, inbox, got)
    tls_feed(client.ssl, client.load.sealed, <size_t>got)
    while True:
        got = tls_recv(client.ssl, inbox, INBOX)
        if got < 0:
            return got == CC_NET_AGAIN
        if not take_in(client, inbox, got):
            return False


# ---- arrivals ----

cdef cc_caller *stream_with_room(cc_load *load) noexcept nogil:
    """The next stream in turn that can take one purchase more; NULL: none can."""
    cdef cc_caller *c
    cdef uint32_t _
    for _ in range(load.connections):
        c = load.client[load.turn].caller
        load.turn = (load.turn + 1) % load.connections
        if c.asked + c.owed - c.answered < load.in_flight:
            return c
    return NULL


cdef bint arrive(cc_load *load) noexcept nogil:
    """One call that is due, to whoever is free; False: it has to wait, and its latency grows."""
    cdef cc_caller *c
    if load.kind == LOAD_STREAM:
        c = stream_with_room(load)
        if c == NULL:
            return False
        c.began[(c.asked + c.owed) % load.in_flight] = load.due_ns
        c.owed += 1
        if c.idle:
            c.idle = False
            nghttp2_session_resume_data(c.client.session, c.stream)
    else:
        c = load.free_first
        if c == NULL:
            return False
        load.free_first = c.next
        c.due_ns = load.due_ns
        submit(c)
    mark(c.client)
    load.due_ns += load.gap_ns[load.arrived % load.gaps]
    load.arrived += 1
    return True


cdef int64_t arrivals(cc_load *load) noexcept nogil:
    """All that are due; nanoseconds until the next, or until something must have happened."""
    cdef int64_t now
    if load.gap_ns == NULL:
        return WAIT_NS
    now = monotonic_ns()
    while load.arrived < load.count and load32(&load.stop) == 0:
        if load.due_ns > now:
            return min(load.due_ns - now, <int64_t>WAIT_NS)
        if not arrive(load):
            break
    return WAIT_NS


# ---- a run ----

cdef void begin(cc_load *load) noexcept nogil:
    """Streams open; callers of a closed loop ask, those of an open one wait for arrivals."""
    cdef cc_caller *c
    cdef uint32_t i, j
    for j in range(load.callers):
        for i in range(load.connections):
            c = &load.client[i].caller[j]
            c.asked = c.answered = c.owed = 0
            if load.kind != LOAD_STREAM and load.gap_ns != NULL:
                set_free(c)
            elif load.kind == LOAD_STREAM or may_ask(load):
                submit(c)
            mark(&load.client[i])


cdef void end_streams(cc_load *load) noexcept nogil:
    """Those that wait for more to say are told that there is nothing."""
    cdef cc_caller *c
    cdef uint32_t i
    for i in range(load.connections if load.kind == LOAD_STREAM else 0):
        c = load.client[i].caller
        if c.idle:
            c.idle = False
            nghttp2_session_resume_data(load.client[i].session, c.stream)
            mark(&load.client[i])


cdef inline bint is_going(const cc_load *load) noexcept nogil:
    return load.streams != 0 or (load.gap_ns != NULL and load.arrived < load.count
                                 and load32(&load.stop) == 0)


cdef int load_run(cc_load *load) noexcept nogil:
    """0 all is answered, GONE a connection is, LOST nothing happened for too long."""
    cdef epoll_event event[EVENTS]
    cdef int64_t left, heard = monotonic_ns()
    cdef bint ending = False
    cdef int n, k
    load.due_ns = heard + load.gap_ns[0] if load.gap_ns != NULL else 0
    begin(load)
    while True:
        left = arrivals(load)
        if not ending and (load.asked >= load.count or load32(&load.stop) != 0):
            ending = True
            end_streams(load)
        if not flush_all(load):
            return GONE
        if not is_going(load):
            return 0
        n = load_wait(load.poll, event, EVENTS, min(left, <int64_t>LOOK_NS))
        if n > 0 or load.asked == load.answered:
            heard = monotonic_ns()
        elif monotonic_ns() - heard > WAIT_NS:
            return LOST
        for k in range(n):
            if not receive(<cc_client *>event[k].data.ptr):
                return GONE


# ---- for Python ----

cdef class Load:
    """Clients of one shape against one front end; see load.pyi."""

    cdef cc_load load
    cdef nghttp2_session_callbacks *callbacks
    cdef void *tls
    cdef object sockets, kept, names, batch_no

    def __cinit__(self, list sockets not None, str authority, int kind, *, uint32_t in_flight=1,
                  uint32_t items=1, bint own=False, bint echo=False, str ca="", list pem=None):
        cdef uint32_t i
        if not sockets or kind not in (UNARY, BATCH, STREAM) or in_flight < 1 or items < 1:
            raise ValueError("no sockets, no such kind, or nothing in flight")
        if kind == LOAD_UNARY and in_flight * (FRAMES_ROOM + MESSAGE_MAX) > REST // 2:
            raise ValueError("more in flight than a connection has room for")
        self.sockets, self.kept = sockets, authority.encode("ascii")
        self.load.kind, self.load.connections = kind, <uint32_t>len(sockets)
        self.load.items, self.load.own, self.load.echo = items, own, echo
        self.load.callers = 1 if kind == LOAD_STREAM else in_flight
        self.load.in_flight = in_flight if kind == LOAD_STREAM else 1
        self.load.authority = <const char *>(<bytes>self.kept)
        self.load.authority_length = len(self.kept)
        self.load.poll = poll_new()
        self.load.inbox = <uint8_t *>malloc(HALF + INBOX)
        self.load.sealed = <uint8_t *>malloc(INBOX)
        self.load.client = <cc_client *>calloc(len(sockets), sizeof(cc_client))
        if (self.load.poll < 0 or self.load.inbox == NULL or self.load.sealed == NULL
                or self.load.client == NULL):
            raise MemoryError
        if nghttp2_session_callbacks_new(&self.callbacks) != 0:
            raise MemoryError
        set_callbacks(&self.load, self.callbacks)
        if ca:
            self.tls = load_tls_open(<bytes>ca.encode())
            if self.tls == NULL:
                raise ConnectionError("no CA certificate can be read")
        for i in range(self.load.connections):
            self.open(&self.load.client[i], sockets[i].fileno())
            if ca and pem is not None:
                self.shake_hands(&self.load.client[i], pem[i].encode())

    cdef int open(self, cc_client *client, int fd) except -1:
        cdef nghttp2_settings_entry iv[1]
        cdef size_t room = max(
            <size_t>(MESSAGE_MAX * (self.load.items + 1)), <size_t>(MESSAGE_MAX * ROOM))
        cdef uint32_t i
        client.load, client.fd = &self.load, fd
        client.rest = <uint8_t *>malloc(REST)
        client.caller = <cc_caller *>calloc(self.load.callers, sizeof(cc_caller))
        if client.rest == NULL or client.caller == NULL:
            raise MemoryError
        for i in range(self.load.callers):
            client.caller[i].client, client.caller[i].room = client, room
            client.caller[i].body = <uint8_t *>malloc(room)
            client.caller[i].began = <int64_t *>calloc(self.load.in_flight, sizeof(int64_t))
            if client.caller[i].body == NULL or client.caller[i].began == NULL:
                raise MemoryError
        poll_add(self.load.poll, fd, EPOLLIN, client)
        if self.load.kind == LOAD_UNARY:
            frames_open(client, path_of(LOAD_UNARY), WINDOW)
            return 0
        if nghttp2_session_client_new2(&client.session, self.callbacks, client, NULL) != 0:
            raise MemoryError
        iv[0].settings_id, iv[0].value = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW
        nghttp2_submit_settings(client.session, NGHTTP2_FLAG_NONE, iv, 1)
        nghttp2_session_set_local_window_size(client.session, NGHTTP2_FLAG_NONE, 0, WINDOW)
        return 0

    cdef int shake_hands(self, cc_client *client, bytes pem) except -1:
        cdef const char *path = pem
        with nogil:
            client.ssl = load_tls_connect(self.tls, client.fd, path, HANDSHAKE_MS)
        if client.ssl == NULL:
            raise ConnectionError(f"no handshake with {pem.decode()}")
        return 0

    def __dealloc__(self):
        cdef cc_client *client
        cdef uint32_t i, j
        for i in range(self.load.connections if self.load.client != NULL else 0):
            client = &self.load.client[i]
            for j in range(self.load.callers if client.caller != NULL else 0):
                free(client.caller[j].body)
                free(client.caller[j].began)
            nghttp2_session_del(client.session)
            frames_close(client.frames)
            load_tls_free(client.ssl)
            free(client.caller)
            free(client.rest)
        free(self.load.client)
        free(self.load.inbox)
        free(self.load.sealed)
        nghttp2_session_callbacks_del(self.callbacks)
        if self.tls != NULL:
            tls_close(self.tls)
        if self.load.poll >= 0:
            close(self.load.poll)

    def sign_in(self, bytes names not None, const uint32_t[::1] batch_no not None):
        """Take terminals' keys; see load.pyi."""
        cdef uint32_t i
        if len(names) != 16 * len(batch_no) or (
                self.load.own and len(batch_no) != self.load.connections):
            raise ValueError("16 bytes of name for each batch, a batch for each own connection")
        self.names, self.batch_no = names, batch_no
        self.load.names, self.load.batch_no = names, &batch_no[0]
        self.load.terminals = <uint32_t>len(batch_no)
        self.load.shared.terminal, self.load.shared.seq = 0, 1
        for i in range(self.load.connections):
            self.load.client[i].own.terminal, self.load.client[i].own.seq = i, 1

    cdef uint64_t keys_left(self) except? 0:
        cdef uint64_t left = SEQ_MAX
        cdef uint32_t i
        if not self.load.own:
            left = self.load.terminals - self.load.shared.terminal
            return left * (SEQ_MAX - self.load.items)
        for i in range(self.load.connections):
            left = min(left, <uint64_t>(SEQ_MAX + 1 - self.load.client[i].own.seq))
        return left * self.load.connections

    def run(self, uint64_t count, const uint32_t[::1] accounts not None,
            const uint32_t[::1] amounts not None, *, uint64_t drawn=0,
            const uint32_t[::1] gaps_ns=None):
        """Make so many calls; see load.pyi."""
        cdef Histogram took = Histogram()
        cdef cc_load *load = &self.load
        cdef int64_t began
        cdef int rc
        if not 0 < len(accounts) == len(amounts):
            raise ValueError("as many accounts as amounts")
        if count < 1 or count * load.items > self.keys_left():
            raise ValueError("more purchases than the terminals have keys")
        load.account, load.amount = &accounts[0], &amounts[0]
        load.draws, load.drawn = <uint64_t>len(accounts), drawn
        load.gap_ns, load.gaps = NULL, 0
        if gaps_ns is not None and len(gaps_ns) != 0:
            load.gap_ns, load.gaps = &gaps_ns[0], <uint64_t>len(gaps_ns)
        load.count, load.took = count, took.h
        load.asked = load.answered = load.approved = load.failed = load.arrived = 0
        load.free_first = load.free_last = NULL
        began = monotonic_ns()
        with nogil:
            exact_timers()
            rc = load_run(load)
        store32(&load.stop, 0)
        if rc != 0:
            what = "a connection ended" if rc == GONE else "no answer for ten seconds"
            raise ConnectionError(
                f"{what}: {load.asked} asked, {load.answered} answered, {load.streams} calls open")
        return monotonic_ns() - began, took, load.answered, load.approved, load.failed

    def stop(self):
        """End a run of another thread; see load.pyi."""
        store32(&self.load.stop, 1)
