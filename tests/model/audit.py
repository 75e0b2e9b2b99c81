"""The invariants, recomputed from records alone.

An auditor is fed every record once, in order, and knows nothing else: no row of the engine, no
rule of the model. It raises `Violation` at the first record that breaks an invariant.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields

from tests.model.numbers import (
    HOLDER_WALLETS,
    LIMIT_DEFAULT,
    MEAL_YESTERDAY,
    Flag,
    Kind,
    Mark,
    MediumFlag,
    MediumState,
    Outcome,
    Wallet,
)
from tests.model.state import Record, Rules

MOVES = {
    Kind.PURCHASE,
    Kind.CAPTURE,
    Kind.REVERSAL,
    Kind.REFUND,
    Kind.TOP_UP,
    Kind.SUBSIDY,
    Kind.ADJUST,
}
PAPERS = {kind for kind in Kind if kind >= Kind.ACCOUNT}
RULES_FIELDS = tuple(field.name for field in fields(Rules))[1:]
UNUSABLE = {MediumState.VOID, MediumState.RETURNED, MediumState.UNBOUND}


class Violation(AssertionError):
    """An invariant does not hold at a record."""


def demand(holds: bool, what: str, record: Record) -> None:
    """Raise unless the invariant holds."""
    if not holds:
        raise Violation(f"seq {record.seq}: {what}: {record}")


def meal_of(record: Record) -> tuple[int, int]:
    """Return (day the meal began, index)."""
    if record.meal_key & MEAL_YESTERDAY:
        return record.day_key - 1, record.meal_key & ~MEAL_YESTERDAY
    return record.day_key, record.meal_key


def same_days(before: Rules, after: Rules) -> bool:
    """Whether days and meals keep their keys under new rules."""
    kept = ("utc_offset_seconds", "business_days", "day_cut_minutes")
    return all(getattr(before, name) == getattr(after, name) for name in kept)


@dataclass(slots=True)
class Totals:
    """What an account's counters must be."""

    day: int = 0
    meal: tuple[int, int] = (0, 0)
    by_day: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    by_meal: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True)
