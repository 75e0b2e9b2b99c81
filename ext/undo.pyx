"""Reversals, voids and refunds: every undo is a new record linked to what it undoes."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t

from ext.commands cimport CC_CF_BY_SEQ, CC_CF_LOADED, CC_ST_TABLE_FULL, cc_command, cc_reply
from ext.dues cimport find_hold
from ext.originals cimport (
    ORIGINAL_AT, ORIGINAL_NONE, ORIGINAL_TOMBSTONE, ORIGINAL_UNUSED, find_original, loaded_part,
    loaded_parts,
)
from ext.reasons cimport (
    CC_R_ACCOUNT_CLOSED, CC_R_ALREADY_REFUNDED, CC_R_ALREADY_REVERSED, CC_R_AMOUNT_INVALID,
    CC_R_HOLD_CLOSED, CC_R_INSUFFICIENT, CC_R_MERCHANT_SHORT, CC_R_ORIGINAL_NOT_APPROVED,
    CC_R_ORIGINAL_NOT_FOUND, CC_R_REFUND_EXCEEDS_ORIGINAL, CC_R_REFUND_NOT_ALLOWED,
    CC_R_REVERSAL_AMOUNT_MISMATCH,
)
from ext.records cimport (
    CC_AS_CLOSED, CC_C_REFUNDABLE, CC_F_COUNTS_DAY, CC_F_COUNTS_MEAL, CC_F_WATER, CC_HS_EXPIRED,
    CC_O_APPROVED, CC_T_CAPTURE, CC_T_HOLD, CC_T_PURCHASE, CC_T_TOMBSTONE, CC_W_ONLINE,
    CC_W_SUBSIDY, CC_W_WATER, cc_hold, cc_record, cc_undo,
)
from ext.reserve cimport free_hold, give_back
from ext.rows cimport find8
from ext.tables cimport CC_D_DONE, CC_D_LOAD_ORIGINAL, cc_block, cc_tables
from ext.taps cimport cc_tap, close_record, done, open_record, refuse


cdef const cc_undo *undo_of(const cc_tables *t, uint64_t first) noexcept nogil:
    """What was taken back so far; row 0 is all zero: nothing."""
    return &t.undo[find8(&t.undo_index, <const uint8_t *>t.undo, sizeof(cc_undo), first)]


cdef int64_t approved_of(const cc_record *o, int n) noexcept nogil:
    cdef int64_t total = 0
    cdef int i
    for i in range(n):
        total += o[i].body.money.amount
    return total


cdef int64_t balance_of(const cc_tables *t, const cc_record *o, uint8_t wallet) noexcept nogil:
    if wallet == CC_W_ONLINE:
        return t.account[o.account].online
    if wallet == CC_W_SUBSIDY:
        return t.account[o.account].subsidy
    if wallet == CC_W_WATER:
        return t.cold[o.account].water
    return t.merchant[o.merchant].payable


cdef cc_record *mirror(
    cc_tables *t, cc_block *b, const cc_command *c, const cc_tap *x, const cc_record *o,
    int part, int64_t amount,
) noexcept nogil:
    """A record that moves `amount` of the original's part back; the caller closes it."""
    cdef cc_record *r = open_record(t, b, c, x)
    r.outcome = CC_O_APPROVED
    r.original_seq = o.seq
    r.body.money.original_part = <uint8_t>(part + 1)
    r.body.money.amount = amount
    r.body.money.debit_wallet = o.body.money.credit_wallet
    r.body.money.credit_wallet = o.body.money.debit_wallet
    r.body.money.debit_after = balance_of(t, o, o.body.money.credit_wallet) - amount
    r.body.money.credit_after = balance_of(t, o, o.body.money.debit_wallet) + amount
    return r


