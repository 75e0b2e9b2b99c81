"""What a peer gives when it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from bench.peers.campus import Peer, Rows
from ext.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Run:
    """Authorizations a second, and percentiles of how long each took, in ms; None where not told."""

    per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float | None

    @classmethod
    def of(cls, per_s: float, took: Histogram) -> Self:
        """Take the percentiles from a histogram."""
        return cls(per_s, *(took.at(parts) / 1e6 for parts in (500_000, 990_000, 999_000)))


class Measured(Peer, Protocol):
    """A peer that can be put under load; ``clients`` is how many wait for an answer at once."""

    name: ClassVar[str]

    def __init__(self, directory: Path, rows: Rows) -> None: ...

    @property
    def what(self) -> str:
        """What was measured."""

    def closed(self, clients: int, seconds: float) -> Run:
        """Let clients ask again as soon as they are answered."""

    def open(self, clients: int, per_s: float, seconds: float) -> Run:
        """Let taps come at Poisson times; latency counts from these."""

    def close(self) -> None:
        """End it; nothing of it stays."""
