"""The worker's side of a what-if: one replay a process, fed with blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.blocks import Block
from core.what_if import Count, Example, Kind, Replay

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Found:
    """What a replay found."""

    decisions: int
    counts: dict[tuple[str, int, Kind], Count]
    by_account: dict[tuple[int, Kind], Count]
    examples: list[Example]


_replays: list[Replay] = []


def begin(values: Mapping[str, str], first_day: int, last_day: int) -> None:
    """Begin the replay of this process; see ``Replay``."""
    _replays[:] = [Replay(values, first_day=first_day, last_day=last_day)]


def take(blocks: list[bytes], head: int) -> tuple[int, int]:
    """Decide the next blocks again.

    Args:
        blocks: as they stand in the journal, in order.
        head: nothing after it is looked at.

    Returns:
        Where the next block begins, after the head when the period is over; decisions so far.
    """
    (replay,) = _replays
    position = 0
    for raw in blocks:
        block = Block(raw)
        if replay.over(block) or block.header.first_seq > head:
            return head + 1, replay.decisions
        replay.take(block)
        position = block.header.last_seq + 1
    return position, replay.decisions


def finish() -> Found:
    """Return what was found; counts that came to nothing are left out."""
    (replay,) = _replays
    return Found(
        replay.decisions,
        {key: count for key, count in replay.counts.items() if count.count},
        {key: count for key, count in replay.by_account.items() if count.count},
        replay.examples,
    )
