"""One thread: sockets, answers, sends, and once in a while a look at every connection's time."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from ext.atomics cimport (
    bell_ring, cpu_pause, load32, load_pointer, monotonic_ns, prefetch, store32, swap32,
)
from ext.feed cimport cc_ticket, feed_list, feed_reset
from ext.front.handover cimport handed_collect, handed_settle
from ext.front.net cimport (
    EPOLLERR, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP,
    epoll_event, epoll_wait, net_accept, poll_add, poll_drop,
)
from ext.front.nghttp2 cimport (
    NGHTTP2_CANCEL, NGHTTP2_FLAG_NONE, NGHTTP2_NO_ERROR, nghttp2_submit_ping,
    nghttp2_submit_rst_stream,
)
from ext.front.parts cimport (
    CALL_ASKING, CONN_STAYS, CONN_WARNED, FRONT_STREAM, cc_bounds_of_front, cc_call, cc_conn,
    cc_handed, cc_io, cc_slot,
)
from ext.front.requests cimport stream_take
from ext.front.responses cimport conn_mark, slot_arrived
from ext.front.session cimport (
    conn_close, conn_flush, conn_go, conn_leave, conn_open, conn_read,
)
from posix.unistd cimport close

cdef enum:
    EVENTS = 256
    LINE = 64
    SESSION_LINES = 46       # of nghttp2's
    MANY = 64                # connections whose sessions are more than the cache keeps
    ACCEPTS = 64             # of one turn
    A_MS = 1000000
    WARNING_MS = 1000        # until a peer that does not answer has heard that it must leave
    SWEEP_NS = 250000000     # between two looks at every connection
    SWEEPS_A_SECOND = 4
    SPIN_LOOKS = 64          # at answers, between two at sockets


# ---- what has happened ----

cdef void accept_some(cc_io *io) noexcept nogil:
    cdef int _, fd
    for _ in range(ACCEPTS):
        fd = net_accept(io.front.listening)
        if fd < 0:
            return
        if io.connected >= io.front.bounds.connections_max:
            io.refused += 1
            close(fd)
        else:
            conn_open(io, fd)


cdef inline void look_ahead(const cc_io *io, const cc_conn *conn) noexcept nogil:
    """Ask the memory for a session: of hundreds, each has left the cache by its turn."""
    cdef int i
    if io.connected >= MANY:
        for i in range(SESSION_LINES):
            prefetch(<const char *>conn.session + LINE * i)


cdef inline bint is_connection(const cc_io *io, const epoll_event *event) noexcept nogil:
    return event.data.ptr != &io.front.listening and event.data.ptr != &io.feed


cdef void socket_events(cc_io *io, epoll_event *event, int n) noexcept nogil:
    cdef cc_conn *conn
    cdef int i
    for i in range(n):
        if i + 2 < n:
            prefetch(event[i + 2].data.ptr)
        if i + 1 < n and is_connection(io, &event[i + 1]):
            look_ahead(io, <const cc_conn *>event[i + 1].data.ptr)
        if event[i].data.ptr == &io.front.listening:
            accept_some(io)
            continue
        if event[i].data.ptr == &io.feed:
            feed_reset(&io.feed)
            continue
        conn = <cc_conn *>event[i].data.ptr
        if event[i].events & EPOLLOUT:
            conn_mark(conn)
        if event[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            if conn.blocked:
                conn.broken = event[i].events & (EPOLLHUP | EPOLLERR) != 0
                conn_mark(conn)
            else:
                conn_read(conn)


cdef void answers(cc_io *io) noexcept nogil:
    cdef cc_ticket *ticket
    cdef cc_ticket *next
    cdef cc_call *call
    cdef int64_t together = 0
    if load_pointer(&io.feed.released) != NULL:
        ticket = next = feed_list(&io.feed)
        while next != NULL:
            prefetch((<cc_slot *>next).call)
            next = next.next
        while ticket != NULL:
            next = ticket.next
            if next != NULL and (<cc_slot *>next).call.conn != NULL:
                look_ahead(io, (<cc_slot *>next).call.conn)
            call = (<cc_slot *>ticket).call
            io.decided += 1
            io.engine_ns += io.now_ns - (<cc_slot *>ticket).asked_ns
            together += 1      # the last of a block knows when all were released
            if ticket.released_ns != 0:
                io.back_ns += together * (io.now_ns - ticket.released_ns)
                ticket.released_ns = together = 0
            slot_arrived(<cc_slot *>ticket)
            if call.conn != NULL and call.method.kind == FRONT_STREAM:
                stream_take(call)
            ticket = next
    passed_back(io)


cdef void passed_back(cc_io *io) noexcept nogil:
    cdef cc_handed *handed = handed_collect(io)
    cdef cc_handed *next
    cdef cc_call *call
    while handed != NULL:
        next = handed.next
        call = handed_settle(io, handed)
        if call != NULL:
            stream_take(call)
        handed = next


cdef void flush(cc_io *io) noexcept nogil:
    """The only place where connections end, so that nothing else holds one that has."""
    cdef cc_conn *conn
    while io.dirty != NULL:
        conn = io.dirty
        io.dirty = conn.next_dirty
        if io.dirty != NULL:
            look_ahead(io, io.dirty)
        # Sending may find more to send.
        conn.dirty = False
        if not conn_flush(conn):
            if conn.dirty:
                unmark(conn)
            conn_close(conn)


cdef void unmark(cc_conn *conn) noexcept nogil:
    cdef cc_conn **at = &conn.io.dirty
    while at[0] != conn:
        at = &at[0].next_dirty
    at[0] = conn.next_dirty


# ---- time ----

cdef inline bint past(int64_t now_ns, int64_t since_ns, uint32_t most_ms) noexcept nogil:
    return most_ms != 0 and now_ns - since_ns > <int64_t>most_ms * A_MS


cdef void slow_requests(cc_conn *conn) noexcept nogil:
    """A request must come in time; a stream's messages may come whenever they like."""
    cdef cc_call *call = conn.calls
    while call != NULL:
        if (call.state == CALL_ASKING and not call.ended
                and (call.method == NULL or call.method.kind != FRONT_STREAM)
                and past(conn.io.now_ns, call.began_ns, conn.io.front.bounds.handshake_ms)):
            nghttp2_submit_rst_stream(
                conn.session, NGHTTP2_FLAG_NONE, call.stream, NGHTTP2_CANCEL)
            conn_mark(conn)
        elif call.said and past(conn.io.now_ns, call.began_ns, conn.io.front.bounds.handshake_ms):
            call.said = False
            nghttp2_submit_rst_stream(
                conn.session, NGHTTP2_FLAG_NONE, call.stream, NGHTTP2_NO_ERROR)
            conn_mark(conn)
        call = call.next


