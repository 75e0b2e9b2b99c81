"""From a decided block to its answers (see committer.pxd)."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ext.atomics cimport (
    bell_arm, bell_disarm, bell_ring, bell_wait, fence, load32, load64, monotonic_ns, sleep_ns,
    store32, store64,
)
from ext.blocks cimport BLOCK_OK, block_seal
from ext.committer cimport flight_next, flight_of, flights_landed, may_commit
from ext.feed cimport outbox_release
from ext.jobs cimport cc_job, lane_put
from ext.journal cimport cc_fatal, journal_append, journal_settle
from ext.ring cimport ring_depth
from ext.shared cimport (
    CC_SIZE_CLASSES, CC_SPACE_ALARM, CC_TIME_CLASSES, cc_flight, cc_shared, cc_stand,
)
from ext.tables cimport cc_tables

cdef extern from "sabotage.h" nogil:
    bint sabotaged "cc_sabotaged"(const char *what) noexcept

cdef enum:
    SABOTAGE_NS = 3000000        # long enough for an answer to be on its way
    SETTLE_FROM = 1024           # commands waiting take longer to decide than a sync does


# ---- one block ----

cdef inline uint32_t class_of(uint64_t value, uint32_t classes) noexcept nogil:
    """Index of the power of two a value reaches: 1 -> 0, 2..3 -> 1, 4..7 -> 2."""
    cdef uint32_t at = 0
    while value > 1 and at < classes - 1:
        value >>= 1
        at += 1
    return at


cdef void take_stand(const cc_tables *t, cc_stand *at) noexcept nogil:
    at.seq, at.time_us = t.applied_seq, t.time_us
    at.date, at.rules = t.business_date, t.rule_version
    at.state_lo, at.state_hi = t.state_lo, t.state_hi


cdef void tell_head(cc_shared *s, const cc_stand *at, const uint8_t *chain) noexcept nogil:
    """Publish the newest block for head(): its readers try again while the generation is odd."""
    store32(&s.generation, s.generation + 1)
    fence()
    s.decided_seq, s.decided_us = at.seq, at.time_us
    s.decided_date, s.decided_rules = at.date, at.rules
    s.state_lo, s.state_hi = at.state_lo, at.state_hi
    memcpy(s.head_chain, chain, 32)
    fence()
    store32(&s.generation, s.generation + 1)


cdef void count_commit(cc_shared *s, const cc_flight *f) noexcept nogil:
    s.counters.hash_ns += f.seal_ns
    s.counters.commit_ns += f.append_ns
    s.counters.blocks += 1
    s.counters.records += f.block.n
    s.counters.block_sizes[class_of(f.block.n, CC_SIZE_CLASSES)] += 1
    s.counters.commit_us[class_of(<uint64_t>(f.append_ns // 1000), CC_TIME_CLASSES)] += 1


cdef void count_ways(cc_shared *s, const cc_flight *f, int64_t released_ns) noexcept nogil:
    """Every answer of a block waits for all of it. What is not deciding or hashing is commit."""
    cdef uint64_t n = f.answers.n
    cdef int64_t commit_ns = released_ns - f.began_ns - f.decide_ns - f.seal_ns
    s.counters.released += n
    s.counters.in_decide_ns += n * <uint64_t>f.decide_ns
    s.counters.in_hash_ns += n * <uint64_t>f.seal_ns
    s.counters.in_commit_ns += n * <uint64_t>max(<int64_t>0, commit_ns)


cdef void seal(cc_shared *s, cc_flight *f) noexcept nogil:
    """Number, sum and chain the block; the block before it is sealed."""
    cdef int64_t began = monotonic_ns()
    cdef int rc
    f.seal_ns = 0
    if f.block.n != 0:
        rc = block_seal(
            &f.block, s.chain, f.stand.state_lo, f.stand.state_hi, s.sha, &f.trailer, f.part)
        if rc != BLOCK_OK:
            cc_fatal(b"sealing a block failed", rc)
        memcpy(s.chain, f.trailer.chain, 32)
        f.seal_ns = monotonic_ns() - began
        s.seal_ns_each = f.seal_ns // f.block.n
    store64(&s.sealed, s.sealed + 1)


cdef void append(cc_shared *s, cc_flight *f) noexcept nogil:
    """Commit the sealed block. On any doubt, stop: nobody knows what is on the disk."""
    cdef int64_t began = monotonic_ns()
    cdef int rc
    s.append_until_ns = began + f.append_ns
    rc = journal_append(&s.journal, &f.block.head, f.part)
    if rc != 0:
        cc_fatal(s.journal.fault.what, rc)
    f.append_ns = monotonic_ns() - began
    count_commit(s, f)


cdef void release(cc_shared *s, cc_flight *f) noexcept nogil:
    """The block is durable: say so, let its answers go, send the reader what it may now read."""
    cdef int64_t began = monotonic_ns()
    cdef cc_job *job = f.jobs_first
    cdef cc_job *next
    if f.block.n != 0:
        store64(&s.acknowledged_seq, f.block.head.last_seq)
        tell_head(s, &f.stand, f.trailer.chain)
    count_ways(s, f, began)
    outbox_release(&f.answers, began)
    if job != NULL:
        while job != NULL:
            next = job.next
            lane_put(&s.jobs.to_reader, job)
            job = next
        f.jobs_first = f.jobs_last = NULL
        bell_ring(&s.reader_bell)
    f.ended_ns = monotonic_ns()
    s.counters.answer_ns += f.ended_ns - began
    s.counters.slowest_block_ns = max(s.counters.slowest_block_ns, f.ended_ns - f.began_ns)


# ---- one after another ----

cdef bint durable(const cc_shared *s, const cc_flight *f) noexcept nogil:
    """A block without records was nothing to sync: it goes when the one before it has gone."""
    return f.block.n == 0 or f.block.head.last_seq <= s.journal.durable_seq


cdef void land(cc_shared *s) noexcept nogil:
    """Release, oldest first, what the journal's last sync has covered."""
    while s.landed != s.committed and durable(s, flight_of(s, s.landed)):
        release(s, flight_of(s, s.landed))
        store64(&s.landed, s.landed + 1)


