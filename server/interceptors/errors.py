"""Nothing leaves a call but a reason of the catalogue.

Refusals of papers, of the engine and of the decoder become their rich status. Everything else is a
fault of ours: it is logged under an incident number and answered INTERNAL with that number.

**Source:** regulation 七.4.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

import grpc.aio
import structlog

from core.refusals import Refusal
from ext.errors import Malformed, Refused
from server.errors_map import refusal_of, status_of

if TYPE_CHECKING:
    from types import TracebackType

    from server.interceptors.wrapping import Context

_NOT_OURS: Final = (asyncio.CancelledError, GeneratorExit, grpc.aio.AbortError)

_log = structlog.get_logger("campuscard.rpc")


class ErrorsGuard:
    """Turns every exception into a status of the catalogue."""

    def around(self, method: str, context: Context) -> _Caught:
        """Catch what a call raises."""
        return _Caught(method, context)


class _Caught:
    """One call whose exceptions are caught."""

    __slots__ = ("_context", "_method")

    def __init__(self, method: str, context: Context) -> None:
        self._method = method
        self._context = context

    async def __aenter__(self) -> None:
        return

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, _NOT_OURS) or not isinstance(error, Exception):
            return
        incident = ""
        if isinstance(error, Refused | Malformed):
            refusal = refusal_of(error)
        elif isinstance(error, Refusal):
            refusal = error
        else:
            refusal, incident = Refusal("INTERNAL"), secrets.token_hex(6)
            _log.error(
                "call_failed",
                method=self._method,
                incident=incident,
                error=type(error).__name__,
                exc_info=error,
            )
        await self._context.abort_with_status(status_of(refusal, incident=incident))
