"""Which threads go first on a busy machine: those that every payment waits for.

Under its default policy Linux may leave a thread that has work to do waiting until the next tick, 4 ms,
behind one of the lowest priority, and a payment passes several threads. So the sequencer and the
committer get the lowest real-time priority: they are short, and sleep at every commit. A machine of one
core keeps it for all. The front end's threads stay under the default policy, because a flood of calls
must not keep the machine from all else, and because one that went before its callers would take each
call alone; they get the shortest time slice, with which they seldom wait for a tick.

**Source:** sched(7), ``SCHED_RR`` and ``RLIMIT_RTPRIO``; sched_setattr(2), ``sched_runtime``, which
kernels before 6.12 ignore for the default policy.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import threading
from enum import StrEnum
from typing import Final

FIRST: Final = ("sequencer", "committer")
"""Names of the threads that go before all others."""
SOON: Final = ("front-",)
"""How the names of those begin that wait least among equals."""
CORES_MIN: Final = 2
"""Fewer: a thread that went before all others would stop them."""
_POLICY: Final = os.SCHED_RR | os.SCHED_RESET_ON_FORK
_SLICE_NS: Final = 100_000  # the least there is
_SETATTR: Final = {"x86_64": 314, "aarch64": 274}  # the C library has no name for it before 2.41
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")


class Precedence(StrEnum):
    """How the threads of payments run."""

    FIRST = "first"
    """Before what is under the default policy."""
    EQUAL = "equal"
    """There is one core, or no right to a real-time priority: CAP_SYS_NICE, an RLIMIT_RTPRIO of 1."""
    INHERITED = "inherited"
    """Whoever started us chose another priority, and it stays."""


def put_payments_first() -> Precedence:
    """Have the running threads of payments go first, as far as the system permits it."""
    if os.sched_getscheduler(0) != os.SCHED_OTHER or os.getpriority(os.PRIO_PROCESS, 0) != 0:
        return Precedence.INHERITED
    threads = [(one.name, one.native_id) for one in threading.enumerate() if one.native_id]
    for name, number in threads:
        if name.startswith(FIRST + SOON):
            _shorten_slice(number)
    if len(os.sched_getaffinity(0)) < CORES_MIN:
        return Precedence.EQUAL
    try:
        for name, number in threads:
            if name in FIRST:
                os.sched_setscheduler(number, _POLICY, os.sched_param(1))
    except PermissionError:
        return Precedence.EQUAL
    return Precedence.FIRST


def _shorten_slice(thread: int) -> None:
    """Ask for the shortest slice; a machine that knows none goes on as it was."""
    call = _SETATTR.get(platform.machine())
    if call is not None:
        default = os.SCHED_OTHER, 0, 0, 0, _SLICE_NS, 0, 0
        ctypes.CDLL(None).syscall(call, thread, _ATTRIBUTES.pack(_ATTRIBUTES.size, *default), 0)
