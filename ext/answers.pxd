"""The feed of the Python front end: tickets whose owners are asyncio futures or batches."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.commands cimport cc_command
from ext.feed cimport cc_feed, cc_ticket
from ext.shared cimport cc_shared
from ext.tables cimport cc_tables
from ext.wire_batch cimport cc_wire_batch
from ext.wire_encode cimport WIRE_RESPONSE_MAX

cdef enum:
    # kind of a ticket: a hot method's CC_OP_* number, or
    KIND_BATCH = 256
    KIND_OFFICE = 257
    KIND_ACCOUNT = 258
    KIND_HISTORY = 259
    KIND_STREAM = 260


cdef class Answers:
    cdef cc_feed feed
    cdef cc_ticket *unused
    cdef uint32_t waiting          # tickets out
    cdef uint32_t limit
    cdef list blocks               # addresses of the pool's parts
    cdef const cc_tables *tables   # names of terminals
    cdef uint8_t buffer[WIRE_RESPONSE_MAX]

    cdef cc_ticket *take(self, object owner, uint32_t kind) except? NULL
    cdef int give_back(self, cc_ticket *ticket) except -1
    cdef int collect(self) except -1
    cdef int abandon(self, cc_shared *s) except -1
    cdef int resolve(self, object future, cc_ticket *ticket) except -1
    cdef bytes encode(self, cc_ticket *ticket)


cdef class Batch:
    cdef object future
    cdef cc_ticket *ticket         # one an item
    cdef uint32_t *terminal_seq    # of each item, to echo
    cdef int *reason               # why the item did not reach the queue, 0 it did
    cdef uint32_t count, left      # left: still undecided

    cdef int queue(
        self, cc_shared *s, cc_wire_batch *items, uint64_t reserved, uint32_t deadline,
    ) except -1
    cdef int arrived(self) except -1
    cdef bytes encode(self)


ctypedef struct cc_place:          # one message of a stream, from its request to its answer
    cc_ticket ticket
    uint32_t terminal_seq          # to echo
    uint32_t retry_after_ms
    int reason                     # why it did not reach the queue, 0 it did
    bint ready                     # the answer may be taken


cdef class Stream:
    cdef object engine             # outlives its streams
    cdef cc_shared *s
    cdef cc_place *place           # a circle of `size`
    cdef uint64_t size, first, next  # first: the oldest without its answer taken
    cdef uint32_t deadline
    cdef bint ended
    cdef object waiter

    cdef int open(self, object engine, cc_shared *s, cc_feed *feed, uint32_t deadline) except -1
    cdef int queue(self, cc_place *p, const uint8_t *data, size_t length) except -1
    cdef int refuse(self, cc_place *p, int reason, uint32_t retry_after_ms) except -1
    cdef int arrived(self, cc_ticket *ticket) except -1
    cdef int wake(self) except -1
