"""Pages of an account's history, along its chain in the journal, newest first.

The token holds the seq the next page starts at. The chain only grows at its head, so pages are
stable whatever happens meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from campuscard.v1 import account_service_pb2 as pb
from campuscard.v1.terminal_service_pb2 import Outcome, TransactionKey, Wallet
from core.blocks import WATER, RecordType
from core.blocks import Outcome as RecordOutcome
from core.catalogue import BY_NUMBER
from core.plans import Wallet as Side
from core.refusals import missing
from server.services import fields

if TYPE_CHECKING:
    from ext.engine import HistoryItem, HistoryReply
    from server.services.office import Office

_FLAGS: Final = (
    (4, "OVER_DAY"),
    (8, "OVER_MEAL"),
    (16, "PARTIAL"),
    (32, "VOID"),
    (64, "FORCED"),
    (128, "LATE"),
    (256, "EXCESS"),
)
_KEY_IS_REQUEST: Final = 16_384
_FUNDS: Final = frozenset(t for t in RecordType if t < RecordType.ACCOUNT)
_HOLDER_SIDES: Final = {
    Side.ONLINE: Wallet.WALLET_ONLINE,
    Side.WATER: Wallet.WALLET_WATER,
    Side.SUBSIDY: Wallet.WALLET_SUBSIDY,
}
_ASKED: Final = frozenset({RecordType.PURCHASE, RecordType.HOLD, RecordType.CAPTURE})


class TransactionPages:
    """Makes pages of ListTransactions."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def page(self, request: pb.ListTransactionsRequest) -> pb.ListTransactionsResponse:
        """Make one page."""
        account_no = fields.account_no(request.account_no)
        page = self._office.list_page(request)
        account, merchants, terminals = await self._office.projector.read(
            lambda r: (r.account(account_no), r.merchant_names(), r.terminal_ids())
        )
        if account is None:
            raise missing("account")
        future: asyncio.Future[HistoryReply] = asyncio.get_running_loop().create_future()
        self._office.engine.history(account.number, page.number, page.size, future)
        reply = await future
        items = []
        for item in reply["items"]:
            message = transaction_message(item)
            if item["terminal"] and not item["flags"] & _KEY_IS_REQUEST:
                message.key.CopyFrom(
                    TransactionKey(
                        terminal_id=terminals.get(item["terminal"], ""),
                        batch_no=item["batch_no"],
                        terminal_seq=item["terminal_seq"],
                    )
                )
            message.merchant_id, message.merchant_name = merchants.get(item["merchant"], ("", ""))
            items.append(message)
        return pb.ListTransactionsResponse(
            transactions=items,
            next_page_token=page.token(reply["next_seq"] or ""),
            as_of_seq=reply["as_of_seq"],
        )


def transaction_message(item: HistoryItem) -> pb.AccountTransaction:
    """Write one record of an account's history, without names."""
    record_type = RecordType(item["type"])
    message = pb.AccountTransaction(
        seq=item["seq"],
        time_us=item["time_us"],
        business_date=item["business_date"],
        rule_version=item["rule_version"],
        type=record_type.name,
        outcome=_outcome(item["outcome"]),
        reason=BY_NUMBER[item["reason"]].name,
        original_seq=item["original_seq"],
        part=item["part"],
        parts=item["parts"],
        flags=[name for bit, name in _FLAGS if item["flags"] & bit],
    )
    if record_type not in _FUNDS:
        return message
    message.amount_fen = item["amount_fen"]
    water = item["flags"] & WATER
    if record_type in _ASKED and item["aux"] != item["amount_fen"] and not water:
        message.asked_fen = item["aux"]
    moved = item["amount_fen"] > 0
    if moved and item["debit_wallet"] in _HOLDER_SIDES:
        message.from_wallet = _HOLDER_SIDES[Side(item["debit_wallet"])]
        message.from_balance_fen = item["debit_after_fen"]
    if moved and record_type != RecordType.HOLD and item["credit_wallet"] in _HOLDER_SIDES:
        message.to_wallet = _HOLDER_SIDES[Side(item["credit_wallet"])]
        message.to_balance_fen = item["credit_after_fen"]
    return message


def _outcome(number: int) -> Outcome.ValueType:
    decided = number in {
        RecordOutcome.APPROVED,
        RecordOutcome.DECLINED,
        RecordOutcome.PIN_REQUIRED,
    }
    return Outcome.ValueType(number) if decided else Outcome.OUTCOME_UNSPECIFIED
