"""What a parameter is and how its values are written. The table is ``core/parameters.py``.

**Source:** regulation as given per row; 六.3a (nobody changes them alone).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Value = int | str

TEXT_MAX: Final = 400
"""Characters of a value at most."""

_WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_HOURS: Final = re.compile(
    r"(?P<day>[A-Z]{3}) (?P<h1>\d\d):(?P<m1>\d\d)-(?P<h2>\d\d):(?P<m2>\d\d)", re.ASCII
)
_NUMBER: Final = re.compile(r"-?\d{1,18}", re.ASCII)


class Kind(StrEnum):
    """How a value is written."""

    NUMBER = "NUMBER"
    """A whole number from ``low`` to ``high``."""
    CHOICE = "CHOICE"
    """One of ``choices``."""
    SET = "SET"
    """Some of ``choices``, separated by commas, in their order; may be empty."""
    HOURS = "HOURS"
    """Weekly hours: ``WED 14:30-17:00, FRI 14:30-17:00``; half open, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter.

    Attributes:
        key: its name, with the unit last where it has one.
        unit: ``fen``, ``s``, ``days``, ``bytes``, ``px``, ``tries``; empty for switches.
        low: smallest number allowed.
        high: largest number allowed.
        clause: of the regulation; or of the list of its ambiguities, as ``D4``.
        rules_field: field of ``core.rows.RulesBody`` the engine reads it from; empty when only
            papers are decided by it.
    """

    key: str
    kind: Kind
    default: Value
    zh: str
    en: str
    clause: str
    unit: str = ""
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    rules_field: str = ""

    def parse(self, text: str) -> Value:
        """Read a value as people type it.

        Raises:
            ValueError: not a value of this parameter; says what would be one.
        """
        text = text.strip()
        if len(text) > TEXT_MAX:
            raise ValueError(f"at most {TEXT_MAX} characters")
        if self.kind is Kind.NUMBER:
            if _NUMBER.fullmatch(text) is None or not self.low <= int(text) <= self.high:
                raise ValueError(f"a whole number from {self.low} to {self.high}")
            return int(text)
        if self.kind is Kind.CHOICE:
            if text not in self.choices:
                raise ValueError(f"one of {', '.join(self.choices)}")
            return text
        if self.kind is Kind.SET:
            wanted = {name.strip() for name in text.split(",") if name.strip()}
            if not wanted <= set(self.choices):
                raise ValueError(f"some of {', '.join(self.choices)}")
            return ",".join(name for name in self.choices if name in wanted)
        return format_hours(parse_hours(text))


@dataclass(frozen=True, slots=True, order=True)
class OpenHours:
    """Hours of one weekday: minutes of the local day, half open. ``weekday`` 0 is Monday."""

    weekday: int
    start_minute: int
    end_minute: int


def parse_hours(text: str) -> tuple[OpenHours, ...]:
    """Read weekly hours.

    Raises:
        ValueError: not ``DAY HH:MM-HH:MM`` separated by commas, or overlapping.
    """
    hours = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _HOURS.fullmatch(part)
        if match is None or match["day"] not in _WEEKDAYS:
            raise ValueError(f"hours as WED 14:30-17:00, not {part!r}")
        start = int(match["h1"]) * 60 + int(match["m1"])
        end = int(match["h2"]) * 60 + int(match["m2"])
        minutes_ok = int(match["m1"]) < 60 and int(match["m2"]) < 60
        if not minutes_ok or not start < end <= 24 * 60:
            raise ValueError(f"hours from earlier to later within a day, not {part!r}")
        hours.append(OpenHours(_WEEKDAYS.index(match["day"]), start, end))
    hours.sort()
    for first, second in itertools.pairwise(hours):
        if first.weekday == second.weekday and second.start_minute < first.end_minute:
            raise ValueError(f"hours of {_WEEKDAYS[first.weekday]} overlap")
    return tuple(hours)


def format_hours(hours: tuple[OpenHours, ...]) -> str:
    """Write weekly hours as ``parse_hours`` reads them."""
    return ", ".join(
        f"{_WEEKDAYS[h.weekday]} {h.start_minute // 60:02d}:{h.start_minute % 60:02d}"
        f"-{h.end_minute // 60:02d}:{h.end_minute % 60:02d}"
        for h in hours
    )
