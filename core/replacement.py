"""The replacement of a lost card: the states of a case as ONE table, its checklist, its fee.

**Source:** regulation 三.3b, 三.4; docs/reference/card-states.md; D7, D8, D10, D14 of docs/regulation.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from core.cards import CardEvent, CardState
from core.counter import Moment, admit
from core.documents.cards import (
    CardMade,
    CardPickedUp,
    CaseCancelled,
    CaseOpened,
    FeeConfirmed,
    FeeRefunded,
    FeeWaived,
    MakeFailed,
    PaperAttached,
    WaiverProposed,
)
from core.fees import Receipt, check_receipt, fee_effects
from core.media import bind_card, happen
from core.plans import Plan
from core.refusals import Refusal, taken
from core.service_hours import local_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.card_facts import CaseFacts
    from core.facts import AccountFacts, MediumFacts
    from core.media import Carrier


class CaseState(IntEnum):
    """Where a case stands; numbers as in the proto, durable in documents."""

    OPEN = 1
    DOCS = 2
    READY = 3
    CARD_MADE = 4
    NOTIFIED = 5
    PICKED_UP = 6
    CANCELLED = 7


class CaseEvent(IntEnum):
    """What may happen to a case."""

    ATTACH = 1
    CONFIRM_FEE = 2
    WAIVE_FEE = 3
    MAKE_CARD = 4
    FAIL_MAKE = 5
    NOTIFY = 6
    PICK_UP = 7
    CANCEL = 8
    SUPERSEDE = 9
    REFUND_FEE = 10


class Paper(IntEnum):
    """A paper of a case; numbers as in the proto, durable in documents."""

    FORM = 1
    PHOTO = 2
    RECEIPT = 3


class FeeState(IntEnum):
    """What becomes of a case's fee; numbers as in the proto."""

    DUE = 1
    NONE = 2
    PAID = 3
    WAIVER_PROPOSED = 4
    WAIVED = 5
    REFUNDABLE = 6
    REFUNDED = 7


_PAPERS: Final = {
    CaseState.OPEN: CaseState.DOCS,
    CaseState.DOCS: CaseState.DOCS,
    CaseState.READY: CaseState.READY,
}
_MADE: Final = (CaseState.CARD_MADE, CaseState.NOTIFIED)

TABLE: Final[Mapping[CaseEvent, Mapping[CaseState, CaseState]]] = {
    CaseEvent.ATTACH: _PAPERS,
    CaseEvent.CONFIRM_FEE: _PAPERS,
    CaseEvent.WAIVE_FEE: _PAPERS,
    CaseEvent.MAKE_CARD: {CaseState.READY: CaseState.CARD_MADE},
    CaseEvent.FAIL_MAKE: {CaseState.READY: CaseState.READY},
    CaseEvent.NOTIFY: {CaseState.CARD_MADE: CaseState.NOTIFIED},
    CaseEvent.PICK_UP: dict.fromkeys(_MADE, CaseState.PICKED_UP),
    CaseEvent.CANCEL: dict.fromkeys(_PAPERS, CaseState.CANCELLED),
    CaseEvent.SUPERSEDE: dict.fromkeys(_MADE, CaseState.CANCELLED),
    CaseEvent.REFUND_FEE: {CaseState.CANCELLED: CaseState.CANCELLED},
}
"""Per event: state before to state after; a state that is not there forbids it. With the last paper
and the fee settled, DOCS becomes READY in the same act."""

EVENT_NOTES: Final[Mapping[CaseEvent, str]] = {
    CaseEvent.ATTACH: "form, photo or receipt, in any order; a later one replaces an earlier",
    CaseEvent.CONFIRM_FEE: "exactly the fee; each receipt number once for ever",
    CaseEvent.WAIVE_FEE: "two persons",
    CaseEvent.MAKE_CARD: "nothing missing, in the hours of the counter: old card VOID_REPLACED, "
    "new card PRODUCED, CARD_READY to the class's teacher",
    CaseEvent.FAIL_MAKE: "the card could not be encoded: its number is burnt, the old card stays lost",
    CaseEvent.NOTIFY: "the class's teacher has read CARD_READY",
    CaseEvent.PICK_UP: "at the counter, in its hours, the UID read is the new card's: ACTIVE",
    CaseEvent.CANCEL: "also by an unloss; a paid fee is refundable",
    CaseEvent.SUPERSEDE: "the new card was lost before it was picked up: a new case takes its place",
    CaseEvent.REFUND_FEE: "a refundable fee was paid back, once",
}
"""What an event asks for and does."""