cdef void look_at(cc_conn *conn) noexcept nogil:
    cdef const cc_bounds_of_front *b = &conn.io.front.bounds
    cdef int64_t now = conn.io.now_ns
    conn.frames = min(conn.frames + b.frames_rate // SWEEPS_A_SECOND, b.frames_burst)
    if conn.open != 0:
        slow_requests(conn)
    if not conn.greeted and past(now, conn.began_ns, b.handshake_ms):
        conn.broken = True
    elif conn.leaving != CONN_STAYS:
        conn.broken = past(now, conn.leaving_ns, b.grace_ms)
        if conn.leaving == CONN_WARNED and past(now, conn.leaving_ns, WARNING_MS):
            conn_go(conn)
    elif (load32(&conn.io.front.leaving) != 0 or past(now, conn.began_ns, conn.age_ms)
            or (conn.open == 0 and past(now, conn.idle_ns, b.idle_ms))):
        conn_leave(conn)
    elif conn.pinged and past(now, conn.heard_ns, 2 * b.keepalive_ms):
        conn.broken = True
    elif not conn.pinged and past(now, conn.heard_ns, b.keepalive_ms):
        conn.pinged = True
        nghttp2_submit_ping(conn.session, NGHTTP2_FLAG_NONE, NULL)
        conn_mark(conn)
    if conn.broken:
        conn_mark(conn)


cdef void sweep(cc_io *io) noexcept nogil:
    cdef cc_conn *conn = io.connections
    io.swept_ns = io.now_ns
    if load32(&io.front.leaving) != 0 and io.accepting:
        io.accepting = False
        poll_drop(io.poll, io.front.listening)
    while conn != NULL:
        look_at(conn)
        if load32(&io.front.stop) != 0:
            conn.broken = True
            conn_mark(conn)
        conn = conn.next


# ---- the loop ----

cdef inline bint something_back(cc_io *io) noexcept nogil:
    return load_pointer(&io.feed.released) != NULL or load_pointer(&io.returned) != NULL


cdef int spin(cc_io *io, epoll_event *event) noexcept nogil:
    """Look again for a while instead of sleeping, as long as an answer is awaited."""
    cdef int64_t end
    cdef int n, _
    if io.front.bounds.spin_us == 0 or io.slots == 0:
        return 0
    end = monotonic_ns() + <int64_t>io.front.bounds.spin_us * 1000
    while monotonic_ns() < end:
        for _ in range(SPIN_LOOKS):
            if something_back(io):
                return 0
            cpu_pause()
        n = epoll_wait(io.poll, event, EVENTS, 0)
        if n != 0:
            return n
    return 0


cdef int wait(cc_io *io, epoll_event *event) noexcept nogil:
    """Sleep until a socket, an answer, or the next sweep. Nothing is missed: see feed_wake."""
    cdef int n = 0
    cdef int64_t left = io.swept_ns + SWEEP_NS - monotonic_ns()
    if something_back(io) or left <= 0:
        return epoll_wait(io.poll, event, EVENTS, 0)
    n = spin(io, event)
    if n != 0 or something_back(io):
        return n
    swap32(&io.feed.asleep, 1)
    if not something_back(io):
        io.sleeps += 1
        n = epoll_wait(io.poll, event, EVENTS, <int>(left // A_MS) + 1)
    store32(&io.feed.asleep, 0)
    return n


cdef inline void ring_engine(cc_io *io) noexcept nogil:
    if io.asked:
        io.asked = False
        bell_ring(&io.front.s.ring.bell)


cdef inline int64_t lap(int64_t *took_ns, int64_t began_ns) noexcept nogil:
    """Add what a part of the turn took; returns now."""
    cdef int64_t now_ns = monotonic_ns()
    took_ns[0] += now_ns - began_ns
    return now_ns


cdef void io_run(cc_io *io) noexcept nogil:
    cdef epoll_event event[EVENTS]
    cdef int n
    cdef int64_t began
    cdef uint64_t decided
    io.now_ns = io.swept_ns = monotonic_ns()
    poll_add(io.poll, io.feed.eventfd, EPOLLIN, &io.feed)
    io.accepting = poll_add(
        io.poll, io.front.listening, EPOLLIN | EPOLLEXCLUSIVE, &io.front.listening) == 0
    while load32(&io.front.stop) == 0 or io.connections != NULL or io.slots != 0:
        n = wait(io, event)
        io.now_ns = began = monotonic_ns()
        io.clock_left, io.back_ns, decided = 0, 0, io.decided
        if n > 0:
            socket_events(io, event, n)
            began = lap(&io.read_ns, began)
        io.clock_left = 0
        answers(io)
        ring_engine(io)
        began = lap(&io.answer_ns, began)
        if io.now_ns - io.swept_ns >= SWEEP_NS or load32(&io.front.stop) != 0:
            sweep(io)
        flush(io)
        began = lap(&io.send_ns, began)
        io.reply_ns += io.back_ns + <int64_t>(io.decided - decided) * (began - io.now_ns)
        ring_engine(io)     # a reader that took answers made room for more of its stream
    store32(&io.finished, 1)
