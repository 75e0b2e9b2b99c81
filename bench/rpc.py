"""The whole way: clients, grpcio, the server process, the journal, and back.

The clients send bytes made beforehand and read the answers after the clock has stopped, so that
what is measured is the server and the gRPC library on both sides, on one machine together.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

from bench.disk import Device, RawFile, block_bytes, is_disk
from bench.requests import Requests, approved_batch, approved_single
from bench.rows import Row, paired_ratio, percentile, progress
from bench.serving import CALL_S, Served, serving
from bench.workload import Draws, Scale, draws
from campuscard.v1 import terminal_service_pb2_grpc
from server.front import available

ACCOUNTS: Final = 50_000
BATCH: Final = 1_000
BATCH_TARGET: Final = 300_000.0
CALLERS: Final = 64
_BATCH_CALLERS: Final = 8  # batches under way at once on the one connection
_RAW_SLICE_S: Final = 0.15
_NS: Final = 1_000_000_000
SERVICE: Final = "/campuscard.v1.TerminalService/"
CHANNEL: Final = (
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.enable_retries", 0),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How authorizations are sent."""

    name: str
    method: str
    callers: int
    items: int  # authorizations of one call
    first_calls: int  # of the probe
    target: float | None = None


SHAPES: Final = (
    Shape(f"rpc grpcio unary {CALLERS}x1", "Authorize", CALLERS, 1, 500),
    Shape(f"rpc grpcio batch {BATCH}", "AuthorizeBatch", _BATCH_CALLERS, BATCH, 20, BATCH_TARGET),
)


@dataclass(slots=True)
class Slices:
    """What the slices of one row measured."""

    rate: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    call_ns: list[int] = field(default_factory=list)
    block: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield one row for every shape."""
    count, seconds = scale.choose((10, 2.0), (4, 0.7), (1, 0.05))
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    raw = RawFile(directory, scale.file_bytes)
    drawn = draws(accounts)
    try:
        with serving(directory, accounts, segment_bytes=scale.file_bytes) as served:
            for shape in SHAPES:
                progress(shape.name)
                clients = Clients(served, shape, drawn)
                found = slices(clients, raw, Device(directory), count, seconds)
                clients.close()
                yield row(found, shape, accounts, durable=is_disk(directory))
    finally:
        raw.close()
    if available():
        from bench import native  # noqa: PLC0415 - not there where nghttp2 was missing

        yield from native.measure(directory / "native", scale)


class Clients:
    """Callers of one shape against a server."""

    def __init__(self, served: Served, shape: Shape, drawn: Draws) -> None:
        self.served = served
        self.shape = shape
        self._channel = grpc.insecure_channel(served.address, options=CHANNEL)
        stub = terminal_service_pb2_grpc.TerminalServiceStub(self._channel)
        self._requests = Requests(drawn, lambda request: stub.SignIn(request, timeout=CALL_S))

    def close(self) -> None:
        """End the connection that signed terminals in."""
        self._channel.close()

    def messages(self, calls: int) -> list[bytes]:
        """Make requests that no server has seen."""
        if self.shape.items == 1:
            return self._requests.singles(calls)
        return self._requests.batches(calls, self.shape.items)

    def send(self, messages: Sequence[bytes]) -> tuple[float, list[int]]:
        """Send them all over one connection; seconds, and nanoseconds of each call.

        Raises:
            RuntimeError: an authorization was not approved.
        """
        seconds, calls, answers = asyncio.run(self._send(messages))
        read = approved_single if self.shape.items == 1 else approved_batch
        approved = sum(map(read, answers))
        if approved != len(messages) * self.shape.items:
            raise RuntimeError(f"only {approved} authorizations were approved")
        return seconds, calls

    async def _send(self, messages: Sequence[bytes]) -> tuple[float, list[int], list[bytes]]:
        waiting, calls, answers = iter(messages), [], []
        async with grpc.aio.insecure_channel(self.served.address, options=CHANNEL) as channel:
            await channel.channel_ready()
            method: Any = channel.unary_unary(SERVICE + self.shape.method)

            async def caller() -> None:
                for message in waiting:
                    began = time.perf_counter_ns()
                    answers.append(await method(message, timeout=CALL_S))
                    calls.append(time.perf_counter_ns() - began)

            began = time.perf_counter()
            await asyncio.gather(*(caller() for _ in range(self.shape.callers)))
            return time.perf_counter() - began, calls, answers


def slices(clients: Clients, raw: RawFile, device: Device, count: int, seconds: float) -> Slices:
    """Alternate calls and raw writes of the blocks that the server made of them."""
    found = Slices()
    calls, raw_blocks = clients.shape.first_calls, 8
    for number in range(count + 1):
        messages = clients.messages(calls)
        before, moved_before = clients.served.metrics(), device.counts()
        took, call_ns = clients.send(messages)
        moved = device.since(moved_before)
        after = clients.served.metrics()
        blocks = _grown(before, after, "campuscard_blocks_total")
        block = _grown(before, after, "campuscard_records_total") / blocks
        raw_ns = raw.write(raw_blocks, block_bytes(round(block)))
        raw_blocks = max(4, int(_RAW_SLICE_S * _NS * len(raw_ns) / sum(raw_ns)))
        if number == 0:  # warmed up
            calls = max(clients.shape.callers * 2, int(calls * seconds / took))
            continue
        done = calls * clients.shape.items
        found.rate.append(done / took)
        found.raw.append(block * len(raw_ns) * _NS / sum(raw_ns))
        found.call_ns += call_ns
        found.block.append(block)
        if moved is not None:
            found.written.append(moved[0] / done)
    return found


def _grown(before: dict[str, float], after: dict[str, float], name: str) -> float:
    return after[name] - before[name]


def row(found: Slices, shape: Shape, accounts: int, *, durable: bool) -> Row:
    """Summarize the slices."""
    return Row(
        name=shape.name,
        value=statistics.median(found.rate),
        unit="authorizations/s",
        raw_limit=statistics.median(found.raw),
        ratio=paired_ratio(found.rate, found.raw),
        p50_ms=percentile(found.call_ns, 0.5) / 1e6,
        p99_ms=percentile(found.call_ns, 0.99) / 1e6,
        durable=durable,
        accounts=accounts,
        block=round(statistics.median(found.block), 1),
        target=shape.target,
        detail={
            "device_bytes": round(min(found.written), 1) if found.written else None,
            "callers": shape.callers,
            "connections": 1,
            "items_per_call": shape.items,
            "slices": len(found.rate),
        },
    )
