"""Signing in and out, and what staff do about their own password and authenticator.

One member's tries are looked at one after the other, and each is counted in the journal before it is
answered: guesses in parallel, and a restart, give no more of them than the table of parameters says.

**Source:** regulation 七.3; RFC 6238 section 5.2 (a code is good once).
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import staff_service_pb2 as pb
from campuscard.v1 import staff_service_pb2_grpc as pb_grpc
from core import totp
from core.documents import staff as documents
from core.permissions import PERMISSIONS, SIGNED_IN, Channel, Role, allowing
from core.plans import Plan
from core.refusals import Refusal, invalid
from core.staff import PASSWORD_MAX, StaffFacts, fail, password_fault
from server.identity import Principal, become, caller
from server.interceptors.identity import token_of
from server.registers import staff as register
from server.registers.parameters import values_at
from server.services.office import answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import grpc.aio

    from core.parameters import Values
    from server.argon import Argon
    from server.config import StaffSettings
    from server.office_lane import Desk
    from server.services.office import Office
    from server.sessions import Sessions
    from server.staff_secrets import StaffSecrets

    Context = grpc.aio.ServicerContext[Any, Any]

CHANNELS: Final = {
    pb.STAFF_CHANNEL_COUNTER: Channel.COUNTER,
    pb.STAFF_CHANNEL_OFFICE: Channel.OFFICE,
}
WAITING_MAX: Final = 8
"""Tries of one name that wait for each other at most."""
_CODE_MAX: Final = 16
_STAFF: Final = "staff:"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffDoor:
    """The parts the service of staff works with."""

    office: Office
    sessions: Sessions
    argon: Argon
    secrets: StaffSecrets
    settings: StaffSettings


@dataclass(frozen=True, slots=True)
class _Proof:
    """What a right try proved: ``step`` of the code, 0 where no authenticator is enrolled yet."""

    step: int

    @property
    def pending(self) -> bool:
        return not self.step


class Turns:
    """Lets one try of a name at a time."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Wait for the turn of a name.

        Raises:
            Refusal: QUEUE_FULL.
        """
        lock, waiting = self._locks.get(name, (asyncio.Lock(), 0))
        if waiting >= WAITING_MAX:
            raise Refusal("QUEUE_FULL", retry_after_ms=1_000)
        self._locks[name] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._locks.pop(name)
            if waiting > 1:
                self._locks[name] = (lock, waiting - 1)


class SignInMethods(pb_grpc.StaffServiceServicer):
    """The methods of StaffService about oneself.

    Args:
        door: the parts.
    """

    def __init__(self, door: StaffDoor) -> None:
        self._door = door
        self._office = door.office
        self._sessions = door.sessions
        self._turns = Turns()
        self._offered: dict[int, bytes] = {}  # authenticator secrets that wait for their first code

    async def SignIn(
        self, request: pb.StaffServiceSignInRequest, context: Context
    ) -> pb.StaffServiceSignInResponse:
        """Sign in; see the proto."""
        del context
        if request.channel not in CHANNELS:
            raise invalid("channel", "COUNTER or OFFICE")
        if len(request.password) > PASSWORD_MAX or len(request.code) > _CODE_MAX:
            raise invalid("password", f"at most {PASSWORD_MAX} characters, the code {_CODE_MAX}")
        loop = asyncio.get_running_loop()
        answered_at = loop.time() + self._door.settings.refusal_ms / 1_000
        try:
            async with self._turns.of(request.name):
                return await self._sign_in(request)
        except Refusal as refusal:
            if refusal.reason.name == "SIGN_IN_REFUSED":
                await asyncio.sleep(max(0.0, answered_at - loop.time()))
            raise

    async def SignOut(self, request: pb.SignOutRequest, context: Context) -> pb.SignOutResponse:
        """End the caller's session; see the proto."""
        del request
        principal = _staff_caller()

        async def decide(_: Desk) -> Plan:
            return Plan(document=documents.StaffSignedOut(staff=principal.number), effects=())

        await self._office.record("StaffSignedOut", decide)
        self._sessions.close(token_of(context))
        return pb.SignOutResponse()

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: Context) -> pb.WhoAmIResponse:
        """Say who the caller is; see the proto."""
        del request
        principal = _staff_caller()
        member, _ = await self._look(lambda sql: register.member_by_number(sql, principal.number))
        session = self._sessions.session(token_of(context))
        if member is None or session is None:
            raise Refusal("SESSION_REQUIRED")
        allowed = (name for name in PERMISSIONS if allowing(name, principal.roles) is not None)
        return pb.WhoAmIResponse(
            actor=principal.actor,
            name=member.name,
            grants=[pb.RoleGrant(role=g.role.name, scope=g.scope) for g in member.grants],
            channel=principal.channel,
            permissions=sorted(SIGNED_IN.union(allowed)),
            until_us=session.until_us,
            enrolment_required=principal.pending,
        )

    async def ChangePassword(
        self, request: pb.ChangePasswordRequest, context: Context
    ) -> pb.ChangePasswordResponse:
        """Set the caller's password; see the proto."""
        principal = _staff_caller()
        old, new = request.old_password, request.new_password
        async with self._turns.of(await self._name_of(principal)):
            member, values = await self._checked_caller(principal, old)
            shortest = values.number("staff_password_min")
            fault = password_fault(new, member.name, shortest=shortest)
            fault = fault or (
                "THE_OLD_ONE" if hmac.compare_digest(old.encode(), new.encode()) else ""
            )
            if fault:
                raise Refusal("STAFF_PASSWORD_WEAK", rule=fault, shortest=shortest)
            hashed = await self._door.argon.hash(new)
            sealed = self._door.secrets.seal(member.number, "password", hashed.encode("ascii"))

            async def decide(desk: Desk) -> Plan:
                await _unchanged(desk, member)
                document = documents.StaffPasswordSet(staff=member.number, sealed=sealed)
                return Plan(document=document, effects=())

            response = await self._office.act(request, decide, response=pb.ChangePasswordResponse)
            kept = token_of(context) if principal.pending else ""
            self._sessions.close_all(member.actor, keep=kept)
            return response

    async def EnrolTotp(
        self, request: pb.EnrolTotpRequest, context: Context
    ) -> pb.EnrolTotpResponse:
        """Offer a new authenticator secret; see the proto."""
        del context
        principal = _staff_caller()
        async with self._turns.of(await self._name_of(principal)):
            if not principal.pending:
                member, _ = await self._checked_caller(principal, request.password)
            else:
                member, _ = await self._member_of(principal)
            secret = secrets.token_bytes(totp.SECRET_BYTES)
            self._offered[member.number] = secret
            return pb.EnrolTotpResponse(otpauth_uri=totp.key_uri(secret, member.name))

    async def ConfirmTotp(
        self, request: pb.ConfirmTotpRequest, context: Context
    ) -> pb.ConfirmTotpResponse:
        """Put the offered authenticator in force; see the proto."""
        del context
        principal = _staff_caller()
        member, values = await self._member_of(principal)
        if not member.password:
            raise Refusal("ENROLMENT_REQUIRED")
        secret = self._offered.get(member.number, b"")
        step = totp.matching_step(
            secret,
            request.code,
            at=totp.step_at(self._office.clock.now_us()),
            after=0,
            around=self._door.settings.totp_steps,
        )
        if not secret or not step:
            raise Refusal("TOTP_REFUSED")
        sealed = self._door.secrets.seal(member.number, "totp", secret)

        async def decide(desk: Desk) -> Plan:
            await _unchanged(desk, member)
            document = documents.StaffTotpSet(staff=member.number, sealed=sealed, totp_step=step)
            return Plan(document=document, effects=())

        response = await self._office.act(request, decide, response=pb.ConfirmTotpResponse)
        self._sessions.close_all(member.actor)
        if not response.act.replayed:
            self._offered.pop(member.number, None)
            response.token, response.until_us = self._open(
                member, principal.channel, values, pending=False
            )
        return response

    # ---- signing in ----

    async def _sign_in(
        self, request: pb.StaffServiceSignInRequest
    ) -> pb.StaffServiceSignInResponse:
        """Check one try in its turn. Everybody costs the same work, whatever is wrong."""
        member, values = await self._look(lambda sql: register.member(sql, request.name))
        now_us = self._office.clock.now_us()
        proof = await self._prove(member, request.password, request.code, now_us)
        if member is None or member.disabled or member.locked_at(now_us):
            raise Refusal("SIGN_IN_REFUSED")
        channel = CHANNELS[request.channel].value
        become(principal_of(member, channel, pending=proof is None or proof.pending))
        if proof is None:
            await self._count(member, values)
            raise Refusal("SIGN_IN_REFUSED")
        until_us = now_us + values.number("staff_session_seconds") * 1_000_000

        async def decide(desk: Desk) -> Plan:
            found = await _unchanged(desk, member)
            if found.locked_at(desk.now_us) or (proof.step and proof.step <= found.totp_step):
                raise Refusal("SIGN_IN_REFUSED")
            document = documents.StaffSignedIn(
                staff=member.number, totp_step=proof.step, until_us=until_us
            )
            return Plan(document=document, effects=())

        given = await self._office.record("StaffSignedIn", decide)
        # Nothing is awaited from here on: an act that ends this member's sessions was decided after
        # this one, is answered after it, and so finds the session that is opened now.
        response = answer(given, pb.StaffServiceSignInResponse)
        response.token, response.until_us = self._open(
            member, channel, values, pending=proof.pending
        )
        response.enrolment_required = proof.pending
        response.password_set = bool(member.password)
        return response

    async def _prove(
        self, member: StaffFacts | None, password: str, code: str, now_us: int
    ) -> _Proof | None:
        """Check password and code; one argon2id whether there is a password or not."""
        door = self._door
        number, sealed = (member.number, member.password) if member else (0, b"")
        encoded = door.secrets.unseal(number, "password", sealed).decode("ascii")
        right = await door.argon.verify(encoded, password)
        mac = door.secrets.one_time_mac(password)
        if member is None:
            return None
        if not member.password:
            good = hmac.compare_digest(mac, member.secret_mac) and now_us < member.secret_until_us
            return _Proof(0) if good else None
        if not member.totp:
            return _Proof(0) if right else None
        step = totp.matching_step(
            door.secrets.unseal(number, "totp", member.totp),
            code,
            at=totp.step_at(now_us),
            after=member.totp_step,
            around=door.settings.totp_steps,
        )
        return _Proof(step) if right and step else None

    async def _count(self, member: StaffFacts, values: Values) -> None:
        """Count a wrong try in the journal."""

        async def decide(desk: Desk) -> Plan:
            found = await _present(desk, member.number)
            return fail(
                found,
                now_us=desk.now_us,
                tries=values.number("staff_tries"),
                lock_seconds=values.number("staff_lock_seconds"),
            )

        await self._office.record("StaffSignInFailed", decide)

    async def _checked_caller(
        self, principal: Principal, password: str
    ) -> tuple[StaffFacts, Values]:
        """Return the caller once their password is right; a wrong one counts like a wrong sign-in."""
        member, values = await self._member_of(principal)
        if not member.password:
            return member, values
        if len(password) > PASSWORD_MAX or member.locked_at(self._office.clock.now_us()):
            raise Refusal("SIGN_IN_REFUSED")
        sealed = self._door.secrets.unseal(member.number, "password", member.password)
        if not await self._door.argon.verify(sealed.decode("ascii"), password):
            await self._count(member, values)
            raise Refusal("SIGN_IN_REFUSED")
        return member, values

    async def _member_of(self, principal: Principal) -> tuple[StaffFacts, Values]:
        member, values = await self._look(
            lambda sql: register.member_by_number(sql, principal.number)
        )
        if member is None:
            raise Refusal("SESSION_REQUIRED")
        return member, values

    async def _name_of(self, principal: Principal) -> str:
        return (await self._member_of(principal))[0].name

    async def _look(
        self, find: Callable[[Any], StaffFacts | None]
    ) -> tuple[StaffFacts | None, Values]:
        now_us = self._office.clock.now_us()
        return await self._office.projector.look(
            lambda r: (find(r.connection), values_at(r.connection, now_us))
        )

    def _open(
        self, member: StaffFacts, channel: str, values: Values, *, pending: bool
    ) -> tuple[str, int]:
        token = self._sessions.open(
            principal_of(member, channel, pending=pending),
            values.number("staff_session_seconds"),
            idle_seconds=values.number("staff_idle_seconds"),
        )
        session = self._sessions.session(token)
        return token, session.until_us if session else 0


