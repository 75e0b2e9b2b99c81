"""The due list: everything that waits for a time, holds and scheduled effects."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.records cimport CC_HS_GREY, cc_hold, cc_scheduled
from ext.rows cimport find8
from ext.tables cimport CC_DUE_SCHEDULED, cc_due, cc_tables


cdef inline uint32_t find_hold(const cc_tables *t, uint64_t seq) noexcept nogil:
    """Row of the hold named by its record's seq, 0 none."""
    return find8(&t.hold_index, <const uint8_t *>t.hold, sizeof(cc_hold), seq)


cdef inline uint32_t find_scheduled(const cc_tables *t, uint64_t seq) noexcept nogil:
    """Row of the scheduled effect named by its record's seq, 0 none."""
    return find8(
        &t.schedule_index, <const uint8_t *>t.scheduled, sizeof(cc_scheduled), seq)


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
    """Whether it still waits for this time; captured holds, cancelled effects leave stale items."""
    cdef uint32_t row
    if item.what == CC_DUE_SCHEDULED:
        return find_scheduled(t, item.seq) != 0
    row = find_hold(t, item.seq)
    return row != 0 and t.hold[row].due_s == item.due_s and t.hold[row].state != CC_HS_GREY


cdef inline void due_compact(cc_tables *t) noexcept nogil:
    """Drop stale items; what stands is at most one a row, so the list never outgrows its room."""
    cdef uint32_t i, n = 0
    for i in range(t.dues):
        if due_stands(t, &t.due[i]):
            t.due[n] = t.due[i]
            n += 1
    t.dues = n
    for i in range(n >> 1, 0, -1):
        due_down(t, i - 1)


cdef inline void due_push(
    cc_tables *t, uint32_t what, int64_t due_s, uint64_t seq,
) noexcept nogil:
    if t.dues >= 2 * (t.holds_max + t.schedules_max):
        due_compact(t)
    t.due[t.dues].what = what
    t.due[t.dues].due_s = due_s
    t.due[t.dues].seq = seq
    t.dues += 1
    due_up(t, t.dues - 1)