EVENT_ZH: Final[Mapping[CaseEvent, str]] = {
    CaseEvent.ATTACH: "提交材料",
    CaseEvent.CONFIRM_FEE: "确认缴费",
    CaseEvent.WAIVE_FEE: "减免",
    CaseEvent.MAKE_CARD: "制卡",
    CaseEvent.FAIL_MAKE: "制卡失败",
    CaseEvent.NOTIFY: "通知",
    CaseEvent.PICK_UP: "领卡",
    CaseEvent.CANCEL: "取消",
    CaseEvent.SUPERSEDE: "另开新单",
    CaseEvent.REFUND_FEE: "退费",
}
"""What an event is called in Chinese."""

_UNSETTLED: Final = frozenset({FeeState.DUE, FeeState.WAIVER_PROPOSED})
_FEE_EVENTS: Final[Mapping[CaseEvent, frozenset[FeeState]]] = {
    CaseEvent.CONFIRM_FEE: _UNSETTLED,
    CaseEvent.WAIVE_FEE: _UNSETTLED,
    CaseEvent.REFUND_FEE: frozenset({FeeState.REFUNDABLE}),
}
"""Events that ask for a state of the fee, too."""


def legal_events(state: CaseState) -> tuple[CaseEvent, ...]:
    """List the events a case may have next."""
    return tuple(event for event in CaseEvent if state in TABLE[event])


def take(state: CaseState, event: CaseEvent) -> CaseState:
    """Return the state after an event.

    Raises:
        Refusal: CASE_STATE with ``state``, ``wanted`` and ``legal``.
    """
    after = TABLE[event].get(state)
    if after is None:
        legal = ", ".join(found.name for found in legal_events(state))
        raise Refusal("CASE_STATE", state=state.name, wanted=event.name, legal=legal or "-")
    return after


def _take_fee(case: CaseFacts, event: CaseEvent) -> CaseState:
    """Return the state after an event of the fee, which must stand right for it, too."""
    after = take(case.state, event)
    if case.fee_state in _FEE_EVENTS[event]:
        return after
    legal = (
        found.name
        for found in legal_events(case.state)
        if found not in _FEE_EVENTS or case.fee_state in _FEE_EVENTS[found]
    )
    raise Refusal(
        "CASE_STATE",
        state=f"{case.state.name}, fee {case.fee_state.name}",
        wanted=event.name,
        legal=", ".join(legal) or "-",
    )


def missing(papers: Mapping[Paper, str], fee: FeeState) -> tuple[str, ...]:
    """Name what a case lacks: FORM and PHOTO until attached, RECEIPT until the fee is settled.

    **Source:** regulation 三.4(3) "手续齐全".
    """
    lacks = [paper.name for paper in (Paper.FORM, Paper.PHOTO) if paper not in papers]
    return (*lacks, Paper.RECEIPT.name) if fee in _UNSETTLED else tuple(lacks)


def _settled(state: CaseState, papers: Mapping[Paper, str], fee: FeeState) -> CaseState:
    if state is CaseState.DOCS and not missing(papers, fee):
        return CaseState.READY
    return state


