"""The projector: one thread that follows the acknowledged journal into the registry.

One lock guards the registry, and it is free between blocks, so every read sees exactly the blocks up
to the seq it names. `read` runs in the projector's thread; `look`, for single rows, in the caller's
when the lock is free, and takes the few blocks that are still missing along: an act of the office
need not wait for a thread to wake. The same loop rebuilds an absent registry from seq 1. When the
registry cannot be used, reads are answered REGISTRY_UNAVAILABLE, payments go on, and opening it is
tried again every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import structlog

from core.blocks import Block, BlockError
from core.documents import DocumentError
from core.refusals import Refusal
from server.folding import Folding
from server.projection import Projection
from server.registry import Position, Registry, SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.ports import HolderKeys

COMMIT_S: Final = 0.02
"""How long after a commit the registry commits again, when the journal has no more for it."""
COMMIT_BUSY_S: Final = 1.0
"""The same under a steady flow: a page that changes often is written once."""
IDLE_S: Final = 0.02
"""How long the journal is left alone when nobody waits."""
RETRY_S: Final = 1
"""How long a registry that cannot be used is left alone."""
READ_TIMEOUT_S: Final = 5
"""How long a read waits for the registry to get where it must be."""
CHUNK_BYTES: Final = 4 << 20
"""Blocks taken from the journal at once, bytes."""
LOOK_RECORDS: Final = 1_024
"""How far behind the registry may be for `look` to bring it up itself, records."""
LOOK_BYTES: Final = 256 << 10
"""Blocks that `look` takes from the journal at most, bytes."""

FAULTS: Final = (sqlite3.Error, SchemaError, DocumentError, BlockError, OSError)
"""What makes the registry unusable until it is opened again."""

_Result = TypeVar("_Result")
_log = structlog.get_logger("campuscard.projector")


class Journal(Protocol):
    """What the projector needs of the engine."""

    def head(self) -> Any:
        """Return where the journal stands."""
        ...

    def read_blocks(self, from_seq: int, max_bytes: int) -> list[bytes]:
        """Return whole acknowledged blocks from the one holding ``from_seq`` on."""
        ...


@dataclass(frozen=True, slots=True)
class _Read:
    function: Callable[[Registry], Any]
    after_seq: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Opened:
    registry: Registry
    projection: Projection


class Projector:
    """Keeps one registry at the head of one journal.

    Args:
        journal: the engine.
        path: of the registry.
        keys: unseal the holders' names.
    """

    def __init__(self, journal: Journal, path: Path, *, keys: HolderKeys) -> None:
        self._journal = journal
        self._path = path
        self._folding = Folding(path, self.discard)
        self._keys = keys
        self._opened: _Opened | None = None
        self._reads: deque[_Read] = deque()
        self._lock = threading.Lock()  # opened registry, transaction, applied_seq
        self._wake = threading.Event()
        self._stopping = False
        self._in_transaction = False
        self._committed_at = time.monotonic()
        self._first_seq: int = journal.head()["acknowledged_seq"]
        self._thread = threading.Thread(target=self._run, name="projector", daemon=True)
        self._discard = ""
        self.applied_seq = 0
        self.error = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Apply what is acknowledged, commit, close the registry, end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self._folding.close()

    def discard(self, reason: str) -> None:
        """Throw the registry away and make it anew from the journal; reads wait for it.

        Args:
            reason: what is wrong with it, for the log.
        """
        self._first_seq = self._journal.head()["acknowledged_seq"]
        self._discard = reason
        self._wake.set()

    async def look(self, function: Callable[[Registry], _Result], *, after_seq: int = 0) -> _Result:
        """Run a quick function on the registry once it stands at ``after_seq`` or later.

        Args:
            function: reads single rows, microseconds: it may run in this thread.
            after_seq: as for ``read``.

        Raises:
            Refusal: REGISTRY_UNAVAILABLE.
        """
        after_seq = max(after_seq, self._first_seq)
        if after_seq - self.applied_seq <= LOOK_RECORDS and self._lock.acquire(blocking=False):
            try:
                opened = self._opened
                if opened is not None and self._catch_up(opened, after_seq):
                    return function(opened.registry)
            finally:
                self._lock.release()
        return await self.read(function, after_seq=after_seq)

    async def read(self, function: Callable[[Registry], _Result], *, after_seq: int = 0) -> _Result:
        """Run a function on the registry once it stands at ``after_seq`` or later.

        Args:
            function: reads only; it runs in the projector's thread.
            after_seq: at least the seq the journal had when the server started is waited for.

        Raises:
            Refusal: REGISTRY_UNAVAILABLE, also when it does not get there in five seconds.
        """
        if self.error or self._stopping:
            raise Refusal("REGISTRY_UNAVAILABLE", retry_after_ms=1_000)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()
        self._reads.append(_Read(function, max(after_seq, self._first_seq), loop, future))
        self._wake.set()
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await future
        except TimeoutError:
            raise Refusal("REGISTRY_UNAVAILABLE", retry_after_ms=1_000) from None

    def _catch_up(self, opened: _Opened, after_seq: int) -> bool:
        """Apply what is missing up to a seq, with the lock held; False when it went wrong."""
        try:
            while self.applied_seq < after_seq:
                blocks = self._journal.read_blocks(self.applied_seq + 1, LOOK_BYTES)
                if not self._apply(opened, blocks):
                    return False
        except FAULTS as error:
            self._fail(error)
            return False
        return True

    # ---- the thread ----

    def _run(self) -> None:
        while True:
            stopping = self._stopping
            try:
                moved = self._turn()
            except FAULTS as error:
                with self._lock:
                    self._fail(error)
                if stopping:
                    return
                self._wake.wait(RETRY_S)
                self._wake.clear()
                continue
            if stopping and not moved:
                with self._lock:
                    self._commit()
                    self._close()
                return
            if not moved and not self._wake.wait(IDLE_S):
                continue
            self._wake.clear()

    def _turn(self) -> bool:
        """Do one round; tell whether the registry moved."""
        with self._lock:
            if self._discard:
                self._close()
            opened = self._opened or self._open()
            head = self._journal.head()["acknowledged_seq"]
            moved = head > self.applied_seq and self._apply(
                opened, self._journal.read_blocks(self.applied_seq + 1, CHUNK_BYTES)
            )
            self._answer_reads(opened.registry)
            rest_s = COMMIT_BUSY_S if moved else COMMIT_S
            if self._in_transaction and time.monotonic() - self._committed_at >= rest_s:
                self._commit()
            if opened.projection.erased and not self._in_transaction and not self._folding.running:
                # Pages as they were before stand in the log until it is emptied.
                emptied = opened.registry.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                opened.projection.erased = emptied.fetchone()[0] != 0
        return moved

    def _apply(self, opened: _Opened, blocks: list[bytes]) -> bool:
        """Apply blocks, with the lock held; tell whether there were any."""
        for raw in blocks:
            block = Block(raw)
            if block.header.first_seq != self.applied_seq + 1:
                raise BlockError("the journal has a gap", self.applied_seq + 1)
            if not self._in_transaction:
                opened.registry.connection.execute("BEGIN IMMEDIATE")
                self._in_transaction = True
            opened.projection.apply(block)
            self.applied_seq = block.header.last_seq
        return bool(blocks)

    def _answer_reads(self, registry: Registry) -> None:
        waiting: list[_Read] = []
        while self._reads:
            read = self._reads.popleft()
            if read.after_seq > self.applied_seq:
                waiting.append(read)
                continue
            try:
                result, fault = read.function(registry), None
            except sqlite3.Error:
                self._reads.append(read)
                self._reads.extend(waiting)
                raise
            except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
                result, fault = None, error
            _resolve(read, result, fault)
        self._reads.extend(waiting)

    def _commit(self) -> None:
        if self._in_transaction and self._opened is not None:
            self._opened.registry.connection.execute("COMMIT")
            self._in_transaction = False
            self._folding.begin()
        self._committed_at = time.monotonic()

    def _open(self) -> _Opened:
        registry = self._open_or_discard()
        self.applied_seq = registry.position().applied_seq
        self._in_transaction = False
        self._erase_without_keys(registry)
        if self.error:
            _log.info("registry_recovered", applied_seq=self.applied_seq)
        self.error = ""
        opened = _Opened(registry, Projection(registry.connection, self._keys))
        self._opened = opened
        return opened

    def _open_or_discard(self) -> Registry:
        """Open the registry; one that is damaged or not of this journal is made anew."""
        reason, self._discard = self._discard, ""
        try:
            registry = Registry(self._path)
            reason = reason or self._difference(registry.position())
            if not reason:
                return registry
            registry.close()
        except sqlite3.OperationalError:
            raise
        except (sqlite3.DatabaseError, SchemaError) as error:
            reason = str(error)
        _log.warning("registry_discarded", reason=reason)
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return Registry(self._path)

    def _difference(self, position: Position) -> str:
        """Say why a registry does not belong to the journal; empty when it does."""
        if position.applied_seq == 0:
            return ""
        if position.applied_seq > self._journal.head()["acknowledged_seq"]:
            return "it is ahead of the journal"
        block = Block(self._journal.read_blocks(position.applied_seq, 1)[0])
        same = block.header.last_seq == position.applied_seq and block.chain() == position.chain
        return "" if same else "it stands on another journal"

    def _erase_without_keys(self, registry: Registry) -> None:
        for number in registry.unerased_numbers():
            if not self._keys.has_key(number):
                registry.erase(number)
                _log.info("holder_erased", number=number)

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            self._folding.wait()
            opened.registry.close()

    def _fail(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self.error:
            _log.error("registry_failed", error=text, applied_seq=self.applied_seq)
        self.error = text
        self._in_transaction = False
        with contextlib.suppress(sqlite3.Error):
            self._close()
        while self._reads:
            refusal = Refusal("REGISTRY_UNAVAILABLE", retry_after_ms=1_000)
            _resolve(self._reads.popleft(), None, refusal)


def _resolve(read: _Read, result: object, fault: Exception | None) -> None:
    def deliver() -> None:
        if read.future.done():
            return
        if fault is None:
            read.future.set_result(result)
        else:
            read.future.set_exception(fault)

    try:
        read.loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        _log.debug("read_abandoned")  # its loop has ended
