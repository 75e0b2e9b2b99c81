"""Work that gives way to everything else in the process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

LOWEST: Final = 19
REST_TIMES: Final = 4
"""How much longer than a piece of work its thread rests: a fifth of a core at most."""

_Result = TypeVar("_Result")


def idle_thread(name: str) -> ThreadPoolExecutor:
    """Return an executor of one thread of lowest priority: on Linux a priority is of a thread."""
    return ThreadPoolExecutor(1, name, initializer=_give_way)


def resting(work: Callable[[], _Result]) -> _Result:
    """Do a short piece of work, then rest: what wants the interpreter gets it."""
    started_s = time.monotonic()
    result = work()
    time.sleep(REST_TIMES * (time.monotonic() - started_s))
    return result


def _give_way() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
