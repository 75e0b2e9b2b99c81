"""A million accounts: the start after a power cut, memory, blocks beside a checkpoint."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.disk import is_disk
from bench.inside import Checkpoints, Inside
from bench.rows import ROOT, Row, percentile, progress
from bench.starting import BATCH
from bench.workload import Scale, make_campus

ACCOUNTS: Final = 1_000_000
START_S: Final = 1.5
MEMORY_MB: Final = 400.0
WORST_MS: Final = 20.0
_BATCHES: Final = 150
_LONGEST_S: Final = 120


@dataclass(frozen=True, slots=True)
class Start:
    """What one process measured."""

    process_s: float  # from exec to the first payment answered
    engine_s: float  # opening: checkpoint, hash, replay
    records: int  # replayed
    memory: int  # bytes, after paying


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield start, memory after paying, and checkpoint."""
    rounds = scale.choose(9, 2, 1)
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    durable = is_disk(directory)
    campus = directory / "campus"
    make_campus(campus, accounts, segment_bytes=scale.file_bytes)
    batches = scale.choose(_BATCHES, _BATCHES, 2)
    progress(f"start {accounts}: a checkpoint before all")
    start(campus, accounts, batches)
    starts = []
    for number in range(rounds):
        progress(f"start {number + 1} of {rounds}")
        starts.append(start(campus, accounts, batches))
    records = starts[-1].records
    process_s, engine_s = [s.process_s for s in starts], [s.engine_s for s in starts]
    yield start_row(f"start {accounts}", process_s, accounts, records, durable=durable)
    yield start_row(f"start engine {accounts}", engine_s, accounts, records, durable=durable)
    yield Row(
        name=f"memory {accounts}", value=max(s.memory for s in starts) / 1e6, unit="MB",
        accounts=accounts, target=MEMORY_MB, least=False, detail={"what": "RssAnon"},
    )  # fmt: skip
    yield checkpoint_row(campus, accounts, scale.choose(2_000, 400, 4), durable=durable)


def start(campus: Path, accounts: int, batches: int) -> Start:
    """Run one process to its end, which is sudden.

    Raises:
        RuntimeError: it failed; it has said why on standard error.
    """
    command = [sys.executable, "-m", "bench.starting", str(campus), str(accounts), str(batches)]
    paths = [str(ROOT), str(ROOT / "build" / "stubs"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        if child.stdout is None:
            raise RuntimeError("no pipe")
        first = child.stdout.readline()
        seconds = time.perf_counter() - began
        last = child.stdout.readline()
        if child.wait(_LONGEST_S) != 0:
            raise RuntimeError("an engine did not start")
    opened, ended = json.loads(first), json.loads(last)
    return Start(seconds, opened["opened_s"], opened["records"], ended["anonymous_bytes"])


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
