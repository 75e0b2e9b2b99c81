"""What each act answers: facts of its moment, from its records and document alone.

Because nothing else goes in, a retry is answered word for word years later, and a rebuilt registry
answers like the one before it. Keys are the fields of the response message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core import documents
from core.blocks import BlockError, Record, RecordType
from core.merchants import format_etag
from core.rows import (
    KEYPAD,
    LIMIT_DEFAULT,
    AccountBody,
    MerchantBody,
    RulesBody,
    TerminalBody,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Effects = tuple[Record, ...]
    Facts = dict[str, Any]


def _of(effects: Effects, record_type: RecordType) -> Record:
    for record in effects:
        if record.type == record_type:
            return record
    raise BlockError(f"a document without its {record_type.name}")


def _nothing(_effects: Effects, _record: Record, _document: documents.Document) -> Facts:
    return {}


def _account_opened(effects: Effects, _: Record, document: documents.AccountOpened) -> Facts:
    facts = {"number": _of(effects, RecordType.ACCOUNT).account}
    if document.medium_type:
        facts["medium_number"] = _of(effects, RecordType.MEDIUM).medium
    return facts


def _status_set(_effects: Effects, _: Record, document: documents.AccountStatusSet) -> Facts:
    return {"previous_status": document.previous}


def _limits_set(effects: Effects, _: Record, _document: documents.LimitsSet) -> Facts:
    body = AccountBody.unpack(_of(effects, RecordType.ACCOUNT).body)
    limits = {
        "personal_day_limit_fen": body.day_limit,
        "personal_meal_limit_fen": body.meal_limit,
    }
    return {name: fen for name, fen in limits.items() if fen != LIMIT_DEFAULT}


def _medium_bound(effects: Effects, _: Record, _document: documents.MediumBound) -> Facts:
    return {"medium_number": _of(effects, RecordType.MEDIUM).medium}


def _topped_up(effects: Effects, _: Record, _document: documents.ToppedUp) -> Facts:
    money = _of(effects, RecordType.TOP_UP).money()
    debt = max(0, money.amount - money.credit_after)
    return {"online_fen": money.credit_after, "debt_settled_fen": min(debt, money.amount)}


def _subsidy_granted(effects: Effects, _: Record, _document: documents.SubsidyGranted) -> Facts:
    return {"subsidy_fen": _of(effects, RecordType.SUBSIDY).money().credit_after}


def _merchant_set(effects: Effects, _: Record, document: documents.MerchantSet) -> Facts:
    record = _of(effects, RecordType.MERCHANT)
    body = MerchantBody.unpack(record.body)
    merchant = {
        "merchant_id": document.merchant_id,
        "number": record.merchant,
        "name": document.name,
        "category": body.category,
        "status": body.status,
        "etag": format_etag(record.seq),
    }
    return {"merchant": merchant}


def _terminal_set(effects: Effects, _: Record, document: documents.TerminalSet) -> Facts:
    record = _of(effects, RecordType.TERMINAL)
    body = TerminalBody.unpack(record.body)
    terminal = {
        "terminal_id": body.name,
        "number": record.terminal,
        "merchant_id": document.merchant_id,
        "keypad": bool(body.flags & KEYPAD),
        "max_amount_fen": body.max_amount,
        "status": body.status,
        "place": document.place,
        "etag": format_etag(record.seq),
    }
    return {"terminal": terminal}


def rules_fields(body: RulesBody) -> Facts:
    """Return the fields of the proto's Rules."""
    return {
        "version": body.version,
        "day_limit_fen": body.day_limit,
        "meal_limit_fen": body.meal_limit,
        "day_ceiling_fen": body.day_ceiling,
        "meal_ceiling_fen": body.meal_ceiling,
        "hold_seconds": body.hold_seconds,
        "water_hold_seconds": body.water_hold_seconds,
        "late_capture_seconds": body.late_capture_seconds,
        "water_tap_fen": body.water_tap,
        "water_cap_fen": body.water_cap,
        "pin_tries": body.pin_max,
        "meal_scope": body.meal_scope + 1,
        "utc_offset_seconds": body.utc_offset_seconds,
        "limit_day": body.limit_day + 1,
        "pin_reset": body.pin_reset + 1,
        "pin_session_seconds": body.pin_session_seconds,
        "day_cut_minutes": body.day_cut_minutes,
    }


ANSWER_FACTS: Final[dict[type[documents.Document], Callable[[Effects, Record, Any], Facts]]] = {
    documents.AccountOpened: _account_opened,
    documents.AccountStatusSet: _status_set,
    documents.LimitsSet: _limits_set,
    documents.MediumBound: _medium_bound,
    documents.MediumUnbound: _nothing,
    documents.ToppedUp: _topped_up,
    documents.SubsidyGranted: _subsidy_granted,
    documents.HolderErased: _nothing,
    documents.MerchantSet: _merchant_set,
    documents.TerminalSet: _terminal_set,
}
