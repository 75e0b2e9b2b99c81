"""Facts of accounts as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campuscard.v1 import account_service_pb2 as pb
from campuscard.v1.terminal_service_pb2 import Medium, MediumType
from core.account_holds import OPEN, Hold, holds_at
from core.rows import MediumFlag

if TYPE_CHECKING:
    from core.facts import AccountFacts, MediumFacts
    from core.water_transfers import Transfer
    from ext.engine import AccountReply


def account_message(account: AccountFacts, *, now_us: int) -> pb.Account:
    """Write a holder and the account, with what holds it now."""
    holds = holds_at(account.status, account.held, now_us)
    return pb.Account(
        account_no=account.account_no,
        number=account.number,
        kind=pb.HolderKind.ValueType(account.kind),
        name=account.name,
        class_name=account.class_name,
        erased=account.erased,
        status=pb.AccountStatus.ValueType(account.status),
        personal_day_limit_fen=account.day_limit,
        personal_meal_limit_fen=account.meal_limit,
        must_change_pin=account.must_change,
        open_time_us=account.open_time_us,
        holds=[pb.AccountHold.Value(f"ACCOUNT_HOLD_{hold.name}") for hold in OPEN if hold in holds],
        sanction_until_us=account.held.until_us if Hold.SANCTION in holds else 0,
    )


def wallets_message(reply: AccountReply, *, pin_max: int) -> pb.Wallets:
    """Write the money of an account; ``pin_max``: wrong passwords until the lock."""
    return pb.Wallets(
        online_fen=reply["online_fen"],
        held_fen=reply["held_fen"],
        subsidy_fen=reply["subsidy_fen"],
        water_fen=reply["water_fen"],
        day_used_fen=reply["day_used_fen"],
        meal_used_fen=reply["meal_used_fen"],
        day_limit_fen=reply["day_limit_fen"],
        meal_limit_fen=reply["meal_limit_fen"],
        pin_locked=reply["pin_fails"] >= pin_max,
        as_of_seq=reply["as_of_seq"],
    )


def transfer_message(transfer: Transfer, *, grey: bool) -> pb.OpenTransfer:
    """Write an open transfer to the water purse, without the name of its terminal."""
    return pb.OpenTransfer(
        seq=transfer.seq,
        amount_fen=transfer.amount_fen,
        grey=grey,
        time_us=transfer.held_us,
        medium_number=transfer.medium_number,
    )


def medium_message(medium: MediumFacts, account_no: str) -> pb.BoundMedium:
    """Write a medium."""
    return pb.BoundMedium(
        medium=Medium(type=MediumType.ValueType(medium.type), token=medium.token),
        number=medium.number,
        account_no=account_no,
        state=pb.MediumState.ValueType(medium.state),
        lost=MediumFlag.LOST in medium.flags,
        frozen=MediumFlag.FROZEN in medium.flags,
        expires_day=medium.expires_day,
        lost_time_us=medium.lost_time_us,
        lost_seq=medium.lost_seq,
    )
