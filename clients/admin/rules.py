"""rules.toml as requests, and whether the server has it already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from campuscard.v1 import merchant_service_pb2 as pb
from clients.campus import FileFormatError
from core.money import parse_yuan

SCOPES: Final = {"period": pb.MEAL_SCOPE_PERIOD, "purchase": pb.MEAL_SCOPE_PURCHASE}
# Section, name in the file, field of SetRulesRequest; fields that end in _fen are yuan in the file.
FIELDS: Final = (
    ("limits", "day", "day_limit_fen"),
    ("limits", "meal", "meal_limit_fen"),
    ("limits", "day_ceiling", "day_ceiling_fen"),
    ("limits", "meal_ceiling", "meal_ceiling_fen"),
    ("limits", "pin_tries", "pin_tries"),
    ("holds", "seconds", "hold_seconds"),
    ("holds", "water_seconds", "water_hold_seconds"),
    ("holds", "late_capture_seconds", "late_capture_seconds"),
    ("water", "tap", "water_tap_fen"),
    ("water", "cap", "water_cap_fen"),
)


def rules_request(wanted: Mapping[str, Any]) -> pb.SetRulesRequest:
    """Build the request; names that are absent stay as the server has them.

    Raises:
        FileFormatError: a value cannot be read; the text names it.
    """
    request = pb.SetRulesRequest()
    for section, name, target in FIELDS:
        value = wanted.get(section, {}).get(name)
        if value is None:
            continue
        try:
            setattr(request, target, parse_yuan(value) if target.endswith("_fen") else value)
        except (TypeError, ValueError) as error:
            raise FileFormatError(f"rules.toml [{section}] {name}: {error}") from error
    scope = wanted.get("limits", {}).get("meal_scope")
    if scope is not None:
        if scope not in SCOPES:
            raise FileFormatError(f"rules.toml [limits] meal_scope: one of {', '.join(SCOPES)}")
        request.meal_scope = SCOPES[scope]
    return request


def same_rules(request: pb.SetRulesRequest, rules: pb.Rules) -> bool:
    """Tell whether the rules in force have every value of the request."""
    scope = request.meal_scope in {pb.MEAL_SCOPE_UNSPECIFIED, rules.meal_scope}
    return scope and all(
        getattr(request, target) == getattr(rules, target)
        for _, _, target in FIELDS
        if request.HasField(target)  # type: ignore[arg-type] # names of the table above
    )


def meals_request(wanted: Mapping[str, Any]) -> pb.SetMealPeriodsRequest:
    """Build the request from ``[[meals]]``: name, start and end as HH:MM.

    Raises:
        FileFormatError: a time cannot be read.
    """
    return pb.SetMealPeriodsRequest(
        periods=[
            pb.MealPeriod(
                name=str(meal.get("name", "")),
                start_minute=_minute(meal, "start"),
                end_minute=_minute(meal, "end"),
            )
            for meal in wanted.get("meals", [])
        ]
    )


def same_meals(request: pb.SetMealPeriodsRequest, meals: pb.GetMealPeriodsResponse) -> bool:
    """Tell whether the meal periods in force are those of the request, or none were asked for."""
    return not request.periods or list(request.periods) == list(meals.periods)


def _minute(meal: Mapping[str, Any], name: str) -> int:
    hour, colon, minute = str(meal.get(name, "")).partition(":")
    if not (colon and hour.isdigit() and minute.isdigit() and int(minute) < 60):
        raise FileFormatError(f"rules.toml [[meals]] {name}: HH:MM is needed")
    return int(hour) * 60 + int(minute)
