"""ParameterService: changes under dual control, categories, the calendar."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import parameter_service_pb2 as pb
from campuscard.v1 import parameter_service_pb2_grpc as pb_grpc
from core import parameter_changes as rules
from core.calendar import MealPeriod
from core.categories import NUMBER_MAX, categories_of
from core.change_subjects import DAY_PREFIX, MEALS, calendar_days, canonical, format_meals
from core.parameter_changes import ProposalState, Wanted
from core.parameters import BY_KEY, PARAMETERS
from core.refusals import invalid, missing
from core.service_hours import hours_of, local_time
from server.identity import acting
from server.registers import parameters
from server.services import fields
from server.services.office import Response
from server.services.parameter_messages import (
    category_message,
    category_of,
    day_message,
    parameter_message,
    proposal_message,
    version_message,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio

    from core.plans import Plan
    from server.office_lane import Desk
    from server.registers.parameters import ProposalRow, VersionRow
    from server.registry import Registry
    from server.services.office import Office
    from server.services.what_if import WhatIf

    Context = grpc.aio.ServicerContext[Any, Any]

KEY_MAX: Final = 64
"""Characters of a key at most."""
VALUE_MAX: Final = 400
CALENDAR_DAYS: Final = 31
CALENDAR_DAYS_MAX: Final = 400
_EPOCH: Final = dt.date(1970, 1, 1)
_US_PER_S: Final = 1_000_000
_VERSIONS_MAX: Final = 1_000


class ParameterService(pb_grpc.ParameterServiceServicer):
    """Changes the rules; who may decide what is in ``core/parameter_changes.py``.

    Args:
        office: what services of papers share.
        what_if: decides past days again.
    """

    def __init__(self, office: Office, what_if: WhatIf) -> None:
        self._office = office
        self._what_if = what_if

    # ---- reading ----

    async def ListParameters(
        self, request: pb.ListParametersRequest, context: Context
    ) -> pb.ListParametersResponse:
        """List parameters; see the proto."""
        del context
        at_us = self._moment(request.at_us)

        def look(registry: Registry) -> pb.ListParametersResponse:
            sql = registry.connection
            values = parameters.values_at(sql, at_us)
            meals = format_meals(registry.meals())
            return pb.ListParametersResponse(
                parameters=[
                    parameter_message(
                        parameter,
                        values,
                        version=_version_at(registry, parameter.key, at_us),
                        following=_following(registry, parameter.key, at_us),
                    )
                    for parameter in PARAMETERS
                ],
                meals=values.approved.get(MEALS, meals),
            )

        return await self._office.projector.look(look, after_seq=self._head())

    async def GetParameter(
        self, request: pb.GetParameterRequest, context: Context
    ) -> pb.GetParameterResponse:
        """Read a key and its versions; see the proto."""
        del context
        key = fields.text("key", request.key, shortest=1, longest=KEY_MAX)
        page = self._office.list_page(request)
        now_us = self._office.clock.now_us()

        def look(
            registry: Registry,
        ) -> tuple[pb.Parameter, list[VersionRow]]:
            sql = registry.connection
            values = parameters.values_at(sql, now_us)
            found = parameters.versions(sql, key, before_version=page.number, limit=page.limit)
            version = _version_at(registry, key, now_us)
            if key in BY_KEY:
                following = _following(registry, key, now_us)
                shown = parameter_message(BY_KEY[key], values, version=version, following=following)
            else:
                shown = pb.Parameter(key=key, value=values.approved.get(key, ""), version=version)
            return shown, found

        shown, found = await self._office.projector.look(look, after_seq=self._head())
        if key not in BY_KEY and not found and not page.number:
            raise missing("parameter")
        rows, token = page.cut(found, lambda row: row.change.version)
        return pb.GetParameterResponse(
            parameter=shown,
            versions=[version_message(row) for row in rows],
            next_page_token=token,
        )

    async def ListProposals(
        self, request: pb.ListProposalsRequest, context: Context
    ) -> pb.ListProposalsResponse:
        """List proposals; see the proto."""
        del context
        state = fields.optional_choice("state", request.state, ProposalState) or 0
        page = self._office.list_page(request)
        found = await self._office.projector.look(
            lambda r: parameters.proposals(
                r.connection, state=state, before=page.number, limit=page.limit
            )
        )
        rows, token = page.cut(found, lambda row: row.number)
        return pb.ListProposalsResponse(
            proposals=[proposal_message(row) for row in rows],
            next_page_token=token,
        )

    async def ListCategories(
        self, request: pb.ListCategoriesRequest, context: Context
    ) -> pb.ListCategoriesResponse:
        """List categories; see the proto."""
        del context
        at_us = self._moment(request.at_us)
        values = await self._office.projector.look(
            lambda r: parameters.values_at(r.connection, at_us)
        )
        found = categories_of(values).values()
        return pb.ListCategoriesResponse(categories=[category_message(c) for c in found])

    async def GetCalendar(
        self, request: pb.GetCalendarRequest, context: Context
    ) -> pb.GetCalendarResponse:
        """Read the hours of the counter; see the proto."""
        del context
        count = request.days or CALENDAR_DAYS
        if not 1 <= count <= CALENDAR_DAYS_MAX:
            raise invalid("days", f"1 to {CALENDAR_DAYS_MAX}")
        now_us = self._office.clock.now_us()
        values, offset_s = await self._office.projector.look(
            lambda r: (
                parameters.values_at(r.connection, now_us),
                r.rules().utc_offset_seconds,
            )
        )
        today = local_time(now_us, offset_s).date()
        first = fields.date("from_date", request.from_date) if request.from_date else today
        special = calendar_days(values)
        days = []
        for ahead in range(count):
            try:
                day = first + dt.timedelta(days=ahead)
            except OverflowError:
                break
            days.append(day_message(day, hours_of(values, special, day), exception=day in special))
        return pb.GetCalendarResponse(days=days)

    async def WhatIf(
        self, request: pb.WhatIfRequest, context: Context
    ) -> AsyncIterator[pb.WhatIfResponse]:
        """Decide past days again; see the proto."""
        del context
        async for response in self._what_if.run(request):
            yield response

    # ---- proposing ----

    async def ProposeChange(
        self, request: pb.ProposeChangeRequest, context: Context
    ) -> pb.ProposeChangeResponse:
        """Propose a value; see the proto."""
        del context
        key = fields.text("key", request.key, shortest=1, longest=KEY_MAX)
        return await self._propose(request, key, request.value, pb.ProposeChangeResponse)

    async def ProposeMeals(
        self, request: pb.ProposeMealsRequest, context: Context
    ) -> pb.ProposeMealsResponse:
        """Propose the meal periods; see the proto."""
        del context
        periods = tuple(
            MealPeriod(
                _meal_name(f"periods[{index}].name", period.name),
                fields.bounded(f"periods[{index}].start_minute", period.start_minute, largest=1439),
                fields.bounded(f"periods[{index}].end_minute", period.end_minute, largest=1439),
            )
            for index, period in enumerate(request.periods)
        )
        return await self._propose(request, MEALS, format_meals(periods), pb.ProposeMealsResponse)

    async def ProposeCategory(
        self, request: pb.ProposeCategoryRequest, context: Context
    ) -> pb.ProposeCategoryResponse:
        """Propose a category; see the proto."""
        del context
        category = category_of(request.category)
        if not 1 <= category.number <= NUMBER_MAX:
            raise invalid("category.number", f"1 to {NUMBER_MAX}")
        return await self._propose(
            request, category.key, category.text(), pb.ProposeCategoryResponse
        )

    async def ProposeCalendarDay(
        self, request: pb.ProposeCalendarDayRequest, context: Context
    ) -> pb.ProposeCalendarDayResponse:
        """Propose a day of the calendar; see the proto."""
        del context
        key = DAY_PREFIX + fields.date("date", request.date).isoformat()
        return await self._propose(request, key, request.hours, pb.ProposeCalendarDayResponse)

    async def _propose(
        self, request: Any, key: str, value: str, response: type[Response]
    ) -> Response:
        fields.reason(request.reason, needed=True)
        canonical(key, value)

        async def decide(desk: Desk) -> Plan:
            approved, waiting, offset_s = await desk.read(
                lambda r: (
                    parameters.changes(r.connection),
                    parameters.open_count(r.connection),
                    r.rules().utc_offset_seconds,
                )
            )
            wanted = Wanted(key=key, value=value, effective_us=_effective_us(request, offset_s))
            return rules.propose(wanted, now_us=desk.now_us, approved=approved, waiting=waiting)

        return await self._office.act(request, decide, response=response)

    async def ProposeCancellation(
        self, request: pb.ProposeCancellationRequest, context: Context
    ) -> pb.ProposeCancellationResponse:
        """Propose to cancel an approved change; see the proto."""
        del context
        fields.reason(request.reason, needed=True)
        number = fields.seq("change", request.change)

        async def decide(desk: Desk) -> Plan:
            change, waiting = await desk.read(
                lambda r: (
                    parameters.change(r.connection, number),
                    parameters.open_count(r.connection),
                )
            )
            if change is None:
                raise missing("change")
            return rules.propose_cancellation(change, now_us=desk.now_us, waiting=waiting)

        return await self._office.act(request, decide, response=pb.ProposeCancellationResponse)

    # ---- deciding ----

    async def ApproveChange(
        self, request: pb.ApproveChangeRequest, context: Context
    ) -> pb.ApproveChangeResponse:
        """Approve somebody else's proposal; see the proto."""
        del context
        fields.reason(request.reason)
        number = fields.seq("proposal", request.proposal)
        approver = acting().actor

        async def decide(desk: Desk) -> Plan:
            proposal = await _proposal(desk, number)
            approved, last_version = await desk.read(
                lambda r: (
                    parameters.changes(r.connection),
                    parameters.last_version(r.connection, proposal.key),
                )
            )
            return rules.approve(
                proposal.facts(),
                approver=approver,
                now_us=desk.now_us,
                approved=approved,
                last_version=last_version,
            )

        return await self._office.act(request, decide, response=pb.ApproveChangeResponse)

    async def RejectChange(
        self, request: pb.RejectChangeRequest, context: Context
    ) -> pb.RejectChangeResponse:
        """Refuse a proposal; see the proto."""
        del context
        fields.reason(request.reason, needed=True)
        number = fields.seq("proposal", request.proposal)

        async def decide(desk: Desk) -> Plan:
            return rules.reject((await _proposal(desk, number)).facts())

        return await self._office.act(request, decide, response=pb.RejectChangeResponse)

    async def WithdrawChange(
        self, request: pb.WithdrawChangeRequest, context: Context
    ) -> pb.WithdrawChangeResponse:
        """Take back one's own proposal; see the proto."""
        del context
        fields.reason(request.reason)
        number = fields.seq("proposal", request.proposal)
        actor = acting().actor

        async def decide(desk: Desk) -> Plan:
            return rules.withdraw((await _proposal(desk, number)).facts(), actor=actor)

        return await self._office.act(request, decide, response=pb.WithdrawChangeResponse)

    def _moment(self, at_us: int) -> int:
        if at_us < 0:
            raise invalid("at_us", "not below 0")
        return at_us or self._office.clock.now_us()

    def _head(self) -> int:
        """What has taken effect by itself is no act: the registry must have seen it."""
        head: int = self._office.engine.head()["acknowledged_seq"]
        return head


