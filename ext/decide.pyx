"""decide: the fixed order of docs/reference/decisions.md, first failing rule wins.

**Source:** regulation 三.2a-b, 四.1b, 四.2, 四.3a, 四.3c-e, 四.6, 五.1, 五.3, 八.1.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from ext.commands cimport (
    CC_CF_HAS_PIN, CC_CF_NO_DEBITS, CC_CF_PARTIAL_OK, CC_CF_VOID, CC_CF_WATER, CC_OP_AUTHORIZE,
    CC_OP_CAPTURE, CC_OP_HOLD, CC_OP_OFFICE, CC_OP_REFUND, CC_OP_RELEASE, CC_OP_REVERSE,
    CC_OP_SIGN_IN, CC_OP_SIGN_OFF, CC_ST_NOT_FOUND, CC_ST_STORAGE_FULL, CC_ST_TABLE_FULL,
    cc_command, cc_reply,
)
from ext.holds cimport hold_room
from ext.keys cimport find_key
from ext.limits cimport counters_hold, counts_of, over_limits
from ext.office cimport decide_office
from ext.originals cimport BATCH_EXPIRED, BATCH_READY, batch_at_hand
from ext.pins cimport pin_verdict, session_stands
from ext.reads cimport decide_read
from ext.reasons cimport (
    CC_R_ACCOUNT_CLOSED, CC_R_ACCOUNT_DEBT, CC_R_ACCOUNT_SUSPENDED, CC_R_AMOUNT_INVALID,
    CC_R_CARD_EXPIRED, CC_R_CARD_FROZEN, CC_R_CARD_LOST, CC_R_CARD_NOT_ACTIVE, CC_R_CARD_UNKNOWN,
    CC_R_CARD_VOID, CC_R_CATEGORY_NOT_ALLOWED, CC_R_DUPLICATE_MISMATCH, CC_R_INSUFFICIENT,
    CC_R_KEY_EXPIRED, CC_R_LIMIT_HARD, CC_R_MERCHANT_INVALID, CC_R_OK, CC_R_ORIGINAL_REVERSED,
    CC_R_PIN_REQUIRED, CC_R_TERMINAL_NOT_SIGNED_IN, CC_R_TERMINAL_SUSPENDED, CC_R_WATER_CAP,
)
from ext.records cimport (
    CC_AMOUNT_MAX, CC_AS_NORMAL, CC_AS_SUSPENDED, CC_BALANCE_MAX, CC_C_HOLD, CC_C_SPEND,
    CC_C_SUBSIDY, CC_CAT_WATER, CC_F_COUNTS_DAY, CC_F_COUNTS_MEAL, CC_F_PARTIAL, CC_F_PIN_OK,
    CC_F_VOID, CC_F_WATER, CC_K_FINAL, CC_K_NONE, CC_K_TOMBSTONE, CC_M_FROZEN, CC_M_LOST,
    CC_MS_ACTIVE, CC_MS_RETURNED, CC_MS_UNBOUND, CC_MS_VOID, CC_O_APPROVED, CC_PARTS_MAX,
    CC_P_BY_SESSION, CC_P_SESSION, CC_T_SIGN_IN, CC_TS_IN_SERVICE, CC_W_MERCHANT, CC_W_ONLINE,
    CC_W_SUBSIDY, cc_account, cc_key, cc_medium, cc_record, cc_terminal,
)
from ext.reserve cimport decide_held, reserve, resolve_water
from ext.rows cimport find16
from ext.tables cimport CC_D_BLOCK_FULL, CC_D_DONE, CC_D_REPLAY, cc_block, cc_tables
from ext.taps cimport (
    answer_unrecorded, cc_tap, close_record, done, open_record, refuse, type_of_op,
)
from ext.undo cimport decide_refund, decide_reverse

cdef enum:
    GO_ON = -1


# ---- keys ----

cdef int entry_says(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, const cc_key *entry,
    cc_reply *reply,
) noexcept nogil:
    """What a used key answers; GO_ON when the command is to be decided."""
    cdef int state = <int>(entry.seq_state & 3)
    if state == CC_K_NONE:
        return GO_ON
    if state == CC_K_TOMBSTONE:
        return refuse(t, b, c, x, CC_R_ORIGINAL_REVERSED, reply)
    if entry.fingerprint != c.fingerprint:
        return refuse(t, b, c, x, CC_R_DUPLICATE_MISMATCH, reply)
    if state == CC_K_FINAL:
        reply.record.seq = entry.seq_state >> 2
        return CC_D_REPLAY
    return GO_ON


cdef int decide_key(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """Idempotency first: a key already used is answered whatever the state of everything else."""
    cdef cc_terminal *terminal = &t.terminal[x.terminal]
    cdef cc_key *entry
    cdef int said
    if x.terminal == 0 or c.batch_no == 0 or c.batch_no > terminal.batch_no:
        return answer_unrecorded(reply, CC_R_TERMINAL_NOT_SIGNED_IN)
    said = batch_at_hand(t, x.terminal, c.batch_no, reply)
    if said == BATCH_EXPIRED:
        return answer_unrecorded(reply, CC_R_KEY_EXPIRED)
    if said != BATCH_READY:
        return said
    entry = find_key(t, x.terminal, c.batch_no, c.terminal_seq)
    if entry == NULL:
        return answer_unrecorded(reply, CC_R_KEY_EXPIRED)
    said = entry_says(t, b, c, x, entry, reply)
    if said != GO_ON:
        return said
    if not terminal.signed_in or (c.op == CC_OP_SIGN_OFF and c.batch_no != terminal.batch_no):
        return answer_unrecorded(reply, CC_R_TERMINAL_NOT_SIGNED_IN)
    return GO_ON


# ---- the checks of a payment ----

cdef int card_reason(const cc_tables *t, const cc_medium *m) noexcept nogil:
    """VOID > LOST > FROZEN > EXPIRED > NOT_ACTIVE (clauses 3.2, 3.3, 8.1)."""
    if m.state == CC_MS_VOID or m.state == CC_MS_RETURNED:
        return CC_R_CARD_VOID
    if m.flags & CC_M_LOST:
        return CC_R_CARD_LOST
    if m.flags & CC_M_FROZEN:
        return CC_R_CARD_FROZEN
    if m.expires_day != 0 and t.today >= m.expires_day:
        return CC_R_CARD_EXPIRED
    return CC_R_OK if m.state == CC_MS_ACTIVE else CC_R_CARD_NOT_ACTIVE


cdef int party_reason(cc_tables *t, const cc_command *c, cc_tap *x) noexcept nogil:
    """Terminal, merchant, card, account, category."""
    cdef const cc_account *a
    cdef uint8_t wanted = CC_C_SPEND if c.op == CC_OP_AUTHORIZE else CC_C_HOLD
    cdef int reason
    if t.terminal[x.terminal].status != CC_TS_IN_SERVICE:
        return CC_R_TERMINAL_SUSPENDED
    if x.merchant == 0 or t.merchant[x.merchant].status != CC_TS_IN_SERVICE:
        return CC_R_MERCHANT_INVALID
    x.medium = find16(
        &t.medium_index, <const uint8_t *>t.medium, sizeof(cc_medium), c.medium_key)
    if x.medium == 0 or t.medium[x.medium].state == CC_MS_UNBOUND:
        x.medium = 0
        return CC_R_CARD_UNKNOWN
    x.account = t.medium[x.medium].account
    reason = card_reason(t, &t.medium[x.medium])
    if reason != CC_R_OK:
        return reason
    a = &t.account[x.account]
    if a.status == CC_AS_SUSPENDED:
        return CC_R_ACCOUNT_SUSPENDED
    if a.status != CC_AS_NORMAL:
        return CC_R_ACCOUNT_CLOSED
    if a.online < 0:
        return CC_R_ACCOUNT_DEBT
    if not t.category[x.category] & wanted or (x.water and x.category != CC_CAT_WATER):
        return CC_R_CATEGORY_NOT_ALLOWED
    return CC_R_OK


cdef int funds_reason(cc_tables *t, const cc_command *c, cc_tap *x) noexcept nogil:
    """Amount bounds, then funds; a partial approval lowers x.amount."""
    cdef const cc_account *a = &t.account[x.account]
    cdef int64_t available = a.online - a.held
    cdef uint32_t most = t.terminal[x.terminal].max_amount
    if x.amount < 1 or x.amount > CC_AMOUNT_MAX or (most != 0 and x.amount > most):
        return CC_R_AMOUNT_INVALID
    if x.water and t.rules.water_cap != 0 \
            and t.cold[x.account].water + x.amount > t.rules.water_cap:
        return CC_R_WATER_CAP
    if c.op == CC_OP_AUTHORIZE and t.category[x.category] & CC_C_SUBSIDY:
        available += a.subsidy
    if available < x.amount:
        if not c.flags & CC_CF_PARTIAL_OK or x.water or available < 1:
            return CC_R_INSUFFICIENT
        x.amount = available
    if t.merchant[x.merchant].payable + x.amount > CC_BALANCE_MAX \
            or not counters_hold(t, a, x.amount):
        return CC_R_LIMIT_HARD
    return CC_R_OK


cdef int limit_reason(cc_tables *t, const cc_command *c, cc_tap *x) noexcept nogil:
    """The two limits and, only above one of them, the password."""
    cdef uint16_t over
    cdef int verdict
    x.counts = counts_of(t, x.category)
    over = over_limits(t, &t.account[x.account], x.counts, x.amount)
    if over == 0:
        return CC_R_OK
    x.flags |= over
    if not c.flags & CC_CF_HAS_PIN:
        if not session_stands(t, x.account, x.medium, x.terminal):
            return CC_R_PIN_REQUIRED
        x.marks = CC_P_BY_SESSION
        return CC_R_OK
    verdict = pin_verdict(t, x.account, c)
    if verdict == CC_R_OK:
        x.flags |= CC_F_PIN_OK
        if t.rules.pin_session_seconds != 0:
            x.marks = CC_P_SESSION
    return verdict


cdef void post_part(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, uint8_t wallet, int64_t amount,
    uint8_t parts,
) noexcept nogil:
    """One wallet's share of a purchase, merchant credited in the same record."""
    cdef cc_record *r = open_record(t, b, c, x)
    cdef cc_account *a = &t.account[x.account]
    r.outcome = CC_O_APPROVED
    r.parts = parts
    r.flags |= x.counts
    r.body.money.amount = amount
    r.body.money.debit_wallet, r.body.money.credit_wallet = wallet, CC_W_MERCHANT
    r.body.money.debit_after = (a.subsidy if wallet == CC_W_SUBSIDY else a.online) - amount
    r.body.money.credit_after = t.merchant[x.merchant].payable + amount
    if x.counts & CC_F_COUNTS_DAY:
        r.body.money.day_used += <uint32_t>amount
    if x.counts & CC_F_COUNTS_MEAL:
        r.body.money.meal_used += <uint32_t>amount
    close_record(t, b, r)
    x.part += 1


