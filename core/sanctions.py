"""Sanctions: a warning, a suspension of an account or of one medium, and its end.

**Source:** regulation 八.1 "警告、暂停使用"; docs/reference/card-states.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.accounts import STATUS_TRANSITIONS, status_effect
from core.cards import TABLE, CardEvent
from core.documents.cards import HolderWarned, HoursOverridden, UseResumed, UseSuspended
from core.media import happen
from core.plans import EffectKind, EffectPlan, Expect, Plan
from core.refusals import Refusal, illegal, invalid
from core.rows import AccountBody, AccountStatus, MediumBody, MediumFlag, RowEvent

if TYPE_CHECKING:
    from core.counter import Moment
    from core.facts import AccountFacts
    from core.media import Carrier

_SECOND_US: Final = 1_000_000
_SECONDS_MAX: Final = 2**32 - 1
_UNTOUCHED: Final = Expect.STATUS | Expect.UNCHANGED
"""The end of a suspension comes true only while it is the suspension it was made for."""


def warn(account: AccountFacts) -> Plan:
    """Warn a holder; nothing else changes.

    **Source:** regulation 八.1.
    """
    return Plan(document=HolderWarned(account=account.number), effects=())


def suspend_account(account: AccountFacts, *, until_us: int, now_us: int) -> Plan:
    """Suspend an account: no spending; top-ups and loss reports go on; the engine ends it in time.

    Raises:
        Refusal: SUSPENDED, STATE_TRANSITION, and what ``check_until`` raises.

    **Source:** regulation 八.1.
    """
    check_until(until_us, now_us)
    if account.status is AccountStatus.SUSPENDED:
        raise Refusal("SUSPENDED")
    if account.status is not AccountStatus.NORMAL:
        legal = STATUS_TRANSITIONS[account.status]
        raise illegal(account.status.name, "SUSPENDED", (status.name for status in legal))
    effects = [status_effect(account, AccountStatus.SUSPENDED)]
    if until_us:
        effects.append(
            EffectPlan(
                kind=EffectKind.ACCOUNT_STATUS,
                row=account.number,
                event=RowEvent.STATUS,
                expect=_UNTOUCHED,
                expect_status=AccountStatus.SUSPENDED,
                due_s=_second(until_us),
                body=AccountBody(status=AccountStatus.NORMAL, event=RowEvent.STATUS).pack(),
            )
        )
    document = UseSuspended(account=account.number, medium=0, until_us=until_us)
    return Plan(document=document, effects=tuple(effects))


def resume_account(account: AccountFacts) -> Plan:
    """End an account's suspension.

    Raises:
        Refusal: NOT_SUSPENDED.

    **Source:** regulation 八.1.
    """
    if account.status is not AccountStatus.SUSPENDED:
        raise Refusal("NOT_SUSPENDED")
    effect = status_effect(account, AccountStatus.NORMAL)
    return Plan(document=UseResumed(account=account.number, medium=0), effects=(effect,))


def suspend_medium(carrier: Carrier, *, until_us: int, now_us: int) -> Plan:
    """Suspend one medium; it may be lost as well, and is resumed before the loss is taken back.

    Raises:
        Refusal: SUSPENDED, CARD_STATE, and what ``check_until`` raises.

    **Source:** regulation 八.1; FROZEN is not LOST.
    """
    check_until(until_us, now_us)
    medium = carrier.medium
    if MediumFlag.FROZEN in medium.flags:
        raise Refusal("SUSPENDED")
    effects = [happen(carrier, CardEvent.SUSPEND)]
    if until_us:
        effects.append(
            EffectPlan(
                kind=EffectKind.MEDIUM_STATE,
                row=medium.number,
                event=RowEvent.STATE,
                expect=_UNTOUCHED,
                expect_status=medium.state,
                expect_flags=MediumFlag.FROZEN,
                due_s=_second(until_us),
                mask=MediumFlag.FROZEN,
                body=MediumBody(key=medium.key, event=RowEvent.STATE).pack(),
            )
        )
    document = UseSuspended(account=medium.account_number, medium=medium.number, until_us=until_us)
    return Plan(document=document, effects=tuple(effects))


def resume_medium(carrier: Carrier) -> Plan:
    """End a medium's suspension.

    Raises:
        Refusal: NOT_SUSPENDED, CARD_STATE.

    **Source:** regulation 八.1.
    """
    medium = carrier.medium
    if MediumFlag.FROZEN not in medium.flags:
        raise Refusal("NOT_SUSPENDED")
    effect = happen(carrier, CardEvent.RESUME)
    document = UseResumed(account=medium.account_number, medium=medium.number)
    return Plan(document=document, effects=(effect,))


def check_until(until_us: int, now_us: int) -> None:
    """Check the end of a suspension; 0: until it is resumed.

    Raises:
        Refusal: FIELD_INVALID for a time that has passed, or one past 2106.
    """
    if until_us and not now_us < until_us < _SECONDS_MAX * _SECOND_US:
        raise invalid("until_time_us", "in the future, before 2106")


def _second(time_us: int) -> int:
    """Return the first whole second at or after a moment."""
    return -(-time_us // _SECOND_US)


def override_hours(account: AccountFacts, operation: str, moment: Moment) -> Plan:
    """Let one act of an account pass outside the counter's hours on this local day.

    Args:
        account: for whom.
        operation: name in the parameter ``counter_operations``.
        moment: now.

    Raises:
        Refusal: FIELD_INVALID for an operation the table does not bind to hours.

    **Source:** regulation 三.4(4), 八.3: the supervisor's exception is audited.
    """
    if operation not in {row.operation for row in TABLE.values() if row.operation}:
        raise invalid("operation", "one that is bound to the hours of the counter")
    document = HoursOverridden(account=account.number, operation=operation, day=moment.today)
    return Plan(document=document, effects=())