def _version_at(registry: Registry, key: str, at_us: int) -> int:
    row = registry.connection.execute(
        "SELECT version FROM parameter_versions WHERE key = ? AND effective_us <= ?"
        " AND cancelled_seq = 0 ORDER BY effective_us DESC, version DESC LIMIT 1",
        (key, at_us),
    ).fetchone()
    return 0 if row is None else int(row[0])


def _following(registry: Registry, key: str, at_us: int) -> VersionRow | None:
    """Return the change of a key that takes effect next after a moment."""
    row = registry.connection.execute(
        "SELECT version FROM parameter_versions WHERE key = ? AND effective_us > ?"
        " AND cancelled_seq = 0 ORDER BY effective_us, version DESC LIMIT 1",
        (key, at_us),
    ).fetchone()
    if row is None:
        return None
    sql = registry.connection
    return parameters.versions(sql, key, before_version=int(row[0]) + 1, limit=1)[0]


def _effective_us(request: Any, offset_s: int) -> int:
    """Read from when on a change is in force; 0: from its approval on."""
    names = request.DESCRIPTOR.fields_by_name
    if "effective_us" not in names:
        return 0
    effective_us: int = request.effective_us
    if not request.effective_date:
        if effective_us < 0:
            raise invalid("effective_us", "not below 0")
        return effective_us
    if effective_us:
        raise invalid("effective_date", "either a date or a moment")
    day = fields.date("effective_date", request.effective_date)
    return ((day - _EPOCH).days * 86_400 - offset_s) * _US_PER_S


def _meal_name(field: str, name: str) -> str:
    if "," in name:
        raise invalid(field, "without commas")
    return fields.text(field, name, shortest=1, longest=16)


async def _proposal(desk: Desk, number: int) -> ProposalRow:
    found = await desk.read(lambda r: parameters.proposal(r.connection, number))
    if found is None:
        raise missing("proposal")
    return found
