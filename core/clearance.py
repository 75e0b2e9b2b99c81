"""Leaving: cards given back or paid for, who is cleared, what is to be paid out.

**Source:** regulation 三.5(1)-(3); D12 of docs/regulation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.cards import VOID, CardEvent, CardState
from core.certificates import unsigned
from core.counter import Moment, admit
from core.documents.cards import (
    CardCompensated,
    CardsReturned,
    CertificateIssued,
    CertificateRevoked,
    ReturnListed,
)
from core.fees import Receipt, check_receipt, fee_effects
from core.media import happen
from core.plans import EffectPlan, Plan
from core.refusals import Refusal, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from core.facts import AccountFacts
    from core.media import Carrier

MISSING_MAX: Final = 1_000
"""Holders of a class whose card is missing that one list names."""

_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnItem:
    """One UID from the box.

    Attributes:
        index: in the request.
        card: behind it; None: it is not known.
        foreign: the card is another holder's than those who give back here.
    """

    index: int
    card: Carrier | None
    foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """Whether a holder may leave. Amounts in fen, times in microseconds since 1970 UTC.

    ``refund_from_us`` is 0 when nothing is to be paid out, the card is not given back yet, or the
    transfer to the water purse ``transfer_seq`` (0: none) is open.
    """

    reasons: tuple[str, ...]
    debt_fen: int
    refund_fen: int
    refund_from_us: int
    transfer_seq: int


def judge_return(item: ReturnItem, seen: AbstractSet[int] = frozenset()) -> EffectPlan:
    """Check one card that was put into the box.

    Args:
        item: what was read.
        seen: numbers of media of items before it.

    Raises:
        Refusal: CARD_UNKNOWN, CARD_MISMATCH for another holder's card, CARD_VOID, CARD_LOST (take
            the loss back at the counter first), CARD_STATE.

    **Source:** regulation 三.5(1)(2).
    """
    if item.card is None:
        raise Refusal("CARD_UNKNOWN")
    if item.foreign:
        raise Refusal("CARD_MISMATCH")
    gone = item.card.state in VOID or item.card.state is CardState.RETURNED
    if gone or item.card.medium.number in seen:
        raise Refusal("CARD_VOID")
    if item.card.lost:
        raise Refusal("CARD_LOST")
    return happen(item.card, CardEvent.RETURN)


def return_cards(items: Sequence[ReturnItem], moment: Moment) -> Plan:
    """Take cards back; what is wrong with one does not stop the others.

    Args:
        items: at most ``core.issuing.PART``.
        moment: now.

    **Source:** regulation 三.5(1)(2).
    """
    override = admit(CardEvent.RETURN, moment)
    effects: list[EffectPlan] = []
    indexes, refused, reasons, owners = [], [], [], []
    seen: set[int] = set()
    for item in items:
        try:
            effect = judge_return(item, seen)
        except Refusal as refusal:
            refused.append(item.index)
            reasons.append(refusal.reason.name)
            owners.append(item.card.medium.account_number if item.card else 0)
            continue
        seen.add(effect.row)
        effects.append(effect)
        indexes.append(item.index)
    document = CardsReturned(
        indexes=tuple(indexes),
        refused=tuple(refused),
        reasons=tuple(reasons),
        owners=tuple(owners),
        override=override,
    )
    return Plan(document=document, effects=tuple(effects))


def return_card(card: Carrier | None, *, foreign: bool, moment: Moment) -> Plan:
    """Take one card back.

    Raises:
        Refusal: as ``judge_return``.

    **Source:** regulation 三.5(1).
    """
    item = ReturnItem(index=0, card=card, foreign=foreign)
    judge_return(item)
    return return_cards((item,), moment)


def list_return(returned: int, still_out: Sequence[int]) -> Plan:
    """Write down who of a class has not given a card back.

    Args:
        returned: cards taken back.
        still_out: numbers of the holders, at most ``MISSING_MAX``.

    **Source:** regulation 三.5(2).
    """
    document = ReturnListed(returned=returned, missing=tuple(still_out))
    return Plan(document=document, effects=())


def compensate(card: Carrier | None, receipt: Receipt, *, open_case: int, moment: Moment) -> Plan:
    """Take the fee for a lost card instead of the card.

    Args:
        card: the account's live card; None: it has none.
        receipt: of the finance office.
        open_case: number of a replacement case that waits; 0: none.
        moment: now.

    Raises:
        Refusal: NO_CARD, NOT_LOST, CASE_EXISTS, FEE_AMOUNT_MISMATCH, RECEIPT_ALREADY_USED.

    **Source:** regulation 三.5(1)(2) "遗失…30元".
    """
    if card is None:
        raise Refusal("NO_CARD")
    if not card.lost:
        raise Refusal("NOT_LOST")
    if open_case:
        raise Refusal("CASE_EXISTS", case=open_case)
    fee_fen = moment.values.number("card_fee_fen")
    check_receipt(receipt, fee_fen=fee_fen, moment=moment)
    document = CardCompensated(
        receipt_no=receipt.receipt_no,
        paid_us=receipt.paid_us,
        early=int(receipt.paid_us < card.medium.lost_time_us),
    )
    effects = (
        happen(card, CardEvent.COMPENSATE),
        *fee_effects(card.medium.account_number, fee_fen),
    )
    return Plan(document=document, effects=effects)


def clearance(
    *, has_card: bool, online_fen: int, transfer_seq: int, left_us: int, wait_days: int
) -> Clearance:
    """Say whether a holder may leave, and what is to be paid out then.

    A balance does not block; it makes an instruction to pay it out once late payments are in.

    Args:
        has_card: a card that is neither given back nor paid for.
        online_fen: of the ONLINE wallet; negative is a debt.
        transfer_seq: of the open transfer to the water purse: nobody knows whose its amount is; 0:
            none.
        left_us: when the card was given back or paid for; 0: not.
        wait_days: parameter ``refund_wait_days``.

    **Source:** regulation 三.5(3); D12.
    """
    blockers = (
        ("CARD_NOT_RETURNED", has_card),
        ("DEBT", online_fen < 0),
        ("TRANSFER_OPEN", transfer_seq != 0),
    )
    refund = max(0, online_fen)
    ready = refund > 0 and left_us > 0 and not has_card and not transfer_seq
    return Clearance(
        reasons=tuple(name for name, blocks in blockers if blocks),
        debt_fen=max(0, -online_fen),
        refund_fen=refund,
        refund_from_us=left_us + wait_days * _DAY_US if ready else 0,
        transfer_seq=transfer_seq,
    )


def certify(
    account: AccountFacts,
    found: Clearance,
    *,
    certificate_no: int,
    time_us: int,
    sign: Callable[[str], str],
) -> Plan:
    """Issue a certificate of clearance.

    Args:
        account: whose.
        found: from ``clearance``.
        certificate_no: its number.
        time_us: now.
        sign: makes the certificate of its unsigned text.

    Raises:
        Refusal: NOT_CLEARED with ``reasons``.

    **Source:** regulation 三.5(3).
    """
    if found.reasons:
        raise Refusal("NOT_CLEARED", reasons=", ".join(found.reasons))
    text = unsigned(account.account_no, certificate_no, time_us // 1_000_000)
    document = CertificateIssued(
        account=account.number, certificate_no=certificate_no, certificate=sign(text)
    )
    return Plan(document=document, effects=())


def revoke(account_number: int, certificate_no: int, *, revoked: bool) -> Plan:
    """Revoke a certificate, once.

    Raises:
        Refusal: NOT_FOUND when it is revoked already.
    """
    if revoked:
        raise missing("certificate")
    document = CertificateRevoked(account=account_number, certificate_no=certificate_no)
    return Plan(document=document, effects=())
