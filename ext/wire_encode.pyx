"""Responses of the hot methods: a Decision with what each method adds to it."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport strlen

from ext.commands cimport (
    CC_OP_AUTHORIZE, CC_OP_GET_BALANCE, CC_OP_GET_TRANSACTION, CC_OP_HOLD, CC_OP_SIGN_IN,
    CC_OP_SIGN_OFF, CC_ST_CONFLICT, CC_ST_DRAINING, CC_ST_EXPIRED, CC_ST_HELD_BACK,
    CC_ST_INVALID, CC_ST_KEY_LOADING, CC_ST_NOT_FOUND, CC_ST_OK, CC_ST_OVERLOADED,
    CC_ST_REQUEST_REUSED, CC_ST_STORAGE_FULL, CC_ST_TABLE_FULL, cc_reply,
)
from ext.reasons cimport (
    CC_R_CONFLICT, CC_R_DEADLINE_EXCEEDED, CC_R_FIELD_INVALID, CC_R_INTERNAL, CC_R_KEY_LOADING,
    CC_R_NOT_FOUND, CC_R_QUEUE_FULL, CC_R_REQUEST_ID_REUSED, CC_R_SHUTTING_DOWN,
    CC_R_STORAGE_NEARLY_FULL, CC_R_TABLE_FULL, CC_R_TRANSACTION_NOT_FOUND, cc_reason_text,
    cc_reason_text_of,
)
from ext.records cimport (
    CC_F_EXCESS, CC_F_FORCED, CC_F_KEY_IS_REQUEST, CC_F_LATE, CC_F_MUST_CHANGE, CC_F_OVER_DAY,
    CC_F_OVER_MEAL, CC_F_PARTIAL, CC_O_APPROVED, CC_O_EFFECT, CC_T_ACCOUNT, CC_T_HOLD,
    CC_T_PURCHASE, CC_T_REFUND, CC_T_RELEASE, CC_T_REVERSAL, CC_T_SIGN_IN, CC_T_TOMBSTONE,
    CC_W_NONE, CC_W_ONLINE, CC_W_SUBSIDY, cc_money_body, cc_record,
)
from ext.wire_texts cimport put_refusal
from ext.wire_writer cimport close_message, open_message, put_bytes, put_signed, put_unsigned

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char *text, size_t most) noexcept

cdef extern from "wire.h" nogil:
    const char *cc_wire_type_name(unsigned record_type) noexcept

cdef enum:
    AUTH_CODE_CHARS = 6
    RETRY_SOON_MS = 50
    RETRY_LATER_MS = 1000
    RETRY_OPERATOR_MS = 5000    # somebody has to make room

ctypedef struct cc_side:
    int64_t balance
    int wallet              # CC_W_*, at most SUBSIDY


# ---- what a record says about its wallet ----

cdef inline bint is_wallet(int wallet) noexcept nogil:
    return CC_W_ONLINE <= wallet <= CC_W_SUBSIDY


cdef inline bint approved(const cc_record *record) noexcept nogil:
    return record.outcome == CC_O_APPROVED or record.outcome == CC_O_EFFECT


cdef cc_side holder_side(const cc_record *record) noexcept nogil:
    """Return the holder's side: the wallet debited, or the one credited by what gives back.

    Refusals, holds and releases move nothing and say what is in ONLINE.
    """
    cdef const cc_money_body *body = &record.body.money
    cdef bint gives_back = record.type == CC_T_REVERSAL or record.type == CC_T_REFUND
    cdef cc_side side
    side.balance = body.debit_after
    side.wallet = CC_W_ONLINE
    if record.type >= CC_T_ACCOUNT:
        side.balance = 0
        side.wallet = CC_W_NONE
    elif not approved(record):
        pass
    elif record.type == CC_T_HOLD or record.type == CC_T_RELEASE:
        pass
    elif is_wallet(body.credit_wallet) and (gives_back or not is_wallet(body.debit_wallet)):
        side.balance = body.credit_after
        side.wallet = body.credit_wallet
    elif is_wallet(body.debit_wallet):
        side.wallet = body.debit_wallet
    elif record.account == 0:
        side.wallet = CC_W_NONE
    return side


cdef int64_t subsidy_part(const cc_reply *reply, const cc_side *side) noexcept nogil:
    """Return what SUBSIDY has of `approved`: the whole last part, or all before an ONLINE one."""
    cdef const cc_record *record = &reply.record
    if not approved(record) or record.type >= CC_T_ACCOUNT:
        return 0
    if side.wallet == CC_W_SUBSIDY:
        return record.body.money.amount
    if record.parts == 2 and (record.type == CC_T_PURCHASE or record.type == CC_T_REVERSAL):
        return reply.approved - record.body.money.amount
    return 0


# ---- Decision ----

cdef uint8_t *put_auth_code(uint8_t *p, uint64_t seq) noexcept nogil:
    """Write the low 30 bits of the seq in Crockford's base 32, highest first."""
    cdef const char *alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    cdef uint8_t code[AUTH_CODE_CHARS]
    cdef int i
    for i in range(AUTH_CODE_CHARS):
        code[AUTH_CODE_CHARS - 1 - i] = <uint8_t>alphabet[seq & 31]
        seq >>= 5
    return put_bytes(p, 10, code, AUTH_CODE_CHARS)


