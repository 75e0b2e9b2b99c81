"""Making an answer from the records of a decision."""

from libc.stdint cimport uint32_t, uint64_t

from ext.commands cimport cc_reply
from ext.reasons cimport CC_R_PIN_LOCKED, CC_R_PIN_REQUIRED, CC_R_PIN_WRONG
from ext.records cimport (
    CC_F_BY_COUNTER, CC_O_APPROVED, CC_O_EFFECT, CC_T_ACCOUNT, cc_block_header, cc_record,
)
from ext.tables cimport cc_tables


cdef void reply_from_records(
    const cc_tables *t, const cc_block_header *head, const cc_record *parts, int n, cc_reply *reply,
) noexcept nogil:
    """Fill the reply from the records alone, so that a replay says the same as the first time.

    A record BY_COUNTER resolves an earlier tap and is no part of what this command did.
    """
    cdef const cc_record *last = &parts[n - 1]
    cdef uint64_t limits
    cdef int i
    reply.rule_version = head.rule_version
    reply.time_us, reply.business_date = head.time_us, head.business_date
    reply.record = last[0]
    reply.parts = <unsigned char>n
    reply.approved = 0
    for i in range(n):
        if parts[i].flags & CC_F_BY_COUNTER or parts[i].type >= CC_T_ACCOUNT:
            continue
        if parts[i].outcome == CC_O_APPROVED or parts[i].outcome == CC_O_EFFECT:
            reply.approved += parts[i].body.money.amount
    if last.type >= CC_T_ACCOUNT:
        return
    if last.reason == CC_R_PIN_REQUIRED or last.reason == CC_R_PIN_WRONG \
            or last.reason == CC_R_PIN_LOCKED:
        limits = <uint64_t>last.body.money.credit_after
        reply.limit_day, reply.limit_meal = <uint32_t>limits, <uint32_t>(limits >> 32)
    if last.body.money.pin_fails < t.rules.pin_max:
        reply.pin_left = t.rules.pin_max - last.body.money.pin_fails
