"""nghttp2's callbacks, and moving its bytes: a bounded turn of reading, all of writing."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy
from posix.unistd cimport close

from ext.atomics cimport load_pointer
from ext.digest cimport wipe
from ext.front.handover cimport handed_gone, handed_read
from ext.front.net cimport (
    CC_NET_AGAIN, CC_NET_GONE, EPOLLIN, EPOLLOUT, EPOLLRDHUP, net_recv, net_send, poll_add,
    poll_change, poll_drop,
)
from ext.front.nghttp2 cimport (
    NGHTTP2_DATA, NGHTTP2_DATA_FLAG_EOF, NGHTTP2_DATA_FLAG_NO_END_STREAM,
    NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_ERR_DEFERRED,
    NGHTTP2_FLAG_ACK, NGHTTP2_FLAG_END_STREAM, NGHTTP2_FLAG_NONE, NGHTTP2_GOAWAY,
    NGHTTP2_HCAT_REQUEST, NGHTTP2_HEADERS,
    NGHTTP2_NO_ERROR, NGHTTP2_PING, NGHTTP2_REFUSED_STREAM, NGHTTP2_SETTINGS,
    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
    NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, nghttp2_data_source, nghttp2_frame, nghttp2_frame_hd,
    nghttp2_option_del,
    nghttp2_option_new, nghttp2_option_set_no_auto_window_update,
    nghttp2_option_set_no_closed_streams, nghttp2_session, nghttp2_session_callbacks_del,
    nghttp2_session_callbacks_new, nghttp2_session_callbacks_set_on_begin_frame_callback,
    nghttp2_session_callbacks_set_on_begin_headers_callback,
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback,
    nghttp2_session_callbacks_set_on_frame_recv_callback,
    nghttp2_session_callbacks_set_on_frame_send_callback,
    nghttp2_session_callbacks_set_on_header_callback,
    nghttp2_session_callbacks_set_on_stream_close_callback, nghttp2_session_consume_connection,
    nghttp2_session_consume_stream, nghttp2_session_del, nghttp2_session_get_last_proc_stream_id,
    nghttp2_session_get_stream_remote_close, nghttp2_session_get_stream_user_data,
    nghttp2_session_mem_recv, nghttp2_session_mem_send, nghttp2_session_server_new3,
    nghttp2_session_set_local_window_size, nghttp2_session_set_stream_user_data,
    nghttp2_session_terminate_session, nghttp2_session_want_read, nghttp2_session_want_write,
    nghttp2_settings_entry, nghttp2_submit_goaway, nghttp2_submit_ping,
    nghttp2_submit_rst_stream, nghttp2_submit_settings, nghttp2_submit_shutdown_notice,
)
from ext.front.parts cimport (
    CALL_ANSWERED, CONN_LEAVES, CONN_STAYS, CONN_WARNED, FRONT_INBOX, FRONT_OUTBOX, cc_call,
    cc_conn, cc_front, cc_io,
)
from ext.front.requests cimport (
    call_data, call_end, call_header, call_headers_end, call_open, stream_take,
)
from ext.front.responses cimport call_gone, call_trailers, conn_mark, stream_answers
from ext.front.tls cimport (
    tls_accept, tls_done, tls_end, tls_feed, tls_recv, tls_send, tls_terminal,
)

cdef enum:
    CHUNK = 16640            # bytes that nghttp2 hands out at once, at most
    WINDOW = 1048576         # bytes of all streams together that a peer may send ahead
    STREAM_WINDOW = 65535
    UNCOUNTED = 1024         # bytes that are no message, and count as a frame
    AGES = 20                # shares of an age, each a hundredth less
    FRAMES_OF_A_CALL = 8     # that a call brings along without being counted


# ---- what HTTP/2 tells ----

cdef uint8_t WARNED[8]   # of the ping behind a warning
WARNED[:] = [0x6C, 0x65, 0x61, 0x76, 0x65, 0x00, 0x00, 0x01]


cdef inline cc_call *call_of(nghttp2_session *session, int32_t stream) noexcept nogil:
    return <cc_call *>nghttp2_session_get_stream_user_data(session, stream)


cdef void spend(cc_conn *conn, uint32_t frames) noexcept nogil:
    if conn.frames < frames:
        conn_calm(conn)
    else:
        conn.frames -= frames


cdef int on_begin_frame(
    nghttp2_session *session, const nghttp2_frame_hd *hd, void *user_data,
) noexcept nogil:
    """Count what brings no call on: more of it than a client sends ends the connection."""
    cdef cc_conn *conn = <cc_conn *>user_data
    cdef cc_call *call
    if hd.type == NGHTTP2_HEADERS:
        return 0
    if hd.type == NGHTTP2_DATA and hd.length != 0:
        call = call_of(session, hd.stream_id)
        if call != NULL and call.state != CALL_ANSWERED:
            return 0
    spend(conn, 1)
    return 0


cdef int on_begin_headers(
    nghttp2_session *session, const nghttp2_frame *frame, void *user_data,
) noexcept nogil:
    cdef cc_conn *conn = <cc_conn *>user_data
    cdef cc_call *call
    if frame.hd.type != NGHTTP2_HEADERS or frame.headers.cat != NGHTTP2_HCAT_REQUEST:
        return 0
    call = call_open(conn, frame.hd.stream_id)
    if call == NULL:
        nghttp2_submit_rst_stream(
            session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_REFUSED_STREAM)
        conn.io.refused += 1
        return 0
    conn.frames = min(conn.frames + FRAMES_OF_A_CALL, conn.io.front.bounds.frames_burst)
    nghttp2_session_set_stream_user_data(session, frame.hd.stream_id, call)
    return 0


cdef int on_header(
    nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t namelen,
    const uint8_t *value, size_t valuelen, uint8_t flags, void *user_data,
) noexcept nogil:
    cdef cc_call *call
    if frame.hd.type != NGHTTP2_HEADERS or frame.headers.cat != NGHTTP2_HCAT_REQUEST:
        return 0
    call = call_of(session, frame.hd.stream_id)
    if call != NULL:
        call_header(call, name, namelen, value, valuelen)
    return 0


cdef int on_data(
    nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t length,
    void *user_data,
) noexcept nogil:
    cdef cc_call *call = call_of(session, stream_id)
    cdef size_t read = length
    if call != NULL:
        read = call_data(call, data, length)
        (<cc_conn *>user_data).taken += length
    nghttp2_session_consume_connection(session, length)
    if read != 0:
        nghttp2_session_consume_stream(session, stream_id, read)
    return 0


cdef int on_frame(
    nghttp2_session *session, const nghttp2_frame *frame, void *user_data,
) noexcept nogil:
    cdef cc_conn *conn = <cc_conn *>user_data
    cdef cc_call *call
    if frame.hd.type == NGHTTP2_SETTINGS:
        conn.greeted = True
    elif (frame.hd.type == NGHTTP2_PING and conn.leaving == CONN_WARNED
            and frame.hd.flags & NGHTTP2_FLAG_ACK
            and memcmp(frame.ping.opaque_data, WARNED, sizeof(WARNED)) == 0):
        conn_go(conn)
    if frame.hd.type != NGHTTP2_HEADERS and frame.hd.type != NGHTTP2_DATA:
        return 0
    call = call_of(session, frame.hd.stream_id)
    if call == NULL:
        return 0
    if frame.hd.type == NGHTTP2_HEADERS and frame.headers.cat == NGHTTP2_HCAT_REQUEST:
        call_headers_end(call)
    if frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
        call_end(call)
    return 0


cdef int on_sent(
    nghttp2_session *session, const nghttp2_frame *frame, void *user_data,
) noexcept nogil:
    cdef cc_call *call
    if (frame.hd.type == NGHTTP2_HEADERS and frame.hd.flags & NGHTTP2_FLAG_END_STREAM
            and nghttp2_session_get_stream_remote_close(session, frame.hd.stream_id) == 0):
        # Answered before its request had come: the peer may send the rest, for nobody.
        call = call_of(session, frame.hd.stream_id)
        if call != NULL:
            call.said, call.began_ns = True, call.io.now_ns
    elif frame.hd.type == NGHTTP2_GOAWAY and (<cc_conn *>user_data).leaving == CONN_WARNED:
        # Pings overtake what is queued. This one's answer says that the warning was heard.
        nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, WARNED)
    return 0


cdef inline void call_lost(cc_call *call) noexcept nogil:
    if call.handed != NULL:
        handed_gone(call)
    call_gone(call)


cdef int on_stream_close(
    nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data,
) noexcept nogil:
    cdef cc_call *call = call_of(session, stream_id)
    if call != NULL:
        nghttp2_session_set_stream_user_data(session, stream_id, NULL)
        call_lost(call)
    return 0


cdef long call_read(
    nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
    uint32_t *data_flags, nghttp2_data_source *source, void *user_data,
) noexcept nogil:
    """Bytes of a call's answer for its next DATA frame."""
    cdef cc_call *call = <cc_call *>source.ptr
    cdef size_t left = call.answer.length - call.answer.read
    if left == 0 and not call.over:
        stream_answers(call)
        stream_take(call)
        left = call.answer.length - call.answer.read
    if left > length:
        left = length
    if left != 0:
        memcpy(buf, call.answer.at + call.answer.read, left)
        call.answer.read += left
    if call.handed != NULL and call.answer.read == call.answer.length:
        handed_read(call)
    if call.over and call.answer.read == call.answer.length:
        data_flags[0] |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM
        call_trailers(call)
    elif left == 0:
        call.deferred = True
        return NGHTTP2_ERR_DEFERRED
    return <long>left


