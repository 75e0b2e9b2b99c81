"""Hours of gates as people type them: ``MON-FRI 06:00-23:00``, ``2024-10-01``."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import typer

from campuscard.v1 import access_service_pb2 as pb

WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
DAY_MINUTES: Final = 1_440
_EPOCH: Final = dt.date(1970, 1, 1)
_HOURS: Final = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)


def read_windows(texts: list[str]) -> list[pb.WeeklyWindow]:
    """Read windows of a week, each as ``MON-FRI 22:00-06:00``, ``SAT 08:00-24:00`` or ``DAILY …``."""
    windows = []
    for text in texts:
        days, _, hours = text.strip().upper().partition(" ")
        start, end = _hours(hours, text)
        windows += [
            pb.WeeklyWindow(weekday=day + 1, start_minute=start, end_minute=end)
            for day in _days(days, text)
        ]
    return windows


def read_days(texts: list[str]) -> list[pb.ExceptionDay]:
    """Read exception days, each as ``2024-10-01`` (closed) or ``2024-10-01 08:00-12:00``."""
    found: dict[int, pb.ExceptionDay] = {}
    for text in texts:
        date, _, hours = text.strip().partition(" ")
        try:
            number = (dt.date.fromisoformat(date) - _EPOCH).days
        except ValueError as error:
            raise _wrong(text) from error
        day = found.setdefault(number, pb.ExceptionDay(day=number))
        if hours:
            start, end = _hours(hours, text)
            day.windows.append(pb.DayWindow(start_minute=start, end_minute=end))
    return list(found.values())


def write_windows(windows: list[pb.WeeklyWindow]) -> str:
    """Write windows of a week as they are read, days of the same hours together."""
    by_hours: dict[str, list[str]] = {}
    for window in windows:
        hours = _text(window.start_minute, window.end_minute)
        by_hours.setdefault(hours, []).append(WEEKDAYS[window.weekday - 1])
    return ", ".join(f"{_day_names(days)} {hours}" for hours, days in by_hours.items())


def write_day(day: pb.ExceptionDay, closed: str) -> str:
    """Write an exception day."""
    hours = ", ".join(_text(window.start_minute, window.end_minute) for window in day.windows)
    return f"{_EPOCH + dt.timedelta(days=day.day)} {hours or closed}"


def _day_names(days: list[str]) -> str:
    if len(days) == len(WEEKDAYS):
        return "DAILY"
    first = WEEKDAYS.index(days[0])
    in_a_row = tuple(days) == WEEKDAYS[first : first + len(days)]
    return f"{days[0]}-{days[-1]}" if in_a_row and len(days) > 1 else "/".join(days)


def _days(text: str, whole: str) -> list[int]:
    if text == "DAILY":
        return list(range(len(WEEKDAYS)))
    found: list[int] = []
    for part in text.split("/"):
        first, _, last = part.partition("-")
        if first not in WEEKDAYS or (last and last not in WEEKDAYS):
            raise _wrong(whole)
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        if end < start:
            raise _wrong(whole)
        found += range(start, end + 1)
    return found


def _hours(text: str, whole: str) -> tuple[int, int]:
    match = _HOURS.fullmatch(text.strip())
    if match is None:
        raise _wrong(whole)
    from_h, from_m, to_h, to_m = map(int, match.groups())
    start, end = from_h * 60 + from_m, to_h * 60 + to_m
    if max(from_m, to_m) >= 60 or start >= DAY_MINUTES or end > DAY_MINUTES:
        raise _wrong(whole)
    return start, end or DAY_MINUTES


def _text(start: int, end: int) -> str:
    return f"{start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d}"


def _wrong(text: str) -> typer.BadParameter:
    return typer.BadParameter(f"MON-FRI 06:00-23:00, DAILY 22:00-06:00, 2024-10-01: {text!r}")
