"""A server process to measure, with both front ends where both were built."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.workload import SPARE_ROWS, make_campus
from clients.admin.child import ServerProcess
from clients.admin.demo import free_or_any
from server.front import available

CALL_S: Final = 20
_HOST: Final = "127.0.0.1"


def settings_toml(accounts: int, front: str) -> str:
    """Return settings that fit the campus and limit no caller."""
    return f"""
[server]
address = "{_HOST}:0"
[front]
address = "{front}"
[engine]
accounts_max = {accounts + SPARE_ROWS}
media_max = {accounts + SPARE_ROWS}
[limits]
terminal_rate = 1000000
terminal_burst = 1000000
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


@contextlib.contextmanager
def serving(directory: Path, accounts: int, *, segment_bytes: int) -> Iterator[Served]:
    """Make a campus, serve it, end the server."""
    front = free_or_any(f"{_HOST}:0") if available() else ""
    toml = settings_toml(accounts, front)
    paths = make_campus(directory / "campus", accounts, toml=toml, segment_bytes=segment_bytes)
    served = Served(directory, paths, front=front)
    served.process.start()
    try:
        yield served
    finally:
        served.process.kill()
