"""What past decisions would have been under other values: the journal decided again.

What can be replayed: the password thresholds, the cap of the water purse, the meals, and what
categories of merchants count, allow and give back. Assumed is that the same people ask for the same:
who would newly be asked for the password gives it, who was asked and walked away would walk away
again, and what newly passes is covered. Counters are carried along, so that a payment that newly fails
or passes counts for those after it.

**Source:** regulation 四.2, 四.3c-d, 四.6, 六.3a; docs/reference/decisions.md "Time", checks 6 to 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from core.blocks import WATER, Outcome, RecordType
from core.catalogue import BY_NAME
from core.categories import KEY_PREFIX, CategoryFlag
from core.change_subjects import DAY_PREFIX, MEALS
from core.parameters import BY_KEY
from core.what_if_campus import Campus, Tried
from core.what_if_counters import Counters, Place
from core.what_if_findings import Example, Findings, Group, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from core.blocks import Block, Money, Record

REPLAYED: Final = frozenset(
    {"day_limit_fen", "meal_limit_fen", "meal_limit_scope", "water_cap_fen", MEALS}
)
"""Keys under whose values past decisions can be decided again, beside those of categories."""

_OVER: Final = 4 | 8  # CC_F_OVER_DAY, CC_F_OVER_MEAL
_COUNTS_DAY: Final = 1024
_COUNTS_MEAL: Final = 2048
_BIG: Final = 0xFFFF_FFFF  # an asked amount that does not fit
# Plain numbers: the members' own operators cost more than all the rest of a decision.
_DAY: Final = int(CategoryFlag.DAY)
_MEAL: Final = int(CategoryFlag.MEAL)
_SUBSIDY: Final = int(CategoryFlag.SUBSIDY)
_ALLOWED_BY: Final[Mapping[int, int]] = {
    int(RecordType.PURCHASE): int(CategoryFlag.SPEND),
    int(RecordType.HOLD): int(CategoryFlag.HOLD),
    int(RecordType.REFUND): int(CategoryFlag.REFUNDABLE),
}
_BY_PASSWORD: Final = frozenset(
    BY_NAME[name].number
    for name in ("PIN_REQUIRED", "PIN_WRONG", "PIN_LOCKED", "PIN_NOT_SET", "PIN_UNVERIFIABLE")
)
_WATER_CAP: Final = BY_NAME["WATER_CAP"].number
_NOT_ALLOWED: Final = BY_NAME["CATEGORY_NOT_ALLOWED"].number
_NOT_REFUNDABLE: Final = BY_NAME["REFUND_NOT_ALLOWED"].number
_REPLAYED_REFUSALS: Final = _BY_PASSWORD | {_WATER_CAP, _NOT_ALLOWED, _NOT_REFUNDABLE}


class Scope(IntEnum):
    """Whether past decisions can be decided again; the proto's numbers."""

    REPLAYED = 1
    PAPERS = 2
    UNKNOWABLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """A payment, reservation or refund as it was decided.

    Attributes:
        parts: its records; the first one answers for all.
        amount: fen asked for, or approved.
        category: of its merchant.
        flags: of the category, as they would have been.
        place: where it would have counted.
    """

    parts: tuple[tuple[Record, Money], ...]
    amount: int
    category: int
    flags: int
    place: Place

    @property
    def record(self) -> Record:
        return self.parts[0][0]

    @property
    def approved(self) -> bool:
        return self.record.outcome == Outcome.APPROVED

    @property
    def key(self) -> tuple[int, int, int]:
        return self.record.terminal, self.record.batch_no, self.record.terminal_seq


def scope_of(keys: Iterable[str]) -> Scope:
    """Say what can be said about values of these keys."""
    if unknowable(keys):
        return Scope.UNKNOWABLE
    if any(key in REPLAYED or key.startswith(KEY_PREFIX) for key in keys):
        return Scope.REPLAYED
    return Scope.PAPERS


def unknowable(keys: Iterable[str]) -> list[str]:
    """Return those keys on which past amounts or times depend in a way nobody can replay."""
    return [key for key in keys if key not in REPLAYED and _is_engines(key)]


def _is_engines(key: str) -> bool:
    """Whether the engine's rules have it; ceilings bound acts at the counter only."""
    if key.startswith((KEY_PREFIX, DAY_PREFIX)):
        return False
    return bool(BY_KEY[key].rules_field) and not key.endswith("_ceiling_fen")


