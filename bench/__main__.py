"""``campuscard bench``: which benchmarks run, how long, and in which form the rows are printed."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.disk import is_disk
from bench.rows import Row, machine, print_rows, progress, write_latest
from bench.workload import Scale, scratch

KINDS: Final = {
    "engine": "decide, apply, seal and append in this process, blocks of 1 to 8192",
    "rpc": "a server process and its clients over gRPC: single calls, batches",
    "replay": "redoing a journal with every check, as a start without state/ does",
    "start": "start, memory and checkpoint with a million accounts",
    "registry": "the office: lookups among 200,000 holders, imports while tills pay, photos",
    "beside": "payments beside a caller without pause, an import and a report",
    "peers": "the same authorization by SQLite, PostgreSQL and Redis",
    "micro": "the small parts: codec, digests, password (pytest-benchmark)",
}
EPILOG: Final = """\
examples:
  campuscard bench                         everything; writes bench/results/latest.json
  campuscard bench engine --quick          one kind, less precisely
  campuscard bench engine rpc --json       rows on stdout, progress on stderr
  campuscard bench --directory /mnt/ssd    measure that disk

Every durable row has the raw rate beside it: the same bytes, written to a plain file and synced,
in slices that alternate with the measured ones. bench/README.md says how to read a row.
"""


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status is 0 measured, 2 wrong arguments. A missed target is no error."""
    parser = argparse.ArgumentParser(
        prog="campuscard bench",
        description="Measure how fast this build is on this machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="kinds:\n"
        + "".join(f"  {name:8} {text}\n" for name, text in KINDS.items())
        + "\n" + EPILOG,
    )  # fmt: skip
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="engine, rpc, ...; none: all")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="less precise, at most 5 s a row of a front end, 40 s any other kind",
    )
    parser.add_argument("--json", action="store_true", help="rows as JSON on standard output")
    parser.add_argument(
        "--directory", type=Path, help="where to write, on the disk to measure; default var/"
    )
    # For the test of this door: a campus too small for figures that mean anything.
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    try:
        asked = parser.parse_args(list(arguments))
        unknown = [kind for kind in asked.kinds if kind not in KINDS]
        if unknown:
            parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(KINDS)}")
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    facts = machine()
    rows = list(run(asked))
    print_rows(rows, as_json=asked.json)
    if not (asked.kinds or asked.quick or asked.tiny):
        write_latest(rows, facts)
    return 0


def run(asked: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows of the kinds asked for."""
    for kind in asked.kinds or KINDS:
        measure: Callable[..., Iterator[Row]] = importlib.import_module(f"bench.{kind}").measure
        with scratch(asked.directory) as directory:
            if not is_disk(directory):
                progress(f"{directory} is in memory: no row of this run is durable")
            yield from measure(directory, Scale(quick=asked.quick, tiny=asked.tiny))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
