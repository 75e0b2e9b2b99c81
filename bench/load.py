"""Terminals of a load in C on the native front end: their connections, keys and answers."""

from __future__ import annotations

import contextlib
import socket
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import grpc

from bench.arrivals import NS
from bench.serving import CALL_S, Served
from bench.workload import TERMINALS, Draws, terminal_name
from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc
from ext.front import load
from server.front import CONGESTION

if TYPE_CHECKING:
    from types import TracebackType

    from bench.certificates import Certificates
    from ext.histogram import Histogram

SEQS: Final = 65_000


@dataclass(frozen=True, slots=True)
class Shape:
    """How authorizations are sent.

    Attributes:
        name: of the row.
        kind: of ``ext.front.load``.
        connections: kept open.
        in_flight: calls of a connection at once, messages of its stream.
        items: authorizations of a call.
        target: per second.
        p99_ms: at most.
        cpu_us: of the server's process for a call, at most.
        mutual_tls: TLS 1.3 with a certificate for each connection, which is a terminal of its own.
    """

    name: str
    kind: int
    connections: int
    in_flight: int
    items: int = 1
    target: float | None = None
    p99_ms: float | None = None
    cpu_us: float | None = None
    mutual_tls: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of calls gave."""

    calls_per_s: float
    rate: float  # authorizations a second
    took: Histogram
    block: float  # authorizations of one commit
    cpu_us: float  # of the server's process for a call
    where_us: dict[str, float]  # how long one authorization is in each part of its way,
    work_us: dict[str, float]  # and how much of somebody's time it takes, by the server's counters


class Terminals:
    """Callers of one shape against a server. Use it in a ``with``.

    Args:
        served: the server.
        shape: how they call.
        drawn: who pays how much.
        certificates: of the terminals, where the shape has TLS.
        own: each connection is a terminal of its own, from ``first`` on; else all take the keys of
            one terminal after another.
        first: number of the first terminal.
        address: where they call; empty: the native front end.
    """

    def __init__(
        self,
        served: Served,
        shape: Shape,
        drawn: Draws,
        *,
        certificates: Certificates | None = None,
        own: bool = False,
        first: int = 1,
        address: str = "",
    ) -> None:
        self._served = served
        self._address = address or served.front_address
        self.shape = shape
        self._draws = drawn
        self._certificates = certificates if shape.mutual_tls else None
        self._own = own or shape.mutual_tls
        self._drawn = 0
        self._terminal = first - 1
        self._sockets: list[socket.socket] = []
        self._load = self._connect(echo=False)
        if self._own:
            self._load.sign_in(*self._sign_in(shape.connections))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self._sockets:
            one.close()

    def run(self, calls: int, *, gaps_ns: array[int] | None = None) -> Ran:
        """Make calls; all must be approved.

        Args:
            calls: how many; of a stream: messages.
            gaps_ns: see ``ext.front.load``; None: closed loop.

        Raises:
            RuntimeError: an authorization was not approved, or none was made.
        """
        items = self.shape.items
        if not self._own:
            self._load.sign_in(*self._sign_in(calls * items // (SEQS - items) + 1))
        before, cpu_before = self._served.metrics(), self._served.cpu_ns()
        ns, took, answered, approved, failed = self._go(self._load, calls, gaps_ns)
        cpu = self._served.cpu_ns() - cpu_before
        after = self._served.metrics()
        done = answered * items
        self._drawn += done
        if failed or approved != done or not done:
            raise RuntimeError(f"{approved} of {done} approved, {failed} calls failed")
        blocks = after["campuscard_blocks_total"] - before["campuscard_blocks_total"]
        block = done / max(1.0, blocks)
        return Ran(
            answered * NS / ns, done * NS / ns, took, block, cpu / answered / 1e3,
            where_us=where_us(before, after), work_us=work_us(before, after, done),
        )  # fmt: skip

    def echo(self, calls: int) -> float:
        """Return authorizations a second that the front end refuses by itself, in this shape."""
        one = self._connect(echo=True)
        count = self.shape.connections if self._own else TERMINALS
        one.sign_in(b"".join(map(padded, range(1, count + 1))), array("I", [1]) * count)
        most = SEQS * count // self.shape.items // 2
        ns, _, answered, _, _ = self._go(one, min(calls, most), None)
        return answered * self.shape.items * NS / ns

    def stop(self) -> None:
        """End a run of another thread."""
        self._load.stop()

    def _go(
        self, one: load.Load, calls: int, gaps_ns: array[int] | None
    ) -> tuple[int, Histogram, int, int, int]:
        drawn = self._draws
        return one.run(calls, drawn.accounts, drawn.amounts, drawn=self._drawn, gaps_ns=gaps_ns)

    def _connect(self, *, echo: bool) -> load.Load:
        shape, address = self.shape, self._address
        sockets = [connected(address) for _ in range(shape.connections)]
        self._sockets += sockets
        files = self._certificates
        return load.Load(
            sockets,
            address,
            shape.kind,
            in_flight=shape.in_flight,
            items=shape.items,
            own=self._own,
            echo=echo,
            ca=str(files.ca) if files else "",
            pem=[str(path) for path in files.terminals[: shape.connections]] if files else [],
        )

    def _sign_in(self, count: int) -> tuple[bytes, array[int]]:
        """Sign so many terminals in, the next ones in turn; names and batches."""
        names, batches = b"", array("I")
        dial = self._dialer()
        for _ in range(count):
            number = self._terminal % TERMINALS + 1 if not self._own else self._terminal + 1
            self._terminal += 1
            with dial(number) as channel:
                stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
                request = pb.SignInRequest(terminal_id=terminal_name(number))
                answer = stub.SignIn(request, timeout=CALL_S)
            if not answer.batch_no:
                raise RuntimeError(f"{terminal_name(number)} cannot sign in")
            names += padded(number)
            batches.append(answer.batch_no)
        return names, batches

    def _dialer(self) -> Callable[[int], grpc.Channel]:
        address, files = self._address, self._certificates
        if files is None:
            return lambda _: grpc.insecure_channel(address)
        ca = files.ca.read_bytes()

        def dial(number: int) -> grpc.Channel:
            pem = files.terminals[number - 1].read_bytes()
            return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, pem, pem))

        return dial


def where_us(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return how long an authorization is in each part of its way, microseconds.

    It waits for all of its turn and block, so that the parts together are its time in the server, see
    docs/ARCHITECTURE.md. The front end's are 0 for calls that grpcio took.
    """

    def grown(name: str) -> float:
        return after[name] - before[name]

    found = {}
    for part in ("parse", "queue", "decide", "hash", "commit", "reply"):
        prefix = "front_" if part in {"parse", "reply"} else ""
        count, total = (
            grown(f'campuscard_{prefix}command_seconds_{of}{{part="{part}"}}')
            for of in ("count", "sum")
        )
        found[part] = total * 1e6 / max(1.0, count)
    return found


def work_us(before: dict[str, float], after: dict[str, float], done: int) -> dict[str, float]:
    """Return how much of a thread's time an authorization takes, microseconds.

    A block's is divided among all in it. The front end's are 0 for calls that grpcio took.
    """

    def grown(name: str) -> float:
        total = f"campuscard_{name}_seconds_total"
        return (after[total] - before[total]) * 1e6 / done

    return {
        "parse": grown("front_read"),
        "decide": grown("decide"),
        "hash": grown("hash"),
        "commit": grown("commit"),
        "reply": grown("answer") + grown("front_answer") + grown("front_send"),
    }


def padded(number: int) -> bytes:
    """Return a terminal's name as the load wants it."""
    return terminal_name(number).encode("ascii").ljust(16, b"\0")


def connected(address: str) -> socket.socket:
    """Connect to HOST:PORT without blocking from then on."""
    host, port = address.rsplit(":", 1)
    made = socket.create_connection((host, int(port)), timeout=CALL_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # a kernel without it
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)
    made.setblocking(False)
    return made
