"""CardOfficeService, the part of sanctions, overrides and notices; rules in ``core/sanctions.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from campuscard.v1 import card_office_service_pb2 as pb
from core import sanctions
from core.counter import refuse_other_class
from core.documents.cards import NoticeAcknowledged
from core.plans import Plan
from core.refusals import illegal, invalid, missing
from server.registers import cases
from server.services import card_acts, fields
from server.services.card_messages import notice_message
from server.services.card_methods import CardMethods

if TYPE_CHECKING:
    from core.media import Carrier
    from server.office_lane import Desk
    from server.registers.cases import NoticeRow
    from server.registry import Registry
    from server.services.card_methods import Context

_PREFIX: Final = "COUNTER_OPERATION_"


class SanctionMethods(CardMethods):
    """Warnings, suspensions, leave to be late, notices."""

    async def Warn(self, request: pb.WarnRequest, context: Context) -> pb.WarnResponse:
        """Warn a holder; see the proto."""
        account_no = fields.account_no(request.account_no)
        fields.reason(request.reason, needed=True)

        async def decide(desk: Desk) -> Plan:
            return sanctions.warn(await desk.read(lambda r: card_acts.account_of(r, account_no)))

        return await self._office.act(request, decide, response=pb.WarnResponse)

    async def Suspend(self, request: pb.SuspendRequest, context: Context) -> pb.SuspendResponse:
        """Suspend an account or a medium; see the proto."""
        account_no, medium = card_acts.account_or_medium(request)
        fields.reason(request.reason, needed=True)
        until_us = request.until_time_us
        if until_us < 0:
            raise invalid("until_time_us", "0 or more")

        async def decide(desk: Desk) -> Plan:
            if medium is None:
                account = await desk.read(lambda r: card_acts.account_of(r, account_no))
                return sanctions.suspend_account(account, until_us=until_us, now_us=desk.now_us)
            carrier = await desk.read(lambda r: _carrier(r, medium, desk.now_us))
            return sanctions.suspend_medium(carrier, until_us=until_us, now_us=desk.now_us)

        return await self._office.act(request, decide, response=pb.SuspendResponse)

    async def Resume(self, request: pb.ResumeRequest, context: Context) -> pb.ResumeResponse:
        """End a suspension; see the proto."""
        account_no, medium = card_acts.account_or_medium(request)
        fields.reason(request.reason, needed=True)

        async def decide(desk: Desk) -> Plan:
            if medium is None:
                return sanctions.resume_account(
                    await desk.read(lambda r: card_acts.account_of(r, account_no))
                )
            return sanctions.resume_medium(
                await desk.read(lambda r: _carrier(r, medium, desk.now_us))
            )

        return await self._office.act(request, decide, response=pb.ResumeResponse)

    async def OverrideHours(
        self, request: pb.OverrideHoursRequest, context: Context
    ) -> pb.OverrideHoursResponse:
        """Let one act pass outside the hours; see the proto."""
        account_no = fields.account_no(request.account_no)
        fields.reason(request.reason, needed=True)
        names = pb.CounterOperation.DESCRIPTOR.values_by_number
        if request.operation == pb.COUNTER_OPERATION_UNSPECIFIED or request.operation not in names:
            raise invalid("operation", "a known operation")
        operation = names[request.operation].name.removeprefix(_PREFIX)

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                account = card_acts.account_of(registry, account_no)
                moment = card_acts.moment_at(registry, desk.now_us)
                return sanctions.override_hours(account, operation, moment)

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.OverrideHoursResponse)

    async def ListNotices(
        self, request: pb.ListNoticesRequest, context: Context
    ) -> pb.ListNoticesResponse:
        """List notices; see the proto."""
        classes = self._classes(request.class_name)
        page = self._office.list_page(request)
        found = await self._office.projector.read(
            lambda r: cases.list_notices(
                r.connection,
                classes=classes,
                unread=request.unread,
                before=page.number,
                limit=page.limit,
            )
        )
        rows, token = page.cut(found, lambda row: row.seq)
        return pb.ListNoticesResponse(
            notices=[notice_message(row) for row in rows],
            next_page_token=token,
        )

    async def AcknowledgeNotice(
        self, request: pb.AcknowledgeNoticeRequest, context: Context
    ) -> pb.AcknowledgeNoticeResponse:
        """Say that a notice was read; see the proto."""
        bound_to = card_acts.classes()
        seq = fields.seq("seq", request.seq)

        async def decide(desk: Desk) -> Plan:
            row: NoticeRow | None = await desk.read(lambda r: cases.notice(r.connection, seq))
            if row is None:
                raise missing("notice")
            refuse_other_class(row.class_name, bound_to)
            document = NoticeAcknowledged(account=row.account_number, notice=row.seq)
            return Plan(document=document, effects=())

        return await self._office.act(request, decide, response=pb.AcknowledgeNoticeResponse)


def _carrier(registry: Registry, medium: tuple[int, bytes], now_us: int) -> Carrier:
    bound = registry.bound_medium(*medium)
    if bound is None:
        raise missing("medium")
    carrier = card_acts.carrier_of(registry, bound, card_acts.moment_at(registry, now_us).today)
    if carrier is None:
        raise illegal(bound.state.name, "SUSPEND", ())
    return carrier
