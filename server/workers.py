"""A few processes of low priority for work that would hold up payments: rosters and photos.

The interpreter runs one thread at a time, so parsing a workbook beside the event loop would show in
every payment; another process with a lower priority does not. A worker also bounds what a hostile
file can do: it has a limit of memory, every piece of work has a time, and one that overruns is ended
with its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import structlog

from core.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

NICE: Final = 15
MEMORY_BYTES: Final = 2 << 30
"""Address space of one worker at most."""
WAITING_MAX: Final = 64
"""Pieces of work under way or waiting at most."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_log = structlog.get_logger("campuscard.workers")


class Workers:
    """A bounded pool of processes; they are started with the first work.

    Args:
        count: processes.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._waiting = 0

    async def run(
        self,
        seconds: float,
        function: Callable[_Arguments, _Result],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Result:
        """Run a function of a module in a worker.

        Args:
            seconds: how long it may take; then its worker is ended, and others' work with it.
            function: importable; it and its arguments are pickled.
            args: of the function.
            kwargs: of the function.

        Raises:
            Refusal: QUEUE_FULL; FILE_REFUSED when the time is over or the worker died of it.
        """
        if self._waiting >= WAITING_MAX:
            raise Refusal("QUEUE_FULL", retry_after_ms=1_000)
        self._waiting += 1
        pool = self._pool or self._open()
        try:
            future = asyncio.wrap_future(pool.submit(function, *args, **kwargs))
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            self._end(pool)
            raise Refusal("FILE_REFUSED", detail=f"not read within {seconds:.0f} s") from None
        except BrokenProcessPool:
            self._end(pool)
            raise Refusal("FILE_REFUSED", detail="its reader failed") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the processes; work under way is given up."""
        if self._pool is not None:
            self._end(self._pool)

    def _open(self) -> ProcessPoolExecutor:
        self._pool = ProcessPoolExecutor(
            self.count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
        )
        return self._pool

    def _end(self, pool: ProcessPoolExecutor) -> None:
        if self._pool is pool:
            self._pool = None
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            with contextlib.suppress(OSError, ValueError):
                process.kill()
        if processes:
            _log.info("workers_ended", processes=len(processes))


def _begin() -> None:
    """Make a fresh process a worker."""
    os.nice(NICE)
    if "ASAN_OPTIONS" not in os.environ:  # a sanitizer's map of the memory is larger than any bound
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the server has gone, however it went: the queue of work would not tell."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
