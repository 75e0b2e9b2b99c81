"""Redoing the journal, two threads side by side.

Checking a block (CRCs, SHA-256) and applying it cost about the same, and the second never looks at
a block before the first has found it sound.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ext.apply cimport apply_record, known_type
from ext.atomics cimport (
    bell_arm, bell_disarm, bell_ring, bell_wait, cpu_pause, load32, load64, prefetch, store32,
    store64,
)
from ext.blocks cimport (
    BLOCK_OK, block_check, block_finding, block_header, block_records, block_trailer,
)
from ext.blocktime cimport replay_begin, replay_end
from ext.digest cimport sha256_free, sha256_new
from ext.dues cimport find_scheduled
from ext.holds cimport hold_room
from ext.journal cimport (
    JOURNAL_DAMAGED, JOURNAL_END, cc_reader, reader_close, reader_next, reader_open,
)
from ext.keys cimport key_place
from ext.records cimport (
    CC_TERMINAL_SEQ_MAX, CC_T_ACCOUNT, CC_T_HOLD, CC_T_SCHEDULED, cc_block_header, cc_record,
)
from ext.rows cimport state_hash_full
from ext.schedules cimport schedule_room
from ext.tables cimport cc_tables

cdef enum:
    AHEAD = 8                    # records whose rows are fetched before their turn
    SPINS = 1000                 # looks before sleeping: some microseconds


# ---- checking ----

cdef int check_one(
    cc_replay *p, const uint8_t *block, size_t length, uint8_t *chain, int64_t *time_us, void *sha,
) noexcept nogil:
    cdef int rc = block_check(
        block, length, load64(&p.checked_seq) + 1, chain, sha, &p.bad_seq)
    if rc != BLOCK_OK:
        p.finding = block_finding(rc)
        return JOURNAL_DAMAGED
    if block_header(block).time_us < time_us[0]:
        p.bad_seq, p.finding = block_header(block).first_seq, b"time goes back"
        return REPLAY_TIME
    time_us[0] = block_header(block).time_us
    memcpy(chain, block_trailer(block).chain, 32)
    return 0


cdef void replay_check(cc_replay *p) noexcept nogil:
    """The checking thread's body: from from_seq to to_seq, or to the first thing wrong."""
    cdef cc_reader r
    cdef const uint8_t *block
    cdef size_t length
    cdef uint8_t chain[32]
    cdef int64_t time_us = p.tables.time_us
    cdef void *sha = sha256_new()
    cdef int rc = 0
    memcpy(chain, p.chain, 32)
    reader_open(&r, p.journal)
    r.next_seq = p.from_seq + 1
    store64(&p.checked_seq, p.from_seq)
    while rc == 0 and load64(&p.checked_seq) < p.to_seq and load32(&p.stop) == 0:
        rc = reader_next(&r, &block, &length)
        if rc == JOURNAL_DAMAGED:
            p.bad_seq, p.finding = r.bad_seq, r.finding
        elif rc == JOURNAL_END:
            p.bad_seq, p.finding = load64(&p.checked_seq) + 1, b"block missing"
        elif rc == 0:
            rc = check_one(p, block, length, chain, &time_us, sha)
        if rc == 0:
            store64(&p.checked_seq, block_header(block).last_seq)
            bell_ring(&p.bell)
    reader_close(&r)
    sha256_free(sha)
    p.check_rc = rc
    store32(&p.checked_all, 1)
    bell_ring(&p.bell)


# ---- applying ----

cdef inline void fetch_rows(cc_tables *t, const cc_record *r) noexcept nogil:
    """Ask for the rows a record will touch; numbers are of a record whose CRC was right."""
    if r.account <= t.accounts_max:
        prefetch(&t.account[r.account])
    if r.terminal != 0 and r.type < CC_T_ACCOUNT and r.terminal <= t.terminals_max:
        prefetch(&t.keys[key_place(r.terminal, r.batch_no, r.terminal_seq & CC_TERMINAL_SEQ_MAX)])


