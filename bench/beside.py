"""Payments beside what could be in their way: a caller without pause, an import and a report.

The payments are an open loop's: their latency counts from when they should have come. What is given
is how many times their 99th percentile alone it is.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from bench.arrivals import poisson, steady
from bench.disk import is_disk
from bench.load import Ran, Shape, Terminals
from bench.registry import roster
from bench.rows import Row, progress, rounded
from bench.serving import Served, Setting, serving
from bench.workload import SPARE_ROWS, TERMINALS, Scale, draws
from clients.admin.demo import first_secret
from clients.admin.demo_staff import DemoStaff
from ext.front import load
from server.idle import LOWEST

ACCOUNTS: Final = 50_000
QUIET: Final = 500
IMPORTED: Final = 20_000
FAIR: Final = 3.0
TWICE: Final = 2.0
_GREEDY: Final = 256  # calls under way on one connection: all it may have
_GREEDY_PER_S: Final = 300_000  # more than it will reach: it is stopped
_IMPORT_S: Final = 240
_WARM: Final = 2_000
_TERMINALS_NICE: Final = -10
_P50, _P99 = 500_000, 990_000


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield the row beside a greedy caller, then the one beside the office."""
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    seconds = scale.choose(20.0, 4.0, 0.5)
    quiet = scale.choose(QUIET, QUIET, 20)
    imported = scale.choose(IMPORTED, IMPORTED, 60)
    os.environ["XDG_STATE_HOME"] = str(directory)  # the session is of this run only
    setting = Setting(terminals=TERMINALS + quiet, spare_rows=SPARE_ROWS + imported)
    with serving(directory, accounts, segment_bytes=scale.file_bytes, setting=setting) as served:
        bench = Beside(served, accounts, durable=is_disk(directory))
        yield bench.greedy(quiet, seconds)
        yield bench.office(directory, imported, seconds)


class Beside:
    """One server and what happens at it at the same time."""

    def __init__(self, served: Served, accounts: int, *, durable: bool) -> None:
        self._served = served
        self._accounts = accounts
        self._draws = draws(accounts)
        self._durable = durable

    def _terminals(self, shape: Shape, **more: Any) -> Terminals:
        return Terminals(self._served, shape, self._draws, **more)

    def greedy(self, quiet: int, seconds: float) -> Row:
        """One connection with as many calls under way as it may have, and terminals of one a second."""
        progress(f"{quiet} terminals of one call a second, beside one without pause")
        calls, gaps = int(quiet * seconds), steady(quiet)
        slow = Shape("quiet", load.UNARY, quiet, 1)
        fast = Shape("greedy", load.UNARY, 1, _GREEDY)
        with (
            self._terminals(slow, own=True, first=TERMINALS + 1) as terminals,
            self._terminals(fast) as greedy,
            ThreadPoolExecutor(1) as pool,
        ):
            terminals.run(quiet, gaps_ns=gaps)
            alone = terminals.run(calls, gaps_ns=gaps)
            greedy.run(_WARM)
            pausing = pool.submit(greedy.run, int(_GREEDY_PER_S * (seconds + 1)))
            try:
                beside = terminals.run(calls, gaps_ns=gaps)
            finally:
                greedy.stop()
            told = {"greedy_per_s": rounded(pausing.result().rate), "terminals": quiet}
        return self._row(f"rpc native fairness {quiet}x1", alone, beside, FAIR, told)

    def office(self, directory: Path, rows: int, seconds: float) -> Row:
        """Payments at half of what the server can do, while a roster comes in and reports are made."""
        progress(f"payments at half load, beside an import of {rows:,} holders and reports")
        staff = DemoStaff(directory, self._served.address)
        staff.enter(first_secret(self._served.process))
        commands = Commands(self._served.address, staff.token())
        file = directory / "roster.csv"
        file.write_bytes(roster(rows))
        with (
            self._terminals(Shape("half load", load.UNARY, 4, 8)) as terminals,
            ThreadPoolExecutor(2) as pool,
        ):
            probe = terminals.run(_WARM)
            half = terminals.run(max(_WARM, int(probe.calls_per_s * seconds / 2))).calls_per_s / 2
            self._served.catch_up()
            over = threading.Event()
            with as_other_machines() as first:
                alone = terminals.run(int(half * seconds), gaps_ns=poisson(half))
                began = time.monotonic()
                importing = pool.submit(ended(terminals.stop, over, commands.imports), file)
                reports = pool.submit(commands.reports, over)
                beside = terminals.run(int(half * _IMPORT_S), gaps_ns=poisson(half))
            importing.result()
            told = {
                "per_s": rounded(half),
                "seconds": round(time.monotonic() - began, 1),
                "reports": reports.result(),
                "callers_first": first,
            }
        return self._row(f"rpc native beside import {rows}", alone, beside, TWICE, told)

    def _row(self, name: str, alone: Ran, beside: Ran, most: float, told: dict[str, Any]) -> Row:
        alone_ms, beside_ms = alone.took.at(_P99) / 1e6, beside.took.at(_P99) / 1e6
        return Row(
            name=name,
            value=beside_ms / alone_ms,
            unit="times p99 alone",
            p50_ms=beside.took.at(_P50) / 1e6,
            p99_ms=beside_ms,
            durable=self._durable,
            accounts=self._accounts,
            block=round(beside.block, 1),
            target=most,
            least=False,
            detail={
                "alone_p50_ms": rounded(alone.took.at(_P50) / 1e6),
                "alone_p99_ms": rounded(alone_ms),
                **told,
            },
        )


@contextlib.contextmanager
def as_other_machines() -> Iterator[bool]:
    """Have this thread, where the system permits it, go before the other processes of this machine.

    What it measures is then the server's delay, and not that of terminals that lack a core.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _TERMINALS_NICE)
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def ended(
    stop: Callable[[], None], over: threading.Event, work: Callable[[Path], None]
) -> Callable[[Path], None]:
    """Return work that ends what runs beside it, however it ends itself."""

    def both(file: Path) -> None:
        try:
            work(file)
        finally:
            over.set()
            stop()

    return both


def give_way(leader: int) -> None:
    """Give a process, the first of its session, the lowest priority: its session too, where that counts."""
    os.setpriority(os.PRIO_PROCESS, leader, LOWEST)
    with contextlib.suppress(OSError):  # a kernel without groups of sessions, or too often asked
        Path(f"/proc/{leader}/autogroup").write_text(str(LOWEST), encoding="ascii")


class Commands:
    """The command line of a member of staff.

    It stands for another machine, so it gives way to everything on this one.
    """

    def __init__(self, address: str, token: str) -> None:
        self._environment = {
            **os.environ,
            "CAMPUSCARD_TOKEN": token,
            "CAMPUSCARD_ADDRESS": address,
        }

    def imports(self, file: Path) -> None:
        """Import a roster."""
        self._run("office", "import", str(file))

    def reports(self, over: threading.Event) -> int:
        """Ask what today would have been under another day limit, again and again; how often."""
        count, today = 0, dt.datetime.now(dt.UTC).date()
        days = ("--from", str(today - dt.timedelta(days=1)), "--to", str(today))
        while not over.is_set():
            self._run("param", "what-if", "day_limit_fen=5000", *days)
            count += 1
        return count

    def _run(self, *arguments: str) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", "clients.admin.cli", *arguments, "-o", "json"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as command:
            give_way(command.pid)
            printed, complained = command.communicate()
        if command.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments[:2])}: {complained.strip() or printed[-500:]}")
