"""The one clock of the server: the machine's, or a test's file."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path
from typing import Final

_TIME: Final = struct.Struct("<q")


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC."""
        return time.time_ns() // 1_000


class FileClock:
    """A clock that a test moves: eight bytes in a file, int64 little-endian, microseconds.

    Args:
        path: the file; the engine maps the same.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), _TIME.size, access=mmap.ACCESS_READ)

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC."""
        value: int = _TIME.unpack(self._map[: _TIME.size])[0]
        return value


def open_clock(path: str) -> SystemClock | FileClock:
    """Open the clock of a server.

    Args:
        path: of the test clock's file; empty: the machine's clock.
    """
    return FileClock(Path(path)) if path else SystemClock()
