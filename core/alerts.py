"""Alerts: somebody tapped a card that is void or lost, or one that was perhaps copied.

A card's counter only grows. When it reads less than it did, two cards share one number: the card is
frozen at once by the system itself, and an officer looks into it.

**Source:** regulation 五.1 (no copies), 三.2b, 三.3b; docs/reference/decisions.md "HOLD approved".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.cards import CardEvent, transition
from core.catalogue import BY_NAME
from core.documents.cards import AlertAcknowledged, CloneFrozen
from core.media import happen
from core.plans import Plan
from core.refusals import Refusal

if TYPE_CHECKING:
    from core.media import Carrier

CLONE: Final = BY_NAME["CARD_COUNTER_REGRESSION"].number
"""The refusal that freezes the card."""

ALARMING: Final = frozenset({BY_NAME["CARD_VOID"].number, BY_NAME["CARD_LOST"].number, CLONE})
"""Refusals of taps that make an alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """An alert, named by the seq of its first tap.

    Attributes:
        taps: how often, of this card at this terminal since it was opened.
        frozen_seq: the act that froze the card for it; 0: none.
        closed_seq: the act that acknowledged it; 0: it is open.
    """

    seq: int
    time_us: int
    reason: int
    account_number: int
    medium_number: int
    taps: int
    frozen_seq: int
    closed_seq: int


def folds(reason: int) -> bool:
    """Tell whether further taps count in the open alert; every sign of a copy is one of its own."""
    return reason != CLONE


def freeze_clone(alert: AlertFacts, carrier: Carrier | None) -> Plan:
    """Freeze a card that shows signs of a copy.

    Args:
        alert: what was seen.
        carrier: the card as it is now; None: it is not in use any more.

    Returns:
        One effect; none where the card cannot pay in any case.

    **Source:** regulation 五.1, 七.5, 八.1.
    """
    document = CloneFrozen(
        account=alert.account_number, medium=alert.medium_number, alert=alert.seq
    )
    usable = carrier is not None and transition(
        carrier.state, carrier.medium.flags, CardEvent.SUSPEND
    )
    effects = (happen(carrier, CardEvent.SUSPEND),) if carrier is not None and usable else ()
    return Plan(document=document, effects=effects)


def acknowledge(alert: AlertFacts) -> Plan:
    """Close an alert; what was frozen stays frozen until somebody resumes it.

    Raises:
        Refusal: ALERT_CLOSED; CONFLICT while its card is about to be frozen.

    **Source:** regulation 七.5.
    """
    if alert.closed_seq:
        raise Refusal("ALERT_CLOSED")
    if alert.reason == CLONE and not alert.frozen_seq:
        raise Refusal("CONFLICT", retry_after_ms=1_000)
    document = AlertAcknowledged(account=alert.account_number, alert=alert.seq)
    return Plan(document=document, effects=())
