"""A whole block without a disk: decide, apply, seal, append, in a directory in memory.

What is left of the engine when syncing costs nothing. The mean nanoseconds that an authorization
spends in each phase are in the result's `extra_info`.
"""

# ruff: noqa: S101 - a benchmark checks what it measured
from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bench.disk import is_disk
from bench.workload import Draws, draws, make_campus, open_campus
from ext.benchmark import Campus

ACCOUNTS: Final = 50_000
ROUNDS: Final = 30
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - what is wanted here is memory


@pytest.fixture(name="campus", scope="module")
def _campus() -> Iterator[Campus]:
    if not MEMORY.is_dir() or is_disk(MEMORY):
        pytest.skip(f"{MEMORY} is not in memory")
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=MEMORY))
    try:
        campus = open_campus(make_campus(directory / "campus", ACCOUNTS), ACCOUNTS)
        yield campus
        campus.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(name="drawn", scope="module")
def _drawn() -> Draws:
    return draws(ACCOUNTS)


@pytest.mark.parametrize("size", [1, 128, 1_024, 8_192])
def test_block(benchmark: Any, campus: Campus, drawn: Draws, size: int) -> None:
    """One block of one size."""
    arguments = (1, size, drawn.accounts, drawn.terminals, drawn.amounts)
    campus.authorize(*arguments)
    found = benchmark.pedantic(campus.authorize, args=arguments, rounds=ROUNDS)
    assert found["approved"] == size
    phases = campus.authorize(ROUNDS, *arguments[1:])
    benchmark.extra_info |= {
        name: round(statistics.median(phases[name]) / size)
        for name in ("decide_ns", "seal_ns", "append_ns")
    }
