"""The native front end as the server sees it: its methods, its words, the calls it leaves to Python.

It answers taps in threads of its own (``ext/front``). What it does not know by itself, it asks here:
a refusal's words, once each, and the methods that are not hot, which go through the same guards and
handlers as with grpcio.

**Source:** regulation 五.4; the gRPC over HTTP/2 protocol.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import os
import socket
import time
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote_from_bytes

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from core.catalogue import BY_NAME
from core.refusals import Refusal, invalid
from ext.errors import Malformed, Refused
from ext.wire import METHODS
from server.config import split_address
from server.errors_map import refusal_of, status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ext.engine import Engine
    from server.config import Settings
    from server.interceptors.wrapping import Guards

    Answer = Callable[[str, "PassedContext", bytes], Awaitable[bytes]]

SERVICE: Final = "/campuscard.v1.TerminalService/"
DETAILS: Final = "grpc-status-details-bin"
_BACKLOG: Final = 1_024
_LOOK_S: Final = 0.02
_SPARE_CORES: Final = 4
"""Front end, sequencer and committer leave one then."""
_SPIN_US: Final = 50
_SAFE: Final = bytes(range(0x20, 0x7F)).replace(b"%", b"")
_MALFORMED: Final = frozenset({"REQUEST_MALFORMED", "FIELD_INVALID"})

_log = structlog.get_logger("campuscard.front")


def _built() -> Any:
    """Return ``ext.front.door``; None where nghttp2's headers were missing when this was built."""
    try:
        return importlib.import_module("ext.front.door")
    except ImportError:
        return None


_DOOR: Final = _built()


def available() -> bool:
    """Tell whether the native front end was built."""
    return _DOOR is not None


def words(
    name: str, field: str, detail: str, retry_after_ms: int, allowed_bytes: int
) -> tuple[int, bytes, bytes]:
    """Make the status of a refusal that the front end has met for the first time.

    Args:
        name: reason of the catalogue.
        field: path of the field at fault, empty when none is.
        detail: what it must be.
        retry_after_ms: when to send the same again; 0: as the catalogue says.
        allowed_bytes: of a request that was larger; 0 when that is not the matter.

    Returns:
        Code of gRPC, ``grpc-message`` and ``grpc-status-details-bin`` as they travel.
    """
    if allowed_bytes:
        refusal = Refusal(name, allowedBytes=allowed_bytes)
    elif name in _MALFORMED:
        refusal = refusal_of(Malformed(name, field, detail))
    elif name in BY_NAME and not BY_NAME[name].retryable:
        refusal = Refusal(name)
    else:
        refusal = refusal_of(Refused(name, retry_after_ms))
    return on_the_wire(status_of(refusal))


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


class PassedContext:
    """What guards and handlers use of a ``grpc.aio.ServicerContext``, for a passed call."""

    def __init__(
        self, metadata: list[tuple[str, bytes]], left_ms: int | None, terminal: str
    ) -> None:
        self.terminal = terminal
        self._metadata = tuple(_as_grpcio(name, value) for name, value in metadata)
        self._ends = None if left_ms is None else time.monotonic() + left_ms / 1_000
        self.status: grpc.Status | None = None

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Return what the caller sent."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """Return the seconds the call still has, None without a deadline."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def code(self) -> grpc.StatusCode | None:
        """Return how the call ends, None: well, or not known yet."""
        return None if self.status is None else self.status.code

    async def abort_with_status(self, status: grpc.Status) -> None:
        """End the call.

        Raises:
            grpc.aio.AbortError: always.
        """
        self.status = status
        raise grpc.aio.AbortError


def _as_grpcio(name: str, value: bytes) -> tuple[str, str | bytes]:
    if name.endswith("-bin"):
        return name, base64.b64decode(value + b"=" * (-len(value) % 4))
    return name, value.decode("ascii", "replace")


