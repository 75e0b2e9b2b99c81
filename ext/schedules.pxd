"""Rows of effects that wait for their time."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.dues cimport due_push, find_scheduled
from ext.records cimport cc_record, cc_scheduled
from ext.rows cimport drop, put8, touch_scheduled
from ext.tables cimport CC_DUE_SCHEDULED, cc_tables


cdef inline uint32_t schedule_room(const cc_tables *t) noexcept nogil:
    """How many more can be made to wait."""
    return t.schedule_free + (t.schedules_max + 1 - t.schedules)


cdef inline void schedule_open(cc_tables *t, const cc_record *r) noexcept nogil:
    """The row of a SCHEDULED record; entering it twice changes nothing."""
    cdef uint32_t row = find_scheduled(t, r.seq)
    cdef cc_scheduled *s
    if row != 0:
        return
    if t.schedule_free > 0:
        t.schedule_free -= 1
        row = t.schedule_stack[t.schedule_free]
    else:
        row = t.schedules
        t.schedules += 1
    s = touch_scheduled(t, row)
    s.seq = r.seq
    s.account, s.medium = r.account, r.medium
    s.body = r.body.scheduled
    put8(&t.schedule_index, r.seq, row)
    due_push(t, CC_DUE_SCHEDULED, s.body.due_s, r.seq)


cdef inline void schedule_close(cc_tables *t, uint64_t seq) noexcept nogil:
    """Free the row of a scheduled effect, if it is there."""
    cdef uint32_t row = find_scheduled(t, seq)
    cdef uint32_t stamp
    cdef cc_scheduled *s
    if row == 0:
        return
    s = touch_scheduled(t, row)
    drop(&t.schedule_index, <const uint8_t *>t.scheduled, sizeof(cc_scheduled), row, False)
    stamp = s.stamp
    memset(s, 0, sizeof(cc_scheduled))
    s.stamp = stamp
    t.schedule_stack[t.schedule_free] = row
    t.schedule_free += 1
