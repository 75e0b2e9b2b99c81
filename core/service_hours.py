"""When the counter is open: weekly hours, and days that are different.

**Source:** regulation 三.4(4) "每周三、五下午14:30—17:00 … 其余时间不予办理"; D9.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from core.parameters import Values

CalendarDays = Mapping[dt.date, tuple[tuple[int, int], ...]]
"""Days with hours of their own: minutes of the day, half open, in order; empty: closed."""

HORIZON_DAYS: Final = 400
"""How far ahead the next opening is looked for."""

_MINUTE: Final = dt.timedelta(minutes=1)


def local_time(time_us: int, utc_offset_s: int) -> dt.datetime:
    """Return the local time of a moment, naive.

    Args:
        time_us: microseconds since 1970 UTC.
        utc_offset_s: seconds the local day is ahead of UTC, as the rules have it.
    """
    epoch = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - local time has no zone here
    return epoch + dt.timedelta(microseconds=time_us, seconds=utc_offset_s)


def is_open(
    values: Values,
    calendar_days: CalendarDays,
    at_local: dt.datetime,
) -> bool:
    """Tell whether the counter is open at a local time: 14:30:00 is, 17:00:00 is not.

    Args:
        values: in force; ``counter_hours`` counts.
        calendar_days: days with hours of their own, see ``CalendarDays``.
        at_local: naive local time.
    """
    minute = at_local.hour * 60 + at_local.minute
    hours = hours_of(values, calendar_days, at_local.date())
    return any(start <= minute < end for start, end in hours)


def hours_of(
    values: Values, calendar_days: CalendarDays, day: dt.date
) -> tuple[tuple[int, int], ...]:
    """Return the hours of one day: minutes, half open, in order."""
    special = calendar_days.get(day)
    if special is not None:
        return special
    return tuple(
        (hours.start_minute, hours.end_minute)
        for hours in values.hours("counter_hours")
        if hours.weekday == day.weekday()
    )


def next_opening(
    values: Values,
    calendar_days: CalendarDays,
    at_local: dt.datetime,
) -> dt.datetime | None:
    """Return when the counter opens next after a local time at which it is closed.

    None when it does not open within ``HORIZON_DAYS``.
    """
    for ahead in range(HORIZON_DAYS):
        day = at_local.date() + dt.timedelta(days=ahead)
        midnight = dt.datetime.combine(day, dt.time())
        for start, _ in hours_of(values, calendar_days, day):
            opens = midnight + start * _MINUTE
            if opens > at_local:
                return opens
    return None
