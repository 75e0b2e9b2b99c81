"""What the machine takes from those who use all its cores: nothing answers sooner than that."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from bench.arrivals import NS
from ext.pauses import pauses

LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What threads on every core were kept from, while they did nothing but run.

    Attributes:
        share: of their time.
        longest_ms: of the pauses.
    """

    share: float
    longest_ms: float


def taken(seconds: float = LOOK_S) -> Taken:
    """Keep every core that this process may use busy for so long."""

    def look(core: int) -> tuple[int, int]:
        os.sched_setaffinity(threading.get_native_id(), {core})
        return pauses(int(seconds * NS))

    cores = sorted(os.sched_getaffinity(0))
    with ThreadPoolExecutor(len(cores)) as threads:
        found = list(threads.map(look, cores))
    lost, longest = (max(column) for column in zip(*found, strict=True))
    return Taken(lost / (seconds * NS), longest / 1e6)