cdef int http2_open(cc_front *front) except -1:
    if nghttp2_session_callbacks_new(&front.callbacks) != 0:
        raise MemoryError
    nghttp2_session_callbacks_set_on_begin_frame_callback(front.callbacks, on_begin_frame)
    nghttp2_session_callbacks_set_on_begin_headers_callback(front.callbacks, on_begin_headers)
    nghttp2_session_callbacks_set_on_header_callback(front.callbacks, on_header)
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(front.callbacks, on_data)
    nghttp2_session_callbacks_set_on_frame_recv_callback(front.callbacks, on_frame)
    nghttp2_session_callbacks_set_on_frame_send_callback(front.callbacks, on_sent)
    nghttp2_session_callbacks_set_on_stream_close_callback(front.callbacks, on_stream_close)
    if nghttp2_option_new(&front.option) != 0:
        raise MemoryError
    nghttp2_option_set_no_auto_window_update(front.option, 1)
    nghttp2_option_set_no_closed_streams(front.option, 1)
    front.read = call_read
    return 0


cdef void http2_close(cc_front *front) noexcept:
    if front.callbacks != NULL:
        nghttp2_session_callbacks_del(front.callbacks)
    if front.option != NULL:
        nghttp2_option_del(front.option)
    front.callbacks, front.option = NULL, NULL


