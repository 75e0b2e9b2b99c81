"""When something is open: weekly windows of local time, and days that are different.

A window belongs to the day it begins on. One whose end is not after its start ends on the day after;
that rest of it stays, also where the day after is an exception.

**Source:** regulation 四.2 (出入管控).
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.calendar import DAY_MINUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

WEEK_DAYS: Final = 7
WEEK_MINUTES: Final = WEEK_DAYS * DAY_MINUTES
WINDOWS_MAX: Final = 56
"""Weekly windows of one timetable at most."""
DAYS_MAX: Final = 200
"""Exception days of one timetable at most."""
DAY_WINDOWS_MAX: Final = 8
"""Windows of one exception day at most."""

_EPOCH_ORDINAL: Final = dt.date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Minutes of the local day, half open; ``end`` at or below ``start`` lies on the day after."""

    start: int
    end: int

    @property
    def minutes(self) -> int:
        """How long it is."""
        return self.end - self.start + (DAY_MINUTES if self.end <= self.start else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Weekly windows by weekday (0: Monday), and days with windows of their own (none: closed).

    ``days`` are counted from 1970-01-01.
    """

    weekly: Mapping[int, tuple[Window, ...]]
    days: Mapping[int, tuple[Window, ...]]

    def windows_of(self, day: int) -> tuple[Window, ...]:
        """Return the windows that begin on a day, counted from 1970-01-01."""
        special = self.days.get(day)
        return self.weekly.get(weekday_of(day), ()) if special is None else special

    def is_open(self, day: int, minute: int) -> bool:
        """Tell whether it is open in a minute (0 to 1439) of a local day."""
        today = any(
            window.start <= minute < window.start + window.minutes
            for window in self.windows_of(day)
        )
        return today or any(
            minute + DAY_MINUTES < window.start + window.minutes
            for window in self.windows_of(day - 1)
        )


def weekday_of(day: int) -> int:
    """Return the weekday of a day counted from 1970-01-01; 0 is Monday."""
    return (_EPOCH_ORDINAL + day - 1) % WEEK_DAYS


def timetable_fault(timetable: Timetable) -> str:
    """Say what is wrong with a timetable; empty when nothing is.

    At least one weekly window and at most ``WINDOWS_MAX``; starts 0 to 1439, ends 1 to 1440, not the
    same minute; windows of a week do not overlap, nor do those of an exception day.
    """
    weekly = [(day, window) for day, some in timetable.weekly.items() for window in some]
    if not 1 <= len(weekly) <= WINDOWS_MAX:
        return f"1 to {WINDOWS_MAX} weekly windows"
    if len(timetable.days) > DAYS_MAX:
        return f"at most {DAYS_MAX} exception days"
    if not all(0 <= day < WEEK_DAYS for day in timetable.weekly):
        return "weekdays are Monday to Sunday"
    if any(len(some) > DAY_WINDOWS_MAX for some in timetable.days.values()):
        return f"at most {DAY_WINDOWS_MAX} windows on an exception day"
    every = [window for _, window in weekly]
    every += [window for some in timetable.days.values() for window in some]
    if not all(_in_range(window) for window in every):
        return (
            f"a window starts 0 to {DAY_MINUTES - 1}, ends 1 to {DAY_MINUTES}, not when it starts"
        )
    starts = [(day * DAY_MINUTES + window.start, window) for day, window in weekly]
    spans = [(start, start + window.minutes) for start, window in starts]
    spans += [(start + WEEK_MINUTES, end + WEEK_MINUTES) for start, end in spans]
    if _overlap(spans) or any(
        _overlap([(window.start, window.start + window.minutes) for window in some])
        for some in timetable.days.values()
    ):
        return "windows overlap"
    return ""


def _in_range(window: Window) -> bool:
    return (
        0 <= window.start < DAY_MINUTES
        and 1 <= window.end <= DAY_MINUTES
        and window.start != window.end
    )


def _overlap(spans: list[tuple[int, int]]) -> bool:
    return any(second[0] < first[1] for first, second in itertools.pairwise(sorted(spans)))
