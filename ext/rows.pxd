"""Finding, touching and naming rows.

`touch_*` must come before the first change of a row in a block: it takes the row's old image out
of the state hash, lists the row, and marks it for the checkpoint. A row of all zeros weighs 0.
Rows of holds, undos and scheduled effects are weighed by content, not by place, so that a redo
may place them anew.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ext.digest cimport mix128
from ext.records cimport (
    CC_TABLE_ACCOUNT, CC_TABLE_COLD, CC_TABLE_HOLD, CC_TABLE_LEDGER, CC_TABLE_MEDIUM,
    CC_TABLE_MERCHANT, CC_TABLE_SCHEDULED, CC_TABLE_TERMINAL, CC_TABLE_UNDO, cc_account,
    cc_account_cold, cc_hold, cc_ledger, cc_medium, cc_merchant, cc_scheduled, cc_terminal,
    cc_undo,
)
from ext.tables cimport cc_index, cc_tables


cdef inline uint64_t load64(const void *p) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, p, 8)
    return value


# ---- state hash ----

cdef inline bint all_zero(const uint8_t *row, size_t size) noexcept nogil:
    """Whether a row but for its stamp is zero; size is a multiple of 8, the stamp its last 4."""
    cdef uint64_t seen = 0
    cdef size_t i
    for i in range(0, size - 8, 8):
        seen |= load64(row + i)
    return (seen | (load64(row + size - 8) & 0xFFFFFFFFull)) == 0


cdef inline void weigh(
    cc_tables *t, uint32_t table, uint32_t row, const uint8_t *bytes, size_t size, bint out,
) noexcept nogil:
    """Add a row's mix to the state hash, or take it out; 128-bit sum with carry."""
    cdef uint64_t lo = 0, hi = 0, before = t.state_lo
    if all_zero(bytes, size):
        return
    if table == CC_TABLE_HOLD or table == CC_TABLE_UNDO or table == CC_TABLE_SCHEDULED:
        row = 0
    mix128(table, row, bytes, size - 4, &lo, &hi)
    if out:
        t.state_lo = before - lo
        t.state_hi -= hi + (1 if before < lo else 0)
    else:
        t.state_lo = before + lo
        t.state_hi += hi + (1 if t.state_lo < before else 0)


cdef inline void touch(
    cc_tables *t, uint32_t table, uint32_t row, uint8_t *bytes, size_t size, uint32_t *stamp,
) noexcept nogil:
    if stamp[0] == t.stamp:
        return
    weigh(t, table, row, bytes, size, True)
    stamp[0] = t.stamp
    t.touched[t.touched_n] = (<uint64_t>table << 32) | row
    t.touched_n += 1
    t.dirty[table][row] = 1


