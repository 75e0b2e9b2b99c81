"""The sequencer's loop.

One block: take what has arrived, decide each command in RAM, have all records appended at once and
the answers let go. Batching needs no tuning: what arrives while a block is committed makes the next
one, and when that is much it is decided meanwhile.

**Source:** regulation 七.1: answers go when their block is durable, not before.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from ext.ahead cimport (
    AHEAD_ACCOUNT, AHEAD_COMMAND, AHEAD_INDEX, AHEAD_MEDIUM, ask_account, ask_command, ask_index,
    ask_medium,
)
from ext.atomics cimport (
    bell_arm, bell_disarm, bell_ring, bell_wait, load32, load64, monotonic_ns, store32,
)
from ext.blocks cimport block_bytes
from ext.blocktime cimport begin_block, end_block, next_due_us
from ext.checkpoint cimport (
    cc_checkpoint, checkpoint_can_copy, checkpoint_copy, checkpoint_start, checkpoint_wanted,
)
from ext.clocks cimport clock_now_us
from ext.commands cimport (
    CC_CF_NO_DEBITS, CC_OP_NONE, CC_OP_OFFICE, CC_PIN_MAX, CC_ST_EXPIRED, CC_ST_KEY_LOADING,
    CC_ST_OK, CC_ST_OVERLOADED, cc_command, cc_effect, cc_reply,
)
from ext.committer cimport (
    flight_next, flight_send, flights_await, flights_landed, flights_settle, flights_trail,
    may_commit, take_stand,
)
from ext.decide cimport decide
from ext.digest cimport wipe
from ext.feed cimport cc_ticket, outbox_add, ticket_of
from ext.jobs cimport (
    CC_J_BATCH, CC_J_HISTORY, CC_J_ORIGINAL, CC_J_REPLAY, cc_job, job_end, job_new, lane_empty,
    lane_take,
)
from ext.journal cimport cc_space, journal_space, journal_wants_next
from ext.oldbatch cimport batch_claim, batch_loaded, batch_unclaim
from ext.records cimport CC_O_DECLINED
from ext.ring cimport TICK_NS, ring_advance, ring_depth, ring_peek, ticks_of
from ext.shared cimport (
    CC_REASONS_COUNTED, CC_SPACE_FULL, cc_flight, cc_shared,
)
from ext.tables cimport (
    CC_D_BLOCK_FULL, CC_D_DONE, CC_D_HISTORY, CC_D_LOAD_BATCH, CC_D_READ, CC_D_REPLAY,
    cc_old_batch, cc_tables,
)

cdef enum:
    TEST_CLOCK_POLL_NS = 5000000     # a mapped clock moves without telling
    IDLE_NS = 250000000              # look at clock and space at least so often
    SPACE_LOOK_NS = 200000000        # between two looks at the journal's room,
    SPACE_STEPS = 500                # or after this part of it has been written


# ---- deciding ----

cdef bint expired(const cc_shared *s, const cc_command *c, uint32_t now_ms) noexcept nogil:
    """Deadlines are compared by difference: 32 bits of milliseconds go round every 49 days."""
    return c.deadline_ms != 0 and <int>(now_ms - c.deadline_ms) > 0


cdef void forget_secrets(cc_command *c) noexcept nogil:
    """Once decided, no password stays in the queue; an office command's memory is given back."""
    if c.pin_len != 0:
        wipe(c.pin, CC_PIN_MAX)
        c.pin_len = 0
    if c.op != CC_OP_OFFICE:
        return
    if c.effect != NULL:
        wipe(c.effect, c.effects * sizeof(cc_effect))
        free(c.effect)
        c.effect = NULL
    free(c.payload)
    c.payload = NULL


cdef cc_job *new_job(
    cc_shared *s, cc_flight *f, cc_command *c, cc_ticket *ticket, uint32_t kind,
) noexcept nogil:
    """A job that leaves with the block's answers: the reader may read what the block decided."""
    cdef cc_job *job = job_new(&s.jobs)
    if job == NULL:
        return NULL
    job.kind, job.op, job.ticket = kind, c.op, ticket
    job.as_of_seq = s.tables.applied_seq
    job.next = NULL
    if f.jobs_last != NULL:
        f.jobs_last.next = job
    else:
        f.jobs_first = job
    f.jobs_last = job
    return job


cdef bint to_reader(
    cc_shared *s, cc_flight *f, cc_command *c, cc_ticket *ticket, int what,
) noexcept nogil:
    """Pass on what RAM cannot answer. False: every job is under way, the caller tries again."""
    cdef cc_job *job
    if what == CC_D_REPLAY:
        job = new_job(s, f, c, ticket, CC_J_REPLAY)
        if job != NULL:
            job.seq = ticket.reply.record.seq
            s.counters.replays += 1
    elif what == CC_D_HISTORY:
        job = new_job(s, f, c, ticket, CC_J_HISTORY)
        if job != NULL:
            job.seq, job.account, job.limit = ticket.reply.next_seq, c.account, c.limit
    else:
        job = new_job(s, f, c, ticket, CC_J_ORIGINAL)
        if job != NULL:
            job.command = c[0]
            job.seq = c.original_seq
    return job != NULL


