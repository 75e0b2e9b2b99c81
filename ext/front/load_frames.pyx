"""Writing and reading the frames of unary calls (see load_frames.pxd)."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, strlen

from ext.front.load_frames cimport FRAMES_ROOM
from ext.front.load_parts cimport REST, cc_caller, cc_client, cc_frames
from ext.front.nghttp2 cimport (
    NGHTTP2_DATA, NGHTTP2_FLAG_ACK, NGHTTP2_FLAG_END_HEADERS, NGHTTP2_FLAG_END_STREAM,
    NGHTTP2_FLAG_NONE, NGHTTP2_GOAWAY, NGHTTP2_HD_INFLATE_EMIT, NGHTTP2_HD_INFLATE_FINAL,
    NGHTTP2_HEADERS, NGHTTP2_PING, NGHTTP2_RST_STREAM, NGHTTP2_SETTINGS,
    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, NGHTTP2_WINDOW_UPDATE, nghttp2_hd_inflate_del,
    nghttp2_hd_inflate_end_headers, nghttp2_hd_inflate_hd2, nghttp2_hd_inflate_new, nghttp2_nv,
)

cdef enum:
    HEAD = 9                 # bytes of a frame's head
    PING = 8
    # of HPACK's static table: whole headers, names
    POST = 0x83
    HTTP = 0x86
    AUTHORITY = 1
    PATH = 4
    CONTENT_TYPE = 31
    INDEXED = 0x40           # a header with its value, for the table
    NEWEST = 0x80 + 62       # of the table
    WINDOW_AT_FIRST = 65535

cdef const char *HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


# ---- to the server ----

cdef inline uint8_t *put32(uint8_t *at, uint32_t value) noexcept nogil:
    at[0], at[1] = <uint8_t>(value >> 24), <uint8_t>(value >> 16)
    at[2], at[3] = <uint8_t>(value >> 8), <uint8_t>value
    return at + 4


cdef inline uint32_t get32(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef uint8_t *put_head(
    uint8_t *at, size_t length, int kind, int flags, int32_t stream,
) noexcept nogil:
    put32(at, <uint32_t>length << 8 | <uint32_t>kind)
    at[4] = <uint8_t>flags
    return put32(at + 5, <uint32_t>stream)


cdef uint8_t *put_window(uint8_t *at, uint32_t more) noexcept nogil:
    return put32(put_head(at, 4, NGHTTP2_WINDOW_UPDATE, NGHTTP2_FLAG_NONE, 0), more)


cdef uint8_t *put_text(uint8_t *at, const char *text) noexcept nogil:
    cdef size_t length = strlen(text)
    at[0] = <uint8_t>length
    memcpy(at + 1, text, length)
    return at + 1 + length


cdef int write_headers(cc_frames *f, const char *path, const char *authority) except -1:
    """The first call puts them in the table, as gRPC's clients do; then each is one byte."""
    cdef uint8_t *p = f.first
    if 5 * 2 + strlen(path) + strlen(authority) + 34 > sizeof(f.first):
        raise ValueError("an authority this long has no room")
    p[0], p[1], p[2] = POST, HTTP, INDEXED + PATH
    p = put_text(p + 3, path)
    p[0] = INDEXED + AUTHORITY
    p = put_text(p + 1, authority)
    p[0] = INDEXED
    p = put_text(put_text(p + 1, b"te"), b"trailers")
    p[0] = INDEXED + CONTENT_TYPE
    p = put_text(p + 1, b"application/grpc")
    f.first_length = <size_t>(p - &f.first[0])
    f.later[0], f.later[1] = POST, HTTP
    f.later[2], f.later[3], f.later[4], f.later[5] = NEWEST + 3, NEWEST + 2, NEWEST + 1, NEWEST
    f.later_length = 6
    return 0


cdef int frames_open(cc_client *client, const char *path, uint32_t window) except -1:
    cdef cc_frames *f = <cc_frames *>calloc(1, sizeof(cc_frames))
    cdef uint8_t *p = client.rest
    if f == NULL:
        raise MemoryError
    client.frames = f
    if nghttp2_hd_inflate_new(&f.inflater) != 0:
        raise MemoryError
    write_headers(f, path, client.load.authority)
    f.window, f.may_send = window, WINDOW_AT_FIRST
    memcpy(p, HELLO, strlen(HELLO))
    p = put_head(p + strlen(HELLO), 6, NGHTTP2_SETTINGS, NGHTTP2_FLAG_NONE, 0)
    p[0], p[1] = 0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
    p = put_window(put32(p + 2, window), window - WINDOW_AT_FIRST)
    client.rest_length = <size_t>(p - client.rest)
    return 0


cdef void frames_close(cc_frames *f) noexcept nogil:
    if f != NULL:
        nghttp2_hd_inflate_del(f.inflater)
        free(f)


