"""Replies and records as Python sees them: the dicts of engine.pyi."""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from ext.commands cimport cc_reply
from ext.errors import Refused
from ext.reasons cimport cc_reason_text_of
from ext.records cimport (
    CC_A_MUST_CHANGE, CC_HS_GREY, CC_LIMIT_DEFAULT, CC_T_ACCOUNT, cc_account, cc_money_body,
    cc_record,
)
from ext.views cimport cc_history_row
from ext.wire_encode cimport wire_status_reason, wire_status_retry_ms


cdef dict transaction_view(const cc_record *r):
    """One record; fields of a body that the type has not are 0."""
    cdef cc_money_body m
    memset(&m, 0, sizeof(m))
    if r.type < CC_T_ACCOUNT:
        m = r.body.money
    return {
        "seq": r.seq,
        "type": r.type,
        "outcome": r.outcome,
        "reason": r.reason,
        "flags": r.flags,
        "part": r.part,
        "parts": r.parts,
        "account": r.account,
        "medium": r.medium,
        "merchant": r.merchant,
        "terminal": r.terminal,
        "batch_no": r.batch_no,
        "terminal_seq": r.terminal_seq,
        "original_seq": r.original_seq,
        "prev_account_seq": r.prev_account_seq,
        "amount_fen": m.amount,
        "debit_after_fen": m.debit_after,
        "credit_after_fen": m.credit_after,
        "held_after_fen": m.held_after,
        "day_used_fen": m.day_used,
        "meal_used_fen": m.meal_used,
        "day_key": m.day_key,
        "meal_key": m.meal_key,
        "debit_wallet": m.debit_wallet,
        "credit_wallet": m.credit_wallet,
        "pin_fails": m.pin_fails,
        "aux": r.aux,
        "raw": (<char *>r)[:sizeof(cc_record)],
    }


cdef dict office_view(const cc_reply *reply):
    return {
        "seq": reply.record.seq,
        "row": reply.row,
        "replayed": bool(reply.replayed),
        "as_of_seq": reply.as_of_seq,
        "outcome": reply.record.outcome,
        "reason": reply.record.reason,
    }


cdef dict account_view(const cc_reply *reply):
    """An account; day and meal counters are those of the present day and meal."""
    cdef const cc_account *a = &reply.account_row
    return {
        "account": reply.row,
        "online_fen": a.online,
        "held_fen": a.held,
        "subsidy_fen": a.subsidy,
        "water_fen": reply.cold_row.water,
        "day_used_fen": a.day_used,
        "meal_used_fen": a.meal_used,
        "day_limit_fen": reply.limit_day,
        "meal_limit_fen": reply.limit_meal,
        "personal_day_limit": a.day_limit != CC_LIMIT_DEFAULT,
        "personal_meal_limit": a.meal_limit != CC_LIMIT_DEFAULT,
        "status": a.status,
        "must_change_pin": bool(a.flags & CC_A_MUST_CHANGE),
        "pin_fails": a.pin_fails,
        "pin_version": reply.cold_row.pin_version,
        "last_seq": a.last_seq,
        "water_hold_seq": reply.next_seq,
        "water_hold_grey": reply.hold_state == CC_HS_GREY,
        "as_of_seq": reply.as_of_seq,
    }


cdef dict history_view(const cc_reply *reply):
    cdef const cc_history_row *page = <const cc_history_row *>reply.bytes
    cdef uint32_t i
    cdef list items = []
    for i in range(reply.count):
        item = transaction_view(&page[i].record)
        item["time_us"] = page[i].time_us
        item["business_date"] = page[i].business_date
        item["rule_version"] = page[i].rule_version
        items.append(item)
    return {
        "items": items,
        "next_seq": reply.next_seq,
        "as_of_seq": reply.as_of_seq,
    }


cdef object refused_view(const cc_reply *reply):
    """The exception for a command that was not decided."""
    cdef int number = wire_status_reason(reply.op, reply.status)
    return Refused(
        cc_reason_text_of(<unsigned>number).name.decode("ascii"),
        wire_status_retry_ms(reply.status),
        reply.conflict,
    )
