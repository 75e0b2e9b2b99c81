"""rules.toml as changes under dual control, and which of them the server has not yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from clients.campus import FileFormatError
from core.money import parse_yuan


def _whole(value: object) -> str:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return str(value)


def _yuan(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f'an amount is text, "100.00", not {value!r}')
    return str(parse_yuan(value))


def _one_of(**words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"one of {', '.join(words)}, not {value!r}")
        return words[value]

    return read


# Section, name in the file, parameter. Ceilings come before limits, which must not be above them.
FIELDS: Final[tuple[tuple[str, str, str, Callable[[object], str]], ...]] = (
    ("limits", "day_ceiling", "day_ceiling_fen", _yuan),
    ("limits", "meal_ceiling", "meal_ceiling_fen", _yuan),
    ("limits", "day", "day_limit_fen", _yuan),
    ("limits", "meal", "meal_limit_fen", _yuan),
    ("limits", "meal_scope", "meal_limit_scope", _one_of(period="MEAL", purchase="TXN")),
    ("limits", "day_scope", "limit_day", _one_of(calendar="CAL", business="BIZ")),
    ("limits", "day_cut_minutes", "day_cut_minutes", _whole),
    ("limits", "pin_tries", "pin_tries", _whole),
    ("limits", "pin_reset", "pin_reset", _one_of(next_day="NEXT_DAY", counter="COUNTER")),
    ("limits", "pin_session_seconds", "pin_session_seconds", _whole),
    ("holds", "seconds", "hold_seconds", _whole),
    ("holds", "water_seconds", "water_hold_seconds", _whole),
    ("holds", "late_capture_seconds", "late_capture_seconds", _whole),
    ("water", "tap", "water_tap_fen", _yuan),
    ("water", "cap", "water_cap_fen", _yuan),
)
MEALS: Final = "meals"


def wanted_values(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return key to value of everything the file names; ``meals`` last.

    Raises:
        FileFormatError: a name is not known or a value cannot be read; the text names it.
    """
    _check_names(wanted)
    values: dict[str, str] = {}
    for section, name, key, read in FIELDS:
        value = wanted.get(section, {}).get(name)
        if value is None:
            continue
        try:
            values[key] = read(value)
        except (TypeError, ValueError) as error:
            raise FileFormatError(f"rules.toml [{section}] {name}: {error}") from error
    meals = ", ".join(
        f"{meal.get('name', '')} {meal.get('start', '')}-{meal.get('end', '')}"
        for meal in wanted.get(MEALS, [])
    )
    return values | ({MEALS: meals} if meals else {})


def _check_names(wanted: Mapping[str, Any]) -> None:
    """Refuse what would be passed over: a limit misspelt is a limit not set."""
    known: dict[str, set[str]] = {}
    for section, name, _, _ in FIELDS:
        known.setdefault(section, set()).add(name)
    for section, values in wanted.items():
        if section == MEALS:
            continue
        if section not in known or not isinstance(values, dict):
            raise FileFormatError(f"rules.toml has no [{section}]")
        for name in values:
            if name not in known[section]:
                raise FileFormatError(f"rules.toml [{section}] has no {name}")
