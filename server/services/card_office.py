"""CardOfficeService: issuing, hand-over, activation, loss, upgrade, renewal, and looking at cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import card_office_service_pb2_grpc as pb_grpc
from core import issuing, losses, media
from core.cards import PHYSICAL_CARD, CardEvent, CardState, CardType, legal_events, state_on
from core.counter import refuse_other_class
from core.issuing import IssueItem, ReadItem
from core.losses import LossScope
from core.permissions import Role
from core.refusals import Refusal, invalid, missing
from server.identity import acting, caller
from server.registers import cards, cases, holders
from server.registers.cards import CardFilter, CardRow
from server.services import card_acts, fields
from server.services.card_alerts import AlertMethods
from server.services.card_cases import CaseMethods
from server.services.card_clearance import ClearanceMethods
from server.services.card_messages import batch_message, card_message, item_results
from server.services.card_sanctions import SanctionMethods
from server.services.office import act_message
from server.services.roster import RosterMethods

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc.aio

    from core.plans import Plan
    from server.office_lane import ActAnswer, Desk
    from server.registers.base import Facts
    from server.registry import AnsweredRequest, Registry

    Context = grpc.aio.ServicerContext[Any, Any]

_NEW: Final = (CardState.PRODUCED, CardState.IN_TRANSIT)


class CardOfficeService(
    RosterMethods,
    CaseMethods,
    ClearanceMethods,
    SanctionMethods,
    AlertMethods,
    pb_grpc.CardOfficeServiceServicer,
):
    """The counter's cards; the rules are in ``core/issuing.py`` and ``core/losses.py``."""

    async def IssueCards(
        self, request: pb.IssueCardsRequest, context: Context
    ) -> pb.IssueCardsResponse:
        """Issue cards; see the proto."""
        items = [
            (index, fields.account_no(item.account_no), fields.uid("items.uid", item.uid))
            for index, item in enumerate(card_acts.some("items", request.items))
        ]
        if request.dry_run:
            return await self._judge_issue(items)
        batch = fields.bounded("batch", request.batch, largest=fields.SEQ_MAX)
        answers = []
        for part, some in card_acts.parts(items, issuing.ISSUE_PART):
            given = await self._issue_part(request, part, some, batch)
            batch = given.request.facts["batch"]
            answers.append(given)
        response = pb.IssueCardsResponse(
            act=act_message(answers[-1]), batch=batch, results=_results(answers)
        )
        return _counted_issue(response, items)

    async def _issue_part(
        self,
        request: pb.IssueCardsRequest,
        part: int,
        items: Sequence[tuple[int, str, bytes]],
        batch: int,
    ) -> ActAnswer:
        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                sql = registry.connection
                if batch and not cards.is_batch(sql, batch):
                    raise missing("batch")
                return issuing.issue(
                    [_issue_item(registry, item) for item in items],
                    batch=batch,
                    first_card_no=cards.next_card_no(sql),
                    moment=card_acts.moment_at(registry, desk.now_us),
                )

            return await desk.read(read)

        return await self._office.part(request, part, decide)

    async def _judge_issue(self, items: Sequence[tuple[int, str, bytes]]) -> pb.IssueCardsResponse:
        def read(registry: Registry) -> list[pb.ItemResult]:
            results, seen = [], set[object]()
            for item in items:
                known = _issue_item(registry, item)
                result = pb.ItemResult(index=known.index)
                try:
                    result.type = pb.CardType.ValueType(issuing.judge(known, seen))
                except Refusal as refusal:
                    result.reason = refusal.reason.name
                if known.account is not None and not result.reason:
                    seen |= {known.uid, known.account.number}
                results.append(result)
            return results

        found, _ = await self._office.projector.read(lambda r: (read(r), 0))
        return _counted_issue(pb.IssueCardsResponse(results=found), items)

    async def HandOver(self, request: pb.HandOverRequest, context: Context) -> pb.HandOverResponse:
        """Hand a batch over; see the proto."""
        batch = fields.seq("batch", request.batch)

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                sql = registry.connection
                if not cards.is_batch(sql, batch):
                    raise missing("batch")
                today = card_acts.moment_at(registry, desk.now_us).today
                found = cards.cards_of_batch(sql, batch, (CardState.PRODUCED,), limit=issuing.PART)
                return issuing.hand_over(
                    batch, [media.carrier_of_card(card, today) for card in found]
                )

            return await desk.read(read)

        done, given = 0, await self._office.part(request, 0, decide)
        part = 0
        while (
            given.request.facts["count"] == issuing.PART
            and done < card_acts.ITEMS_MAX - issuing.PART
        ):
            done += issuing.PART
            part += 1
            given = await self._office.part(request, part, decide)
        remaining = await self._office.projector.look(
            lambda r: cards.count_of_batch(r.connection, batch, (CardState.PRODUCED,))
        )
        return pb.HandOverResponse(
            act=act_message(given),
            handed_over=done + given.request.facts["count"],
            remaining=remaining,
        )

    async def ActivateCards(
        self, request: pb.ActivateCardsRequest, context: Context
    ) -> pb.ActivateCardsResponse:
        """Activate cards; see the proto."""
        if bool(request.uids) == bool(request.batch):
            raise invalid("uids", "either uids or batch")
        if request.batch:
            return await self._activate_batch(request)
        uids = [fields.uid("uids", uid) for uid in card_acts.some("uids", request.uids)]
        answers = []
        for part, some in card_acts.parts(list(enumerate(uids)), issuing.PART):

            async def decide(desk: Desk, some: Any = some) -> Plan:
                def read(registry: Registry) -> Plan:
                    today = card_acts.moment_at(registry, desk.now_us).today
                    return issuing.activate(
                        [_read_item(registry, index, uid, today) for index, uid in some]
                    )

                return await desk.read(read)

            answers.append(await self._office.part(request, part, decide))
        results = _results(answers)
        return pb.ActivateCardsResponse(
            act=act_message(answers[-1]),
            results=results,
            activated=sum(not result.reason for result in results),
        )

    async def _activate_batch(self, request: pb.ActivateCardsRequest) -> pb.ActivateCardsResponse:
        batch = fields.seq("batch", request.batch)

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                sql = registry.connection
                if not cards.is_batch(sql, batch):
                    raise missing("batch")
                today = card_acts.moment_at(registry, desk.now_us).today
                found = cards.cards_of_batch(sql, batch, _NEW, limit=issuing.PART)
                return issuing.activate(
                    [
                        ReadItem(index=index, card=media.carrier_of_card(card, today))
                        for index, card in enumerate(found)
                    ]
                )

            return await desk.read(read)

        part, done = 0, 0
        while True:
            given = await self._office.part(request, part, decide)
            count = len(given.request.facts["results"])
            done, part = done + count, part + 1
            if count < issuing.PART or done >= card_acts.ITEMS_MAX:
                break
        remaining = await self._office.projector.look(
            lambda r: cards.count_of_batch(r.connection, batch, _NEW)
        )
        return pb.ActivateCardsResponse(act=act_message(given), activated=done, remaining=remaining)

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

    async def RenewCard(
        self, request: pb.RenewCardRequest, context: Context
    ) -> pb.RenewCardResponse:
        """Renew a card; see the proto."""
        account_no = fields.account_no(request.account_no)
        fields.reason(request.reason)
        day = fields.bounded("expires_day", request.expires_day, largest=fields.DAY_MAX)

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                card = card_acts.papers_of(registry, account_no).card
                moment = card_acts.moment_at(registry, desk.now_us)
                old = media.carrier_of_card(card, moment.today) if card else None
                return issuing.renew(card, old, expires_day=day, moment=moment)

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.RenewCardResponse)

    async def UpgradeTemporary(
        self, request: pb.UpgradeTemporaryRequest, context: Context
    ) -> pb.UpgradeTemporaryResponse:
        """Upgrade a temporary card; see the proto."""
        account_no = fields.account_no(request.account_no)
        uid = fields.uid("uid", request.uid)
        channel = caller().channel

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                sql, papers = registry.connection, card_acts.papers_of(registry, account_no)
                moment = card_acts.moment_at(
                    registry,
                    desk.now_us,
                    channel=channel,
                    event=CardEvent.UPGRADE,
                    account_number=papers.account.number,
                )
                old = media.carrier_of_card(papers.card, moment.today) if papers.card else None
                return issuing.upgrade(
                    papers.card,
                    old,
                    uid=uid,
                    card_no=cards.next_card_no(sql),
                    bound=registry.bound_medium(PHYSICAL_CARD, uid),
                    has_photo=_has_photo(registry, papers.account.number),
                    moment=moment,
                )

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.UpgradeTemporaryResponse)

    async def ReportLoss(
        self, request: pb.ReportLossRequest, context: Context
    ) -> pb.ReportLossResponse:
        """Report a loss; see the proto."""
        account_no, medium = card_acts.account_or_medium(request)
        scope = fields.optional_choice("scope", request.scope, LossScope)
        fields.reason(request.reason)
        own = caller().account_number if acting().role == Role.HOLDER.name else 0

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
        fields.reason(request.reason)
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


