"""Decisions for the event loop: futures, batches and streams, a whole block in one call."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from ext.answers cimport KIND_ACCOUNT, KIND_BATCH, KIND_HISTORY, KIND_OFFICE, KIND_STREAM, cc_place
from ext.atomics cimport load32
from ext.commands cimport (
    CC_OP_GET_TRANSACTION, CC_OP_NONE, CC_PIN_MAX, CC_ST_DRAINING, CC_ST_OK, CC_ST_OVERLOADED,
    cc_command,
)
from ext.digest cimport wipe
from ext.feed cimport cc_feed, cc_ticket, feed_close, feed_open, feed_push, feed_take, ticket_of
from ext.jobs cimport CC_J_ORIGINAL, cc_job, lane_take
from ext.reasons cimport CC_R_RATE_LIMITED
from ext.ring cimport (
    RING_FULL, ring_advance, ring_peek, ring_place, ring_publish, ring_reserve,
)
from ext.sequencer cimport forget_secrets
from ext.shared cimport cc_shared
from ext.tables cimport cc_tables
from ext.views cimport account_view, history_view, office_view, refused_view
from ext.wire_batch cimport (
    WIRE_RESULT_MAX, cc_wire_batch, wire_batch_next, wire_put_result, wire_put_undecided,
)
from ext.wire_decode cimport cc_wire_error, wire_decode_stream
from ext.wire_encode cimport (
    WIRE_RESPONSE_MAX, wire_encode, wire_encode_stream, wire_encode_stream_error,
    wire_encode_transaction, wire_status_reason, wire_status_retry_ms,
)

cdef enum:
    TICKETS_PER_PART = 256


cdef void refuse_undecided(cc_command *c) noexcept:
    cdef cc_ticket *ticket = ticket_of(c)
    ticket.reply.op, ticket.reply.status = c.op, CC_ST_DRAINING
    forget_secrets(c)
    ticket.next = NULL
    feed_push(ticket.feed, ticket, ticket)


cdef class Answers:
    """Tickets of single commands, their futures, and the feed they come back through."""

    def __cinit__(self, uint32_t limit):
        self.blocks = []
        self.limit = limit
        self.feed.eventfd = -1
        feed_open(&self.feed, 0)

    def __dealloc__(self):
        feed_close(&self.feed)
        for address in self.blocks:
            free(<void *><uintptr_t>address)

    cdef cc_ticket *take(self, object owner, uint32_t kind) except? NULL:
        """A ticket that holds a reference to its owner; NULL when too many are out."""
        cdef cc_ticket *ticket
        cdef int i
        if self.waiting >= self.limit:
            return NULL
        if self.unused == NULL:
            ticket = <cc_ticket *>calloc(TICKETS_PER_PART, sizeof(cc_ticket))
            if ticket == NULL:
                raise MemoryError
            self.blocks.append(<uintptr_t>ticket)
            for i in range(TICKETS_PER_PART):
                ticket[i].next = self.unused
                self.unused = &ticket[i]
        ticket = self.unused
        self.unused = ticket.next
        self.waiting += 1
        Py_INCREF(owner)
        ticket.owner = <PyObject *>owner
        ticket.feed, ticket.kind, ticket.next = &self.feed, kind, NULL
        return ticket

    cdef int give_back(self, cc_ticket *ticket) except -1:
        cdef object owner = <object>ticket.owner
        Py_DECREF(owner)
        free(ticket.reply.bytes)
        ticket.reply.bytes = NULL
        ticket.owner = NULL
        ticket.next = self.unused
        self.unused = ticket
        self.waiting -= 1
        return 0

    cdef int collect(self) except -1:
        """Resolve everything released so far; how many commands that were."""
        cdef cc_ticket *ticket = feed_take(&self.feed)
        cdef cc_ticket *next
        cdef int n = 0
        while ticket != NULL:
            next = ticket.next
            owner = <object>ticket.owner
            if ticket.kind == KIND_BATCH:
                (<Batch>owner).arrived()
            elif ticket.kind == KIND_STREAM:
                (<Stream>owner).arrived(ticket)
            else:
                self.resolve(owner, ticket)
                self.give_back(ticket)
            ticket = next
            n += 1
        return n

    cdef int abandon(self, cc_shared *s) except -1:
        """After the threads have ended: refuse what is still queued or with the reader."""
        cdef cc_command *c = ring_peek(&s.ring, 0)
        cdef cc_job *job = s.resume
        s.resume = NULL
        if job != NULL:
            refuse_undecided(&job.command)
        while c != NULL:
            if c.op != CC_OP_NONE:
                refuse_undecided(c)
            ring_advance(&s.ring)
            c = ring_peek(&s.ring, 0)
        for lane in range(2):
            job = lane_take(&s.jobs.to_sequencer if lane == 0 else &s.jobs.to_reader)
            while job != NULL:
                if job.kind == CC_J_ORIGINAL:
                    refuse_undecided(&job.command)
                elif lane == 1 and job.ticket != NULL:
                    # Replays and pages of history that the reader did not come to.
                    job.ticket.reply.status = CC_ST_DRAINING
                    feed_push(job.ticket.feed, job.ticket, job.ticket)
                job = lane_take(&s.jobs.to_sequencer if lane == 0 else &s.jobs.to_reader)
        return self.collect()

    cdef int resolve(self, object future, cc_ticket *ticket) except -1:
        """Set the future unless its caller has gone away: the decision stands all the same."""
        if future.done():
            return 0
        try:
            if ticket.reply.status != CC_ST_OK:
                future.set_exception(refused_view(&ticket.reply))
            elif ticket.kind == KIND_OFFICE:
                future.set_result(office_view(&ticket.reply))
            elif ticket.kind == KIND_ACCOUNT:
                future.set_result(account_view(&ticket.reply))
            elif ticket.kind == KIND_HISTORY:
                future.set_result(history_view(&ticket.reply))
            else:
                future.set_result(self.encode(ticket))
        except Exception as error:
            # One answer that cannot be told must not keep back the others of its block.
            if not future.done():
                future.set_exception(error)
        return 0

    cdef bytes encode(self, cc_ticket *ticket):
        cdef const cc_tables *t = self.tables
        cdef uint32_t terminal = ticket.reply.record.terminal
        cdef const uint8_t *name = NULL
        cdef size_t length
        if ticket.kind == CC_OP_GET_TRANSACTION:
            if terminal != 0:
                name = t.terminal[terminal].name
            length = wire_encode_transaction(
                &ticket.reply, name, self.buffer, WIRE_RESPONSE_MAX)
        else:
            length = wire_encode(ticket.kind, &ticket.reply, self.buffer, WIRE_RESPONSE_MAX)
        return PyBytes_FromStringAndSize(<char *>self.buffer, length)


cdef class Batch:
    """An AuthorizeBatch under way: one future, one ticket an item. It lives until all are back."""

    def __cinit__(self, object future, Answers answers, uint32_t count):
        cdef uint32_t i
        self.future = future
        self.count = count
        self.ticket = <cc_ticket *>calloc(count, sizeof(cc_ticket))
        self.terminal_seq = <uint32_t *>calloc(count, sizeof(uint32_t))
        self.reason = <int *>calloc(count, sizeof(int))
        if self.ticket == NULL or self.terminal_seq == NULL or self.reason == NULL:
            raise MemoryError
        for i in range(count):
            self.ticket[i].feed = &answers.feed
            self.ticket[i].owner = <PyObject *>self
            self.ticket[i].kind, self.ticket[i].index = KIND_BATCH, i

    def __dealloc__(self):
        free(self.ticket)
        free(self.terminal_seq)
        free(self.reason)

    cdef int queue(
        self, cc_shared *s, cc_wire_batch *items, uint64_t reserved, uint32_t deadline,
    ) except -1:
        """Decode the items into the places reserved for them; those out of range are skipped."""
        cdef cc_command *c
        cdef cc_wire_error err
        cdef uint32_t i
        cdef int rc
        for i in range(self.count):
            c = ring_place(&s.ring, reserved, i)
            rc = wire_batch_next(items, c, &err)
            self.terminal_seq[i] = c.terminal_seq
            if rc == 1:
                c.token, c.deadline_ms = <uint64_t>&self.ticket[i], deadline
                self.left += 1
            else:
                c.op = CC_OP_NONE
                self.reason[i] = err.reason
        # The hold for the tickets; one more so that the batch outlives its first answers.
        Py_INCREF(self)
        self.left += 1
        ring_publish(&s.ring, reserved, self.count)
        return self.arrived()

    cdef int arrived(self) except -1:
        """One more item is decided; with the last the answer goes and the batch's own hold ends."""
        self.left -= 1
        if self.left != 0:
            return 0
        future = self.future
        Py_DECREF(self)
        if future.done():
            return 0
        try:
            future.set_result(self.encode())
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        return 0

    cdef bytes encode(self):
        """AuthorizeBatchResponse, results in request order."""
        cdef bytes whole = PyBytes_FromStringAndSize(NULL, self.count * WIRE_RESULT_MAX)
        cdef uint8_t *start = <uint8_t *>PyBytes_AS_STRING(whole)
        cdef uint8_t *at = start
        cdef uint32_t i
        with nogil:
            for i in range(self.count):
                if self.reason[i] != 0:
                    at = wire_put_undecided(at, self.terminal_seq[i], self.reason[i])
                else:
                    at = wire_put_result(at, self.terminal_seq[i], &self.ticket[i].reply)
        return whole[:at - start]


