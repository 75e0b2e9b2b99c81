"""The state hash over all rows, and what leaves a block's hot path."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.atomics cimport prefetch
from ext.digest cimport mix128
from ext.records cimport (
    CC_CATEGORIES, CC_TABLE_ACCOUNT, CC_TABLE_CATEGORY, CC_TABLE_COLD, CC_TABLE_HOLD,
    CC_TABLE_LEDGER, CC_TABLE_MEDIUM, CC_TABLE_MERCHANT, CC_TABLE_REQUEST, CC_TABLE_RULES,
    CC_TABLE_SCHEDULED, CC_TABLE_TERMINAL, CC_TABLE_UNDO, CC_W_SYSTEM_FIRST, CC_W_SYSTEM_LAST,
    cc_account, cc_account_cold, cc_hold, cc_ledger, cc_meals_body, cc_medium, cc_merchant,
    cc_request, cc_rules_body, cc_scheduled, cc_terminal, cc_undo,
)
from ext.tables cimport cc_tables


cdef enum:
    AHEAD = 8                    # rows of a large block have left the fast caches by its end


cdef inline uint8_t *row_at(
    const cc_tables *t, uint32_t table, uint32_t row, size_t *size,
) noexcept nogil:
    """Where a stamped row stands, and its size with the stamp."""
    if table == CC_TABLE_ACCOUNT:
        size[0] = sizeof(cc_account)
        return <uint8_t *>&t.account[row]
    if table == CC_TABLE_MERCHANT:
        size[0] = sizeof(cc_merchant)
        return <uint8_t *>&t.merchant[row]
    if table == CC_TABLE_TERMINAL:
        size[0] = sizeof(cc_terminal)
        return <uint8_t *>&t.terminal[row]
    if table == CC_TABLE_COLD:
        size[0] = sizeof(cc_account_cold)
        return <uint8_t *>&t.cold[row]
    if table == CC_TABLE_MEDIUM:
        size[0] = sizeof(cc_medium)
        return <uint8_t *>&t.medium[row]
    if table == CC_TABLE_HOLD:
        size[0] = sizeof(cc_hold)
        return <uint8_t *>&t.hold[row]
    if table == CC_TABLE_UNDO:
        size[0] = sizeof(cc_undo)
        return <uint8_t *>&t.undo[row]
    if table == CC_TABLE_SCHEDULED:
        size[0] = sizeof(cc_scheduled)
        return <uint8_t *>&t.scheduled[row]
    size[0] = sizeof(cc_ledger)
    return <uint8_t *>&t.ledger[row]


cdef void touched_in(cc_tables *t) noexcept nogil:
    """End of a block: the new image of every touched row goes into the state hash."""
    cdef uint32_t i, table, row
    cdef size_t size
    cdef uint8_t *at
    for i in range(t.touched_n):
        if i + AHEAD < t.touched_n:
            row = <uint32_t>t.touched[i + AHEAD]
            prefetch(row_at(t, <uint32_t>(t.touched[i + AHEAD] >> 32), row, &size))
        table = <uint32_t>(t.touched[i] >> 32)
        row = <uint32_t>t.touched[i]
        at = row_at(t, table, row, &size)
        weigh(t, table, row, at, size, False)
    t.touched_n = 0


cdef void next_stamp(cc_tables *t) noexcept nogil:
    """Start of a block. When 32 bits have run out, old stamps are wiped so that none matches."""
    cdef uint32_t i
    t.stamp += 1
    if t.stamp != 0:
        return
    t.stamp = 1
    for i in range(t.accounts):
        t.account[i].stamp = t.cold[i].stamp = 0
    for i in range(t.media):
        t.medium[i].stamp = 0
    for i in range(t.merchants):
        t.merchant[i].stamp = 0
    for i in range(t.terminals):
        t.terminal[i].stamp = 0
    for i in range(t.holds):
        t.hold[i].stamp = 0
    for i in range(t.undos):
        t.undo[i].stamp = 0
    for i in range(t.schedules):
        t.scheduled[i].stamp = 0
    for i in range(CC_W_SYSTEM_LAST + 1):
        t.ledger[i].stamp = 0


cdef void weigh_fixed(
    cc_tables *t, uint32_t table, uint32_t row, const uint8_t *bytes, size_t size, bint out,
) noexcept nogil:
    """As weigh, for rows without a stamp: rules, meals, categories, requests."""
    cdef uint64_t lo = 0, hi = 0, before = t.state_lo
    cdef uint8_t seen = 0
    cdef size_t i
    for i in range(size):
        seen |= bytes[i]
    if seen == 0:
        return
    mix128(table, row, bytes, size, &lo, &hi)
    if out:
        t.state_lo = before - lo
        t.state_hi -= hi + (1 if before < lo else 0)
    else:
        t.state_lo = before + lo
        t.state_hi += hi + (1 if t.state_lo < before else 0)


cdef void weigh_table(
    cc_tables *sum, uint32_t table, const uint8_t *rows, size_t stride, uint32_t n,
) noexcept nogil:
    cdef uint32_t row
    for row in range(1, n):
        weigh(sum, table, row, rows + row * stride, stride, False)


cdef void state_hash_full(const cc_tables *t, uint64_t *lo, uint64_t *hi) noexcept nogil:
    """The state hash from scratch, over every row: what an incremental one must equal."""
    cdef cc_tables sum  # only its state_lo and state_hi are used
    cdef uint32_t row, flags
    memset(&sum, 0, sizeof(sum))
    weigh_table(&sum, CC_TABLE_ACCOUNT, <uint8_t *>t.account, sizeof(cc_account), t.accounts)
    weigh_table(&sum, CC_TABLE_COLD, <uint8_t *>t.cold, sizeof(cc_account_cold), t.accounts)
    weigh_table(&sum, CC_TABLE_MEDIUM, <uint8_t *>t.medium, sizeof(cc_medium), t.media)
    weigh_table(&sum, CC_TABLE_MERCHANT, <uint8_t *>t.merchant, sizeof(cc_merchant), t.merchants)
    weigh_table(&sum, CC_TABLE_TERMINAL, <uint8_t *>t.terminal, sizeof(cc_terminal), t.terminals)
    weigh_table(&sum, CC_TABLE_HOLD, <uint8_t *>t.hold, sizeof(cc_hold), t.holds)
    weigh_table(&sum, CC_TABLE_UNDO, <uint8_t *>t.undo, sizeof(cc_undo), t.undos)
    weigh_table(
        &sum, CC_TABLE_SCHEDULED, <uint8_t *>t.scheduled, sizeof(cc_scheduled), t.schedules)
    for row in range(CC_W_SYSTEM_FIRST, CC_W_SYSTEM_LAST + 1):
        weigh(&sum, CC_TABLE_LEDGER, row, <uint8_t *>&t.ledger[row], sizeof(cc_ledger), False)
    weigh_fixed(&sum, CC_TABLE_RULES, 1, <uint8_t *>&t.rules, sizeof(cc_rules_body), False)
    weigh_fixed(&sum, CC_TABLE_RULES, 2, <uint8_t *>&t.meals, sizeof(cc_meals_body), False)
    for row in range(CC_CATEGORIES):
        flags = t.category[row]
        weigh_fixed(&sum, CC_TABLE_CATEGORY, row, <uint8_t *>&flags, sizeof(flags), False)
    for row in range(1, t.requests):
        weigh_fixed(
            &sum, CC_TABLE_REQUEST, row, <uint8_t *>&t.request[row], sizeof(cc_request), False,
        )
    lo[0] = sum.state_lo
    hi[0] = sum.state_hi


cdef int64_t ledger_sum(const cc_tables *t) noexcept nogil:
    """Sum of every balance there is, fen; double entry keeps it 0."""
    cdef int64_t total = 0
    cdef uint32_t row
    for row in range(1, t.accounts):
        total += t.account[row].online + t.account[row].subsidy + t.cold[row].water
    for row in range(1, t.merchants):
        total += t.merchant[row].payable
    for row in range(CC_W_SYSTEM_FIRST, CC_W_SYSTEM_LAST + 1):
        total += t.ledger[row].balance
    return total
