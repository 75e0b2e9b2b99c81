"""What can be changed under dual control, by key: its values as text, and what the engine is told.

**Source:** regulation 四.2, 四.3, 三.4(4), 六.3a; docs/reference/parameters.md.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

from core.calendar import MealPeriod, meal_fault
from core.categories import FIRST, KEY_PREFIX, categories_of, read_category
from core.parameter_kinds import TEXT_MAX, Kind, format_hours, parse_hours
from core.parameters import BY_KEY, Values
from core.plans import EffectKind, EffectPlan
from core.refusals import Refusal, missing
from core.rows import CategoryBody, MealsBody, RulesBody, RulesField

if TYPE_CHECKING:
    from core.parameter_kinds import Parameter
    from core.service_hours import CalendarDays

MEALS: Final = "meals"
DAY_PREFIX: Final = "day."
CLOSED: Final = "CLOSED"
"""Value of a day on which the counter does not open."""
WEEKLY: Final = "WEEKLY"
"""Value of a day that has the weekly hours again."""
MEAL_NAME_MAX: Final = 16

_WEEKDAY: Final = "MON "  # any: the hours of a date are read by the same grammar
_CATEGORY: Final = re.compile(r"category\.([1-9]\d?)", re.ASCII)
_MEAL: Final = re.compile(
    r"(?P<name>.+) (?P<h1>\d\d):(?P<m1>\d\d)-(?P<h2>\d\d):(?P<m2>\d\d)", re.ASCII
)
_DAY_MINUTES: Final = 1440


def canonical(key: str, text: str) -> str:
    """Return a value in its one form.

    Raises:
        Refusal: NOT_FOUND for a key there is not, PARAMETER_VALUE with what would be a value.
    """
    if len(text) > TEXT_MAX:
        raise Refusal("PARAMETER_VALUE", key=key, allowed=f"at most {TEXT_MAX} characters")
    try:
        parameter = BY_KEY.get(key)
        if parameter is not None:
            return str(parameter.parse(text))
        if key == MEALS:
            return format_meals(parse_meals(text))
        if key.startswith(DAY_PREFIX):
            return _day_value(day_of(key), text)
        return read_category(category_number(key), text).text()
    except ValueError as error:
        raise Refusal("PARAMETER_VALUE", key=key, allowed=str(error)) from error


def category_number(key: str) -> int:
    """Return the number of a category's key.

    Raises:
        Refusal: NOT_FOUND.
    """
    match = _CATEGORY.fullmatch(key)
    if match is None:
        raise missing("parameter")
    return int(match[1])


def day_of(key: str) -> dt.date:
    """Return the date of a day's key.

    Raises:
        Refusal: NOT_FOUND.
    """
    text = key.removeprefix(DAY_PREFIX)
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise missing("parameter") from None
    if day.isoformat() != text:
        raise missing("parameter")
    return day


def check_code(key: str, value: str, values: Values) -> None:
    """Refuse a category whose code is another one's, or that renames one of the first.

    Raises:
        Refusal: PARAMETER_VALUE.
    """
    if not key.startswith(KEY_PREFIX):
        return
    category = read_category(category_number(key), value)
    kept = next((first.code for first in FIRST if first.number == category.number), "")
    if kept and category.code != kept:
        raise Refusal("PARAMETER_VALUE", key=key, allowed=f"the code stays {kept}")
    for other in categories_of(values).values():
        if other.number != category.number and other.code == category.code:
            raise Refusal("PARAMETER_VALUE", key=key, allowed=f"{category.code} is {other.key}")


def effects_of(key: str, value: str, due_s: int) -> tuple[EffectPlan, ...]:
    """Return what waits in the engine until a value takes effect; all of it makes a new version.

    Args:
        key: known.
        value: canonical.
        due_s: seconds since 1970 UTC; one that has passed is due in the next block.
    """
    if key == MEALS:
        body = MealsBody(parse_meals(value)).pack()
        return (EffectPlan(kind=EffectKind.MEALS, due_s=due_s, body=body),)
    parameter = BY_KEY.get(key)
    if parameter is not None and parameter.rules_field:
        name = parameter.rules_field
        return (_rules(due_s, RulesField[name.upper()], **{name: rules_value(parameter, value)}),)
    version_only = _rules(due_s, RulesField(0))
    if not key.startswith(KEY_PREFIX):
        return (version_only,)
    category = read_category(category_number(key), value)
    body = CategoryBody(category=category.number, flags=category.flags).pack()
    return (EffectPlan(kind=EffectKind.CATEGORY, due_s=due_s, body=body), version_only)


def rules_value(parameter: Parameter, value: str) -> int:
    """Return what a field of the rules holds for a value: the number, or which choice."""
    if parameter.kind is Kind.CHOICE:
        return parameter.choices.index(value)
    return int(value)


def _rules(due_s: int, mask: RulesField, **fields: int) -> EffectPlan:
    body = RulesBody(**fields).pack()
    return EffectPlan(kind=EffectKind.RULES, due_s=due_s, mask=mask, body=body)


def parse_meals(text: str) -> tuple[MealPeriod, ...]:
    """Read ``LUNCH 10:00-14:30, DINNER 14:30-21:00``.

    Raises:
        ValueError: not of that form, or periods that do not go together.
    """
    periods = tuple(_meal(part.strip()) for part in text.split(",") if part.strip())
    fault = meal_fault(periods)
    if fault:
        raise ValueError(fault)
    return periods


def _meal(text: str) -> MealPeriod:
    match = _MEAL.fullmatch(text)
    if match is None:
        raise ValueError(f"meals as LUNCH 10:00-14:30, not {text!r}")
    name: str = match["name"]
    if len(name) > MEAL_NAME_MAX or not name.isprintable():
        raise ValueError(f"names are 1 to {MEAL_NAME_MAX} printable characters")
    hours: Any = {key: int(match[key]) for key in ("h1", "m1", "h2", "m2")}
    if hours["m1"] > 59 or hours["m2"] > 59:
        raise ValueError(f"minutes are 00 to 59, not {text!r}")
    start, end = hours["h1"] * 60 + hours["m1"], hours["h2"] * 60 + hours["m2"]
    return MealPeriod(name, start, end % _DAY_MINUTES if end == _DAY_MINUTES else end)


def format_meals(periods: tuple[MealPeriod, ...]) -> str:
    """Write meals as ``parse_meals`` reads them."""
    return ", ".join(f"{p.name} {_clock(p.start_minute)}-{_clock(p.end_minute)}" for p in periods)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _day_value(_: dt.date, text: str) -> str:
    text = text.strip()
    if text in {CLOSED, WEEKLY}:
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise ValueError(f"{CLOSED}, {WEEKLY}, or hours as 09:00-11:30, 14:30-17:00")
    hours = parse_hours(", ".join(_WEEKDAY + part for part in parts))
    return format_hours(hours).replace(_WEEKDAY, "")


def calendar_days(values: Values) -> CalendarDays:
    """Return the days with hours of their own that are in force.

    **Source:** regulation 三.4(4), holidays.
    """
    days: dict[dt.date, tuple[tuple[int, int], ...]] = {}
    for key, text in values.approved.items():
        if key.startswith(DAY_PREFIX) and text != WEEKLY:
            days[day_of(key)] = () if text == CLOSED else _minutes(text)
    return days


def _minutes(text: str) -> tuple[tuple[int, int], ...]:
    hours = parse_hours(", ".join(_WEEKDAY + part for part in text.split(", ")))
    return tuple((h.start_minute, h.end_minute) for h in hours)