cdef inline uint8_t *put_flag(uint8_t *p, bint flag, const char *name) noexcept nogil:
    return put_bytes(p, 18, name, strlen(name)) if flag else p


cdef uint8_t *put_flags(uint8_t *p, int flags) noexcept nogil:
    p = put_flag(p, flags & CC_F_OVER_DAY, b"OVER_DAY")
    p = put_flag(p, flags & CC_F_OVER_MEAL, b"OVER_MEAL")
    p = put_flag(p, flags & CC_F_PARTIAL, b"PARTIAL")
    p = put_flag(p, flags & CC_F_EXCESS, b"EXCESS")
    p = put_flag(p, flags & CC_F_LATE, b"LATE")
    return put_flag(p, flags & CC_F_FORCED, b"FORCED")


cdef uint8_t *put_amounts(uint8_t *p, const cc_reply *reply, const cc_side *side) noexcept nogil:
    cdef const cc_money_body *body = &reply.record.body.money
    p = put_signed(p, 3, reply.approved)
    p = put_signed(p, 4, side.balance)
    p = put_unsigned(p, 5, <uint64_t>side.wallet)
    if reply.record.type >= CC_T_ACCOUNT:
        return p
    p = put_unsigned(p, 6, body.day_used)
    p = put_unsigned(p, 7, body.meal_used)
    return put_signed(p, 8, body.held_after)


cdef uint8_t *put_decision(
    uint8_t *p, const cc_reply *reply, bint unary, bint replayed,
) noexcept nogil:
    cdef const cc_record *record = &reply.record
    cdef const cc_reason_text *reason = cc_reason_text_of(record.reason)
    cdef cc_side side = holder_side(record)
    cdef uint8_t *start = open_message(p, 1)
    cdef uint8_t *refusal
    cdef bint fine = approved(record)
    p = put_unsigned(start, 1, CC_O_APPROVED if fine else record.outcome)
    p = put_bytes(p, 2, reason.name, reason.name_len)
    p = put_amounts(p, reply, &side)
    p = put_unsigned(p, 9, record.seq)
    if fine:
        p = put_auth_code(p, record.seq)
    p = put_unsigned(p, 11, reply.rule_version)
    p = put_unsigned(p, 12, replayed)
    p = put_signed(p, 13, reply.time_us)
    p = put_unsigned(p, 14, reply.business_date)
    p = put_unsigned(p, 15, record.flags & CC_F_MUST_CHANGE != 0)
    if unary and not fine:
        refusal = open_message(p, 16)
        p = close_message(refusal, put_refusal(refusal, reply))
    p = put_signed(p, 17, subsidy_part(reply, &side))
    return close_message(start, put_flags(p, record.flags))


# ---- responses ----

cdef uint8_t *put_balance(uint8_t *p, const cc_reply *reply) noexcept nogil:
    p = put_signed(p, 1, reply.account_row.online)
    p = put_signed(p, 2, reply.account_row.held)
    p = put_signed(p, 3, reply.account_row.subsidy)
    p = put_signed(p, 4, reply.cold_row.water)
    p = put_unsigned(p, 5, reply.account_row.day_used)
    p = put_unsigned(p, 6, reply.account_row.meal_used)
    p = put_unsigned(p, 7, reply.limit_day)
    p = put_unsigned(p, 8, reply.limit_meal)
    return put_unsigned(p, 9, reply.as_of_seq)


cdef uint8_t *put_key(
    uint8_t *p, const cc_record *record, const uint8_t *terminal_name,
) noexcept nogil:
    """Write the key of a terminal's record; acts of the office and of the clock have none."""
    cdef uint8_t *start
    if record.flags & CC_F_KEY_IS_REQUEST or record.batch_no == 0:
        return p
    start = open_message(p, 2)
    p = start
    if terminal_name != NULL:
        p = put_bytes(p, 1, terminal_name, strnlen(<const char*>terminal_name, 16))
    p = put_unsigned(p, 2, record.batch_no)
    return close_message(start, put_unsigned(p, 3, record.terminal_seq))


cdef uint64_t original_of(const cc_record *record) noexcept nogil:
    """Return the seq of what the record undoes or captures.

    A tombstone holds a key there, a sign-in its predecessor.
    """
    if record.type == CC_T_TOMBSTONE or record.type == CC_T_SIGN_IN:
        return 0
    return record.original_seq