cdef int post_purchase(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """SUBSIDY first where the category may spend it, then ONLINE."""
    cdef uint32_t first = b.n
    cdef int64_t subsidy = 0, online
    cdef uint8_t parts
    if t.category[x.category] & CC_C_SUBSIDY:
        subsidy = min(t.account[x.account].subsidy, x.amount)
        subsidy = max(subsidy, <int64_t>0)
    online = x.amount - subsidy
    parts = 2 if subsidy > 0 and online > 0 else 1
    if subsidy > 0:
        post_part(t, b, c, x, CC_W_SUBSIDY, subsidy, parts)
    if online > 0:
        post_part(t, b, c, x, CC_W_ONLINE, online, parts)
    return done(t, b, first, reply)


cdef int decide_payment(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """AUTHORIZE and HOLD."""
    cdef int reason
    if c.flags & CC_CF_NO_DEBITS:
        reply.status = CC_ST_STORAGE_FULL
        return CC_D_DONE
    if c.op == CC_OP_HOLD and not hold_room(t):
        reply.status = CC_ST_TABLE_FULL
        return CC_D_DONE
    x.category = t.merchant[x.merchant].category & 15
    x.water = c.op == CC_OP_HOLD and c.flags & CC_CF_WATER
    if x.water:
        x.flags |= CC_F_WATER
        x.amount = x.asked = t.rules.water_tap
    reason = party_reason(t, c, x)
    if reason == CC_R_OK and x.water:
        reason = resolve_water(t, b, c, x)
    if reason == CC_R_OK:
        reason = funds_reason(t, c, x)
    if reason == CC_R_OK:
        reason = limit_reason(t, c, x)
    if reason != CC_R_OK:
        return refuse(t, b, c, x, <uint16_t>reason, reply)
    if x.amount < x.asked:
        x.flags |= CC_F_PARTIAL
    if c.op == CC_OP_HOLD:
        return reserve(t, b, c, x, reply)
    return post_purchase(t, b, c, x, reply)


# ---- signing in and off ----

cdef int sign_in(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    """Issue the next batch_no; no key stands before it, so a repeated SIGN_IN opens another."""
    cdef cc_record *r
    if x.terminal == 0:
        reply.status = CC_ST_NOT_FOUND
        return CC_D_DONE
    c.batch_no = c.terminal_seq = 0
    x.type, x.asked = CC_T_SIGN_IN, 0
    if t.terminal[x.terminal].status != CC_TS_IN_SERVICE:
        return refuse(t, b, c, x, CC_R_TERMINAL_SUSPENDED, reply)
    c.batch_no = t.terminal[x.terminal].batch_no + 1
    r = open_record(t, b, c, x)
    r.outcome = CC_O_APPROVED
    r.original_seq = t.terminal[x.terminal].sign_in_seq
    close_record(t, b, r)
    return done(t, b, b.n - 1, reply)


cdef int sign_off(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil:
    cdef cc_record *r = open_record(t, b, c, x)
    r.outcome = CC_O_APPROVED
    close_record(t, b, r)
    return done(t, b, b.n - 1, reply)


cdef int decide_tap(
    cc_tables *t, cc_block *b, cc_command *c, cc_reply *reply,
) noexcept nogil:
    cdef cc_tap x
    cdef int said
    memset(&x, 0, sizeof(x))
    x.terminal = find16(
        &t.terminal_index, <const uint8_t *>t.terminal, sizeof(cc_terminal), c.terminal_name)
    x.merchant = t.terminal[x.terminal].merchant
    x.type = type_of_op(c.op)
    if c.op == CC_OP_SIGN_IN:
        return sign_in(t, b, c, &x, reply)
    if c.op != CC_OP_RELEASE and c.op != CC_OP_SIGN_OFF:
        x.amount = x.asked = c.amount
    if c.op == CC_OP_REVERSE and c.flags & CC_CF_VOID:
        x.flags |= CC_F_VOID
    if c.op == CC_OP_HOLD and c.flags & CC_CF_WATER:
        x.asked = t.rules.water_tap
        x.flags |= CC_F_WATER
    said = decide_key(t, b, c, &x, reply)
    if said != GO_ON:
        return said
    if c.op == CC_OP_AUTHORIZE or c.op == CC_OP_HOLD:
        return decide_payment(t, b, c, &x, reply)
    if c.op == CC_OP_CAPTURE or c.op == CC_OP_RELEASE:
        return decide_held(t, b, c, &x, reply)
    if c.op == CC_OP_REVERSE:
        return decide_reverse(t, b, c, &x, reply)
    if c.op == CC_OP_REFUND:
        return decide_refund(t, b, c, &x, reply)
    return sign_off(t, b, c, &x, reply)


cdef int decide(
    cc_tables *t, cc_block *b, cc_command *c, cc_reply *reply,
) noexcept nogil:
    """A block has one rule version: after a change of rules the next command waits for the next."""
    if c.op > CC_OP_OFFICE:
        return decide_read(t, c, reply)
    if b.n + CC_PARTS_MAX > b.max or b.head.rule_version != t.rule_version:
        return CC_D_BLOCK_FULL
    if c.op == CC_OP_OFFICE:
        return decide_office(t, b, c, reply)
    return decide_tap(t, b, c, reply)
