"""A server process to measure, with both front ends where both were built."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.workload import SPARE_ROWS, TERMINALS, make_campus
from clients.admin.child import ServerProcess
from clients.admin.demo import free_or_any
from server.front import available

CALL_S: Final = 20
CATCH_UP_S: Final = 120
_HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a server is started with beside its defaults.

    Attributes:
        terminals: that the campus has.
        spare_rows: of accounts and media that an import may fill.
        front: lines of the section ``[front]``.
        sections: further sections.
    """

    terminals: int = TERMINALS
    spare_rows: int = SPARE_ROWS
    front: str = ""
    sections: str = ""


def settings_toml(accounts: int, front: str, setting: Setting | None = None) -> str:
    """Return settings that fit the campus and limit no caller."""
    asked = setting or Setting()
    return f"""
[server]
address = "{_HOST}:0"
[front]
address = "{front}"
{asked.front}
[engine]
accounts_max = {accounts + asked.spare_rows}
media_max = {accounts + asked.spare_rows}
[limits]
terminal_rate = 1000000
terminal_burst = 1000000
{asked.sections}
"""


class Served:
    """A server of its own process on a campus; ``metrics`` reads what it says of itself."""

    def __init__(self, directory: Path, paths: dict[str, Path], *, front: str = "") -> None:
        self.front_address = front
        self._metrics = free_or_any(f"{_HOST}:0")
        self.process = ServerProcess(
            paths["config"], log=directory / "server.log", options=("--metrics", self._metrics)
        )

    @property
    def address(self) -> str:
        """Where it takes calls."""
        return self.process.address

    def metrics(self) -> dict[str, float]:
        """Return its figures by name with labels."""
        with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=CALL_S) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def catch_up(self) -> None:
        """Wait until the registry has what was decided, so that no row pays for the one before.

        Raises:
            TimeoutError: it does not catch up.
        """
        ends = time.monotonic() + CATCH_UP_S
        while True:
            said = self.metrics()
            if said["campuscard_registry_seq"] >= said["campuscard_acknowledged_seq"]:
                return
            if time.monotonic() > ends:
                raise TimeoutError(f"the registry is behind after {CATCH_UP_S} s")
            time.sleep(0.1)

    def cpu_ns(self) -> int:
        """Return the processor time its threads have used, user's and system's."""
        clock = ctypes.c_int()
        found = ctypes.CDLL(None).clock_getcpuclockid(self.process.pid, ctypes.byref(clock))
        if found != 0:
            raise OSError(found, os.strerror(found))
        return time.clock_gettime_ns(clock.value)


@contextlib.contextmanager
def serving(
    directory: Path, accounts: int, *, segment_bytes: int, setting: Setting | None = None
) -> Iterator[Served]:
    """Make a campus, serve it, end the server."""
    asked = setting or Setting()
    front = free_or_any(f"{_HOST}:0") if available() else ""
    paths = make_campus(
        directory / "campus",
        accounts,
        toml=settings_toml(accounts, front, asked),
        segment_bytes=segment_bytes,
        terminals=asked.terminals,
    )
    served = Served(directory, paths, front=front)
    served.process.start()
    try:
        yield served
    finally:
        served.process.kill()