def _results(answers: Sequence[ActAnswer]) -> list[pb.ItemResult]:
    found: list[Facts] = [item for given in answers for item in given.request.facts["results"]]
    return item_results(found)


def _counted_issue(
    response: pb.IssueCardsResponse, items: Sequence[tuple[int, str, bytes]]
) -> pb.IssueCardsResponse:
    for result in response.results:
        result.account_no = items[result.index][1]
    response.refused = sum(bool(result.reason) for result in response.results)
    response.issued = len(response.results) - response.refused
    return response


def _has_photo(registry: Registry, number: int) -> bool:
    holder = holders.holder_by_number(registry.connection, number)
    return holder is not None and holder.photo_version > 0


def _issue_item(registry: Registry, item: tuple[int, str, bytes]) -> IssueItem:
    index, account_no, uid = item
    account = registry.account(account_no)
    number = account.number if account else 0
    return IssueItem(
        index=index,
        uid=uid,
        account=account,
        live=cards.live_card(registry.connection, number),
        bound=registry.bound_medium(PHYSICAL_CARD, uid),
        has_photo=_has_photo(registry, number),
    )


def _read_item(registry: Registry, index: int, uid: bytes, today: int) -> ReadItem:
    card = card_acts.card_behind(registry, uid, today)
    if card is None:
        return ReadItem(index=index, card=None)
    case = cases.newest_case(registry.connection, card.medium.account_number)
    waits = case is not None and case.open and case.new_card_no == card.card_no
    return ReadItem(index=index, card=card, waits_for_pick_up=waits)


def _refuse_others(
    registry: Registry, account_no: str, medium: tuple[int, bytes] | None, own: int
) -> None:
    """Let a holder speak for their own account only."""
    bound = registry.bound_medium(*medium) if medium else None
    account = registry.account(account_no) if account_no else None
    number = bound.account_number if bound else account.number if account else 0
    if number != own:
        raise missing("account" if account_no else "medium")
