"""One process of `bench start`: opens an engine, pays once, works a while, and dies unprepared.

    python -m bench.starting CAMPUS ACCOUNTS BATCHES

prints a line of JSON when the first payment is answered and one before it ends, as by kill -9.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from bench.inside import Inside

BATCH: Final = 1_000


def main(campus: Path, accounts: int, batches: int) -> None:
    """Open, pay, report; checkpoint, pay more, report; end without closing anything."""
    began = time.perf_counter()
    inside = Inside(campus, accounts)
    opened = time.perf_counter() - began
    inside.__enter__()
    inside.pay(inside.requests.batches(1, 1), 1)
    tell({"opened_s": opened, **inside.engine.recovered})
    inside.engine.checkpoint()
    inside.pay(inside.requests.batches(batches, BATCH), BATCH)
    tell({"anonymous_bytes": anonymous_bytes()})
    os._exit(0)


def tell(facts: dict[str, object]) -> None:
    """Print a line for the parent."""
    print(json.dumps(facts), flush=True)


def anonymous_bytes() -> int:
    """Return this process's resident anonymous memory: RssAnon of /proc/self/status."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1_024
    raise OSError("no RssAnon")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
