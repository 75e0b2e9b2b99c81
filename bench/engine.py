"""The engine in process: decide, apply, seal, append, block by block, against the raw disk.

Slices of the raw file and of the engine with either way to commit alternate, so that a slow second of
the disk hits all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from bench.disk import Device, RawFile, block_bytes, is_disk
from bench.rows import Row, paired_ratio, percentile, progress
from bench.workload import Draws, Scale, draws, make_campus, open_campus
from ext.benchmark import Campus

ACCOUNTS: Final = (50_000, 1_000_000)
SIZES: Final = (1, 128, 1_024, 8_192)
COMMITS: Final = ("full", "pipelined")
_RATIOS: Final = {
    "full": {128: 0.35, 1_024: 0.30, 8_192: 0.40},
    "pipelined": {128: 0.60, 1_024: 0.45, 8_192: 0.50},
}
_RATES: Final = {1_024: 1_200_000.0}
_LESS: Final = {128: 0.85, 1_024: 0.75, 8_192: 0.55}
"""What may be left of the ratio with a million accounts."""
CPU_US: Final = 0.4
FLUSHES: Final = 2
_PROBE_BLOCKS: Final = 8
_NS: Final = 1_000_000_000


@dataclass(slots=True)
class Slices:
    """What the slices of one row measured."""

    engine: list[float] = field(default_factory=list)  # authorizations a second
    raw: list[float] = field(default_factory=list)
    block_ns: list[int] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # of each block, per authorization
    written: list[float] = field(default_factory=list)  # bytes per authorization
    flushes: list[float] = field(default_factory=list)  # per block

    def add(self, other: Slices) -> None:
        """Take in what another one has."""
        for own in fields(self):
            getattr(self, own.name).extend(getattr(other, own.name))


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield a row for every number of accounts, size of block and way to commit."""
    raw = RawFile(directory, scale.file_bytes)
    seconds, slices = scale.choose((0.4, 15), (0.12, 5), (0.01, 2))
    try:
        for number in scale.choose(ACCOUNTS, ACCOUNTS, (200,)):
            paths = make_campus(
                directory / f"campus-{number}", number, segment_bytes=scale.file_bytes
            )
            campus = open_campus(paths, number)
            drawn = draws(number)
            for size in scale.choose(SIZES, SIZES, (1, 128)):
                progress(f"engine {number}x{size}")
                run = Run(campus, raw, drawn, size, Device(directory))
                for commit, found in run.slices(slices, seconds).items():
                    yield row(found, number, size, commit=commit, durable=is_disk(directory))
            campus.close()
    finally:
        raw.close()


class Run:
    """One size of block on one campus."""

    def __init__(
        self, campus: Campus, raw: RawFile, drawn: Draws, size: int, device: Device
    ) -> None:
        self._campus = campus
        self._raw = raw
        self._draws = drawn
        self._size = size
        self._device = device

    def slices(self, count: int, seconds: float) -> dict[str, Slices]:
        """Alternate raw and engine ``count`` times, each for about ``seconds``."""
        self._measure(_PROBE_BLOCKS, dict.fromkeys(COMMITS, _PROBE_BLOCKS))  # warms up
        raw_s, engine_s, _ = self._measure(_PROBE_BLOCKS, dict.fromkeys(COMMITS, _PROBE_BLOCKS))
        raw_blocks = max(2, int(_PROBE_BLOCKS * seconds / raw_s))
        blocks = {c: max(2, int(_PROBE_BLOCKS * seconds / s)) for c, s in engine_s.items()}
        found = {commit: Slices() for commit in COMMITS}
        for _ in range(count):
            _, _, one = self._measure(raw_blocks, blocks)
            for commit, slices in one.items():
                found[commit].add(slices)
        return found

    def _measure(
        self, raw_blocks: int, blocks: dict[str, int]
    ) -> tuple[float, dict[str, float], dict[str, Slices]]:
        """One slice of each: the seconds of the raw file's and of the engine's, what was found."""
        began = time.perf_counter()
        raw_ns = self._raw.write(raw_blocks, block_bytes(self._size))
        raw_s = time.perf_counter() - began
        engine_s, found = {}, {}
        for commit, count in blocks.items():
            self._campus.pipeline(commit == "pipelined")
            began = time.perf_counter()
            found[commit] = Slices(raw=[self._size * len(raw_ns) * _NS / sum(raw_ns)])
            self._engine_slice(found[commit], count)
            engine_s[commit] = time.perf_counter() - began
        return raw_s, engine_s, found

    def _engine_slice(self, found: Slices, blocks: int) -> None:
        before = self._device.counts()
        phases = self._campus.authorize(
            blocks, self._size, self._draws.accounts, self._draws.terminals, self._draws.amounts
        )
        done = blocks * self._size
        if phases["approved"] != done:
            raise RuntimeError(f"{done - phases['approved']} of {done} were not approved")
        cpu = [d + s for d, s in zip(phases["decide_ns"], phases["seal_ns"], strict=True)]
        found.engine.append(done * _NS / phases["wall_ns"])
        found.block_ns += phases["block_ns"]
        found.cpu_us += [ns / self._size / 1_000 for ns in cpu]
        moved = self._device.since(before)
        if moved is not None:
            found.written.append(moved[0] / done)
            found.flushes.append(moved[1] / blocks)


def row(found: Slices, accounts: int, size: int, *, commit: str, durable: bool) -> Row:
    """Summarize the slices."""
    left = 1.0 if accounts <= ACCOUNTS[0] else _LESS.get(size, 1.0)
    ratio_target, target = _RATIOS[commit].get(size), _RATES.get(size)
    return Row(
        name=f"engine {'' if commit == 'full' else f'{commit} '}{accounts}x{size}",
        value=statistics.median(found.engine),
        unit="authorizations/s",
        raw_limit=statistics.median(found.raw),
        ratio=paired_ratio(found.engine, found.raw),
        p50_ms=percentile(found.block_ns, 0.5) / 1e6,
        p99_ms=percentile(found.block_ns, 0.99) / 1e6,
        durable=durable,
        accounts=accounts,
        block=size,
        target=target if left == 1.0 else None,
        ratio_target=None if ratio_target is None else round(ratio_target * left, 4),
        detail={
            "device_bytes": round(min(found.written), 1) if found.written else None,
            "cpu_us": round(statistics.median(found.cpu_us), 3),
            "commit": commit,
            "flushes": round(min(found.flushes), 2) if found.flushes else None,
            "slices": len(found.engine),
        },
    )
