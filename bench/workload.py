"""The campus a benchmark runs on and the purchases it makes: the same every time.

Accounts are drawn evenly (a lunch queue has no favourites), terminals by Zipf's law with exponent
1 (the big canteens), amounts from 0.50 to 40 yuan. Everybody has enough money and no limit is
reached, so that every authorization is an approval: the longest way through the rules but for a
password.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bench.rows import ROOT, progress
from clients.admin.local import create
from ext.benchmark import Campus

if TYPE_CHECKING:
    from ext.engine import Options

SEED: Final = 20_261_123
MERCHANTS: Final = 40
TERMINALS: Final = 400
ONLINE_FEN: Final = 100_000_000
DRAWS: Final = 1 << 18
SEGMENT_BYTES: Final = 256 << 20
TINY_BYTES: Final = 8 << 20
SPARE_ROWS: Final = 64
REMOVE_S: Final = 5
Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: all of it, 40 seconds a kind, or just enough to see that it runs."""

    quick: bool = False
    tiny: bool = False

    def choose(self, full: Choice, quick: Choice, tiny: Choice) -> Choice:
        """Return the one for this scale."""
        return tiny if self.tiny else quick if self.quick else full

    @property
    def file_bytes(self) -> int:
        """Size of a journal segment, and of the raw file beside it."""
        return self.choose(SEGMENT_BYTES, SEGMENT_BYTES, TINY_BYTES)


@dataclass(frozen=True, slots=True)
class Draws:
    """Who pays where how much; used round and round."""

    accounts: array[int]
    terminals: array[int]
    amounts: array[int]


def draws(accounts: int, *, terminals: int = TERMINALS) -> Draws:
    """Draw purchases among accounts 1 to ``accounts``."""
    rng = random.Random(SEED)
    weights = [1 / (rank + 1) for rank in range(terminals)]
    return Draws(
        array("I", (rng.randrange(1, accounts + 1) for _ in range(DRAWS))),
        array("I", rng.choices(range(1, terminals + 1), weights, k=DRAWS)),
        array("I", (rng.randrange(50, 4_001) for _ in range(DRAWS))),
    )


@contextlib.contextmanager
def scratch(directory: Path | None) -> Iterator[Path]:
    """Make a directory of its own on the disk to measure and remove it afterwards."""
    parent = directory or ROOT / "var"
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield made
    finally:
        ends = time.monotonic() + REMOVE_S
        while made.exists() and time.monotonic() < ends:  # what was interrupted may write its last
            shutil.rmtree(made, ignore_errors=True)
            time.sleep(0.05)


def options(accounts: int) -> Options:
    """Return engine options that fit the campus."""
    return {
        "accounts_max": accounts + SPARE_ROWS,
        "media_max": accounts + SPARE_ROWS,
        "lock_memory": False,
    }


def make_campus(
    directory: Path,
    accounts: int,
    *,
    toml: str = "",
    segment_bytes: int = SEGMENT_BYTES,
    terminals: int = TERMINALS,
) -> dict[str, Path]:
    """Make a directory with accounts, cards, money, merchants and terminals; nobody holds it."""
    progress(f"making a campus of {accounts:,} accounts")
    paths = create(directory, extra=toml, segment_bytes=segment_bytes)
    campus = open_campus(paths, accounts)
    campus.populate(accounts, merchants=MERCHANTS, terminals=terminals, online_fen=ONLINE_FEN)
    campus.close()
    return paths


def open_campus(paths: dict[str, Path], accounts: int) -> Campus:
    """Open it for the in-process driver."""
    rows: dict[str, Any] = dict(options(accounts))
    return Campus(str(paths["data"]), str(paths["key_file"]), rows)


def terminal_name(number: int) -> str:
    """Return the name ``Campus.populate`` gives a terminal."""
    return f"B-{number:05}"
