"""From a decided block to its answers (see committer.pxd)."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ext.atomics cimport (
    bell_arm, bell_disarm, bell_ring, bell_wait, fence, load32, monotonic_ns, sleep_ns, store32,
    store64,
)
from ext.blocks cimport BLOCK_OK, block_seal
from ext.feed cimport outbox_release
from ext.jobs cimport cc_job, lane_put
from ext.journal cimport cc_fatal, journal_append
from ext.ring cimport ring_depth
from ext.shared cimport (
    CC_FLIGHTS, CC_SIZE_CLASSES, CC_SPACE_ALARM, CC_TIME_CLASSES, cc_flight, cc_shared, cc_stand,
)
from ext.tables cimport cc_tables

cdef extern from "sabotage.h" nogil:
    bint sabotaged "cc_sabotaged"(const char *what) noexcept

cdef enum:
    SABOTAGE_NS = 3000000        # long enough for an answer to be on its way


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


cdef void tell_head(cc_shared *s, const cc_stand *at) noexcept nogil:
    """Publish the newest block for head(): its readers try again while the generation is odd."""
    store32(&s.generation, s.generation + 1)
    fence()
    s.decided_seq, s.decided_us = at.seq, at.time_us
    s.decided_date, s.decided_rules = at.date, at.rules
    s.state_lo, s.state_hi = at.state_lo, at.state_hi
    memcpy(s.head_chain, s.chain, 32)
    fence()
    store32(&s.generation, s.generation + 1)


cdef void count_commit(cc_shared *s, const cc_flight *f) noexcept nogil:
    cdef int64_t took = f.seal_ns + f.append_ns
    s.counters.commit_ns += took
    s.counters.blocks += 1
    s.counters.records += f.block.n
    s.counters.block_sizes[class_of(f.block.n, CC_SIZE_CLASSES)] += 1
    s.counters.commit_us[class_of(<uint64_t>(took // 1000), CC_TIME_CLASSES)] += 1


cdef void flight_commit(cc_shared *s, cc_flight *f) noexcept nogil:
    """Seal the block and append it. On any doubt, stop: nobody knows what is on the disk."""
    cdef int64_t began = monotonic_ns(), sealed
    cdef int rc
    f.seal_ns = f.append_ns = 0
    if f.block.n == 0:
        return
    rc = block_seal(
        &f.block, s.chain, f.stand.state_lo, f.stand.state_hi, s.sha, &f.trailer, f.part)
    if rc != BLOCK_OK:
        cc_fatal(b"sealing a block failed", rc)
    sealed = monotonic_ns()
    rc = journal_append(&s.journal, &f.block.head, f.part)
    if rc != 0:
        cc_fatal(s.journal.fault.what, rc)
    memcpy(s.chain, f.trailer.chain, 32)
    tell_head(s, &f.stand)
    f.seal_ns, f.append_ns = sealed - began, monotonic_ns() - sealed
    count_commit(s, f)


cdef void flight_release(cc_shared *s, cc_flight *f) noexcept nogil:
    """The block is durable: say so, let its answers go, send the reader what it may now read."""
    cdef int64_t began = monotonic_ns()
    cdef cc_job *job = f.jobs_first
    cdef cc_job *next
    if f.block.n != 0:
        store64(&s.acknowledged_seq, f.block.head.last_seq)
    outbox_release(&f.answers)
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


cdef void carry(cc_shared *s, cc_flight *f) noexcept nogil:
    if sabotaged(b"answer-before-commit"):
        flight_release(s, f)
        sleep_ns(SABOTAGE_NS)
    flight_commit(s, f)
    flight_release(s, f)


# ---- who decides ----

cdef cc_flight *flight_next(cc_shared *s) noexcept nogil:
    cdef cc_flight *f = &s.flight[s.deciding]
    return f if load32(&f.handed) == 0 else NULL


cdef bint flights_landed(const cc_shared *s) noexcept nogil:
    cdef int i
    for i in range(CC_FLIGHTS):
        if load32(&s.flight[i].handed) != 0:
            return False
    return True


cdef void flight_send(cc_shared *s, cc_flight *f) noexcept nogil:
    """Commit a filled flight, in its turn; when this returns it may not be durable yet."""
    cdef bint small = f.block.n < s.overlap_from and ring_depth(&s.ring) < s.overlap_from
    if s.counters.space_permille >= CC_SPACE_ALARM:
        # What is left is measured between blocks: with none under way nothing is left out.
        flights_await(s)
        small = True
    if small and flights_landed(s):
        carry(s, f)
        return
    s.deciding = (s.deciding + 1) % CC_FLIGHTS
    store32(&f.handed, 1)
    bell_ring(&s.commit_bell)


cdef cc_flight *flight_await(cc_shared *s) noexcept nogil:
    cdef cc_flight *f = &s.flight[s.deciding]
    while load32(&f.handed) != 0:
        bell_arm(&s.ring.bell)
        if load32(&f.handed) != 0:
            bell_wait(&s.ring.bell, -1)
        bell_disarm(&s.ring.bell)
    return f


cdef void flights_await(cc_shared *s) noexcept nogil:
    while not flights_landed(s):
        bell_arm(&s.ring.bell)
        if not flights_landed(s):
            bell_wait(&s.ring.bell, -1)
        bell_disarm(&s.ring.bell)


# ---- the committer's thread ----

cdef void committer_run(cc_shared *s) noexcept nogil:
    cdef cc_flight *f
    while True:
        f = &s.flight[s.committing]
        if load32(&f.handed) != 0:
            carry(s, f)
            s.committing = (s.committing + 1) % CC_FLIGHTS
            store32(&f.handed, 0)
            bell_ring(&s.ring.bell)
            continue
        if load32(&s.commit_stop) != 0:
            return
        bell_arm(&s.commit_bell)
        if load32(&f.handed) == 0 and load32(&s.commit_stop) == 0:
            bell_wait(&s.commit_bell, -1)
        bell_disarm(&s.commit_bell)
