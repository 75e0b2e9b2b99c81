"""Redoing a journal from its first record, every check on: what a start without state/ costs.

Checked are the CRC of every record, header, payload and trailer, the SHA-256 chain, the order of
seq and time, and after every block the hash of the whole state against the one it was sealed with.
The journal is in the page cache: it has just been written.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.disk import RawFile, block_bytes, is_disk
from bench.rows import Row, percentile, progress
from bench.workload import Scale, draws, make_campus, open_campus, options
from ext.engine import Engine

ACCOUNTS: Final = 50_000
BLOCK: Final = 1_024
TARGET: Final = 5_000_000.0
_RAW_BLOCKS: Final = 20
_NS: Final = 1_000_000_000


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield the row."""
    blocks, rounds = scale.choose((6_000, 9), (1_000, 5), (8, 2))
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    paths = make_campus(directory / "campus", accounts, segment_bytes=scale.file_bytes)
    campus, drawn = open_campus(paths, accounts), draws(accounts)
    progress(f"writing {blocks * BLOCK:,} authorizations")
    campus.authorize(blocks, BLOCK, drawn.accounts, drawn.terminals, drawn.amounts)
    campus.close()
    raw = RawFile(directory, scale.file_bytes)
    took, rates, limits = [], [], []
    records = 0
    for number in range(rounds):
        progress(f"replay {number + 1} of {rounds}")
        began = time.perf_counter()
        engine = Engine(str(paths["data"]), str(paths["key_file"]), options(accounts))
        seconds = time.perf_counter() - began
        recovered = engine.recovered
        engine.close()
        if recovered["state_seq"] != 0:
            raise RuntimeError("the start took a checkpoint")
        records = recovered["records"]
        took.append(seconds)
        rates.append(records / seconds)
        raw_ns = raw.write(_RAW_BLOCKS, block_bytes(BLOCK))
        limits.append(BLOCK * len(raw_ns) * _NS / sum(raw_ns))
    raw.close()
    yield Row(
        name="replay",
        value=statistics.median(rates),
        unit="records/s",
        raw_limit=statistics.median(limits),
        ratio=statistics.median(rates) / statistics.median(limits),
        p50_ms=percentile(took, 0.5) * 1e3,
        p99_ms=max(took) * 1e3,
        durable=is_disk(directory),
        accounts=accounts,
        block=BLOCK,
        target=TARGET,
        detail={"records": records, "rounds": rounds, "best": round(max(rates))},
    )
