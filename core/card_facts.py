"""What the registry knows of cards and replacement cases, as the rules read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.replacement import CaseState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.cards import CardState, CardType
    from core.facts import MediumFacts
    from core.replacement import FeeState, Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """A card. ``state`` is as the last act left it; expiry shows by ``core.cards.state_on``.

    Attributes:
        batch: it was issued in; 0: singly.
        successor: number of the card that took its place; 0: none.
        ended_us: when it was given back, paid for or became void; 0: it is live.
    """

    card_no: int
    account_number: int
    card_seq: int
    type: CardType
    state: CardState
    batch: int
    successor: int
    made_us: int
    ended_us: int
    medium: MediumFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """A replacement case.

    Attributes:
        papers: what is attached, with the name of its sealed file.
        proposed_by: who proposed to waive the fee; empty: nobody.
        early: the receipt is older than the loss.
        faulty: a fault of the maker.
    """

    case_no: int
    account_number: int
    state: CaseState
    old_card_no: int
    new_card_no: int
    papers: Mapping[Paper, str]
    fee_fen: int
    fee_state: FeeState
    proposed_by: str
    receipt_no: str
    early: bool
    faulty: bool
    opened_us: int
    changed_us: int

    @property
    def made(self) -> bool:
        """Whether the new card was made."""
        return self.new_card_no != 0

    @property
    def open(self) -> bool:
        """Whether it waits for something."""
        return self.state not in {CaseState.PICKED_UP, CaseState.CANCELLED}
