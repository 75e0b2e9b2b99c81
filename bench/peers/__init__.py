"""The same authorization by what one would otherwise take: SQLite, PostgreSQL, Redis; and by us.

All decide by the same checks in the same order (``same`` compares them before anything is measured),
all have committed durably before they answer, on one machine, in one run.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
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
from bench.rows import Row, progress, rounded
from bench.serving import serving
from bench.workload import Scale, draws
from server.front import available

ACCOUNTS: Final = 50_000
CLIENTS: Final = (1, 16, 64)
PEERS: Final[tuple[type[Measured], ...]] = (Sqlite, Postgres, Redis)
_RAW_BLOCKS: Final = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds of a closed loop and of an open one at half its rate, and taps that are compared."""

    closed_s: float
    open_s: float
    taps: int


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
    """Yield the rows of each peer that is there, then ours."""
    plan = scale.choose(Plan(7.0, 6.0, 600), Plan(1.5, 1.5, 300), Plan(0.1, 0.1, 60))
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    raw = RawFile(directory, scale.file_bytes)
    try:
        bench = Bench(raw, plan, accounts, durable=is_disk(directory))
        for make in PEERS:
            place = directory / make.name
            place.mkdir()
            try:
                yield from bench.peer(make, place)
            except (Missing, OSError, RuntimeError, subprocess.SubprocessError) as error:
                progress(f"{make.name} could not be measured: {error}")
        if available():
            yield from bench.ours(directory / "ours", scale)
    finally:
        raw.close()


class Bench:
    """What all peers share in one run."""

    def __init__(self, raw: RawFile, plan: Plan, accounts: int, *, durable: bool) -> None:
        self._raw = raw
        self._plan = plan
        self._accounts = accounts
        self._durable = durable

    def peer(self, make: type[Measured], place: Path) -> Iterator[Row]:
        """Compare a peer with SQLite's on a small campus, then measure it on a large one."""
        for name in ("small", "large", "reference"):
            (place / name).mkdir()
        if make is not Sqlite:
            self._compare(make, place)
        peer = make(place / "large", measured(self._accounts))
        try:
            for clients in CLIENTS:
                yield self._row(peer, clients)
        finally:
            peer.close()

    def _compare(self, make: type[Measured], place: Path) -> None:
        count = self._plan.taps
        progress(f"{make.name}: {count} taps, all to be decided as by {Sqlite.name}")
        reference = Sqlite(place / "reference", small())
        try:
            peer = make(place / "small", small())
            try:
                compare(peer, reference, small(), count=count)
            finally:
                peer.close()
        finally:
            reference.close()

    def ours(self, place: Path, scale: Scale) -> Iterator[Row]:
        """Measure our two front ends."""
        from bench.peers.ours import Ours  # noqa: PLC0415 - not there where nghttp2 was missing

        place.mkdir()
        drawn = draws(self._accounts)
        with serving(place, self._accounts, segment_bytes=scale.file_bytes) as served:
            for native in (False, True):
                for clients in CLIENTS:
                    yield self._row(Ours(served, drawn, native=native), clients)

    def _row(self, peer: Loaded, clients: int) -> Row:
        progress(f"peer {peer.name} {clients}")
        length = block_bytes(clients)
        raw_ns = self._raw.write(_RAW_BLOCKS, length)
        ran = peer.closed(clients, self._plan.closed_s)
        half = peer.open(clients, ran.per_s / 2, self._plan.open_s)
        raw_ns += self._raw.write(_RAW_BLOCKS, length)
        sync_ns = self._raw.double_syncs(_RAW_BLOCKS // 4, length)
        limit = clients * len(raw_ns) * 1e9 / sum(raw_ns)
        return Row(
            name=f"peer {peer.name} {clients}",
            value=ran.per_s,
            unit="authorizations/s",
            raw_limit=limit,
            ratio=ran.per_s / limit,
            p50_ms=ran.p50_ms,
            p99_ms=ran.p99_ms,
            durable=self._durable,
            accounts=self._accounts,
            block=clients,
            detail={
                "what": peer.what,
                "clients": clients,
                "d_ms": rounded(statistics.median(sync_ns) / 1e6),
                "half_load": {
                    "per_s": rounded(half.per_s),
                    "p50_ms": rounded(half.p50_ms),
                    "p99_ms": rounded(half.p99_ms),
                    "p999_ms": rounded(half.p999_ms),
                },
            },
        )
