"""CardOfficeService, the part of replacement cases; the rules are in ``core/replacement.py``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.message import Message

from campuscard.v1 import card_office_service_pb2 as pb
from core import media, replacement
from core.cards import PHYSICAL_CARD, CardEvent
from core.counter import refuse_other_class
from core.fees import Receipt
from core.permissions import Role
from core.refusals import Refusal, invalid, missing
from core.replacement import CaseState, Paper
from server.identity import caller
from server.registers import cards, cases
from server.registers.cases import CaseRow
from server.registers.parameters import values_at
from server.services import card_acts, fields
from server.services.card_messages import case_message
from server.services.card_methods import CardMethods

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.card_facts import CaseFacts
    from core.counter import Moment
    from core.facts import AccountFacts
    from core.media import Carrier
    from core.plans import Plan
    from server.office_lane import Desk
    from server.registry import Registry
    from server.services.card_methods import Context

_Response = TypeVar("_Response", bound=Message)
_STARTS: Final = {
    Paper.FORM: (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"%PDF-"),
    Paper.PHOTO: (b"\xff\xd8\xff",),
    Paper.RECEIPT: (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"%PDF-"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A case with what acts on it look at."""

    case: CaseFacts
    account: AccountFacts
    old: Carrier | None
    new: Carrier | None
    moment: Moment


