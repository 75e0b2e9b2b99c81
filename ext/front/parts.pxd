"""What a front end is made of: shared and fixed at start, a thread's, a connection's, a call's.

Nothing but `cc_front` is seen by two threads, and of that only words that are written once or
rarely. A connection stays with the thread that accepted it.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.feed cimport cc_feed, cc_ticket
from ext.front.heap cimport cc_heap
from ext.front.nghttp2 cimport (
    nghttp2_data_source_read_callback, nghttp2_option, nghttp2_session, nghttp2_session_callbacks,
)
from ext.shared cimport cc_shared

cdef enum:
    FRONT_THREADS_MAX = 3          # the engine has one feed more, Python's
    FRONT_METHODS_MAX = 64
    FRONT_PATHS = 256              # places of the index over paths
    FRONT_STATUSES = 8192          # places of the index over made statuses
    FRONT_BUCKETS = 16384          # terminals counted at once by a thread; a power of two
    FRONT_CODES = 17               # of gRPC, 0 to 16
    FRONT_REASONS = 512            # of the catalogue, by number
    FRONT_INBOX = 8192             # bytes of one read: a busy connection's turn
    FRONT_OUTBOX = 65536           # bytes of one write
    SMALL_MESSAGE = 256            # a request that needs no memory of its own
    FED_AHEAD = 65536              # bytes of a fed call that may wait for its reader
    FED_MESSAGE = 128              # that each of its messages counts more
    DISCARD_MAX = 1048576          # bytes of a request that may still come behind its answer

    # what a method is
    FRONT_UNARY = 1
    FRONT_BATCH = 2
    FRONT_STREAM = 3
    FRONT_PASSED = 4               # answered by Python
    FRONT_FED = 5                  # answered by Python, message after message

    # whether a connection leaves
    CONN_STAYS = 0
    CONN_WARNED = 1                # it is told that it will; calls on their way are still taken
    CONN_LEAVES = 2                # no more calls are taken

    # whether Python is to look at a call that it has
    TOLD_NOTHING = 0
    TOLD = 1                       # it is in the list
    TOLD_LAST = 2                  # and to be freed by who takes it from there

    # what becomes of a call
    CALL_ASKING = 0                # its request is still coming
    CALL_ASKED = 1                 # with the engine, or with Python
    CALL_ANSWERED = 2              # nothing more will be said by us

ctypedef struct cc_call
ctypedef struct cc_conn
ctypedef struct cc_io
ctypedef struct cc_front
ctypedef struct cc_handed

ctypedef struct cc_buffer:
    uint8_t *at
    size_t length, size
    size_t read                    # of what is sent: bytes that are gone

ctypedef struct cc_status:         # a refusal, ready to be sent; never changed, never freed
    const void *parent             # with field, detail, reason and retry: what it was made for
    const void *field
    const void *detail
    int reason
    uint32_t retry_after_ms
    uint32_t code
    uint32_t message_length, details_length
    const char *message            # percent-encoded
    const char *details            # base64, without padding

ctypedef struct cc_method:
    const char *path
    uint32_t path_length
    uint32_t kind                  # FRONT_*
    int op                         # CC_OP_* of unary ones
    uint32_t bytes_max             # of a request

ctypedef struct cc_bounds_of_front:
    uint32_t streams_max           # calls of a connection at once
    uint32_t connections_max       # of a thread
    uint32_t calls_max             # of a thread
    uint32_t slots_max             # commands of a thread under way
    uint32_t stream_in_flight
    uint32_t connection_in_flight  # of all its streams together
    uint32_t header_bytes
    uint32_t held_bytes            # of requests and answers of one connection
    uint32_t handed_max            # calls with Python at once,
    uint32_t fed_max               # and of those that it feeds
    uint32_t frames_burst          # frames without work that a connection may send at once,
    uint32_t frames_rate           # and each second
    uint32_t handshake_ms          # until the peer's first settings, or a request's end
    uint32_t idle_ms               # without a call
    uint32_t age_ms
    uint32_t grace_ms              # after GOAWAY
    uint32_t keepalive_ms          # silence before a ping, and again before the end
    uint32_t spin_us               # polling before sleep
    uint32_t rate, burst           # calls of a terminal

ctypedef struct cc_slot:           # a command under way
    cc_ticket ticket               # first: the engine knows the slot by it
    cc_slot *next                  # of its call, in request order; or free
    cc_call *call
    uint32_t terminal_seq          # to echo
    uint32_t retry_after_ms
    int64_t asked_ns               # when the engine got it
    int reason                     # why it did not reach the engine, 0 it did
    bint ready

ctypedef struct cc_call:
    cc_call *next                  # of its connection; or free
    cc_call *previous
    cc_conn *conn                  # NULL: nobody waits any more; its slots are awaited
    cc_io *io
    cc_method *method              # NULL: not known
    const cc_status *status        # how it ends; NULL: well
    cc_status *own                 # the same, made for this call alone
    cc_handed *handed              # Python has it
    cc_slot *first                 # not yet answered, oldest first
    cc_slot *last
    uint32_t slots                 # of these
    uint32_t out                   # of these with the engine
    int32_t stream                 # HTTP/2's number
    uint32_t index, generation     # its name outside of the thread
    uint32_t deadline_ms           # of the engine's clock; 0 none
    uint32_t header_bytes
    uint32_t batch_wanted          # items of a batch
    int64_t began_ns               # the peer's time for its request, or what is left of it
    uint32_t discarded             # bytes of it that came too late to matter
    uint8_t state                  # CALL_*
    uint8_t post, grpc, encoded    # what its headers said
    uint8_t signed_in              # it carries a token
    uint8_t ended                  # the peer has said all
    uint8_t begun                  # our headers are on their way
    uint8_t deferred               # HTTP/2 waits for us to have something
    uint8_t drained                # no more of its messages will be taken
    uint8_t over                   # nothing comes after what is in `answer`
    uint8_t said                   # our end is on its way
    cc_buffer request              # bytes not yet taken
    cc_buffer answer               # bytes not yet sent
    cc_buffer metadata             # of calls that may go to Python
    size_t charged                 # bytes counted in the connection's `held`
    uint8_t small[SMALL_MESSAGE]

ctypedef struct cc_conn:
    cc_conn *next
    cc_conn *previous
    cc_conn *next_dirty
    cc_io *io
    nghttp2_session *session
    void *ssl                      # NULL: plain
    cc_call *calls
    uint32_t open                  # calls of these
    uint32_t out                   # commands of its streams with the engine
    int fd
    bint known                     # its certificate has been looked at
    bint named                     # it names a terminal: `name`
    uint8_t name[16]
    bint dirty                     # has something to send
    bint calmed                    # it is being told to go away
    bint broken                    # to be closed
    bint blocked                   # waits for the socket to take more
    bint greeted                   # the peer's settings have come
    uint8_t leaving                # CONN_*
    bint pinged
    uint32_t frames                # it may still send without work
    size_t taken                   # bytes of messages in this turn of reading
    int64_t began_ns, heard_ns, idle_ns, leaving_ns
    uint32_t age_ms                # its own share of what connections may grow old; 0: for ever
    size_t held
    size_t unsent, unsent_read     # of `waiting`
    uint8_t *waiting               # what the socket did not take

ctypedef struct cc_bucket:
    uint8_t name[16]
    int64_t filled_ns
    int64_t tokens                 # thousandths of a call

ctypedef struct cc_handed:         # a call on its way to Python, or back; or a message back
    cc_handed *next
    cc_io *io
    uint32_t index, generation
    uint32_t deadline_ms
    uint32_t method
    uint32_t code                  # back: of gRPC
    uint8_t terminal[16]           # here: that the caller's certificate names
    uint32_t metadata_length, message_length, details_length
    uint8_t *metadata              # here: names and values; back: grpc-message
    uint8_t *message               # here: the request; back: the response
    uint8_t *details               # back: grpc-status-details-bin
    bint piece                     # one message of a call that goes on
    cc_handed *next_told           # of what Python is to look at again
    uint32_t told                  # TOLD_*
    uint32_t gone                  # nobody waits for it any more
    uint64_t taken                 # of `written`: what its reader has taken
    uint64_t written               # bytes of a fed call: Python's own count,
    uint64_t carried, told_taken   # and its thread's

ctypedef struct cc_io:             # one thread
    cc_feed feed                   # answers, and the bell of what Python returns
    cc_front *front
    void *returned                 # cc_handed, newest first
    int poll
    uint32_t number
    bint accepting
    bint asked                     # commands were handed over since the engine was rung
    cc_conn *connections
    cc_conn *dirty
    uint32_t connected, calls, slots
    cc_call *free_calls
    cc_slot *free_slots
    void **call_part               # pools are given back whole, at the end
    void **slot_part
    uint32_t call_parts, slot_parts
    uint8_t *inbox
    uint8_t *sealed          # what TLS has not opened yet
    uint8_t *outbox
    cc_bucket *bucket
    int64_t now_ns, swept_ns
    uint32_t finished              # its loop has ended
    uint64_t count[FRONT_METHODS_MAX + 1][FRONT_CODES]
    uint64_t reason[FRONT_REASONS]  # calls and messages that were refused, by reason
    uint64_t accepted, refused, calmed, sleeps, reads, writes, handed
    uint64_t bytes_in, bytes_out
    int64_t clock_ns               # as looked at for the next commands,
    uint32_t clock_left            # and for how many more
    uint64_t queued                # commands,
    int64_t parse_ns               # and how long the turn had read until then
    uint64_t decided               # commands the engine has answered,
    int64_t engine_ns              # and how long they were with it, from turn to turn,
    int64_t back_ns                # in this turn: from their release to its beginning,
    int64_t reply_ns               # and from there until they were sent
    int64_t read_ns                # in reading, HTTP/2 and decoding,
    int64_t answer_ns              # in encoding,
    int64_t send_ns                # in HTTP/2 and sending
    cc_heap heap

ctypedef struct cc_front:
    cc_shared *s
    cc_bounds_of_front bounds
    cc_method method[FRONT_METHODS_MAX]
    uint32_t methods
    uint8_t path[FRONT_PATHS]      # number of a method + 1
    nghttp2_session_callbacks *callbacks
    nghttp2_option *option
    nghttp2_data_source_read_callback read
    int listening
    void *tls                      # a context for new connections; NULL: plain
    bint clients_known             # callers must have certificates that name a terminal
    cc_io *io[FRONT_THREADS_MAX]
    uint32_t threads
    uint32_t leaving               # GOAWAY to everybody
    uint32_t stop                  # close what is left
    uint32_t refusing              # a reason's number: no command is taken, 0 they are
    uint32_t refusing_retry_ms     # written before it
    int handed_eventfd
    void *handed                   # cc_handed, newest first
    void *told                     # cc_handed, newest first
    uint32_t handed_count, fed_count
    void *status[FRONT_STATUSES]   # const cc_status, found by what they were made for
    const cc_status *failed        # INTERNAL: when there is nothing better
    void *maker                    # the Python object that makes statuses
