"""The terminal's memory: durable before anything is sent.

``SqliteStore`` is one SQLite file in WAL mode with ``synchronous=FULL``: a returned commit is on
the disk. Writes of several terminals that wait at the same time share one commit (and one flush).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from clients.terminal.entries import Entry, Key, Kind, State
from clients.terminal.errors import StoreBusyError, StoreFailedError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry (
    terminal_id TEXT NOT NULL, batch_no INTEGER NOT NULL, terminal_seq INTEGER NOT NULL,
    kind TEXT NOT NULL, body BLOB NOT NULL, amount_fen INTEGER NOT NULL, saved_us INTEGER NOT NULL,
    state TEXT NOT NULL, decision BLOB NOT NULL,
    original_batch_no INTEGER NOT NULL, original_terminal_seq INTEGER NOT NULL,
    PRIMARY KEY (terminal_id, batch_no, terminal_seq)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS entry_unsettled ON entry (terminal_id)
    WHERE state IN ('open', 'pin_needed', 'reversing');
CREATE INDEX IF NOT EXISTS entry_age ON entry (saved_us);
CREATE TABLE IF NOT EXISTS batch (
    terminal_id TEXT PRIMARY KEY, batch_no INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
"""
_COLUMNS: Final = (
    "terminal_id, batch_no, terminal_seq, kind, body, amount_fen, saved_us, state, decision, "
    "original_batch_no, original_terminal_seq"
)
_SAVE: Final = (
    f"INSERT INTO entry ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?) "  # noqa: S608 - constants
    "ON CONFLICT DO UPDATE SET state = excluded.state, decision = excluded.decision"
)
_GROUP_MAX: Final = 512  # commits that may share one flush
_KEEP_S: Final = 90 * 86_400  # longer than the server keeps a key (64 days)
_FORGET_EVERY: Final = 4_096  # saves between two looks for what may be forgotten
_FORGET: Final = (
    "DELETE FROM entry WHERE saved_us < ? AND state NOT IN "
    "('open', 'pin_needed', 'reversing', 'disputed')"
)


class Store(Protocol):
    """Where entries survive. Every method returns only when its effect is durable."""

    async def save(self, *entries: Entry) -> None:
        """Write all entries or none. A new key is inserted, a known one gets the new state."""

    async def start_batch(self, terminal_id: str, batch_no: int) -> None:
        """Remember the batch that following keys carry."""

    async def last_batch(self, terminal_id: str) -> int:
        """Return the highest batch ever used, 0 when none."""

    async def unsettled(self, terminal_id: str) -> list[Entry]:
        """Return what a restart has to look at, oldest first."""

    async def find(self, key: Key) -> Entry | None:
        """Return the entry of a key."""


# Runs in the writer thread, and must not return a cursor: freed in another thread, it would reset
# the statement that the writer is just using.
_Work = Callable[[sqlite3.Connection], Any]


