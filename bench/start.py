"""A server of a million accounts: its start after a power cut, its memory, its checkpoints."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.disk import is_disk
from bench.rows import Row, progress
from bench.rpc import BATCH, SHAPES, Clients
from bench.serving import CALL_S, Served, serving
from bench.workload import Scale, draws, options
from campuscard.v1 import ops_service_pb2 as ops_pb
from clients.admin.calls import Services
from ext.engine import Engine

ACCOUNTS: Final = 1_000_000
START_S: Final = 1.5
MEMORY_MB: Final = 400.0
WORST_MS: Final = 20.0
_BATCHES: Final = 150
_SHAPE: Final = SHAPES[-1]


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield start, memory and checkpoint."""
    rounds = scale.choose(9, 3, 1)
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    durable = is_disk(directory)
    with serving(directory, accounts, segment_bytes=scale.file_bytes) as served:
        progress(f"start {accounts}: a checkpoint before all")
        checkpoint(served)
        engine_s: list[float] = []
        server_s: list[float] = []
        records = 0
        for number in range(rounds):
            progress(f"start {number + 1} of {rounds}")
            pay(served, accounts)
            served.process.kill()
            seconds, records = open_engine(directory / "campus", accounts)
            engine_s.append(seconds)
            began = time.perf_counter()
            served.process.start()
            server_s.append(time.perf_counter() - began)
        yield start_row(f"start {accounts}", server_s, accounts, records, durable=durable)
        yield start_row(f"start engine {accounts}", engine_s, accounts, records, durable=durable)
        pay(served, accounts)
        memory = served.memory_bytes() / 1e6
        yield checkpoint_row(served, accounts, rounds, durable=durable)
        yield Row(
            name=f"memory {accounts}", value=memory, unit="MB", accounts=accounts,
            target=MEMORY_MB, least=False, detail={"what": "RssAnon of the server under load"},
        )  # fmt: skip


def open_engine(campus: Path, accounts: int) -> tuple[float, int]:
    """Open and close an engine where a server was killed; seconds, and records replayed."""
    began = time.perf_counter()
    engine = Engine(str(campus / "data"), str(campus / "campuscard.key"), options(accounts))
    seconds = time.perf_counter() - began
    recovered = engine.recovered
    engine.close()
    if recovered["state_seq"] == 0:
        raise RuntimeError(f"the start did not take the checkpoint: {recovered['discarded']}")
    return seconds, recovered["records"]


def start_row(
    name: str, seconds: list[float], accounts: int, records: int, *, durable: bool
) -> Row:
    """Summarize the starts."""
    return Row(
        name=name, value=statistics.median(seconds), unit="s", durable=durable, accounts=accounts,
        p50_ms=statistics.median(seconds) * 1e3, p99_ms=max(seconds) * 1e3,
        target=START_S, least=False,
        detail={"replayed_records": records, "rounds": len(seconds)},
    )  # fmt: skip


def pay(served: Served, accounts: int) -> None:
    """Let accounts pay, in batches."""
    clients = Clients(served, _SHAPE, draws(accounts))
    clients.send(clients.messages(_BATCHES))
    clients.close()


def checkpoint(served: Served) -> int:
    """Run a checkpoint; the seq it stands at."""
    with Services(served.address) as services:
        return services.ops.Checkpoint(ops_pb.CheckpointRequest(), timeout=CALL_S).seq


def checkpoint_row(served: Served, accounts: int, rounds: int, *, durable: bool) -> Row:
    """Pay while checkpoints run one after another; the longest block of all."""
    progress("checkpoints under load")
    quiet = served.metrics()["campuscard_slowest_block_seconds"]
    clients = Clients(served, _SHAPE, draws(accounts))
    messages = clients.messages(_BATCHES * rounds)
    ended = threading.Event()
    made: list[float] = []

    def checkpoints() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            checkpoint(served)
            made.append(time.perf_counter() - began)

    thread = threading.Thread(target=checkpoints)
    thread.start()
    try:
        clients.send(messages)
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError):
            clients.close()
    worst = served.metrics()["campuscard_slowest_block_seconds"]
    return Row(
        name=f"checkpoint {accounts}", value=worst * 1e3, unit="ms", durable=durable,
        accounts=accounts, block=BATCH, target=WORST_MS, least=False,
        p50_ms=statistics.median(made) * 1e3, p99_ms=max(made) * 1e3,
        detail={
            "what": "longest way of a block, commit included; p50 and p99 are whole checkpoints",
            "checkpoints": len(made), "worst_before_ms": round(quiet * 1e3, 2),
        },
    )  # fmt: skip
