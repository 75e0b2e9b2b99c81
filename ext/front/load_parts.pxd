"""What a load is made of: the load, its connections, their callers; and names of load_net.h."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from ext.front.net cimport epoll_event
from ext.front.nghttp2 cimport nghttp2_hd_inflater, nghttp2_session
from ext.histogram cimport cc_histogram

cdef extern from "front/load_net.h" nogil:
    void *load_tls_open "cc_load_tls_open"(const char *ca) noexcept
    void *load_tls_connect "cc_load_tls_connect"(
        void *tls, int fd, const char *pem, int timeout_ms) noexcept
    void load_tls_free "cc_load_tls_free"(void *ssl) noexcept
    int load_wait "cc_load_wait"(
        int poll, epoll_event *events, int most, int64_t ns) noexcept
    void exact_timers "cc_load_exact_timers"() noexcept

cdef enum:
    LOAD_UNARY = 1
    LOAD_BATCH = 2
    LOAD_STREAM = 3
    FRAME = 5
    MESSAGE_MAX = 96         # bytes of a purchase, at most
    HEAD = 4                 # of an answer: where its outcome stands
    SEQ_MAX = 65535
    HALF = 16393             # bytes of a frame, at most
    REST = 262144            # bytes of a connection that wait to be sent, at most

ctypedef struct cc_keys:     # the next key
    uint32_t terminal, seq

ctypedef struct cc_caller:   # one call in flight, or one stream
    cc_client *client
    cc_caller *next          # of those that wait for something to do
    int64_t *began           # of each purchase or call in flight, round
    int64_t due_ns           # open loop: when this call should have begun
    uint64_t asked, answered
    uint64_t owed            # open loop, of a stream: purchases that are due and not yet written
    uint8_t *body            # bytes to send
    size_t length, sent, room
    uint8_t head[FRAME + HEAD]
    uint32_t head_length, skip
    bint well, idle
    int32_t stream

ctypedef struct cc_frames:   # of a connection with unary calls, in place of nghttp2's session
    nghttp2_hd_inflater *inflater
    uint8_t first[128]       # a call's headers, and those of the calls after it
    uint8_t later[8]
    size_t first_length, later_length
    bint begun               # the first call has been made
    int32_t stream           # of the newest call
    int64_t may_send         # bytes of messages that the server has left room for
    uint32_t window, taken   # bytes that the server may send ahead; came since it was told so
    uint8_t half[HALF]       # a frame that has not come in whole
    size_t half_length

ctypedef struct cc_client:   # one connection
    cc_load *load
    cc_client *next_dirty
    nghttp2_session *session    # NULL: frames
    cc_frames *frames
    int fd
    void *ssl                # NULL: plain
    uint8_t *rest            # what the socket did not take
    size_t rest_length, rest_sent
    cc_caller *caller
    cc_keys own              # where each connection is a terminal of its own
    bint dirty               # has something to send
    bint blocked             # waits for the socket to take more
    bint shut                # the server left no room for a message

ctypedef struct cc_load:
    int kind
    bint own                 # each connection has a terminal's keys to itself
    bint echo                # what is asked cannot be a purchase: the front end answers by itself
    uint32_t connections, callers, in_flight, items
    # of a run: calls; of a stream: purchases
    uint64_t count, asked, answered, approved, failed
    uint64_t streams         # open now
    uint32_t stop            # ask nothing more
    const uint8_t *names     # of terminals, 16 bytes each
    const uint32_t *batch_no
    uint32_t terminals
    cc_keys shared
    const uint32_t *account
    const uint32_t *amount
    uint64_t draws, drawn
    const uint32_t *gap_ns   # open loop: between two arrivals, round and round; NULL: closed
    uint64_t gaps, arrived   # arrivals that found a caller
    int64_t due_ns           # of the next
    cc_caller *free_first    # callers without a call, the longest waiting first
    cc_caller *free_last
    uint32_t turn            # the stream whose turn is next
    cc_histogram *took
    # of frames: bytes of an answer; its end
    void (*on_data)(cc_caller *c, const uint8_t *at, size_t length) noexcept nogil
    void (*on_end)(cc_caller *c) noexcept nogil
    const char *authority
    size_t authority_length
    cc_client *client
    cc_client *dirty
    uint8_t *inbox
    uint8_t *sealed          # what TLS has not opened yet
    int poll
