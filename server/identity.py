"""Who is calling, as everything behind the interceptors sees it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from core.documents import By
from core.permissions import SELF, Channel, Role, ground
from core.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

REASON_HEADER: Final = "x-reason-bin"
"""Why somebody calls, UTF-8: for acts whose request has no field of its own for it."""
HOLDER_ACTOR: Final = 1 << 31
"""Added to an account's number where the journal keeps the actor as a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller.

    Attributes:
        actor: as in ``core.documents.By``.
        number: the same in the journal's document records: a staff number, or an account's number
            with ``HOLDER_ACTOR`` added; 0 for the system and terminals.
        roles: what they may act as.
        channel: by which way they came, as in ``core.permissions.Channel``.
        classes: class names a CLASS_TEACHER speaks for.
        merchants: merchant ids a MERCHANT speaks for.
        account_number: of a HOLDER; 0 otherwise.
        pending: signed in with a one-time secret: may set password and codes, and nothing else.
        initial: signed in with an initial query password: has ``WITH_INITIAL_PASSWORD``, and nothing
            else.
    """

    actor: str
    number: int = 0
    roles: AbstractSet[Role]
    channel: str = ""
    classes: frozenset[str] = frozenset()
    merchants: frozenset[str] = frozenset()
    account_number: int = 0
    pending: bool = False
    initial: bool = False

    def by(self, role: Role | None, reason: str) -> By:
        """Return who acts, for the journal.

        Args:
            role: the one that allowed it; None: the only one, or ``SELF``.
            reason: why.
        """
        name = role.name if role else next(iter(self.roles)).name if len(self.roles) == 1 else SELF
        return By(actor=self.actor, role=name, channel=self.channel, reason=reason)


NOBODY: Final = Principal(
    actor="terminal:local", roles=frozenset({Role.TERMINAL}), channel=Channel.TERMINAL.value
)
"""Whoever calls without a token: a terminal of this machine, until terminals have certificates."""


def holder_actor(number: int) -> str:
    """Return how the journal calls the holder of an account."""
    return f"holder:{number}"


def actor_of(number: int) -> str:
    """Return who a number in the journal is; 0 stands for a terminal where the system does not act."""
    if number & HOLDER_ACTOR:
        return holder_actor(number ^ HOLDER_ACTOR)
    return f"staff:{number}" if number else "terminal"


def holder_principal(number: int, *, initial: bool = False) -> Principal:
    """Return the holder of an account as a caller: their own account, by self-service."""
    return Principal(
        actor=holder_actor(number),
        number=HOLDER_ACTOR | number,
        roles=frozenset({Role.HOLDER}),
        channel=Channel.SELF_SERVICE.value,
        account_number=number,
        initial=initial,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """The call being answered: who makes it, what allowed it, what they said why."""

    principal: Principal = NOBODY
    role: Role | None = None
    permission: str = ""
    why: str = ""


_NO_CALL: Final = _Call()
_call: ContextVar[_Call] = ContextVar("campuscard_call", default=_NO_CALL)


def caller() -> Principal:
    """Return who makes the call being answered."""
    return _call.get().principal


def calling_as() -> Role | None:
    """Return the role that allowed the call being answered; None: it needs none."""
    return _call.get().role


def acting(stated: str = "", *, field: str = "") -> By:
    """Return who acts, for the journal: the caller, the role that allowed the call, and why.

    The reason is what the request states, else what came with the call, else the permission's ground.

    Args:
        stated: reason in the request; empty: none.
        field: of the request, that takes a reason; empty: it has none.

    Raises:
        Refusal: REASON_REQUIRED: nobody said why, and such acts have no ordinary reason.
    """
    call = _call.get()
    why = stated or call.why or ground(call.permission)
    if not why:
        raise Refusal("REASON_REQUIRED", field=field or REASON_HEADER)
    return call.principal.by(call.role, why)


def enter(principal: Principal, role: Role | None, *, permission: str, why: str = "") -> None:
    """Say who makes the call being answered.

    Args:
        principal: who.
        role: the one that allowed it; None: it needs none.
        permission: of the method.
        why: the reason that came with the call; empty: none.
    """
    _call.set(_Call(principal=principal, role=role, permission=permission, why=why))


def become(principal: Principal, role: Role | None = None) -> None:
    """Go on as somebody who has proved meanwhile who they are."""
    _call.set(replace(_call.get(), principal=principal, role=role))