def open_case(
    account: AccountFacts,
    card: Carrier | None,
    *,
    case_no: int,
    earlier: CaseFacts | None,
    faulty: bool,
    moment: Moment,
) -> Plan:
    """Open the replacement of an account's lost card; a damaged one is reported lost first, too.

    Args:
        account: whose.
        card: its live card; None: it has none.
        case_no: of the new case.
        earlier: the account's newest case; None: none.
        faulty: a fault of the maker, not of the holder.
        moment: now.

    Raises:
        Refusal: NO_CARD, NOT_LOST, CASE_EXISTS.

    **Source:** regulation 三.4(1) "补卡前须先挂失"; D14.
    """
    if card is None:
        raise Refusal("NO_CARD")
    if not card.lost:
        raise Refusal("NOT_LOST")
    closes = 0
    if earlier is not None and earlier.open:
        if not earlier.made:
            raise Refusal("CASE_EXISTS", case=earlier.case_no)
        take(earlier.state, CaseEvent.SUPERSEDE)
        closes = earlier.case_no
    free = faulty and moment.values.text("damaged_card_fee") == "NO_FEE"
    document = CaseOpened(
        account=account.number,
        case_no=case_no,
        card_no=card.card_no,
        fee_fen=0 if free else moment.values.number("card_fee_fen"),
        faulty=int(faulty),
        closes=closes,
    )
    return Plan(document=document, effects=())


def attach(case: CaseFacts, paper: Paper, file: str) -> Plan:
    """Attach a paper; ``file`` names its sealed content.

    Raises:
        Refusal: CASE_STATE.

    **Source:** regulation 三.4(3); submissions are taken at any hour.
    """
    state = take(case.state, CaseEvent.ATTACH)
    state = _settled(state, {**case.papers, paper: file}, case.fee_state)
    document = PaperAttached(
        account=case.account_number, case_no=case.case_no, paper=paper, file=file, state=state
    )
    return Plan(document=document, effects=())


def confirm_fee(
    case: CaseFacts, receipt: Receipt, *, finance: bool, lost_us: int, moment: Moment
) -> Plan:
    """Confirm that a case's fee was paid at the finance office.

    Args:
        case: as it stands.
        receipt: number, amount, time, whether it was used before.
        finance: the caller is the finance office; others need the receipt's image in the case.
        lost_us: when the old card was reported lost.
        moment: now.

    Raises:
        Refusal: CASE_STATE, RECEIPT_IMAGE_REQUIRED, FEE_AMOUNT_MISMATCH, RECEIPT_ALREADY_USED.

    **Source:** regulation 三.4(2) "缴纳工本费30元/张".
    """
    state = _take_fee(case, CaseEvent.CONFIRM_FEE)
    if not finance and Paper.RECEIPT not in case.papers:
        raise Refusal("RECEIPT_IMAGE_REQUIRED")
    check_receipt(receipt, fee_fen=case.fee_fen, moment=moment)
    document = FeeConfirmed(
        account=case.account_number,
        case_no=case.case_no,
        receipt_no=receipt.receipt_no,
        paid_us=receipt.paid_us,
        early=int(receipt.paid_us < lost_us),
        state=_settled(state, case.papers, FeeState.PAID),
    )
    return Plan(document=document, effects=fee_effects(case.account_number, case.fee_fen))


def waive_fee(case: CaseFacts, actor: str) -> Plan:
    """Propose to waive a fee, or agree to it as a second person.

    Raises:
        Refusal: CASE_STATE, SELF_APPROVAL.

    **Source:** regulation 三.4(2), 六.3a (nobody waives alone).
    """
    state = _take_fee(case, CaseEvent.WAIVE_FEE)
    if case.fee_state is FeeState.DUE:
        document = WaiverProposed(account=case.account_number, case_no=case.case_no)
        return Plan(document=document, effects=())
    if case.proposed_by == actor:
        raise Refusal("SELF_APPROVAL")
    waived = FeeWaived(
        account=case.account_number,
        case_no=case.case_no,
        state=_settled(state, case.papers, FeeState.WAIVED),
    )
    return Plan(document=waived, effects=())


def refund_fee(case: CaseFacts) -> Plan:
    """Book a refundable fee back, once.

    Raises:
        Refusal: CASE_STATE.

    **Source:** regulation 三.3b; D8.
    """
    _take_fee(case, CaseEvent.REFUND_FEE)
    document = FeeRefunded(account=case.account_number, case_no=case.case_no)
    return Plan(
        document=document, effects=fee_effects(case.account_number, case.fee_fen, back=True)
    )


