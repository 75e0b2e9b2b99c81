"""What every tap's decision shares: its context, its records, its refusals."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.apply cimport apply_record
from ext.commands cimport (
    CC_OP_AUTHORIZE, CC_OP_CAPTURE, CC_OP_HOLD, CC_OP_REFUND,
    CC_OP_RELEASE, CC_OP_REVERSE, cc_command, cc_reply,
)
from ext.limits cimport day_limit_of, day_now, meal_limit_of, meal_now
from ext.pins cimport fails_now
from ext.reasons cimport (
    CC_R_INSUFFICIENT, CC_R_PIN_LOCKED, CC_R_PIN_REQUIRED, CC_R_PIN_WRONG,
    CC_R_REFUND_EXCEEDS_ORIGINAL, CC_R_WATER_CAP,
)
from ext.records cimport (
    CC_A_MUST_CHANGE, CC_C_SUBSIDY, CC_F_MUST_CHANGE, CC_F_PIN_BAD, CC_F_PIN_OK, CC_O_DECLINED,
    CC_O_PIN_REQUIRED, CC_P_DATED, CC_T_CAPTURE, CC_T_HOLD, CC_T_PURCHASE, CC_T_REFUND,
    CC_T_RELEASE, CC_T_REVERSAL, CC_T_SIGN_OFF, CC_TERM_KEYPAD, cc_account, cc_block_header,
    cc_record,
)
from ext.tables cimport cc_block, cc_tables


ctypedef struct cc_tap:
    uint32_t terminal, merchant, medium, account
    int64_t asked      # fen, what aux says
    int64_t amount     # fen to move
    int64_t refundable  # fen that a refund which is refused as too much could have had
    uint64_t original  # seq a refusal refers to
    uint16_t flags     # of every record of the command
    uint16_t counts    # COUNTS_* of an approved debit
    uint8_t type, category, part
    uint8_t marks      # CC_P_* of an approval
    bint water


cdef inline uint8_t type_of_op(uint8_t op) noexcept nogil:
    if op == CC_OP_AUTHORIZE:
        return CC_T_PURCHASE
    if op == CC_OP_HOLD:
        return CC_T_HOLD
    if op == CC_OP_CAPTURE:
        return CC_T_CAPTURE
    if op == CC_OP_RELEASE:
        return CC_T_RELEASE
    if op == CC_OP_REVERSE:
        return CC_T_REVERSAL
    if op == CC_OP_REFUND:
        return CC_T_REFUND
    return CC_T_SIGN_OFF


cdef inline uint32_t asked_word(int64_t asked) noexcept nogil:
    return 0xFFFFFFFFu if asked < 0 or asked > 0xFFFFFFFFll else <uint32_t>asked


cdef inline cc_record *open_record(
    cc_tables *t, cc_block *b, const cc_command *c, const cc_tap *x,
) noexcept nogil:
    """The block's next record, keyed and linked; the caller fills what the type needs."""
    cdef cc_record *r = &b.records[b.n]
    memset(r, 0, sizeof(cc_record))
    r.seq = t.applied_seq + 1
    r.type = x.type
    r.part, r.parts = x.part + 1, x.part + 1
    r.account, r.medium, r.merchant, r.terminal = x.account, x.medium, x.merchant, x.terminal
    r.batch_no, r.terminal_seq, r.fingerprint = c.batch_no, c.terminal_seq, c.fingerprint
    r.flags = x.flags
    r.aux = asked_word(x.asked)
    r.body.money.pin_marks = x.marks
    r.body.money.prev_terminal_seq = t.terminal[x.terminal].last_seq
    r.body.money.day_key, r.body.money.meal_key = t.day_key, t.meal_key
    if x.account != 0:
        r.prev_account_seq = t.account[x.account].last_seq
        r.body.money.held_after = t.account[x.account].held
        if not x.flags & CC_F_PIN_OK:
            r.body.money.pin_fails = fails_now(t, x.account)
        r.body.money.day_used = day_now(t, &t.account[x.account])
        r.body.money.meal_used = meal_now(t, &t.account[x.account])
        if t.account[x.account].flags & CC_A_MUST_CHANGE:
            r.flags |= CC_F_MUST_CHANGE
    return r


cdef inline void close_record(cc_tables *t, cc_block *b, cc_record *r) noexcept nogil:
    """Apply the record and keep it."""
    apply_record(t, r)
    b.n += 1


cdef inline int done(
    cc_tables *t, cc_block *b, uint32_t first, cc_reply *reply,
) noexcept nogil:
    """Answer with the records from index `first` of the block on."""
    reply_from_records(t, &b.head, &b.records[first], <int>(b.n - first), reply)
    return 0  # CC_D_DONE


cdef inline int64_t told_by(
    const cc_tables *t, const cc_tap *x, const cc_account *a, uint16_t reason,
) noexcept nogil:
    """What a refusal says beside ONLINE: the numbers of its reason."""
    if reason == CC_R_PIN_REQUIRED or reason == CC_R_PIN_WRONG or reason == CC_R_PIN_LOCKED:
        return <int64_t>(<uint64_t>day_limit_of(t, a) | (<uint64_t>meal_limit_of(t, a) << 32))
    if reason == CC_R_INSUFFICIENT:
        return a.subsidy if x.type == CC_T_PURCHASE and t.category[x.category] & CC_C_SUBSIDY else 0
    if reason == CC_R_WATER_CAP:
        return t.rules.water_cap
    return x.refundable if reason == CC_R_REFUND_EXCEEDS_ORIGINAL else 0


cdef inline int refuse(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, uint16_t reason, cc_reply *reply,
) noexcept nogil:
    """Journal a refusal as the command's last part and answer it."""
    cdef uint32_t first = b.n - x.part
    cdef cc_record *r
    cdef cc_account *a = &t.account[x.account]
    r = open_record(t, b, c, x)
    r.outcome = CC_O_DECLINED
    if reason == CC_R_PIN_REQUIRED and t.terminal[x.terminal].flags & CC_TERM_KEYPAD:
        r.outcome = CC_O_PIN_REQUIRED
    r.reason = reason
    r.original_seq = x.original
    if x.account != 0:
        r.body.money.debit_after = a.online
        if reason == CC_R_PIN_WRONG:
            r.flags |= CC_F_PIN_BAD
            r.body.money.pin_fails += 1
            r.body.money.pin_marks = CC_P_DATED
        r.body.money.credit_after = told_by(t, x, a, reason)
    close_record(t, b, r)
    return done(t, b, first, reply)


cdef inline int answer_unrecorded(cc_reply *reply, uint16_t reason) noexcept nogil:
    """A refusal that leaves no record: seq 0."""
    reply.parts = 0
    reply.record.outcome = CC_O_DECLINED
    reply.record.reason = reason
    return 0  # CC_D_DONE


cdef void reply_from_records(
    const cc_tables *t, const cc_block_header *head, const cc_record *parts, int n, cc_reply *reply,
) noexcept nogil
