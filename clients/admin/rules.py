"""rules.toml as changes under dual control, and which of them the server has not yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clients.campus import FileFormatError
from core.money import parse_yuan

SCOPES: Final = {"period": "MEAL", "purchase": "TXN"}
# Section, name in the file, parameter; those that end in _fen are yuan in the file. Ceilings come
# before limits, which must not be above them.
FIELDS: Final = (
    ("limits", "day_ceiling", "day_ceiling_fen"),
    ("limits", "meal_ceiling", "meal_ceiling_fen"),
    ("limits", "day", "day_limit_fen"),
    ("limits", "meal", "meal_limit_fen"),
    ("limits", "pin_tries", "pin_tries"),
    ("holds", "seconds", "hold_seconds"),
    ("holds", "water_seconds", "water_hold_seconds"),
    ("holds", "late_capture_seconds", "late_capture_seconds"),
    ("water", "tap", "water_tap_fen"),
    ("water", "cap", "water_cap_fen"),
)


def wanted_values(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return key to value of everything the file names; ``meals`` last.

    Raises:
        FileFormatError: a value cannot be read; the text names it.
    """
    values: dict[str, str] = {}
    for section, name, key in FIELDS:
        value = wanted.get(section, {}).get(name)
        if value is None:
            continue
        try:
            values[key] = str(parse_yuan(value) if key.endswith("_fen") else int(value))
        except (TypeError, ValueError) as error:
            raise FileFormatError(f"rules.toml [{section}] {name}: {error}") from error
    scope = wanted.get("limits", {}).get("meal_scope")
    if scope is not None:
        if scope not in SCOPES:
            raise FileFormatError(f"rules.toml [limits] meal_scope: one of {', '.join(SCOPES)}")
        values["meal_limit_scope"] = SCOPES[scope]
    meals = ", ".join(
        f"{meal.get('name', '')} {meal.get('start', '')}-{meal.get('end', '')}"
        for meal in wanted.get("meals", [])
    )
    return values | ({"meals": meals} if meals else {})
