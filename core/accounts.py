"""The rules of the counter: which act is legal from which state, and what it asks of the engine.

Every function decides one act from facts and returns a ``Plan`` or raises ``Refusal``. Nothing
here reads a clock or a file. What the engine must find unchanged is written into the effects'
expectations, so that an act decided on old facts comes back as CONFLICT and is decided again.

**Source:** regulation 三.1-三.5, 四.3, 四.5, 五.1, 八.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core import documents
from core.account_holds import (
    HeldAccount,
    Hold,
    HoldEvent,
    describe,
    happen,
    holds_at,
    legal_events,
    transition,
)
from core.cards import PHYSICAL_CARD
from core.media import FACE, LIVE_MAX, live_count, medium_body
from core.passwords import is_well_formed
from core.plans import EffectKind, EffectPlan, Expect, Plan, Wallet
from core.refusals import Refusal, illegal, invalid, taken
from core.rows import LIMIT_DEFAULT, AccountBody, AccountStatus, MediumState, RowEvent

if TYPE_CHECKING:
    from core.facts import AccountFacts, MediumFacts
    from core.rows import RulesBody

STATUS_EVENTS: Final = {
    AccountStatus.NORMAL: HoldEvent.CLOSING_ENDS,
    AccountStatus.CLOSING: HoldEvent.CLOSING_BEGINS,
    AccountStatus.CLOSED: HoldEvent.CLOSE,
}
"""What a status that is asked for means; a suspension is a sanction (``core/sanctions.py``)."""

TOP_UP_SIDES: Final = {1: Wallet.CLEARING_WX, 2: Wallet.CASH, 3: Wallet.CLEARING_BANK}
"""TopUpSource of the proto to the account it debits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An account's wallets as of ``last_seq``, fen."""

    online: int
    held: int
    subsidy: int
    water: int
    last_seq: int
    transfer_seq: int = 0
    """The open transfer to the water purse; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to open. ``sealed``: name and class under the key of holder ``number``."""

    number: int
    account_no: str
    kind: int
    sealed: bytes
    password: str = field(repr=False)
    medium_type: int = 0
    medium_token: bytes = b""
    medium_key: bytes = b""


def open_account(new: NewAccount, *, known: AccountFacts | None, bound: MediumFacts | None) -> Plan:
    """Open an account in status NORMAL, with its first medium ACTIVE when there is one.

    Args:
        new: the account; ``number`` is the next free row.
        known: the account that has this account_no already.
        bound: the medium that is bound under this token already.

    Raises:
        Refusal: ALREADY_EXISTS; FACE_ENROLMENT_REQUIRED for a face.

    **Source:** regulation 三.1, 四.3b (initial password), 五.1.
    """
    if known is not None:
        raise taken("account")
    if bound is not None:
        raise taken("medium")
    if new.medium_type == FACE:
        raise Refusal("FACE_ENROLMENT_REQUIRED")
    body = AccountBody(status=AccountStatus.NORMAL, kind=new.kind, event=RowEvent.OPEN)
    effects = [
        EffectPlan(
            kind=EffectKind.ACCOUNT_OPEN,
            row=new.number,
            event=RowEvent.OPEN,
            expect=Expect.ROW_FREE,
            body=body.pack(),
            pin=new.password,
        )
    ]
    if new.medium_type:
        effects.append(
            EffectPlan(
                kind=EffectKind.MEDIUM_BIND,
                link=new.number,
                event=RowEvent.BIND,
                body=medium_body(new.medium_key, MediumState.ACTIVE),
            )
        )
    document = documents.AccountOpened(
        account_no=new.account_no,
        sealed=new.sealed,
        medium_type=new.medium_type,
        medium_token=new.medium_token,
    )
    return Plan(document=document, effects=tuple(effects))


def held_account(account: AccountFacts, now_us: int) -> HeldAccount:
    """Return an account as its holds are changed."""
    return HeldAccount(
        number=account.number, status=account.status, held=account.held, now_us=now_us
    )


