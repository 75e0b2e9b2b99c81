"""The engine's and the office's numbers for Prometheus, read when they are asked for.

``METRICS`` is the one table of them: what is collected, and docs/reference/metrics.md.
``campuscard_ledger_sum_fen`` must be 0; anything else is the first alert to set up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from core.catalogue import BY_NUMBER, OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

    from ext.engine import Engine, Head, Stats
    from server.office_lane import OfficeLane
    from server.projector import Projector
    from server.system_acts import SystemActs
    from server.trust import Trust

_NS: Final = 1_000_000_000
_US: Final = 1_000_000


class Kind(StrEnum):
    """Prometheus's types of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What all metrics of one moment are read from."""

    stats: Stats
    head: Head
    registry_seq: int
    registry_up: bool
    office_queue_depth: int
    alerts_open: int
    integrity_broken: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One metric with a value.

    ``name`` is without the prefix ``campuscard_`` and a counter's ``_total``; ``alert`` says which
    values somebody should be told of.
    """

    name: str
    kind: Kind
    text: str
    alert: str
    read: Callable[[Numbers], float]


@dataclass(frozen=True, slots=True)
class Powers:
    """One histogram: counts per power of two, in units of ``1 / scale``."""

    name: str
    text: str
    alert: str
    scale: int
    read: Callable[[Numbers], list[int]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a command's way.

    ``commands`` names how many were in it, ``ns`` how long all together, in what is counted.
    """

    name: str
    text: str
    commands: str
    ns: str


# fmt: off
METRICS: Final = (
    Row("ledger_sum_fen", Kind.GAUGE, "Sum of all accounts, fen.", "anything but 0", lambda n: n.stats["ledger_sum"]),
    Row("space_used_permille", Kind.GAUGE, "Journal space used, thousandths.", "above 700; from 950 on debits pause", lambda n: n.stats["space_used_permille"]),
    Row("map_used_bytes", Kind.GAUGE, "Bytes used of the journal segment's map.", "", lambda n: n.stats["map_used"]),
    Row("map_size_bytes", Kind.GAUGE, "Size of the journal segment's map.", "", lambda n: n.stats["map_size"]),
    Row("queue_depth", Kind.GAUGE, "Commands waiting for the sequencer.", "near `engine.queue`", lambda n: n.stats["queue_depth"]),
    Row("office_queue_depth", Kind.GAUGE, "Acts waiting for the office lane.", "near `office.queue`", lambda n: n.office_queue_depth),
    Row("acknowledged_seq", Kind.GAUGE, "Newest seq whose answers may leave.", "standing still under load", lambda n: n.head["acknowledged_seq"]),
    Row("decided_seq", Kind.GAUGE, "Newest seq of which anybody may know.", "", lambda n: n.head["decided_seq"]),
    Row("checkpoint_seq", Kind.GAUGE, "Where the newest checkpoint stands.", "", lambda n: n.head["checkpoint_seq"]),
    Row("checkpoint_age_records", Kind.GAUGE, "Records since the newest checkpoint: what a start replays.", "many times `engine.checkpoint_records`", lambda n: n.stats["checkpoint_age_records"]),
    Row("checkpoint_error", Kind.GAUGE, "Error number of a failed checkpoint; none are written until the next start.", "not 0", lambda n: n.stats["checkpoint_error"]),
    Row("segment_error", Kind.GAUGE, "Error number of a next journal segment that could not be made ahead.", "not 0: make room before the present one is full", lambda n: n.stats["segment_error"]),
    Row("registry_seq", Kind.GAUGE, "Where the registry stands.", "far behind `campuscard_acknowledged_seq`", lambda n: n.registry_seq),
    Row("registry_up", Kind.GAUGE, "1 while the registry can be used.", "0: papers wait, payments go on", lambda n: n.registry_up),
    Row("integrity_broken", Kind.GAUGE, "1 when the journal or the rules failed their check: nothing is decided.", "not 0: `campuscard status`, verify, restore from the mirror", lambda n: n.integrity_broken),
    Row("alerts_open", Kind.GAUGE, "Alerts of the card office nobody has acknowledged, counted up to 10,000.", "above 0: `campuscard office alerts`", lambda n: n.alerts_open),
    Row("rule_version", Kind.GAUGE, "Version of the rules in force.", "", lambda n: n.head["rule_version"]),
    Row("blocks", Kind.COUNTER, "Blocks committed.", "", lambda n: n.stats["blocks"]),
    Row("records", Kind.COUNTER, "Records committed.", "", lambda n: n.stats["records"]),
    Row("commands", Kind.COUNTER, "Commands decided, replays not counted.", "", lambda n: n.stats["commands"]),
    Row("replays", Kind.COUNTER, "Answers given again for a known key.", "a jump: terminals do not get answers", lambda n: n.stats["replays"]),
    Row("decide_seconds", Kind.COUNTER, "Work: deciding and applying.", "", lambda n: n.stats["decide_ns"] / _NS),
    Row("hash_seconds", Kind.COUNTER, "Work: summing and chaining records.", "", lambda n: n.stats["hash_ns"] / _NS),
    Row("commit_seconds", Kind.COUNTER, "Work: durable commits, each block once.", "", lambda n: n.stats["commit_ns"] / _NS),
    Row("journal_syncs", Kind.COUNTER, "Syncs of their own: pipelined, when no later block brought one.", "", lambda n: n.stats["syncs"]),
    Row("answer_seconds", Kind.COUNTER, "Work: handing answers out.", "", lambda n: n.stats["answer_ns"] / _NS),
    Row("slowest_block_seconds", Kind.GAUGE, "Longest way of a block from decision to answers.", "above what terminals wait", lambda n: n.stats["slowest_block_ns"] / _NS),
)
HISTOGRAMS: Final = (
    Powers("block_records", "Records of a block.", "", 1, lambda n: n.stats["block_sizes"]),
    Powers("commit_duration_seconds", "Seconds of a commit.", "its upper end: the disk", _US, lambda n: n.stats["commit_us"]),
)
PARTS: Final = (
    Part("queue", "A command waits for the beginning of its block.", "taken", "queue_ns"),
    Part("decide", "Its block is decided, all of it.", "released", "in_decide_ns"),
    Part("hash", "Its block is summed and chained.", "released", "in_hash_ns"),
    Part("commit", "The rest until its block is durable, behind those before it.", "released", "in_commit_ns"),
)
# fmt: on
WAY: Final = (
    "command_seconds",
    "Seconds of commands in each part of their way: each waits for all of its block and turn.",
)
JOURNAL: Final = ("journal_info", "1; `commit` is `journal.commit`.", "")
DECLINES: Final = ("declines", "Refusals by reason.", "a jump of `PIN_WRONG`: guessing")


