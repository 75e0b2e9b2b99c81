"""Payments beside what could be in their way: a caller without pause, an import and a report.

The payments are an open loop's: their latency counts from when they should have come. What is given
is how many times their 99th percentile alone it is.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
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
from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from campuscard.v1 import roster_pb2 as pb
from clients.admin.calls import Services, new_request_id
from clients.admin.demo import first_secret
from clients.admin.demo_staff import DemoStaff
from clients.admin.office_roster import PIECE
from ext.front import load
from ext.histogram import Histogram

ACCOUNTS: Final = 50_000
QUIET: Final = 500
IMPORTED: Final = 20_000
FAIR: Final = 3.0
TWICE: Final = 2.0
_GREEDY: Final = 256  # calls under way on one connection: all it may have
_GREEDY_PER_S: Final = 300_000  # more than it will reach: it is stopped
_IMPORT_S: Final = 240
_WARM: Final = 2_000
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
        staff.sign_in()
        clerk = Clerk(self._served.address)
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
                alone = Seconds(terminals, half)
                while alone.count < seconds:
                    alone.pay()
                began = time.monotonic()
                importing = pool.submit(ended(over, clerk.imports), file)
                reports = pool.submit(clerk.reports, over)
                beside = Seconds(terminals, half)
                while not over.is_set():
                    beside.pay()
            importing.result()
            told = {
                "per_s": rounded(half),
                "seconds": round(time.monotonic() - began, 1),
                "reports": reports.result(),
                "callers_first": first,
                "all_alone_p99_ms": rounded(alone.took.at(_P99) / 1e6),
                "all_p99_ms": rounded(beside.took.at(_P99) / 1e6),
            }
        return self._row(
            f"rpc native beside import {rows}", alone.median(), beside.median(), TWICE, told
        )

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


class Seconds:
    """Payments at an even rate, measured a second at a time.

    What the machine itself does every few seconds is in some of them, what is beside them in all: the
    second of the median tells the one from the other.

    Attributes:
        took: all of them.
        count: seconds.
    """

    def __init__(self, terminals: Terminals, per_s: float) -> None:
        self._terminals = terminals
        self._calls = max(1, int(per_s))
        self._gaps_ns = poisson(per_s)
        self._ran: list[Ran] = []
        self.took = Histogram()

    @property
    def count(self) -> int:
        """How many seconds there were."""
        return len(self._ran)

    def pay(self) -> None:
        """Do it for one more second."""
        ran = self._terminals.run(self._calls, gaps_ns=self._gaps_ns)
        self._ran.append(ran)
        self.took.add_all(ran.took)

    def median(self) -> Ran:
        """Return the second whose 99th percentile is in the middle."""
        return sorted(self._ran, key=lambda ran: ran.took.at(_P99))[self.count // 2]


@contextlib.contextmanager
def as_other_machines() -> Iterator[bool]:
    """Have this thread, where the system permits it, go before all under the default policy.

    What it measures is then the server's delay, and not that of terminals that lack a core.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def ended(over: threading.Event, work: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return work that tells when it has ended, however it does."""

    def both(file: Path) -> None:
        try:
            work(file)
        finally:
            over.set()

    return both


class Clerk:
    """A member of staff at another machine: asks and reads on, and lets the server do the rest."""

    def __init__(self, address: str) -> None:
        self._address = address

    def imports(self, file: Path) -> None:
        """Import a roster.

        Raises:
            RuntimeError: not every row of it was good.
        """
        header = pb.ImportHoldersHeader(
            request_id=new_request_id(),
            file_name=file.name,
            kind=accounts_pb.HOLDER_KIND_STUDENT,
        )

        def requests() -> Iterator[pb.ImportHoldersRequest]:
            yield pb.ImportHoldersRequest(header=header)
            with file.open("rb") as stream:
                while piece := stream.read(PIECE):
                    yield pb.ImportHoldersRequest(content=piece)

        summary = pb.ImportSummary()
        with Services(self._address) as services:
            for response in services.office.ImportHolders(requests(), timeout=_IMPORT_S):
                summary = response.summary
        if not summary.added or summary.refused:
            raise RuntimeError(f"the import ended so: {summary}")

    def reports(self, over: threading.Event) -> int:
        """Ask what today would have been under another day limit, again and again; how often."""
        today = dt.datetime.now(dt.UTC).date()
        request = parameters_pb.WhatIfRequest(
            from_date=(today - dt.timedelta(days=1)).isoformat(), to_date=today.isoformat()
        )
        request.values.add(key="day_limit_fen", value="5000")
        count = 0
        with Services(self._address) as services:
            while not over.is_set():
                for _ in services.parameters.WhatIf(request, timeout=_IMPORT_S):
                    pass
                count += 1
        return count
