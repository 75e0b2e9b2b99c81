"""The native front end: a load in C on it, over connections kept open, every answer looked at.

Server and clients share the machine. The calls are made and read without Python, so that what is
measured is the front end, the engine and the disk.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bench.arrivals import NS, poisson
from bench.certificates import issue
from bench.disk import RawFile, block_bytes, is_disk
from bench.load import Ran, Shape, Terminals
from bench.processor import taken
from bench.rows import Row, paired_ratio, progress, rounded
from bench.serving import Setting, serving
from bench.workload import Scale, draws, terminal_name
from ext.front import load
from ext.histogram import Histogram
from server.config import JournalSettings

ACCOUNTS: Final = 50_000
ALONE_MS: Final = 0.5  # of one terminal alone, over the disk's double sync
TLS_SHARE: Final = 0.7
_RAW_SLICE_S: Final = 0.12
P50, P99, P999 = 500_000, 990_000, 999_000
COMMITS: Final = ("full", "pipelined")
PLAIN: Final = "rpc native unary 256x1"

SHAPES: Final = (
    Shape("rpc native unary 1x1", load.UNARY, 1, 1),
    Shape("rpc native unary 4x8", load.UNARY, 4, 8, target=45_000, p99_ms=2.0),
    Shape(PLAIN, load.UNARY, 256, 1, target=100_000, p99_ms=5.0, cpu_us=10.0),
    Shape("rpc native unary 8x32", load.UNARY, 8, 32, target=250_000, p99_ms=3.0),
    Shape("rpc native stream 4x256", load.STREAM, 4, 256, target=600_000),
    Shape("rpc native batch 1000", load.BATCH, 1, 8, 1_000, target=800_000),
    Shape("rpc native mtls unary 256x1", load.UNARY, 256, 1, mutual_tls=True),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a row is measured: slices of a closed loop, then an open one, then the echo.

    Before the rows of a server, the cores alone.
    """

    slices: int
    closed_s: float
    open_s: float
    echo_s: float
    syncs: int
    cores_s: float


FULL: Final = Plan(8, 5.0, 12.0, 3.0, 200, 3.0)
QUICK: Final = Plan(4, 0.45, 1.2, 0.4, 50, 1.0)
TINY: Final = Plan(1, 0.05, 0.05, 0.05, 5, 0.05)


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield one row for every shape."""
    directory.mkdir()
    raw = RawFile(directory, scale.file_bytes)
    try:
        yield from Bench(directory, scale, raw).rows()
    finally:
        raw.close()


class Bench:
    """All shapes, each on a server that was started for it and its like."""

    def __init__(self, directory: Path, scale: Scale, raw: RawFile) -> None:
        self._directory = directory
        self._raw = raw
        self._plan = scale.choose(FULL, QUICK, TINY)
        self._file_bytes = scale.file_bytes
        self._accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
        self._draws = draws(self._accounts)
        most = max(shape.connections for shape in SHAPES if shape.mutual_tls)
        names = [terminal_name(number + 1) for number in range(most)]
        self._certificates = issue(directory / "certificates", names)

    def rows(self) -> Iterator[Row]:
        """Yield for each way to commit the rows without TLS, then the one with it."""
        for commit in COMMITS:
            journal = f'[journal]\ncommit = "{commit}"\n'
            plain = {}
            open_to_all = Setting(sections=journal)
            for row in self._served(open_to_all, commit, mutual_tls=False):
                plain[row.name] = row
                yield row
            known_only = Setting(sections=journal, front=self._certificates.front_toml())
            for row in self._served(known_only, commit, mutual_tls=True):
                yield replace(row, target=TLS_SHARE * plain[named(PLAIN, commit)].value)

    def _served(self, setting: Setting, commit: str, *, mutual_tls: bool) -> Iterator[Row]:
        place = Path(tempfile.mkdtemp(dir=self._directory))
        cores = taken(self._plan.cores_s)
        with serving(
            place, self._accounts, segment_bytes=self._file_bytes, setting=setting
        ) as served:
            for shape in SHAPES:
                if shape.mutual_tls != mutual_tls:
                    continue
                name = named(shape.name, commit)
                progress(name)
                served.catch_up()
                with Terminals(
                    served, shape, self._draws, certificates=self._certificates
                ) as terminals:
                    row = measured(terminals, self._raw, self._plan)
                yield replace(
                    row,
                    name=name,
                    accounts=self._accounts,
                    durable=is_disk(self._directory),
                    detail={
                        **row.detail,
                        "commit": commit,
                        "taken_share": rounded(cores.share),
                        "taken_longest_ms": rounded(cores.longest_ms),
                    },
                )


def named(name: str, commit: str) -> str:
    """Return a row's name: as it is by default, else with the way to commit in it."""
    if commit == JournalSettings().commit:
        return name
    return name.replace("rpc native", f"rpc native {commit}")


