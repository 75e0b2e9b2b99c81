"""StaffService: members, roles, sessions, the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import staff_service_pb2 as pb
from core import staff as rules
from core.catalogue import BY_NUMBER
from core.documents import KINDS
from core.documents import staff as documents
from core.permissions import Role
from core.plans import Plan
from core.refusals import invalid, missing
from core.staff import Grant, OneTime, StaffFacts
from server.identity import caller
from server.registers import acts as acts_register
from server.registers import staff as register
from server.registers.parameters import values_at
from server.services import fields
from server.services.office import Response
from server.services.sign_in import CHANNELS, SignInMethods
from server.staff_secrets import new_one_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.parameters import Values
    from server.office_lane import Desk
    from server.registers.acts import ActFacts
    from server.registry import Registry
    from server.services.sign_in import Context
    from server.sessions import Session

GRANTS_MAX: Final = 16
"""Roles a member is created with at most."""
REASON_MAX: Final = 200
_HOUR_US: Final = 3_600_000_000
_CHANNEL_NUMBERS: Final = {channel.value: number for number, channel in CHANNELS.items()}


class StaffService(SignInMethods):
    """Keeps who staff are; the rules are in ``core/staff.py``."""

    async def CreateStaff(
        self, request: pb.CreateStaffRequest, context: Context
    ) -> pb.CreateStaffResponse:
        """Enter a member; see the proto."""
        del context
        name = _name(request.name)
        _check_reason(request.reason)
        if len(request.grants) > GRANTS_MAX:
            raise invalid("grants", f"at most {GRANTS_MAX}")
        grants = tuple(rules.read_grant(grant.role, grant.scope) for grant in request.grants)
        secret, one_time = await self._one_time()

        async def decide(desk: Desk) -> Plan:
            for grant in grants:
                await _check_scope(desk, grant)
            known, number = await desk.read(
                lambda r: (register.member(r.connection, name), register.next_number(r.connection))
            )
            return rules.create(name, grants, one_time, known=known, number=number)

        response = await self._office.act(request, decide, response=pb.CreateStaffResponse)
        response.one_time_secret = "" if response.act.replayed else secret
        return response

    async def ListStaff(
        self, request: pb.ListStaffRequest, context: Context
    ) -> pb.ListStaffResponse:
        """List members; see the proto."""
        del context
        if request.role and request.role not in Role.__members__:
            raise invalid("role", "a role")
        page = self._office.list_page(request)
        found = await self._office.projector.read(
            lambda r: register.members(
                r.connection, role=request.role, after=page.place, limit=page.limit
            )
        )
        members, token = page.cut(found, lambda member: member.name)
        return pb.ListStaffResponse(
            staff=[_message(member) for member in members],
            next_page_token=token,
        )

    async def GetStaff(self, request: pb.GetStaffRequest, context: Context) -> pb.GetStaffResponse:
        """Read a member; see the proto."""
        del context
        return pb.GetStaffResponse(staff=_message(await self._named(request.name)))

    async def GrantRole(
        self, request: pb.GrantRoleRequest, context: Context
    ) -> pb.GrantRoleResponse:
        """Give a role; see the proto."""
        del context
        grant = rules.read_grant(request.grant.role, request.grant.scope)
        actor = caller().actor

        async def plan(desk: Desk, member: StaffFacts) -> Plan:
            await _check_scope(desk, grant)
            return rules.grant_role(member, grant, actor=actor)

        return await self._change(request, plan, pb.GrantRoleResponse)

    async def RevokeRole(
        self, request: pb.RevokeRoleRequest, context: Context
    ) -> pb.RevokeRoleResponse:
        """Take a role back; see the proto."""
        del context
        grant = rules.read_grant(request.grant.role, request.grant.scope)
        actor = caller().actor

        async def plan(desk: Desk, member: StaffFacts) -> Plan:
            others = await _other_admins(desk, member)
            return rules.revoke_role(member, grant, actor=actor, other_admins=others)

        return await self._change(request, plan, pb.RevokeRoleResponse)

    async def DisableStaff(
        self, request: pb.DisableStaffRequest, context: Context
    ) -> pb.DisableStaffResponse:
        """Keep a member out; see the proto."""
        del context
        actor = caller().actor

        async def plan(desk: Desk, member: StaffFacts) -> Plan:
            others = await _other_admins(desk, member)
            return rules.disable(member, actor=actor, other_admins=others)

        return await self._change(request, plan, pb.DisableStaffResponse)

    async def EnableStaff(
        self, request: pb.EnableStaffRequest, context: Context
    ) -> pb.EnableStaffResponse:
        """Let a member in again; see the proto."""
        del context
        actor = caller().actor

        async def plan(_: Desk, member: StaffFacts) -> Plan:
            return rules.enable(member, actor=actor)

        return await self._change(request, plan, pb.EnableStaffResponse)

    async def ResetStaff(
        self, request: pb.ResetStaffRequest, context: Context
    ) -> pb.ResetStaffResponse:
        """Give a member a new beginning; see the proto."""
        del context
        actor = caller().actor
        secret, one_time = await self._one_time()

        async def plan(_: Desk, member: StaffFacts) -> Plan:
            return rules.reset(member, one_time, actor=actor)

        response = await self._change(request, plan, pb.ResetStaffResponse)
        response.one_time_secret = "" if response.act.replayed else secret
        return response

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: Context
    ) -> pb.ListSessionsResponse:
        """List a member's sessions; see the proto."""
        del context
        member = await self._named(request.name)
        sessions = self._sessions.of(member.actor)
        return pb.ListSessionsResponse(sessions=[_session_message(s) for s in sessions])

    async def RevokeSessions(
        self, request: pb.RevokeSessionsRequest, context: Context
    ) -> pb.RevokeSessionsResponse:
        """End a member's sessions; see the proto."""
        del context
        name = _name(request.name)
        _check_reason(request.reason)
        session = fields.text("session", request.session, longest=16)

        async def decide(desk: Desk) -> Plan:
            member = await _member(desk, name)
            document = documents.StaffSessionsRevoked(staff=member.number, session=session)
            return Plan(document=document, effects=())

        response = await self._office.act(request, decide, response=pb.RevokeSessionsResponse)
        if not response.act.replayed:
            actor = (await self._named(name)).actor
            close = self._sessions.close_named
            response.ended_count = (
                close(actor, session) if session else self._sessions.close_all(actor)
            )
        return response

    async def ListActs(self, request: pb.ListActsRequest, context: Context) -> pb.ListActsResponse:
        """List acts; see the proto."""
        del context
        actor = fields.text("actor", request.actor, longest=64)
        account_no = fields.account_no(request.account_no) if request.account_no else ""
        page = self._office.list_page(request)

        def find(registry: Registry) -> list[tuple[ActFacts, str]]:
            account = registry.account(account_no) if account_no else None
            if account_no and account is None:
                raise missing("account")
            found = acts_register.list_acts(
                registry.connection,
                before_seq=page.number,
                limit=page.limit,
                actor=actor,
                account_number=account.number if account else 0,
            )
            return [(act, _account_no(registry, act.account_number)) for act in found]

        found = await self._office.projector.read(find)
        rows, token = page.cut(found, lambda row: row[0].seq)
        return pb.ListActsResponse(
            acts=[act_message(act, printed) for act, printed in rows],
            next_page_token=token,
        )

    # ---- what they share ----

    async def _change(
        self,
        request: Any,
        plan: Callable[[Desk, StaffFacts], Awaitable[Plan]],
        response: type[Response],
    ) -> Response:
        """Have a change of one member decided, and end their sessions."""
        name = _name(request.name)
        _check_reason(request.reason)

        async def decide(desk: Desk) -> Plan:
            return await plan(desk, await _member(desk, name))

        answered = await self._office.act(request, decide, response=response)
        self._sessions.close_all((await self._named(name)).actor)
        return answered

    async def _one_time(self) -> tuple[str, OneTime]:
        """Make a one-time secret: the text, and what the journal keeps of it."""
        now_us = self._office.clock.now_us()
        values: Values = await self._office.projector.look(
            lambda r: values_at(r.connection, now_us)
        )
        return make_one_time(self._door.secrets.one_time_mac, values, now_us)

    async def _named(self, name: str) -> StaffFacts:
        wanted = _name(name)
        found = await self._office.projector.look(lambda r: register.member(r.connection, wanted))
        if found is None:
            raise missing("staff")
        return found


