"""Which threads go first on a busy machine: those that every payment waits for.

Under its default policy Linux may leave a thread that has work to do waiting until the next tick, 4 ms,
behind one of the lowest priority, and a payment passes several threads. So while Python computes (an
import, a report), the sequencer and the committer get the lowest real-time priority: they are short,
and sleep at every commit. The front end's threads get a better place under the default policy and no
more: a flood of calls must not keep the machine from all else, the kernel's writing included.

For the rest of the time all stay under the default policy, with the shortest time slice. A real-time
thread stays on the core that it ran on last, whoever is running there: the sequencer would stop the
front end in the middle of a turn, blocks would be small, and a fifth of the throughput would be gone.

**Source:** sched(7), ``SCHED_RR`` and ``RLIMIT_RTPRIO``; sched_setattr(2), ``sched_runtime``, which
kernels before 6.12 ignore for the default policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import platform
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.background import Background

DECIDING: Final = ("sequencer", "committer")
"""Names of the threads that sleep at every commit."""
FRONT: Final = "front-"
"""How the names of those begin that sleep when their sockets are empty."""
ASIDE: Final = ("reader", "checkpoint")
"""Names of the other threads without Python."""
CORES_MIN: Final = 2
"""Fewer: a thread that went before all others would stop them."""
LOOK_S: Final = 0.1
BUSY: Final = 0.5
"""Of a core, that Python and its worker processes take between two looks.

An import takes it, and so does a report; the projector's writing does not.
"""
CALM_S: Final = 1.0
"""How long payments still go first after Python was busy last."""
_POLICY: Final = os.SCHED_RR | os.SCHED_RESET_ON_FORK
_FRONT_NICE: Final = -10
_SLICE_NS: Final = 100_000  # the least there is
_SETATTR: Final = {"x86_64": 314, "aarch64": 274}  # the C library has no name for it before 2.41
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")
_CPUCLOCK_SCHED: Final = 2  # clock_getcpuclockid(3), which Python has for threads only
_RESET_ON_FORK: Final = 1  # only CAP_SYS_NICE may take it back


class Precedence(StrEnum):
    """How the threads of payments may run."""

    FIRST = "first"
    """Before what is under the default policy, while Python is busy."""
    EQUAL = "equal"
    """There is one core, or no right to a real-time priority: CAP_SYS_NICE, an RLIMIT_RTPRIO of 1."""
    INHERITED = "inherited"
    """Whoever started us chose another priority, and it stays."""


@dataclass(frozen=True, slots=True)
class _Native:
    """A running thread without Python."""

    name: str
    ident: int  # the C library's
    number: int  # the system's

    def go_first(self) -> None:
        """Wait for nobody; a front end, which under a flood never sleeps, for few."""
        if self.name in DECIDING:
            os.sched_setscheduler(self.number, _POLICY, os.sched_param(1))
        else:
            self._set_default(_FRONT_NICE)

    def go_along(self) -> None:
        """Return to the default policy with the shortest slice; a kernel without slices ignores it."""
        if os.sched_getscheduler(self.number) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
            os.sched_setscheduler(
                self.number, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0)
            )
        self._set_default(0)

    def _set_default(self, nice: int) -> None:
        call = _SETATTR.get(platform.machine())
        if call is not None:
            short = os.SCHED_OTHER, _RESET_ON_FORK, nice, 0, _SLICE_NS, 0, 0
            attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, *short)
            ctypes.CDLL(None).syscall(call, self.number, attributes, 0)


class Hurry:
    """Whether payments have to hurry: as soon as Python is busy, until it has been calm for a while."""

    def __init__(self) -> None:
        self._until_s = 0.0

    def now(self, share: float, at_s: float) -> bool:
        """Take in what share of a core Python took up to a time; return whether to hurry."""
        if share >= BUSY:
            self._until_s = at_s + CALM_S
        return at_s < self._until_s


class PaymentsFirst(Background):
    """Has the running threads of payments go before Python's while those are busy."""

    def __init__(self) -> None:
        super().__init__("payments-first")
        native = _native_threads()
        self._hot = [one for one in native if one.name not in ASIDE]
        self._clocks = [time.pthread_getcpuclockid(one.ident) for one in native]
        self._first = False
        self.precedence = self._permitted()

    def put(self, *, first: bool) -> None:
        """Let the threads of payments go before all others, or along with them."""
        self._first = first
        for one in self._hot:
            with contextlib.suppress(ProcessLookupError):  # it has ended: so does the server
                if first:
                    one.go_first()
                else:
                    one.go_along()

    def _permitted(self) -> Precedence:
        if os.sched_getscheduler(0) != os.SCHED_OTHER or os.getpriority(os.PRIO_PROCESS, 0) != 0:
            return Precedence.INHERITED
        self.put(first=False)
        if len(os.sched_getaffinity(0)) < CORES_MIN:
            return Precedence.EQUAL
        try:
            self.put(first=True)
        except PermissionError:
            return Precedence.EQUAL
        self.put(first=False)
        return Precedence.FIRST

    def _python_ns(self) -> int:
        """For how long Python's threads and the living worker processes have computed."""
        native = sum(time.clock_gettime_ns(clock) for clock in self._clocks)
        return time.process_time_ns() - native + sum(_computed_ns())

    async def _run(self) -> None:
        if self.precedence is not Precedence.FIRST:
            return
        hurry, before_s, before_ns = Hurry(), time.monotonic(), self._python_ns()
        while True:
            await asyncio.sleep(LOOK_S)
            at_s, at_ns = time.monotonic(), self._python_ns()
            share = (at_ns - before_ns) / 1e9 / (at_s - before_s)
            if (first := hurry.now(share, at_s)) != self._first:
                self.put(first=first)
            before_s, before_ns = at_s, at_ns


def _computed_ns() -> Iterator[int]:
    """For how long each worker process has computed."""
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with contextlib.suppress(OSError):  # it has ended since
                yield time.clock_gettime_ns((~child.pid << 3) | _CPUCLOCK_SCHED)


def _native_threads() -> list[_Native]:
    return [
        _Native(one.name, one.ident, one.native_id)
        for one in threading.enumerate()
        if one.ident is not None
        and one.native_id is not None
        and (one.name in DECIDING + ASIDE or one.name.startswith(FRONT))
    ]
