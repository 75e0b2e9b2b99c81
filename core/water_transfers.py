"""A transfer to the water purse that nobody has told the end of: the office settles it.

A tap holds the amount; the machine tells whether the card was written, or else the card's counter does
when it comes back. When neither can any more, the hold would stand for ever and no other card of the
account could load its purse: the office says what it found.

**Source:** regulation 四.6, 三.3b; D11 of docs/regulation.md; docs/reference/decisions.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.accounts import refuse_closed
from core.blocks import WATER, Outcome, RecordType
from core.documents.cards import TransferSettled
from core.plans import EffectKind, EffectPlan, Plan, Wallet
from core.refusals import Refusal
from core.service_hours import local_time

if TYPE_CHECKING:
    from core.blocks import Block
    from core.counter import Moment
    from core.facts import AccountFacts
    from core.water_purse import Purse

_DAY_US: Final = 86_400_000_000
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A transfer as its hold says; amounts in fen, times in microseconds since 1970 UTC.

    Attributes:
        seq: of the hold, the transfer's name.
        held_us: when the card was tapped.
        grey_us: from when nobody waits for the machine's word any more.
    """

    seq: int
    account_number: int
    medium_number: int
    terminal_number: int
    amount_fen: int
    held_us: int
    grey_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How it stands with an account's transfers.

    Attributes:
        open_seq: of the one that is open; 0: none.
        grey: no word came about it in time.
        may_tell: its card is neither void nor given back, so that its counter may still be read.
        purse: of the first card that was lost for good after the tap, once it is counted; None: there
            is none.
    """

    open_seq: int
    grey: bool = False
    may_tell: bool = False
    purse: Purse | None = None


def transfer_in(block: Block, seq: int) -> Transfer | None:
    """Read a transfer from the block that has its hold; None: the record is no such hold."""
    record = block.record(seq - block.header.first_seq)
    approved = record.type == RecordType.HOLD and record.outcome == Outcome.APPROVED
    if not approved or not record.flags & WATER:
        return None
    money = record.money()
    return Transfer(
        seq=seq,
        account_number=record.account,
        medium_number=record.medium,
        terminal_number=record.terminal,
        amount_fen=money.amount,
        held_us=block.header.time_us,
        grey_us=money.credit_after * _SECOND_US,
    )


def settle(
    account: AccountFacts,
    transfer: Transfer | None,
    standing: Standing,
    *,
    written: bool,
    moment: Moment,
) -> Plan:
    """Settle a transfer: post it where the card was written, else give the amount back.

    What was written of a purse that was counted already is part of it: it is moved with it, or at once
    where the rest was moved before.

    Args:
        account: whose.
        transfer: named by the request; None: the seq names none.
        standing: how it stands with it.
        written: what was found.
        moment: now; ``refund_wait_days`` from the tap on a card that may still tell is not waited for.

    Raises:
        Refusal: ACCOUNT_CLOSED, HOLD_NOT_FOUND, HOLD_CLOSED, TRANSFER_WAITS, TRANSFER_CARD_TELLS.

    **Source:** regulation 四.6; D11.
    """
    refuse_closed(account)
    if transfer is None or transfer.account_number != account.number:
        raise Refusal("HOLD_NOT_FOUND")
    if transfer.seq != standing.open_seq:
        raise Refusal("HOLD_CLOSED")
    if not standing.grey and moment.time_us < transfer.grey_us:
        raise Refusal("TRANSFER_WAITS", until=_local(transfer.grey_us, moment))
    wait_us = moment.values.number("refund_wait_days") * _DAY_US
    if standing.may_tell and moment.time_us < transfer.held_us + wait_us:
        raise Refusal("TRANSFER_CARD_TELLS", until=_local(transfer.held_us + wait_us, moment))
    purse = standing.purse if written else None
    document = TransferSettled(
        account=account.number,
        hold=transfer.seq,
        written=int(written),
        purse=purse.seq if purse else 0,
    )
    ended = EffectPlan(
        kind=EffectKind.SETTLE,
        row=account.number,
        hold_seq=transfer.seq,
        event=RecordType.CAPTURE if written else RecordType.RELEASE,
    )
    if purse is None or not purse.settled_seq:
        return Plan(document=document, effects=(ended,))
    moved = EffectPlan(
        kind=EffectKind.ADJUST,
        row=account.number,
        amount_fen=transfer.amount_fen,
        debit_wallet=Wallet.WATER,
        credit_wallet=Wallet(purse.side),
    )
    return Plan(document=document, effects=(ended, moved))


def _local(time_us: int, moment: Moment) -> str:
    return f"{local_time(time_us, moment.utc_offset_s):%Y-%m-%d %H:%M:%S}"
