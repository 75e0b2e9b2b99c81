"""Watches for what goes wrong in the engine without stopping it, and logs it once.

Native threads do not log. A checkpoint that fails, a journal segment that cannot be made ahead and
space that runs out are all survived for a while, so somebody must be told before the while is over.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import structlog

from server.background import Background

if TYPE_CHECKING:
    from ext.engine import Engine, Faults

LOOK_S: Final = 1
ALARM_PERMILLE: Final = 700
"""Journal space used from which the operator is warned."""
FULL_PERMILLE: Final = 950
"""Journal space used from which debits pause."""

_log = structlog.get_logger("campuscard.engine")


class Space(IntEnum):
    """How much room the journal has."""

    ENOUGH = 0
    ALARM = 1
    FULL = 2


class Watch(Background):
    """Looks at one engine every second.

    Args:
        engine: started.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__("watch")
        self._engine = engine
        self._checkpoint = ""
        self._segment = ""
        self._space = Space.ENOUGH

    async def _run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Log what has changed since the last look."""
        faults = self._engine.faults()
        if faults["checkpoint"] != self._checkpoint:
            self._checkpoint = faults["checkpoint"]
            _log.error("checkpoint_failed", error=self._checkpoint)
        if faults["segment"] != self._segment:
            self._segment = faults["segment"]
            if self._segment:
                _log.error("journal_segment_failed", error=self._segment)
            else:
                _log.info("journal_segment_made")
        self._look_at_space(faults)

    def _look_at_space(self, faults: Faults) -> None:
        permille = faults["space_permille"]
        space = Space((permille >= ALARM_PERMILLE) + (permille >= FULL_PERMILLE))
        if space == self._space:
            return
        self._space = space
        if space is Space.FULL:
            _log.error("journal_space_full", used_permille=permille, debits="paused")
        elif space is Space.ALARM:
            _log.warning("journal_space_alarm", used_permille=permille)
        else:
            _log.info("journal_space_enough", used_permille=permille)
