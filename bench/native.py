"""The native front end: a load in C on it, over connections kept open, every answer looked at.

Server and clients share the machine. The calls are made and read without Python, so that what is
measured is the front end, the engine and the disk.
"""

from __future__ import annotations

import socket
import statistics
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import grpc

from bench.disk import RawFile, block_bytes, is_disk
from bench.rows import Row, paired_ratio, percentile, progress
from bench.serving import CALL_S, Served, serving
from bench.workload import TERMINALS, Draws, Scale, draws, terminal_name
from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc
from ext.front import load

ACCOUNTS: Final = 50_000
_SEQS: Final = 65_000
_RAW_SLICE_S: Final = 0.15
_NS: Final = 1_000_000_000


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
    """

    name: str
    kind: int
    connections: int
    in_flight: int
    items: int = 1
    target: float | None = None


SHAPES: Final = (
    Shape("rpc native unary 1x1", load.UNARY, 1, 1),
    Shape("rpc native unary 4x8", load.UNARY, 4, 8, target=45_000),
    Shape("rpc native unary 256x1", load.UNARY, 256, 1, target=100_000),
    Shape("rpc native unary 8x32", load.UNARY, 8, 32, target=250_000),
    Shape("rpc native stream 4x256", load.STREAM, 4, 256, target=600_000),
    Shape("rpc native batch 1000", load.BATCH, 1, 8, 1_000, target=800_000),
)


@dataclass(frozen=True, slots=True)
class Slice:
    """One run of a shape."""

    rate: float
    call_ns: array[int]
    block: float


class Clients:
    """Callers of one shape against a server."""

    def __init__(self, served: Served, shape: Shape, drawn: Draws) -> None:
        self._served = served
        self._shape = shape
        self._draws = drawn
        self._drawn = 0
        self._terminal = 0

    def run(self, calls: int) -> Slice:
        """Make calls over new connections; all must be approved.

        Raises:
            RuntimeError: an authorization was not approved.
        """
        shape, address = self._shape, self._served.front_address
        done = calls * shape.items
        names, batches = self._sign_in(done // (_SEQS - shape.items) + 1)
        sockets = [connected(address) for _ in range(shape.connections)]
        before = self._served.metrics()
        try:
            clients = load.Load(
                sockets, address, shape.kind, in_flight=shape.in_flight, items=shape.items
            )
            ns, call_ns, approved, failed = clients.run(
                calls, names, batches, self._draws.accounts, self._draws.amounts, self._drawn
            )
        finally:
            for one in sockets:
                one.close()
        self._drawn += done
        if failed or approved != done:
            raise RuntimeError(f"{approved} of {done} approved, {failed} calls failed")
        after = self._served.metrics()
        blocks = after["campuscard_blocks_total"] - before["campuscard_blocks_total"]
        return Slice(done * _NS / ns, call_ns, done / blocks)

    def _sign_in(self, count: int) -> tuple[bytes, array[int]]:
        names, batches = b"", array("I")
        with grpc.insecure_channel(self._served.front_address) as channel:
            stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
            for _ in range(count):
                name = terminal_name(self._terminal % TERMINALS + 1)
                self._terminal += 1
                answer = stub.SignIn(pb.SignInRequest(terminal_id=name), timeout=CALL_S)
                names += name.encode("ascii").ljust(16, b"\0")
                batches.append(answer.batch_no)
        return names, batches


def connected(address: str) -> socket.socket:
    """Connect to HOST:PORT without blocking from then on."""
    host, port = address.rsplit(":", 1)
    made = socket.create_connection((host, int(port)), timeout=CALL_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setblocking(False)
    return made


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield one row for every shape."""
    count, seconds = scale.choose((10, 3.0), (4, 1.0), (1, 0.05))
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    directory.mkdir()
    raw = RawFile(directory, scale.file_bytes)
    drawn = draws(accounts)
    try:
        with serving(directory, accounts, segment_bytes=scale.file_bytes) as served:
            for shape in SHAPES:
                progress(shape.name)
                clients = Clients(served, shape, drawn)
                found = row(shape, clients, raw, (count, seconds))
                yield replace(found, accounts=accounts, durable=is_disk(directory))
    finally:
        raw.close()


def row(shape: Shape, clients: Clients, raw: RawFile, scale: tuple[int, float]) -> Row:
    """Alternate slices of calls and raw writes of the blocks the server made of them."""
    count, seconds = scale
    least = shape.connections * shape.in_flight * 4
    warm = clients.run(max(least, 2_000 // shape.items))
    calls = max(least, int(warm.rate / shape.items * seconds))
    rates, raws, blocks, call_ns = [], [], [], array("I")
    for _ in range(count):
        found = clients.run(calls)
        raw_ns = raw.write(8, block_bytes(round(found.block)))
        more = max(4, int(_RAW_SLICE_S * _NS * len(raw_ns) / sum(raw_ns)))
        raw_ns = raw.write(more, block_bytes(round(found.block)))
        rates.append(found.rate)
        raws.append(found.block * len(raw_ns) * _NS / sum(raw_ns))
        blocks.append(found.block)
        call_ns.extend(found.call_ns)
    return Row(
        name=shape.name,
        value=statistics.median(rates),
        unit="authorizations/s",
        raw_limit=statistics.median(raws),
        ratio=paired_ratio(rates, raws),
        p50_ms=percentile(call_ns, 0.5) / 1e6,
        p99_ms=percentile(call_ns, 0.99) / 1e6,
        durable=False,
        block=round(statistics.median(blocks), 1),
        target=shape.target,
        detail={
            "connections": shape.connections,
            "in_flight": shape.in_flight,
            "items_per_call": shape.items,
            "slices": count,
        },
    )