def principal_of(member: StaffFacts, channel: str, *, pending: bool) -> Principal:
    """Return a member as a caller; before enrolment they have no role."""
    return Principal(
        actor=member.actor,
        number=member.number,
        roles=frozenset() if pending else member.roles,
        channel=channel,
        classes=member.scopes(Role.CLASS_TEACHER),
        merchants=member.scopes(Role.MERCHANT),
        pending=pending,
    )


def _staff_caller() -> Principal:
    """Return the caller, who must be staff."""
    principal = caller()
    if not principal.actor.startswith(_STAFF):
        raise Refusal("FORBIDDEN", permission="session.own", roles="staff")
    return principal


async def _present(desk: Desk, number: int) -> StaffFacts:
    found = await desk.read(lambda r: register.member_by_number(r.connection, number))
    if found is None:
        raise Refusal("SIGN_IN_REFUSED")
    return found


async def _unchanged(desk: Desk, member: StaffFacts) -> StaffFacts:
    """Return the member as of now, unless what they proved themselves by has changed meanwhile."""
    found = await _present(desk, member.number)
    same = (found.password, found.totp, found.secret_mac, found.grants)
    if found.disabled or same != (member.password, member.totp, member.secret_mac, member.grants):
        raise Refusal("SIGN_IN_REFUSED")
    return found
