"""One line per call, under a request id, without anything that identifies a person."""

from __future__ import annotations

import secrets
import time
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog

from server.interceptors.wrapping import split_method

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from server.interceptors.wrapping import Context

REQUEST_ID_HEADER: Final = "x-request-id"
_ID_MAX: Final = 64
_QUIET: Final = ("/campuscard.v1.TerminalService/", "/grpc.health.")
_NOTHING: Final = nullcontext()
_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}

_log = structlog.get_logger("campuscard.rpc")


class LogGuard:
    """Binds a request id to everything logged inside a call, and logs its end.

    Messages are never logged. Taps and health checks leave no line: their decisions stand in the
    journal, their faults are logged where they are caught.
    """

    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[Any]:
        """Log the end of a call."""
        return _NOTHING if method.startswith(_QUIET) else self._logged(method, context)

    @asynccontextmanager
    async def _logged(self, method: str, context: Context) -> AsyncIterator[None]:
        service, name = split_method(method)
        started = time.perf_counter_ns()
        structlog.contextvars.bind_contextvars(request_id=_request_id(context))
        try:
            yield
        finally:
            _log.info(
                "call_ended",
                service=service,
                method=name,
                code=code_name(context),
                took_us=(time.perf_counter_ns() - started) // 1_000,
            )


def code_name(context: Context) -> str:
    """Return the name of a call's code; ``grpc.aio`` says None where it means OK."""
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return _CODES[code or 0]


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str) and value.isprintable():
            return value[:_ID_MAX]
    return secrets.token_hex(8)
