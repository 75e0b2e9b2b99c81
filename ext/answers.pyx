"""Resolving futures with decisions: a whole block in one call, on the event loop's thread."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from ext.answers cimport KIND_ACCOUNT, KIND_BATCH, KIND_HISTORY, KIND_OFFICE
from ext.commands cimport (
    CC_OP_GET_TRANSACTION, CC_OP_NONE, CC_ST_DRAINING, CC_ST_OK, cc_command,
)
from ext.feed cimport cc_ticket, feed_close, feed_open, feed_push, feed_take, ticket_of
from ext.jobs cimport CC_J_ORIGINAL, cc_job, lane_take
from ext.ring cimport ring_advance, ring_peek, ring_place, ring_publish
from ext.sequencer cimport forget_secrets
from ext.shared cimport cc_shared
from ext.tables cimport cc_tables
from ext.views cimport account_view, history_view, office_view, refused_view
from ext.wire_batch cimport (
    WIRE_RESULT_MAX, cc_wire_batch, wire_batch_next, wire_put_result, wire_put_undecided,
)
from ext.wire_decode cimport cc_wire_error
from ext.wire_encode cimport WIRE_RESPONSE_MAX, wire_encode, wire_encode_transaction

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
