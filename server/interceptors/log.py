"""One line per call, under a request id, without anything that identifies a person."""

from __future__ import annotations

import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog

from server.interceptors.wrapping import Guard, split_method

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REQUEST_ID_HEADER: Final = "x-request-id"
_ID_MAX: Final = 64
_QUIET_SERVICES: Final = frozenset({"campuscard.v1.TerminalService", "grpc.health.v1.Health"})

_log = structlog.get_logger("campuscard.rpc")


class LogGuard(Guard):
    """Binds a request id to everything logged inside a call, and logs its end.

    Acts and operator's calls at level info, taps and health at debug: their decisions are in the
    journal. Messages are never logged.
    """

    @asynccontextmanager
    async def around(
        self, method: str, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[None]:
        """Log the end of a call."""
        service, name = split_method(method)
        started = time.perf_counter_ns()
        quiet = service in _QUIET_SERVICES
        if not quiet:
            structlog.contextvars.bind_contextvars(request_id=_request_id(context))
        try:
            yield
        finally:
            level = _log.debug if quiet else _log.info
            level(
                "call_ended",
                service=service,
                method=name,
                code=code_name(context),
                took_us=(time.perf_counter_ns() - started) // 1_000,
            )


def code_name(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return the name of a call's code; ``grpc.aio`` says None where it means OK."""
    code: Any = context.code()
    if code is None or code == 0:
        return "OK"
    return code.name if isinstance(code, grpc.StatusCode) else _names().get(code, str(code))


def _names() -> dict[int, str]:
    return {code.value[0]: code.name for code in grpc.StatusCode}


def _request_id(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str) and value.isprintable():
            return value[:_ID_MAX]
    return secrets.token_hex(8)