# ---- a connection's life ----

cdef bint greet(cc_conn *conn) noexcept nogil:
    cdef nghttp2_settings_entry iv[3]
    iv[0].settings_id = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
    iv[0].value = conn.io.front.bounds.streams_max
    iv[1].settings_id = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
    iv[1].value = conn.io.front.bounds.header_bytes
    iv[2].settings_id = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
    iv[2].value = STREAM_WINDOW
    return (
        nghttp2_submit_settings(conn.session, NGHTTP2_FLAG_NONE, iv, 3) == 0
        and nghttp2_session_set_local_window_size(
            conn.session, NGHTTP2_FLAG_NONE, 0, WINDOW) == 0
    )


cdef cc_conn *conn_open(cc_io *io, int fd) noexcept nogil:
    cdef cc_conn *conn = <cc_conn *>calloc(1, sizeof(cc_conn))
    if conn == NULL:
        close(fd)
        return NULL
    conn.io, conn.fd = io, fd
    conn.began_ns = conn.heard_ns = conn.idle_ns = io.now_ns
    conn.frames = io.front.bounds.frames_burst
    # Those that came together do not all leave together.
    conn.age_ms = io.front.bounds.age_ms - io.front.bounds.age_ms // 100 * <uint32_t>(fd % AGES)
    if io.front.tls != NULL:
        conn.ssl = tls_accept(load_pointer(&io.front.tls), fd)
        if conn.ssl == NULL:
            close(fd)
            free(conn)
            return NULL
    if (nghttp2_session_server_new3(
            &conn.session, io.front.callbacks, conn, io.front.option, &io.heap.mem) != 0
            or not greet(conn) or poll_add(io.poll, fd, EPOLLIN | EPOLLRDHUP, conn) != 0):
        if conn.session != NULL:
            nghttp2_session_del(conn.session)
        tls_end(conn.ssl)
        close(fd)
        free(conn)
        return NULL
    conn.next = io.connections
    if io.connections != NULL:
        io.connections.previous = conn
    io.connections = conn
    io.connected += 1
    io.accepted += 1
    if conn.ssl == NULL:
        conn_mark(conn)
    return conn