class EngineCollector(Collector):
    """Collects one engine, its registry and its office lane.

    Args:
        engine: started.
        projector: started.
        lane: started.
        system: started.
        trust: whether anything is decided.
    """

    def __init__(
        self,
        engine: Engine,
        projector: Projector,
        *,
        lane: OfficeLane,
        system: SystemActs,
        trust: Trust,
    ) -> None:
        self._engine = engine
        self._projector = projector
        self._lane = lane
        self._system = system
        self._trust = trust

    def collect(self) -> Iterable[Metric]:
        """Read everything once."""
        numbers = Numbers(
            stats=self._engine.stats(),
            head=self._engine.head(),
            registry_seq=self._projector.applied_seq,
            registry_up=not self._projector.error,
            office_queue_depth=self._lane.depth,
            alerts_open=self._system.open_alerts,
            integrity_broken=bool(self._trust.broken),
        )
        for row in METRICS:
            made = CounterMetricFamily if row.kind is Kind.COUNTER else GaugeMetricFamily
            yield made(f"campuscard_{row.name}", row.text, value=float(row.read(numbers)))
        for powers in HISTOGRAMS:
            yield _histogram(powers, powers.read(numbers))
        yield way("", PARTS, numbers.stats)
        yield _declines(numbers.stats["declines"])
        yield _journal(numbers.stats["commit"])

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand: names are checked when they are collected."""
        return ()


def _histogram(powers: Powers, counts: list[int]) -> Metric:
    """Turn counts per power of two into a histogram."""
    family = HistogramMetricFamily(f"campuscard_{powers.name}", powers.text)
    buckets: list[tuple[str, float]] = []
    total, weighted = 0, 0
    for power, count in enumerate(counts):
        total += count
        weighted += count * 2**power
        buckets.append((str(2**power / powers.scale), total))
    buckets.append(("+Inf", total))
    family.add_metric([], buckets, sum_value=weighted / powers.scale)
    return family


def way(prefix: str, parts: Iterable[Part], stats: Mapping[str, Any]) -> Metric:
    """Return how long commands were in each part, and how many."""
    name, text = WAY
    family = SummaryMetricFamily(f"campuscard_{prefix}{name}", text, labels=["part"])
    for part in parts:
        family.add_metric([part.name], stats[part.commands], stats[part.ns] / _NS)
    return family


def _journal(commit: str) -> Metric:
    name, text, _ = JOURNAL
    family = GaugeMetricFamily(f"campuscard_{name}", text, labels=["commit"])
    family.add_metric([commit], 1)
    return family


def _declines(counts: dict[int, int]) -> Metric:
    name, text, _ = DECLINES
    family = CounterMetricFamily(f"campuscard_{name}", text, labels=["reason"])
    for reason in OUTCOMES:
        if reason.number:
            family.add_metric([reason.name], counts.get(reason.number, 0))
    for number, count in counts.items():
        if number not in BY_NUMBER:
            family.add_metric([str(number)], count)
    return family