cdef bint fits(const cc_tables *t, const cc_record *r) noexcept nogil:
    """Whether the record's rows are within the tables, which may have been opened smaller."""
    return (
        r.account <= t.accounts_max and r.medium <= t.media_max
        and r.merchant <= t.merchants_max and r.terminal <= t.terminals_max
        and t.undos <= t.undos_max and (r.type != CC_T_HOLD or hold_room(t))
        and (r.type != CC_T_SCHEDULED or schedule_room(t) > 0 or find_scheduled(t, r.seq) != 0)
    )


cdef int stopped_at(cc_replay *p, uint64_t seq, const char *finding, int rc) noexcept nogil:
    p.bad_seq, p.finding = seq, finding
    return rc


cdef int compare_state(cc_replay *p, const uint8_t *block) noexcept nogil:
    """The tables' hash against the one the block was sealed with.

    Until every row has had its turn the running hash means nothing; there it is computed anew.
    """
    cdef cc_tables *t = p.tables
    cdef uint64_t last = block_header(block).last_seq
    if last < p.even_from:
        return 0
    if last == p.even_from:
        state_hash_full(t, &t.state_lo, &t.state_hi)
    if block_trailer(block).state_lo != t.state_lo or block_trailer(block).state_hi != t.state_hi:
        return stopped_at(p, last, b"state hash", REPLAY_STATE)
    return 0


cdef int apply_block(cc_replay *p, const uint8_t *block) noexcept nogil:
    cdef cc_tables *t = p.tables
    cdef const cc_block_header *head = block_header(block)
    cdef const cc_record *record = block_records(block)
    cdef uint32_t i
    replay_begin(t, head)
    for i in range(min(<uint32_t>AHEAD, head.count)):
        fetch_rows(t, &record[i])
    for i in range(head.count):
        if i + AHEAD < head.count:
            fetch_rows(t, &record[i + AHEAD])
        if not known_type(record[i].type):
            return stopped_at(
                p, record[i].seq, b"a record of a type this version does not know", REPLAY_TYPE)
        if not fits(t, &record[i]):
            return stopped_at(p, record[i].seq, b"a row beyond the configured maximum", REPLAY_ROOM)
        apply_record(t, &record[i])
    replay_end(t)
    p.records += head.count
    memcpy(p.chain, block_trailer(block).chain, 32)
    return compare_state(p, block)


cdef bint await_checked(cc_replay *p, uint64_t seq) noexcept nogil:
    """Wait until the block that holds seq is found sound; False when it never will be.

    Small blocks come faster than a thread can sleep and wake, so it looks a while first.
    """
    cdef int _look
    for _look in range(SPINS):
        if load64(&p.checked_seq) >= seq:
            return True
        cpu_pause()
    while load64(&p.checked_seq) < seq:
        if load32(&p.checked_all) != 0:
            return load64(&p.checked_seq) >= seq
        bell_arm(&p.bell)
        if load64(&p.checked_seq) < seq and load32(&p.checked_all) == 0:
            bell_wait(&p.bell, -1)
        bell_disarm(&p.bell)
    return True


cdef void replay_apply(cc_replay *p) noexcept nogil:
    """The applying thread's body. Leaves the first thing wrong in rc, bad_seq and finding."""
    cdef cc_reader r
    cdef const uint8_t *block
    cdef size_t length
    cdef uint64_t at = p.from_seq
    cdef int rc = 0
    reader_open(&r, p.journal)
    r.next_seq = at + 1
    while rc == 0 and at < p.to_seq and await_checked(p, at + 1):
        rc = reader_next(&r, &block, &length)
        if rc == 0:
            at = block_header(block).last_seq
            rc = apply_block(p, block)
    reader_close(&r)
    p.rc = rc
    store32(&p.stop, 1)
