"""Acts about holders' two passwords, the same from the counter and from self-service.

How often a holder's passwords may be tried to be changed is bounded: a refusal says whether a wanted
password is the other one, and nobody shall find that out by asking for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core import password_changes as rules
from core.counter import check_hours
from core.password_changes import PasswordKind
from core.refusals import Refusal, missing
from server.identity import holder_actor
from server.interceptors.limits import TokenBuckets
from server.registers import passwords as register
from server.registers.parameters import values_at
from server.services import card_acts, fields
from server.services.office import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.facts import AccountFacts
    from core.parameters import Values
    from core.password_changes import KnownPasswords
    from core.plans import Plan
    from server.holder_passwords import HolderPasswords
    from server.office_lane import Desk
    from server.registry import Registry
    from server.services.office import Office
    from server.sessions import Sessions

CHANGES_BURST: Final = 10
"""Changes of one holder's passwords, also refused ones, that may be asked for at once."""
CHANGES_RATE: Final = 1 / 60
"""And per second, for ever."""

_Change = tuple["AccountFacts", "KnownPasswords", "Values"]


class PasswordActs:
    """Changes and resets passwords.

    Args:
        office: decides the acts.
        passwords: seals what is kept of them.
        sessions: of holders, which end with their query password.
    """

    def __init__(self, office: Office, passwords: HolderPasswords, sessions: Sessions) -> None:
        self._office = office
        self._passwords = passwords
        self._sessions = sessions
        self._changes = TokenBuckets(CHANGES_RATE, CHANGES_BURST)

    def end_sessions(self, number: int) -> None:
        """End all sessions of a holder."""
        self._sessions.close_all(holder_actor(number))

    async def change_transaction(
        self,
        request: Any,
        account_no: str,
        *,
        old: str,
        new: str,
        response: type[Response],
        check: Callable[[Registry], None] = lambda _: None,
    ) -> Response:
        """Change the transaction password.

        Args:
            request: with its request_id.
            account_no: whose.
            old: the present one, six digits.
            new: the wanted one, six digits.
            response: with fields ``act`` and ``weak_rule``.
            check: what else must hold when it is decided.

        Raises:
            Refusal: why not.
        """
        self._slow_down(account_no)
        weak = ""

        async def decide(desk: Desk) -> Plan:
            nonlocal weak
            await desk.read(check)
            account, known, values = await desk.read(self._reading(account_no, desk.now_us))
            weak = rules.judge_transaction(old, new, known, values)
            sealed = self._passwords.seal(
                account.number, PasswordKind.TRANSACTION, known.hash_of(new)
            )
            return rules.set_transaction(account, old=old, new=new, sealed=sealed)

        return _warned(await self._office.act(request, decide, response=response), weak)

    async def change_query(
        self, request: Any, account_no: str, *, sealed_now: bytes, response: type[Response]
    ) -> Response:
        """Change the query password, the old one checked, and end the holder's sessions.

        Args:
            request: with its request_id, ``old_password`` and ``new_password``.
            account_no: whose.
            sealed_now: what the old one was checked by; it must be so still.
            response: with fields ``act`` and ``weak_rule``.

        Raises:
            Refusal: why not.
        """
        self._slow_down(account_no)
        old, new = request.old_password, request.new_password
        now_us = self._office.clock.now_us()
        _, known, values = await self._office.projector.look(self._reading(account_no, now_us))
        rules.judge_query(old, new, known, values)  # before the slow hash
        hashed = await self._passwords.hash(new)
        weak, number = "", 0

        async def decide(desk: Desk) -> Plan:
            nonlocal weak, number
            account, known, values = await desk.read(self._reading(account_no, desk.now_us))
            number = account.number
            await self._check_unchanged(desk, number, sealed_now)
            weak = rules.judge_query(old, new, known, values)
            kind = PasswordKind.QUERY
            sealed = self._passwords.seal(number, kind, known.hash_of(new), checked_by=hashed)
            return rules.set_query(account, sealed=sealed)

        answered = _warned(await self._office.act(request, decide, response=response), weak)
        self.end_sessions(number)
        return answered

    async def reset_transaction(self, request: Any, *, response: type[Response]) -> Response:
        """Give back an initial transaction password.

        Args:
            request: with request_id, ``account_no`` and ``id_number``.
            response: with a field ``act``.

        Raises:
            Refusal: why not.
        """
        account_no = fields.account_no(request.account_no)
        id_number = fields.id_number(request.id_number)

        async def decide(desk: Desk) -> Plan:
            account, known, values = await desk.read(self._reading(account_no, desk.now_us))
            await _check_hours(desk)
            initial = rules.initial_of(id_number, known, values)
            kind = PasswordKind.TRANSACTION
            sealed = self._passwords.seal(account.number, kind, known.hash_of(initial))
            return rules.reset_transaction(account, initial=initial, sealed=sealed)

        return await self._office.act(request, decide, response=response)

    async def reset_query(self, request: Any, *, response: type[Response]) -> Response:
        """Give back an initial query password and end the holder's sessions.

        Arguments and errors as of ``reset_transaction``.
        """
        account_no = fields.account_no(request.account_no)
        id_number = fields.id_number(request.id_number)
        number = 0

        async def decide(desk: Desk) -> Plan:
            nonlocal number
            account, known, values = await desk.read(self._reading(account_no, desk.now_us))
            number = account.number
            await _check_hours(desk)
            initial = rules.initial_of(id_number, known, values)
            sealed = self._passwords.seal(
                number,
                PasswordKind.QUERY,
                known.hash_of(initial),
                checked_by=self._passwords.tag(account_no, initial),
            )
            return rules.reset_query(account, sealed=sealed)

        answered = await self._office.act(request, decide, response=response)
        self.end_sessions(number)
        return answered

    def _reading(self, account_no: str, now_us: int) -> Callable[[Registry], _Change]:
        """Return what reads an account, what its passwords are judged by, and the values in force."""

        def read(registry: Registry) -> _Change:
            account = registry.account(account_no)
            if account is None:
                raise missing("account")
            rules.refuse_gone(account)
            known = self._passwords.known(registry, account)
            return account, known, values_at(registry.connection, now_us)

        return read

    async def _check_unchanged(self, desk: Desk, number: int, sealed: bytes) -> None:
        """Refuse to go on from a query password that was changed or reset meanwhile."""
        used = await desk.read(lambda r: register.used(r.connection, number, PasswordKind.QUERY))
        if (used[0] if used else b"") != sealed:
            raise Refusal("CONFLICT", retry_after_ms=200)

    def _slow_down(self, account_no: str) -> None:
        wait_ms = self._changes.take(account_no.encode("ascii"))
        if wait_ms:
            raise Refusal("RATE_LIMITED", retry_after_ms=wait_ms)


async def _check_hours(desk: Desk) -> None:
    """A reset is done in the counter's hours where the parameter ``counter_operations`` says so."""
    moment = await desk.read(lambda r: card_acts.moment_at(r, desk.now_us))
    check_hours("PASSWORD_RESET", moment)


def _warned(response: Response, weak: str) -> Response:
    """Add the rule a password was warned of; the journal keeps nothing of it."""
    answered: Any = response
    if not answered.act.replayed:
        answered.weak_rule = weak
    return response
