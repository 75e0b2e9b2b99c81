"""CardOfficeService, the part of water transfers; rules in ``core/water_transfers.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from campuscard.v1 import card_office_service_pb2 as pb
from core import water_transfers
from core.blocks import RecordType
from core.media import FIRST_STATES
from core.plans import EffectKind, Wallet
from core.refusals import invalid
from core.water_transfers import Standing, Transfer, transfer_in
from server.office_lane import Desk
from server.registers import purses
from server.services import card_acts, fields
from server.services.card_methods import CardMethods

if TYPE_CHECKING:
    from core.counter import Moment
    from core.facts import AccountFacts
    from core.plans import Plan
    from ext.engine import AccountReply
    from server.registry import Registry
    from server.services.card_methods import Context

_WRITTEN: Final = {pb.TRANSFER_END_WRITTEN: True, pb.TRANSFER_END_NOT_WRITTEN: False}


class TransferMethods(CardMethods):
    """Transfers to the water purse whose end nobody has told."""

    async def SettleTransfer(
        self, request: pb.SettleTransferRequest, context: Context
    ) -> pb.SettleTransferResponse:
        """Settle a transfer; see the proto."""
        account_no = fields.account_no(request.account_no)
        hold_seq = fields.seq("hold_seq", request.hold_seq)
        if request.end not in _WRITTEN:
            raise invalid("end", "WRITTEN or NOT_WRITTEN")
        written = _WRITTEN[request.end]

        async def decide(desk: Desk) -> Plan:
            plan, _ = await _decide(desk, account_no, hold_seq, written=written)
            return plan

        if not request.dry_run:
            return await self._office.act(request, decide, response=pb.SettleTransferResponse)
        office = self._office
        desk = Desk(
            office.engine,
            office.projector,
            keys=office.keys,
            now_us=office.clock.now_us(),
            after_seq=0,
        )
        plan, money = await _decide(desk, account_no, hold_seq, written=written)
        return _foretold(desk, plan, money)


async def _decide(
    desk: Desk, account_no: str, hold_seq: int, *, written: bool
) -> tuple[Plan, AccountReply]:
    account = await desk.read(lambda r: card_acts.account_of(r, account_no))
    money = await desk.wallets(account.number)
    known = 0 < hold_seq <= money["as_of_seq"]
    transfer = transfer_in(desk.block_of(hold_seq), hold_seq) if known else None

    def read(registry: Registry) -> tuple[Standing, Moment]:
        moment = card_acts.moment_at(registry, desk.now_us)
        return _standing(registry, account, transfer, money), moment

    standing, moment = await desk.read(read)
    plan = water_transfers.settle(account, transfer, standing, written=written, moment=moment)
    return plan, money


def _standing(
    registry: Registry, account: AccountFacts, transfer: Transfer | None, money: AccountReply
) -> Standing:
    if transfer is None:
        return Standing(open_seq=money["water_hold_seq"])
    medium = registry.medium(transfer.medium_number)
    return Standing(
        open_seq=money["water_hold_seq"],
        grey=money["water_hold_grey"],
        may_tell=medium is not None and medium.state in FIRST_STATES,
        purse=purses.purse_after(registry.connection, account.number, transfer.held_us),
    )


def _foretold(desk: Desk, plan: Plan, money: AccountReply) -> pb.SettleTransferResponse:
    """Say what a plan would make of the account's money."""
    online_fen, amount_fen = money["online_fen"], 0
    for effect in plan.effects:
        if effect.kind is EffectKind.SETTLE:
            transfer = transfer_in(desk.block_of(effect.hold_seq), effect.hold_seq)
            amount_fen = transfer.amount_fen if transfer else 0
            online_fen -= amount_fen if effect.event == RecordType.CAPTURE else 0
        elif effect.credit_wallet is Wallet.ONLINE:
            online_fen += effect.amount_fen
    return pb.SettleTransferResponse(
        amount_fen=amount_fen, online_fen=online_fen, held_fen=money["held_fen"] - amount_fen
    )