class Replay:
    """Decides the journal again, block by block from its first one on.

    Args:
        values: canonical text by key.
        first_day: first booking day, days since 1970-01-01.
        last_day: last one.
    """

    def __init__(self, values: Mapping[str, str], *, first_day: int, last_day: int) -> None:
        self.decisions = 0
        self.findings = Findings()
        self.unknowable: set[str] = set()
        self._tried = Tried(values)
        self._campus = Campus(self._tried)
        self._first_day, self._last_day = first_day, last_day
        self._time_us = 0
        self._noting = False
        self._counters = Counters()
        self._passed: dict[tuple[int, int, int], tuple[_Decision, Example]] = {}
        self._water_failed: dict[int, int] = {}
        self._water_more: dict[int, int] = {}
        self._decided = {RecordType.PURCHASE, RecordType.HOLD}
        if self._tried.flags:
            self._decided.add(RecordType.REFUND)
        self._of_period: dict[int, Callable[[Record], None]] = {
            RecordType.CAPTURE: self._follow,
            RecordType.RELEASE: self._follow,
            RecordType.HOLD_EXPIRED: self._follow,
            RecordType.REVERSAL: self._follow,
            RecordType.TOMBSTONE: self._take_tombstone,
        }
        papers = self._campus.papers
        wanted = {*papers, *self._of_period, *self._decided}
        outside = bytes(1 if number in papers else 0 for number in range(256))
        inside = bytes(1 if number in wanted else 0 for number in range(256))
        self._interest = {False: outside, True: inside}

    def over(self, block: Block) -> bool:
        """Tell whether a block lies after the period: nothing more is to be looked at."""
        return block.header.business_date > self._last_day

    def take(self, block: Block) -> None:
        """Decide one block again."""
        header = block.header
        self._time_us = header.time_us
        self._noting = self._first_day <= header.business_date <= self._last_day
        # Of the day before only what is counted matters: a meal, or the day of the limits, may go on.
        inside = self._first_day - 1 <= header.business_date <= self._last_day
        interest = block.types().translate(self._interest[inside])
        index = interest.find(1)
        while index >= 0:
            index += self._take(block, block.record(index), index, inside=inside)
            index = interest.find(1, index)

    def _take(self, block: Block, record: Record, index: int, *, inside: bool) -> int:
        """Take one record, or the parts of one decision; returns how many."""
        if inside and record.type in self._decided:
            parts = 1
            if record.type != RecordType.HOLD and record.outcome == Outcome.APPROVED:
                parts = record.parts - record.part + 1
            if record.account:
                records = [record, *(block.record(index + part) for part in range(1, parts))]
                self._decide(self._decision(records))
            return parts
        paper = self._campus.papers.get(record.type)
        if paper is not None:
            paper(record)
        of_period = self._of_period.get(record.type) if inside else None
        if of_period is not None:
            of_period(record)
        return 1

    # ---- one decision ----

    def _decision(self, records: list[Record]) -> _Decision:
        record, parts = records[0], tuple((each, each.money()) for each in records)
        money = parts[0][1]
        category = self._campus.category(record)
        flags = self._campus.flags(category)
        if record.outcome == Outcome.APPROVED:
            amount = sum(part.amount for _, part in parts)
        else:
            amount = record.aux
            available = money.debit_after - money.held_after
            by_password = record.reason in _BY_PASSWORD
            if by_password and not flags & _SUBSIDY and 0 < available < amount:
                amount = available  # a partial one: nothing else gets past the look at the funds
        place = Place(
            account=record.account,
            day=money.day_key,
            meal=self._campus.meal(money, self._time_us),
            in_day=bool(flags & _DAY),
            in_meal=bool(flags & _MEAL),
        )
        return _Decision(parts=parts, amount=amount, category=category, flags=flags, place=place)

    def _decide(self, was: _Decision) -> None:
        refund = was.record.type == RecordType.REFUND
        if not self._noting:
            if was.approved and not refund:
                self._count(was)
            return
        self.decisions += 1
        if self._campus.rules.pin_session_seconds:  # who is asked depends on who was asked before
            self.unknowable.add("pin_session_seconds")
        if (was.flags ^ self._campus.flags_were(was.category)) & _SUBSIDY:
            self.unknowable.add(f"{KEY_PREFIX}{was.category}")
        passed = self._passed.get(was.key)
        if passed is not None:
            if was.approved:  # the same key again, this time with the password
                del self._passed[was.key]
                self._counters.drop(passed[0].record.seq)
                self._count(was)
                self.findings.renote(passed[1], _group(passed[0]), Kind.NOT_ASKED)
            return
        known = was.record.reason in _REPLAYED_REFUSALS and was.record.aux != _BIG
        kind = self._kind(was) if was.approved or known else None
        example = self._example(was, kind) if kind is not None else None
        if example is not None:
            self.findings.note(example, _group(was))
        if not refund:
            self._carry_on(was, example)

    def _carry_on(self, was: _Decision, example: Example | None) -> None:
        """Let what would have become of a decision count for those after it."""
        record, declined = was.record, example is not None and example.kind is Kind.DECLINED
        if was.approved and not declined:
            self._count(was)
        elif was.approved and record.flags & WATER:
            self._water_failed[record.seq] = 0
        elif example is not None and not declined:
            self._passed[was.key] = was, example
            self._counters.count(record.seq, was.place, was.amount)
            if record.flags & WATER:
                self._add_water(record.account, was.amount)

    def _kind(self, was: _Decision) -> Kind | None:
        """Say how it would have been decided otherwise; None: it would not."""
        record, allowed_by = was.record, _ALLOWED_BY[was.record.type]
        allowed = bool(was.flags & allowed_by)
        if record.type == RecordType.REFUND:
            return self._kind_of_refund(was, allowed=allowed)
        if not allowed:
            return Kind.DECLINED if was.approved else None
        over = self._is_over(was)
        if record.reason == _NOT_ALLOWED:
            newly = not self._campus.flags_were(was.category) & allowed_by
            return self._kind_of_new(was, over=over) if newly else None
        if record.flags & WATER and "water_cap" in self._tried.rules:
            if self._is_capped(was):
                return Kind.DECLINED if was.approved else None
        elif record.reason == _WATER_CAP:
            return None
        if not was.approved:
            return None if over else Kind.PASSED
        if over == bool(record.flags & _OVER):
            return None
        if not over:
            return Kind.NOT_ASKED
        return self._kind_of_new(was, over=True) or Kind.DECLINED

    def _kind_of_new(self, was: _Decision, *, over: bool) -> Kind | None:
        """Say how it ends where nothing but the password is asked for; None: without a keypad."""
        if not over:
            return Kind.PASSED
        return Kind.ASKED if self._campus.has_keypad(was.record.terminal) else None

    def _kind_of_refund(self, was: _Decision, *, allowed: bool) -> Kind | None:
        if was.approved:
            return None if allowed else Kind.DECLINED
        before = self._campus.flags_were(was.category) & _ALLOWED_BY[was.record.type]
        refused = was.record.reason == _NOT_REFUNDABLE and not was.record.flags & WATER
        return Kind.PASSED if refused and allowed and not before else None

    def _is_over(self, was: _Decision) -> bool:
        day_limit, meal_limit = self._campus.limits(was.record.account)
        day, meal = self._counters.used(was.place)
        if was.place.in_day and day + was.amount > day_limit:
            return True
        if not was.place.in_meal or was.place.meal is None:
            return False
        before = 0 if self._campus.rules.meal_scope else meal
        return before + was.amount > meal_limit

    def _is_capped(self, was: _Decision) -> bool:
        account, cap = was.record.account, self._campus.rules.water_cap
        purse = self._campus.water(account) + self._water_more.get(account, 0)
        return cap != 0 and purse + was.amount > cap

    # ---- what follows from it ----

    def _count(self, was: _Decision) -> None:
        for record, money in was.parts:
            self._counters.count(record.seq, was.place, money.amount)

    def _add_water(self, account: int, amount: int) -> None:
        self._water_more[account] = self._water_more.get(account, 0) + amount

    def _follow(self, record: Record) -> None:
        """Undo what a decision gave back, or posted, later."""
        self._counters.follow(record)
        if record.original_seq not in self._water_failed or record.outcome == Outcome.DECLINED:
            return
        posted = self._water_failed.pop(record.original_seq)
        if record.type == RecordType.CAPTURE:  # the purse as it was has it
            amount = record.money().amount
            self._water_failed[record.seq] = amount
            self._add_water(record.account, -amount)
        else:
            self._add_water(record.account, posted)

    def _take_tombstone(self, record: Record) -> None:
        """Take back a payment that would have passed and was given up."""
        batch_no, terminal_seq = record.original_seq >> 32, record.original_seq & 0xFFFF_FFFF
        passed = self._passed.pop((record.terminal, batch_no, terminal_seq), None)
        if passed is not None:
            self._counters.drop(passed[0].record.seq)

    def _example(self, was: _Decision, kind: Kind) -> Example:
        record, money = was.parts[0]
        day, meal = money.day_used, money.meal_used
        if was.approved:
            day -= money.amount if record.flags & _COUNTS_DAY else 0
            meal -= money.amount if record.flags & _COUNTS_MEAL else 0
        day_then, meal_then = self._counters.used(was.place)
        return Example(
            seq=record.seq,
            account=record.account,
            kind=kind,
            amount=was.amount,
            day_used=day,
            day_used_then=day_then,
            meal_used=meal,
            meal_used_then=meal_then,
        )


def _group(was: _Decision) -> Group:
    meal = was.place.meal
    return Group(
        day=was.place.day, meal=meal.number if meal is not None else 0, category=was.category
    )
