"""The one Python face of the engine: queueing commands, resolving answers, reading where it stands.

Methods that queue, and `answer`, belong to the event loop's thread; the others may be called from
any. Types and documentation for callers are in engine.pyi.
"""

import threading
import time

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from ext.answers cimport Batch, KIND_ACCOUNT, KIND_HISTORY, KIND_OFFICE, Stream
from ext.atomics cimport bell_ring, load32, load64, sleep_ns, store32
from ext.checkpoint cimport checkpoint_request, checkpoint_run
from ext.commands cimport (
    CC_CF_BY_ACCOUNT, CC_OP_GET_ACCOUNT, CC_OP_HISTORY, CC_OP_NONE, CC_ST_DRAINING,
    CC_ST_OVERLOADED, cc_command,
)
from ext.committer cimport committer_run
from ext.errors import (
    DirectoryBusy, EngineError, JournalCorrupt, KeyMismatch, Malformed, Refused,
)
from ext.excerpts cimport blocks_from, record_at
from ext.feed cimport cc_ticket
from ext.papers cimport papers_fill, papers_forget
from ext.papers import Effect
from ext.reader cimport reader_run
from ext.reasons cimport cc_reason_text_of
from ext.records cimport CC_ENGINE_VERSION
from ext.ring cimport RING_FULL, ring_place, ring_publish, ring_reserve
from ext.sequencer cimport sequencer_run
from ext.shared cimport deadline_of, shared_free, shared_new
from ext.startup cimport engine_close, engine_open
from ext.status cimport faults_of, head_of, ledger_sum_of, next_rows_of, stats_of, table_dump
from ext.store import init
from ext.turns cimport thread_named
from ext.wire_batch cimport cc_wire_batch, wire_batch_open
from ext.wire_decode cimport cc_wire_error, wire_decode
from ext.wire_encode cimport wire_status_reason, wire_status_retry_ms

__all__ = [
    "ENGINE_VERSION", "DirectoryBusy", "Effect", "Engine", "EngineError", "JournalCorrupt",
    "KeyMismatch", "Malformed", "Refused", "init",
]

ENGINE_VERSION = CC_ENGINE_VERSION

cdef enum:
    HISTORY_MAX = 1000
    LOOK_NS = 1000000

LEDGER_SUM_FRESH_ACCOUNTS = 65536   # up to here a sum over all rows is quick
LEDGER_SUM_AGE_S = 60


cdef object malformed(const cc_wire_error *err):
    """The decoder's finding as an exception, its field as a path."""
    cdef str field = err.field.decode("ascii")
    if err.parent[0]:
        field = err.parent.decode("ascii") + "." + field
    if err.item >= 0:
        field = f"items[{err.item}].{field}"
    reason = cc_reason_text_of(<unsigned>err.reason).name.decode("ascii")
    return Malformed(reason, field, err.detail.decode("ascii"))


cdef object refused(int status):
    """The exception for a command that does not reach the queue."""
    cdef int number = wire_status_reason(CC_OP_NONE, status)
    return Refused(
        cc_reason_text_of(<unsigned>number).name.decode("ascii"), wire_status_retry_ms(status))


cdef int rest() except -1:
    """Let the native threads work before looking again."""
    with nogil:
        sleep_ns(LOOK_NS)
    return 0


