"""Who is signed in: tokens in RAM, gone with the process.

A token is 32 random bytes; only its SHA-256 is kept. A session ends by itself after its time, or
when it was not used for a while, and at once when it is closed. That somebody signed in and out
stands in the journal; the sessions themselves do not, so a restart asks everybody to sign in again.

**Source:** regulation 七.3.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.ports import Clock
    from server.identity import Principal

TOKEN_BYTES: Final = 32
TOKEN_TEXT_MAX: Final = 64
"""Longest text that is looked at as a token, characters."""
SESSIONS_MAX: Final = 65_536
"""Sessions at once; the one unused for longest makes room."""
PER_ACTOR_MAX: Final = 8
"""Sessions of one actor at once; the oldest makes room."""
_SECOND_US: Final = 1_000_000


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """One signed-in caller. Times are microseconds since 1970 UTC.

    Attributes:
        name: what it is called where sessions are listed; not the token and not made from it.
        principal: who it is.
        opened_us: when it began.
        used_us: when a call last came with it.
        until_us: when it ends whatever happens.
        idle_us: how long it may be unused, microseconds; 0: as long as it lasts.
        closed: it was ended before its time: calls under way end, too.
    """

    name: str
    principal: Principal
    opened_us: int
    used_us: int
    until_us: int
    idle_us: int
    closed: bool = False

    def alive_at(self, now_us: int) -> bool:
        """Tell whether it is still good."""
        if self.closed or now_us >= self.until_us:
            return False
        return not self.idle_us or now_us - self.used_us < self.idle_us


class Sessions:
    """All sessions of one server. For one thread: the loop's.

    Args:
        clock: of the server.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_hash: OrderedDict[bytes, Session] = OrderedDict()
        self._of_actor: dict[str, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def open(self, principal: Principal, seconds: int, *, idle_seconds: int = 0) -> str:
        """Begin a session.

        Args:
            principal: who signed in.
            seconds: how long it lasts at most.
            idle_seconds: how long it may be unused; 0: as long as it lasts.

        Returns:
            The token: 43 characters, given out this once.
        """
        now_us = self._clock.now_us()
        token = secrets.token_urlsafe(TOKEN_BYTES)
        held = self._of_actor.get(principal.actor, ())
        if len(held) >= PER_ACTOR_MAX:
            self._end(held[0])
        if len(self._by_hash) >= SESSIONS_MAX:
            self._end(next(iter(self._by_hash)))
        digest = _digest(token)
        self._by_hash[digest] = Session(
            name=secrets.token_hex(4),
            principal=principal,
            opened_us=now_us,
            used_us=now_us,
            until_us=now_us + seconds * _SECOND_US,
            idle_us=idle_seconds * _SECOND_US,
        )
        self._of_actor.setdefault(principal.actor, []).append(digest)
        return token

    def session(self, token: str) -> Session | None:
        """Find a session that is still good, and count this as using it."""
        if len(token) > TOKEN_TEXT_MAX:
            return None
        digest = _digest(token)
        found = self._by_hash.get(digest)
        if found is None:
            return None
        now_us = self._clock.now_us()
        if not found.alive_at(now_us):
            self._end(digest)
            return None
        found.used_us = now_us
        self._by_hash.move_to_end(digest)
        return found

    def find(self, token: str) -> Principal | None:
        """Return who a token speaks for; None: unknown, ended or run out."""
        found = self.session(token)
        return None if found is None else found.principal

    def close(self, token: str) -> bool:
        """End a session; tells whether there was one."""
        return self._end(_digest(token))

    def close_all(self, actor: str, *, keep: str = "") -> int:
        """End all sessions of an actor.

        Args:
            actor: as in ``core.documents.By``.
            keep: token of the one session that stays; empty: none.

        Returns:
            How many there were.
        """
        kept = _digest(keep) if keep else b""
        return self._end_where(actor, lambda digest, _: digest != kept)

    def close_named(self, actor: str, name: str) -> int:
        """End the session of an actor that is listed under a name; returns how many there were."""
        return self._end_where(actor, lambda _, session: session.name == name)

    def of(self, actor: str) -> list[Session]:
        """List an actor's sessions that are still good, oldest first."""
        now_us = self._clock.now_us()
        held = (self._by_hash[digest] for digest in self._of_actor.get(actor, ()))
        return [session for session in held if session.alive_at(now_us)]

    def _end_where(self, actor: str, wanted: Callable[[bytes, Session], bool]) -> int:
        now_us = self._clock.now_us()
        ended = 0
        for digest in tuple(self._of_actor.get(actor, ())):
            session = self._by_hash[digest]
            if wanted(digest, session):
                ended += session.alive_at(now_us)
                self._end(digest)
        return ended

    def _end(self, digest: bytes) -> bool:
        session = self._by_hash.pop(digest, None)
        if session is None:
            return False
        session.closed = True
        held = self._of_actor[session.principal.actor]
        held.remove(digest)
        if not held:
            del self._of_actor[session.principal.actor]
        return True


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
