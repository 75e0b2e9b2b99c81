"""Folding the registry's log into its file, a little at a time.

SQLite does it at a commit: it syncs the log, then hundreds of pages all over the file at once, and a
payment's own sync waits behind them, for 10 to 100 ms. Here the same is done in the same order, but
slice by slice, each waited for and followed by a rest (elsewhere than on Linux by SQLite, at once):

1. A reader's snapshot keeps the log from being begun anew, whatever is committed meanwhile.
2. The log is synced up to there.
3. Its pages are copied into the file, without a sync.
4. The file is synced, and the snapshot given up.

A power cut before the end finds the whole log, and with it every page. SQLite's own folding stays as
the bound of the log, see ``registry.LOG_PAGES``.

**Source:** sqlite.org/walformat.html, "Checkpointing"; sync_file_range(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import structlog

from server.idle import idle_thread

EVERY_S: Final = 5.0
SLICE: Final = 128 << 10
"""Bytes of a file whose changed pages are written at once: 32 of them at most."""
REST_TIMES: Final = 3
REST_MAX_S: Final = 0.02
_QUICK_S: Final = 0.0001  # nothing was to be written
_WRITE_AND_WAIT: Final = 7  # SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE, _WAIT_AFTER
_OPEN: Final = Path("/proc/self/fd")
_log = structlog.get_logger("campuscard.folding")


class Folding:
    """Folds one registry's log, in a thread of lowest priority.

    Args:
        path: the registry.
        broken: is told why, when pages of it may be lost that the log will not keep.
    """

    def __init__(self, path: Path, broken: Callable[[str], None]) -> None:
        self._path = path
        self._broken = broken
        self._pool = idle_thread("folding")
        self._begun: Future[None] | None = None
        self._ended_s = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether one is under way."""
        return self._begun is not None and not self._begun.done()

    def begin(self) -> None:
        """Begin when it is time; call it after a commit."""
        if not self.running and time.monotonic() - self._ended_s >= EVERY_S:
            self._begun = self._pool.submit(self._fold)

    def wait(self) -> None:
        """Let a folding that was begun end; call it before the registry is closed."""
        if self._begun is not None:
            self._begun.result()

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()

    def _fold(self) -> None:
        try:
            self._copy()
        except (sqlite3.Error, OSError) as error:
            _log.warning("registry_not_folded", error=str(error))
        finally:
            self._ended_s = time.monotonic()

    def _copy(self) -> None:
        with (
            contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as reader,
            contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as folder,
        ):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            file, log = (_opened(self._path.resolve(), suffix) for suffix in ("", "-wal"))
            if file is None or log is None:  # no /proc: SQLite syncs as it sees fit
                folder.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                return
            write_out(log)
            folder.execute("PRAGMA synchronous=OFF")
            try:
                folder.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                write_out(file)
            except OSError as error:
                self._broken(f"its file: {error}")
                raise
            finally:
                folder.execute("PRAGMA synchronous=NORMAL")  # should it be the last to close


def _opened(path: Path, suffix: str) -> int | None:
    """Find SQLite's own descriptor of a file: closing another one would give up its locks, fcntl(2)."""
    wanted = f"{path}{suffix}"
    for entry in _OPEN.iterdir() if _OPEN.is_dir() else ():
        with contextlib.suppress(OSError):  # closed meanwhile
            if str(entry.readlink()) == wanted:
                return int(entry.name)
    return None


def write_out(fd: int) -> None:
    """Make an open file durable slice by slice, resting after each that was written.

    Raises:
        OSError: it cannot be synced.
    """
    write_range = ctypes.CDLL(None, use_errno=True).sync_file_range
    for at in range(0, os.fstat(fd).st_size, SLICE):
        began_s = time.monotonic()
        if write_range(fd, ctypes.c_int64(at), ctypes.c_int64(SLICE), _WRITE_AND_WAIT) != 0:
            raise OSError(ctypes.get_errno(), "sync_file_range")
        took_s = time.monotonic() - began_s
        if took_s > _QUICK_S:
            time.sleep(min(REST_TIMES * took_s, REST_MAX_S))
    os.fdatasync(fd)
