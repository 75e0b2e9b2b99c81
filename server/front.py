"""The native front end as the server sees it: its methods, its words, its life.

It answers taps in threads of its own (``ext/front``). What it does not know by itself, it asks here:
a refusal's words, once each, and the methods that are not hot, see ``server.passed``.

**Source:** regulation 五.4; the gRPC over HTTP/2 protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from core.catalogue import BY_NAME
from core.refusals import Refusal
from ext.errors import Malformed, Refused
from ext.wire import METHODS
from server.config import split_address
from server.errors_map import refusal_of, status_of
from server.passed import Passing, on_the_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ext.engine import Engine
    from server.config import Settings
    from server.interceptors.wrapping import Guards
    from server.passed import Handlers

SERVICE: Final = "/campuscard.v1.TerminalService/"
CONGESTION: Final = b"cubic"
"""How connections of terminals share a network. BBR, which some systems have chosen for all, keeps each
to four packets for 200 ms every ten seconds to find out how fast it is: too few where many calls share
one."""
_BACKLOG: Final = 1_024
_LOOK_S: Final = 0.02
_SPARE_CORES: Final = 4
"""Front end, sequencer and committer leave one then."""
_SPIN_US: Final = 50
_MALFORMED: Final = frozenset({"REQUEST_MALFORMED", "FIELD_INVALID"})
_TELL_S: Final = 2
"""For telling, after the grace, those whose calls have not ended."""


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
        self._grace_s = settings.server.drain_seconds
        methods = _methods(settings, handlers, passed)
        self._socket = _listening(settings.front_address)
        self._front = _DOOR.Front(engine, self._socket, methods, words, _options(settings))
        self._passing = Passing(
            self._front,
            [path.decode("ascii") for path, *_ in methods],
            admitted=frozenset({SERVICE + "AuthorizeStream"}),
            guards=guards,
            handlers=handlers,
            ahead_max=_DOOR.AHEAD_BYTES,
        )
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
        asyncio.get_running_loop().add_reader(self._front.eventfd, self._passing.look)
        self._front.start()

    async def stop(self) -> None:
        """Tell all connections to leave, let calls under way finish, close."""
        self._front.leave()
        await self._all_gone(self._grace_s)
        self._passing.leave()
        await self._all_gone(_TELL_S)
        await asyncio.to_thread(self._front.stop)
        asyncio.get_running_loop().remove_reader(self._front.eventfd)
        self._passing.look()
        await self._passing.ended()
        self._socket.close()

    async def _all_gone(self, seconds: float) -> None:
        """Wait, that long at most, until there is no connection."""
        ends = time.monotonic() + seconds
        while self._front.open and time.monotonic() < ends:  # noqa: ASYNC110 - threads set no event
            await asyncio.sleep(_LOOK_S)

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


def _listening(address: str) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(f"front.address: cannot listen on {address}: {error.strerror}") from error
    with contextlib.suppress(OSError):  # a kernel without it
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)
    made.setblocking(False)
    return made


def _methods(
    settings: Settings, handlers: Handlers, passed: Sequence[str]
) -> list[tuple[bytes, int, int, int]]:
    limits = settings.limits
    hot = {SERVICE + name: (_DOOR.UNARY, op, limits.message_bytes) for name, op in METHODS.items()}
    hot[SERVICE + "AuthorizeBatch"] = (_DOOR.BATCH, 0, limits.batch_message_bytes)
    hot[SERVICE + "AuthorizeStream"] = (_DOOR.STREAM, 0, limits.message_bytes)
    rest = {
        path: (_DOOR.FED if handlers.streams(path) else _DOOR.PASSED, 0, limits.message_bytes)
        for path in passed
        if path not in hot
    }
    return [(path.encode("ascii"), *how) for path, how in {**hot, **rest}.items()]


def _options(settings: Settings) -> dict[str, int]:
    front = settings.front
    spare = (os.cpu_count() or 1) >= _SPARE_CORES
    return {
        **{name: getattr(front, name) for name in type(front).model_fields if name in _DOOR.BOUNDS},
        "spin_us": (_SPIN_US if spare else 0) if front.spin_us is None else front.spin_us,
        "stream_in_flight": settings.server.stream_in_flight,
        "grace_ms": (settings.server.drain_seconds + _TELL_S) * 1_000,
        "rate": settings.limits.terminal_rate,
        "burst": settings.limits.terminal_burst,
    }