cdef void conn_close(cc_conn *conn) noexcept nogil:
    """Deleting a session does not report its streams as closed: the calls are ours to end."""
    cdef cc_io *io = conn.io
    while conn.calls != NULL:
        call_lost(conn.calls)
    nghttp2_session_del(conn.session)
    tls_end(conn.ssl)
    poll_drop(io.poll, conn.fd)
    close(conn.fd)
    free(conn.waiting)
    if conn.previous != NULL:
        conn.previous.next = conn.next
    else:
        io.connections = conn.next
    if conn.next != NULL:
        conn.next.previous = conn.previous
    io.connected -= 1
    free(conn)


cdef void conn_leave(cc_conn *conn) noexcept nogil:
    """First without a last call, so that none that is on its way is refused."""
    if conn.leaving != CONN_STAYS:
        return
    conn.leaving, conn.leaving_ns = CONN_WARNED, conn.io.now_ns
    nghttp2_submit_shutdown_notice(conn.session)
    conn_mark(conn)


cdef void conn_go(cc_conn *conn) noexcept nogil:
    """The peer has heard it, or has had its time: what it sends from now on was never begun."""
    conn.leaving = CONN_LEAVES
    nghttp2_submit_goaway(
        conn.session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(conn.session),
        NGHTTP2_NO_ERROR, NULL, 0)
    conn_mark(conn)


cdef void conn_calm(cc_conn *conn) noexcept nogil:
    if not conn.calmed:
        conn.calmed = True
        conn.io.calmed += 1
        nghttp2_session_terminate_session(conn.session, NGHTTP2_ENHANCE_YOUR_CALM)
        conn_mark(conn)


# ---- bytes ----

cdef inline long dispatch(cc_conn *conn, const uint8_t *data, size_t length) noexcept nogil:
    if conn.ssl == NULL:
        return net_send(conn.fd, data, length)
    return tls_send(conn.ssl, data, length)


cdef bint caller_known(cc_conn *conn) noexcept nogil:
    """Once the handshake is over: a certificate that names no terminal is nobody's."""
    if conn.ssl != NULL and not conn.known:
        conn.known = True
        conn.named = tls_terminal(conn.ssl, conn.name)
    return conn.named or not conn.io.front.clients_known


