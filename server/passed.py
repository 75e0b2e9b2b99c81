"""Calls of the native front end that Python answers: the same guards and handlers as with grpcio's.

A handler gets a context that has what handlers and guards use. It is cancelled when its caller is gone
or its deadline has passed. Of a stream's messages a bounded number of bytes may be ahead of its reader;
a handler that has written so much waits.

**Source:** regulation 五.4; the gRPC over HTTP/2 protocol.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast
from urllib.parse import quote_from_bytes

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from core.refusals import Refusal, invalid
from server.errors_map import status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from server.interceptors.wrapping import Guards

    Answer = Callable[[str, "PassedContext", bytes], Awaitable[bytes]]
    Metadata = tuple[tuple[str, str | bytes], ...]

DETAILS: Final = "grpc-status-details-bin"
_SAFE: Final = bytes(range(0x20, 0x7F)).replace(b"%", b"")
_GONE: Final = (grpc.StatusCode.CANCELLED.value[0], b"", b"")
_RETRY_MS: Final = 1_000

_log = structlog.get_logger("campuscard.front")


def on_the_wire(status: grpc.Status) -> tuple[int, bytes, bytes]:
    """Return a status as its headers' values."""
    details: Any = next((v for k, v in status.trailing_metadata or () if k == DETAILS), b"")
    code: int = status.code.value[0]
    message = quote_from_bytes(status.details.encode(), safe=_SAFE).encode("ascii")
    return code, message, base64.b64encode(bytes(details)).rstrip(b"=")


