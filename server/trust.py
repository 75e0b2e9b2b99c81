"""Whether the journal and the rules can be relied on: once broken, nothing is decided any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from core.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_ALWAYS: Final = (
    "/campuscard.v1.OpsService/",
    "/campuscard.v1.StaffService/",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.",
)
"""What an operator needs to find out."""

REASON: Final = "INTEGRITY_BROKEN"
_RETRY_MS: Final = 10_000

_log = structlog.get_logger("campuscard.integrity")


class Trust:
    """One for the whole server; it is lost for good: only a restart begins anew.

    Args:
        lost: called once, when it is; on the thread that lost it, the event loop's.

    Attributes:
        broken: what was found, empty while nothing was.
    """

    def __init__(self, lost: Callable[[], object]) -> None:
        self.broken = ""
        self._lost = lost
        self._told: list[Callable[[str, int], None]] = []

    def tell(self, refuse: Callable[[str, int], None]) -> None:
        """Have somebody who decides without asking here told the reason to refuse with.

        Args:
            refuse: called once, with a reason of the catalogue and when to ask again, ms.
        """
        self._told.append(refuse)
        if self.broken:
            refuse(REASON, _RETRY_MS)

    def lose(self, what: str, *, seq: int = 0) -> None:
        """Say what was found, once, and let nothing be decided from now on."""
        if not self.broken:
            self.broken = what
            _log.critical("integrity_broken", what=what, seq=seq, authorizations="stopped")
            for refuse in self._told:
                refuse(REASON, _RETRY_MS)
            self._lost()

    def check(self, method: str) -> None:
        """Refuse a call when trust is lost.

        Args:
            method: full name, ``/package.Service/Method``.

        Raises:
            Refusal: INTEGRITY_BROKEN.
        """
        if self.broken and not method.startswith(OPEN_ALWAYS):
            raise Refusal(REASON, retry_after_ms=_RETRY_MS)
