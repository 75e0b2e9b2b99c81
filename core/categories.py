"""Categories of merchants: what counts toward which limit, what may be refunded, held and spent.

New ones come by an approved change under the key ``category.N``; nothing in the code names them.

**Source:** regulation 四.2 "餐饮、宿舍水电、直饮水、浴室及出入管控等 … 后续扩展"; 四.3c-d.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from core.parameters import Values

NUMBER_MAX: Final = 15
"""Largest number of a category; the engine's table has no more."""
KEY_PREFIX: Final = "category."
NAME_MAX: Final = 32
"""Characters of a name at most."""

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,15}", re.ASCII)
_SEPARATOR: Final = ";"


class CategoryFlag(IntFlag):
    """``CC_C_*``: what the engine asks of a category."""

    DAY = 1
    """Debits count toward the daily limit."""
    MEAL = 2
    """Debits count toward the limit of the meal."""
    REFUNDABLE = 4
    """A purchase may be given back in part."""
    HOLD = 8
    """Amounts may be reserved first."""
    SPEND = 16
    """Purchases are allowed."""
    SUBSIDY = 32
    """The subsidy is spent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One category. ``code`` is what files and people write."""

    number: int
    code: str
    zh: str
    en: str
    flags: CategoryFlag

    def text(self) -> str:
        """Write it as a value: ``CODE;中文;English;FLAG,FLAG``."""
        names = ",".join(flag.name or "" for flag in CategoryFlag if flag in self.flags)
        return _SEPARATOR.join((self.code, self.zh, self.en, names))

    @property
    def key(self) -> str:
        """The key its versions have."""
        return f"{KEY_PREFIX}{self.number}"


_SPENDS: Final = CategoryFlag.DAY | CategoryFlag.SPEND | CategoryFlag.REFUNDABLE

FIRST: Final = (
    Category(
        number=1,
        code="CANTEEN",
        zh="餐饮",
        en="Canteens",
        flags=_SPENDS | CategoryFlag.MEAL | CategoryFlag.HOLD | CategoryFlag.SUBSIDY,
    ),
    Category(
        number=2, code="UTILITY", zh="宿舍水电", en="Dormitory water and power", flags=_SPENDS
    ),
    Category(
        number=3, code="WATER", zh="直饮水", en="Drinking water", flags=_SPENDS | CategoryFlag.HOLD
    ),
    Category(number=4, code="BATH", zh="浴室", en="Baths", flags=_SPENDS | CategoryFlag.HOLD),
    Category(number=5, code="SHOP", zh="商店", en="Shops", flags=_SPENDS),
    Category(number=6, code="ACCESS", zh="出入管控", en="Gates", flags=CategoryFlag(0)),
)
"""Those every campus begins with; the first block of a journal sets the same flags."""


def read_category(number: int, text: str) -> Category:
    """Read a category as ``Category.text`` writes it.

    Raises:
        ValueError: not of that form; says what would be.
    """
    if not 1 <= number <= NUMBER_MAX:
        raise ValueError(f"numbers are 1 to {NUMBER_MAX}")
    parts = text.split(_SEPARATOR)
    if len(parts) != 4:
        raise ValueError("CODE;zh;en;FLAG,FLAG")
    code, zh, en, names = (part.strip() for part in parts)
    if _CODE.fullmatch(code) is None:
        raise ValueError("a code is 1 to 16 capital letters, digits and '_'")
    for name in (zh, en):
        if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
            raise ValueError(f"names are 1 to {NAME_MAX} printable characters")
    flags = CategoryFlag(0)
    for name in filter(None, (piece.strip() for piece in names.split(","))):
        if name not in CategoryFlag.__members__:
            raise ValueError(f"flags are some of {', '.join(CategoryFlag.__members__)}")
        flags |= CategoryFlag[name]
    return Category(number=number, code=code, zh=zh, en=en, flags=flags)


def categories_of(values: Values) -> dict[int, Category]:
    """Return the categories in force by number, in order."""
    found = {category.number: category for category in FIRST}
    for key, text in values.approved.items():
        if key.startswith(KEY_PREFIX):
            number = int(key.removeprefix(KEY_PREFIX))
            found[number] = read_category(number, text)
    return dict(sorted(found.items()))