class CaseMethods(CardMethods):
    """From the lost card to the new one."""

    async def OpenReplacement(
        self, request: pb.OpenReplacementRequest, context: Context
    ) -> pb.OpenReplacementResponse:
        """Open a case; see the proto."""
        account_no = fields.account_no(request.account_no)
        fields.reason(request.reason)
        bound_to = card_acts.classes()

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                papers = card_acts.papers_of(registry, account_no)
                refuse_other_class(papers.account.class_name, bound_to)
                moment = card_acts.moment_at(registry, desk.now_us)
                card = media.carrier_of_card(papers.card, moment.today) if papers.card else None
                return replacement.open_case(
                    papers.account,
                    card,
                    case_no=cases.next_case_no(registry.connection),
                    earlier=papers.case,
                    faulty=request.faulty,
                    moment=moment,
                )

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.OpenReplacementResponse)

    async def AttachDocument(
        self, request: pb.AttachDocumentRequest, context: Context
    ) -> pb.AttachDocumentResponse:
        """Attach a paper; see the proto."""
        paper = fields.choice("paper", request.paper, Paper)
        bound_to = card_acts.classes()
        now_us = self._office.clock.now_us()

        def check(registry: Registry) -> tuple[int, int]:
            account = _account_of_case(registry, request.case_no, bound_to)
            most = values_at(registry.connection, now_us).number("photo_bytes_max")
            return account.number, most

        number, most = await self._office.projector.look(check)
        _check_file(request.content, paper, most)
        address = await asyncio.to_thread(self._office.files.put, number, request.content)

        async def decide(desk: Desk) -> Plan:
            case = await desk.read(lambda r: card_acts.case_of(r, request.case_no))
            return replacement.attach(case, paper, address.hex())

        return await self._office.act(request, decide, response=pb.AttachDocumentResponse)

    async def GetDocument(
        self, request: pb.GetDocumentRequest, context: Context
    ) -> pb.GetDocumentResponse:
        """Read a paper; see the proto."""
        paper = fields.choice("paper", request.paper, Paper)
        bound_to = card_acts.classes()

        def find(registry: Registry) -> tuple[int, str]:
            account = _account_of_case(registry, request.case_no, bound_to)
            file = card_acts.case_of(registry, request.case_no).papers.get(paper)
            if file is None:
                raise missing("document")
            return account.number, file

        number, file = await self._office.projector.look(find)
        content = await asyncio.to_thread(self._office.files.get, number, bytes.fromhex(file))
        if content is None:
            raise missing("document")
        return pb.GetDocumentResponse(content=content)

    async def ConfirmFee(
        self, request: pb.ConfirmFeeRequest, context: Context
    ) -> pb.ConfirmFeeResponse:
        """Confirm a fee; see the proto."""
        receipt_no = fields.receipt_no(request.receipt_no)
        finance = Role.FINANCE in caller().roles

        def rule(registry: Registry, known: _Known) -> Plan:
            receipt = Receipt(
                receipt_no=receipt_no,
                amount_fen=request.amount_fen,
                paid_us=request.paid_time_us,
                used=cases.receipt_used(registry.connection, receipt_no),
            )
            lost_us = known.old.medium.lost_time_us if known.old else 0
            return replacement.confirm_fee(
                known.case, receipt, finance=finance, lost_us=lost_us, moment=known.moment
            )

        return await self._on_case(request, rule, response=pb.ConfirmFeeResponse)

    async def WaiveFee(self, request: pb.WaiveFeeRequest, context: Context) -> pb.WaiveFeeResponse:
        """Propose or approve a waiver; see the proto."""
        fields.reason(request.reason, needed=True)
        actor = caller().actor

        def rule(_: Registry, known: _Known) -> Plan:
            return replacement.waive_fee(known.case, actor)

        return await self._on_case(request, rule, response=pb.WaiveFeeResponse)

    async def RefundFee(
        self, request: pb.RefundFeeRequest, context: Context
    ) -> pb.RefundFeeResponse:
        """Book a fee back; see the proto."""
        fields.reason(request.reason, needed=True)

        def rule(_: Registry, known: _Known) -> Plan:
            return replacement.refund_fee(known.case)

        return await self._on_case(request, rule, response=pb.RefundFeeResponse)

    async def MakeCard(self, request: pb.MakeCardRequest, context: Context) -> pb.MakeCardResponse:
        """Make the new card; see the proto."""
        uid = fields.uid("uid", request.uid)

        def rule(registry: Registry, known: _Known) -> Plan:
            if known.old is None:
                raise missing("card")
            return replacement.make_card(
                known.case,
                known.old,
                uid=uid,
                card_no=cards.next_card_no(registry.connection),
                bound=registry.bound_medium(PHYSICAL_CARD, uid),
                moment=known.moment,
            )

        return await self._on_case(
            request, rule, response=pb.MakeCardResponse, event=CardEvent.REPLACE
        )

    async def FailMake(self, request: pb.FailMakeRequest, context: Context) -> pb.FailMakeResponse:
        """Burn a number; see the proto."""
        fields.reason(request.reason, needed=True)

        def rule(registry: Registry, known: _Known) -> Plan:
            card_no = cards.next_card_no(registry.connection)
            return replacement.fail_make(known.case, card_no=card_no)

        return await self._on_case(request, rule, response=pb.FailMakeResponse)

    async def PickUp(self, request: pb.PickUpRequest, context: Context) -> pb.PickUpResponse:
        """Hand the new card out; see the proto."""
        uid = fields.uid("uid", request.uid)
        fields.reason(request.reason)

        def rule(_: Registry, known: _Known) -> Plan:
            return replacement.pick_up(
                known.case, known.new, known.old, uid=uid, moment=known.moment
            )

        return await self._on_case(
            request, rule, response=pb.PickUpResponse, event=CardEvent.PICK_UP
        )

    async def CancelCase(
        self, request: pb.CancelCaseRequest, context: Context
    ) -> pb.CancelCaseResponse:
        """Give a case up; see the proto."""
        fields.reason(request.reason, needed=True)

        def rule(_: Registry, known: _Known) -> Plan:
            return replacement.cancel(known.case)

        return await self._on_case(request, rule, response=pb.CancelCaseResponse)

    async def GetCase(self, request: pb.GetCaseRequest, context: Context) -> pb.GetCaseResponse:
        """Read a case; see the proto."""
        if bool(request.case_no) == bool(request.account_no):
            raise invalid("case_no", "either case_no or account_no")
        bound_to = card_acts.classes()

        def find(registry: Registry) -> CaseRow:
            if request.case_no:
                case: CaseFacts | None = card_acts.case_of(registry, request.case_no)
            else:
                account_no = fields.account_no(request.account_no)
                case = card_acts.papers_of(registry, account_no).case
            account = registry.account_by_number(case.account_number) if case else None
            if case is None or account is None:
                raise missing("case")
            refuse_other_class(account.class_name, bound_to)
            return CaseRow(
                case=case,
                account_no=account.account_no,
                name=account.name,
                class_name=account.class_name,
            )

        row = await self._office.projector.look(find)
        return pb.GetCaseResponse(
            case=case_message(row),
            legal=[event.name for event in replacement.legal_events(row.case.state)],
        )

    async def ListCases(
        self, request: pb.ListCasesRequest, context: Context
    ) -> pb.ListCasesResponse:
        """List cases; see the proto."""
        state = fields.optional_choice("state", request.state, CaseState)
        classes = self._classes(request.class_name)
        page = self._office.list_page(request)
        found = await self._office.projector.read(
            lambda r: cases.list_cases(
                r.connection, state=state, classes=classes, before=page.number, limit=page.limit
            )
        )
        rows, token = page.cut(found, lambda row: row.case.case_no)
        return pb.ListCasesResponse(
            cases=[case_message(row) for row in rows],
            next_page_token=token,
        )

    async def _on_case(
        self,
        request: Any,
        rule: Callable[[Registry, _Known], Plan],
        *,
        response: type[_Response],
        event: CardEvent | None = None,
    ) -> _Response:
        """Decide an act on one case by a rule; ``event`` may need a supervisor's leave."""
        channel, bound_to = caller().channel, card_acts.classes()

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                account = _account_of_case(registry, request.case_no, bound_to)
                moment = card_acts.moment_at(
                    registry,
                    desk.now_us,
                    channel=channel,
                    event=event,
                    account_number=account.number,
                )
                return rule(registry, _known(registry, request.case_no, account, moment))

            return await desk.read(read)

        return await self._office.act(request, decide, response=response)


def _known(registry: Registry, case_no: int, account: AccountFacts, moment: Moment) -> _Known:
    case, sql = card_acts.case_of(registry, case_no), registry.connection
    old, new = cards.card(sql, case.old_card_no), cards.card(sql, case.new_card_no)
    return _Known(
        case=case,
        account=account,
        old=media.carrier_of_card(old, moment.today) if old else None,
        new=media.carrier_of_card(new, moment.today) if new else None,
        moment=moment,
    )


def _account_of_case(
    registry: Registry, case_no: int, bound_to: frozenset[str] | None
) -> AccountFacts:
    case = card_acts.case_of(registry, case_no)
    account = registry.account_by_number(case.account_number)
    if account is None:
        raise missing("account")
    refuse_other_class(account.class_name, bound_to)
    return account


def _check_file(content: bytes, paper: Paper, most: int) -> None:
    """Check a paper by its content: its beginning says what it is, its name is not asked for."""
    if not 1 <= len(content) <= most:
        raise Refusal("FILE_REFUSED", field="content", detail=f"1 to {most} bytes")
    if not content.startswith(_STARTS[paper]):
        kinds = "JPEG" if paper is Paper.PHOTO else "JPEG, PNG or PDF"
        raise Refusal("FILE_REFUSED", field="content", detail=kinds)
