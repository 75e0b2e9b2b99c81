"""What holds an account, as ONE table: a leave, a sanction, the closing, each with its own end.

An account's status, as the engine knows it, is the worst of its holds. Every event begins or ends
one of them and leaves the others: what ends first never lifts what goes on. Only the end of a
sanction that is alone waits in the engine: beside another hold it would lift what goes on, so it is
cancelled when that one begins, and waits again when that one ends first.

**Source:** regulation 三.5, 八.1; D19; docs/reference/card-states.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final

from core.plans import EffectKind, EffectPlan, Expect
from core.refusals import illegal
from core.rows import AccountBody, AccountStatus, RowEvent

if TYPE_CHECKING:
    from collections.abc import Mapping


class Hold(IntFlag):
    """What may hold an account."""

    LEAVE = 1
    SANCTION = 2
    CLOSING = 4
    CLOSED = 8


NO_HOLD: Final = Hold(0)


class HoldEvent(IntEnum):
    """What may happen to the holds of an account."""

    SUSPEND = 1
    RESUME = 2
    SUSPENSION_ENDS = 3
    LEAVE_BEGINS = 4
    LEAVE_ENDS = 5
    CLOSING_BEGINS = 6
    CLOSING_ENDS = 7
    CLOSE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTransition:
    """One event of the table.

    Attributes:
        needs: holds it needs.
        forbids: holds that forbid it; CLOSED forbids everything.
        sets: holds that begin.
        clears: holds that end.
        actor: who lets it happen.
        does: what happens beside, English.
        zh: name for people.
        clause: of the regulation.
    """

    actor: str
    zh: str
    clause: str
    needs: Hold = NO_HOLD
    forbids: Hold = Hold.CLOSED
    sets: Hold = NO_HOLD
    clears: Hold = NO_HOLD
    does: str = ""


OPEN: Final = (Hold.LEAVE, Hold.SANCTION, Hold.CLOSING)
"""What may hold an account that is not closed."""

TABLE: Final[Mapping[HoldEvent, HoldTransition]] = {
    HoldEvent.SUSPEND: HoldTransition(
        forbids=Hold.SANCTION | Hold.CLOSED,
        sets=Hold.SANCTION,
        actor="CARD_OFFICER, CARD_SUPERVISOR",
        zh="暂停使用",
        clause="八.1",
        does="no spending; top-ups and loss reports go on",
    ),
    HoldEvent.RESUME: HoldTransition(
        needs=Hold.SANCTION,
        clears=Hold.SANCTION,
        actor="CARD_OFFICER, CARD_SUPERVISOR",
        zh="恢复使用",
        clause="八.1",
    ),
    HoldEvent.SUSPENSION_ENDS: HoldTransition(
        needs=Hold.SANCTION,
        clears=Hold.SANCTION,
        actor="the date",
        zh="暂停期满",
        clause="八.1",
    ),
    HoldEvent.LEAVE_BEGINS: HoldTransition(
        forbids=Hold.LEAVE | Hold.CLOSED,
        sets=Hold.LEAVE,
        actor="STUDENT_AFFAIRS, CARD_OFFICER",
        zh="休学",
        clause="八.1, D19",
        does="only while `leave_spending` is NONE",
    ),
    HoldEvent.LEAVE_ENDS: HoldTransition(
        needs=Hold.LEAVE,
        clears=Hold.LEAVE,
        actor="STUDENT_AFFAIRS, CARD_OFFICER",
        zh="复学",
        clause="八.1, D19",
        does="whatever `leave_spending` is by then",
    ),
    HoldEvent.CLOSING_BEGINS: HoldTransition(
        forbids=Hold.CLOSING | Hold.CLOSED,
        sets=Hold.CLOSING,
        actor="CARD_OFFICER",
        zh="开始销户",
        clause="三.5",
        does="no spending; the balance is paid out",
    ),
    HoldEvent.CLOSING_ENDS: HoldTransition(
        needs=Hold.CLOSING,
        clears=Hold.CLOSING,
        actor="CARD_OFFICER",
        zh="撤回销户",
        clause="三.5",
    ),
    HoldEvent.CLOSE: HoldTransition(
        needs=Hold.CLOSING,
        sets=Hold.CLOSED,
        clears=Hold.LEAVE | Hold.SANCTION | Hold.CLOSING,
        actor="CARD_OFFICER",
        zh="销户",
        clause="三.5",
        does="all wallets are empty; for ever",
    ),
}
"""Every event; what is not in a row stays as it is."""

STATUSES: Final = (
    (Hold.CLOSED, AccountStatus.CLOSED),
    (Hold.CLOSING, AccountStatus.CLOSING),
    (Hold.LEAVE | Hold.SANCTION, AccountStatus.SUSPENDED),
)
"""The worst first: any of these holds makes the status."""

_SECOND_US: Final = 1_000_000
_END: Final = Expect.STATUS | Expect.UNCHANGED
"""The end of a sanction comes true only while nobody has touched the status since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the registry knows of an account's holds beside its status.

    Attributes:
        leave: a leave holds it.
        sanction: a sanction was set and not lifted; it may have ended by its date.
        until_us: when the sanction ends, microseconds since 1970 UTC; 0: when it is resumed.
        end_seq: the effect that waits to end it; 0: none.
    """

    leave: bool = False
    sanction: bool = False
    until_us: int = 0
    end_seq: int = 0


NOT_HELD: Final = Held()


def holds_at(status: AccountStatus, held: Held, now_us: int) -> Hold:
    """Return what holds an account at a moment.

    An account that nothing holds and that is suspended still is under a sanction: the engine has
    not come to its end yet.
    """
    if status is AccountStatus.CLOSED:
        return Hold.CLOSED
    if status is AccountStatus.NORMAL:
        return NO_HOLD
    holds = Hold.LEAVE if held.leave else NO_HOLD
    if held.sanction and (not held.until_us or now_us < held.until_us):
        holds |= Hold.SANCTION
    if status is AccountStatus.CLOSING:
        return holds | Hold.CLOSING
    return holds or Hold.SANCTION


def status_of(holds: Hold) -> AccountStatus:
    """Return the status that holds make: of the worst of them."""
    return next((status for hold, status in STATUSES if holds & hold), AccountStatus.NORMAL)


def transition(holds: Hold, event: HoldEvent) -> Hold | None:
    """Return the holds after an event, or None where the table forbids it."""
    row = TABLE[event]
    if holds & row.needs != row.needs or holds & row.forbids:
        return None
    return (holds | row.sets) & ~row.clears


def legal_events(holds: Hold) -> tuple[HoldEvent, ...]:
    """List what somebody may let happen next; that a date comes is not for anybody to do."""
    return tuple(
        event
        for event in HoldEvent
        if event is not HoldEvent.SUSPENSION_ENDS and transition(holds, event) is not None
    )


def describe(holds: Hold) -> str:
    """Name holds, as ``LEAVE+SANCTION``; NORMAL where there is none."""
    return "+".join(hold.name or "" for hold in Hold if hold in holds) or "NORMAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAccount:
    """An account as its holds are changed: its number, its status, what holds it, and now."""

    number: int
    status: AccountStatus
    held: Held
    now_us: int

    @property
    def holds(self) -> Hold:
        """What holds it now."""
        return holds_at(self.status, self.held, self.now_us)


def happen(
    account: HeldAccount, event: HoldEvent, *, until_us: int = 0, last_seq: int | None = None
) -> tuple[EffectPlan, ...]:
    """Let an event of the table happen.

    The account must stand as it was read: its status, and the end that waits.

    Args:
        account: as it stands.
        event: of ``TABLE``.
        until_us: of SUSPEND: when it ends, microseconds since 1970 UTC; 0: when it is resumed.
        last_seq: nothing may have been recorded of the account after it; None: that is the same.

    Raises:
        Refusal: STATE_TRANSITION with what would be legal.
    """
    after = transition(account.holds, event)
    if after is None:
        legal = (found.name for found in legal_events(account.holds))
        raise illegal(describe(account.holds), event.name, legal)
    effects = []
    if account.held.end_seq:
        effects.append(EffectPlan(kind=EffectKind.CANCEL, scheduled_seq=account.held.end_seq))
    effects.append(_status(account, status_of(after), last_seq=last_seq))
    until_us = until_us if event is HoldEvent.SUSPEND else account.held.until_us
    if after == Hold.SANCTION and until_us:
        effects.append(_end(account.number, until_us))
    return tuple(effects)


def _status(account: HeldAccount, status: AccountStatus, *, last_seq: int | None) -> EffectPlan:
    """Set the status, the same one too: the act stands in the account's history."""
    return EffectPlan(
        kind=EffectKind.ACCOUNT_STATUS,
        row=account.number,
        event=RowEvent.STATUS,
        expect=Expect.STATUS if last_seq is None else Expect.STATUS | Expect.LAST_SEQ,
        expect_status=account.status,
        expect_last_seq=last_seq or 0,
        body=AccountBody(status=status, event=RowEvent.STATUS).pack(),
    )


def _end(number: int, until_us: int) -> EffectPlan:
    return EffectPlan(
        kind=EffectKind.ACCOUNT_STATUS,
        row=number,
        event=RowEvent.STATUS,
        expect=_END,
        expect_status=AccountStatus.SUSPENDED,
        due_s=second_at(until_us),
        body=AccountBody(status=AccountStatus.NORMAL, event=RowEvent.STATUS).pack(),
    )


def second_at(time_us: int) -> int:
    """Return the first whole second at or after a moment."""
    return -(-time_us // _SECOND_US)