def make_card(
    case: CaseFacts,
    old: Carrier,
    *,
    uid: bytes,
    card_no: int,
    bound: MediumFacts | None,
    moment: Moment,
) -> Plan:
    """Make the new card: with it the old one becomes void, in the same act.

    Args:
        case: as it stands.
        old: the lost card.
        uid: of the new card.
        card_no: of the new card.
        bound: the medium that is bound under this UID already.
        moment: now; its ``lost_time_us`` of the old card counts for ``replace_wait_hours``.

    Raises:
        Refusal: OUTSIDE_SERVICE_HOURS, DOCS_INCOMPLETE with ``missing``, CASE_STATE, REPLACE_WAIT,
            NOT_LOST, ALREADY_EXISTS.

    **Source:** regulation 三.3b "一旦补办新卡，原卡即告作废", 三.4(3); D7, D10.
    """
    override = admit(CardEvent.REPLACE, moment)
    lacks = missing(case.papers, case.fee_state)
    if lacks and case.state in _PAPERS:
        raise Refusal("DOCS_INCOMPLETE", missing=", ".join(lacks))
    take(case.state, CaseEvent.MAKE_CARD)
    if not old.lost:
        raise Refusal("NOT_LOST")
    wait_us = moment.values.number("replace_wait_hours") * 3_600_000_000
    if moment.time_us < old.medium.lost_time_us + wait_us:
        until = local_time(old.medium.lost_time_us + wait_us, moment.utc_offset_s)
        raise Refusal("REPLACE_WAIT", until=f"{until:%Y-%m-%d %H:%M}")
    if bound is not None:
        raise taken("card")
    expires_day = moment.today + moment.values.number("formal_card_days")
    new = bind_card(case.account_number, uid, expires_day=expires_day)
    at_once = moment.values.text("old_card_void_at") == "MADE"
    document = CardMade(case_no=case.case_no, card_no=card_no, uid=uid, override=override)
    effects = (happen(old, CardEvent.REPLACE), new) if at_once else (new,)
    return Plan(document=document, effects=effects)


def fail_make(case: CaseFacts, *, card_no: int) -> Plan:
    """Burn the number of a card that could not be encoded; the case stays READY.

    **Source:** docs/reference/card-states.md, FAIL_MAKE.
    """
    take(case.state, CaseEvent.FAIL_MAKE)
    document = MakeFailed(account=case.account_number, case_no=case.case_no, card_no=card_no)
    return Plan(document=document, effects=())


def pick_up(
    case: CaseFacts, new: Carrier | None, old: Carrier | None, *, uid: bytes, moment: Moment
) -> Plan:
    """Hand the new card to its holder: the UID read must be its own.

    Args:
        case: as it stands.
        new: the card of the case; None before it is made.
        old: the card it replaces.
        uid: read from what is handed out.
        moment: now.

    Raises:
        Refusal: CHANNEL_NOT_ALLOWED, OUTSIDE_SERVICE_HOURS, CASE_STATE, CARD_MISMATCH, CARD_STATE.

    **Source:** regulation 三.4(3)(4).
    """
    override = admit(CardEvent.PICK_UP, moment)
    take(case.state, CaseEvent.PICK_UP)
    if new is None or new.medium.token != uid:
        raise Refusal("CARD_MISMATCH")
    effects = [happen(new, CardEvent.PICK_UP)]
    if old is not None and old.state is not CardState.VOID_REPLACED:
        effects.append(happen(old, CardEvent.REPLACE))
    document = CardPickedUp(case_no=case.case_no, override=override)
    return Plan(document=document, effects=tuple(effects))


def cancel(case: CaseFacts) -> Plan:
    """Give a case up before its card is made; a paid fee is refundable.

    Raises:
        Refusal: CASE_STATE.
    """
    take(case.state, CaseEvent.CANCEL)
    document = CaseCancelled(account=case.account_number, case_no=case.case_no)
    return Plan(document=document, effects=())


def fee_after_cancel(fee: FeeState) -> FeeState:
    """Return what becomes of a fee when its case is cancelled."""
    return FeeState.REFUNDABLE if fee is FeeState.PAID else fee
