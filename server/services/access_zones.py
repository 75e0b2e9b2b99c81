"""AccessService, the part of zones and groups; rules in ``core/zones.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import access_service_pb2 as pb
from campuscard.v1.account_service_pb2 import HolderKind as KindMessage
from core import zones
from core.access import Emergency, Passback
from core.holders import HolderKind
from core.merchants import format_etag
from core.refusals import invalid, missing
from core.time_windows import DAYS_MAX, WINDOWS_MAX, Timetable, Window
from core.zones import GATES_MAX, MEMBERS_MAX, NAMES_MAX
from server.registers import access as register
from server.services import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import grpc.aio

    from core.facts import TerminalFacts
    from core.plans import Plan
    from core.zones import GroupFacts, ZoneFacts
    from server.office_lane import Desk
    from server.registry import Registry
    from server.services.office import Office

    Context = grpc.aio.ServicerContext[Any, Any]

NAME_MAX: Final = 64
"""Characters of a name at most."""


class ZoneMethods:
    """Zones, groups, members, emergencies."""

    _office: Office

    async def SetZone(self, request: pb.SetZoneRequest, context: Context) -> pb.SetZoneResponse:
        """Make or change a zone; see the proto."""
        del context
        fields.reason(request.reason)
        sent = request.zone
        if sent.emergency:
            raise invalid("zone.emergency", "unset: use SetEmergency")
        wanted = zones.WantedZone(
            zone=fields.short_name("zone.zone_id", sent.zone_id),
            name=fields.text("zone.name", sent.name, shortest=1, longest=NAME_MAX),
            kind=sent.kind,
            passback=fields.choice("zone.passback", sent.passback, Passback),
            passback_minutes=sent.passback_minutes,
            exits=sent.check_exits,
            etag=sent.etag,
        )
        if len(sent.terminal_ids) > GATES_MAX:
            raise invalid("zone.terminal_ids", f"at most {GATES_MAX}")
        gates = [fields.short_name("zone.terminal_ids", name) for name in sent.terminal_ids]

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                sql = registry.connection
                found = [_terminal(registry, name) for name in gates]
                numbers = [gate.number for gate in found]
                return zones.set_zone(
                    wanted,
                    found,
                    known=register.zone(sql, wanted.zone),
                    others=register.gates_of_others(sql, numbers, wanted.zone),
                )

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.SetZoneResponse)

    async def ListZones(
        self, request: pb.ListZonesRequest, context: Context
    ) -> pb.ListZonesResponse:
        """List zones; see the proto."""
        del context
        page = self._office.list_page(request)
        found = await self._office.projector.read(
            lambda r: register.list_zones(
                r.connection, kind=request.kind, after=page.place, limit=page.limit
            )
        )
        listed, token = page.cut(found, lambda zone: zone.zone)
        return pb.ListZonesResponse(
            zones=[_zone_message(zone) for zone in listed],
            next_page_token=token,
        )

    async def SetEmergency(
        self, request: pb.SetEmergencyRequest, context: Context
    ) -> pb.SetEmergencyResponse:
        """Open or lock a zone; see the proto."""
        del context
        name = fields.short_name("zone_id", request.zone_id)
        mode = fields.choice("mode", request.mode, Emergency)
        fields.reason(request.reason, needed=True)

        async def decide(desk: Desk) -> Plan:
            zone = await desk.read(lambda r: register.zone(r.connection, name))
            if zone is None:
                raise missing("zone")
            return zones.set_emergency(zone, mode)

        return await self._office.act(request, decide, response=pb.SetEmergencyResponse)

    async def SetGroup(self, request: pb.SetGroupRequest, context: Context) -> pb.SetGroupResponse:
        """Make or change a group; see the proto."""
        del context
        fields.reason(request.reason)
        wanted = _wanted_group(request.group)

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                sql = registry.connection
                return zones.set_group(
                    wanted,
                    known=register.group(sql, wanted.group),
                    zones=register.zones_there(sql, wanted.zones),
                )

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.SetGroupResponse)

    async def ListGroups(
        self, request: pb.ListGroupsRequest, context: Context
    ) -> pb.ListGroupsResponse:
        """List groups; see the proto."""
        del context
        page = self._office.list_page(request)
        found = await self._office.projector.read(
            lambda r: register.list_groups(
                r.connection, zone=request.zone_id, after=page.place, limit=page.limit
            )
        )
        listed, token = page.cut(found, lambda group: group.group)
        return pb.ListGroupsResponse(
            groups=[_group_message(group) for group in listed],
            next_page_token=token,
        )

    async def PutMember(
        self, request: pb.PutMemberRequest, context: Context
    ) -> pb.PutMemberResponse:
        """Put accounts into a group; see the proto."""
        del context
        decide = _members(request, zones.put_members)
        return await self._office.act(request, decide, response=pb.PutMemberResponse)

    async def RemoveMember(
        self, request: pb.RemoveMemberRequest, context: Context
    ) -> pb.RemoveMemberResponse:
        """Take accounts out of a group; see the proto."""
        del context
        decide = _members(request, zones.remove_members)
        return await self._office.act(request, decide, response=pb.RemoveMemberResponse)


def _members(request: Any, change: Callable[[GroupFacts, Sequence[int]], Plan]) -> Any:
    """Read a request about members; returns what decides it."""
    fields.reason(request.reason)
    name = fields.short_name("group_id", request.group_id)
    if not 1 <= len(request.account_nos) <= MEMBERS_MAX:
        raise invalid("account_nos", f"1 to {MEMBERS_MAX}")
    account_nos = [fields.account_no(text) for text in request.account_nos]

    async def decide(desk: Desk) -> Plan:
        def read(registry: Registry) -> Plan:
            group = register.group(registry.connection, name)
            if group is None:
                raise missing("group")
            return change(group, [_account(registry, text) for text in account_nos])

        return await desk.read(read)

    return decide


def _account(registry: Registry, account_no: str) -> int:
    account = registry.account(account_no)
    if account is None:
        raise missing("account")
    return account.number


def _terminal(registry: Registry, terminal_id: str) -> TerminalFacts:
    terminal = registry.terminal(terminal_id)
    if terminal is None:
        raise missing("terminal")
    return terminal


def _wanted_group(sent: pb.AccessGroup) -> zones.WantedGroup:
    if len(sent.windows) > WINDOWS_MAX:
        raise invalid("group.windows", f"at most {WINDOWS_MAX}")
    if len(sent.exception_days) > DAYS_MAX:
        raise invalid("group.exception_days", f"at most {DAYS_MAX}")
    if max(len(sent.zone_ids), len(sent.class_names), len(sent.kinds)) > NAMES_MAX:
        raise invalid("group", f"at most {NAMES_MAX} zones, classes or kinds")
    weekly: dict[int, tuple[Window, ...]] = {}
    for each in sent.windows:
        if not 1 <= each.weekday <= 7:
            raise invalid("group.windows.weekday", "1 to 7")
        window = Window(each.start_minute, each.end_minute)
        weekly[each.weekday - 1] = (*weekly.get(each.weekday - 1, ()), window)
    days: dict[int, tuple[Window, ...]] = {}
    for special in sent.exception_days:
        day = fields.bounded("group.exception_days.day", special.day, largest=fields.DAY_MAX)
        if day in days:
            raise invalid("group.exception_days", "each day once")
        days[day] = tuple(Window(w.start_minute, w.end_minute) for w in special.windows)
    return zones.WantedGroup(
        group=fields.short_name("group.group_id", sent.group_id),
        name=fields.text("group.name", sent.name, shortest=1, longest=NAME_MAX),
        zones=tuple(fields.short_name("group.zone_ids", name) for name in sent.zone_ids),
        kinds=tuple(fields.choice("group.kinds", kind, HolderKind) for kind in sent.kinds),
        class_names=_class_names(sent.class_names),
        timetable=Timetable(weekly=weekly, days=days),
        etag=sent.etag,
    )


def _class_names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(fields.text("group.class_names", n, shortest=1, longest=NAME_MAX) for n in names)


def _zone_message(zone: ZoneFacts) -> pb.Zone:
    return pb.Zone(
        zone_id=zone.zone,
        name=zone.name,
        kind=zone.kind,
        terminal_ids=zone.terminals,
        passback=pb.PassbackMode.ValueType(zone.passback),
        passback_minutes=zone.passback_minutes,
        check_exits=zone.exits,
        emergency=pb.EmergencyMode.ValueType(zone.emergency),
        etag=format_etag(zone.changed_seq),
    )


def _group_message(group: GroupFacts) -> pb.AccessGroup:
    table = group.timetable
    return pb.AccessGroup(
        group_id=group.group,
        name=group.name,
        zone_ids=group.zones,
        kinds=[KindMessage.ValueType(kind) for kind in group.kinds],
        class_names=group.class_names,
        windows=[
            pb.WeeklyWindow(weekday=day + 1, start_minute=window.start, end_minute=window.end)
            for day in sorted(table.weekly)
            for window in table.weekly[day]
        ],
        exception_days=[
            pb.ExceptionDay(
                day=day,
                windows=[
                    pb.DayWindow(start_minute=window.start, end_minute=window.end)
                    for window in table.days[day]
                ],
            )
            for day in sorted(table.days)
        ],
        members=group.members,
        etag=format_etag(group.changed_seq),
    )