cdef void load_batch(cc_shared *s, cc_flight *f, cc_command *c, cc_reply *reply) noexcept nogil:
    """Have the keys of reply.record's terminal and batch read; the caller tries again."""
    cdef cc_tables *t = &s.tables
    cdef uint32_t terminal = reply.record.terminal, batch_no = reply.record.batch_no
    cdef cc_old_batch *slot = batch_claim(t, terminal, batch_no)
    cdef cc_job *job
    reply.status = CC_ST_KEY_LOADING
    if slot == NULL:
        return  # on its way, or no room for more of them now
    job = new_job(s, f, c, NULL, CC_J_BATCH)
    if job == NULL:
        batch_unclaim(slot)
        return
    job.seq, job.terminal, job.batch_no = t.terminal[terminal].last_seq, terminal, batch_no
    job.keys = slot.keys


cdef void count_outcome(cc_shared *s, const cc_reply *reply) noexcept nogil:
    if reply.status == CC_ST_OK and reply.record.outcome == CC_O_DECLINED:
        s.counters.declines[reply.record.reason % CC_REASONS_COUNTED] += 1


cdef bint decide_one(cc_shared *s, cc_flight *f, cc_command *c, uint32_t now_ms) noexcept nogil:
    """Decide one command; False: the block is full, the command waits for the next one."""
    cdef cc_ticket *ticket = ticket_of(c)
    cdef cc_reply *reply = &ticket.reply
    cdef int what
    memset(reply, 0, sizeof(cc_reply))
    reply.token, reply.op = c.token, c.op
    if expired(s, c, now_ms):
        reply.status = CC_ST_EXPIRED
        what = CC_D_DONE
    else:
        if s.counters.space_permille >= CC_SPACE_FULL:
            c.flags |= CC_CF_NO_DEBITS
        what = decide(&s.tables, &f.block, c, reply)
        if what == CC_D_BLOCK_FULL:
            return False
        if what == CC_D_LOAD_BATCH:
            load_batch(s, f, c, reply)
        elif what != CC_D_DONE and what != CC_D_READ:
            if to_reader(s, f, c, ticket, what):
                forget_secrets(c)
                return True
            memset(reply, 0, sizeof(cc_reply))
            reply.token, reply.op, reply.status = c.token, c.op, CC_ST_OVERLOADED
    reply.as_of_seq = s.tables.applied_seq
    count_outcome(s, reply)
    s.counters.commands += 1
    forget_secrets(c)
    outbox_add(&f.answers, ticket)
    return True


cdef void decide_returned(cc_shared *s, cc_flight *f, uint32_t now_ms) noexcept nogil:
    """What the reader has brought back: commands with their originals, keys of older batches."""
    cdef cc_job *job = s.resume
    s.resume = NULL
    if job == NULL:
        job = lane_take(&s.jobs.to_sequencer)
    while job != NULL:
        if job.kind == CC_J_ORIGINAL:
            if not decide_one(s, f, &job.command, now_ms):
                s.resume = job
                return
            wipe(&job.command, sizeof(cc_command))
        elif job.kind == CC_J_BATCH:
            batch_loaded(&s.tables, job.terminal, job.batch_no, job.sign_in_us)
        job_end(&s.jobs, job)
        job = lane_take(&s.jobs.to_sequencer)


cdef inline void look_ahead(cc_shared *s) noexcept nogil:
    """Rows of the commands next but some; of those not published yet there is nothing to ask."""
    cdef const cc_command *c = ring_peek(&s.ring, AHEAD_COMMAND)
    if c != NULL:
        ask_command(c)
    c = ring_peek(&s.ring, AHEAD_INDEX)
    if c != NULL:
        ask_index(&s.tables, c)
    c = ring_peek(&s.ring, AHEAD_MEDIUM)
    if c != NULL:
        ask_medium(&s.tables, c)
    c = ring_peek(&s.ring, AHEAD_ACCOUNT)
    if c != NULL:
        ask_account(&s.tables, c)


cdef inline void count_taken(cc_shared *s, uint32_t began, const cc_command *c) noexcept nogil:
    """Add its time in the queue: none of one that came as the block began."""
    cdef int ticks = <int>(began - c.asked)
    s.counters.taken += 1
    if ticks > 0:
        s.counters.queue_ns += <uint64_t>ticks * TICK_NS


