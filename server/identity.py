"""Who is calling, as everything behind the interceptors sees it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.documents import By
from core.permissions import Channel, Role

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

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

    def by(self, role: Role | None = None, reason: str = "") -> By:
        """Return who acts, for the journal.

        Args:
            role: the one that allowed it; None: the only one, or none.
            reason: what the caller gave.
        """
        name = role.name if role else next(iter(self.roles)).name if len(self.roles) == 1 else ""
        return By(actor=self.actor, role=name, channel=self.channel, reason=reason)


NOBODY: Final = Principal(
    actor="terminal:local", roles=frozenset({Role.TERMINAL}), channel=Channel.TERMINAL.value
)
"""Whoever calls without a token: a terminal of this machine, until terminals have certificates."""


def holder_actor(number: int) -> str:
    """Return how the journal calls the holder of an account."""
    return f"holder:{number}"


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


_caller: ContextVar[Principal] = ContextVar("campuscard_caller", default=NOBODY)
_role: ContextVar[Role | None] = ContextVar("campuscard_role", default=None)
_why: ContextVar[str] = ContextVar("campuscard_why", default="")


def caller() -> Principal:
    """Return who makes the call being answered."""
    return _caller.get()


def acting(reason: str = "") -> By:
    """Return who acts, for the journal: the caller under the role that allowed the call.

    Args:
        reason: of the request; empty: what came with the call.
    """
    return caller().by(_role.get(), reason or _why.get())


def enter(principal: Principal, role: Role | None, *, why: str = "") -> None:
    """Say who makes the call being answered, which role allowed it, and why they call."""
    _caller.set(principal)
    _role.set(role)
    _why.set(why)
