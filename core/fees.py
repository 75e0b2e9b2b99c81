"""Fees: paid at the finance office, outside the purse; each receipt counts once for ever.

**Source:** regulation 三.4(2), 三.5(1)(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.plans import EffectKind, EffectPlan, Wallet
from core.refusals import Refusal, invalid

if TYPE_CHECKING:
    from core.counter import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt of the finance office.

    Attributes:
        receipt_no: its number, unique for ever.
        amount_fen: what it says.
        paid_us: when, microseconds since 1970 UTC.
        used: the number was confirmed before.
    """

    receipt_no: str
    amount_fen: int
    paid_us: int
    used: bool


def check_receipt(receipt: Receipt, *, fee_fen: int, moment: Moment) -> None:
    """Check a receipt against the fee.

    Raises:
        Refusal: FIELD_INVALID for a time to come, FEE_AMOUNT_MISMATCH, RECEIPT_ALREADY_USED.

    **Source:** regulation 三.4(2) "30元/张": neither less nor more.
    """
    if receipt.paid_us > moment.time_us:
        raise invalid("paid_time_us", "not in the future")
    if receipt.amount_fen != fee_fen:
        raise Refusal("FEE_AMOUNT_MISMATCH", feeFen=fee_fen, paidFen=receipt.amount_fen)
    if receipt.used:
        raise Refusal("RECEIPT_ALREADY_USED")


def fee_effects(account_number: int, fee_fen: int, *, back: bool = False) -> tuple[EffectPlan, ...]:
    """Return what books a fee: FINANCE_FEES to INCOME, or back; nothing for no fee.

    Args:
        account_number: whose fee: it shows in the account's history and moves none of its wallets.
        fee_fen: 0 or more.
        back: a refund.
    """
    if not fee_fen:
        return ()
    debit, credit = Wallet.FINANCE_FEES, Wallet.INCOME
    effect = EffectPlan(
        kind=EffectKind.ADJUST,
        row=account_number,
        amount_fen=fee_fen,
        debit_wallet=credit if back else debit,
        credit_wallet=debit if back else credit,
    )
    return (effect,)