class FrontDoor:
    """The native front end of a server.

    Args:
        settings: of the server.
        engine: started.
        guards: of every call, as with grpcio.
        handlers: of the methods that are not hot.
        passed: their full names.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        *,
        guards: Guards,
        handlers: Handlers,
        passed: Sequence[str],
    ) -> None:
        if _DOOR is None:
            raise OSError("the native front end was not built: libnghttp2-dev was missing")
        self._guards = guards
        self._handlers = handlers
        self._calls: set[asyncio.Task[None]] = set()
        self._grace_s = settings.server.drain_seconds
        self._socket = _listening(settings.front_address)
        self._methods = _methods(settings, passed)
        self._front = _DOOR.Front(engine, self._socket, self._methods, words, _options(settings))
        self._files = settings.front
        self.renew()
        host, port = self._socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def renew(self) -> None:
        """Read the certificate again: new connections get it, present ones go on.

        Raises:
            ValueError: a file cannot be used; the one before stays.
        """
        files = self._files
        if files.certificate is not None and files.key is not None:
            clients = "" if files.terminal_ca is None else str(files.terminal_ca)
            self._front.secure(str(files.certificate), str(files.key), clients)

    def start(self) -> None:
        """Take calls."""
        asyncio.get_running_loop().add_reader(self._front.eventfd, self._handed)
        self._front.start()

    async def stop(self) -> None:
        """Tell all connections to leave, let calls under way finish, close."""
        self._front.leave()
        ends = time.monotonic() + self._grace_s
        while self._front.open and time.monotonic() < ends:  # noqa: ASYNC110 - threads set no event
            await asyncio.sleep(_LOOK_S)
        await asyncio.to_thread(self._front.stop)
        asyncio.get_running_loop().remove_reader(self._front.eventfd)
        self._socket.close()

    def refuse(self, reason: str, retry_after_ms: int) -> None:
        """Refuse every command from now on.

        Args:
            reason: of the catalogue.
            retry_after_ms: when to ask again.
        """
        self._front.refuse(BY_NAME[reason].number, retry_after_ms)

    def stats(self) -> dict[str, Any]:
        """Return the front end's own figures; see ``ext.front.door``."""
        return dict(self._front.stats())

    def _handed(self) -> None:
        """Begin the calls that Python answers."""
        for name, method, metadata, message, left_ms, terminal in self._front.handed():
            path, kind = self._methods[method][0].decode("ascii"), self._methods[method][1]
            context = PassedContext(metadata, left_ms, terminal.decode("ascii", "replace"))
            answer = self._admit if kind == _DOOR.STREAM else self._call
            call = self._answer(name, answer, path, context, message)
            task = asyncio.create_task(call)
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _answer(
        self, name: int, answer: Answer, path: str, context: PassedContext, message: bytes
    ) -> None:
        status: grpc.Status | None
        try:
            response = await _in_time(answer, path, context, message)
        except TimeoutError:
            status = status_of(Refusal("DEADLINE_EXCEEDED"))
        except grpc.aio.AbortError:
            status = context.status
        except Refusal as refusal:
            status = status_of(refusal)
        except Exception as error:  # noqa: BLE001 - the caller is told, the door goes on
            _log.exception("passed_call_failed", method=path, exc_info=error)
            status = None
        else:
            self._front.respond(name, response)
            return
        self._front.fail(name, *on_the_wire(status or status_of(Refusal("INTERNAL"))))

    async def _admit(self, path: str, context: PassedContext, message: bytes) -> bytes:
        """Let in a stream that came with a token; its messages do not come this way."""
        del message
        self._guards.admit(path, cast("Any", context))
        return b""

    async def _call(self, path: str, context: PassedContext, message: bytes) -> bytes:
        details: Any = _Details(path, context.invocation_metadata())

        async def find(details: grpc.HandlerCallDetails) -> Any:
            return self._handlers.find(details)

        _check_own(self._handlers.find(details), message, context.terminal)
        handler: Any = await self._guards.intercept_service(find, details)
        if handler.unary_unary is None:
            await context.abort_with_status(status_of(Refusal("UNIMPLEMENTED")))
        response = await handler.unary_unary(message, context)
        write = handler.response_serializer
        return response if write is None else write(response)  # type: ignore[no-any-return]


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


class _Details(grpc.HandlerCallDetails):
    """Which method, and what came with the call."""

    def __init__(self, method: str, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
        self.method = method
        self.invocation_metadata = metadata


def _listening(address: str) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(f"front.address: cannot listen on {address}: {error.strerror}") from error
    made.setblocking(False)
    return made


def _methods(settings: Settings, passed: Sequence[str]) -> list[tuple[bytes, int, int, int]]:
    limits = settings.limits
    hot = {SERVICE + name: (_DOOR.UNARY, op, limits.message_bytes) for name, op in METHODS.items()}
    hot[SERVICE + "AuthorizeBatch"] = (_DOOR.BATCH, 0, limits.batch_message_bytes)
    hot[SERVICE + "AuthorizeStream"] = (_DOOR.STREAM, 0, limits.message_bytes)
    rest = {path: (_DOOR.PASSED, 0, limits.message_bytes) for path in passed if path not in hot}
    return [(path.encode("ascii"), *how) for path, how in {**hot, **rest}.items()]


def _options(settings: Settings) -> dict[str, int]:
    front = settings.front
    spare = (os.cpu_count() or 1) >= _SPARE_CORES
    return {
        **{name: getattr(front, name) for name in type(front).model_fields if name in _DOOR.BOUNDS},
        "spin_us": (_SPIN_US if spare else 0) if front.spin_us is None else front.spin_us,
        "stream_in_flight": settings.server.stream_in_flight,
        "grace_ms": max(100, settings.server.drain_seconds * 1_000),
        "rate": settings.limits.terminal_rate,
        "burst": settings.limits.terminal_burst,
    }
