"""The line between a terminal and its server, which can be made as bad as lines are.

It passes bytes on unchanged. What it does to them is done at the places where a terminal's money is at
stake: an answer that was on its way is lost, a request never arrives, nothing passes for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message

from campuscard.v1 import terminal_service_pb2 as pb
from clients.certify.frames import END_STREAM, Call, Frame, Kind, NotHttp2Error, Requests, Splitter

READ: Final = 65_536
HELD_MAX: Final = 4 << 20  # bytes that wait while nothing passes
SENT_MAX: Final = 100_000  # requests remembered
ENDS_S: Final = 10.0
MONEY: Final = frozenset(
    {
        "Authorize",
        "AuthorizeStream",
        "AuthorizeBatch",
        "Hold",
        "Capture",
        "Release",
        "Reverse",
        "Refund",
    }
)
Result = TypeVar("Result")


class Harm(Enum):
    """What can happen to a call."""

    ANSWER_LOST = auto()  # decided; the connection breaks before a byte of the answer is out
    REQUEST_LOST = auto()  # the connection breaks before the request is in
    SILENCE = auto()  # decided; from then on nothing passes, until it does again


@dataclass(slots=True)
class Fault:
    """A harm that waits for calls of some methods; ``struck`` counts those it has met."""

    harm: Harm
    methods: frozenset[str]
    times: int = 1
    struck: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as the terminal sent it; ``message`` is None where it is none of its method."""

    method: str
    message: Message | None
    timeout: str
    at_s: float


@dataclass(slots=True, eq=False)
class _Link:
    """One connection of the terminal and its other half."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    requests: Requests = field(default_factory=Requests)
    asked: dict[int, Call] = field(default_factory=dict)  # streams with a request under way
    held: list[tuple[asyncio.StreamWriter, bytes]] = field(default_factory=list)
    held_bytes: int = 0

    def cut(self) -> None:
        """Break it, both ways, with nothing more said."""
        self.near.transport.abort()
        self.far.transport.abort()


class Proxy:
    """Listens for a terminal; its loop runs in a thread of its own. Methods are for other threads."""

    def __init__(
        self,
        upstream: tuple[str, int],
        *,
        listen: tuple[str, int],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.upstream = upstream
        self.port = listen[1]
        self.sent: list[Sent] = []
        self.broken = ""  # why the last connection was no HTTP/2
        self._host = listen[0]
        self._tls = tls
        self._faults: list[Fault] = []
        self._links: set[_Link] = set()
        self._silent = False
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line", daemon=True)

    def start(self) -> None:
        """Take connections; ``port`` is where.

        Raises:
            OSError: the address cannot be had.
        """
        self._thread.start()
        self._do(self._listen())

    def stop(self) -> None:
        """End."""
        if self._thread.is_alive():
            self._do(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(ENDS_S)

    # -- weather ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def harm(
        self, harm: Harm, methods: frozenset[str] = MONEY, *, times: int = 1
    ) -> Iterator[Fault]:
        """Let the next calls of these methods meet with a harm, inside of the ``with``."""
        fault = Fault(harm, methods, times)
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)
            self.speak()

    def speak(self) -> None:
        """End a silence: what was held arrives, late."""
        self._do(self._release())

    def down(self) -> None:
        """Take no connection and break those there are."""
        self._do(self._close())

    def up(self) -> None:
        """Take connections again, at the same port."""
        self._do(self._listen())

    # -- the loop's side --------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ENDS_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.cut()

    async def _release(self) -> None:
        self._silent = False
        for link in list(self._links):
            for writer, raw in link.held:
                writer.write(raw)
            link.held.clear()
            link.held_bytes = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, far)
        self._links.add(link)
        ways = [
            asyncio.ensure_future(self._pass(link, reader, far, inward=True)),
            asyncio.ensure_future(self._pass(link, far_reader, writer, inward=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._links.discard(link)
            link.cut()

    async def _pass(
        self,
        link: _Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        inward: bool,
    ) -> None:
        splitter = Splitter(preface=inward)
        with contextlib.suppress(OSError):
            while data := await reader.read(READ):
                try:
                    for frame in splitter.feed(data):
                        if not (self._asks(link, frame) if inward else self._answers(link, frame)):
                            return
                        self._forward(link, writer, frame.raw)
                except NotHttp2Error as error:
                    self.broken = str(error)
                    return
                await writer.drain()

    def _forward(self, link: _Link, writer: asyncio.StreamWriter, raw: bytes) -> None:
        if not self._silent:
            writer.write(raw)
            return
        link.held_bytes += len(raw)
        if link.held_bytes > HELD_MAX:
            raise NotHttp2Error("too much is sent into the silence")
        link.held.append((writer, raw))

    def _asks(self, link: _Link, frame: Frame) -> bool:
        """Note a frame of the terminal; False: the line breaks before it."""
        for call, message in link.requests.feed(frame):
            if len(self.sent) < SENT_MAX:
                sent = Sent(
                    call.method, _read(call.method, message), call.timeout, time.monotonic()
                )
                self.sent.append(sent)
            link.asked[frame.stream] = call
            if self._struck(call, Harm.REQUEST_LOST):
                return False
        return True

    def _answers(self, link: _Link, frame: Frame) -> bool:
        """Note a frame of the server; False: the line breaks before it.

        Only data is an answer: a refusal with a status decides nothing.
        """
        if frame.flags & END_STREAM and frame.kind in {Kind.DATA, Kind.HEADERS}:
            link.requests.calls.pop(frame.stream, None)
        if frame.kind != Kind.DATA or frame.stream not in link.asked:
            return True
        call = link.asked.pop(frame.stream)
        if self._struck(call, Harm.ANSWER_LOST):
            return False
        if self._struck(call, Harm.SILENCE):
            self._silent = True
        return True

    def _struck(self, call: Call, harm: Harm) -> bool:
        for fault in self._faults:
            if fault.harm is harm and call.method in fault.methods and fault.struck < fault.times:
                fault.struck += 1
                return True
        return False


def _read(method: str, raw: bytes) -> Message | None:
    kind = getattr(pb, f"{method}Request", None)
    try:
        return None if kind is None else kind.FromString(raw)
    except DecodeError:
        return None
