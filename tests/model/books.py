"""The books: all rows, the present block's time, and how a record is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.model.numbers import (
    ASKED_MAX,
    LIMIT_DEFAULT,
    MEAL_YESTERDAY,
    NO_FLAG,
    Counts,
    Flag,
    Kind,
    Mark,
    Outcome,
    Reason,
    Wallet,
)
from tests.model.state import (
    SEED_CATEGORIES,
    SEED_MEALS,
    Account,
    Hold,
    Meals,
    Medium,
    Merchant,
    Record,
    Reply,
    Rules,
    Scheduled,
    Tap,
    Terminal,
    Undo,
)

COUNTS = {Counts.DAY: Flag.COUNTS_DAY, Counts.MEAL: Flag.COUNTS_MEAL}


def asked32(amount: int) -> int:
    """Return an amount as `aux` says it."""
    return amount if 0 <= amount < ASKED_MAX else ASKED_MAX


def signed64(value: int) -> int:
    """Return 64 bits as the signed number they stand for."""
    return (value + 2**63) % 2**64 - 2**63


@dataclass(slots=True, kw_only=True)
class Books:
    """Everything the rules look at."""

    rules: Rules = field(default_factory=Rules)
    meals: Meals = SEED_MEALS
    categories: dict[int, Counts] = field(default_factory=lambda: dict(SEED_CATEGORIES))
    next_rules: Rules | None = None
    next_meals: Meals | None = None
    rule_version: int = 1
    """Of rules and meals together."""

    accounts: dict[int, Account] = field(default_factory=dict)
    media: dict[int, Medium] = field(default_factory=dict)
    merchants: dict[int, Merchant] = field(default_factory=dict)
    terminals: dict[int, Terminal] = field(default_factory=dict)
    holds: dict[int, Hold] = field(default_factory=dict)
    undos: dict[int, Undo] = field(default_factory=dict)
    scheduled: dict[int, Scheduled] = field(default_factory=dict)
    ledger: dict[int, int] = field(default_factory=dict)
    requests: dict[bytes, tuple[tuple[Any, ...], Any]] = field(default_factory=dict)
    journal: list[Record] = field(default_factory=list)

    time_us: int = 0
    business_date: int = 0
    today: int = 0
    """Calendar day."""
    day_key: int = 0
    """Day the limits count."""
    meal_key: int = 0

    # ---- time ----

    def set_time(self, time_us: int) -> None:
        """Enter a block: everything in it happens at this one time."""
        self.rule_version += self.rules_change
        self.rules, self.next_rules = self.next_rules or self.rules, None
        if self.next_meals is not None:
            self.meals, self.next_meals = self.next_meals, None
        self.time_us = max(self.time_us, time_us)
        local_s = self.time_us // 1_000_000 + self.rules.utc_offset_seconds
        self.today = local_s // 86_400
        self.business_date = max(self.business_date, self.business_day(local_s))
        self.day_key = self.business_date if self.rules.business_days else self.today
        self.meal_key = self.meal_at(local_s % 86_400 // 60)
        if self.meal_key and self.rules.business_days:
            began, index = self.meal_of(self.today, self.meal_key)
            began_s = began * 86_400 + self.meals[index - 1][0] * 60
            before = self.business_day(began_s) < self.business_date
            self.meal_key = index | (MEAL_YESTERDAY if before else 0)

    def business_day(self, local_s: int) -> int:
        """Return the business day of a local second; from noon on a cut is the evening before."""
        cut = self.rules.day_cut_minutes
        return (local_s - (cut if cut < 720 else cut - 1_440) * 60) // 86_400

    @property
    def rules_change(self) -> bool:
        """Whether the present block has changed rules or meals, for the next one on."""
        return self.next_rules is not None or self.next_meals is not None

    def meal_at(self, minute: int) -> int:
        """Return the meal's key at a minute of the day, 0 outside meals."""
        for index, (start, end) in enumerate(self.meals, start=1):
            if start < end:
                if start <= minute < end:
                    return index
            elif minute >= start:
                return index
            elif minute < end:
                return index | MEAL_YESTERDAY
        return 0

    @staticmethod
    def meal_of(day_key: int, meal_key: int) -> tuple[int, int]:
        """Return (day it began, index), the same on both sides of midnight."""
        if meal_key & MEAL_YESTERDAY:
            return day_key - 1, meal_key & ~MEAL_YESTERDAY
        return day_key, meal_key

    # ---- counters ----

    def day_used(self, account: Account, day_key: int) -> int:
        """Return fen counted in that day, 0 if the account's counter is of another."""
        return account.day_used if account.day == day_key else 0

    def meal_used(self, account: Account, day_key: int, meal_key: int) -> int:
        """Return fen counted in that meal, 0 outside meals or if the counter is of another."""
        here = meal_key != 0 and account.meal == self.meal_of(day_key, meal_key)
        return account.meal_used if here else 0

    def counts_of(self, category: Counts) -> Flag:
        """Return which counters a debit in this block moves at a merchant of the category."""
        counts = NO_FLAG
        if category & Counts.DAY:
            counts |= Flag.COUNTS_DAY
        if category & Counts.MEAL and self.meal_key != 0:
            counts |= Flag.COUNTS_MEAL
        return counts

    def count(self, account: Account, amount: int, counts: Flag) -> None:
        """Count a debit of this block; the account's counters become the block's."""
        if counts & Flag.COUNTS_DAY:
            account.day_used = self.day_used(account, self.day_key) + amount
            account.day = self.day_key
        if counts & Flag.COUNTS_MEAL:
            account.meal_used = self.meal_used(account, self.day_key, self.meal_key) + amount
            account.meal = self.meal_of(self.day_key, self.meal_key)

    def recount(
        self, account: Account, day_key: int, meal_key: int, amount: int, counts: Flag
    ) -> None:
        """Correct the counters of a day and meal, each only where it is still the account's."""
        if counts & Flag.COUNTS_DAY and account.day == day_key:
            account.day_used = max(0, account.day_used + amount)
        if counts & Flag.COUNTS_MEAL and account.meal == self.meal_of(day_key, meal_key):
            account.meal_used = max(0, account.meal_used + amount)

    # ---- money ----

    def move(self, wallet: Wallet, owner: Account | Merchant | None, amount: int) -> int:
        """Add to one side; returns its balance after. Balances are credits minus debits."""
        if isinstance(owner, Merchant):
            owner.payable += amount
            return owner.payable
        if wallet is Wallet.ONLINE and owner:
            owner.online += amount
            return owner.online
        if wallet is Wallet.WATER and owner:
            owner.water += amount
            return owner.water
        if wallet is Wallet.SUBSIDY and owner:
            owner.subsidy += amount
            return owner.subsidy
        self.ledger[wallet] = self.ledger.get(wallet, 0) + amount
        return self.ledger[wallet]

    # ---- records ----

    def write(
        self,
        record: Record,
        *,
        account: Account | None = None,
        terminal: Terminal | None = None,
        counters: bool = True,
    ) -> Record:
        """Append a record: number it, link both chains, fill what every record says.

        Its day and meal are the block's unless it brings the day of an original. `counters`
        False leaves the after-images out: records of papers have none.
        """
        record.seq = len(self.journal) + 1
        if record.flags & Flag.PIN_BAD:
            record.marks |= Mark.DATED
        if account and record.type in {Kind.ACCOUNT, Kind.MEDIUM}:
            account.session = None
        if counters and not record.day_key:
            record.day_key, record.meal_key = self.day_key, self.meal_key
        if account:
            record.account = account.number
            record.prev_account_seq, account.last_seq = account.last_seq, record.seq
            if counters:
                record.held_after = account.held
                record.pin_fails = account.pin_fails = self.fails(account)
                record.day_used = self.day_used(account, record.day_key)
                record.meal_used = self.meal_used(account, record.day_key, record.meal_key)
        if terminal:
            record.terminal = terminal.number
            record.prev_terminal_seq, terminal.last_seq = terminal.last_seq, record.seq
        self.journal.append(record)
        return record

    def tap_record(
        self, tap: Tap, terminal: Terminal, record: Record, account: Account | None = None
    ) -> Record:
        """Append a record of a tap: it carries the tap's key."""
        record.batch_no, record.terminal_seq = tap.batch_no, tap.terminal_seq
        if not record.merchant:
            record.merchant = terminal.merchant
        if account and account.must_change:
            record.flags |= Flag.MUST_CHANGE
        return self.write(record, account=account, terminal=terminal)

    def refuse(
        self,
        tap: Tap,
        terminal: Terminal,
        kind: Kind,
        reason: Reason,
        *,
        account: Account | None = None,
        medium: int = 0,
        flags: Flag = NO_FLAG,
        asked: int = 0,
        original_seq: int = 0,
        outcome: Outcome = Outcome.DECLINED,
        told: int = 0,
    ) -> Record:
        """Append a refusal: nothing moves, and the record says what the account stood at.

        `told`: the number behind a reason that has nothing to do with limits.
        """
        record = Record(
            type=kind,
            outcome=outcome,
            reason=reason,
            flags=flags,
            medium=medium,
            original_seq=original_seq,
            aux=asked32(asked),
        )
        if account:
            record.debit_after = account.online
            record.credit_after = self.limits_told(account, reason) or told
        return self.tap_record(tap, terminal, record, account)

    def limits_told(self, account: Account, reason: Reason) -> int:
        """Return `credit_after` of a refusal for a limit or a password: the limits; else 0."""
        if reason in {Reason.PIN_REQUIRED, Reason.PIN_WRONG, Reason.PIN_LOCKED}:
            day, meal = self.limits(account)
            return signed64(day | meal << 32)
        return 0

    def limits(self, account: Account) -> tuple[int, int]:
        """Return the day and meal limit in force for the account."""
        day = self.rules.day_limit if account.day_limit == LIMIT_DEFAULT else account.day_limit
        meal = self.rules.meal_limit if account.meal_limit == LIMIT_DEFAULT else account.meal_limit
        return day, meal

    # ---- passwords ----

    def fails(self, account: Account) -> int:
        """Return the wrong tries that count: until the next day, or until a reset."""
        past = 0 < account.pin_fail_day < self.day_key
        return 0 if past and not self.rules.fails_until_reset else account.pin_fails

    def session_stands(self, account: Account, medium: int, terminal: int) -> bool:
        """Whether a right password of before serves for this medium at this terminal."""
        begun = account.session
        return (
            begun is not None
            and (begun.medium, begun.terminal) == (medium, terminal)
            and begun.rule_version == self.rule_version
            and self.time_us // 1_000_000 < begun.second + self.rules.pin_session_seconds
        )

    def check_pin(self, account: Account, pin: str | bool) -> tuple[Reason, Flag]:
        """Evaluate a password and count it."""
        account.pin_fails = self.fails(account)
        if account.pin_fails >= self.rules.pin_max:
            return Reason.PIN_LOCKED, NO_FLAG
        if account.pin_version == 0:
            return Reason.PIN_NOT_SET, NO_FLAG
        if pin is True or pin == account.pin:
            account.pin_fails = 0
            return Reason.OK, Flag.PIN_OK
        account.pin_fails += 1
        account.pin_fail_day, account.session = self.day_key, None
        return Reason.PIN_WRONG, Flag.PIN_BAD

    # ---- rows by name ----

    def medium_by_key(self, key: bytes) -> Medium | None:
        """Return the newest medium of that key."""
        found = [medium for medium in self.media.values() if medium.key == key]
        return found[-1] if found else None

    def terminal_by_name(self, name: str) -> Terminal | None:
        """Return the terminal of that name."""
        return next((t for t in self.terminals.values() if t.name == name), None)


def answer(records: list[Record]) -> Reply:
    """Number the parts of a command and answer with the last part's outcome."""
    for index, record in enumerate(records, start=1):
        record.part, record.parts = index, len(records)
    return Reply(outcome=records[-1].outcome, reason=records[-1].reason, records=records)
