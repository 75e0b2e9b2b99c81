"""What a benchmark prints: one row a figure, as JSON for programs or a table for people."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

ROOT: Final = Path(__file__).resolve().parent.parent
LATEST: Final = ROOT / "bench" / "results" / "latest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``None`` where a column has no meaning; ``detail`` holds what has no column."""

    name: str
    value: float
    unit: str
    raw_limit: float | None = None
    """Rate of the same bytes written and synced to a plain file in the same run, same unit."""
    p50_ms: float | None = None
    """Of one commit, one call or one start; ``detail`` says which when it is not plain."""
    p99_ms: float | None = None
    durable: bool = False
    """Whether everything counted was on the disk before it counted."""
    ratio: float | None = None
    """Median of value / raw_limit over pairs of neighbouring slices."""
    accounts: int | None = None
    block: float | None = None
    """Authorizations of one commit; a mean where the engine chose them."""
    target: float | None = None
    """What `value` has to reach, where it is set."""
    ratio_target: float | None = None
    least: bool = True
    """Whether the target is a lower bound."""
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Further measures by name with unit: what was found, and what it may be at most."""
    detail: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the row as it is printed."""
        return {
            "name": self.name,
            "value": rounded(self.value),
            "unit": self.unit,
            "raw_limit": rounded(self.raw_limit),
            "ratio": rounded(self.ratio),
            "p50_ms": rounded(self.p50_ms),
            "p99_ms": rounded(self.p99_ms),
            "durable": self.durable,
            "accounts": self.accounts,
            "block": rounded(self.block),
            "cores": os.cpu_count(),
            "target": self.target,
            "ratio_target": self.ratio_target,
            "reached": self.reached(),
            "bounds": {
                name: {"value": rounded(found), "most": rounded(most)}
                for name, (found, most) in self.bounds.items()
            },
            "detail": self.detail,
        }

    def reached(self) -> bool | None:
        """Whether every target of the row is met; None without one."""
        met = []
        if self.target is not None:
            met.append(self.value >= self.target if self.least else self.value <= self.target)
        if self.ratio_target is not None:
            met.append(self.ratio is not None and self.ratio >= self.ratio_target)
        met += [found <= most for found, most in self.bounds.values()]
        return all(met) if met else None


def rounded(value: float | None) -> float | None:
    """Keep four digits that mean something."""
    if value is None or value == 0:
        return value
    whole = float(f"{value:.4g}")
    return int(value) if abs(value) >= 10_000 else whole


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` (0 to 1) of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def paired_ratio(values: Sequence[float], limits: Sequence[float]) -> float:
    """Return the median of value / limit, slice by slice: a slow second of the disk hits both."""
    return statistics.median(v / m for v, m in zip(values, limits, strict=True))


def progress(text: str) -> None:
    """Say what is being done, on standard error."""
    print(text, file=sys.stderr, flush=True)


def print_rows(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print nothing but the rows on standard output."""
    if as_json:
        print(json.dumps([row.as_json() for row in rows], ensure_ascii=False, indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(header_style="bold")
    table.add_column("what")
    for heading in ("value", "unit", "raw", "of raw", "p50 ms", "p99 ms", "durable", "target"):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    for row in rows:
        table.add_row(
            Text(row.name), shown(row.value), row.unit, shown(row.raw_limit),
            "" if row.ratio is None else f"{row.ratio:.0%}",
            shown(row.p50_ms), shown(row.p99_ms), "yes" if row.durable else "no", aim(row),
        )  # fmt: skip
    console.print(table)
    beside = [row for row in rows if "half_load" in row.detail]
    if beside:
        console.print(limits_table(beside))
    told = [row for row in rows if "where_us" in row.detail]
    if told:
        console.print(parts_table("µs that an authorization is in each part", told, "where_us"))
        console.print(parts_table("µs of work for an authorization", told, "work_us"))


def parts_table(what: str, rows: Sequence[Row], detail: str) -> Table:
    """Say where the time of one authorization goes."""
    parts = list(rows[0].detail[detail])
    table = Table(what, header_style="bold")
    for heading in (*parts, "all"):
        table.add_column(heading, justify="right")
    for row in rows:
        each = [row.detail[detail][part] for part in parts]
        table.add_row(Text(row.name), *map(shown, [*each, sum(each)]))
    return table


def limits_table(rows: Sequence[Row]) -> Table:
    """Put the limits of the same run beside the rows of a front end."""
    table = Table(header_style="bold")
    table.add_column("what")
    table.add_column("commit")
    for heading in (
        *("D ms", "core taken", "ms at once", "echo/s", "of echo", "CPU µs", "block"),
        *("half load/s", "p50 ms", "p99 ms", "p99.9 ms"),
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        told, half = row.detail, row.detail["half_load"]
        echo = told.get("echo_per_s")
        table.add_row(
            Text(row.name), told.get("commit", ""), shown(told["d_ms"]),
            f"{told['taken_share']:.1%}" if "taken_share" in told else "",
            shown(told.get("taken_longest_ms")), shown(echo),
            f"{row.value / echo:.0%}" if echo else "", shown(told.get("cpu_us")), shown(row.block),
            shown(half["per_s"]), shown(half["p50_ms"]), shown(half["p99_ms"]),
            shown(half["p999_ms"]),
        )  # fmt: skip
    return table


def shown(value: float | None) -> str:
    """Write a number for people."""
    if value is None:
        return ""
    kept = rounded(value)
    return f"{kept:,}" if kept is None or abs(kept) < 1_000 else f"{round(kept):,}"


def aim(row: Row) -> str:
    """Write the targets of a row and whether they are met."""
    parts = []
    if row.target is not None:
        parts.append(f"{'≥' if row.least else '≤'} {shown(row.target)}")
    if row.ratio_target is not None:
        parts.append(f"≥ {row.ratio_target:.0%}")
    parts += [f"{name} ≤ {shown(most)}" for name, (_, most) in row.bounds.items()]
    if not parts:
        return ""
    return f"{', '.join(parts)} {'✓' if row.reached() else '✗'}"


# ---- the machine ----


def machine() -> dict[str, Any]:
    """Return what a figure cannot be read without."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def commit() -> str:
    """Return the commit measured, with ``+`` when files differ from it."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        return subprocess.run(
            asked, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def cpu_name() -> str:
    """Return the processor's name as the kernel has it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def write_latest(rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Keep the rows of a whole run with what they were measured on."""
    LATEST.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**facts, "rows": [row.as_json() for row in rows]}, indent=1)
    LATEST.write_text(text + "\n", encoding="utf-8")
    progress(f"wrote {LATEST.relative_to(ROOT)}")
