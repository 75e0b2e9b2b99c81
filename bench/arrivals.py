"""When calls of an open loop come: fixed beforehand, whether or not anything is answered.

Latency counts from these times, so a stall is in the latency of everything that should have come
meanwhile; a closed loop, which waits for the answer before it asks again, would see one slow call.
"""

from __future__ import annotations

import random
from array import array
from typing import Final

from bench.workload import SEED

NS: Final = 1_000_000_000
_GAPS: Final = 1 << 16
_GAP_MAX: Final = (1 << 32) - 1


def poisson(per_s: float) -> array[int]:
    """Return times between arrivals that know nothing of each other, in ns, the same every time."""
    rng = random.Random(SEED)
    return array("I", (min(_GAP_MAX, int(rng.expovariate(per_s) * NS)) for _ in range(_GAPS)))


def steady(per_s: float) -> array[int]:
    """Return one time between arrivals at equal distances, in ns."""
    return array("I", [min(_GAP_MAX, int(NS / per_s))])