cdef bint flight_decide(cc_shared *s, cc_flight *f) noexcept nogil:
    """Decide what has arrived up to now; False when that was nothing.

    What arrives meanwhile belongs to the next block, whose time is later.
    """
    cdef int64_t began = monotonic_ns()
    cdef uint64_t arrived = load64(&s.ring.tail)
    cdef uint32_t now_ms = <uint32_t>((began - s.monotonic_base_ns) // 1000000)
    cdef uint32_t ticks = ticks_of(began)
    cdef cc_command *c
    f.block.n = f.block.payload_len = 0
    begin_block(&s.tables, &f.block, clock_now_us(&s.clock))
    # Nothing is decided before all that is due has happened, in as many blocks as it takes.
    if next_due_us(&s.tables) <= s.tables.time_us:
        arrived = 0
    else:
        decide_returned(s, f, now_ms)
    while s.resume == NULL and s.ring.head < arrived:
        c = ring_peek(&s.ring, 0)
        if c == NULL:
            break  # reserved, not yet published
        look_ahead(s)
        if c.op != CC_OP_NONE:
            if not decide_one(s, f, c, now_ms):
                break
            count_taken(s, ticks, c)
        ring_advance(&s.ring)
    end_block(&s.tables, &f.block)
    take_stand(&s.tables, &f.stand)
    if f.block.n != 0:
        s.space_written += block_bytes(f.block.n, f.block.payload_len)
    f.began_ns, f.decide_ns = began, monotonic_ns() - began
    s.counters.decide_ns += f.decide_ns
    return f.block.n != 0 or f.answers.n != 0 or f.jobs_first != NULL


# ---- the loop ----

cdef bint work_waits(cc_shared *s) noexcept nogil:
    return (
        ring_peek(&s.ring, 0) != NULL
        or s.resume != NULL
        or not lane_empty(&s.jobs.to_sequencer)
        or next_due_us(&s.tables) <= clock_now_us(&s.clock)
    )


cdef bint may_decide(cc_shared *s) noexcept nogil:
    """Whether to begin a block: behind one that is under way only with much to do.

    A block cut for a few commands would make those that come a moment later wait for two commits.
    """
    return (
        flight_next(s) != NULL
        and work_waits(s)
        and (ring_depth(&s.ring) >= s.overlap_from or may_commit(s))
    )


cdef bint between_blocks(cc_shared *s) noexcept nogil:
    """A step of the checkpoint, if one runs or is due; True when something was done."""
    cdef cc_checkpoint *cp = &s.checkpoint
    if checkpoint_wanted(cp, &s.tables):
        flights_await(s)  # it notes the chain of the newest block decided
        checkpoint_start(cp, &s.tables, s.chain)
    if not checkpoint_can_copy(cp):
        return False
    checkpoint_copy(cp, &s.tables)
    return True


cdef void sleep_until_work(cc_shared *s) noexcept nogil:
    cdef int64_t wait_ns = TEST_CLOCK_POLL_NS if s.clock.test != NULL else IDLE_NS
    cdef int64_t due_us = next_due_us(&s.tables) - clock_now_us(&s.clock)
    # Behind a block under way the committer's ring is what counts.
    if due_us < wait_ns // 1000 and flights_landed(s):
        wait_ns = max(due_us, <int64_t>1) * 1000
    bell_arm(&s.ring.bell)
    if not may_decide(s) and not flights_trail(s) and load32(&s.stop) == 0 \
            and load32(&s.pause) == 0 and not checkpoint_can_copy(&s.checkpoint):
        bell_wait(&s.ring.bell, wait_ns)
    bell_disarm(&s.ring.bell)


cdef void note_drained(cc_shared *s) noexcept nogil:
    if load32(&s.draining) != 0 and load64(&s.ring.tail) == s.ring.head \
            and s.jobs.busy == 0 and flights_landed(s):
        store32(&s.drained, 1)


cdef void stand_still(cc_shared *s) noexcept nogil:
    """While somebody reads rows: between two blocks nothing changes."""
    cdef uint32_t asked = load32(&s.pause)
    while asked != 0 and load32(&s.stop) == 0:
        flights_await(s)
        store32(&s.paused, asked)
        bell_arm(&s.ring.bell)
        if load32(&s.pause) == asked and load32(&s.stop) == 0:
            bell_wait(&s.ring.bell, IDLE_NS)
        bell_disarm(&s.ring.bell)
        asked = load32(&s.pause)
    store32(&s.paused, 0)


cdef void look_at_space(cc_shared *s, int64_t now_ns) noexcept nogil:
    """From time to time, and before much has been written since: debits stop before space ends."""
    cdef cc_space space
    if now_ns - s.space_looked_ns >= SPACE_LOOK_NS or s.space_written >= s.space_step:
        journal_space(&s.journal, &space)
        s.counters.space_permille = space.permille
        s.space_looked_ns, s.space_written = now_ns, 0
        s.space_step = space.room // SPACE_STEPS
        if journal_wants_next(&s.journal):
            store32(&s.checkpoint.prepare, 1)
            bell_ring(&s.checkpoint.bell)


cdef void sequencer_run(cc_shared *s) noexcept nogil:
    cdef cc_flight *f
    store32(&s.running, 1)
    while load32(&s.stop) == 0:
        stand_still(s)
        look_at_space(s, monotonic_ns())
        if may_decide(s):
            f = flight_next(s)
            if flight_decide(s, f):
                flight_send(s)
            if flights_trail(s) and not work_waits(s):
                flights_settle(s)
            between_blocks(s)
        elif flights_trail(s):
            flights_settle(s)
        elif not between_blocks(s):
            note_drained(s)
            sleep_until_work(s)
    flights_await(s)
    store32(&s.commit_stop, 1)
    bell_ring(&s.commit_bell)
    store32(&s.running, 0)
