"""Holds, captures and releases: amounts reserved before they are known."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from ext.commands cimport CC_CF_LOADED, CC_OP_CAPTURE, cc_command, cc_reply
from ext.dues cimport find_hold
from ext.originals cimport ORIGINAL_AT, ORIGINAL_NONE, find_original, loaded_part
from ext.reasons cimport (
    CC_R_AMOUNT_INVALID, CC_R_CARD_COUNTER_REGRESSION, CC_R_HOLD_CLOSED, CC_R_HOLD_NOT_FOUND,
    CC_R_HOLD_PENDING,
)
from ext.records cimport (
    CC_F_BY_COUNTER, CC_F_COUNTS_DAY, CC_F_COUNTS_MEAL, CC_F_EXCESS, CC_F_FORCED, CC_F_LATE,
    CC_HS_EXPIRED, CC_O_APPROVED, CC_T_CAPTURE, CC_T_HOLD, CC_T_RELEASE, CC_W_MERCHANT,
    CC_W_ONLINE, CC_W_WATER, cc_account, cc_hold, cc_record,
)
from ext.tables cimport CC_D_LOAD_ORIGINAL, cc_block, cc_tables
from ext.taps cimport cc_tap, close_record, done, open_record, refuse


cdef void of_hold(cc_tap *x, const cc_hold *h) noexcept nogil:
    x.account, x.medium, x.merchant = h.account, h.medium, h.merchant
    x.original = h.seq


cdef cc_record *held_record(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, const cc_hold *h,
) noexcept nogil:
    """A tap's record about a hold."""
    cdef cc_record *r
    of_hold(x, h)
    r = open_record(t, b, c, x)
    r.outcome = CC_O_APPROVED
    return r


cdef void tell_hold(const cc_tables *t, cc_record *r, const cc_hold *h) noexcept nogil:
    """What every record that ends a hold says of it: it is of the hold's day and meal."""
    r.original_seq = h.seq
    r.flags |= hold_flags(h)
    r.body.money.day_key, r.body.money.meal_key = h.day_key, h.meal_key
    r.body.money.debit_after = t.account[h.account].online


cdef void fill_freed(const cc_tables *t, cc_record *r, const cc_hold *h) noexcept nogil:
    cdef const cc_account *a = &t.account[h.account]
    tell_hold(t, r, h)
    r.body.money.amount = h.amount
    r.body.money.held_after = a.held - h.amount
    give_back(a, r, h.amount)


cdef void fill_posted(
    const cc_tables *t, cc_record *r, const cc_hold *h, int64_t amount,
) noexcept nogil:
    """An expired hold reserves nothing any more: it is posted all the same, into debt perhaps."""
    cdef const cc_account *a = &t.account[h.account]
    tell_hold(t, r, h)
    r.body.money.amount = amount
    r.body.money.debit_wallet = CC_W_ONLINE
    r.body.money.debit_after = a.online - amount
    if h.water:
        r.body.money.credit_wallet = CC_W_WATER
        r.body.money.credit_after = t.cold[h.account].water + amount
    else:
        r.body.money.credit_wallet = CC_W_MERCHANT
        r.body.money.credit_after = t.merchant[h.merchant].payable + amount
    if h.state == CC_HS_EXPIRED:
        r.flags |= CC_F_FORCED | CC_F_LATE
        give_back(a, r, -amount)
    else:
        r.body.money.held_after = a.held - h.amount
        give_back(a, r, h.amount - amount)


cdef cc_record *free_hold(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, const cc_hold *h,
) noexcept nogil:
    """Free what a hold reserves; the caller closes the record."""
    cdef cc_record *r = held_record(t, b, c, x, h)
    fill_freed(t, r, h)
    return r


cdef cc_record *post_hold(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, const cc_hold *h,
) noexcept nogil:
    """Post x.amount of a hold, the rest is freed; the caller closes the record."""
    cdef cc_record *r = held_record(t, b, c, x, h)
    fill_posted(t, r, h, x.amount)
    return r


# ---- the water transfer (clause 4.6) ----

cdef uint64_t open_water_hold(const cc_tables *t, uint32_t account) noexcept nogil:
    """Seq of the account's open transfer: its low half and the newest seq it can have; 0 none."""
    cdef uint64_t seq
    if t.account[account].water_hold == 0:
        return 0
    seq = (t.applied_seq & ~<uint64_t>0xFFFFFFFF) | t.account[account].water_hold
    return seq if seq <= t.applied_seq else seq - (<uint64_t>1 << 32)


