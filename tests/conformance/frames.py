"""HTTP/2 by hand: frames that no client library would send."""

import contextlib
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
ENHANCE_YOUR_CALM = 11
AUTHORIZE = "/campuscard.v1.TerminalService/Authorize"


def frame(kind, flags=0, stream=0, payload=b""):
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes((kind, flags))
        + struct.pack(">I", stream)
        + payload
    )


def header_block(path=AUTHORIZE, extra=()):
    """Encode a request's headers as literals that are never indexed."""
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *extra,
    ]
    return b"".join(
        b"\x00" + length(len(name)) + name.encode() + length(len(value)) + value.encode()
        for name, value in headers
    )


def length(number):
    if number < 127:
        return bytes((number,))
    rest, out = number - 127, b"\x7f"
    while rest >= 128:
        out += bytes((rest % 128 | 128,))
        rest //= 128
    return out + bytes((rest,))


def message(body):
    return b"\0" + struct.pack(">I", len(body)) + body


class Peer:
    """One connection that speaks HTTP/2 as it is told."""

    def __init__(self, address, *, greet=True):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.rest = b""
        if greet:
            self.send(PREFACE + frame(SETTINGS))

    def send(self, data):
        """Send what the other side takes; False once it takes no more."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def frames(self, seconds=10):
        """Yield (kind, flags, stream, payload) until the connection ends or time is up."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.socket.settimeout(max(0.01, ends - time.monotonic()))
            try:
                got = self.socket.recv(65_536)
            except TimeoutError:
                return
            except OSError:
                got = b""
            if not got:
                yield "closed", 0, 0, b""
                return
            self.rest += got
            while len(self.rest) >= 9:
                size = int.from_bytes(self.rest[:3])
                if len(self.rest) < 9 + size:
                    break
                head, payload = self.rest[:9], self.rest[9 : 9 + size]
                self.rest = self.rest[9 + size :]
                yield head[3], head[4], int.from_bytes(head[5:9]), payload

    def farewell(self, seconds=10):
        """Read to the end; the GOAWAY's error (None: there was none), and whether it closed."""
        error, closed = None, False
        for kind, _, _, payload in self.frames(seconds):
            if kind == GOAWAY:
                error = int.from_bytes(payload[4:8])
            closed = closed or kind == "closed"
        return error, closed

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