cdef class Stream:
    """An AuthorizeStream: messages in, answers out in the same order, so many under way at once.

    It lives until the last answer is back, whether or not its caller still waits.
    """

    def __cinit__(self, uint32_t in_flight):
        if in_flight < 1:
            raise ValueError("at least one message under way")
        self.size = in_flight
        self.place = <cc_place *>calloc(in_flight, sizeof(cc_place))
        if self.place == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.place)

    cdef int open(self, object engine, cc_shared *s, cc_feed *feed, uint32_t deadline) except -1:
        cdef uint64_t i
        self.engine, self.s, self.deadline = engine, s, deadline
        for i in range(self.size):
            self.place[i].ticket.feed = feed
            self.place[i].ticket.kind, self.place[i].ticket.index = KIND_STREAM, <uint32_t>i
            self.place[i].ticket.owner = <PyObject *>self
        return 0

    def put(self, const uint8_t[::1] message not None, uint32_t wait_ms=0):
        """Queue one message; False when as many as may be are under way."""
        cdef const uint8_t *data = &message[0] if message.shape[0] else NULL
        cdef cc_place *p = &self.place[self.next % self.size]
        if self.next - self.first == self.size:
            return False
        p.ready = False
        p.reason, p.retry_after_ms = CC_R_RATE_LIMITED if wait_ms else 0, wait_ms
        self.next += 1
        self.queue(p, data, message.shape[0])
        return True

    cdef int queue(self, cc_place *p, const uint8_t *data, size_t length) except -1:
        """Straight into the queue's locked memory, or nowhere: then only for the echo."""
        cdef uint64_t reserved = RING_FULL
        cdef int status = CC_ST_OVERLOADED
        cdef cc_command spare
        cdef cc_command *c = &spare
        cdef cc_wire_error err
        if load32(&self.s.draining) != 0:
            status = CC_ST_DRAINING
        elif p.reason == 0:
            reserved = ring_reserve(&self.s.ring, 1)
        if reserved != RING_FULL:
            c = ring_place(&self.s.ring, reserved, 0)
        cdef int rc = wire_decode_stream(data, length, c, &err)
        p.terminal_seq = c.terminal_seq
        if reserved == RING_FULL:
            wipe(spare.pin, CC_PIN_MAX)
            if rc == 0 and p.reason == 0:
                p.retry_after_ms = wire_status_retry_ms(status)
                rc = wire_status_reason(c.op, status)
            return self.refuse(p, rc if rc != 0 else p.reason, p.retry_after_ms)
        if rc == 0:
            c.token, c.deadline_ms = <uint64_t>&p.ticket, self.deadline
            Py_INCREF(self)
        else:
            c.op = CC_OP_NONE
        ring_publish(&self.s.ring, reserved, 1)
        return self.refuse(p, rc, 0) if rc != 0 else 0

    cdef int refuse(self, cc_place *p, int reason, uint32_t retry_after_ms) except -1:
        p.reason, p.retry_after_ms, p.ready = reason, retry_after_ms, True
        return self.wake()

    cdef int arrived(self, cc_ticket *ticket) except -1:
        self.place[ticket.index].ready = True
        if ticket.index == self.first % self.size:
            self.wake()
        Py_DECREF(self)
        return 0

    cdef int wake(self) except -1:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        return 0

    def take(self):
        """Return the next answer as AuthorizeStreamResponse, None while it is not there."""
        cdef cc_place *p = &self.place[self.first % self.size]
        cdef uint8_t buffer[WIRE_RESPONSE_MAX]
        cdef size_t length
        if self.first == self.next or not p.ready:
            return None
        if p.reason != 0:
            length = wire_encode_stream_error(
                p.reason, p.retry_after_ms, p.terminal_seq, buffer, WIRE_RESPONSE_MAX)
        else:
            length = wire_encode_stream(
                &p.ticket.reply, p.terminal_seq, buffer, WIRE_RESPONSE_MAX)
        self.first += 1
        return PyBytes_FromStringAndSize(<char *>buffer, length)

    def end(self):
        """No more messages come."""
        self.ended = True
        self.wake()

    @property
    def over(self):
        """Whether no more messages come and all answers are taken."""
        return self.ended and self.first == self.next

    def wait(self, object future):
        """Resolve the future when `take` has something, or the stream is over."""
        self.waiter = future
        if self.over or (self.first != self.next and self.place[self.first % self.size].ready):
            self.wake()
