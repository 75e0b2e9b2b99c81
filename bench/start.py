"""A server of a million accounts: its start after a power cut, its memory, its checkpoints."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.disk import is_disk
from bench.inside import Checkpoints, Inside
from bench.rows import Row, percentile, progress
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
    """Yield start, memory under load, and checkpoint."""
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
        checkpoint(served)
        yield Row(
            name=f"memory {accounts}", value=served.memory_bytes() / 1e6, unit="MB",
            accounts=accounts, target=MEMORY_MB, least=False, detail={"what": "RssAnon"},
        )  # fmt: skip
    batches = scale.choose(2_000, 500, 4)
    yield checkpoint_row(directory / "campus", accounts, batches, durable=durable)


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


def checkpoint_row(campus: Path, accounts: int, batches: int, *, durable: bool) -> Row:
    """Pay without and with checkpoints running; the longest block of the latter."""
    progress("checkpoints under load")
    with Inside(campus, accounts) as inside:
        inside.pay(inside.requests.batches(batches // 4, BATCH), BATCH)
        alone = inside.pay(inside.requests.batches(batches, BATCH), BATCH)
        messages = inside.requests.batches(batches, BATCH)
        with Checkpoints(inside.engine) as checkpoints:
            beside = inside.pay(messages, BATCH)
    return Row(
        name=f"checkpoint {accounts}", value=max(beside) / 1e6, unit="ms", durable=durable,
        accounts=accounts, block=BATCH, target=WORST_MS, least=False,
        p50_ms=percentile(beside, 0.5) / 1e6, p99_ms=percentile(beside, 0.99) / 1e6,
        detail={
            "blocks": len(beside), "checkpoints": len(checkpoints.seconds),
            "checkpoint_s": round(statistics.median(checkpoints.seconds), 3),
            "without": {
                "worst_ms": round(max(alone) / 1e6, 3),
                "p50_ms": round(percentile(alone, 0.5) / 1e6, 3),
                "p99_ms": round(percentile(alone, 0.99) / 1e6, 3),
            },
        },
    )  # fmt: skip
