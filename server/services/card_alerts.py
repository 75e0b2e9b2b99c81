"""CardOfficeService, the part of alerts; rules in ``core/alerts.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campuscard.v1 import card_office_service_pb2 as pb
from core import alerts as rules
from core.refusals import missing
from server.registers import alerts
from server.services import card_acts, fields
from server.services.card_messages import alert_message
from server.services.card_methods import CardMethods

if TYPE_CHECKING:
    from core.plans import Plan
    from server.office_lane import Desk
    from server.registers.alerts import AlertRow
    from server.registry import Registry
    from server.services.card_methods import Context


class AlertMethods(CardMethods):
    """What taps gave cause for concern, and what was found."""

    async def ListAlerts(
        self, request: pb.ListAlertsRequest, context: Context
    ) -> pb.ListAlertsResponse:
        """List alerts; see the proto."""
        account_no = fields.account_no(request.account_no) if request.account_no else ""
        page = self._office.list_page(request)

        def read(registry: Registry) -> list[AlertRow]:
            number = card_acts.account_of(registry, account_no).number if account_no else 0
            return alerts.list_alerts(
                registry.connection,
                only_open=request.open,
                account_number=number,
                before=page.number,
                limit=page.limit,
            )

        found = await self._office.projector.read(read)
        rows, token = page.cut(found, lambda row: row.seq)
        return pb.ListAlertsResponse(
            alerts=[alert_message(row) for row in rows],
            next_page_token=token,
        )

    async def AcknowledgeAlert(
        self, request: pb.AcknowledgeAlertRequest, context: Context
    ) -> pb.AcknowledgeAlertResponse:
        """Close an alert; see the proto."""
        seq = fields.seq("seq", request.seq)
        fields.reason(request.reason, needed=True)

        async def decide(desk: Desk) -> Plan:
            alert = await desk.read(lambda r: alerts.alert(r.connection, seq))
            if alert is None:
                raise missing("alert")
            return rules.acknowledge(alert)

        return await self._office.act(request, decide, response=pb.AcknowledgeAlertResponse)
