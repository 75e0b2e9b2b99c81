"""Which threads go first on a busy machine: those that every payment waits for.

Under its default policy Linux may leave a thread that has work to do waiting until the next tick, 4 ms,
behind one of the lowest priority, and a payment passes several threads. So while Python computes (an
import, a report), they get the lowest real-time priority: they are short, and sleep at every commit. A
front end's thread that is busy itself gets a better place under the default policy and no more: a flood
of calls must not keep the machine from all else, the kernel's writing included.

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
from enum import Enum, StrEnum
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
FLOOD: Final = 0.7
"""Of a core, from which on a front end's thread counts as flooded."""
BUSY: Final = 0.5
"""Of a core, that Python and its worker processes take between two looks.

An import takes it, and so does a report; the projector's writing does not.
"""
CALM_S: Final = 1.0
"""How long payments still go first after Python was busy last."""
_POLICY: Final = os.SCHED_RR | os.SCHED_RESET_ON_FORK
_AHEAD_NICE: Final = -10
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


class Place(Enum):
    """Where a thread of payments runs."""

    ALONG = "along"
    """Under the default policy with the shortest slice."""
    AHEAD = "ahead"
    """The same, before most others."""
    FIRST = "first"
    """Before all under the default policy."""


@dataclass(frozen=True, slots=True)
class _Native:
    """A running thread without Python."""

    name: str
    ident: int  # the C library's
    number: int  # the system's

    def computed_ns(self) -> int:
        """For how long it has computed."""
        return time.clock_gettime_ns(time.pthread_getcpuclockid(self.ident))

    def take(self, place: Place) -> None:
        """Run there from now on; a kernel without slices ignores that of the default policy."""
        if place is Place.FIRST:
            os.sched_setscheduler(self.number, _POLICY, os.sched_param(1))
            return
        if os.sched_getscheduler(self.number) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
            os.sched_setscheduler(
                self.number, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0)
            )
        self._set_default(_AHEAD_NICE if place is Place.AHEAD else 0)

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


class Meter:
    """What share of a core threads take between two looks.

    Args:
        native: all running threads without Python.
    """

    def __init__(self, native: list[_Native]) -> None:
        self._native = native
        self._at_ns, self._before_ns = time.monotonic_ns(), self._computed_ns()

    def look(self) -> list[float]:
        """Return the share of Python with its living worker processes, then that of each thread."""
        at_ns, now_ns = time.monotonic_ns(), self._computed_ns()
        passed_ns = at_ns - self._at_ns
        shares = [
            (now - before) / passed_ns for now, before in zip(now_ns, self._before_ns, strict=True)
        ]
        self._at_ns, self._before_ns = at_ns, now_ns
        return shares

    def _computed_ns(self) -> list[int]:
        native = [one.computed_ns() for one in self._native]
        return [time.process_time_ns() - sum(native) + sum(workers_ns()), *native]


class PaymentsFirst(Background):
    """Has the running threads of payments go before Python's while those are busy."""

    def __init__(self) -> None:
        super().__init__("payments-first")
        self._native = _native_threads()
        self._places: dict[str, Place] = {}
        self.precedence = self._permitted()

    def put(self, place: Place) -> None:
        """Have all threads of payments run at one place."""
        for one in self._native:
            self._put(one, place)

    def _put(self, one: _Native, place: Place) -> None:
        if one.name in ASIDE or self._places.get(one.name) is place:
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended: so does the server
            one.take(place)
        self._places[one.name] = place

    def _permitted(self) -> Precedence:
        if os.sched_getscheduler(0) != os.SCHED_OTHER or os.getpriority(os.PRIO_PROCESS, 0) != 0:
            return Precedence.INHERITED
        self.put(Place.ALONG)
        if len(os.sched_getaffinity(0)) < CORES_MIN:
            return Precedence.EQUAL
        try:
            self.put(Place.AHEAD)
            self.put(Place.FIRST)
        except PermissionError:
            self.put(Place.ALONG)
            return Precedence.EQUAL
        self.put(Place.ALONG)
        return Precedence.FIRST

    async def _run(self) -> None:
        if self.precedence is not Precedence.FIRST:
            return
        hurry, meter = Hurry(), Meter(self._native)
        while True:
            await asyncio.sleep(LOOK_S)
            python, *native = meter.look()
            first = hurry.now(python, time.monotonic())
            for one, share in zip(self._native, native, strict=True):
                self._put(one, place_of(one.name, share, first=first))


def place_of(name: str, share: float, *, first: bool) -> Place:
    """Return where a thread belongs that takes a share of a core."""
    if not first:
        return Place.ALONG
    return Place.AHEAD if name.startswith(FRONT) and share >= FLOOD else Place.FIRST


def workers_ns() -> Iterator[int]:
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
