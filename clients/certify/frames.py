"""HTTP/2 as a bystander reads it: frames, and the gRPC requests in them. Nothing is changed.

**Source:** RFC 9113 (frames), RFC 7541 (header compression), the gRPC over HTTP/2 protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from hpack import Decoder, HPACKError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = 9
FRAME_MAX: Final = 16_384  # nobody here allows larger ones
MESSAGE_MAX: Final = 1 << 20
STREAMS_MAX: Final = 1_024
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20


class Kind(IntEnum):
    """The kinds of frames that are looked into."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    CONTINUATION = 9


class NotHttp2Error(Exception):
    """The terminal sends what no gRPC client sends."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it came; ``raw`` is all of it. The preface is a frame of stream 0, kind -1."""

    kind: int
    flags: int
    stream: int
    raw: bytes

    @property
    def content(self) -> bytes:
        """The payload without padding and priority."""
        body = self.raw[HEAD:]
        if self.flags & PADDED and self.kind in {Kind.DATA, Kind.HEADERS}:
            body = body[1 : len(body) - body[0]]
        if self.flags & PRIORITY and self.kind == Kind.HEADERS:
            body = body[5:]
        return body


class Splitter:
    """Cuts a connection's bytes into frames."""

    def __init__(self, *, preface: bool) -> None:
        self._preface = preface
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield what is whole.

        Raises:
            NotHttp2Error: these are no frames of HTTP/2.
        """
        self._rest += data
        if self._preface:
            if not PREFACE.startswith(self._rest[: len(PREFACE)]):
                raise NotHttp2Error("the connection does not begin with HTTP/2's preface")
            if len(self._rest) < len(PREFACE):
                return
            self._preface, self._rest = False, self._rest[len(PREFACE) :]
            yield Frame(-1, 0, 0, PREFACE)
        while len(self._rest) >= HEAD:
            size = int.from_bytes(self._rest[:3])
            if size > FRAME_MAX:
                raise NotHttp2Error(f"a frame of {size} bytes")
            if len(self._rest) < HEAD + size:
                return
            raw, self._rest = self._rest[: HEAD + size], self._rest[HEAD + size :]
            stream = int.from_bytes(raw[5:9]) & 0x7FFFFFFF
            yield Frame(raw[3], raw[4], stream, raw)


@dataclass(slots=True)
class Call:
    """One call of a terminal, as far as it has been sent."""

    method: str
    timeout: str  # grpc-timeout; empty: the terminal would wait for ever
    rest: bytes = b""
    messages: int = 0


@dataclass(slots=True)
class Requests:
    """Follows one connection's calls from its frames."""

    decoder: Decoder = field(default_factory=Decoder)
    calls: dict[int, Call] = field(default_factory=dict)
    block: bytes = b""

    def feed(self, frame: Frame) -> list[tuple[Call, bytes]]:
        """Return the requests that this frame completes.

        Raises:
            NotHttp2Error: headers that cannot be read, or more than a terminal needs.
        """
        if frame.kind in {Kind.HEADERS, Kind.CONTINUATION}:
            self.block += frame.content
            if len(self.block) > MESSAGE_MAX:
                raise NotHttp2Error("headers without end")
            if frame.flags & END_HEADERS:
                self._opened(frame.stream)
        elif frame.kind == Kind.RST_STREAM:
            self.calls.pop(frame.stream, None)
        elif frame.kind == Kind.DATA and frame.stream in self.calls:
            return self._messages(self.calls[frame.stream], frame.content)
        return []

    def _opened(self, stream: int) -> None:
        try:
            headers = dict(self.decoder.decode(self.block, raw=True))
        except HPACKError as error:
            raise NotHttp2Error(f"headers: {error}") from error
        self.block = b""
        if len(self.calls) >= STREAMS_MAX:
            raise NotHttp2Error(f"more than {STREAMS_MAX} calls at once")
        path, timeout = (
            headers.get(name, b"").decode("ascii", "replace")
            for name in (b":path", b"grpc-timeout")
        )
        self.calls[stream] = Call(path.rsplit("/", 1)[-1], timeout)

    def _messages(self, call: Call, data: bytes) -> list[tuple[Call, bytes]]:
        found = []
        call.rest += data
        if len(call.rest) > MESSAGE_MAX:
            raise NotHttp2Error("a request without end")
        while len(call.rest) >= 5:
            size = int.from_bytes(call.rest[1:5])
            if len(call.rest) < 5 + size:
                break
            found.append((call, call.rest[5 : 5 + size]))
            call.rest = call.rest[5 + size :]
            call.messages += 1
        return found