def set_status(
    account: AccountFacts, status: AccountStatus, *, note: str, money: Money, now_us: int
) -> Plan:
    """Begin the closing of an account, take it back, or close it for ever.

    NORMAL takes the closing back: an account that something else holds is SUSPENDED then.

    Args:
        account: as it stands.
        status: wanted, one of ``STATUS_EVENTS``.
        note: for the journal.
        money: looked at when closing for ever: everything must be 0, and stay so until decided.
        now_us: now.

    Raises:
        Refusal: STATE_TRANSITION, ACCOUNT_DEBT, TRANSFER_OPEN, BALANCE_NOT_ZERO.

    **Source:** regulation 三.5; ``core/account_holds.py``.
    """
    held, event = held_account(account, now_us), STATUS_EVENTS.get(status)
    if event is None or transition(held.holds, event) is None:
        raise illegal(describe(held.holds), status.name, _legal(held.holds))
    closes = event is HoldEvent.CLOSE
    if closes:
        _refuse_money(money)
    effects = happen(held, event, last_seq=money.last_seq if closes else None)
    document = documents.AccountStatusSet(previous=account.status, note=note)
    return Plan(document=document, effects=effects)


def _legal(holds: Hold) -> list[str]:
    return [event.name for event in legal_events(holds)]


def _refuse_money(money: Money) -> None:
    if money.online < 0:
        raise Refusal("ACCOUNT_DEBT", balanceFen=money.online)
    if money.transfer_seq:
        raise Refusal("TRANSFER_OPEN", seq=money.transfer_seq)
    if money.online or money.held or money.subsidy or money.water:
        raise Refusal(
            "BALANCE_NOT_ZERO",
            onlineFen=money.online,
            heldFen=money.held,
            subsidyFen=money.subsidy,
            waterFen=money.water,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLimits:
    """Personal limits asked for, fen; None: as it is, ``LIMIT_DEFAULT``: the system's again."""

    day: int | None = None
    meal: int | None = None


def set_limits(account: AccountFacts, wanted: WantedLimits, *, rules: RulesBody, pin: str) -> Plan:
    """Set personal limits: lower freely, raise with the transaction password.

    Args:
        account: as it stands.
        wanted: at least one of both.
        rules: in force; their ceilings bind.
        pin: six digits or empty. When given it is checked, also where it is not needed.

    Raises:
        Refusal: FIELD_INVALID, LIMIT_OVER_CEILING, PASSWORD_REFUSED, ACCOUNT_CLOSED.

    **Source:** regulation 四.3f "系统默认".
    """
    refuse_closed(account)
    if wanted.day is None and wanted.meal is None:
        raise invalid("day_limit_fen", "name at least one limit")
    day = _limit("day_limit_fen", wanted.day, now=account.day_limit, ceiling=rules.day_ceiling)
    meal = _limit("meal_limit_fen", wanted.meal, now=account.meal_limit, ceiling=rules.meal_ceiling)
    rises = _effective(day, rules.day_limit) > _effective(account.day_limit, rules.day_limit)
    rises |= _effective(meal, rules.meal_limit) > _effective(account.meal_limit, rules.meal_limit)
    if pin and not is_well_formed(pin):
        raise invalid("pin", "six digits")
    if rises and not pin:
        raise Refusal("PASSWORD_REFUSED", reason="PIN_REQUIRED")
    return Plan(
        document=documents.LimitsSet(),
        effects=(_limits(account, day, meal, event=RowEvent.LIMITS),),
        pin_account=account.number if pin else 0,
        pin=pin,
    )


def limits_as_they_are(account: AccountFacts) -> EffectPlan:
    """Return an effect that changes nothing and demands that the account's status is as it was read."""
    day = LIMIT_DEFAULT if account.day_limit is None else account.day_limit
    meal = LIMIT_DEFAULT if account.meal_limit is None else account.meal_limit
    return _limits(account, day, meal, event=RowEvent.NONE)


def _limits(account: AccountFacts, day: int, meal: int, *, event: RowEvent) -> EffectPlan:
    return EffectPlan(
        kind=EffectKind.ACCOUNT_LIMITS,
        row=account.number,
        event=event,
        expect=Expect.STATUS,
        expect_status=account.status,
        body=AccountBody(day_limit=day, meal_limit=meal, event=event).pack(),
    )


def _limit(name: str, wanted: int | None, *, now: int | None, ceiling: int) -> int:
    if wanted is None:
        return LIMIT_DEFAULT if now is None else now
    if wanted == LIMIT_DEFAULT:
        return LIMIT_DEFAULT
    if wanted < 0:
        raise invalid(name, "fen, 0 or more")
    if wanted > ceiling:
        raise Refusal("LIMIT_OVER_CEILING", limitFen=ceiling)
    return wanted


def _effective(personal: int | None, default: int) -> int:
    return default if personal is None or personal == LIMIT_DEFAULT else personal


def top_up(
    account: AccountFacts, *, source: int, channel_txn_id: str, amount_fen: int, credited_seq: int
) -> Plan:
    """Credit money that came in through a channel, once for ever per transaction of the channel.

    Taken in every status but CLOSED: the money has been paid already.

    Args:
        account: as it stands.
        source: TopUpSource of the proto.
        channel_txn_id: unique within its source.
        amount_fen: 1 to 100,000,000.
        credited_seq: where this channel transaction was credited before; 0: nowhere.

    Raises:
        Refusal: CHANNEL_TXN_REUSED, ACCOUNT_CLOSED.

    **Source:** regulation 四.5, 五.3 (a debt is netted first).
    """
    if credited_seq:
        raise Refusal("CHANNEL_TXN_REUSED", creditedSeq=credited_seq)
    refuse_closed(account)
    effect = EffectPlan(
        kind=EffectKind.TOP_UP,
        row=account.number,
        expect=Expect.STATUS,
        expect_status=account.status,
        amount_fen=amount_fen,
        debit_wallet=TOP_UP_SIDES[source],
        credit_wallet=Wallet.ONLINE,
    )
    document = documents.ToppedUp(source=source, channel_txn_id=channel_txn_id)
    return Plan(document=document, effects=(effect,))


def grant_subsidy(account: AccountFacts, *, amount_fen: int, label: str) -> Plan:
    """Credit a subsidy to the SUBSIDY wallet.

    Raises:
        Refusal: ACCOUNT_CLOSED.

    **Source:** docs/reference/decisions.md, SUBSIDY.
    """
    refuse_closed(account)
    effect = EffectPlan(
        kind=EffectKind.SUBSIDY,
        row=account.number,
        expect=Expect.STATUS,
        expect_status=account.status,
        amount_fen=amount_fen,
        debit_wallet=Wallet.SUBSIDY_SOURCE,
        credit_wallet=Wallet.SUBSIDY,
    )
    return Plan(document=documents.SubsidyGranted(label=label), effects=(effect,))


def bind_medium(
    account: AccountFacts,
    medium: documents.MediumBound,
    *,
    body: bytes,
    bound: MediumFacts | None,
    others: tuple[MediumFacts, ...],
) -> Plan:
    """Bind a phone or a face; cards are issued (``core/issuing.py``).

    Args:
        account: as it stands.
        medium: type and token.
        body: after-image from ``core.media.medium_body``.
        bound: the medium bound under this token already.
        others: the account's media.

    Raises:
        Refusal: FIELD_INVALID, ALREADY_EXISTS, MEDIA_FULL, ACCOUNT_CLOSED,
            FACE_ENROLMENT_REQUIRED for a face.

    **Source:** regulation 四.1a, 五.1 "不得转借他人或复制多张".
    """
    refuse_closed(account)
    if medium.medium_type == PHYSICAL_CARD:
        raise invalid("medium.type", "no card: cards are issued by CardOfficeService")
    if medium.medium_type == FACE:
        raise Refusal("FACE_ENROLMENT_REQUIRED")
    if bound is not None:
        raise taken("medium")
    if live_count(others) >= LIVE_MAX:
        raise Refusal("MEDIA_FULL")
    effect = EffectPlan(
        kind=EffectKind.MEDIUM_BIND, link=account.number, event=RowEvent.BIND, body=body
    )
    return Plan(document=medium, effects=(effect,))


def erase_holder(account: AccountFacts, *, now_us: int) -> Plan:
    """Erase who a closed account was of: the act stands in the journal, the person nowhere.

    The record repeats the status, so that the act stands in the account's history.

    Raises:
        Refusal: STATE_TRANSITION unless the account is closed, and when it was done before.

    **Source:** regulation 三.5 (closing), 七.3; PIPL article 47 (the purpose has ended).
    """
    if account.erased or account.status is not AccountStatus.CLOSED:
        holds = holds_at(account.status, account.held, now_us)
        legal = [] if account.erased else _legal(holds)
        raise illegal("ERASED" if account.erased else describe(holds), "ERASED", legal)
    effect = EffectPlan(
        kind=EffectKind.ACCOUNT_STATUS,
        row=account.number,
        event=RowEvent.STATUS,
        expect=Expect.STATUS,
        expect_status=account.status,
        body=AccountBody(status=account.status, event=RowEvent.STATUS).pack(),
    )
    return Plan(document=documents.HolderErased(), effects=(effect,))


def refuse_closed(account: AccountFacts) -> None:
    """Raise ACCOUNT_CLOSED for a closed account."""
    if account.status is AccountStatus.CLOSED:
        raise Refusal("ACCOUNT_CLOSED")
