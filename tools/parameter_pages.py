"""The page of parameters, from their table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.categories import FIRST, CategoryFlag
from core.parameter_kinds import Kind
from core.parameters import PARAMETERS
from core.what_if import REPLAYED
from tools.markdown import BANNER, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.parameter_kinds import Parameter

INTRO: Final = """\
# Parameters

Every number and switch of the regulation. Nobody changes one alone (六.3): a PARAM_MAKER proposes, a
PARAM_CHECKER who is somebody else approves, and the value is in force from its moment on: at the
approval, at a local midnight, or at a whole second up to 731 days ahead. Every change makes a new rule
version, also of what only papers read, and every decision names its version.

- Of two changes for the same moment the later approval wins; the approval says which one it overrides.
- At no moment may a limit be above its ceiling. That is looked at when a change is proposed and again
  when it is approved, over everything that is approved already.
- A change that is not in force yet is cancelled by two people as well.
- `campuscard param what-if` decides past days again under other values, for those marked so.

The same way go the meals (`meals`: `LUNCH 10:00-14:30, DINNER 14:30-21:00`), the categories of merchants
(`category.N`, N up to 15: `GYM;健身;Gym;DAY,SPEND`) and days of the counter (`day.YYYY-MM-DD`: `CLOSED`,
`WEEKLY`, or hours as `09:00-11:30, 14:30-17:00`).

*Engine* parameters decide payments. The others decide papers. *What if*: past decisions can be decided
again.
"""

CATEGORIES: Final = """\
## Categories

Those every campus begins with; others come by an approved change. Only `WATER` takes transfers to the
water purse.
"""


def parameters_page() -> Iterator[str]:
    """Yield the lines of parameters.md."""
    yield BANNER.format(source="core/parameters.py and core/categories.py")
    yield from INTRO.splitlines()
    yield ""
    yield from table(
        ("parameter", "default", "range", "unit", "clause", "engine", "what if", "中文", "meaning"),
        (
            (
                f"`{parameter.key}`",
                f"`{parameter.default}`",
                _range(parameter),
                parameter.unit,
                parameter.clause,
                "yes" if parameter.rules_field else "",
                "yes" if parameter.key in REPLAYED else "",
                parameter.zh,
                parameter.en,
            )
            for parameter in PARAMETERS
        ),
    )
    yield from CATEGORIES.splitlines()
    yield ""
    flags = tuple(CategoryFlag)
    yield from table(
        ("number", "code", "中文", "English", *(flag.name or "" for flag in flags)),
        (
            (
                str(category.number),
                f"`{category.code}`",
                category.zh,
                category.en,
                *("yes" if flag in category.flags else "" for flag in flags),
            )
            for category in FIRST
        ),
    )


def _range(parameter: Parameter) -> str:
    if parameter.kind is Kind.NUMBER:
        return f"{parameter.low:,} to {parameter.high:,}"
    if parameter.kind is Kind.HOURS:
        return "weekly hours"
    words = ", ".join(f"`{name}`" for name in parameter.choices)
    return f"some of {words}" if parameter.kind is Kind.SET else words
