"""What accounts would have counted, by day and by meal, had other values been in force.

Kept for as long as a count can still be asked for: a day, and the one before it for a meal that
began there.

**Source:** docs/reference/decisions.md "Time", "CAPTURE, RELEASE", "REVERSE"; regulation 四.3c-d.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from core.blocks import Outcome, RecordType

if TYPE_CHECKING:
    from core.blocks import Record

_FREED: Final = frozenset({RecordType.RELEASE, RecordType.HOLD_EXPIRED, RecordType.REVERSAL})


class Meal(NamedTuple):
    """One meal of one day: the local day it began on, since 1970-01-01, and its number from 1."""

    day: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An account's day and meal (None: outside meals), and whether the debit counts there."""

    account: int
    day: int
    meal: Meal | None
    in_day: bool
    in_meal: bool


@dataclass(slots=True)
class _Counted:
    place: Place
    amount: int


class Counters:
    """Totals per account, in fen, and what each debit has added to them."""

    def __init__(self) -> None:
        self._today = 0
        self._days: dict[int, dict[int, int]] = defaultdict(dict)
        self._meals: dict[int, dict[tuple[int, int], int]] = defaultdict(dict)
        self._debits: dict[int, dict[int, _Counted]] = defaultdict(dict)

    def used(self, place: Place) -> tuple[int, int]:
        """Return what is counted of an account's day and meal, fen."""
        account, meal = place.account, place.meal
        in_meal = self._meals[meal.day].get((account, meal.number), 0) if meal is not None else 0
        return self._days[place.day].get(account, 0), in_meal

    def count(self, seq: int, place: Place, amount: int) -> None:
        """Count a debit.

        Args:
            seq: of its record: what gives back names it.
            place: where.
            amount: fen.
        """
        self._forget(place.day)
        counted = _Counted(place, 0)
        self._debits[place.day][seq] = counted
        self._set(counted, amount)

    def drop(self, seq: int) -> None:
        """Take a debit back as if it had never been."""
        for debits in self._debits.values():
            counted = debits.pop(seq, None)
            if counted is not None:
                self._set(counted, 0)

    def follow(self, record: Record) -> None:
        """Let a record give back, or post, what an earlier debit counts; unknown ones stay out."""
        if record.outcome == Outcome.DECLINED:
            return
        for debits in self._debits.values():
            counted = debits.get(record.original_seq)
            if counted is None:
                continue
            if record.type == RecordType.CAPTURE:
                debits[record.seq] = counted
                self._set(counted, record.money().amount)
            elif record.type in _FREED:
                self._set(counted, 0)
            return

    def _set(self, counted: _Counted, amount: int) -> None:
        more, place = amount - counted.amount, counted.place
        counted.amount = amount
        if place.in_day:
            day = self._days[place.day]
            day[place.account] = day.get(place.account, 0) + more
        if place.in_meal and place.meal is not None:
            meals, key = self._meals[place.meal.day], (place.account, place.meal.number)
            meals[key] = meals.get(key, 0) + more

    def _forget(self, today: int) -> None:
        if today <= self._today:
            return
        self._today = today
        for table in (self._days, self._meals, self._debits):
            for day in [day for day in table if day < today - 1]:
                del table[day]
