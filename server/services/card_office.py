"""CardOfficeService: loss, and looking at cards; its other parts are mixed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import card_office_service_pb2_grpc as pb_grpc
from core import losses
from core.cards import PHYSICAL_CARD, CardEvent, CardState, CardType, legal_events, state_on
from core.counter import refuse_other_class
from core.losses import LossScope
from core.permissions import Role
from core.refusals import invalid, missing
from server.identity import caller, calling_as
from server.registers import cards, cases
from server.registers.cards import CardFilter, CardRow
from server.services import card_acts, fields
from server.services.card_alerts import AlertMethods
from server.services.card_cases import CaseMethods
from server.services.card_clearance import ClearanceMethods
from server.services.card_issuing import IssuingMethods
from server.services.card_messages import batch_message, card_message
from server.services.card_sanctions import SanctionMethods
from server.services.card_transfers import TransferMethods
from server.services.roster import RosterMethods

if TYPE_CHECKING:
    import grpc.aio

    from core.plans import Plan
    from server.office_lane import Desk
    from server.registry import AnsweredRequest, Registry

    Context = grpc.aio.ServicerContext[Any, Any]

_NEW: Final = (CardState.PRODUCED, CardState.IN_TRANSIT)


class CardOfficeService(
    RosterMethods,
    IssuingMethods,
    CaseMethods,
    ClearanceMethods,
    TransferMethods,
    SanctionMethods,
    AlertMethods,
    pb_grpc.CardOfficeServiceServicer,
):
    """The counter's cards; the rules are in ``core/issuing.py`` and ``core/losses.py``."""

    async def GetCard(self, request: pb.GetCardRequest, context: Context) -> pb.GetCardResponse:
        """Read one card; see the proto."""
        if bool(request.card_no) + bool(request.uid) + bool(request.account_no) != 1:
            raise invalid("card_no", "one of card_no, uid and account_no")
        bound_to = card_acts.classes()

        def find(registry: Registry) -> tuple[CardRow, int]:
            sql = registry.connection
            if request.card_no:
                card = cards.card(sql, request.card_no)
            elif request.uid:
                medium = registry.newest_medium(PHYSICAL_CARD, request.uid)
                card = cards.card_of_medium(sql, medium.number) if medium else None
            else:
                account = card_acts.account_of(registry, fields.account_no(request.account_no))
                card = cards.newest_card(sql, account.number)
            holder = registry.account_by_number(card.account_number) if card else None
            if card is None or holder is None:
                raise missing("card")
            refuse_other_class(holder.class_name, bound_to)
            row = CardRow(
                card=card,
                account_no=holder.account_no,
                name=holder.name,
                class_name=holder.class_name,
            )
            return row, self._today(registry)

        row, today = await self._office.projector.look(find)
        medium = row.card.medium
        state = state_on(row.card.state, expires_day=medium.expires_day, today=today)
        return pb.GetCardResponse(
            card=card_message(row, today),
            legal=[event.name for event in legal_events(state, medium.flags)],
        )

    async def ListCards(
        self, request: pb.ListCardsRequest, context: Context
    ) -> pb.ListCardsResponse:
        """List cards; see the proto."""
        wanted = CardFilter(
            classes=self._classes(request.class_name),
            account_no=request.account_no,
            state=fields.optional_choice("state", request.state, CardState),
            type=fields.optional_choice("type", request.type, CardType),
            batch=fields.bounded("batch", request.batch, largest=fields.SEQ_MAX),
            lost=request.lost,
            expires_before=fields.bounded(
                "expires_before", request.expires_before, largest=fields.DAY_MAX
            ),
        )
        page = self._office.list_page(request)
        found, today = await self._office.projector.read(
            lambda r: (
                cards.list_cards(r.connection, wanted, after=page.number, limit=page.limit),
                self._today(r),
            )
        )
        rows, token = page.cut(found, lambda row: row.card.card_no)
        return pb.ListCardsResponse(
            cards=[card_message(row, today) for row in rows],
            next_page_token=token,
        )

    async def ListBatches(
        self, request: pb.ListBatchesRequest, context: Context
    ) -> pb.ListBatchesResponse:
        """List batches; see the proto."""
        page = self._office.list_page(request)
        found = await self._office.projector.read(
            lambda r: cards.batches(r.connection, before=page.number, limit=page.limit)
        )
        rows, token = page.cut(found, lambda row: row.batch)
        return pb.ListBatchesResponse(
            batches=[batch_message(row) for row in rows],
            next_page_token=token,
        )

    async def ReportLoss(
        self, request: pb.ReportLossRequest, context: Context
    ) -> pb.ReportLossResponse:
        """Report a loss; see the proto."""
        account_no, medium = card_acts.account_or_medium(request)
        scope = fields.optional_choice("scope", request.scope, LossScope)
        own = caller().account_number if calling_as() is Role.HOLDER else 0

        async def decide(desk: Desk) -> Plan | AnsweredRequest:
            if own:
                await desk.read(lambda r: _refuse_others(r, account_no, medium, own))
            return await card_acts.report_loss(
                desk, account_no=account_no, medium=medium, scope=scope
            )

        return await self._office.act(request, decide, response=pb.ReportLossResponse)

    async def Unloss(self, request: pb.UnlossRequest, context: Context) -> pb.UnlossResponse:
        """Take a loss back; see the proto."""
        account_no = fields.account_no(request.account_no)
        presented = fields.medium("medium", request.medium)
        channel = caller().channel

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                account = card_acts.account_of(registry, account_no)
                moment = card_acts.moment_at(
                    registry,
                    desk.now_us,
                    channel=channel,
                    event=CardEvent.UNLOSS,
                    account_number=account.number,
                )
                bound = registry.bound_medium(*presented)
                mine = bound is not None and bound.account_number == account.number
                found = (
                    card_acts.carrier_of(registry, bound, moment.today)
                    if bound is not None and mine
                    else None
                )
                case = (
                    cases.case_of_old_card(registry.connection, found.card_no)
                    if found is not None and found.card_no
                    else None
                )
                return losses.unloss(found, case=case, moment=moment)

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.UnlossResponse)


def _refuse_others(
    registry: Registry, account_no: str, medium: tuple[int, bytes] | None, own: int
) -> None:
    """Let a holder speak for their own account only."""
    bound = registry.bound_medium(*medium) if medium else None
    account = registry.account(account_no) if account_no else None
    number = bound.account_number if bound else account.number if account else 0
    if number != own:
        raise missing("account" if account_no else "medium")
