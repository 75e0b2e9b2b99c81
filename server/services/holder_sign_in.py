"""Who a holder is, by account number and query password, as every try is checked and counted.

One account's tries are looked at one after the other, and a wrong one is counted in the journal before
it is answered: guesses in parallel, and a restart, give no more of them than the table of parameters
says. An account that does not exist costs the same work and the same time.

**Source:** regulation 三.2c, 四.3a, 四.4, 七.3.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from campuscard.v1 import holder_service_pb2 as pb
from core.documents import passwords as documents
from core.password_changes import QUERY_MAX, QueryState, fail_query
from core.permissions import Role
from core.plans import Plan
from core.refusals import Refusal, invalid
from server.identity import enter, holder_principal
from server.interceptors.limits import TokenBuckets
from server.registers import passwords as register
from server.registers.parameters import values_at
from server.services import fields
from server.services.office import answer
from server.services.sign_in import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.parameters import Values
    from server.holder_passwords import HolderPasswords
    from server.office_lane import Desk
    from server.services.office import Office
    from server.sessions import Sessions

TRIES_BURST: Final = 20
"""Query passwords of one account that may be sent at once, also of one that does not exist."""
TRIES_RATE: Final = 1.0
"""And per second, for ever."""


class HolderDoor:
    """Lets holders in.

    Args:
        office: decides the acts.
        passwords: checks query passwords.
        sessions: of everybody.
        refusal_ms: a refusal is not answered earlier.
    """

    def __init__(
        self,
        office: Office,
        passwords: HolderPasswords,
        sessions: Sessions,
        *,
        refusal_ms: int,
    ) -> None:
        self._office = office
        self._passwords = passwords
        self._sessions = sessions
        self._refusal_s = refusal_ms / 1_000
        self._turns = Turns()
        self._tries = TokenBuckets(TRIES_RATE, TRIES_BURST)

    async def sign_in(self, account_no: str, password: str) -> pb.HolderServiceSignInResponse:
        """Open a session; its response lacks what is to be changed.

        Raises:
            Refusal: QUERY_PASSWORD_REFUSED, RATE_LIMITED, QUEUE_FULL.
        """
        async with self.proven(account_no, password) as state:
            values = await self._values()
            bound = state.initial and values.text("initial_query_use") == "CHANGE_ONLY"
            principal = holder_principal(state.number, initial=bound)
            now_us = self._office.clock.now_us()
            seconds = values.number("holder_session_seconds")
            until_us = now_us + seconds * 1_000_000

            async def decide(desk: Desk) -> Plan:
                found = await desk.read(
                    lambda r: register.query_state_by_number(r.connection, state.number)
                )
                if found is None or found.sealed != state.sealed or found.locked_at(desk.now_us):
                    raise Refusal("QUERY_PASSWORD_REFUSED")
                document = documents.HolderSignedIn(account=state.number, until_us=until_us)
                return Plan(document=document, effects=())

            given = await self._office.record(
                "HolderSignedIn", decide, by=principal.by(), actor=principal.number
            )
            # Nothing is awaited from here on: an act that ends this holder's sessions was decided
            # after this one, is answered after it, and so finds the session that is opened now.
            response = answer(given, pb.HolderServiceSignInResponse)
            response.token = self._sessions.open(principal, seconds)
            return response

    @asynccontextmanager
    async def proven(self, account_no: str, password: str) -> AsyncIterator[QueryState]:
        """Check a query password in its turn; the rest of the call is made as this holder.

        Raises:
            Refusal: QUERY_PASSWORD_REFUSED, RATE_LIMITED, QUEUE_FULL.
        """
        account_no = fields.account_no(account_no)
        _check_length("query_password", password)
        loop = asyncio.get_running_loop()
        answered_at = loop.time() + self._refusal_s
        async with self._turn(account_no):
            state = await self._checked(account_no, password)
            if state is not None:
                enter(holder_principal(state.number), Role.HOLDER)
                yield state
                return
        await asyncio.sleep(max(0.0, answered_at - loop.time()))
        raise Refusal("QUERY_PASSWORD_REFUSED")

    @asynccontextmanager
    async def proven_again(self, number: int, password: str) -> AsyncIterator[QueryState]:
        """Check the query password of somebody who is signed in, in its turn.

        Raises:
            Refusal: QUERY_PASSWORD_WRONG, SELF_SERVICE_LOCKED, RATE_LIMITED, QUEUE_FULL.
        """
        _check_length("old_password", password)
        async with self._turn((await self.state(number)).account_no):
            state = await self.state(number)
            self._refuse_locked(state)
            if not await self._passwords.is_query_password(state, state.account_no, password):
                await self._count(state)
                counted = await self.state(number)
                self._refuse_locked(counted)
                tries = (await self._values()).number("query_tries")
                raise Refusal("QUERY_PASSWORD_WRONG", triesLeft=max(0, tries - counted.fails))
            yield state

    async def state(self, number: int) -> QueryState:
        """Return how the query password of a signed-in holder stands."""
        found = await self._office.projector.look(
            lambda r: register.query_state_by_number(r.connection, number)
        )
        if found is None:
            raise Refusal("SESSION_REQUIRED")
        return found

    @asynccontextmanager
    async def _turn(self, account_no: str) -> AsyncIterator[None]:
        wait_ms = self._tries.take(account_no.encode("ascii"))
        if wait_ms:
            raise Refusal("RATE_LIMITED", retry_after_ms=wait_ms)
        async with self._turns.of(account_no):
            yield

    async def _checked(self, account_no: str, password: str) -> QueryState | None:
        """Return the account a password opens; None: none, it is locked, or the password is wrong."""
        state = await self._office.projector.look(
            lambda r: register.query_state(r.connection, account_no)
        )
        right = await self._passwords.is_query_password(state, account_no, password)
        if state is None or state.locked_at(self._office.clock.now_us()):
            return None
        if not right:
            await self._count(state)
            return None
        return state

    async def _count(self, state: QueryState) -> None:
        """Count a wrong try in the journal."""
        principal = holder_principal(state.number)

        async def decide(desk: Desk) -> Plan:
            found = await desk.read(
                lambda r: register.query_state_by_number(r.connection, state.number)
            )
            values = await desk.parameters()
            return fail_query(found or state, now_us=desk.now_us, values=values)

        await self._office.record(
            "QueryPasswordFailed", decide, by=principal.by(), actor=principal.number
        )

    def _refuse_locked(self, state: QueryState) -> None:
        if state.locked_at(self._office.clock.now_us()):
            raise Refusal("SELF_SERVICE_LOCKED", lockedUntilUs=state.locked_until_us)

    async def _values(self) -> Values:
        now_us = self._office.clock.now_us()
        return await self._office.projector.look(lambda r: values_at(r.connection, now_us))


def _check_length(field: str, password: str) -> None:
    if len(password) > QUERY_MAX:
        raise invalid(field, f"at most {QUERY_MAX} characters")