class Auditor:
    """Recomputes the books from records."""

    rules: Rules = field(default_factory=Rules)
    head: int = 0
    business_date: int = 0
    movements: int = 0
    counters_known: bool = True
    """False once meals or the offset changed: a key may then come twice."""
    balances: dict[tuple[Wallet, int], int] = field(default_factory=lambda: defaultdict(int))
    held: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    totals: dict[int, Totals] = field(default_factory=lambda: defaultdict(Totals))
    limits: dict[int, tuple[int, int]] = field(default_factory=dict)
    fails: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    fail_day: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    sessions: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Medium and terminal where a right password may still serve."""
    day: int = 0
    refused_media: set[int] = field(default_factory=set)
    posted: dict[int, Record] = field(default_factory=dict)
    """Approved purchases, holds and captures by seq."""
    scheduled: dict[int, Record] = field(default_factory=dict)
    open_holds: set[int] = field(default_factory=set)
    ended_holds: set[int] = field(default_factory=set)
    refunded: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    reversed: set[int] = field(default_factory=set)
    final_keys: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """Key -> seq of the first part of the command that moved money under it."""
    account_head: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    terminal_head: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def feed(self, records: list[Record], business_date: int = 0, day: int = 0) -> None:
        """Audit the next records of the journal; `day`: which the limits count in their block."""
        self.day = day or self.day
        if business_date and business_date < self.business_date:
            raise Violation(f"business date went back to {business_date}")
        self.business_date = max(self.business_date, business_date)
        for record in records:
            self.audit(record)
        total = sum(self.balances.values())
        if total:
            raise Violation(f"the sum over all accounts is {total}")

    def audit(self, record: Record) -> None:
        """Audit one record."""
        demand(record.seq == self.head + 1, "the journal has a gap", record)
        self.head = record.seq
        self.chains(record)
        self.passwords(record)
        if record.type in PAPERS:
            self.papers(record)
            return
        moves = record.outcome in {Outcome.APPROVED, Outcome.EFFECT}
        if not moves:
            demand(record.amount == 0, "a refusal moved money", record)
        else:
            self.one_effect_per_key(record)
            self.usable_medium(record)
            self.undone_once(record)
            self.money(record)
            self.count(record)
        self.counters(record)

    # ---- order ----

    def chains(self, record: Record) -> None:
        """History walks these: every record links to the one before of its account, terminal."""
        if record.account:
            last = self.account_head[record.account]
            demand(record.prev_account_seq == last, f"account chain is not at {last}", record)
            self.account_head[record.account] = record.seq
        if record.terminal and record.type not in PAPERS and not record.flags & Flag.DUE:
            last = self.terminal_head[record.terminal]
            demand(record.prev_terminal_seq == last, f"terminal chain is not at {last}", record)
            self.terminal_head[record.terminal] = record.seq

    def one_effect_per_key(self, record: Record) -> None:
        """I5: a key moves money at most once."""
        no_key = record.flags & (Flag.KEY_IS_REQUEST | Flag.DUE)
        if no_key or record.type in {Kind.SIGN_IN, Kind.SIGN_OFF, Kind.TOMBSTONE}:
            return
        key = (record.terminal, record.batch_no, record.terminal_seq)
        command = record.seq - record.part
        demand(self.final_keys.setdefault(key, command) == command, "a second effect", record)

    # ---- passwords and cards ----

    def passwords(self, record: Record) -> None:
        """I9: between two right passwords or resets at most pin_max wrong ones."""
        if not self.rules.fails_until_reset and 0 < self.fail_day[record.account] < self.day:
            self.fails[record.account] = 0
        if record.flags & Flag.PIN_OK and record.account:
            self.fails[record.account] = 0
        if record.flags & Flag.PIN_BAD and record.account:
            self.fails[record.account] += 1
            self.fail_day[record.account] = record.day_key
            self.sessions.pop(record.account, None)
            demand(self.day in {0, record.day_key}, "a try of another day", record)
            demand(
                self.fails[record.account] <= self.rules.pin_max, "one password too many", record
            )
        wrong = bool(record.flags & Flag.PIN_BAD)
        demand(bool(record.marks & Mark.DATED) is wrong, "a wrong try without its day", record)
        if record.account and record.type not in PAPERS:
            demand(record.pin_fails == self.fails[record.account], "wrong pin_fails", record)

    def usable_medium(self, record: Record) -> None:
        """I4: nothing new is approved on a medium that is lost, frozen or void."""
        if record.type in {Kind.PURCHASE, Kind.HOLD}:
            demand(record.medium not in self.refused_media, "approved on a refused medium", record)

    def papers(self, record: Record) -> None:
        """Remember what papers say that money depends on."""
        self.waiting(record)
        if record.type is Kind.ACCOUNT:
            self.limits[record.account] = (record.image[4], record.image[5])
            self.fails[record.account] = record.image[2]
            self.sessions.pop(record.account, None)
        elif record.type is Kind.MEDIUM:
            self.sessions.pop(record.account, None)
            _key, state, flags, *_rest = record.image
            if state in UNUSABLE or flags & (MediumFlag.LOST | MediumFlag.FROZEN):
                self.refused_media.add(record.medium)
            else:
                self.refused_media.discard(record.medium)
        elif record.type is Kind.RULES:
            before, self.rules = self.rules, record.image[0]
            self.sessions.clear()
            self.counters_known &= same_days(before, self.rules) or not self.totals
        elif record.type is Kind.MEALS:
            self.sessions.clear()
            self.counters_known = False

    def waiting(self, record: Record) -> None:
        """What is scheduled ends once, and not as something else."""
        if record.type is Kind.SCHEDULED:
            self.scheduled[record.seq] = record
        elif record.type is Kind.UNSCHEDULED or record.flags & Flag.DUE:
            known = self.scheduled.pop(record.original_seq, None)
            demand(known is not None, "what was never scheduled, or ended before", record)
            same = known and (known.account, known.medium) == (record.account, record.medium)
            demand(bool(same), "what was scheduled for another row", record)
            if known and record.type is Kind.UNSCHEDULED:
                demand(known.image == record.image, "another effect than scheduled", record)
            if known and record.type is Kind.RULES:
                self.masked(known, record)

    def masked(self, known: Record, record: Record) -> None:
        """Rules that fall due change what was scheduled and nothing else."""
        mask, values = known.image[1], known.image[8]
        for bit, (name, value) in enumerate(zip(RULES_FIELDS, values, strict=True)):
            wanted = value if mask >> bit & 1 else getattr(self.rules, name)
            demand(getattr(record.image[0], name) == wanted, f"{name} is not {wanted}", record)

    # ---- undoing ----

    def undone_once(self, record: Record) -> None:
        """I6: reversed at most once and never after a refund; refunds never above the original."""
        if record.type in {Kind.PURCHASE, Kind.HOLD, Kind.CAPTURE}:
            self.posted[record.seq] = record
        if record.type is Kind.HOLD:
            self.open_holds.add(record.seq)
        if record.type is Kind.REFUND:
            self.refunded[record.original_seq] += record.amount
            original = self.posted[record.original_seq]
            given_back = self.refunded[record.original_seq]
            demand(given_back <= original.amount, "refunded more than was paid", record)
            demand(record.original_seq not in self.reversed, "refunded after a reversal", record)
        if record.type is Kind.REVERSAL:
            original = self.posted[record.original_seq]
            demand(record.original_seq not in self.reversed, "reversed twice", record)
            demand(not self.refunded[record.original_seq], "reversed after a refund", record)
            demand(record.amount == original.amount, "reversed in part", record)
            demand(record.account == original.account, "reversed to another account", record)
            self.reversed.add(record.original_seq)

    # ---- money ----

    def owner(self, wallet: Wallet, record: Record) -> tuple[Wallet, int]:
        """Return whose balance a side of the record is."""
        if wallet in HOLDER_WALLETS:
            return wallet, record.account
        return wallet, record.merchant if wallet is Wallet.MERCHANT else 0

    def money(self, record: Record) -> None:
        """I1 and I2: a movement has two sides, and both balances after are their sums."""
        self.reservations(record)
        if record.type in MOVES and record.debit_wallet:
            demand(record.amount > 0, "a movement of nothing", record)
            self.movements += record.amount
            for wallet, sign, after in (
                (record.debit_wallet, -1, record.debit_after),
                (record.credit_wallet, 1, record.credit_after),
            ):
                owner = self.owner(wallet, record)
                self.balances[owner] += sign * record.amount
                demand(self.balances[owner] == after, f"{wallet.name} is not {after}", record)
        if record.account:
            online = self.balances[Wallet.ONLINE, record.account]
            held = self.held[record.account]
            demand(record.held_after == held, f"held is {held}", record)
            spends = record.type is Kind.HOLD or record.debit_wallet is Wallet.ONLINE
            forced = record.flags & Flag.FORCED or record.type is Kind.ADJUST
            if spends and record.type is not Kind.CAPTURE and not forced:
                demand(online >= held, "spent what was not available", record)
            for wallet in (Wallet.WATER, Wallet.SUBSIDY):
                if record.debit_wallet is wallet and not forced:
                    demand(record.debit_after >= 0, "a purse below zero", record)

    def reservations(self, record: Record) -> None:
        """A hold ends once; what it reserved is held exactly until then."""
        if record.type is Kind.HOLD:
            self.held[record.account] += record.amount
            return
        hold = self.posted.get(record.original_seq)
        if hold is None or hold.type is not Kind.HOLD:
            return
        if record.type is Kind.CAPTURE:
            demand(record.amount <= hold.amount, "captured more than was held", record)
        if record.type in {Kind.CAPTURE, Kind.RELEASE, Kind.REVERSAL, Kind.HOLD_EXPIRED}:
            late = bool(record.flags & Flag.LATE)
            demand((hold.seq in self.open_holds) is not late, "the hold was not open", record)
            demand(hold.seq not in self.ended_holds, "the hold had ended", record)
            if not late:
                self.open_holds.discard(hold.seq)
                self.held[record.account] -= hold.amount
        if record.type not in {Kind.HOLD_EXPIRED, Kind.HOLD_GREY}:
            self.ended_holds.add(hold.seq)

    # ---- counters ----

    def change(self, record: Record) -> int:
        """Return by how much the record changes the totals of its day and meal."""
        if record.type in {Kind.PURCHASE, Kind.HOLD}:
            return record.amount
        if record.type is Kind.CAPTURE:
            if record.flags & Flag.LATE:
                return record.amount
            return record.amount - self.posted[record.original_seq].amount
        return -record.amount

    def count(self, record: Record) -> None:
        """I8: counters are the sums over records that say they count."""
        if not record.flags & (Flag.COUNTS_DAY | Flag.COUNTS_MEAL):
            return
        totals, change = self.totals[record.account], self.change(record)
        debit = record.type in {Kind.PURCHASE, Kind.HOLD}
        if record.flags & Flag.COUNTS_DAY:
            totals.by_day[record.day_key] += change
            totals.day = record.day_key if debit else totals.day
        if record.flags & Flag.COUNTS_MEAL:
            totals.by_meal[meal_of(record)] += change
            totals.meal = meal_of(record) if debit else totals.meal
        if debit:
            self.session(record)
            asked = record.flags & Flag.PIN_OK or record.marks & Mark.BY_SESSION
            if not asked and self.counters_known:
                self.within_limits(record, totals)

    def session(self, record: Record) -> None:
        """A session serves the medium and the terminal whose right password began it."""
        here = (record.medium, record.terminal)
        if record.marks & Mark.SESSION:
            demand(bool(record.flags & Flag.PIN_OK), "a session without a password", record)
            self.sessions[record.account] = here
        if record.marks & Mark.BY_SESSION:
            demand(self.sessions.get(record.account) == here, "no session here", record)

    def within_limits(self, record: Record, totals: Totals) -> None:
        """Without a password the sums stay within the limits."""
        day, meal = self.limits.get(record.account, (LIMIT_DEFAULT, LIMIT_DEFAULT))
        day = self.rules.day_limit if day == LIMIT_DEFAULT else day
        meal = self.rules.meal_limit if meal == LIMIT_DEFAULT else meal
        if record.flags & Flag.COUNTS_DAY:
            demand(totals.by_day[record.day_key] <= day, "over the day limit unasked", record)
        if record.flags & Flag.COUNTS_MEAL and not self.rules.limit_per_transaction:
            demand(totals.by_meal[meal_of(record)] <= meal, "over the meal limit unasked", record)

    def counters(self, record: Record) -> None:
        """I8: what a record says was used is that sum, 0 of a day or meal that is past."""
        if not self.counters_known or not record.account:
            return
        totals = self.totals[record.account]
        day = totals.by_day[record.day_key] if record.day_key == totals.day else 0
        here = record.meal_key and meal_of(record) == totals.meal
        meal = totals.by_meal[meal_of(record)] if here else 0
        demand(record.day_used == day, f"day_used is {day}", record)
        demand(record.meal_used == meal, f"meal_used is {meal}", record)
