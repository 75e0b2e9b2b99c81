"""The campus as it was while the journal is read, and as it would have been under tried values.

**Source:** docs/reference/decisions.md "Time", "Office commands".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from core.blocks import Outcome, RecordType
from core.calendar import BEGAN_DAY_BEFORE, day_key, meal_key
from core.categories import KEY_PREFIX, read_category
from core.change_subjects import MEALS, category_number, parse_meals, rules_value
from core.parameters import BY_KEY
from core.plans import Wallet
from core.rows import (
    KEYPAD,
    LIMIT_DEFAULT,
    AccountBody,
    CategoryBody,
    MerchantBody,
    RulesBody,
    TerminalBody,
)
from core.what_if_counters import Meal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from core.blocks import Money, Record

_WATER_TYPES: Final = (RecordType.CAPTURE, RecordType.REVERSAL, RecordType.ADJUST)
_MEAL_NUMBER: Final = 0x7F


class Tried:
    """Values to try, as the replay asks for them.

    Args:
        values: canonical text by key.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self.rules: dict[str, Any] = {
            BY_KEY[key].rules_field: rules_value(BY_KEY[key], value)
            for key, value in values.items()
            if key in BY_KEY and BY_KEY[key].rules_field
        }
        self.flags = {
            number: int(read_category(number, value).flags)
            for number, value in (
                (category_number(key), value)
                for key, value in values.items()
                if key.startswith(KEY_PREFIX)
            )
        }
        self.meals = parse_meals(values[MEALS]) if MEALS in values else None


class Campus:
    """What decides a payment beside the payment itself, kept up to date record by record."""

    def __init__(self, tried: Tried) -> None:
        self._tried = tried
        self._flags = [0] * 256
        self._merchants: dict[int, int] = {}
        self._keypads: dict[int, bool] = {}
        self._limits: dict[int, tuple[int, int]] = {}
        self._water: dict[int, int] = {}
        self._rules = RulesBody()
        self.rules = replace(self._rules, **tried.rules)
        self.papers: dict[int, Callable[[Record], None]] = {
            RecordType.RULES: self._take_rules,
            RecordType.CATEGORY: self._take_category,
            RecordType.MERCHANT: self._take_merchant,
            RecordType.TERMINAL: self._take_terminal,
            RecordType.ACCOUNT: self._take_account,
        }
        if "water_cap" in tried.rules:
            self.papers |= dict.fromkeys(_WATER_TYPES, self._take_water)

    # ---- asked for ----

    def category(self, record: Record) -> int:
        """Return the number of the category of a record's merchant."""
        return self._merchants.get(record.merchant, 0)

    def flags_were(self, category: int) -> int:
        """Return what a category's flags were, as ``CategoryFlag``."""
        return self._flags[category]

    def flags(self, category: int) -> int:
        """Return what a category's flags would have been."""
        return self._tried.flags.get(category, self._flags[category])

    def meal(self, money: Money, time_us: int) -> Meal | None:
        """Return the meal a decision would have been made in; None: outside meals.

        Args:
            money: of its record.
            time_us: of its block.
        """
        day, key = money.day_key, money.meal_key
        if self._tried.meals is not None:
            offset = self._rules.utc_offset_seconds
            day, key = day_key(time_us, offset), meal_key(time_us, offset, self._tried.meals)
        if key == 0:
            return None
        return Meal(day - 1 if key & BEGAN_DAY_BEFORE else day, key & _MEAL_NUMBER)

    def has_keypad(self, terminal: int) -> bool:
        """Tell whether a password can be given at a terminal."""
        return self._keypads.get(terminal, False)

    def limits(self, account: int) -> tuple[int, int]:
        """Return what an account's limits of the day and of a meal would have been, fen."""
        day, meal = self._limits.get(account, (LIMIT_DEFAULT, LIMIT_DEFAULT))
        return (
            self.rules.day_limit if day == LIMIT_DEFAULT else day,
            self.rules.meal_limit if meal == LIMIT_DEFAULT else meal,
        )

    def water(self, account: int) -> int:
        """Return an account's water purse as it was, fen; read only where its cap is tried."""
        return self._water.get(account, 0)

    # ---- kept up to date ----

    def _take_rules(self, record: Record) -> None:
        self._rules = RulesBody.unpack(record.body)
        self.rules = replace(self._rules, **self._tried.rules)

    def _take_category(self, record: Record) -> None:
        body = CategoryBody.unpack(record.body)
        self._flags[body.category] = body.flags

    def _take_merchant(self, record: Record) -> None:
        self._merchants[record.merchant] = MerchantBody.unpack(record.body).category

    def _take_terminal(self, record: Record) -> None:
        self._keypads[record.terminal] = bool(TerminalBody.unpack(record.body).flags & KEYPAD)

    def _take_account(self, record: Record) -> None:
        body = AccountBody.unpack(record.body)
        limits = (body.day_limit, body.meal_limit)
        if limits == (LIMIT_DEFAULT, LIMIT_DEFAULT):
            self._limits.pop(record.account, None)
        else:
            self._limits[record.account] = limits

    def _take_water(self, record: Record) -> None:
        money = record.money()
        if record.outcome not in {Outcome.APPROVED, Outcome.EFFECT}:
            return
        if money.credit_wallet == Wallet.WATER:
            self._water[record.account] = money.credit_after
        if money.debit_wallet == Wallet.WATER:
            self._water[record.account] = money.debit_after
