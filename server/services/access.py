"""AccessService: the door of gates. Rules in ``core/access.py``, ``core/zones.py``, ``core/faces.py``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from campuscard.v1 import access_service_pb2 as pb
from campuscard.v1 import access_service_pb2_grpc as pb_grpc
from campuscard.v1.terminal_service_pb2 import Medium, MediumType
from core.access import Direction, account_fault, carrier_fault
from core.access import MediumType as Kind
from core.calendar import day_key
from core.catalogue import BY_NUMBER
from core.documents.access import CarrierPresented
from core.plans import Plan
from core.refusals import Refusal, invalid, missing
from core.rows import ServiceStatus
from server.identity import acting, caller
from server.registers import passes
from server.registers.parameters import values_at
from server.services import fields
from server.services.access_faces import FaceMethods
from server.services.access_zones import ZoneMethods
from server.services.carriers import Carriers, resolve
from server.services.office import act_message, compared_body
from server.services.passages import Asked, Passages

if TYPE_CHECKING:
    from typing import Any

    import grpc.aio

    from server.office_lane import ActAnswer, Desk
    from server.registers.passes import PassRow
    from server.registry import Registry
    from server.services.carriers import Presented
    from server.services.office import Office

    Context = grpc.aio.ServicerContext[Any, Any]

_DAY_US = 86_400 * 1_000_000


class AccessService(ZoneMethods, FaceMethods, pb_grpc.AccessServiceServicer):
    """Decides at gates and keeps zones, groups and faces.

    Args:
        office: what services of papers share.
    """

    def __init__(self, office: Office) -> None:
        self._office = office
        self._carriers = Carriers(office.keys)
        self._passages = Passages(office)

    async def CheckAccess(
        self, request: pb.CheckAccessRequest, context: Context
    ) -> pb.CheckAccessResponse:
        """Decide a passage; see the proto."""
        del context
        asked = Asked(
            request_id=fields.request_id(request.request_id),
            body=compared_body(request),
            terminal_id=fields.short_name("terminal_id", request.terminal_id),
            presented=self._carriers.read(request.carrier),
            direction=fields.choice("direction", request.direction, Direction),
            by=acting(),
            actor=caller().number,
            future=asyncio.get_running_loop().create_future(),
        )
        given = await self._passages.decide(asked)
        facts = given.request.facts
        reason = BY_NUMBER[facts["reason"]]
        return pb.CheckAccessResponse(
            act=act_message(given),
            granted=facts["granted"],
            reason=reason.name,
            text_zh="请通行" if reason.number == 0 else reason.zh,
            text_en="Pass" if reason.number == 0 else reason.en,
            clause=reason.clause,
            zone_id=facts["zone"],
        )

    async def PresentCarrier(
        self, request: pb.PresentCarrierRequest, context: Context
    ) -> pb.PresentCarrierResponse:
        """Turn a QR or a face into a medium to pay with; see the proto."""
        del context
        terminal_id = fields.short_name("terminal_id", request.terminal_id)
        presented = self._carriers.read(request.carrier)
        if presented.type not in {Kind.MOBILE_QR, Kind.FACE}:
            raise invalid("carrier", "a qr or a face_token; other media pay by themselves")

        async def decide(desk: Desk) -> Plan:
            return await desk.read(lambda r: _present(r, terminal_id, presented, desk.now_us))

        given = await self._office.decide(
            request.DESCRIPTOR.full_name,
            fields.request_id(request.request_id),
            compared_body(request),
            decide,
        )
        return await self._presented(given)

    async def _presented(self, given: ActAnswer) -> pb.PresentCarrierResponse:
        number = given.request.facts["medium"]
        medium = await self._office.projector.look(
            lambda r: passes.medium_by_number(r.connection, number)
        )
        if medium is None or not medium.token:
            raise Refusal("CARD_UNKNOWN")
        return pb.PresentCarrierResponse(
            act=act_message(given),
            medium=Medium(type=MediumType.ValueType(medium.type), token=medium.token),
        )

    async def ListPasses(
        self, request: pb.ListPassesRequest, context: Context
    ) -> pb.ListPassesResponse:
        """List decisions at gates; see the proto."""
        del context
        if not request.account_no and not request.zone_id:
            raise invalid("account_no", "account_no or zone_id")
        account_no = fields.account_no(request.account_no) if request.account_no else ""
        zone = fields.short_name("zone_id", request.zone_id) if request.zone_id else ""
        page = self._office.list_page(request)
        now_us = self._office.clock.now_us()

        def look(registry: Registry) -> list[PassRow]:
            number = 0
            if account_no:
                account = registry.account(account_no)
                if account is None:
                    raise missing("account")
                number = account.number
            sql = registry.connection
            kept_us = values_at(sql, now_us).number("passage_days") * _DAY_US
            return passes.list_passes(
                sql,
                account=number,
                zone=zone,
                refused=request.refused,
                since_us=now_us - kept_us,
                before=page.number,
                limit=page.limit,
            )

        found = await self._office.projector.read(look)
        rows, token = page.cut(found, lambda row: row.seq)
        return pb.ListPassesResponse(
            passes=[_pass_message(row) for row in rows],
            next_page_token=token,
        )


def _present(registry: Registry, terminal_id: str, presented: Presented, now_us: int) -> Plan:
    till = registry.terminal(terminal_id)
    if till is None:
        raise missing("terminal")
    if till.status is not ServiceStatus.IN_SERVICE:
        raise Refusal("TERMINAL_SUSPENDED")
    resolved = resolve(registry, presented, now_us=now_us)
    today = day_key(now_us, registry.rules().utc_offset_seconds)
    fault = carrier_fault(resolved.shown, today)
    account = registry.account_by_number(resolved.account)
    if not fault:
        fault = account_fault(account.status) if account else "CARD_UNKNOWN"
    if fault:
        raise Refusal(fault)
    document = CarrierPresented(
        terminal=till.number,
        account=resolved.account,
        medium=resolved.medium,
        medium_type=resolved.type,
        nonce=resolved.nonce,
    )
    return Plan(document=document, effects=())


def _pass_message(row: PassRow) -> pb.Pass:
    return pb.Pass(
        seq=row.seq,
        time_us=row.time_us,
        terminal_id=row.terminal_id,
        zone_id=row.zone,
        direction=pb.PassDirection.ValueType(row.direction),
        account_no=row.account_no,
        medium_type=MediumType.ValueType(row.medium_type),
        granted=row.granted,
        reason=BY_NUMBER[row.reason].name,
    )
