"""Reservations and the due list: everything that waits for a time."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.records cimport (
    CC_F_COUNTS_DAY, CC_F_COUNTS_MEAL, CC_F_WATER, CC_HS_EXPIRED, CC_HS_GREY, CC_HS_HELD, cc_hold,
    cc_record,
)
from ext.rows cimport drop, find8, put8, touch_hold
from ext.tables cimport cc_due, cc_tables


cdef inline uint32_t find_hold(const cc_tables *t, uint64_t seq) noexcept nogil:
    """Row of the hold named by its record's seq, 0 none."""
    return find8(&t.hold_index, <const uint8_t *>t.hold, sizeof(cc_hold), seq)


cdef inline bint due_before(const cc_due *a, const cc_due *b) noexcept nogil:
    return a.due_s < b.due_s or (a.due_s == b.due_s and a.seq < b.seq)


cdef inline void due_up(cc_tables *t, uint32_t at) noexcept nogil:
    cdef cc_due item = t.due[at]
    cdef uint32_t parent
    while at > 0:
        parent = (at - 1) >> 1
        if not due_before(&item, &t.due[parent]):
            break
        t.due[at] = t.due[parent]
        at = parent
    t.due[at] = item


cdef inline void due_down(cc_tables *t, uint32_t at) noexcept nogil:
    cdef cc_due item = t.due[at]
    cdef uint32_t child
    while True:
        child = 2 * at + 1
        if child >= t.dues:
            break
        if child + 1 < t.dues and due_before(&t.due[child + 1], &t.due[child]):
            child += 1
        if not due_before(&t.due[child], &item):
            break
        t.due[at] = t.due[child]
        at = child
    t.due[at] = item


cdef inline void due_pop(cc_tables *t) noexcept nogil:
    t.dues -= 1
    t.due[0] = t.due[t.dues]
    if t.dues != 0:
        due_down(t, 0)


cdef inline bint due_stands(const cc_tables *t, const cc_due *item) noexcept nogil:
    """Whether the hold is still there and waits for this time; captured ones leave stale items."""
    cdef uint32_t row = find_hold(t, item.seq)
    return row != 0 and t.hold[row].due_s == item.due_s and t.hold[row].state != CC_HS_GREY


cdef inline void due_compact(cc_tables *t) noexcept nogil:
    """Drop stale items; what stands is at most one a hold, so the list never outgrows its room."""
    cdef uint32_t i, n = 0
    for i in range(t.dues):
        if due_stands(t, &t.due[i]):
            t.due[n] = t.due[i]
            n += 1
    t.dues = n
    for i in range(n >> 1, 0, -1):
        due_down(t, i - 1)


cdef inline void due_push(cc_tables *t, int64_t due_s, uint64_t seq) noexcept nogil:
    if t.dues >= 2 * t.holds_max:
        due_compact(t)
    t.due[t.dues].due_s = due_s
    t.due[t.dues].seq = seq
    t.dues += 1
    due_up(t, t.dues - 1)


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
    due_push(t, h.due_s, h.seq)


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
    due_push(t, retire_s, seq)


cdef inline void hold_grey(cc_tables *t, uint64_t seq) noexcept nogil:
    cdef uint32_t row = find_hold(t, seq)
    if row != 0:
        touch_hold(t, row).state = CC_HS_GREY
