"""Where a block begins and ends: its time, its due list, its state hash."""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from ext.apply cimport apply_record
from ext.due_effects cimport carry_out
from ext.dues cimport due_pop, due_push, due_stands, find_hold, find_scheduled
from ext.limits cimport SECONDS_A_DAY, business_day, local_seconds, meal_key_of
from ext.pins cimport fails_now
from ext.records cimport (
    CC_DUE_MAX, CC_F_DUE, CC_F_WATER, CC_HS_EXPIRED, CC_HS_FREE, CC_HS_GREY, CC_O_EFFECT,
    CC_PARTS_MAX, CC_T_ACCOUNT, CC_T_HOLD, CC_T_HOLD_EXPIRED, CC_T_HOLD_GREY, CC_T_HOLD_RETIRED,
    cc_account,
    cc_block_header, cc_hold, cc_medium, cc_record, cc_request, cc_scheduled, cc_terminal,
)
from ext.reserve cimport give_back, hold_flags
from ext.rows cimport next_stamp, put16, put8, touched_in
from ext.tables cimport CC_DUE_HOLD, CC_DUE_SCHEDULED, cc_block, cc_tables


cdef void set_time(cc_tables *t, int64_t time_us) noexcept nogil:
    """The block's time and what follows from it."""
    cdef int64_t local, business
    if time_us > t.time_us:
        t.time_us = time_us
    local = local_seconds(t, t.time_us)
    t.today = <uint16_t>(local // SECONDS_A_DAY)
    business = business_day(t, local)
    if business > t.business_date:
        t.business_date = <uint32_t>business
    t.day_key = <uint16_t>t.business_date if t.rules.limit_day else t.today
    t.meal_key = meal_key_of(t, local)


cdef void due_record(cc_tables *t, cc_block *b, const cc_hold *h) noexcept nogil:
    """One deadline that has passed, as a record: expiry, greyness or retirement."""
    cdef cc_record *r = &b.records[b.n]
    cdef cc_account *a = &t.account[h.account]
    memset(r, 0, sizeof(cc_record))
    r.seq = t.applied_seq + 1
    r.part = r.parts = 1
    r.outcome = CC_O_EFFECT
    r.flags = CC_F_DUE | (CC_F_WATER if h.water else 0)
    r.account, r.medium, r.merchant, r.terminal = h.account, h.medium, h.merchant, h.terminal
    r.original_seq = h.seq
    r.prev_account_seq = a.last_seq
    r.body.money.debit_after = a.online
    r.body.money.held_after = a.held
    r.body.money.pin_fails = fails_now(t, h.account)
    r.body.money.day_key, r.body.money.meal_key = h.day_key, h.meal_key
    if h.state == CC_HS_EXPIRED:
        r.type = CC_T_HOLD_RETIRED
        give_back(a, r, 0)
    elif h.water:
        r.type = CC_T_HOLD_GREY
        give_back(a, r, 0)
    else:
        r.type = CC_T_HOLD_EXPIRED
        r.flags |= hold_flags(h)
        r.body.money.amount = h.amount
        r.body.money.held_after = a.held - h.amount
        r.body.money.credit_after = h.due_s + t.rules.late_capture_seconds
        give_back(a, r, h.amount)
    apply_record(t, r)
    b.n += 1


cdef void take_due(cc_tables *t, cc_block *b) noexcept nogil:
    """What is due becomes records, earliest first; behind a change of rules the block ends."""
    cdef uint32_t taken = 0
    cdef cc_scheduled waits
    cdef uint32_t room = b.max - CC_PARTS_MAX if b.max > CC_PARTS_MAX else 0
    while t.dues != 0 and taken < CC_DUE_MAX and b.n < room \
            and t.rule_version == b.head.rule_version:
        if not due_stands(t, &t.due[0]):
            due_pop(t)
            continue
        if t.due[0].due_s * 1000000 > t.time_us:
            return
        # Applying may push the hold's next deadline: the item taken is the stale one then.
        if t.due[0].what == CC_DUE_SCHEDULED:
            waits = t.scheduled[find_scheduled(t, t.due[0].seq)]
            carry_out(t, b, &waits)
        else:
            due_record(t, b, &t.hold[find_hold(t, t.due[0].seq)])
        taken += 1


cdef void begin_block(cc_tables *t, cc_block *b, int64_t now_us) noexcept nogil:
    next_stamp(t)
    set_time(t, now_us)
    b.n = 0
    b.payload_len = 0
    b.head.time_us = t.time_us
    b.head.business_date = t.business_date
    b.head.rule_version = t.block_rules = t.rule_version
    b.head.first_seq = t.applied_seq + 1
    take_due(t, b)


cdef int64_t moved(const cc_block *b) noexcept nogil:
    """Fen moved by the block's movements: for projections that count without decoding."""
    cdef int64_t total = 0
    cdef const cc_record *r
    cdef uint32_t i
    for i in range(b.n):
        r = &b.records[i]
        if r.type < CC_T_ACCOUNT and r.type != CC_T_HOLD and r.body.money.debit_wallet != 0:
            total += r.body.money.amount
    return total


cdef void end_block(cc_tables *t, cc_block *b) noexcept nogil:
    touched_in(t)
    b.head.debits = moved(b)
    if b.n != 0:
        t.blocks += 1


cdef int64_t next_due_us(const cc_tables *t) noexcept nogil:
    """Of the earliest item; a stale one only wakes the sequencer once for nothing."""
    return INT64_MAX if t.dues == 0 else t.due[0].due_s * 1000000


cdef void replay_begin(cc_tables *t, const cc_block_header *head) noexcept nogil:
    next_stamp(t)
    t.time_us = head.time_us
    t.business_date = head.business_date
    t.block_rules = head.rule_version


cdef void replay_end(cc_tables *t) noexcept nogil:
    touched_in(t)
    t.blocks += 1


cdef void index_holds(cc_tables *t) noexcept nogil:
    cdef uint32_t row
    t.dues = 0
    t.hold_free = 0
    for row in range(1, t.holds):
        if t.hold[row].state == CC_HS_FREE:
            t.hold_stack[t.hold_free] = row
            t.hold_free += 1
            continue
        put8(&t.hold_index, t.hold[row].seq, row)
        if t.hold[row].state != CC_HS_GREY:
            due_push(t, CC_DUE_HOLD, t.hold[row].due_s, t.hold[row].seq)


cdef void index_schedules(cc_tables *t) noexcept nogil:
    cdef uint32_t row
    t.schedule_free = 0
    for row in range(1, t.schedules):
        if t.scheduled[row].seq == 0:
            t.schedule_stack[t.schedule_free] = row
            t.schedule_free += 1
            continue
        put8(&t.schedule_index, t.scheduled[row].seq, row)
        due_push(t, CC_DUE_SCHEDULED, t.scheduled[row].body.due_s, t.scheduled[row].seq)


cdef void index_rebuild(cc_tables *t) noexcept nogil:
    cdef uint32_t row
    for row in range(1, t.media):
        if t.medium[row].state != 0:
            put16(
                &t.medium_index, <const uint8_t *>t.medium, sizeof(cc_medium),
                t.medium[row].key, row,
            )
    for row in range(1, t.terminals):
        if t.terminal[row].status != 0:
            put16(
                &t.terminal_index, <const uint8_t *>t.terminal, sizeof(cc_terminal),
                t.terminal[row].name, row,
            )
    for row in range(1, t.undos):
        if t.undo[row].original_seq != 0:
            put8(&t.undo_index, t.undo[row].original_seq, row)
    for row in range(1, t.requests):
        if t.request[row].seq != 0:
            put16(
                &t.request_index, <const uint8_t *>t.request, sizeof(cc_request),
                t.request[row].id, row,
            )
    index_holds(t)
    index_schedules(t)