@dataclass(slots=True)
class Slices:
    """What the slices of one row's closed loop measured."""

    ran: list[Ran] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    sync_ns: list[int] = field(default_factory=list)
    took: Histogram = field(default_factory=Histogram)

    def median(self, what: str) -> float:
        """Return the median slice's."""
        return float(statistics.median(getattr(ran, what) for ran in self.ran))


def slices(terminals: Terminals, raw: RawFile, plan: Plan) -> tuple[Slices, int]:
    """Alternate runs and raw writes of the blocks the server made of them; calls of a run, too."""
    shape, found = terminals.shape, Slices()
    least = shape.connections * shape.in_flight * 4
    warm = terminals.run(max(least, 2_000 // shape.items))
    calls = max(least, int(warm.calls_per_s * plan.closed_s / 3))
    calls = max(least, int(terminals.run(calls).calls_per_s * plan.closed_s))
    for _ in range(plan.slices):
        ran = terminals.run(calls)
        length = block_bytes(round(ran.block))
        raw_ns = raw.write(8, length)
        raw_ns = raw.write(max(4, int(_RAW_SLICE_S * NS * len(raw_ns) / sum(raw_ns))), length)
        found.sync_ns += raw.double_syncs(plan.syncs, length)
        found.ran.append(ran)
        found.raw.append(ran.block * len(raw_ns) * NS / sum(raw_ns))
        found.took.add_all(ran.took)
    return found, calls


def measured(terminals: Terminals, raw: RawFile, plan: Plan) -> Row:
    """Measure one shape: as fast as it goes, then at half that rate, then without the engine."""
    shape = terminals.shape
    found, calls = slices(terminals, raw, plan)
    half = found.median("calls_per_s") / 2
    least = shape.connections * shape.in_flight
    half_load = terminals.run(max(least, int(half * plan.open_s)), gaps_ns=poisson(half))
    echo = terminals.echo(max(least, int(calls * 2 * plan.echo_s / plan.closed_s)))
    d_ms = statistics.median(found.sync_ns) / 1e6
    cpu_us = found.median("cpu_us")
    rates = [ran.rate for ran in found.ran]
    return Row(
        name=shape.name,
        value=found.median("rate"),
        unit="authorizations/s",
        raw_limit=statistics.median(found.raw),
        ratio=paired_ratio(rates, found.raw),
        p50_ms=found.took.at(P50) / 1e6,
        p99_ms=found.took.at(P99) / 1e6,
        block=round(found.median("block"), 1),
        target=shape.target,
        bounds=bounds(shape, found.took, d_ms, cpu_us),
        detail={
            "connections": shape.connections,
            "in_flight": shape.in_flight,
            "items_per_call": shape.items,
            "slices": plan.slices,
            "d_ms": rounded(d_ms),
            "echo_per_s": rounded(echo),
            "cpu_us": rounded(cpu_us),
            "where_us": medians([ran.where_us for ran in found.ran]),
            "work_us": medians([ran.work_us for ran in found.ran]),
            "half_load": {
                "per_s": rounded(half_load.rate),
                "p50_ms": rounded(half_load.took.at(P50) / 1e6),
                "p99_ms": rounded(half_load.took.at(P99) / 1e6),
                "p999_ms": rounded(half_load.took.at(P999) / 1e6),
            },
        },
    )


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Return the median of each part."""
    return {name: rounded(statistics.median(run[name] for run in runs)) for name in runs[0]}


def bounds(
    shape: Shape, took: Histogram, d_ms: float, cpu_us: float
) -> dict[str, tuple[float, float]]:
    """Return what the shape is held to beside its rate."""
    found = {}
    if shape.p99_ms is not None:
        found["p99 ms"] = (took.at(P99) / 1e6, shape.p99_ms)
    if shape.connections == shape.in_flight == 1:
        found["p50 ms"] = (took.at(P50) / 1e6, d_ms + ALONE_MS)
    if shape.cpu_us is not None:
        found["cpu µs"] = (cpu_us, shape.cpu_us)
    return found