@dataclass(frozen=True, slots=True)
class _Job:
    work: _Work
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class SqliteStore:
    """A store in one file, for one terminal or many, used by one process at a time."""

    def __init__(self, path: Path, *, now_us: int, keep_s: int = _KEEP_S) -> None:
        """Open or create a store.

        Args:
            path: the file.
            now_us: this terminal's clock, microseconds since 1970 UTC.
            keep_s: settled entries older than so many seconds are forgotten.

        Raises:
            StoreBusyError: another process has it open.
        """
        self._keep_us = keep_s * 1_000_000
        self._saves = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(path.with_name(path.name + ".lock"))
        try:
            self._connection = _connect(path, oldest_us=now_us - self._keep_us)
        except BaseException:
            os.close(self._lock)
            raise
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._writer = threading.Thread(target=self._run, name="terminal-store", daemon=True)
        self._writer.start()

    async def save(self, *entries: Entry) -> None:
        """See Store."""
        rows = [_to_row(entry) for entry in entries]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_SAVE, rows)
            self._saves += len(rows)
            if self._saves >= _FORGET_EVERY:
                self._saves = 0
                newest_us = max(entry.saved_us for entry in entries)
                connection.execute(_FORGET, (newest_us - self._keep_us,))

        await self._do(work)

    async def start_batch(self, terminal_id: str, batch_no: int) -> None:
        """See Store."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO batch VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET batch_no = excluded.batch_no",
                (terminal_id, batch_no),
            )

        await self._do(work)

    async def last_batch(self, terminal_id: str) -> int:
        """See Store."""
        rows = await self._rows("SELECT batch_no FROM batch WHERE terminal_id = ?", terminal_id)
        return int(rows[0][0]) if rows else 0

    async def unsettled(self, terminal_id: str) -> list[Entry]:
        """See Store."""
        rows = await self._rows(
            f"SELECT {_COLUMNS} FROM entry WHERE terminal_id = ? "  # noqa: S608 - constants
            "AND state IN ('open', 'pin_needed', 'reversing') ORDER BY batch_no, terminal_seq",
            terminal_id,
        )
        return [_from_row(row) for row in rows]

    async def find(self, key: Key) -> Entry | None:
        """See Store."""
        rows = await self._rows(
            f"SELECT {_COLUMNS} FROM entry "  # noqa: S608 - constants
            "WHERE terminal_id = ? AND batch_no = ? AND terminal_seq = ?",
            key.terminal_id,
            key.batch_no,
            key.terminal_seq,
        )
        return _from_row(rows[0]) if rows else None

    def close(self) -> None:
        """Finish what is queued and close the file."""
        if self._writer.is_alive():
            self._jobs.put(None)
            self._writer.join()
            self._connection.close()
            os.close(self._lock)

    async def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = await self._do(
            lambda connection: connection.execute(sql, values).fetchall()
        )
        return rows

    async def _do(self, work: _Work) -> Any:
        if self._failure is not None or not self._writer.is_alive():
            raise StoreFailedError("the store is closed or broken") from self._failure
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._jobs.put(_Job(work, loop, done))
        return await done

    def _run(self) -> None:
        """Writer thread: takes what waits, commits it once, wakes everybody."""
        running = True
        while running:
            group, running = self._take()
            if group:
                self._commit(group)

    def _take(self) -> tuple[list[_Job], bool]:
        """Wait for one job and take those that wait behind it; False: the last one was taken."""
        group: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == _GROUP_MAX:
                return group, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, group: Sequence[_Job]) -> None:
        results: list[Any] = []
        failure = self._failure
        if failure is None:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                results = [job.work(self._connection) for job in group]
                self._connection.execute("COMMIT")
            except Exception as error:  # noqa: BLE001 - whatever it was, the disk is in doubt
                failure = self._failure = error
        loops = {job.loop for job in group}
        for loop in loops:
            answers = [
                (job.done, None if failure else results[index])
                for index, job in enumerate(group)
                if job.loop is loop
            ]
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, answers, failure)


def _resolve(
    answers: Sequence[tuple[asyncio.Future[Any], Any]], failure: BaseException | None
) -> None:
    for done, result in answers:
        if done.done():
            continue
        if failure is None:
            done.set_result(result)
        else:
            error = StoreFailedError("a write was not confirmed; reopen the store")
            error.__cause__ = failure
            done.set_exception(error)


def _lock(path: Path) -> int:
    """Take the lock file; two processes on one store would give out the same keys twice."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreBusyError(f"{path} is held by another process") from error
    return descriptor


def _connect(path: Path, *, oldest_us: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(_SCHEMA)
    connection.execute(_FORGET, (oldest_us,))
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)  # the new file's name, too, has to survive a power cut
    finally:
        os.close(directory)
    return connection


def _to_row(entry: Entry) -> tuple[object, ...]:
    key, original = entry.key, entry.original
    return (
        key.terminal_id,
        key.batch_no,
        key.terminal_seq,
        entry.kind.value,
        entry.body,
        entry.amount_fen,
        entry.saved_us,
        entry.state.value,
        entry.decision,
        original.batch_no if original else 0,
        original.terminal_seq if original else 0,
    )


def _from_row(row: Sequence[Any]) -> Entry:
    original = Key(terminal_id=row[0], batch_no=row[9], terminal_seq=row[10]) if row[10] else None
    return Entry(
        key=Key(terminal_id=row[0], batch_no=row[1], terminal_seq=row[2]),
        kind=Kind(row[3]),
        body=row[4],
        amount_fen=row[5],
        saved_us=row[6],
        state=State(row[7]),
        decision=row[8],
        original=original,
    )
