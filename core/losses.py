"""Loss and its end.

**Source:** regulation 三.2a-d, 三.3a-b, 五.5; D8, D17 of docs/regulation.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from core.cards import VOID, CardEvent, CardState, transition
from core.counter import Moment, admit
from core.documents.cards import LossCancelled, LossReported
from core.media import LIVE_MAX, happen
from core.plans import Plan
from core.refusals import Refusal

if TYPE_CHECKING:
    from core.card_facts import CaseFacts
    from core.media import Carrier


class LossScope(IntEnum):
    """What a loss report covers; numbers as in the proto."""

    CARD = 1
    ALL_MEDIA = 2


def report_loss(targets: tuple[Carrier, ...], scope: LossScope, moment: Moment) -> Plan | None:
    """Report media lost: at any hour, from any live state, also PRODUCED and IN_TRANSIT.

    Args:
        targets: what the report is about, the card first; at most 8 are marked.
        scope: for the journal.
        moment: now.

    Returns:
        None when everything was reported before: the first report stands.

    Raises:
        Refusal: NO_CARD, CARD_VOID, OUTSIDE_SERVICE_HOURS where a parameter says so.

    **Source:** regulation 三.2a "遗失需及时挂失", 三.2d, 五.5.
    """
    if not targets:
        raise Refusal("NO_CARD")
    admit(CardEvent.REPORT_LOSS, moment)
    fresh = [
        target
        for target in targets
        if transition(target.state, target.medium.flags, CardEvent.REPORT_LOSS) is not None
    ]
    if not fresh:
        if any(target.lost and target.state not in VOID for target in targets):
            return None
        raise Refusal("CARD_VOID")
    effects = tuple(happen(target, CardEvent.REPORT_LOSS) for target in fresh[:LIVE_MAX])
    return Plan(document=LossReported(scope=scope), effects=effects)


def unloss(found: Carrier | None, *, case: CaseFacts | None, moment: Moment) -> Plan:
    """Take a loss back: only at the counter, in its hours, the medium present.

    An open replacement case is cancelled with it, its fee refundable; once the new card is made
    the old one is void for good.

    Args:
        found: what was presented, when it is the account's; None: it is not.
        case: the newest replacement case whose old card it is; None: there is none.
        moment: now.

    Raises:
        Refusal: CHANNEL_NOT_ALLOWED, OUTSIDE_SERVICE_HOURS, CARD_MISMATCH, REPLACED, CARD_VOID,
            NOT_LOST, CARD_STATE while it is suspended.

    **Source:** regulation 三.3a-b "解挂…一旦补办新卡，原卡即告作废".
    """
    override = admit(CardEvent.UNLOSS, moment)
    if found is None:
        raise Refusal("CARD_MISMATCH")
    if found.state is CardState.VOID_REPLACED or (case is not None and case.made):
        raise Refusal("REPLACED")
    if found.state in VOID or found.state is CardState.RETURNED:
        raise Refusal("CARD_VOID")
    if not found.lost:
        raise Refusal("NOT_LOST")
    effect = happen(found, CardEvent.UNLOSS)
    case_no = case.case_no if case is not None and case.open else 0
    return Plan(document=LossCancelled(case_no=case_no, override=override), effects=(effect,))