cdef bint frames_ask(
    cc_client *client, int32_t stream, const uint8_t *message, size_t length,
) noexcept nogil:
    """One call behind what is not sent yet. False: the server keeps its window shut."""
    cdef cc_frames *f = client.frames
    cdef uint8_t *p = client.rest + client.rest_length
    cdef const uint8_t *block = &f.first[0]
    cdef size_t n = f.first_length
    if f.begun:
        block, n = &f.later[0], f.later_length
    if f.may_send < <int64_t>length:
        return False
    f.begun = True
    f.may_send -= <int64_t>length
    p = put_head(p, n, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, stream)
    memcpy(p, block, n)
    p = put_head(p + n, length, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, stream)
    memcpy(p, message, length)
    client.rest_length = <size_t>(p + length - client.rest)
    return True


# ---- from the server ----

cdef bint take_headers(
    cc_frames *f, cc_caller *c, const uint8_t *at, size_t length,
) noexcept nogil:
    """Of an answer's headers and trailers grpc-status counts. False: they cannot be read."""
    cdef nghttp2_nv nv
    cdef int flags = 0
    cdef long n
    while True:
        n = nghttp2_hd_inflate_hd2(f.inflater, &nv, &flags, at, length, 1)
        if n < 0:
            return False
        at += n
        length -= <size_t>n
        if (flags & NGHTTP2_HD_INFLATE_EMIT and c != NULL and nv.namelen == 11
                and memcmp(nv.name, b"grpc-status", 11) == 0):
            c.well = nv.valuelen == 1 and nv.value[0] == b"0"
        if flags & NGHTTP2_HD_INFLATE_FINAL:
            nghttp2_hd_inflate_end_headers(f.inflater)
            return True
        if flags & NGHTTP2_HD_INFLATE_EMIT == 0 and length == 0:
            return False


cdef inline cc_caller *caller_of(cc_client *client, int32_t stream) noexcept nogil:
    cdef uint32_t i
    for i in range(client.load.callers):
        if client.caller[i].stream == stream:
            return &client.caller[i]
    return NULL


cdef void acknowledge(
    cc_client *client, int kind, const uint8_t *at, size_t length,
) noexcept nogil:
    """So many at once that there is no room for them is nothing a server of ours does."""
    cdef uint8_t *p
    if client.rest_length > REST - FRAMES_ROOM or length > PING:
        client.shut = True
        return
    p = put_head(client.rest + client.rest_length, length, kind, NGHTTP2_FLAG_ACK, 0)
    memcpy(p, at, length)
    client.rest_length = <size_t>(p + length - client.rest)


cdef void give_window(cc_client *client, size_t length) noexcept nogil:
    cdef cc_frames *f = client.frames
    f.taken += <uint32_t>length
    if f.taken >= f.window // 2:
        client.rest_length = <size_t>(
            put_window(client.rest + client.rest_length, f.taken) - client.rest)
        f.taken = 0


cdef bint take_frame(
    cc_client *client, int kind, int flags, int32_t stream, const uint8_t *at, size_t length,
) noexcept nogil:
    """False: what no server of ours sends, or a connection that is left."""
    cdef cc_caller *c = caller_of(client, stream) if stream != 0 else NULL
    if kind == NGHTTP2_DATA:
        give_window(client, length)
        if c != NULL:
            client.load.on_data(c, at, length)
    elif kind == NGHTTP2_HEADERS:
        if flags & NGHTTP2_FLAG_END_HEADERS == 0 or not take_headers(
                client.frames, c, at, length):
            return False
    elif kind == NGHTTP2_RST_STREAM and c != NULL:
        c.well, flags = False, NGHTTP2_FLAG_END_STREAM
    elif kind == NGHTTP2_WINDOW_UPDATE:
        if stream == 0 and length == 4:
            client.frames.may_send += get32(at)
        return length == 4
    elif kind == NGHTTP2_SETTINGS or kind == NGHTTP2_PING:
        if flags & NGHTTP2_FLAG_ACK == 0:
            acknowledge(client, kind, at, 0 if kind == NGHTTP2_SETTINGS else length)
        return True
    else:
        return kind != NGHTTP2_GOAWAY
    if flags & NGHTTP2_FLAG_END_STREAM and c != NULL:
        c.stream = 0
        client.load.on_end(c)
    return True


cdef bint frames_came(cc_client *client, uint8_t *at, size_t length) noexcept nogil:
    """Take what has come; the bytes before `at` are free. False: the connection is over."""
    cdef cc_frames *f = client.frames
    cdef size_t size
    at -= f.half_length
    length += f.half_length
    memcpy(at, f.half, f.half_length)
    f.half_length = 0
    while length >= HEAD:
        size = get32(at) >> 8
        if length < HEAD + size:
            break
        if not take_frame(client, at[3], at[4], <int32_t>get32(at + 5), at + HEAD, size):
            return False
        at += HEAD + size
        length -= HEAD + size
    if length > sizeof(f.half):
        return False
    memcpy(f.half, at, length)
    f.half_length = length
    return True