cdef int resolve_water(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x,
) noexcept nogil:
    """The card's counter tells what became of the last transfer: unchanged, it was not written."""
    cdef uint32_t row = find_hold(t, open_water_hold(t, x.account))
    cdef uint32_t merchant = x.merchant
    cdef int64_t amount = x.amount, asked = x.asked
    cdef cc_hold h
    cdef cc_record *r
    if row == 0:
        return 0
    h = t.hold[row]
    if h.medium != x.medium:
        return CC_R_HOLD_PENDING
    if c.card_counter < h.card_counter:
        return CC_R_CARD_COUNTER_REGRESSION
    x.type = CC_T_RELEASE if c.card_counter == h.card_counter else CC_T_CAPTURE
    x.asked, x.amount = c.card_counter, h.amount
    r = free_hold(t, b, c, x, &h) if x.type == CC_T_RELEASE else post_hold(t, b, c, x, &h)
    r.flags |= CC_F_BY_COUNTER
    r.parts = 2
    close_record(t, b, r)
    x.type, x.part, x.original = CC_T_HOLD, 1, 0
    x.merchant, x.amount, x.asked = merchant, amount, asked
    return 0


cdef void count_now(cc_record *r, const cc_tap *x) noexcept nogil:
    """Counters of the block's own day and meal, as open_record set them, take the amount."""
    if x.counts & CC_F_COUNTS_DAY:
        r.body.money.day_used += <uint32_t>x.amount
    if x.counts & CC_F_COUNTS_MEAL:
        r.body.money.meal_used += <uint32_t>x.amount


cdef int reserve(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """An approved HOLD. Room was made sure of before anything was resolved."""
    cdef uint32_t first = b.n - x.part
    cdef cc_account *a = &t.account[x.account]
    cdef bint water = x.water
    cdef cc_record *r = open_record(t, b, c, x)
    r.outcome = CC_O_APPROVED
    r.body.money.amount = x.amount
    r.body.money.debit_wallet = CC_W_ONLINE
    r.body.money.credit_wallet = CC_W_WATER if water else CC_W_MERCHANT
    r.body.money.debit_after = a.online
    r.body.money.held_after = a.held + x.amount
    r.body.money.credit_after = t.time_us // 1000000 + (
        t.rules.water_hold_seconds if water else t.rules.hold_seconds)
    r.flags |= x.counts
    count_now(r, x)
    if water:
        r.aux = c.card_counter
    close_record(t, b, r)
    return done(t, b, first, reply)


# ---- capture and release ----

cdef int gone(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, uint64_t seq, cc_reply *reply,
) noexcept nogil:
    """No row under this seq: the journal tells whether it ever was a hold of this terminal."""
    cdef const cc_record *r
    if not c.flags & CC_CF_LOADED:
        c.original_seq = seq
        return CC_D_LOAD_ORIGINAL
    r = loaded_part(c)
    if r == NULL or r.type != CC_T_HOLD or r.outcome != CC_O_APPROVED or r.terminal != x.terminal:
        return refuse(t, b, c, x, CC_R_HOLD_NOT_FOUND, reply)
    x.account, x.medium, x.original = r.account, r.medium, r.seq
    return refuse(t, b, c, x, CC_R_HOLD_CLOSED, reply)


cdef int decide_held(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """CAPTURE and RELEASE. No state of card or account counts: what was reserved may be posted."""
    cdef uint64_t seq = 0
    cdef int found = find_original(t, c, x, &seq, reply)
    cdef uint32_t row
    cdef cc_hold h
    cdef cc_record *r
    if found >= ORIGINAL_NONE and found != ORIGINAL_AT:
        return refuse(t, b, c, x, CC_R_HOLD_NOT_FOUND, reply)
    if found != ORIGINAL_AT:
        return found
    row = find_hold(t, seq)
    if row == 0:
        return gone(t, b, c, x, seq, reply)
    h = t.hold[row]
    if h.terminal != x.terminal:
        return refuse(t, b, c, x, CC_R_HOLD_NOT_FOUND, reply)
    x.account, x.medium, x.original = h.account, h.medium, h.seq
    if c.op != CC_OP_CAPTURE:
        if h.state == CC_HS_EXPIRED:
            return refuse(t, b, c, x, CC_R_HOLD_CLOSED, reply)
        r = free_hold(t, b, c, x, &h)
    else:
        if c.amount < 1 and not h.water:
            return refuse(t, b, c, x, CC_R_AMOUNT_INVALID, reply)
        x.amount = h.amount if h.water or c.amount > h.amount else c.amount
        r = post_hold(t, b, c, x, &h)
        if c.amount > h.amount and not h.water:
            r.flags |= CC_F_EXCESS
    close_record(t, b, r)
    return done(t, b, b.n - 1, reply)
