"""The engine's and the office's numbers for Prometheus, read when they are asked for.

``campuscard_ledger_sum_fen`` must be 0; anything else is the first alert to set up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from core.catalogue import BY_NUMBER, OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from ext.engine import Engine, Stats
    from server.office_lane import OfficeLane
    from server.projector import Projector

_NS: Final = 1_000_000_000
_US: Final = 1_000_000

COUNTERS: Final = (
    ("blocks", "campuscard_blocks", "Blocks committed."),
    ("records", "campuscard_records", "Records committed."),
    ("commands", "campuscard_commands", "Commands decided, replays not counted."),
    ("replays", "campuscard_replays", "Answers given again for a known key."),
)
NANOSECONDS: Final = (
    ("decide_ns", "campuscard_decide_seconds", "Seconds spent deciding and applying."),
    ("commit_ns", "campuscard_commit_seconds", "Seconds spent in durable commits."),
    ("answer_ns", "campuscard_answer_seconds", "Seconds spent handing answers out."),
)
GAUGES: Final = (
    ("queue_depth", "campuscard_queue_depth", "Commands waiting for the sequencer."),
    ("map_used", "campuscard_map_used_bytes", "Bytes used of the journal segment's map."),
    ("map_size", "campuscard_map_size_bytes", "Size of the journal segment's map."),
    ("space_used_permille", "campuscard_space_used_permille", "Journal space used, thousandths."),
    (
        "checkpoint_age_records",
        "campuscard_checkpoint_age_records",
        "Records since the newest checkpoint.",
    ),
    (
        "checkpoint_error",
        "campuscard_checkpoint_error",
        "Error number of a failed checkpoint; not 0: none are written until the next start.",
    ),
    ("ledger_sum", "campuscard_ledger_sum_fen", "Sum of all accounts; anything but 0 is an alarm."),
)


class EngineCollector(Collector):
    """Collects one engine, its registry and its office lane.

    Args:
        engine: started.
        projector: started.
        lane: started.
    """

    def __init__(self, engine: Engine, projector: Projector, *, lane: OfficeLane) -> None:
        self._engine = engine
        self._projector = projector
        self._lane = lane

    def collect(self) -> Iterable[Metric]:
        """Read everything once."""
        stats, head = self._engine.stats(), self._engine.head()
        for field, name, text in COUNTERS:
            yield CounterMetricFamily(name, text, value=_number(stats, field))
        for field, name, text in NANOSECONDS:
            yield CounterMetricFamily(name, text, value=_number(stats, field) / _NS)
        for field, name, text in GAUGES:
            yield GaugeMetricFamily(name, text, value=_number(stats, field))
        yield _histogram(
            "campuscard_block_records", "Records of a block.", stats["block_sizes"], scale=1
        )
        yield _histogram(
            "campuscard_commit_duration_seconds",
            "Seconds of a commit.",
            stats["commit_us"],
            scale=_US,
        )
        yield GaugeMetricFamily(
            "campuscard_slowest_block_seconds",
            "Longest way of a block from decision to answers.",
            value=stats["slowest_block_ns"] / _NS,
        )
        for name, text, value in (
            ("acknowledged_seq", "Newest seq whose answers may leave.", head["acknowledged_seq"]),
            ("decided_seq", "Newest seq decided.", head["decided_seq"]),
            ("checkpoint_seq", "Where the newest checkpoint stands.", head["checkpoint_seq"]),
            ("rule_version", "Version of the rules in force.", head["rule_version"]),
            ("registry_seq", "Where the registry stands.", self._projector.applied_seq),
            ("registry_up", "1 while the registry can be used.", int(not self._projector.error)),
            ("office_queue_depth", "Acts waiting for the office lane.", self._lane.depth),
        ):
            yield GaugeMetricFamily(f"campuscard_{name}", text, value=value)
        yield _declines(stats["declines"])

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand: names are checked when they are collected."""
        return ()


def _number(stats: Stats, field: str) -> int:
    value = stats[field]  # type: ignore[literal-required] # names of the tables above
    if not isinstance(value, int):
        raise TypeError(field)
    return value


def _histogram(name: str, text: str, counts: list[int], *, scale: int) -> Metric:
    """Turn counts per power of two into a histogram."""
    family = HistogramMetricFamily(name, text)
    buckets: list[tuple[str, float]] = []
    total, weighted = 0, 0
    for power, count in enumerate(counts):
        total += count
        weighted += count * 2**power
        buckets.append((str(2**power / scale), total))
    buckets.append(("+Inf", total))
    family.add_metric([], buckets, sum_value=weighted / scale)
    return family


def _declines(counts: dict[int, int]) -> Metric:
    family = CounterMetricFamily("campuscard_declines", "Refusals by reason.", labels=["reason"])
    for reason in OUTCOMES:
        if reason.number:
            family.add_metric([reason.name], counts.get(reason.number, 0))
    for number, count in counts.items():
        if number not in BY_NUMBER:
            family.add_metric([str(number)], count)
    return family