cdef inline cc_account *touch_account(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_account *r = &t.account[row]
    touch(t, CC_TABLE_ACCOUNT, row, <uint8_t *>r, sizeof(cc_account), &r.stamp)
    return r


cdef inline cc_account_cold *touch_cold(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_account_cold *r = &t.cold[row]
    touch(t, CC_TABLE_COLD, row, <uint8_t *>r, sizeof(cc_account_cold), &r.stamp)
    return r


cdef inline cc_medium *touch_medium(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_medium *r = &t.medium[row]
    touch(t, CC_TABLE_MEDIUM, row, <uint8_t *>r, sizeof(cc_medium), &r.stamp)
    return r


cdef inline cc_merchant *touch_merchant(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_merchant *r = &t.merchant[row]
    touch(t, CC_TABLE_MERCHANT, row, <uint8_t *>r, sizeof(cc_merchant), &r.stamp)
    return r


cdef inline cc_terminal *touch_terminal(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_terminal *r = &t.terminal[row]
    touch(t, CC_TABLE_TERMINAL, row, <uint8_t *>r, sizeof(cc_terminal), &r.stamp)
    return r


cdef inline cc_hold *touch_hold(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_hold *r = &t.hold[row]
    touch(t, CC_TABLE_HOLD, row, <uint8_t *>r, sizeof(cc_hold), &r.stamp)
    return r


cdef inline cc_undo *touch_undo(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_undo *r = &t.undo[row]
    touch(t, CC_TABLE_UNDO, row, <uint8_t *>r, sizeof(cc_undo), &r.stamp)
    return r


cdef inline cc_scheduled *touch_scheduled(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_scheduled *r = &t.scheduled[row]
    touch(t, CC_TABLE_SCHEDULED, row, <uint8_t *>r, sizeof(cc_scheduled), &r.stamp)
    return r


cdef inline cc_ledger *touch_ledger(cc_tables *t, uint32_t row) noexcept nogil:
    cdef cc_ledger *r = &t.ledger[row]
    touch(t, CC_TABLE_LEDGER, row, <uint8_t *>r, sizeof(cc_ledger), &r.stamp)
    return r


# ---- indexes: open addressing, row number in the slot, 0 empty, never more than half full ----

cdef inline uint32_t spot16(uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t h = (a ^ ((b << 32) | (b >> 32))) * 0x9E3779B97F4A7C15ull
    h ^= b * 0xC2B2AE3D27D4EB4Full
    return <uint32_t>((h ^ (h >> 29)) >> 16)


cdef inline uint32_t spot8(uint64_t a) noexcept nogil:
    cdef uint64_t h = a * 0x9E3779B97F4A7C15ull
    return <uint32_t>(h >> 32)


cdef inline uint32_t find16(
    const cc_index *ix, const uint8_t *rows, size_t stride, const uint8_t *key,
) noexcept nogil:
    """Row whose first 16 bytes are the key, 0 none."""
    cdef uint64_t a = load64(key), b = load64(key + 8)
    cdef uint32_t at = spot16(a, b) & ix.mask
    cdef uint32_t row = ix.slot[at]
    while row != 0:
        if load64(rows + row * stride) == a and load64(rows + row * stride + 8) == b:
            return row
        at = (at + 1) & ix.mask
        row = ix.slot[at]
    return 0


cdef inline void put16(
    cc_index *ix, const uint8_t *rows, size_t stride, const uint8_t *key, uint32_t new,
) noexcept nogil:
    """Let the key find `new`; of two rows with one key the later wins: a redo changes nothing."""
    cdef uint64_t a = load64(key), b = load64(key + 8)
    cdef uint32_t at = spot16(a, b) & ix.mask
    cdef uint32_t row = ix.slot[at]
    while row != 0:
        if row == new:
            return
        if load64(rows + row * stride) == a and load64(rows + row * stride + 8) == b:
            if new > row:
                ix.slot[at] = new
            return
        at = (at + 1) & ix.mask
        row = ix.slot[at]
    ix.slot[at] = new
    ix.used += 1


cdef inline uint32_t find8(
    const cc_index *ix, const uint8_t *rows, size_t stride, uint64_t key,
) noexcept nogil:
    """Row whose first 8 bytes are the key, 0 none."""
    cdef uint32_t at = spot8(key) & ix.mask
    cdef uint32_t row = ix.slot[at]
    while row != 0:
        if load64(rows + row * stride) == key:
            return row
        at = (at + 1) & ix.mask
        row = ix.slot[at]
    return 0


cdef inline void put8(cc_index *ix, uint64_t key, uint32_t new) noexcept nogil:
    """Enter a key that is not in the index."""
    cdef uint32_t at = spot8(key) & ix.mask
    while ix.slot[at] != 0:
        at = (at + 1) & ix.mask
    ix.slot[at] = new
    ix.used += 1


cdef inline uint32_t home_of(
    const uint8_t *rows, size_t stride, uint32_t row, bint wide,
) noexcept nogil:
    if wide:
        return spot16(load64(rows + row * stride), load64(rows + row * stride + 8))
    return spot8(load64(rows + row * stride))


cdef inline void drop(
    cc_index *ix, const uint8_t *rows, size_t stride, uint32_t row, bint wide,
) noexcept nogil:
    """Take a row out while its key still stands in it; later entries move up (no tombstones)."""
    cdef uint32_t at = home_of(rows, stride, row, wide) & ix.mask
    cdef uint32_t next, home
    while ix.slot[at] != row:
        if ix.slot[at] == 0:
            return
        at = (at + 1) & ix.mask
    next = (at + 1) & ix.mask
    while ix.slot[next] != 0:
        home = home_of(rows, stride, ix.slot[next], wide) & ix.mask
        if ((next - home) & ix.mask) >= ((next - at) & ix.mask):
            ix.slot[at] = ix.slot[next]
            at = next
        next = (next + 1) & ix.mask
    ix.slot[at] = 0
    ix.used -= 1


# ---- out of line ----
cdef void state_hash_full(const cc_tables *t, uint64_t *lo, uint64_t *hi) noexcept nogil
cdef void touched_in(cc_tables *t) noexcept nogil
cdef void next_stamp(cc_tables *t) noexcept nogil
cdef void weigh_fixed(
    cc_tables *t, uint32_t table, uint32_t row, const uint8_t *bytes, size_t size, bint out,
) noexcept nogil
cdef int64_t ledger_sum(const cc_tables *t) noexcept nogil