cdef size_t wire_encode_transaction(
    const cc_reply *reply, const uint8_t *terminal_name, uint8_t *buf, size_t cap,
) noexcept nogil:
    cdef const char *name
    cdef uint8_t *p
    if cap < WIRE_RESPONSE_MAX or reply.status != CC_ST_OK:
        return 0
    name = cc_wire_type_name(reply.record.type)
    p = put_decision(buf, reply, True, True)
    p = put_key(p, &reply.record, terminal_name)
    p = put_bytes(p, 3, name, strlen(name))
    p = put_unsigned(p, 4, original_of(&reply.record))
    p = put_unsigned(p, 5, reply.as_of_seq)
    return <size_t>(p - buf)


cdef size_t wire_encode(
    int method, const cc_reply *reply, uint8_t *buf, size_t cap,
) noexcept nogil:
    cdef uint8_t *p
    if cap < WIRE_RESPONSE_MAX or reply.status != CC_ST_OK:
        return 0
    if method == CC_OP_GET_TRANSACTION:
        return wire_encode_transaction(reply, NULL, buf, cap)
    if method == CC_OP_GET_BALANCE:
        return <size_t>(put_balance(buf, reply) - buf)
    if not CC_OP_AUTHORIZE <= method <= CC_OP_SIGN_OFF:
        return 0
    p = put_decision(buf, reply, True, reply.replayed != 0)
    if method == CC_OP_SIGN_IN:
        p = put_unsigned(p, 2, reply.record.batch_no)
    elif method == CC_OP_HOLD and approved(&reply.record):
        p = put_signed(p, 2, reply.record.body.money.credit_after)
    return <size_t>(p - buf)


cdef size_t wire_encode_stream_error(
    int reason, uint32_t retry_after_ms, uint32_t terminal_seq, uint8_t *buf, size_t cap,
) noexcept nogil:
    cdef const cc_reason_text *text = cc_reason_text_of(<unsigned>reason)
    cdef uint8_t *start
    cdef uint8_t *p
    if cap < WIRE_RESPONSE_MAX:
        return 0
    start = open_message(buf, 2)
    p = put_bytes(start, 1, text.name, text.name_len)
    p = close_message(start, put_unsigned(p, 2, retry_after_ms))
    return <size_t>(put_unsigned(p, 3, terminal_seq) - buf)


cdef size_t wire_encode_stream(
    const cc_reply *reply, uint32_t terminal_seq, uint8_t *buf, size_t cap,
) noexcept nogil:
    cdef uint8_t *p
    if reply.status != CC_ST_OK:
        return wire_encode_stream_error(
            wire_status_reason(reply.op, reply.status), wire_status_retry_ms(reply.status),
            terminal_seq, buf, cap)
    if cap < WIRE_RESPONSE_MAX:
        return 0
    p = put_decision(buf, reply, False, reply.replayed != 0)
    return <size_t>(put_unsigned(p, 3, terminal_seq) - buf)


# ---- statuses ----

cdef int wire_status_reason(int op, int status) noexcept nogil:
    if status == CC_ST_KEY_LOADING or status == CC_ST_HELD_BACK:
        return CC_R_KEY_LOADING
    if status == CC_ST_OVERLOADED:
        return CC_R_QUEUE_FULL
    if status == CC_ST_DRAINING:
        return CC_R_SHUTTING_DOWN
    if status == CC_ST_EXPIRED:
        return CC_R_DEADLINE_EXCEEDED
    if status == CC_ST_STORAGE_FULL:
        return CC_R_STORAGE_NEARLY_FULL
    if status == CC_ST_NOT_FOUND:
        return CC_R_TRANSACTION_NOT_FOUND if op == CC_OP_GET_TRANSACTION else CC_R_NOT_FOUND
    if status == CC_ST_CONFLICT:
        return CC_R_CONFLICT
    if status == CC_ST_INVALID:
        return CC_R_FIELD_INVALID
    if status == CC_ST_TABLE_FULL:
        return CC_R_TABLE_FULL
    if status == CC_ST_REQUEST_REUSED:
        return CC_R_REQUEST_ID_REUSED
    return CC_R_INTERNAL


cdef uint32_t wire_status_retry_ms(int status) noexcept nogil:
    if status == CC_ST_KEY_LOADING or status == CC_ST_HELD_BACK or status == CC_ST_OVERLOADED:
        return RETRY_SOON_MS
    if status == CC_ST_DRAINING:
        return RETRY_LATER_MS
    if status == CC_ST_STORAGE_FULL or status == CC_ST_TABLE_FULL:
        return RETRY_OPERATOR_MS
    return 0