cdef int tombstone(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """Remember a reversal whose original has not come: when it comes it is refused."""
    cdef cc_record *r
    x.type = CC_T_TOMBSTONE
    r = open_record(t, b, c, x)
    r.outcome = CC_O_APPROVED
    r.original_seq = <uint64_t>c.original_batch << 32 | c.original_terminal_seq
    close_record(t, b, r)
    return done(t, b, b.n - 1, reply)


cdef int original_or(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, bint refund, cc_reply *reply,
) noexcept nogil:
    """ORIGINAL_AT with the records loaded, else what the command is answered with."""
    cdef uint64_t seq = 0
    cdef int found = find_original(t, c, x, &seq, reply)
    if found == ORIGINAL_AT:
        if c.flags & CC_CF_LOADED:
            return ORIGINAL_AT
        c.original_seq = seq
        return CC_D_LOAD_ORIGINAL
    if found < ORIGINAL_NONE:
        return found
    if found == ORIGINAL_TOMBSTONE:
        return refuse(t, b, c, x, CC_R_ALREADY_REVERSED, reply)
    if found == ORIGINAL_NONE or (refund and found == ORIGINAL_UNUSED):
        return refuse(t, b, c, x, CC_R_ORIGINAL_NOT_FOUND, reply)
    if refund:
        return refuse(t, b, c, x, CC_R_ORIGINAL_NOT_APPROVED, reply)
    return tombstone(t, b, c, x, reply)


cdef void of_original(cc_tap *x, const cc_record *o) noexcept nogil:
    x.account, x.medium, x.original = o.account, o.medium, o.seq


cdef int reverse_hold(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, const cc_record *o,
    cc_reply *reply,
) noexcept nogil:
    cdef uint32_t row = find_hold(t, o.seq)
    cdef cc_record *r
    cdef cc_hold h
    if row == 0 or t.hold[row].state == CC_HS_EXPIRED:
        return refuse(t, b, c, x, CC_R_HOLD_CLOSED, reply)
    h = t.hold[row]
    if not h.water and c.amount != h.amount and c.amount != <int64_t>o.aux:
        return refuse(t, b, c, x, CC_R_REVERSAL_AMOUNT_MISMATCH, reply)
    if t.undos > t.undos_max:
        reply.status = CC_ST_TABLE_FULL
        return CC_D_DONE
    r = free_hold(t, b, c, x, &h)
    r.body.money.original_part = 1
    close_record(t, b, r)
    return done(t, b, b.n - 1, reply)


cdef int reversal_reason(
    const cc_tables *t, const cc_command *c, const cc_record *o, int n,
) noexcept nogil:
    """Why a posted original may not be reversed; 0 it may."""
    cdef const cc_undo *before = undo_of(t, o.seq)
    if before.reversed:
        return CC_R_ALREADY_REVERSED
    if before.refunded != 0:
        return CC_R_ALREADY_REFUNDED
    if o.flags & CC_F_WATER:
        if t.cold[o.account].water < o.body.money.amount:
            return CC_R_INSUFFICIENT
        return 0
    if c.amount != approved_of(o, n) and c.amount != <int64_t>o.aux:
        return CC_R_REVERSAL_AMOUNT_MISMATCH
    return 0


cdef int decide_reverse(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """REVERSE, whole; a void is the same with its flag."""
    cdef int found = original_or(t, b, c, x, False, reply)
    cdef int n, i, reason
    cdef uint32_t first = b.n
    cdef const cc_record *o
    cdef cc_record *r
    if found != ORIGINAL_AT:
        return found
    o, n = loaded_part(c), loaded_parts(c)
    if o == NULL or o.terminal != x.terminal:
        return refuse(t, b, c, x, CC_R_ORIGINAL_NOT_FOUND, reply)
    if (o.type != CC_T_PURCHASE and o.type != CC_T_CAPTURE and o.type != CC_T_HOLD) \
            or o.outcome != CC_O_APPROVED:
        return refuse(t, b, c, x, CC_R_ORIGINAL_NOT_APPROVED, reply)
    of_original(x, o)
    if o.type == CC_T_HOLD:
        return reverse_hold(t, b, c, x, o, reply)
    reason = reversal_reason(t, c, o, n)
    if reason != 0:
        return refuse(t, b, c, x, <uint16_t>reason, reply)
    if t.undos > t.undos_max:
        reply.status = CC_ST_TABLE_FULL
        return CC_D_DONE
    x.merchant = o.merchant
    for i in range(n):
        x.part = <uint8_t>i
        r = mirror(t, b, c, x, &o[i], i, o[i].body.money.amount)
        r.parts = <uint8_t>n
        r.flags |= o[i].flags & (CC_F_COUNTS_DAY | CC_F_COUNTS_MEAL | CC_F_WATER)
        r.body.money.day_key = o[i].body.money.day_key
        r.body.money.meal_key = o[i].body.money.meal_key
        give_back(&t.account[x.account], r, o[i].body.money.amount)
        close_record(t, b, r)
    return done(t, b, first, reply)


cdef int refund_reason(
    const cc_tables *t, const cc_command *c, cc_tap *x, const cc_record *o, int n,
) noexcept nogil:
    """Why a refund may not be; 0 it may."""
    cdef const cc_undo *before = undo_of(t, o.seq)
    if (o.type != CC_T_PURCHASE and o.type != CC_T_CAPTURE) or o.flags & CC_F_WATER:
        return CC_R_REFUND_NOT_ALLOWED
    if o.outcome != CC_O_APPROVED:
        return CC_R_ORIGINAL_NOT_APPROVED
    if not t.category[t.merchant[o.merchant].category & 15] & CC_C_REFUNDABLE:
        return CC_R_REFUND_NOT_ALLOWED
    if t.account[o.account].status == CC_AS_CLOSED:
        return CC_R_ACCOUNT_CLOSED
    if c.amount < 1:
        return CC_R_AMOUNT_INVALID
    if before.reversed:
        return CC_R_ALREADY_REVERSED
    x.refundable = approved_of(o, n) - before.refunded
    if c.amount > x.refundable:
        return CC_R_REFUND_EXCEEDS_ORIGINAL
    if t.merchant[o.merchant].payable < c.amount:
        return CC_R_MERCHANT_SHORT
    return 0


cdef int refund_parts(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, const cc_record *o, int n,
    cc_reply *reply,
) noexcept nogil:
    """ONLINE, debited last, gets back first; each wallet at most what its part still lacks."""
    cdef uint32_t first = b.n, k
    cdef int64_t refunded = undo_of(t, o.seq).refunded
    cdef int64_t left = c.amount, behind = refunded, room, amount
    cdef cc_record *r
    cdef int i
    for i in range(n - 1, -1, -1):
        room = o[i].body.money.amount - behind
        behind = -room if room < 0 else 0
        amount = left if left < room else room
        if amount <= 0:
            continue
        left -= amount
        refunded += amount
        x.part = <uint8_t>(b.n - first)
        r = mirror(t, b, c, x, &o[i], i, amount)
        r.parts = <uint8_t>(x.part + 1 + (1 if left > 0 else 0))
        r.aux = <uint32_t>refunded
        close_record(t, b, r)
    for k in range(first, b.n):
        b.records[k].parts = <uint8_t>(b.n - first)
    return done(t, b, first, reply)


cdef int decide_refund(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """REFUND: a part or all of a posted original, in all never more than it."""
    cdef int found = original_or(t, b, c, x, True, reply)
    cdef int reason
    cdef const cc_record *o
    if found != ORIGINAL_AT:
        return found
    o = loaded_part(c)
    if o == NULL or o.merchant != x.merchant \
            or (not c.flags & CC_CF_BY_SEQ and o.terminal != x.terminal):
        return refuse(t, b, c, x, CC_R_ORIGINAL_NOT_FOUND, reply)
    of_original(x, o)
    if o.account == 0:
        x.original = 0
    reason = refund_reason(t, c, x, o, loaded_parts(c))
    if reason == CC_R_ORIGINAL_NOT_APPROVED:
        x.account = x.medium = 0
        x.original = 0
    if reason != 0:
        return refuse(t, b, c, x, <uint16_t>reason, reply)
    if t.undos > t.undos_max:
        reply.status = CC_ST_TABLE_FULL
        return CC_D_DONE
    x.merchant = o.merchant
    return refund_parts(t, b, c, x, o, loaded_parts(c), reply)
