"""Cards from issue to use: issue, hand-over, activation, upgrade, renewal.

**Source:** regulation 三.1(1), 三.1(4), 五.1; docs/reference/card-states.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.accounts import refuse_closed
from core.cards import CardEvent, CardState, CardType, take
from core.counter import Moment, admit
from core.documents.cards import (
    CardRenewed,
    CardsActivated,
    CardsHandedOver,
    CardsIssued,
    CardUpgraded,
)
from core.media import bind_card, happen
from core.plans import EFFECTS_MAX, EffectPlan, Plan
from core.refusals import Refusal, invalid, missing, taken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from core.card_facts import CardFacts
    from core.facts import AccountFacts, MediumFacts
    from core.media import Carrier

ISSUE_PART: Final = 4
"""Cards issued by one act."""
PART: Final = EFFECTS_MAX
"""Cards handed over, activated or given back by one act."""

_DAYS: Final = {
    CardType.FORMAL: "formal_card_days",
    CardType.TEMPORARY: "temporary_card_days",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueItem:
    """One card to issue, and what is known of its holder and UID.

    Attributes:
        index: in the request.
        uid: as the printer read it.
        account: None: there is none of this number.
        live: the account's card that is or may be used one day.
        bound: the medium bound under this UID.
        has_photo: of the holder.
    """

    index: int
    uid: bytes
    account: AccountFacts | None
    live: CardFacts | None
    bound: MediumFacts | None
    has_photo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadItem:
    """One UID that was read: the card behind it, and whether a replacement case waits for it."""

    index: int
    card: Carrier | None
    waits_for_pick_up: bool = False


def judge(item: IssueItem, seen: AbstractSet[object] = frozenset()) -> CardType:
    """Decide which card an item gets: FORMAL with a photo, else TEMPORARY.

    Args:
        item: what is known.
        seen: UIDs and account numbers of items before it.

    Raises:
        Refusal: NOT_FOUND, ACCOUNT_CLOSED, CARD_EXISTS, ALREADY_EXISTS.

    **Source:** regulation 三.1(4), 五.1 (不得复制多张: at most one card that is not void).
    """
    if item.account is None:
        raise missing("account")
    refuse_closed(item.account)
    if item.live is not None or item.account.number in seen:
        raise Refusal("CARD_EXISTS", card=item.live.card_no if item.live else 0)
    if item.bound is not None or item.uid in seen:
        raise taken("card")
    return CardType.FORMAL if item.has_photo else CardType.TEMPORARY


def judge_activation(item: ReadItem, seen: AbstractSet[int] = frozenset()) -> EffectPlan:
    """Decide one activation.

    Args:
        item: what was read.
        seen: numbers of media of items before it.

    Raises:
        Refusal: CARD_UNKNOWN, CASE_CARD, CARD_STATE.

    **Source:** regulation 三.1(1); 三.4(3): a replacement is activated at its pick-up only.
    """
    if item.card is None:
        raise Refusal("CARD_UNKNOWN")
    if item.waits_for_pick_up:
        raise Refusal("CASE_CARD")
    if item.card.medium.number in seen:
        take(CardState.ACTIVE, item.card.medium.flags, CardEvent.ACTIVATE)
    return happen(item.card, CardEvent.ACTIVATE)


def issue(items: Sequence[IssueItem], *, batch: int, first_card_no: int, moment: Moment) -> Plan:
    """Issue cards, all PRODUCED; what is wrong with one does not stop the others.

    Args:
        items: at most ``ISSUE_PART``.
        batch: they belong to; 0: this act begins one.
        first_card_no: of the first card issued; the others follow.
        moment: now.
    """
    effects: list[EffectPlan] = []
    indexes, uids, types, refused, reasons = [], [], [], [], []
    seen: set[object] = set()
    for item in items:
        try:
            card_type = judge(item, seen)
        except Refusal as refusal:
            refused.append(item.index)
            reasons.append(refusal.reason.name)
            continue
        number = item.account.number if item.account else 0
        seen |= {item.uid, number}
        expires_day = moment.today + moment.values.number(_DAYS[card_type])
        effects.append(bind_card(number, item.uid, expires_day=expires_day))
        indexes.append(item.index)
        uids.append(item.uid)
        types.append(int(card_type))
    document = CardsIssued(
        batch=batch,
        indexes=tuple(indexes),
        uids=tuple(uids),
        types=tuple(types),
        card_nos=tuple(range(first_card_no, first_card_no + len(effects))),
        refused=tuple(refused),
        reasons=tuple(reasons),
    )
    return Plan(document=document, effects=tuple(effects))


def hand_over(batch: int, cards: Sequence[Carrier]) -> Plan:
    """Hand PRODUCED cards of a batch over; at most ``PART``.

    **Source:** regulation 三.1(1): the student affairs office collects cards in bulk.
    """
    effects = tuple(happen(card, CardEvent.HAND_OVER) for card in cards)
    return Plan(document=CardsHandedOver(batch=batch), effects=effects)


def activate(items: Sequence[ReadItem]) -> Plan:
    """Activate cards on delivery; what is wrong with one does not stop the others.

    Args:
        items: at most ``PART``.

    **Source:** regulation 三.1(1); 三.4(3): a replacement is activated at its pick-up only.
    """
    effects: list[EffectPlan] = []
    indexes, refused, reasons = [], [], []
    seen: set[int] = set()
    for item in items:
        try:
            effect = judge_activation(item, seen)
        except Refusal as refusal:
            refused.append(item.index)
            reasons.append(refusal.reason.name)
            continue
        seen.add(effect.row)
        effects.append(effect)
        indexes.append(item.index)
    document = CardsActivated(
        indexes=tuple(indexes), refused=tuple(refused), reasons=tuple(reasons)
    )
    return Plan(document=document, effects=tuple(effects))


def upgrade(
    card: CardFacts | None,
    old: Carrier | None,
    *,
    uid: bytes,
    card_no: int,
    bound: MediumFacts | None,
    has_photo: bool,
    moment: Moment,
) -> Plan:
    """Make a temporary card's formal successor, without fee: nothing was lost.

    Args:
        card: the account's live card; None: it has none.
        old: the same as the table sees it.
        uid: of the formal card.
        card_no: of the formal card.
        bound: the medium bound under this UID already.
        has_photo: of the holder.
        moment: now.

    Raises:
        Refusal: NO_CARD, NOT_TEMPORARY, PHOTO_REQUIRED, CARD_STATE (one that is lost goes through
            a replacement), ALREADY_EXISTS, OUTSIDE_SERVICE_HOURS where a parameter says so.

    **Source:** regulation 三.1(4).
    """
    if card is None or old is None:
        raise Refusal("NO_CARD")
    if card.type is not CardType.TEMPORARY:
        raise Refusal("NOT_TEMPORARY")
    if not has_photo:
        raise Refusal("PHOTO_REQUIRED")
    override = admit(CardEvent.UPGRADE, moment)
    ends = happen(old, CardEvent.UPGRADE)
    if bound is not None:
        raise taken("card")
    expires_day = moment.today + moment.values.number(_DAYS[CardType.FORMAL])
    new = bind_card(card.account_number, uid, expires_day=expires_day)
    document = CardUpgraded(card_no=card_no, uid=uid, override=override)
    return Plan(document=document, effects=(ends, new))


def renew(card: CardFacts | None, old: Carrier | None, *, expires_day: int, moment: Moment) -> Plan:
    """Give a card a new expiry.

    Args:
        card: the account's live card; None: it has none.
        old: the same as the table sees it.
        expires_day: first local day it is no longer valid, after today; 0: the days of its kind.
        moment: now.

    Raises:
        Refusal: NO_CARD, FIELD_INVALID, CARD_STATE.

    **Source:** regulation 三.1(4); docs/reference/card-states.md.
    """
    if card is None or old is None:
        raise Refusal("NO_CARD")
    day = expires_day or moment.today + moment.values.number(_DAYS[card.type])
    if day <= moment.today:
        raise invalid("expires_day", "after today")
    effect = happen(old, CardEvent.RENEW, expires_day=day)
    return Plan(document=CardRenewed(), effects=(effect,))
