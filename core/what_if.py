"""What past decisions would have been under other values: the journal decided again.

Only what the password thresholds and the cap of the water purse decide can be replayed. Assumed is
that the same people ask for the same: who would newly be asked for the password gives it, who was
asked and walked away would walk away again, and a payment that newly passes is covered. Counters are
carried along, so that a payment that newly fails or passes counts for those after it.

**Source:** regulation 四.3c-d, 四.6, 六.3a; docs/reference/decisions.md checks 8 to 11.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from core.blocks import Outcome, RecordType
from core.catalogue import BY_NAME
from core.categories import CategoryFlag
from core.change_subjects import rules_value
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from core.blocks import Block, Money, Record

REPLAYED: Final = frozenset(
    {"day_limit_fen", "meal_limit_fen", "meal_limit_scope", "water_cap_fen"}
)
"""Parameters under which past decisions can be decided again."""
EXAMPLES_MAX: Final = 100

_OVER: Final = 4 | 8  # CC_F_OVER_DAY, CC_F_OVER_MEAL
_COUNTS_DAY: Final = 1024
_COUNTS_MEAL: Final = 2048
_WATER: Final = 4096
_BIG: Final = 0xFFFF_FFFF  # an asked amount that does not fit
_MEAL_NUMBER: Final = 0x7F
_BY_PASSWORD: Final = frozenset(
    BY_NAME[name].number
    for name in ("PIN_REQUIRED", "PIN_WRONG", "PIN_LOCKED", "PIN_NOT_SET", "PIN_UNVERIFIABLE")
)
_WATER_CAP: Final = BY_NAME["WATER_CAP"].number


class Scope(IntEnum):
    """Whether past decisions can be decided again; the proto's numbers."""

    REPLAYED = 1
    PAPERS = 2
    UNKNOWABLE = 3


class Kind(IntEnum):
    """How a decision would have been another one; the proto's numbers."""

    ASKED = 1
    NOT_ASKED = 2
    DECLINED = 3
    PASSED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One decision that would have been another one; amounts in fen."""

    seq: int
    account: int
    kind: Kind
    amount: int
    day_used: int
    day_used_then: int
    meal_used: int
    meal_used_then: int


@dataclass(slots=True)
class Count:
    """How often, and how much in all."""

    count: int = 0
    amount: int = 0


@dataclass(slots=True, kw_only=True)
class _Decision:
    """A payment or reservation as it was decided: its first record and what it asked."""

    record: Record
    money: Money
    amount: int
    counts_day: bool
    counts_meal: bool
    day_before: int
    meal_before: int

    @property
    def approved(self) -> bool:
        return self.record.outcome == Outcome.APPROVED

    @property
    def key(self) -> tuple[int, int, int]:
        return self.record.terminal, self.record.batch_no, self.record.terminal_seq

    def shift(self, amount: int) -> _Shift:
        return _Shift(
            account=self.record.account,
            day_key=self.money.day_key,
            meal_key=self.money.meal_key,
            day=amount if self.counts_day else 0,
            meal=amount if self.counts_meal else 0,
        )


@dataclass(slots=True, kw_only=True)
class _Shift:
    """How much more a decision counts than it did."""

    account: int
    day_key: int
    meal_key: int
    day: int
    meal: int


@dataclass(slots=True)
class _Counters:
    """By how much an account's counters differ, of one day and one meal."""

    day_key: int = 0
    day: int = 0
    meal: dict[tuple[int, int], int] = field(default_factory=dict)


def scope_of(keys: Mapping[str, str]) -> Scope:
    """Say what can be said about values of these parameters."""
    if any(_is_engines(key) and key not in REPLAYED for key in keys):
        return Scope.UNKNOWABLE
    return Scope.REPLAYED if REPLAYED & keys.keys() else Scope.PAPERS


def _is_engines(key: str) -> bool:
    """Whether past amounts or times depend on it; ceilings bound acts at the counter only."""
    return bool(BY_KEY[key].rules_field) and not key.endswith("_ceiling_fen")