cdef void take_in(cc_conn *conn, long n) noexcept nogil:
    """What stands in the inbox, to nghttp2."""
    cdef cc_io *io = conn.io
    cdef long taken
    io.bytes_in += <uint64_t>n
    conn.taken = 0
    taken = nghttp2_session_mem_recv(conn.session, io.inbox, <size_t>n)
    wipe(io.inbox, <size_t>n)
    # nghttp2 drops bytes of calls that have ended without a word of it.
    if <size_t>n > conn.taken + UNCOUNTED:
        spend(conn, <uint32_t>((<size_t>n - conn.taken) // UNCOUNTED))
    if taken < 0:
        # What nghttp2 has to say of it is still sent where the socket takes it at once.
        conn.calmed = True


cdef void take_sealed(cc_conn *conn, long n) noexcept nogil:
    """All records that have come whole, and of the handshake what can be done."""
    cdef cc_io *io = conn.io
    tls_feed(conn.ssl, io.sealed, <size_t>n)
    while not conn.broken:
        n = tls_recv(conn.ssl, io.inbox, FRONT_INBOX)
        if n == CC_NET_AGAIN:
            return
        if n == CC_NET_GONE or not caller_known(conn):
            conn.broken = True
        else:
            take_in(conn, n)


cdef void conn_read(cc_conn *conn) noexcept nogil:
    cdef cc_io *io = conn.io
    cdef long n = net_recv(conn.fd, io.sealed if conn.ssl != NULL else io.inbox, FRONT_INBOX)
    if n == CC_NET_AGAIN:
        return
    conn_mark(conn)
    if n == CC_NET_GONE:
        conn.broken = True
        return
    io.reads += 1
    conn.heard_ns, conn.pinged = io.now_ns, False
    if conn.ssl != NULL:
        take_sealed(conn, n)
    elif caller_known(conn):
        take_in(conn, n)
    else:
        conn.broken = True


cdef bint keep_waiting(cc_conn *conn, const uint8_t *at, size_t length) noexcept nogil:
    """What the socket does not take is kept, and nothing is read until it has."""
    conn.waiting = <uint8_t *>malloc(length)
    if conn.waiting == NULL:
        return False
    memcpy(conn.waiting, at, length)
    conn.unsent, conn.unsent_read, conn.blocked = length, 0, True
    poll_change(conn.io.poll, conn.fd, EPOLLOUT, conn)
    return True


cdef int send_waiting(cc_conn *conn) noexcept nogil:
    """Returns 1 when all is sent, 0 when the socket is full, -1 when it is gone."""
    cdef long n
    while conn.unsent_read < conn.unsent:
        n = dispatch(conn, conn.waiting + conn.unsent_read, conn.unsent - conn.unsent_read)
        if n == CC_NET_AGAIN:
            return 0
        if n == CC_NET_GONE:
            return -1
        conn.unsent_read += <size_t>n
    free(conn.waiting)
    conn.waiting, conn.unsent, conn.unsent_read, conn.blocked = NULL, 0, 0, False
    poll_change(conn.io.poll, conn.fd, EPOLLIN | EPOLLRDHUP, conn)
    return 1


cdef long gather(cc_conn *conn) noexcept nogil:
    """Fill the thread's outbox with frames of this connection; bytes, or -1."""
    cdef cc_io *io = conn.io
    cdef const uint8_t *at
    cdef size_t filled = 0
    cdef long n
    while filled + CHUNK <= FRONT_OUTBOX:
        n = nghttp2_session_mem_send(conn.session, &at)
        if n < 0:
            return -1
        if n == 0:
            break
        memcpy(io.outbox + filled, at, <size_t>n)
        filled += <size_t>n
    return <long>filled


cdef bint conn_flush(cc_conn *conn) noexcept nogil:
    cdef cc_io *io = conn.io
    cdef long filled, n, sent
    if conn.broken:
        return False
    if conn.ssl != NULL and not tls_done(conn.ssl):
        return True
    if conn.blocked:
        sent = send_waiting(conn)
        if sent <= 0:
            return sent == 0
    while True:
        filled = gather(conn)
        if filled < 0:
            return False
        if filled == 0:
            break
        io.writes += 1
        io.bytes_out += <uint64_t>filled
        sent = 0
        while sent < filled:
            n = dispatch(conn, io.outbox + sent, <size_t>(filled - sent))
            if n == CC_NET_GONE:
                return False
            if n == CC_NET_AGAIN:
                return keep_waiting(conn, io.outbox + sent, <size_t>(filled - sent))
            sent += n
    if conn.calmed and nghttp2_session_want_write(conn.session) == 0:
        return False
    if conn.leaving == CONN_LEAVES and conn.open == 0:
        return False
    return nghttp2_session_want_read(conn.session) or nghttp2_session_want_write(conn.session)
