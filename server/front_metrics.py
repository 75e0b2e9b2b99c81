"""The native front end's numbers for Prometheus, read when they are asked for.

``METRICS``, ``PARTS`` and ``LABELLED`` are the tables of them: what is collected, and
docs/reference/metrics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from core.catalogue import BY_NUMBER
from server.interceptors.metrics import code_label
from server.interceptors.wrapping import UNKNOWN, split_method
from server.metrics import Kind, Part, way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

    Stats = Mapping[str, Any]

_NS: Final = 1_000_000_000
_LABELS: Final = {code.value[0]: code_label(code.name) for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Row:
    """One metric with a value; ``key`` names it in what the front end counts."""

    name: str
    kind: Kind
    text: str
    alert: str
    key: str
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Labelled:
    """One counter with labels."""

    name: str
    labels: tuple[str, ...]
    text: str
    alert: str
    read: Callable[[Stats], Iterable[tuple[list[str], int]]]


def _ended(stats: Stats) -> Iterable[tuple[list[str], int]]:
    for (path, code), count in sorted(stats["ended"].items()):
        yield [*split_method(path.decode("ascii") or UNKNOWN), _LABELS[code]], count


def _refused(stats: Stats) -> Iterable[tuple[list[str], int]]:
    for number, count in sorted(stats["reasons"].items()):
        reason = BY_NUMBER.get(number)
        yield [str(number) if reason is None else reason.name], count


# fmt: off
METRICS: Final = (
    Row("connections", Kind.GAUGE, "Connections of terminals.", "near `front.connections_max` × `front.threads`", "connections"),
    Row("calls", Kind.GAUGE, "Calls under way, streams among them.", "near `front.calls_max` × `front.threads`", "calls"),
    Row("commands_waiting", Kind.GAUGE, "Commands the engine has, and answers not sent yet.", "near `front.slots_max` × `front.threads`", "commands"),
    Row("accepted", Kind.COUNTER, "Connections taken.", "a jump: terminals connect for every tap", "accepted"),
    Row("turned_away", Kind.COUNTER, "Connections and calls above a bound, not begun.", "any", "refused"),
    Row("calmed", Kind.COUNTER, "Connections ended for sending what no client sends.", "any: somebody attacks", "calmed"),
    Row("passed", Kind.COUNTER, "Calls and tokens of streams that Python answered.", "", "handed"),
    Row("commands", Kind.COUNTER, "Commands the engine has answered.", "", "decided"),
    Row("read_seconds", Kind.COUNTER, "Work: reading, HTTP/2, decoding, handing over.", "", "read_ns", _NS),
    Row("engine_seconds", Kind.COUNTER, "Waiting: commands from the turn that read them to the one that sends their answers.", "", "engine_ns", _NS),
    Row("answer_seconds", Kind.COUNTER, "Work: encoding answers.", "", "answer_ns", _NS),
    Row("send_seconds", Kind.COUNTER, "Work: HTTP/2 and sending.", "", "send_ns", _NS),
    Row("wakeups", Kind.COUNTER, "Sleeps that an event or an answer ended.", "", "sleeps"),
    Row("reads", Kind.COUNTER, "Reads of sockets.", "", "reads"),
    Row("writes", Kind.COUNTER, "Writes to sockets.", "", "writes"),
    Row("received_bytes", Kind.COUNTER, "Bytes read, of TLS after decryption.", "", "bytes_in"),
    Row("sent_bytes", Kind.COUNTER, "Bytes written, of TLS before encryption.", "", "bytes_out"),
)
PARTS: Final = (
    Part("parse", "A command is read: from the beginning of the turn to the queue.", "queued", "parse_ns"),
    Part("reply", "Its answer: from its release to the end of the turn that sends it.", "decided", "reply_ns"),
)
LABELLED: Final = (
    Labelled("ended", ("grpc_service", "grpc_method", "grpc_code"), "Calls ended, by code; passed ones too.", "", _ended),
    Labelled("refused", ("reason",), "Calls and messages that were not decided.", "a jump of `QUEUE_FULL`: the disk is too slow", _refused),
)
# fmt: on
PREFIX: Final = "campuscard_front_"


class FrontCollector(Collector):
    """Collects the native front end.

    Args:
        stats: what its threads have counted.
    """

    def __init__(self, stats: Callable[[], Stats]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        """Read everything once."""
        stats = self._stats()
        for row in METRICS:
            made = CounterMetricFamily if row.kind is Kind.COUNTER else GaugeMetricFamily
            yield made(PREFIX + row.name, row.text, value=stats[row.key] / row.scale)
        yield way("front_", PARTS, stats)
        for many in LABELLED:
            family = CounterMetricFamily(PREFIX + many.name, many.text, labels=many.labels)
            for labels, count in many.read(stats):
                family.add_metric(labels, count)
            yield family

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand: names are checked when they are collected."""
        return ()
