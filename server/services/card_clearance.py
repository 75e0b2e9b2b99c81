"""CardOfficeService, the part of leaving; the rules are in ``core/clearance.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from campuscard.v1 import card_office_service_pb2 as pb
from core import clearance, issuing, media
from core.cards import CardEvent
from core.clearance import Clearance, ReturnItem
from core.counter import admit, refuse_other_class
from core.fees import Receipt
from core.refusals import Refusal, missing
from server.certificates import qr_codes
from server.identity import caller
from server.registers import cards, cases
from server.registers.parameters import values_at
from server.services import card_acts, fields
from server.services.card_messages import item_results, refuse_item
from server.services.card_methods import CardMethods
from server.services.office import act_message, answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.counter import Moment
    from core.facts import AccountFacts
    from core.plans import Plan
    from ext.engine import AccountReply
    from server.office_lane import Desk
    from server.registers.cases import CertificateRow
    from server.registry import Registry
    from server.services.card_methods import Context

_DAY_US = 86_400_000_000


class ClearanceMethods(CardMethods):
    """Cards given back, compensation, clearance, certificates, refunds."""

    async def ReturnCard(
        self, request: pb.ReturnCardRequest, context: Context
    ) -> pb.ReturnCardResponse:
        """Take one card back; see the proto."""
        account_no, uid = fields.account_no(request.account_no), fields.uid("uid", request.uid)
        channel = caller().channel

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                account = card_acts.account_of(registry, account_no)
                moment = _return_moment(registry, desk.now_us, channel, account.number)
                card = card_acts.card_behind(registry, uid, moment.today)
                foreign = card is not None and card.medium.account_number != account.number
                return clearance.return_card(card, foreign=foreign, moment=moment)

            return await desk.read(read)

        given = await self._office.part(request, 0, decide)
        (item,) = given.request.facts["results"]
        return pb.ReturnCardResponse(act=act_message(given), card_no=item["card_no"])

    async def ReturnCards(
        self, request: pb.ReturnCardsRequest, context: Context
    ) -> pb.ReturnCardsResponse:
        """Take a class's cards back; see the proto."""
        class_name = fields.text("class_name", request.class_name, shortest=1, longest=64)
        uids = [fields.uid("uids", uid) for uid in card_acts.some("uids", request.uids)]
        if request.dry_run:
            return await self._judge_return(class_name, uids)
        found, part = list[Any](), 0
        for part, some in card_acts.parts(list(enumerate(uids)), issuing.PART):
            given = await self._office.part(request, part, self._return_part(class_name, some))
            found += given.request.facts["results"]
        results = item_results(found)
        returned = sum(not result.reason for result in results)

        async def decide(desk: Desk) -> Plan:
            out = await desk.read(
                lambda r: cards.still_out(r.connection, class_name, limit=clearance.MISSING_MAX)
            )
            return clearance.list_return(returned, [number for number, _ in out])

        listed = await self._office.part(request, part + 1, decide)
        response = answer(listed, pb.ReturnCardsResponse)
        response.results.extend(results)
        return response

    def _return_part(self, class_name: str, some: Sequence[tuple[int, bytes]]) -> Any:
        channel = caller().channel

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                moment = _return_moment(registry, desk.now_us, channel, 0)
                items = [
                    _return_item(registry, class_name, *item, today=moment.today) for item in some
                ]
                return clearance.return_cards(items, moment)

            return await desk.read(read)

        return decide

    async def _judge_return(self, class_name: str, uids: Sequence[bytes]) -> pb.ReturnCardsResponse:
        channel = caller().channel

        def read(registry: Registry) -> pb.ReturnCardsResponse:
            moment = _return_moment(registry, self._office.clock.now_us(), channel, 0)
            admit(CardEvent.RETURN, moment)
            today, seen = moment.today, set[int]()
            response = pb.ReturnCardsResponse()
            taken = set[int]()
            for index, uid in enumerate(uids):
                item = _return_item(registry, class_name, index, uid, today=today)
                result = card_acts.item_of(registry, index, item.card)
                try:
                    seen.add(clearance.judge_return(item, seen).row)
                    taken.add(item.card.medium.account_number if item.card else 0)
                    result.state = pb.CARD_STATE_RETURNED
                except Refusal as refusal:
                    refuse_item(result, refusal)
                response.results.append(result)
            out = cards.still_out(registry.connection, class_name, limit=clearance.MISSING_MAX)
            response.missing.extend(no for number, no in out if number not in taken)
            response.returned = len(seen)
            return response

        return await self._office.projector.read(read)

    async def Compensate(
        self, request: pb.CompensateRequest, context: Context
    ) -> pb.CompensateResponse:
        """Take the fee for a lost card; see the proto."""
        account_no = fields.account_no(request.account_no)
        receipt_no = fields.receipt_no(request.receipt_no)

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                papers = card_acts.papers_of(registry, account_no)
                moment = card_acts.moment_at(registry, desk.now_us)
                receipt = Receipt(
                    receipt_no=receipt_no,
                    amount_fen=request.amount_fen,
                    paid_us=request.paid_time_us,
                    used=cases.receipt_used(registry.connection, receipt_no),
                )
                waits = papers.case is not None and papers.case.open and not papers.case.made
                return clearance.compensate(
                    media.carrier_of_card(papers.card, moment.today) if papers.card else None,
                    receipt,
                    open_case=papers.case.case_no if papers.case and waits else 0,
                    moment=moment,
                )

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.CompensateResponse)

    async def GetClearance(
        self, request: pb.GetClearanceRequest, context: Context
    ) -> pb.GetClearanceResponse:
        """Say whether a holder may leave; see the proto."""
        account_no = fields.account_no(request.account_no)
        bound_to = card_acts.classes()
        now_us = self._office.clock.now_us()

        def find(registry: Registry) -> tuple[AccountFacts, CertificateRow | None]:
            account = card_acts.account_of(registry, account_no)
            refuse_other_class(account.class_name, bound_to)
            return account, cases.certificate_in_force(registry.connection, account.number)

        account, certificate = await self._office.projector.look(find)
        money = await self._office.wallets(account.number)
        found = await self._office.projector.look(lambda r: _clearance(r, money, now_us))
        return pb.GetClearanceResponse(
            account_no=account_no,
            cleared=not found.reasons,
            reasons=found.reasons,
            debt_fen=found.debt_fen,
            refund_fen=found.refund_fen,
            refund_from_us=found.refund_from_us,
            certificate_no=certificate.certificate_no if certificate else 0,
            transfer_seq=found.transfer_seq,
        )

    async def IssueCertificate(
        self, request: pb.IssueCertificateRequest, context: Context
    ) -> pb.IssueCertificateResponse:
        """Issue a certificate; see the proto."""
        account_no = fields.account_no(request.account_no)

        async def decide(desk: Desk) -> Plan:
            account = await desk.read(lambda r: card_acts.account_of(r, account_no))
            money = await desk.wallets(account.number)

            def read(registry: Registry) -> tuple[Clearance, int]:
                found = _clearance(registry, money, desk.now_us)
                return found, cases.next_certificate_no(registry.connection)

            found, number = await desk.read(read)
            return clearance.certify(
                account,
                found,
                certificate_no=number,
                time_us=desk.now_us,
                sign=self._signer.sign,
            )

        return await self._office.act(request, decide, response=pb.IssueCertificateResponse)

    async def GetCertificate(
        self, request: pb.GetCertificateRequest, context: Context
    ) -> pb.GetCertificateResponse:
        """Read a certificate; see the proto."""
        bound_to = card_acts.classes()

        def find(registry: Registry) -> CertificateRow:
            row = _certificate(registry, request.certificate_no)
            account = registry.account_by_number(row.account_number)
            refuse_other_class(account.class_name if account else "", bound_to)
            return row

        row = await self._office.projector.look(find)
        svg, png = qr_codes(row.certificate)
        return pb.GetCertificateResponse(
            certificate=row.certificate,
            account_no=row.account_no,
            qr_svg=svg,
            qr_png=png,
            revoked_time_us=row.revoked_us,
        )

    async def RevokeCertificate(
        self, request: pb.RevokeCertificateRequest, context: Context
    ) -> pb.RevokeCertificateResponse:
        """Revoke a certificate; see the proto."""

        async def decide(desk: Desk) -> Plan:
            row = await desk.read(lambda r: _certificate(r, request.certificate_no))
            return clearance.revoke(
                row.account_number, row.certificate_no, revoked=row.revoked_us != 0
            )

        return await self._office.act(request, decide, response=pb.RevokeCertificateResponse)

    async def GetClearanceKey(
        self, request: pb.GetClearanceKeyRequest, context: Context
    ) -> pb.GetClearanceKeyResponse:
        """Read the public key; see the proto."""
        revoked = await self._office.projector.look(lambda r: cases.revoked(r.connection))
        return pb.GetClearanceKeyResponse(
            public_key=self._signer.public_key,
            revoked=revoked,
            time_us=self._office.clock.now_us(),
        )

    async def ListRefunds(
        self, request: pb.ListRefundsRequest, context: Context
    ) -> pb.ListRefundsResponse:
        """List balances to pay out; see the proto."""
        page = self._office.list_page(request)
        now_us = self._office.clock.now_us()

        def read(registry: Registry) -> list[tuple[int, str, str, int]]:
            wait = values_at(registry.connection, now_us).number("refund_wait_days")
            return cards.leavers(
                registry.connection,
                until_us=now_us - wait * _DAY_US,
                class_name=request.class_name,
                after=page.number,
                limit=page.limit,
            )

        found = await self._office.projector.read(read)
        rows, token = page.cut(found, lambda row: row[0])
        response = pb.ListRefundsResponse(next_page_token=token)
        for number, account_no, name, left_us in rows:
            money = await self._office.wallets(number)
            fen = money["online_fen"]
            if fen > 0 and not money["water_hold_seq"]:
                response.refunds.add(
                    account_no=account_no, name=name, amount_fen=fen, returned_time_us=left_us
                )
                response.total_fen += fen
        return response


def _return_moment(registry: Registry, now_us: int, channel: str, account_number: int) -> Moment:
    return card_acts.moment_at(
        registry,
        now_us,
        channel=channel,
        event=CardEvent.RETURN,
        account_number=account_number,
    )


def _return_item(
    registry: Registry, class_name: str, index: int, uid: bytes, *, today: int
) -> ReturnItem:
    card = card_acts.card_behind(registry, uid, today)
    if card is None:
        return ReturnItem(index=index, card=None)
    holder = registry.account_by_number(card.medium.account_number)
    foreign = holder is None or holder.class_name != class_name
    return ReturnItem(index=index, card=card, foreign=foreign)


def _clearance(registry: Registry, money: AccountReply, now_us: int) -> Clearance:
    sql, number = registry.connection, money["account"]
    return clearance.clearance(
        has_card=cards.live_card(sql, number) is not None,
        online_fen=money["online_fen"],
        transfer_seq=money["water_hold_seq"],
        left_us=cards.left_us(sql, number),
        wait_days=values_at(sql, now_us).number("refund_wait_days"),
    )


def _certificate(registry: Registry, certificate_no: int) -> CertificateRow:
    row = cases.certificate(registry.connection, certificate_no)
    if row is None:
        raise missing("certificate")
    return row