def make_one_time(mac: Callable[[str], bytes], values: Values, now_us: int) -> tuple[str, OneTime]:
    """Make a one-time secret: the text, and what the journal keeps of it."""
    secret = new_one_time()
    until_us = now_us + values.number("staff_secret_hours") * _HOUR_US
    return secret, OneTime(mac=mac(secret), until_us=until_us)


def _name(text: str) -> str:
    if not rules.is_name(text):
        raise invalid("name", "1 to 32 of 0-9 a-z . _ -, a letter or digit first")
    return text


def _check_reason(reason: str) -> None:
    fields.text("reason", reason, shortest=1, longest=REASON_MAX)


async def _member(desk: Desk, name: str) -> StaffFacts:
    found = await desk.read(lambda r: register.member(r.connection, name))
    if found is None:
        raise missing("staff")
    return found


async def _other_admins(desk: Desk, member: StaffFacts) -> int:
    return await desk.read(lambda r: register.other_admins(r.connection, member.number))


async def _check_scope(desk: Desk, grant: Grant) -> None:
    """A role for a merchant is given for one that exists."""
    if grant.role is not Role.MERCHANT:
        return
    if await desk.read(lambda r: r.merchant(grant.scope)) is None:
        raise missing("merchant")


def _account_no(registry: Registry, number: int) -> str:
    account = registry.account_by_number(number) if number else None
    return account.account_no if account else ""


def _message(member: StaffFacts) -> pb.StaffMember:
    return pb.StaffMember(
        number=member.number,
        name=member.name,
        grants=[pb.RoleGrant(role=g.role.name, scope=g.scope) for g in member.grants],
        disabled=member.disabled,
        enrolled=member.enrolled,
        locked_until_us=member.locked_until_us,
        create_time_us=member.created_us,
        sign_in_time_us=member.signed_in_us,
    )


def _session_message(session: Session) -> pb.StaffSession:
    return pb.StaffSession(
        session=session.name,
        channel=_CHANNEL_NUMBERS.get(session.principal.channel, pb.STAFF_CHANNEL_UNSPECIFIED),
        open_time_us=session.opened_us,
        use_time_us=session.used_us,
        until_us=session.until_us,
    )


def act_message(act: ActFacts, account_no: str) -> pb.ActEntry:
    """Write an act."""
    return pb.ActEntry(
        seq=act.seq,
        time_us=act.time_us,
        kind=KINDS[act.kind].__name__,
        account_no=account_no,
        actor=act.actor,
        role=act.role,
        channel=act.channel,
        reason=act.why,
        refusal=BY_NUMBER[act.reason].name if act.reason else "",
    )
