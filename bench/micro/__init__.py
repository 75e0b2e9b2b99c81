"""The small parts, measured by pytest-benchmark; ``campuscard bench micro`` makes rows of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.rows import ROOT, Row, percentile, progress
from bench.workload import Scale

FOLDER: Final = Path(__file__).parent
_LONGEST_S: Final = 300


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield a row a benchmark: the median time of a round, and what it noted.

    Raises:
        RuntimeError: pytest failed, or its plugin is missing.
    """
    progress("micro: pytest bench/micro")
    result = directory / "micro.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-enable"]
    command += [
        f"--benchmark-json={result}",
        f"--benchmark-max-time={scale.choose(1.0, 0.2, 0.01)}",
    ]
    command += [str(path) for path in sorted(FOLDER.glob("bench_*.py"))]
    paths = [str(ROOT / "build" / "stubs"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_S,
    )
    if done.returncode != 0:
        raise RuntimeError(f"pytest: {done.stdout[-2_000:]}{done.stderr[-2_000:]}")
    for found in json.loads(result.read_text(encoding="utf-8"))["benchmarks"]:
        stats = found["stats"]
        times = stats.get("data") or [stats["median"], stats["max"]]
        yield Row(
            name=f"micro {found['name'].removeprefix('test_')}",
            value=stats["median"] * 1e6,
            unit="µs",
            p50_ms=percentile(times, 0.5) * 1e3,
            p99_ms=percentile(times, 0.99) * 1e3,
            detail={"rounds": stats["rounds"], **found["extra_info"]},
        )
