"""Local days and meals: which day and which meal a moment belongs to.

**Source:** docs/reference/decisions.md "Time"; regulation 四.3c-d (limits per day and per meal).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY_MINUTES: Final = 1440
MEALS_MAX: Final = 8
BEGAN_DAY_BEFORE: Final = 0x80
"""Bit of a meal key: the meal began on the day before."""

_US_PER_S: Final = 1_000_000
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class MealPeriod:
    """A meal of the day: minutes of the local day, half open.

    ``end_minute`` at or below ``start_minute`` crosses midnight.
    """

    name: str
    start_minute: int
    end_minute: int

    def minutes(self) -> frozenset[int]:
        """Return every minute of the day in it."""
        end = self.end_minute + (DAY_MINUTES if self.end_minute <= self.start_minute else 0)
        return frozenset(minute % DAY_MINUTES for minute in range(self.start_minute, end))


DEFAULT_MEALS: Final = (
    MealPeriod("BREAKFAST", 5 * 60, 10 * 60),
    MealPeriod("LUNCH", 10 * 60, 14 * 60 + 30),
    MealPeriod("DINNER", 14 * 60 + 30, 21 * 60),
    MealPeriod("NIGHT", 21 * 60, 5 * 60),
)


def day_key(time_us: int, utc_offset_s: int) -> int:
    """Return the local day, whole days since 1970-01-01.

    Args:
        time_us: microseconds since 1970 UTC.
        utc_offset_s: seconds the local day is ahead of UTC.
    """
    return (time_us // _US_PER_S + utc_offset_s) // _DAY_S


def meal_key(time_us: int, utc_offset_s: int, meals: tuple[MealPeriod, ...]) -> int:
    """Return the meal of a moment: its index from 1, with ``BEGAN_DAY_BEFORE``; 0 outside meals."""
    minute = (time_us // _US_PER_S + utc_offset_s) % _DAY_S // 60
    for index, meal in enumerate(meals, start=1):
        if meal.start_minute < meal.end_minute:
            if meal.start_minute <= minute < meal.end_minute:
                return index
        elif minute >= meal.start_minute:
            return index
        elif minute < meal.end_minute:
            return index | BEGAN_DAY_BEFORE
    return 0


def meal_fault(meals: tuple[MealPeriod, ...]) -> str:
    """Say what is wrong with a set of meal periods; empty when nothing is.

    At most 8, minutes 0 to 1439, in order of their start, without overlap, names not empty and
    different.
    """
    if len(meals) > MEALS_MAX:
        return f"at most {MEALS_MAX} periods"
    names = [meal.name for meal in meals]
    if len(set(names)) != len(names) or not all(names):
        return "names must differ and not be empty"
    taken: set[int] = set()
    for meal in meals:
        if not (0 <= meal.start_minute < DAY_MINUTES and 0 <= meal.end_minute < DAY_MINUTES):
            return f"{meal.name}: minutes are 0 to {DAY_MINUTES - 1}"
        if meal.start_minute == meal.end_minute:
            return f"{meal.name}: start and end are the same"
        minutes = meal.minutes()
        if taken & minutes:
            return f"{meal.name}: overlaps another period"
        taken |= minutes
    if [meal.start_minute for meal in meals] != sorted(meal.start_minute for meal in meals):
        return "periods must be in order of their start"
    return ""
