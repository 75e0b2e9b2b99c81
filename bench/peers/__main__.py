"""``make bench-peers``: measure the peers, draw the chart, write the table into README.md."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from bench.disk import is_disk
from bench.peers import measure
from bench.peers.chart import draw_chart, system_of
from bench.rows import ROOT, Row, machine, print_rows, progress, shown
from bench.workload import Scale, scratch

README: Final = ROOT / "README.md"
CHART: Final = ROOT / "docs" / "images" / "peers.png"
RESULTS: Final = ROOT / "bench" / "results" / "peers.json"
BEGIN: Final = "<!-- peers: written by `make bench-peers` -->"
END: Final = "<!-- peers: end -->"
_HEADING: Final = (
    "| | clients | a second | p50 ms | p99 ms | half load: p50 ms | p99 ms | p99.9 ms |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status is 0 measured, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("--quick", action="store_true", help="two minutes, and nothing is written")
    parser.add_argument("--directory", type=Path, help="on the disk to measure; default var/")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(list(arguments))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    facts = machine()
    with scratch(asked.directory) as directory:
        if not is_disk(directory):
            progress(f"{directory} is in memory: no row of this run is durable")
        found = measure(directory, Scale(quick=asked.quick, tiny=asked.tiny))
        rows = by_system(found)
    print_rows(rows, as_json=False)
    if not (asked.quick or asked.tiny):
        publish(rows, facts)
    return 0


def by_system(rows: Iterable[Row]) -> list[Row]:
    """Put the rows of a system together, in the order in which the systems first come."""
    found = list(rows)
    order = list(dict.fromkeys(map(system_of, found)))
    return sorted(found, key=lambda row: order.index(system_of(row)))


def leave(number: int, _frame: FrameType | None) -> NoReturn:
    """End as by Ctrl-C: what was started is stopped, what was written is removed."""
    raise SystemExit(128 + number)


def publish(rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Write the chart, the table and all figures."""
    date = facts["date"][:10]
    title = f"One authorization with all checks, durable: {facts['cpu']}, {facts['cores']} cores"
    draw_chart(rows, CHART, f"{title}, {date}")
    write_readme(README, section(rows, facts))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    told = {**facts, "rows": [row.as_json() for row in rows]}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for path in (CHART, README, RESULTS):
        progress(f"wrote {path.relative_to(ROOT)}")


def section(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    """Return the part of the page between its marks."""
    d_ms = sorted(row.detail["d_ms"] for row in rows)[len(rows) // 2]
    parts = [
        "![Rates and 99th percentiles](docs/images/peers.png)\n",
        (
            f"`make bench-peers`, {facts['date'][:10]}, commit {facts['commit']}: {facts['cpu']}, "
            f"{facts['cores']} cores for server and clients together, load before "
            f"{facts['load_before']:.1f}, two syncs of the disk {shown(d_ms)} ms.\n"
        ),
        _HEADING + "".join(map(line, rows)),
    ]
    return "\n".join(parts)


def line(row: Row) -> str:
    """Return a row of the table."""
    half = row.detail["half_load"]
    cells = [
        *(system_of(row), str(row.detail["clients"]), shown(round(row.value))),
        *(shown(row.p50_ms), shown(row.p99_ms)),
        *(shown(half[name]) for name in ("p50_ms", "p99_ms", "p999_ms")),
    ]
    return f"| {' | '.join(cells)} |\n"


def write_readme(path: Path, text: str) -> None:
    """Put the text between the marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, found, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{path.name} has no place for the peers")
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
