"""Where the engine stands, for head(), stats() and tests.

Counters are read while the sequencer writes them: each is whole, together they may be of two
blocks. Where that will not do, head's fields have a generation, and sums and dumps over rows let
the sequencer stand still between two blocks.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ext.atomics cimport bell_ring, fence, load32, load64, monotonic_ns, sleep_ns, store32
from ext.journal cimport cc_space, journal_space, journal_words
from ext.records cimport (
    CC_CATEGORIES, CC_TABLE_ACCOUNT, CC_TABLE_COLD, CC_TABLE_HOLD, CC_TABLE_KEYS, CC_TABLE_LEDGER,
    CC_TABLE_MEDIUM, CC_TABLE_MERCHANT, CC_TABLE_REQUEST, CC_TABLE_RULES, CC_TABLE_SCHEDULED,
    CC_TABLE_TERMINAL, CC_TABLE_UNDO, CC_TERMINAL_SEQ_MAX, CC_W_SYSTEM_LAST, cc_account,
    cc_account_cold, cc_hold, cc_key, cc_ledger, cc_meals_body, cc_medium, cc_merchant, cc_request,
    cc_rules_body, cc_scheduled, cc_terminal, cc_undo,
)
from ext.ring cimport ring_depth
from ext.rows cimport ledger_sum as sum_of_rows
from ext.shared cimport (
    CC_REASONS_COUNTED, CC_SIZE_CLASSES, CC_SPACE_ALARM, CC_TIME_CLASSES, cc_counters, cc_shared,
)
from ext.tables cimport cc_tables

from ext.errors import EngineError

cdef enum:
    STAND_POLL_NS = 200000
    SUM_WAIT_NS = 250000000

DUMP_WAIT_NS = 60_000_000_000

ctypedef struct cc_packed_key:   # an entry of state_dump(KEYS)
    uint32_t terminal, batch_no, terminal_seq, spare
    cc_key key


cdef dict head_of(cc_shared *s, bint test):
    """The newest block, its fields all of one block."""
    cdef uint64_t seq
    cdef uint64_t state[2]
    cdef int64_t time_us
    cdef uint32_t date, rules, generation
    cdef uint8_t chain[32]
    with nogil:
        while True:
            generation = load32(&s.generation)
            fence()
            seq, time_us = s.decided_seq, s.decided_us
            date, rules = s.decided_date, s.decided_rules
            state[0], state[1] = s.state_lo, s.state_hi
            memcpy(chain, s.head_chain, 32)
            fence()
            if generation & 1 == 0 and load32(&s.generation) == generation:
                break
    return {
        "decided_seq": seq,
        "acknowledged_seq": load64(&s.acknowledged_seq),
        "checkpoint_seq": load64(&s.checkpoint.complete_seq),
        "rule_version": rules,
        "time_us": time_us,
        "business_date": date,
        "chain": (<char *>chain)[:32],
        "state_hash": (<char *>state)[:16],
        "test": bool(test),
    }


cdef dict stats_of(cc_shared *s, object ledger_sum):
    cdef cc_counters *c = &s.counters
    cdef cc_space space
    journal_space(&s.journal, &space)
    return {
        "queue_depth": ring_depth(&s.ring),
        "blocks": c.blocks,
        "records": c.records,
        "commands": c.commands,
        "replays": c.replays,
        "decide_ns": c.decide_ns,
        "hash_ns": c.hash_ns,
        "commit_ns": c.commit_ns,
        "answer_ns": c.answer_ns,
        "syncs": c.syncs,
        "taken": c.taken,
        "queue_ns": c.queue_ns,
        "released": c.released,
        "in_decide_ns": c.in_decide_ns,
        "in_hash_ns": c.in_hash_ns,
        "in_commit_ns": c.in_commit_ns,
        "commit": "pipelined" if s.journal.pipelined else "full",
        "slowest_block_ns": max(c.slowest_block_ns, s.checkpoint.slowest_step_ns),
        "block_sizes": [c.block_sizes[i] for i in range(CC_SIZE_CLASSES)],
        "commit_us": [c.commit_us[i] for i in range(CC_TIME_CLASSES)],
        "declines": {i: c.declines[i] for i in range(CC_REASONS_COUNTED) if c.declines[i]},
        "map_used": space.map_used,
        "map_size": space.map_size,
        "space_used_permille": c.space_permille,
        "space_alarm": c.space_permille >= CC_SPACE_ALARM,
        "checkpoint_age_records": s.decided_seq - load64(&s.checkpoint.complete_seq),
        "checkpoint_error": <int>load32(&s.checkpoint.failed),
        "segment_error": <int>load32(&s.checkpoint.prepare_failed),
        "memory_locked": bool(s.ring.locked),
        "queue_bytes": s.ring.bytes,
        "ledger_sum": ledger_sum,
    }


cdef str words(uint32_t failed):
    return (<bytes>journal_words(<int>failed)).decode(errors="replace") if failed else ""


cdef dict faults_of(cc_shared *s):
    return {
        "checkpoint": words(load32(&s.checkpoint.failed)),
        "segment": words(load32(&s.checkpoint.prepare_failed)),
        "space_permille": s.counters.space_permille,
    }


# ---- with the sequencer standing still ----

cdef uint32_t pauses = 0         # so that none takes another's answer for its own


cdef bint stand(cc_shared *s, int64_t most_ns) except -1:
    """Let the sequencer stop between two blocks; `walk` lets it go on. One caller at a time.

    False: it has not in that time, as while a sync of the journal hangs.
    """
    global pauses
    cdef int64_t ends = monotonic_ns() + most_ns
    cdef uint32_t asked
    if load32(&s.running) == 0:
        return True
    pauses = max(<uint32_t>1, pauses + 1)
    asked = pauses
    store32(&s.pause, asked)
    bell_ring(&s.ring.bell)
    while load32(&s.paused) != asked and load32(&s.running) != 0:
        if monotonic_ns() >= ends:
            walk(s)
            return False
        with nogil:
            sleep_ns(STAND_POLL_NS)
    return True


cdef void walk(cc_shared *s) noexcept:
    store32(&s.pause, 0)
    bell_ring(&s.ring.bell)


cdef object ledger_sum_of(cc_shared *s):
    """The sum over all balances; 0, or the books are wrong. None: nobody stood still for it."""
    cdef int64_t total
    if not stand(s, SUM_WAIT_NS):
        return None
    with nogil:
        total = sum_of_rows(&s.tables)
    walk(s)
    return total


cdef dict next_rows_of(cc_shared *s):
    return {
        "account": s.tables.accounts,
        "medium": s.tables.media,
        "merchant": s.tables.merchants,
        "terminal": s.tables.terminals,
    }


cdef bytes rows_dump(const void *rows, size_t stride, uint32_t n, bint stamped):
    """Rows 0 .. n - 1; stamps are volatile and left out as zeros."""
    cdef bytearray out = bytearray((<const char *>rows)[:stride * n])
    cdef uint8_t[::1] view = out
    cdef uint32_t i
    if stamped:
        for i in range(n):
            memset(&view[stride * i + stride - 4], 0, 4)
    return bytes(out)


cdef bytes keys_dump(const cc_tables *t):
    """The entries in use, packed as cc_packed_key, by terminal, slot and number."""
    cdef cc_packed_key entry
    cdef size_t slot
    cdef int seq
    cdef list out = []
    memset(&entry, 0, sizeof(entry))
    for slot in range(2, <size_t>t.terminals * 2):
        entry.terminal = <uint32_t>(slot >> 1)
        entry.batch_no = t.terminal[slot >> 1].batch_no
        if (entry.batch_no & 1) != (slot & 1):
            entry.batch_no = t.terminal[slot >> 1].prev_batch_no
        if entry.batch_no == 0:
            continue
        for seq in range(CC_TERMINAL_SEQ_MAX + 1):
            entry.key = t.keys[slot << 16 | seq]
            if entry.key.seq_state != 0:
                entry.terminal_seq = <uint32_t>seq
                out.append((<char *>&entry)[:sizeof(entry)])
    return b"".join(out)


cdef bytes dump(const cc_tables *t, uint32_t table):
    if table == CC_TABLE_ACCOUNT:
        return rows_dump(t.account, sizeof(cc_account), t.accounts, True)
    if table == CC_TABLE_COLD:
        return rows_dump(t.cold, sizeof(cc_account_cold), t.accounts, True)
    if table == CC_TABLE_MEDIUM:
        return rows_dump(t.medium, sizeof(cc_medium), t.media, True)
    if table == CC_TABLE_MERCHANT:
        return rows_dump(t.merchant, sizeof(cc_merchant), t.merchants, True)
    if table == CC_TABLE_TERMINAL:
        return rows_dump(t.terminal, sizeof(cc_terminal), t.terminals, True)
    if table == CC_TABLE_HOLD:
        return rows_dump(t.hold, sizeof(cc_hold), t.holds, True)
    if table == CC_TABLE_UNDO:
        return rows_dump(t.undo, sizeof(cc_undo), t.undos, True)
    if table == CC_TABLE_LEDGER:
        return rows_dump(t.ledger, sizeof(cc_ledger), CC_W_SYSTEM_LAST + 1, True)
    if table == CC_TABLE_REQUEST:
        return rows_dump(t.request, sizeof(cc_request), t.requests, False)
    if table == CC_TABLE_SCHEDULED:
        return rows_dump(t.scheduled, sizeof(cc_scheduled), t.schedules, True)
    if table == CC_TABLE_KEYS:
        return keys_dump(t)
    if table == CC_TABLE_RULES:
        return (
            (<const char *>&t.rules)[:sizeof(cc_rules_body)]
            + (<const char *>&t.meals)[:sizeof(cc_meals_body)]
            + (<const char *>t.category)[:CC_CATEGORIES]
        )
    raise ValueError(f"table {table} has no rows to dump")


cdef bytes table_dump(cc_shared *s, uint32_t table):
    """Rows of a table as they stand between two blocks."""
    if not stand(s, DUMP_WAIT_NS):
        raise EngineError("the sequencer does not stand still: the journal's disk hangs")
    try:
        return dump(&s.tables, table)
    finally:
        walk(s)
