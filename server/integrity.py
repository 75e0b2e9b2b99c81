"""The check of rules against the journal, at the start and ever again.

The journal's chain is walked from its first block on, beside everything else. What it says of rules
is compared with the engine's tables and with the registry. Another registry is thrown away and made
anew, with an alarm; a journal that is damaged, or an engine that decides by other rules, ends all
deciding.

**Source:** regulation 六.3a, 七.5: a value edited in a file stops the authorizations and is told.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from core.blocks import Block, BlockError
from core.documents import DocumentError
from core.refusals import Refusal
from core.rule_ledger import ApprovedChange, RuleLedger
from ext.errors import EngineError
from server.chain_walk import ChainWalk
from server.idle import idle_thread, resting

if TYPE_CHECKING:
    from ext.engine import Engine
    from server.config import IntegritySettings
    from server.projector import Projector
    from server.registry import Registry
    from server.trust import Trust

CHUNK_BYTES: Final = 256 << 10
"""Blocks read at once, bytes."""
POLL_S: Final = 0.02
_TABLE_RULES: Final = 9

_log = structlog.get_logger("campuscard.integrity")


class Integrity:
    """Checks one server's rules.

    Args:
        engine: started.
        projector: started.
        trust: lost when the journal or the engine is not as it must be.
        settings: how often.
    """

    def __init__(
        self, engine: Engine, projector: Projector, trust: Trust, settings: IntegritySettings
    ) -> None:
        self._engine = engine
        self._projector = projector
        self._trust = trust
        self._settings = settings
        self._walk = ChainWalk()
        self._ledger = RuleLedger()
        self._begun_s = time.monotonic()
        self._pool = idle_thread("integrity")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name="integrity")

    async def stop(self) -> None:
        """End the task, and the thread once its chunk is done."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def _run(self) -> None:
        while not self._trust.broken:
            try:
                await self.check()
            except (BlockError, DocumentError, EngineError) as error:
                self._trust.lose(f"journal: {error}", seq=self._walk.seq + 1)
            await asyncio.sleep(self._settings.rules_seconds)

    async def check(self) -> None:
        """Do one round.

        Raises:
            BlockError: the chain is broken.
            DocumentError: an approval cannot be read.
            EngineError: the journal cannot be read.
        """
        if time.monotonic() - self._begun_s >= self._settings.journal_seconds:
            self._walk, self._ledger = ChainWalk(), RuleLedger()
            self._begun_s = time.monotonic()
        await self._check_registry()
        await self._check_engine()

    async def _check_registry(self) -> None:
        try:
            found = await self._projector.look(registry_rules, after_seq=self._walk.seq)
        except Refusal:
            return  # it is being made
        await self._walk_to(found.applied_seq)
        fault = found.fault(self._ledger, seq=self._walk.seq)
        if fault:
            _log.error("registry_differs", fault=fault, seq=self._walk.seq)
            self._projector.discard(fault)

    async def _check_engine(self) -> None:
        """Compare the engine's tables with the journal as it was after some block of the look."""
        before = self._engine.head()["decided_seq"]
        # At this priority: the sequencer stands still while the thread looks.
        tables = await asyncio.to_thread(self._engine.state_dump, _TABLE_RULES)
        after = self._engine.head()["decided_seq"]
        await self._walk_to(before)
        await self._walk_to(after, until=tables)
        if tables != self._ledger.tables:
            self._trust.lose("engine: it decides by other rules than the journal's")

    async def _walk_to(self, seq: int, *, until: bytes | None = None) -> None:
        """Walk to a seq, or to the block after which the journal's rules are ``until``."""
        loop = asyncio.get_running_loop()
        while self._walk.seq < seq and self._ledger.tables != until:
            if self._engine.head()["acknowledged_seq"] <= self._walk.seq:
                await asyncio.sleep(POLL_S)  # it is being made durable
                continue
            await loop.run_in_executor(self._pool, resting, lambda: self._step(seq, until))

    def _step(self, end: int, until: bytes | None) -> None:
        for raw in self._engine.read_blocks(self._walk.seq + 1, CHUNK_BYTES):
            block = Block(raw)
            if block.header.first_seq > end or self._ledger.tables == until:
                return
            self._walk.take(block)
            self._ledger.take(block)


@dataclass(frozen=True, slots=True)
class RegistryRules:
    """What the registry says of rules, and where it stands."""

    applied_seq: int
    changes: dict[int, ApprovedChange]
    bodies: dict[str, bytes]

    def fault(self, ledger: RuleLedger, *, seq: int) -> str:
        """Say what differs from the journal up to a seq; empty when nothing does.

        Args:
            ledger: of the journal up to ``seq``.
            seq: at most where the registry stands; what came later is left out.
        """
        changes = {
            number: change
            if change.cancelled_seq <= seq
            else dataclasses.replace(change, cancelled_seq=0)
            for number, change in self.changes.items()
            if number <= seq
        }
        if changes != ledger.changes:
            return "its approved changes are not the journal's"
        bodies = {"rules": ledger.rules, "meals": ledger.meals}
        if self.applied_seq == seq and self.bodies != bodies:
            return "its rules are not the journal's"
        return ""


def registry_rules(registry: Registry) -> RegistryRules:
    """Read what the registry says of rules."""
    sql = registry.connection
    changes = {
        row[0]: ApprovedChange(*row)
        for row in sql.execute(
            "SELECT seq, key, value, effective_us, version, cancelled_seq FROM parameter_versions"
        )
    }
    bodies = dict(sql.execute("SELECT name, body FROM parameters").fetchall())
    return RegistryRules(registry.position().applied_seq, changes, bodies)
