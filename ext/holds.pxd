"""Reservations."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.dues cimport due_push, find_hold
from ext.records cimport (
    CC_F_COUNTS_DAY, CC_F_COUNTS_MEAL, CC_F_WATER, CC_HS_EXPIRED, CC_HS_GREY, CC_HS_HELD, cc_hold,
    cc_record,
)
from ext.rows cimport drop, put8, touch_hold
from ext.tables cimport CC_DUE_HOLD, cc_tables


cdef inline bint hold_room(const cc_tables *t) noexcept nogil:
    return t.hold_free > 0 or t.holds <= t.holds_max


cdef inline void hold_open(cc_tables *t, const cc_record *r) noexcept nogil:
    """The row of a HOLD record; entering it twice changes nothing."""
    cdef uint32_t row = find_hold(t, r.seq)
    cdef cc_hold *h
    if row == 0:
        if t.hold_free > 0:
            t.hold_free -= 1
            row = t.hold_stack[t.hold_free]
        else:
            row = t.holds
            t.holds += 1
        h = touch_hold(t, row)
        h.seq = r.seq
        put8(&t.hold_index, r.seq, row)
    h = touch_hold(t, row)
    h.amount = r.body.money.amount
    h.due_s = r.body.money.credit_after
    h.account, h.medium, h.merchant, h.terminal = r.account, r.medium, r.merchant, r.terminal
    h.water = 1 if r.flags & CC_F_WATER else 0
    h.card_counter = r.aux if h.water else 0
    h.day_key, h.meal_key = r.body.money.day_key, r.body.money.meal_key
    h.counts = (1 if r.flags & CC_F_COUNTS_DAY else 0) | (2 if r.flags & CC_F_COUNTS_MEAL else 0)
    h.state = CC_HS_HELD
    due_push(t, CC_DUE_HOLD, h.due_s, h.seq)


cdef inline void hold_close(cc_tables *t, uint64_t seq) noexcept nogil:
    """Free the row of a hold, if it is there."""
    cdef uint32_t row = find_hold(t, seq)
    cdef uint32_t stamp
    cdef cc_hold *h
    if row == 0:
        return
    h = touch_hold(t, row)
    drop(&t.hold_index, <const uint8_t *>t.hold, sizeof(cc_hold), row, False)
    stamp = h.stamp
    memset(h, 0, sizeof(cc_hold))
    h.stamp = stamp
    t.hold_stack[t.hold_free] = row
    t.hold_free += 1


cdef inline void hold_expire(cc_tables *t, uint64_t seq, int64_t retire_s) noexcept nogil:
    cdef uint32_t row = find_hold(t, seq)
    cdef cc_hold *h
    if row == 0:
        return
    h = touch_hold(t, row)
    h.state = CC_HS_EXPIRED
    h.due_s = retire_s
    due_push(t, CC_DUE_HOLD, retire_s, seq)


cdef inline void hold_grey(cc_tables *t, uint64_t seq) noexcept nogil:
    cdef uint32_t row = find_hold(t, seq)
    if row != 0:
        touch_hold(t, row).state = CC_HS_GREY
