"""The water purse of a lost card: what stood on it goes back to the holder, or is forfeited.

The purse is on the card, WATER is its mirror in the books. When the account goes on without the lost
card, what WATER held then is counted; what the new card loads later is another purse. Once late
payments of the lost card can no longer come, what was counted is moved.

**Source:** regulation 四.6; D11 and D12 of docs/regulation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.documents.cards import PurseCounted, PurseSettled
from core.plans import EffectKind, EffectPlan, Expect, Plan, Wallet

if TYPE_CHECKING:
    from core.parameters import Values

_DAY_US: Final = 86_400_000_000
_SIDES: Final = {"RESTORE": Wallet.ONLINE, "FORFEIT": Wallet.INCOME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """The purse of a card that was lost for good, named by the act that ended the card's story.

    Attributes:
        lost_us: when it was reported lost, microseconds since 1970 UTC.
        ended_us: when the new card was picked up, or the lost one paid for.
        counted_seq: the act that counted it; 0: not yet.
        water_fen: what was counted.
        side: the wallet it goes to.
        settled_seq: the act that moved what was counted; 0: not yet.
    """

    seq: int
    account_number: int
    lost_us: int
    ended_us: int
    counted_seq: int = 0
    water_fen: int = 0
    side: int = 0
    settled_seq: int = 0


def count(purse: Purse, *, water_fen: int, pending_fen: int, values: Values) -> Plan:
    """Count a lost card's purse.

    Args:
        purse: of which card.
        water_fen: in WATER now.
        pending_fen: of it counted for earlier cards and not moved yet.
        values: the parameters in force.

    Returns:
        No effect yet: it is due when ``refund_wait_days`` have passed since the loss.

    **Source:** D11; d.6 WATER_RESTORE.
    """
    wait_us = values.number("refund_wait_days") * _DAY_US
    document = PurseCounted(
        account=purse.account_number,
        purse=purse.seq,
        water_fen=max(0, water_fen - pending_fen),
        due_us=max(purse.ended_us, purse.lost_us + wait_us),
        side=_SIDES[values.text("water_purse_on_loss")],
    )
    return Plan(document=document, effects=())


def settle(purse: Purse, *, water_fen: int, last_seq: int) -> Plan:
    """Move what was counted out of WATER, as far as it is still there.

    Args:
        purse: counted and due.
        water_fen: in WATER now: an undone transfer may have taken of it.
        last_seq: the account's newest record, as of which this is so.

    **Source:** D11; d.6 WATER_RESTORE.
    """
    moved = min(purse.water_fen, water_fen)
    document = PurseSettled(account=purse.account_number, purse=purse.seq)
    if moved <= 0:
        return Plan(document=document, effects=())
    effect = EffectPlan(
        kind=EffectKind.ADJUST,
        row=purse.account_number,
        expect=Expect.LAST_SEQ,
        expect_last_seq=last_seq,
        amount_fen=moved,
        debit_wallet=Wallet.WATER,
        credit_wallet=Wallet(purse.side),
    )
    return Plan(document=document, effects=(effect,))