class Handlers:
    """Takes the services of ``add_..._to_server`` and finds a method's handler in them."""

    def __init__(self) -> None:
        self._generic: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Add services."""
        self._generic += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Do nothing: the same handlers come generic too."""

    def serve_by(self, server: grpc.aio.Server) -> None:
        """Have all of them served by grpcio too."""
        server.add_generic_rpc_handlers(tuple(self._generic))

    def find(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of a method."""
        found = (handler.service(details) for handler in self._generic)
        return next((handler for handler in found if handler is not None), None)

    def streams(self, path: str) -> bool:
        """Tell whether a method answers with a stream.

        Args:
            path: full name, ``/package.Service/Method``.

        Raises:
            ValueError: there is no such method, or it takes a stream.
        """
        handler: Any = self.find(_Details(path, ()))
        if handler is None or handler.request_streaming:
            raise ValueError(f"{path} cannot be passed: no handler takes one request of it")
        return bool(handler.response_streaming)


class PassedContext:
    """What guards and handlers use of a ``grpc.aio.ServicerContext``, for a passed call.

    Args:
        metadata: that the caller sent, as it travelled.
        left_ms: until the call's deadline, None without one.
        terminal: that the caller's certificate names, or nothing.
        send: gives a message to the front end; returns the bytes that are ahead of its reader.
        ahead_max: bytes ahead from which on a handler waits.
    """

    def __init__(
        self,
        metadata: list[tuple[str, bytes]],
        left_ms: int | None,
        terminal: str,
        send: Callable[[bytes], int],
        ahead_max: int,
    ) -> None:
        self.terminal = terminal
        self.status: grpc.Status | None = None
        self.serializer: Callable[[Any], bytes] | None = None
        self._metadata = tuple(_as_grpcio(name, value) for name, value in metadata)
        self._ends = None if left_ms is None else time.monotonic() + left_ms / 1_000
        self._send = send
        self._ahead_max = ahead_max
        self._ahead = 0
        self._taken = asyncio.Event()

    def invocation_metadata(self) -> Metadata:
        """Return what the caller sent."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """Return the seconds the call still has, None without a deadline."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def code(self) -> grpc.StatusCode | None:
        """Return how the call ends, None: well, or not known yet."""
        return None if self.status is None else self.status.code

    async def write(self, message: Any) -> None:
        """Send one message of a stream; wait while its reader does not take what is there."""
        self._ahead = self._send(self.serialized(message))
        while self._ahead >= self._ahead_max:
            self._taken.clear()
            await self._taken.wait()

    def take(self, ahead: int) -> None:
        """Note how many bytes are ahead of the reader now."""
        self._ahead = ahead
        self._taken.set()

    def serialized(self, message: Any) -> bytes:
        """Return a response as it travels."""
        return cast("bytes", message) if self.serializer is None else self.serializer(message)

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call.

        Raises:
            grpc.aio.AbortError: always.
        """
        await self.abort_with_status(_Status(code, details))

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call.

        Raises:
            grpc.aio.AbortError: always.
        """
        self.status = status
        raise grpc.aio.AbortError


class _Status(grpc.Status):
    """A code and its words."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self.code = code
        self.details = details
        self.trailing_metadata = ()


class _Details(grpc.HandlerCallDetails):
    """Which method, and what came with the call."""

    def __init__(self, method: str, metadata: Metadata) -> None:
        self.method = method
        self.invocation_metadata = metadata


class Passing:
    """Answers what a front end has handed over.

    Args:
        front: of ``ext.front.door``.
        paths: of its methods, by their numbers.
        admitted: those whose callers are only let in here.
        guards: of every call, as with grpcio.
        handlers: of the methods.
        ahead_max: bytes that may be ahead of a stream's reader before its handler waits.
    """

    def __init__(
        self,
        front: Any,
        paths: Sequence[str],
        *,
        admitted: frozenset[str],
        guards: Guards,
        handlers: Handlers,
        ahead_max: int,
    ) -> None:
        self._front = front
        self._paths = paths
        self._admitted = admitted
        self._guards = guards
        self._handlers = handlers
        self._ahead_max = ahead_max
        self._calls: dict[int, tuple[asyncio.Task[bytes], PassedContext]] = {}
        self._leaving = False

    def look(self) -> None:
        """Begin calls, end those whose callers are gone, go on with those whose readers have read."""
        for name, method, metadata, message, left_ms, terminal in self._front.handed():
            self._begin(name, self._paths[method], metadata, message, left_ms, terminal)
        for name, gone, ahead in self._front.told():
            task, context = self._calls.get(name, (None, None))
            if task is None or context is None:
                continue
            if gone:
                task.cancel()
            else:
                context.take(ahead)

    def leave(self) -> None:
        """End what is still under way: its callers are told to go elsewhere."""
        self._leaving = True
        for task, _ in self._calls.values():
            task.cancel()

    async def ended(self) -> None:
        """Return when all calls have."""
        while self._calls:
            await asyncio.wait([task for task, _ in self._calls.values()])
            await asyncio.sleep(0)  # what their ends call

    def _begin(
        self,
        name: int,
        path: str,
        metadata: list[tuple[str, bytes]],
        message: bytes,
        left_ms: int | None,
        terminal: bytes,
    ) -> None:
        context = PassedContext(
            metadata,
            left_ms,
            terminal.decode("ascii", "replace"),
            lambda data: self._front.write(name, data),
            self._ahead_max,
        )
        answer = self._admit if path in self._admitted else self._call
        task = asyncio.create_task(_in_time(answer, path, context, message))
        self._calls[name] = task, context
        # Here and not in the task: one that is cancelled before it begins has no line that runs.
        task.add_done_callback(lambda task: self._end(name, path, context, task))

    def _end(self, name: int, path: str, context: PassedContext, task: asyncio.Task[bytes]) -> None:
        del self._calls[name]
        if task.cancelled():
            leaving = status_of(Refusal("SHUTTING_DOWN", retry_after_ms=_RETRY_MS))
            self._front.fail(name, *(on_the_wire(leaving) if self._leaving else _GONE))
            return
        error = task.exception()
        if error is None:
            self._front.respond(name, task.result())
            return
        status: grpc.Status | None = None
        if isinstance(error, TimeoutError):
            status = status_of(Refusal("DEADLINE_EXCEEDED"))
        elif isinstance(error, grpc.aio.AbortError):
            status = context.status
        elif isinstance(error, Refusal):
            status = status_of(error)
        else:
            _log.error("passed_call_failed", method=path, exc_info=error)
        self._front.fail(name, *on_the_wire(status or status_of(Refusal("INTERNAL"))))

    async def _admit(self, path: str, context: PassedContext, message: bytes) -> bytes:
        """Let in a stream that came with a token; its messages do not come this way."""
        del message
        self._guards.admit(path, cast("Any", context))
        return b""

    async def _call(self, path: str, context: PassedContext, message: bytes) -> bytes:
        details = _Details(path, context.invocation_metadata())

        async def find(details: grpc.HandlerCallDetails) -> Any:
            return self._handlers.find(details)

        _check_own(self._handlers.find(details), message, context.terminal)
        handler: Any = await self._guards.intercept_service(find, details)
        context.serializer = handler.response_serializer
        if handler.unary_unary is not None:
            return context.serialized(await handler.unary_unary(message, context))
        if handler.unary_stream is None:
            await context.abort_with_status(status_of(Refusal("UNIMPLEMENTED")))
        answers = handler.unary_stream(message, context)
        if inspect.isasyncgen(answers):
            async with contextlib.aclosing(answers):
                async for answer in answers:
                    await context.write(answer)
        else:
            await answers
        return b""


async def _in_time(answer: Answer, path: str, context: PassedContext, message: bytes) -> bytes:
    """Answer before the call's deadline.

    Raises:
        TimeoutError: it has passed.
    """
    left_s = context.time_remaining()
    if left_s == 0:
        raise TimeoutError
    async with asyncio.timeout(left_s):
        return await answer(path, context, message)


def _check_own(handler: Any, message: bytes, terminal: str) -> None:
    """A caller whose certificate names a terminal speaks for no other, here either."""
    if not terminal or handler is None or handler.request_deserializer is None:
        return
    try:
        request = handler.request_deserializer(message)
    except DecodeError:
        return  # the guards say so
    if getattr(request, "terminal_id", terminal) != terminal:
        raise invalid("terminal_id", "the caller's own")


def _as_grpcio(name: str, value: bytes) -> tuple[str, str | bytes]:
    if name.endswith("-bin"):
        return name, base64.b64decode(value + b"=" * (-len(value) % 4))
    return name, value.decode("ascii", "replace")