class Replay:
    """Decides the journal again, block by block from its first one on.

    Args:
        values: canonical text per parameter.
        first_day: first booking day, days since 1970-01-01.
        last_day: last one.
    """

    def __init__(self, values: Mapping[str, str], *, first_day: int, last_day: int) -> None:
        self.decisions = 0
        self.counts: dict[tuple[str, int, Kind], Count] = defaultdict(Count)
        self.by_account: dict[tuple[int, Kind], Count] = defaultdict(Count)
        self.examples: list[Example] = []
        self._fields = {
            BY_KEY[key].rules_field: rules_value(BY_KEY[key], value)
            for key, value in values.items()
            if key in REPLAYED
        }
        self._first_day, self._last_day = first_day, last_day
        self._rules = RulesBody()
        self._then = replace(self._rules, **self._fields)
        self._flags = [0] * 256
        self._merchants: dict[int, int] = {}
        self._keypads: dict[int, bool] = {}
        self._limits: dict[int, tuple[int, int]] = {}
        self._counters: dict[int, _Counters] = {}
        self._passed: dict[tuple[int, int, int], _Decision] = {}
        self._failed: dict[int, _Shift] = {}
        self._water: dict[int, int] = {}
        self._water_then: dict[int, int] = defaultdict(int)
        papers: dict[int, Callable[[Record], None]] = {
            RecordType.RULES: self._take_rules,
            RecordType.CATEGORY: self._take_category,
            RecordType.MERCHANT: self._take_merchant,
            RecordType.TERMINAL: self._take_terminal,
            RecordType.ACCOUNT: self._take_account,
        }
        if "water_cap" in self._fields:
            papers |= dict.fromkeys(
                (RecordType.CAPTURE, RecordType.REVERSAL, RecordType.ADJUST), self._take_water
            )
        self._papers = papers
        self._of_period: dict[int, Callable[[Record], None]] = {
            RecordType.CAPTURE: self._give_back,
            RecordType.RELEASE: self._give_back,
            RecordType.HOLD_EXPIRED: self._give_back,
            RecordType.REVERSAL: self._give_back,
            RecordType.TOMBSTONE: self._take_tombstone,
        }
        outside = bytes(1 if number in papers else 0 for number in range(256))
        wanted = {*papers, *self._of_period, RecordType.PURCHASE, RecordType.HOLD}
        inside = bytes(1 if number in wanted else 0 for number in range(256))
        self._interest = {False: outside, True: inside}

    def over(self, block: Block) -> bool:
        """Tell whether a block lies after the period: nothing more is to be looked at."""
        return block.header.business_date > self._last_day

    def take(self, block: Block) -> None:
        """Decide one block again."""
        inside = self._first_day <= block.header.business_date <= self._last_day
        interest = block.types().translate(self._interest[inside])
        index = interest.find(1)
        while index >= 0:
            record = block.record(index)
            index += self._take(block, record, index, inside=inside)
            index = interest.find(1, index)

    def _take(self, block: Block, record: Record, index: int, *, inside: bool) -> int:
        """Take one record, or the parts of one decision; returns how many."""
        if inside and record.type in {RecordType.PURCHASE, RecordType.HOLD}:
            parts = 1
            if record.type == RecordType.PURCHASE and record.outcome == Outcome.APPROVED:
                parts = record.parts - record.part + 1
            more = [block.record(index + part) for part in range(1, parts)]
            if record.account:
                self._decide(self._decision(record, more))
            return parts
        paper = self._papers.get(record.type)
        if paper is not None:
            paper(record)
        of_period = self._of_period.get(record.type) if inside else None
        if of_period is not None:
            of_period(record)
        return 1

    # ---- the campus as it was ----

    def _take_rules(self, record: Record) -> None:
        self._rules = RulesBody.unpack(record.body)
        self._then = replace(self._rules, **self._fields)

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

    # ---- one decision ----

    def _decision(self, record: Record, more: list[Record]) -> _Decision:
        money = record.money()
        flags = self._flags[self._merchants.get(record.merchant, 0)]
        counts_day = bool(flags & CategoryFlag.DAY)
        counts_meal = bool(flags & CategoryFlag.MEAL) and money.meal_key != 0
        day_before, meal_before = money.day_used, money.meal_used
        if record.outcome == Outcome.APPROVED:
            counts_day = bool(record.flags & _COUNTS_DAY)
            counts_meal = bool(record.flags & _COUNTS_MEAL)
            amount = money.amount + sum(part.money().amount for part in more)
            day_before -= money.amount if counts_day else 0
            meal_before -= money.amount if counts_meal else 0
        else:
            amount = record.aux
            available = money.debit_after - money.held_after
            if not flags & CategoryFlag.SUBSIDY and 0 < available < amount:
                amount = available  # a partial one: nothing else gets past the look at the funds
        return _Decision(
            record=record,
            money=money,
            amount=amount,
            counts_day=counts_day,
            counts_meal=counts_meal,
            day_before=day_before,
            meal_before=meal_before,
        )

    def _decide(self, was: _Decision) -> None:
        self.decisions += 1
        passed = self._passed.get(was.key)
        if passed is not None:
            if was.approved:  # the same key again, this time with the password
                self._shift(was.shift(-was.amount))
                del self._passed[was.key]
                self._renote(passed)
            return
        if not was.approved and (
            was.record.reason not in _BY_PASSWORD | {_WATER_CAP} or was.record.aux == _BIG
        ):
            return
        kind = self._kind(was)
        if kind is None:
            return
        self._note(was, kind)
        if kind is Kind.DECLINED:
            shift = was.shift(-was.amount)
            self._failed[was.record.seq] = shift
            self._shift(shift)
        elif not was.approved:
            self._passed[was.key] = was
            self._shift(was.shift(was.amount))
            if was.record.flags & _WATER:
                self._water_then[was.record.account] += was.amount

    def _kind(self, was: _Decision) -> Kind | None:
        """Say how it would have been decided otherwise; None: it would not."""
        over = self._is_over(was)
        keypad = self._keypads.get(was.record.terminal, False)
        if was.record.flags & _WATER and "water_cap" in self._fields:
            capped = self._is_capped(was)
            if was.approved and capped:
                return Kind.DECLINED
            if was.record.reason == _WATER_CAP:
                return None if capped or over else Kind.PASSED
        elif was.record.reason == _WATER_CAP:
            return None
        if was.approved:
            if over == bool(was.record.flags & _OVER):
                return None
            if over:
                return Kind.ASKED if keypad else Kind.DECLINED
            return Kind.NOT_ASKED
        return None if over else Kind.PASSED

    def _is_over(self, was: _Decision) -> bool:
        day_limit, meal_limit = self._limits.get(was.record.account, (LIMIT_DEFAULT, LIMIT_DEFAULT))
        if day_limit == LIMIT_DEFAULT:
            day_limit = self._then.day_limit
        if meal_limit == LIMIT_DEFAULT:
            meal_limit = self._then.meal_limit
        day, meal = self._used_then(was)
        if was.counts_day and day + was.amount > day_limit:
            return True
        before = 0 if self._then.meal_scope else meal
        return was.counts_meal and before + was.amount > meal_limit

    def _is_capped(self, was: _Decision) -> bool:
        account = was.record.account
        purse = self._water.get(account, 0) + self._water_then.get(account, 0)
        return self._then.water_cap != 0 and purse + was.amount > self._then.water_cap

    def _used_then(self, was: _Decision) -> tuple[int, int]:
        """Return what would have been counted before it, of the day and of the meal."""
        counters = self._counters.get(was.record.account)
        day, meal = was.day_before, was.meal_before
        if counters is not None:
            if counters.day_key == was.money.day_key:
                day += counters.day
            meal += counters.meal.get((was.money.day_key, was.money.meal_key), 0)
        return day, meal

    # ---- what follows from it ----

    def _shift(self, shift: _Shift) -> None:
        counters = self._counters.setdefault(shift.account, _Counters())
        if counters.day_key < shift.day_key:
            # A meal that began the day before goes on: its key says so, its day is today's.
            counters.day_key, counters.day = shift.day_key, 0
            counters.meal.clear()
        if counters.day_key == shift.day_key:
            counters.day += shift.day
            key = (shift.day_key, shift.meal_key)
            counters.meal[key] = counters.meal.get(key, 0) + shift.meal

    def _give_back(self, record: Record) -> None:
        """Undo what a decision that would have failed gave back, or posted, later."""
        shift = self._failed.get(record.original_seq)
        if shift is None or record.outcome == Outcome.DECLINED:
            return
        money = record.money()
        kept = money.amount if record.type == RecordType.CAPTURE else 0
        counted = -max(shift.day, shift.meal, key=abs)
        back = _Shift(
            account=shift.account,
            day_key=shift.day_key,
            meal_key=shift.meal_key,
            day=counted - kept if shift.day else 0,
            meal=counted - kept if shift.meal else 0,
        )
        self._shift(back)
        if kept:
            if record.flags & _WATER:
                self._water_then[record.account] -= kept
            shift.day += back.day
            shift.meal += back.meal
            self._failed[record.seq] = shift
        del self._failed[record.original_seq]

    def _take_tombstone(self, record: Record) -> None:
        """Take back a payment that would have passed and was given up."""
        batch_no, terminal_seq = record.original_seq >> 32, record.original_seq & 0xFFFF_FFFF
        passed = self._passed.pop((record.terminal, batch_no, terminal_seq), None)
        if passed is not None:
            self._shift(passed.shift(-passed.amount))

    def _note(self, was: _Decision, kind: Kind) -> None:
        self._count(was, kind, 1)
        if len(self.examples) < EXAMPLES_MAX:
            day_then, meal_then = self._used_then(was)
            self.examples.append(
                Example(
                    seq=was.record.seq,
                    account=was.record.account,
                    kind=kind,
                    amount=was.amount,
                    day_used=was.day_before,
                    day_used_then=day_then,
                    meal_used=was.meal_before,
                    meal_used_then=meal_then,
                )
            )

    def _renote(self, was: _Decision) -> None:
        """Say of a payment that passed at once that it did pass in the end, with the password."""
        self._count(was, Kind.PASSED, -1)
        self._count(was, Kind.NOT_ASKED, 1)
        for index, example in enumerate(self.examples):
            if example.seq == was.record.seq:
                self.examples[index] = replace(example, kind=Kind.NOT_ASKED)

    def _count(self, was: _Decision, kind: Kind, times: int) -> None:
        category = self._merchants.get(was.record.merchant, 0)
        counts = [
            self.counts[by, name, kind]
            for by, name in (
                ("TOTAL", 0),
                ("DAY", was.money.day_key),
                ("MEAL", was.money.meal_key & _MEAL_NUMBER),
                ("CATEGORY", category),
            )
        ]
        for count in (*counts, self.by_account[was.record.account, kind]):
            count.count += times
            count.amount += times * was.amount