cdef class Engine:
    """One open data directory. Open recovers; start runs the threads."""

    def __cinit__(self, str data_dir not None, str key_file not None, dict options=None):
        self.s = shared_new()
        self.threads = []
        self.checking = threading.Lock()
        self.opened = engine_open(self.s, data_dir, key_file, options or {})
        self.answers = self.opened.answers

    def __dealloc__(self):
        # While threads run they hold a reference: here they have ended, or never began.
        if self.s != NULL:
            if self.opened is not None:
                engine_close(self.s, self.opened)
            shared_free(self.s)

    # ---- life ----

    def start(self):
        """Run the threads."""
        if self.threads or self.closed:
            raise EngineError("the engine was started before")
        self._ledger_sum()      # from now on there is one, whatever the sequencer waits for
        for name, body in (
            ("sequencer", self._sequence), ("committer", self._commit), ("reader", self._read),
            ("checkpoint", self._write),
        ):
            thread = threading.Thread(target=body, name=name, daemon=True)
            self.threads.append(thread)
            thread.start()

    def _sequence(self):
        with nogil:
            thread_named(b"cc-sequencer")
            sequencer_run(self.s)

    def _commit(self):
        with nogil:
            thread_named(b"cc-committer")
            committer_run(self.s)

    def _read(self):
        with nogil:
            thread_named(b"cc-reader")
            reader_run(self.s)

    def _write(self):
        with nogil:
            thread_named(b"cc-checkpoint")
            checkpoint_run(&self.s.checkpoint)

    def drain(self, int timeout_s):
        """Stop taking commands, decide what is queued, commit, checkpoint; True when in time."""
        end = time.monotonic() + timeout_s
        store32(&self.s.draining, 1)
        store32(&self.s.checkpoint.hurry, 1)
        bell_ring(&self.s.ring.bell)
        while load32(&self.s.drained) == 0:
            if not self.threads or time.monotonic() > end:
                return False
            rest()
        return self._checkpoint_until(end) is not None

    def close(self):
        """End the threads and let go of the directory. Undecided commands are refused."""
        if self.closed:
            return
        self.closed = True
        store32(&self.s.draining, 1)
        store32(&self.s.stop, 1)
        store32(&self.s.checkpoint.stop, 1)
        bell_ring(&self.s.ring.bell)
        bell_ring(&self.s.reader_bell)
        bell_ring(&self.s.checkpoint.bell)
        for thread in self.threads:
            thread.join()
        self.answers.abandon(self.s)
        engine_close(self.s, self.opened)

    # ---- commands ----

    @property
    def eventfd(self):
        return self.answers.feed.eventfd

    def answer(self):
        """Resolve the futures of all released answers; returns how many."""
        return self.answers.collect()

    cdef cc_ticket *admit(self, object future, uint32_t kind) except NULL:
        """A ticket for one more command, or Refused."""
        cdef cc_ticket *ticket
        if load32(&self.s.draining) != 0:
            raise refused(CC_ST_DRAINING)
        ticket = self.answers.take(future, kind)
        if ticket == NULL:
            raise refused(CC_ST_OVERLOADED)
        return ticket

    cdef cc_command *place(self, cc_ticket *ticket, uint64_t *reserved) except NULL:
        """A place in the queue for the ticket's command, or Refused and the ticket given back."""
        cdef cc_command *c
        reserved[0] = ring_reserve(&self.s.ring, 1)
        if reserved[0] == RING_FULL:
            self.answers.give_back(ticket)
            raise refused(CC_ST_OVERLOADED)
        c = ring_place(&self.s.ring, reserved[0], 0)
        c.token = <uint64_t>ticket
        return c

    def submit(
        self, int method, const uint8_t[::1] message not None, object future,
        uint32_t deadline_ms=0, bytes terminal=b"",
    ):
        """Queue one encoded request of a hot method; see engine.pyi."""
        cdef uint64_t reserved = 0
        cdef cc_wire_error err
        cdef const uint8_t *data = &message[0] if message.shape[0] else NULL
        cdef bytes own = terminal.ljust(16, b"\0")
        cdef cc_ticket *ticket = self.admit(future, method)
        cdef cc_command *c = self.place(ticket, &reserved)
        # Straight into the queue's locked memory: the password stands nowhere else of ours.
        cdef int rc = wire_decode(method, data, message.shape[0], c, &err)
        cdef bint other = rc == 0 and len(terminal) != 0 and (
            len(own) != 16 or memcmp(c.terminal_name, <const char *>own, 16) != 0)
        c.token = <uint64_t>ticket
        c.deadline_ms = deadline_of(self.s, deadline_ms)
        if rc != 0 or other:
            c.op = CC_OP_NONE
        ring_publish(&self.s.ring, reserved, 1)
        if rc != 0 or other:
            self.answers.give_back(ticket)
            if other:
                raise Malformed("FIELD_INVALID", "terminal_id", "the caller's own")
            raise malformed(&err)

    def submit_batch(
        self, const uint8_t[::1] message not None, object future, uint32_t deadline_ms=0,
    ):
        """Queue an AuthorizeBatchRequest: all its items as neighbours, or none."""
        cdef cc_wire_batch items
        cdef cc_wire_error err
        cdef uint64_t reserved
        cdef Batch batch
        cdef const uint8_t *data = &message[0] if message.shape[0] else NULL
        if load32(&self.s.draining) != 0:
            raise refused(CC_ST_DRAINING)
        if wire_batch_open(&items, data, message.shape[0], &err) != 0:
            raise malformed(&err)
        batch = Batch(future, self.answers, items.count)
        reserved = ring_reserve(&self.s.ring, items.count)
        if reserved == RING_FULL:
            raise refused(CC_ST_OVERLOADED)
        batch.queue(self.s, &items, reserved, deadline_of(self.s, deadline_ms))

    def stream(self, uint32_t in_flight, uint32_t deadline_ms=0):
        """A pipeline of AuthorizeStream messages; see engine.pyi."""
        cdef Stream stream = Stream(in_flight)
        stream.open(self, self.s, &self.answers.feed, deadline_of(self.s, deadline_ms))
        return stream

    def office(
        self, bytes payload not None, object effects, object future, *, bytes request_id not None,
        uint64_t fingerprint, uint32_t document_kind, uint32_t actor=0, uint32_t pin_account=0,
        str pin="",
    ):
        """Queue a document and its effects; see engine.pyi."""
        cdef cc_command filled
        cdef cc_command *c
        cdef uint64_t reserved = 0, token
        cdef cc_ticket *ticket
        papers_fill(
            &filled, payload, list(effects), request_id, fingerprint, document_kind, actor,
            pin_account, pin)
        try:
            ticket = self.admit(future, KIND_OFFICE)
            c = self.place(ticket, &reserved)
        except BaseException:
            papers_forget(&filled)
            raise
        token = c.token
        c[0] = filled
        c.token = token
        # The memory it points to is the sequencer's now; what is wiped here is only the copy.
        filled.effect, filled.payload = NULL, NULL
        papers_forget(&filled)
        ring_publish(&self.s.ring, reserved, 1)

    def account(self, uint32_t account, object future):
        """Queue a read of an account's wallets and papers."""
        cdef uint64_t reserved = 0
        cdef cc_command *c = self.place(self.admit(future, KIND_ACCOUNT), &reserved)
        c.op, c.flags, c.account = CC_OP_GET_ACCOUNT, CC_CF_BY_ACCOUNT, account
        ring_publish(&self.s.ring, reserved, 1)

    def history(self, uint32_t account, uint64_t from_seq, uint32_t limit, object future):
        """Queue a read of a page of the account's history, newest first."""
        cdef uint64_t reserved = 0
        cdef cc_command *c
        if not 1 <= limit <= HISTORY_MAX:
            raise Malformed("FIELD_INVALID", "limit", f"1 to {HISTORY_MAX}")
        c = self.place(self.admit(future, KIND_HISTORY), &reserved)
        c.op, c.flags, c.account = CC_OP_HISTORY, CC_CF_BY_ACCOUNT, account
        c.original_seq, c.limit = from_seq, limit
        ring_publish(&self.s.ring, reserved, 1)

    # ---- reading ----

    @property
    def identity(self):
        """The directory's identity; see engine.pyi."""
        return self.opened.identity

    @property
    def recovered(self):
        """What opening did: state_seq, records replayed, why state/ was discarded or ""."""
        done = self.opened.recovered
        return {
            "state_seq": done.state_seq, "records": done.records, "discarded": done.discarded,
        }

    def transaction(self, uint64_t seq, object future):
        """Read one record, whichever part of its command it is; it must be acknowledged."""
        future.set_result(record_at(self.s, seq))

    def read_blocks(self, uint64_t from_seq, uint64_t max_bytes):
        """Return whole acknowledged blocks from the one holding from_seq on, at least one."""
        return blocks_from(self.s, from_seq, max_bytes)

    def head(self):
        return head_of(self.s, self.opened.test)

    def stats(self):
        return stats_of(self.s, self._ledger_sum())

    def faults(self):
        """What goes wrong without stopping the engine; see engine.pyi."""
        return faults_of(self.s)

    def _ledger_sum(self):
        """A sum over all rows stops the sequencer: on a large campus not at every reading.

        While the sequencer waits for a disk that hangs it is the one before.
        """
        with self.checking:
            now = time.monotonic()
            if (
                self.ledger_sum is None
                or self.s.tables.accounts <= LEDGER_SUM_FRESH_ACCOUNTS
                or now - self.ledger_sum_at > LEDGER_SUM_AGE_S
            ):
                found = ledger_sum_of(self.s)
                if found is not None:
                    self.ledger_sum, self.ledger_sum_at = found, now
            return self.ledger_sum

    def next_rows(self):
        return next_rows_of(self.s)

    def state_dump(self, uint32_t table):
        """Return the rows of a table as they stand between two blocks, stamps zero."""
        with self.checking:
            return table_dump(self.s, table)

    # ---- checkpoints ----

    def checkpoint(self):
        """Run one checkpoint now; returns the seq it stands at."""
        if not self.threads or self.closed:
            raise EngineError("the engine does not run")
        seq = self._checkpoint_until(None)
        if seq is None:
            raise EngineError("the checkpoint was not completed; stats() has the error")
        return seq

    def _checkpoint_until(self, end):
        """Ask for a checkpoint and wait: its seq, or None when it failed or time ran out."""
        cdef uint32_t number = checkpoint_request(&self.s.checkpoint)
        while <int>(load32(&self.s.checkpoint.served) - number) < 0:
            if load32(&self.s.checkpoint.failed) != 0 or load32(&self.s.stop) != 0:
                return None
            if end is not None and time.monotonic() > end:
                return None
            rest()
        return load64(&self.s.checkpoint.complete_seq)