cdef void commit_next(cc_shared *s) noexcept nogil:
    cdef cc_flight *f = flight_of(s, s.committed)
    if sabotaged(b"answer-before-commit"):
        release(s, f)
        sleep_ns(SABOTAGE_NS)
    if s.sealed == s.committed:
        seal(s, f)
    if f.block.n != 0:
        append(s, f)
    store64(&s.committed, s.committed + 1)
    land(s)


cdef void flights_settle(cc_shared *s) noexcept nogil:
    cdef int64_t began
    cdef int rc
    if s.landed == s.committed:
        return
    began = monotonic_ns()
    rc = journal_settle(&s.journal)
    if rc != 0:
        cc_fatal(s.journal.fault.what, rc)
    s.counters.commit_ns += monotonic_ns() - began
    s.counters.syncs += 1
    land(s)


# ---- who decides ----

cdef void flight_carry(cc_shared *s) noexcept nogil:
    s.filled += 1
    commit_next(s)
    flights_settle(s)


cdef bint time_to_seal(const cc_shared *s, const cc_flight *f) noexcept nogil:
    """Whether who decides can seal the block before the committer would come to it."""
    return (
        load64(&s.sealed) == s.filled
        and monotonic_ns() + f.block.n * s.seal_ns_each < s.append_until_ns
    )


cdef void flight_send(cc_shared *s) noexcept nogil:
    cdef cc_flight *f = flight_of(s, s.filled)
    cdef bint small = f.block.n < s.overlap_from and ring_depth(&s.ring) < s.overlap_from
    if s.counters.space_permille >= CC_SPACE_ALARM:
        # What is left is measured between blocks: with none under way nothing is left out.
        flights_await(s)
        small = True
    if small and may_commit(s):
        s.filled += 1
        commit_next(s)
        return
    if not may_commit(s) and time_to_seal(s, f):
        seal(s, f)
    s.filled += 1
    store64(&s.handed, s.filled)
    bell_ring(&s.commit_bell)


cdef cc_flight *flight_await(cc_shared *s) noexcept nogil:
    while flight_next(s) == NULL:
        if may_commit(s):
            flights_settle(s)
            continue
        bell_arm(&s.ring.bell)
        if flight_next(s) == NULL and not may_commit(s):
            bell_wait(&s.ring.bell, -1)
        bell_disarm(&s.ring.bell)
    return flight_next(s)


cdef void flights_await(cc_shared *s) noexcept nogil:
    while not flights_landed(s):
        if may_commit(s):
            flights_settle(s)
            continue
        bell_arm(&s.ring.bell)
        if not flights_landed(s) and not may_commit(s):
            bell_wait(&s.ring.bell, -1)
        bell_disarm(&s.ring.bell)


# ---- the committer's thread ----

cdef bint nobody_brings_a_sync(cc_shared *s) noexcept nogil:
    """Whether a block committed last would wait longer for the next commit than for a sync."""
    cdef uint64_t depth = ring_depth(&s.ring)
    if load32(&s.ring.bell.asleep) != 0:
        return depth == 0
    return depth >= SETTLE_FROM


cdef void carry_handed(cc_shared *s) noexcept nogil:
    """Commit the next flight; behind the last one, the sequencer commits again."""
    cdef uint64_t handed
    commit_next(s)
    handed = load64(&s.handed)
    if s.committed == handed:
        if nobody_brings_a_sync(s):
            flights_settle(s)
        store64(&s.returned, handed)
    bell_ring(&s.ring.bell)


cdef void committer_run(cc_shared *s) noexcept nogil:
    while True:
        if load64(&s.handed) != s.returned:
            carry_handed(s)
            continue
        if load32(&s.commit_stop) != 0:
            return
        bell_arm(&s.commit_bell)
        if load64(&s.handed) == s.returned and load32(&s.commit_stop) == 0:
            bell_wait(&s.commit_bell, -1)
        bell_disarm(&s.commit_bell)
