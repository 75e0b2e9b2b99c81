"""Which fields a kind of record may use at all: what is not meant is zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server.offline import layout as at
from server.offline.findings import Difference

if TYPE_CHECKING:
    from server.offline.books import Books
    from server.offline.layout import Entry
    from server.offline.rows import Account

_COUNTS: Final = at.F_COUNTS_DAY | at.F_COUNTS_MEAL
_ASKED: Final = at.F_PIN_OK | at.F_OVER_DAY | at.F_OVER_MEAL | at.F_PARTIAL
_PAID: Final = _ASKED | _COUNTS | at.F_MUST_CHANGE
_HELD: Final = _COUNTS | at.F_WATER | at.F_MUST_CHANGE
_LATE: Final = at.F_FORCED | at.F_LATE | at.F_EXCESS
_OFFICE: Final = at.F_KEY_IS_REQUEST | at.F_PIN_OK

SETTLED: Final = {
    at.PURCHASE: _PAID,
    at.HOLD: _PAID | at.F_WATER,
    at.CAPTURE: _HELD | _LATE | at.F_BY_COUNTER,
    at.RELEASE: _HELD | at.F_BY_COUNTER,
    at.HOLD_EXPIRED: at.F_DUE | _COUNTS,
    at.HOLD_GREY: at.F_DUE | at.F_WATER,
    at.HOLD_RETIRED: at.F_DUE,
    at.REVERSAL: at.F_VOID | _HELD,
    at.TOMBSTONE: at.F_VOID,
    at.REFUND: at.F_MUST_CHANGE,
    at.SIGN_IN: 0,
    at.SIGN_OFF: 0,
    at.PIN_CHECK: _OFFICE,
    at.TOP_UP: _OFFICE,
    at.SUBSIDY_PAID: _OFFICE,
    at.ADJUST: _OFFICE,
}
"""Flags of what was approved or took effect."""
AT_THE_OFFICE: Final = dict.fromkeys((at.CAPTURE, at.RELEASE), _COUNTS | at.F_WATER | _OFFICE)
"""Flags of a transfer that the office settled."""
REFUSED: Final = (
    at.F_PIN_BAD | at.F_OVER_DAY | at.F_OVER_MEAL | at.F_WATER | at.F_VOID | at.F_MUST_CHANGE
    | at.F_KEY_IS_REQUEST
)  # fmt: skip
OFFICE: Final = frozenset((at.PIN_CHECK, at.TOP_UP, at.SUBSIDY_PAID, at.ADJUST))
UNDOING: Final = frozenset((at.REVERSAL, at.REFUND))
NAMES_NO_OTHER: Final = frozenset((at.PURCHASE, at.HOLD, at.SIGN_OFF, *OFFICE))
"""Kinds whose original_seq is 0."""
ASKS_NOTHING: Final = frozenset(
    (at.HOLD_EXPIRED, at.HOLD_GREY, at.HOLD_RETIRED, at.SIGN_IN, at.SIGN_OFF, *OFFICE)
)
"""Kinds whose aux is 0."""


def shape(books: Books, e: Entry, account: Account | None) -> None:
    """Check a record with a money body, before anything is made of it."""
    settled = e.outcome in (at.APPROVED, at.EFFECT)
    allowed = SETTLED[e.type] if settled else REFUSED
    if settled and e.flags & at.F_KEY_IS_REQUEST:
        allowed = AT_THE_OFFICE.get(e.type, allowed)
    if e.flags & ~allowed:
        raise Difference(e.seq, f"flags {e.flags:#x} are not of this kind of record")
    if settled and e.reason:
        raise Difference(e.seq, "approved with a reason to refuse")
    if (e.original_part and e.type not in UNDOING) or (e.original_seq and e.type in NAMES_NO_OTHER):
        raise Difference(e.seq, "an original where there is none")
    if e.aux and e.type in ASKS_NOTHING:
        raise Difference(e.seq, "an amount asked where none is")
    if account is None or e.type in OFFICE:
        if e.medium:
            raise Difference(e.seq, "a medium without its account")
        return
    medium = books.media.get(e.medium)
    if medium is None or medium.account != e.account:
        raise Difference(e.seq, "a medium that is not the account's")
    tapped = not e.flags & (at.F_DUE | at.F_KEY_IS_REQUEST)
    if tapped and bool(e.flags & at.F_MUST_CHANGE) != bool(account.flags & 1):
        raise Difference(e.seq, "MUST_CHANGE is not what the account says")


def office_shape(e: Entry) -> None:
    """Check a record of a paper: fields that belong to payments are zero."""
    due = e.flags & at.F_DUE
    names_another = bool(due) or e.type == at.UNSCHEDULED
    if e.aux or bool(e.original_seq) != names_another:
        raise Difference(e.seq, "a paper with the fields of a payment")
    if e.flags & ~(at.F_DUE if due else _OFFICE | at.F_PIN_BAD):
        raise Difference(e.seq, f"flags {e.flags:#x} are not of a paper")
    if due and (e.batch_no or e.terminal_seq or e.fingerprint or e.parts != 1):
        raise Difference(e.seq, "what falls due has no command behind it")
    if e.outcome == at.EFFECT and e.reason:
        raise Difference(e.seq, "a paper in effect with a reason to refuse")
    used = USED.get(e.type, ())
    for name in ("account", "medium", "merchant", "terminal"):
        if name not in used and getattr(e, name):
            raise Difference(e.seq, f"a paper that names a {name}")


USED: Final = {
    at.ACCOUNT: ("account",),
    at.MEDIUM: ("account", "medium"),
    at.MERCHANT: ("merchant",),
    at.SCHEDULED: ("account", "medium"),
    at.UNSCHEDULED: ("account", "medium"),
    at.TERMINAL: ("terminal", "merchant"),
}
"""Rows a paper names."""
