"""The same authorization by what one would otherwise take: SQLite, PostgreSQL, Redis; and by us.

All decide by the same checks in the same order (``same`` compares them before anything is measured),
all have committed durably before they answer, on one machine, in one run.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from bench.disk import RawFile, block_bytes, is_disk
from bench.peers.campus import measured
from bench.peers.debian import Missing
from bench.peers.postgres import Postgres
from bench.peers.redis import Redis
from bench.peers.runs import Measured, Run
from bench.peers.same import compare, small
from bench.peers.sqlite import Sqlite
from bench.rows import Row, paired_ratio, progress, rounded
from bench.serving import serving
from bench.workload import Scale, draws
from server.front import available

ACCOUNTS: Final = 50_000
CLIENTS: Final = (1, 16, 64)
PEERS: Final[tuple[type[Measured], ...]] = (Sqlite, Postgres, Redis)
_RAW_BLOCKS: Final = 120


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds of a closed loop and their seconds, seconds of an open one at half its rate; taps."""

    rounds: int
    closed_s: float
    open_s: float
    compared: int


class Loaded(Protocol):
    """What all rows are made of; our own server is one too."""

    @property
    def name(self) -> str:
        """As rows call it."""

    @property
    def what(self) -> str:
        """What was measured."""

    def closed(self, clients: int, seconds: float) -> Run:
        """See ``runs.Measured``."""

    def open(self, clients: int, per_s: float, seconds: float) -> Run:
        """See ``runs.Measured``."""


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield the rows of each peer that is there, and ours: all run at once and take turns."""
    plan = scale.choose(Plan(4, 1.6, 4.5, 400), Plan(2, 0.8, 1.5, 300), Plan(1, 0.1, 0.1, 60))
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    raw = RawFile(directory, scale.file_bytes)
    with contextlib.ExitStack() as stack:
        stack.callback(raw.close)
        systems: list[Loaded] = []
        for make in PEERS:
            place = directory / make.name
            place.mkdir()
            try:
                systems.append(started(make, place, accounts, plan.compared, stack))
            except (Missing, OSError, RuntimeError, subprocess.SubprocessError) as error:
                progress(f"{make.name} could not be measured: {error}")
        if available():
            systems += ours(directory, accounts, scale, stack)
        for clients in CLIENTS:
            turns = Turns(systems, clients, raw, plan)
            for row in turns.rows():
                yield replace(row, accounts=accounts, durable=is_disk(directory))


def started(
    make: type[Measured], place: Path, accounts: int, compared: int, stack: contextlib.ExitStack
) -> Measured:
    """Compare a peer with SQLite's on a small campus, then fill it with a large one."""
    for name in ("small", "large", "reference"):
        (place / name).mkdir()
    if make is not Sqlite:
        progress(f"{make.name}: {compared} taps, all to be decided as by {Sqlite.name}")
        reference = Sqlite(place / "reference", small())
        with (
            contextlib.closing(reference),
            contextlib.closing(make(place / "small", small())) as one,
        ):
            compare(one, reference, small(), count=compared)
    peer = make(place / "large", measured(accounts))
    stack.callback(peer.close)
    return peer


def ours(directory: Path, accounts: int, scale: Scale, stack: contextlib.ExitStack) -> list[Loaded]:
    """Start our server; return its two front ends."""
    from bench.peers.ours import Ours  # noqa: PLC0415 - not there where nghttp2 was missing

    place = directory / "ours"
    place.mkdir()
    served = stack.enter_context(serving(place, accounts, segment_bytes=scale.file_bytes))
    return [Ours(served, draws(accounts), native=native) for native in (False, True)]


class Turns:
    """All systems with the same number of clients, one after another, round by round.

    So a slow second of the disk, or a busy one of the machine, is nobody's alone.
    """

    def __init__(self, systems: Sequence[Loaded], clients: int, raw: RawFile, plan: Plan) -> None:
        self._systems = systems
        self._clients = clients
        self._raw = raw
        self._plan = plan
        self._raw_per_s: list[float] = []
        self._sync_ns: list[int] = []

    def rows(self) -> Iterator[Row]:
        """Measure; a row is the median of its rounds, then an open loop at half of that."""
        closed: list[list[Run]] = [[] for _ in self._systems]
        for number in range(self._plan.rounds):
            progress(f"{self._clients} clients, round {number + 1} of {self._plan.rounds}")
            self._disk()
            for system, runs in zip(self._systems, closed, strict=True):
                runs.append(system.closed(self._clients, self._plan.closed_s))
        for system, runs in zip(self._systems, closed, strict=True):
            per_s = statistics.median(run.per_s for run in runs)
            progress(f"{self._clients} clients of {system.name}, {per_s / 2:,.0f} a second")
            half = system.open(self._clients, per_s / 2, self._plan.open_s)
            yield self._row(system, runs, half)

    def _disk(self) -> None:
        length = block_bytes(self._clients)
        raw_ns = self._raw.write(_RAW_BLOCKS, length)
        self._raw_per_s.append(self._clients * len(raw_ns) * 1e9 / sum(raw_ns))
        self._sync_ns += self._raw.double_syncs(_RAW_BLOCKS // 4, length)

    def _row(self, system: Loaded, runs: list[Run], half: Run) -> Row:
        rates = [run.per_s for run in runs]
        return Row(
            name=f"peer {system.name} {self._clients}",
            value=statistics.median(rates),
            unit="authorizations/s",
            raw_limit=statistics.median(self._raw_per_s),
            ratio=paired_ratio(rates, self._raw_per_s),
            p50_ms=statistics.median(run.p50_ms for run in runs),
            p99_ms=statistics.median(run.p99_ms for run in runs),
            block=self._clients,
            detail={
                "what": system.what,
                "clients": self._clients,
                "d_ms": rounded(statistics.median(self._sync_ns) / 1e6),
                "half_load": {
                    "per_s": rounded(half.per_s),
                    "p50_ms": rounded(half.p50_ms),
                    "p99_ms": rounded(half.p99_ms),
                    "p999_ms": rounded(half.p999_ms),
                },
            },
        )
