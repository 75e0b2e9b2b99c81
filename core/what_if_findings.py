"""What a replay finds: decisions that would have been others, counted and shown.

**Source:** regulation 六.3a; docs/guides/parameters.md.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

EXAMPLES_MAX: Final = 100


class Kind(IntEnum):
    """How a decision would have been another one; the proto's numbers."""

    ASKED = 1
    NOT_ASKED = 2
    DECLINED = 3
    PASSED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One decision that would have been another one; amounts in fen."""

    seq: int
    account: int
    kind: Kind
    amount: int
    day_used: int
    day_used_then: int
    meal_used: int
    meal_used_then: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What a decision is counted under: booking day's, meal's and category's number; meal 0: none."""

    day: int
    meal: int
    category: int


@dataclass(slots=True)
class Count:
    """How often, and how much in all."""

    count: int = 0
    amount: int = 0


class Findings:
    """Counts in all and by day, meal, category and account; the first examples."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, int, Kind], Count] = defaultdict(Count)
        self.by_account: dict[tuple[int, Kind], Count] = defaultdict(Count)
        self.examples: list[Example] = []

    def note(self, example: Example, group: Group) -> None:
        """Note a decision that would have been another one."""
        self._count(example, group, example.kind, 1)
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(example)

    def renote(self, example: Example, group: Group, kind: Kind) -> None:
        """Note another kind for a decision noted before."""
        self._count(example, group, example.kind, -1)
        self._count(example, group, kind, 1)
        for index, shown in enumerate(self.examples):
            if shown.seq == example.seq:
                self.examples[index] = replace(shown, kind=kind)

    def _count(self, example: Example, group: Group, kind: Kind, times: int) -> None:
        counts = [
            self.counts[by, name, kind]
            for by, name in (
                ("TOTAL", 0),
                ("DAY", group.day),
                ("MEAL", group.meal),
                ("CATEGORY", group.category),
            )
        ]
        for count in (*counts, self.by_account[example.account, kind]):
            count.count += times
            count.amount += times * example.amount
