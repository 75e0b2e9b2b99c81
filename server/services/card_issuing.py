"""CardOfficeService, the part of new cards: issue, hand-over, activation, renewal, upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import card_office_service_pb2 as pb
from core import issuing, media
from core.cards import PHYSICAL_CARD, CardEvent, CardState, take
from core.issuing import IssueItem, ReadItem
from core.refusals import Refusal, invalid, missing
from server.identity import caller
from server.registers import cards, cases, holders
from server.services import card_acts, fields
from server.services.card_messages import item_results, refuse_item
from server.services.card_methods import CardMethods
from server.services.office import act_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc.aio

    from core.media import Carrier
    from core.plans import Plan
    from server.office_lane import ActAnswer, Desk
    from server.registers.base import Facts
    from server.registry import Registry

    Context = grpc.aio.ServicerContext[Any, Any]

_NEW: Final = (CardState.PRODUCED, CardState.IN_TRANSIT)


class IssuingMethods(CardMethods):
    """Cards from issue to use; the rules are in ``core/issuing.py``."""

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
                    refuse_item(result, refusal)
                if known.account is not None and not result.reason:
                    seen |= {known.uid, known.account.number}
                results.append(result)
            return results

        found, _ = await self._office.projector.read(lambda r: (read(r), 0))
        return _counted_issue(pb.IssueCardsResponse(results=found), items)

    async def HandOver(self, request: pb.HandOverRequest, context: Context) -> pb.HandOverResponse:
        """Hand a batch over; see the proto."""
        batch = fields.seq("batch", request.batch)
        after = _after(request)
        if request.dry_run:
            results, remaining = await self._judge_batch(
                batch, (CardState.PRODUCED,), CardEvent.HAND_OVER, after
            )
            return pb.HandOverResponse(
                handed_over=_done(results), remaining=remaining, results=results
            )

        given, done, remaining = await self._in_parts(
            request,
            batch,
            (CardState.PRODUCED,),
            plan=lambda found: issuing.hand_over(batch, found),
            count=lambda facts: int(facts["count"]),
        )
        return pb.HandOverResponse(act=act_message(given), handed_over=done, remaining=remaining)

    async def ActivateCards(
        self, request: pb.ActivateCardsRequest, context: Context
    ) -> pb.ActivateCardsResponse:
        """Activate cards; see the proto."""
        if bool(request.uids) == bool(request.batch):
            raise invalid("uids", "either uids or batch")
        after = _after(request)
        if request.dry_run and request.batch:
            batch = fields.seq("batch", request.batch)
            results, remaining = await self._judge_batch(batch, _NEW, CardEvent.ACTIVATE, after)
            return pb.ActivateCardsResponse(
                activated=_done(results), remaining=remaining, results=results
            )
        if request.batch:
            return await self._activate_batch(request)
        uids = [fields.uid("uids", uid) for uid in card_acts.some("uids", request.uids)]
        if request.dry_run:
            results = await self._judge_uids(uids)
            return pb.ActivateCardsResponse(activated=_done(results), results=results)
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
            activated=_done(results),
        )

    async def _judge_uids(self, uids: Sequence[bytes]) -> list[pb.ItemResult]:
        def read(registry: Registry) -> list[pb.ItemResult]:
            today, seen, results = self._today(registry), set[int](), []
            for index, uid in enumerate(uids):
                item = _read_item(registry, index, uid, today)
                result = card_acts.item_of(registry, index, item.card)
                try:
                    seen.add(issuing.judge_activation(item, seen).row)
                    result.state = pb.CARD_STATE_ACTIVE
                except Refusal as refusal:
                    refuse_item(result, refusal)
                results.append(result)
            return results

        return await self._office.projector.read(read)

    async def _judge_batch(
        self, batch: int, states: Sequence[CardState], event: CardEvent, after: int
    ) -> tuple[list[pb.ItemResult], int]:
        """Say what an event would make of a batch's next cards, and how many come after those."""

        def read(registry: Registry) -> tuple[list[pb.ItemResult], int]:
            sql, today = registry.connection, self._today(registry)
            if not cards.is_batch(sql, batch):
                raise missing("batch")
            found = cards.cards_of_batch(
                sql, batch, states, limit=card_acts.ITEMS_MAX, after=after, marked=True
            )
            results = []
            for index, card in enumerate(found):
                carrier = media.carrier_of_card(card, today)
                result = card_acts.item_of(registry, index, carrier)
                try:
                    state, _ = take(carrier.state, carrier.medium.flags, event)
                    result.state = pb.CardState.ValueType(state)
                except Refusal as refusal:
                    refuse_item(result, refusal)
                results.append(result)
            last = found[-1].card_no if found else after
            return results, cards.count_of_batch(sql, batch, states, after=last, marked=True)

        return await self._office.projector.read(read)

    async def _activate_batch(self, request: pb.ActivateCardsRequest) -> pb.ActivateCardsResponse:
        def plan(found: Sequence[Carrier]) -> Plan:
            return issuing.activate(
                [ReadItem(index=index, card=card) for index, card in enumerate(found)]
            )

        batch = fields.seq("batch", request.batch)
        given, done, remaining = await self._in_parts(
            request, batch, _NEW, plan=plan, count=lambda facts: len(facts["results"])
        )
        return pb.ActivateCardsResponse(act=act_message(given), activated=done, remaining=remaining)

    async def _in_parts(
        self,
        request: Any,
        batch: int,
        states: Sequence[CardState],
        *,
        plan: Callable[[Sequence[Carrier]], Plan],
        count: Callable[[Facts], int],
    ) -> tuple[ActAnswer, int, int]:
        """Let the same happen to a batch's cards, at most ``ITEMS_MAX``, some in each act.

        Args:
            request: the message.
            batch: which.
            states: of the cards it happens to.
            plan: decides one act over some cards.
            count: how many cards an act was about, by its facts.

        Returns:
            The last act, how many cards in all, and how many of the batch remain.
        """

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                sql = registry.connection
                if not cards.is_batch(sql, batch):
                    raise missing("batch")
                today = card_acts.moment_at(registry, desk.now_us).today
                found = cards.cards_of_batch(sql, batch, states, limit=issuing.PART)
                return plan([media.carrier_of_card(card, today) for card in found])

            return await desk.read(read)

        part, done = 0, 0
        while True:
            given = await self._office.part(request, part, decide)
            some = count(given.request.facts)
            part, done = part + 1, done + some
            if some < issuing.PART or done >= card_acts.ITEMS_MAX:
                break
        remaining = await self._office.projector.look(
            lambda r: cards.count_of_batch(r.connection, batch, states)
        )
        return given, done, remaining

    async def RenewCard(
        self, request: pb.RenewCardRequest, context: Context
    ) -> pb.RenewCardResponse:
        """Renew a card; see the proto."""
        account_no = fields.account_no(request.account_no)
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


def _after(request: pb.HandOverRequest | pb.ActivateCardsRequest) -> int:
    """Read where the page of a dry run begins.

    Raises:
        Refusal: FIELD_INVALID.
    """
    if request.after_card_no and not (request.dry_run and request.batch):
        raise invalid("after_card_no", "in a dry run of a batch only")
    return request.after_card_no


def _done(results: Sequence[pb.ItemResult]) -> int:
    return sum(not result.reason for result in results)


def _results(answers: Sequence[ActAnswer]) -> list[pb.ItemResult]:
    found: list[Facts] = [item for given in answers for item in given.request.facts["results"]]
    return item_results(found)


def _counted_issue(
    response: pb.IssueCardsResponse, items: Sequence[tuple[int, str, bytes]]
) -> pb.IssueCardsResponse:
    for result in response.results:
        result.account_no = items[result.index][1]
    response.issued = _done(response.results)
    response.refused = len(response.results) - response.issued
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
