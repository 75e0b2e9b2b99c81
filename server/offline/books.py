"""The books, kept again from amounts alone: every after-image in a record must be their sum.

`Books` is fed all records in order. It never takes a balance, counter or chain from a record: it
moves its own by the record's amount and compares. What each kind of record must satisfy stands in
`taps`, `undoing` and `papers`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Final

from server.offline import layout as at
from server.offline.findings import Difference, demand_equal
from server.offline.keys import Keys
from server.offline.rows import (
    NO_SESSION,
    Account,
    Hold,
    Meals,
    Medium,
    Merchant,
    Rules,
    Scheduled,
    Terminal,
    Undo,
)
from server.offline.shapes import shape
from server.offline.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.offline.layout import Entry, Header

    Lookup = Callable[[int], Entry]
    """Reads an earlier record by its seq."""
    Check = Callable[["Books", Entry, Account | None], None]

DAY_S: Final = 86_400
NEVER: Final = 1 << 32
"""Later than any due time."""


class Books:
    """Every row there is, recomputed up to the last record fed."""

    __slots__ = (
        "_checks",
        "accounts",
        "block_debits",
        "business_date",
        "categories",
        "day_key",
        "dues",
        "holds",
        "keys",
        "kinds",
        "ledger",
        "lookup",
        "meal_day",
        "meal_index",
        "meal_key",
        "meals",
        "media",
        "media_by_key",
        "merchants",
        "moved",
        "next_meals",
        "next_rules",
        "outcomes",
        "payload_len",
        "request_next",
        "request_rows",
        "requests",
        "requests_max",
        "rule_version",
        "rules",
        "rules_fell_due",
        "said",
        "sale",
        "saw_command",
        "scheduled",
        "terminals",
        "time_us",
        "today",
        "undos",
        "weights",
    )  # fmt: skip

    def __init__(self, lookup: Lookup, checks: Mapping[int, Check], *, requests_max: int) -> None:
        self._checks = checks
        self.lookup = lookup
        self.requests_max = requests_max
        self.accounts: dict[int, Account] = {}
        self.media: dict[int, Medium] = {}
        self.media_by_key: dict[bytes, int] = {}
        self.merchants: dict[int, Merchant] = {}
        self.terminals: dict[int, Terminal] = {}
        self.holds: dict[int, Hold] = {}
        self.undos: dict[int, Undo] = {}
        self.scheduled: dict[int, Scheduled] = {}
        self.dues: list[tuple[int, int]] = []
        self.rules_fell_due = False
        self.ledger: dict[int, int] = {}
        self.categories: dict[int, int] = {}
        self.requests: dict[int, tuple[bytes, int, int]] = {}
        self.request_rows: dict[bytes, int] = {}
        self.request_next = 1
        self.rules = self.next_rules = Rules()
        self.meals = self.next_meals = Meals()
        self.rule_version = 0
        self.keys = Keys()
        self.weights = Weights()
        self.time_us = self.business_date = self.day_key = self.today = self.payload_len = 0
        self.meal_key = self.meal_day = self.meal_index = 0
        self.block_debits = self.moved = 0
        self.sale: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
        self.saw_command = self.said = False
        self.kinds: Counter[int] = Counter()
        self.outcomes: Counter[int] = Counter()

    # ---- blocks ----

    def enter(self, header: Header) -> None:
        """Begin a block: its time, dates and rules hold for every record in it."""
        seq = header.first_seq
        if header.time_us < self.time_us:
            raise Difference(seq, "time went back")
        self.rules, self.meals = self.next_rules, self.next_meals
        demand_equal(seq, "the block's rule_version", header.rule_version, self.rule_version)
        self.time_us = self.keys.time_us = header.time_us
        local_s = self.time_us // 1_000_000 + self.rules.utc_offset_seconds
        self.business_date = max(self.business_date, self.rules.business_day(local_s))
        self.today = local_s // DAY_S
        self.day_key = self.business_date if self.rules.limit_day else self.today
        self.meal_key = self._meal_key(local_s)
        self.meal_day = self.day_key - (self.meal_key >> 7)
        self.meal_index = self.meal_key & 0x7F
        demand_equal(seq, "business_date", header.business_date, self.business_date)
        self.payload_len = header.payload_len
        self.block_debits = 0
        self.saw_command = self.rules_fell_due = False

    def _meal_key(self, local_s: int) -> int:
        """Return the meal of a local second; 0x80 when it began before the day limits count."""
        key = self.meals.key_at(local_s % DAY_S // 60)
        if not key or not self.rules.limit_day:
            return key
        index = key & 0x7F
        began_s = (self.today - (key >> 7)) * DAY_S + self.meals.periods[index - 1][0] * 60
        return index | (0x80 if self.rules.business_day(began_s) < self.business_date else 0)

    def leave(self, header: Header) -> None:
        """End a block."""
        demand_equal(header.first_seq, "the block's debits", header.debits, self.block_debits)

    # ---- records ----

    def feed(self, e: Entry) -> None:
        """Check one record with a money body and keep the books by it."""
        check = self._checks.get(e.type)
        if check is None:
            raise Difference(e.seq, f"record type {e.type} is unknown")
        self.kinds[e.type] += 1
        self.outcomes[e.outcome] += 1
        if e.part == 1:
            self.said = False
        self.in_time(e)
        account = self._account_of(e)
        shape(self, e, account)
        if e.terminal:
            self._enter_terminal(e)
        elif e.prev_terminal_seq:
            raise Difference(e.seq, "no terminal, but a record before it")
        if account is not None:
            if account.pin_fails:
                self.forgive(account)
            if e.flags & (at.F_PIN_OK | at.F_PIN_BAD) or e.pin_marks:
                self._password(e, account)
        elif e.pin_marks:
            raise Difference(e.seq, "a password of no account")
        check(self, e, account)
        if account is not None:
            self._after(e, account)
        if e.terminal and not e.flags & at.F_DUE:
            self._leave_terminal(e)

    def in_time(self, e: Entry) -> None:
        """Nothing is decided before all that is due has happened, or behind a change of rules."""
        if self.rules_fell_due:
            raise Difference(e.seq, "rules fell due and the block went on")
        if e.flags & at.F_DUE:
            if self.saw_command:
                raise Difference(e.seq, "a due record behind a command's")
        elif not self.saw_command:
            self.saw_command = True
            if self.earliest()[0] * 1_000_000 <= self.time_us:
                raise Difference(e.seq, "decided while a scheduled effect was due")

    def wait(self, waits: Scheduled) -> None:
        """Keep an effect until its time."""
        self.scheduled[waits.seq] = waits
        heapq.heappush(self.dues, (waits.due_s, waits.seq))
        self.weights.scheduled.add(waits.seq)

    def wait_no_more(self, seq: int) -> None:
        """Forget an effect that waited."""
        del self.scheduled[seq]
        self.weights.scheduled.add(seq)

    def earliest(self) -> tuple[int, int]:
        """Return (second, seq) of the effect that comes true next."""
        while self.dues and self.dues[0][1] not in self.scheduled:
            heapq.heappop(self.dues)
        return self.dues[0] if self.dues else (NEVER, 0)

    def _account_of(self, e: Entry) -> Account | None:
        if e.account == 0:
            if e.prev_account_seq or e.held_after or e.day_used or e.meal_used or e.pin_fails:
                raise Difference(e.seq, "no account, but an account's numbers")
            return None
        account = self.accounts.get(e.account)
        if account is None:
            raise Difference(e.seq, f"account {e.account} was never opened")
        if e.prev_account_seq != account.last_seq:
            demand_equal(e.seq, "prev_account_seq", e.prev_account_seq, account.last_seq)
        account.last_seq = e.seq
        self.weights.accounts.add(e.account)
        return account

    def _enter_terminal(self, e: Entry) -> None:
        terminal = self.terminals.get(e.terminal)
        if terminal is None:
            raise Difference(e.seq, f"terminal {e.terminal} is unknown")
        if e.flags & at.F_DUE:
            if e.prev_terminal_seq or e.batch_no or e.terminal_seq:
                raise Difference(e.seq, "a due record has no key")
            return
        if e.prev_terminal_seq != terminal.last_seq:
            demand_equal(e.seq, "prev_terminal_seq", e.prev_terminal_seq, terminal.last_seq)
        terminal.last_seq = e.seq
        self.weights.terminals.add(e.terminal)

    def _leave_terminal(self, e: Entry) -> None:
        """Bind the key by the command's last part."""
        if e.type == at.SIGN_IN or e.part != e.parts:
            return
        terminal = self.terminals[e.terminal]
        self.keys.bind(e, terminal)
        if e.type == at.TOMBSTONE:
            self.keys.tombstone(e, terminal)
        elif e.type == at.SIGN_OFF and e.outcome == at.APPROVED:
            terminal.signed_in = 0

    def forgive(self, account: Account) -> None:
        """Wrong tries of an earlier day count no longer, unless only a reset ends them (D6)."""
        if not self.rules.pin_reset and 0 < account.pin_fail_day < self.day_key:
            account.pin_fails = 0

    def _password(self, e: Entry, account: Account) -> None:
        """Count wrong passwords; between a right one or a reset there are at most pin_max."""
        self._marks(e, account)
        if not e.flags & (at.F_PIN_OK | at.F_PIN_BAD):
            return
        if self.said and e.flags & at.F_PIN_OK:
            return  # an earlier part of the command has it already
        self.said = True
        if account.pin_fails >= self.rules.pin_max or account.pin_version == 0:
            raise Difference(e.seq, "a password was evaluated that is locked or not set")
        account.pin_fails = 0 if e.flags & at.F_PIN_OK else account.pin_fails + 1

    def _marks(self, e: Entry, account: Account) -> None:
        """A session begins with a right password and serves where it began (D5)."""
        marks, payment = e.pin_marks, e.type in (at.PURCHASE, at.HOLD) and e.outcome == at.APPROVED
        wrong = e.flags & at.F_PIN_BAD
        known = marks in (0, at.P_DATED, at.P_SESSION, at.P_BY_SESSION)
        if not known or (marks & at.P_DATED and not wrong) or (marks > at.P_DATED and not payment):
            raise Difference(e.seq, "marks of the password that do not go together")
        lasts = self.rules.pin_session_seconds
        if payment and bool(e.flags & at.F_PIN_OK and lasts) != bool(marks & at.P_SESSION):
            raise Difference(e.seq, "a right password and a session do not go together")
        second = self.time_us // 1_000_000
        here = (e.medium, e.terminal, self.rule_version)
        if marks & at.P_BY_SESSION:
            began, *where = account.session
            if not began or tuple(where) != here or second - began >= lasts:
                raise Difference(e.seq, "approved by a session there is not")
        if marks & at.P_SESSION:
            self.keep_session(e.account, account, (second, *here))
        if wrong:
            self.keep_session(e.account, account, NO_SESSION)
            if marks & at.P_DATED:
                account.pin_fail_day = e.day_key
                self.weights.cold.add(e.account)

    def keep_session(self, row: int, account: Account, session: tuple[int, int, int, int]) -> None:
        """Set where a right password serves from now on."""
        if session != account.session:
            account.session = session
            self.weights.cold.add(row)

    def _after(self, e: Entry, account: Account) -> None:
        """Compare the account's after-images, which every record of it carries."""
        if e.held_after != account.held:
            demand_equal(e.seq, "held_after", e.held_after, account.held)
        if e.pin_fails != account.pin_fails:
            demand_equal(e.seq, "pin_fails", e.pin_fails, account.pin_fails)
        day = account.day_used if account.day_key == e.day_key else 0
        if e.day_used != day:
            demand_equal(e.seq, "day_used", e.day_used, day)
        meal = account.meal_used if self.is_meal(account, e.day_key, e.meal_key) else 0
        if e.meal_used != meal:
            demand_equal(e.seq, "meal_used", e.meal_used, meal)

    # ---- counters ----

    @staticmethod
    def is_meal(account: Account, day_key: int, meal_key: int) -> bool:
        """Whether the account's meal counter is of this meal."""
        return (
            meal_key != 0
            and account.meal_index == meal_key & 0x7F
            and account.meal_day == day_key - (meal_key >> 7)
        )

    def counts_of(self, merchant: int) -> int:
        """Return the COUNTS flags of a debit now at a merchant."""
        category = self.categories.get(self.merchants[merchant].category, 0)
        counts = at.F_COUNTS_DAY if category & at.C_DAY else 0
        if category & at.C_MEAL and self.meal_key:
            counts |= at.F_COUNTS_MEAL
        return counts

    def count(self, account: Account, amount: int, counts: int) -> None:
        """Count a debit of this block; the account's counters become the block's."""
        if counts & at.F_COUNTS_DAY:
            before = account.day_used if account.day_key == self.day_key else 0
            account.day_used, account.day_key = before + amount, self.day_key
        if counts & at.F_COUNTS_MEAL:
            here = self.is_meal(account, self.day_key, self.meal_key)
            account.meal_used = (account.meal_used if here else 0) + amount
            account.meal_day, account.meal_index = self.meal_day, self.meal_index

    def recount(
        self, account: Account, day_key: int, meal_key: int, change: int, counts: int
    ) -> None:
        """Correct the counters of a day and meal, each only where it is still the account's."""
        if counts & at.F_COUNTS_DAY and account.day_key == day_key:
            account.day_used = max(0, account.day_used + change)
        if counts & at.F_COUNTS_MEAL and self.is_meal(account, day_key, meal_key):
            account.meal_used = max(0, account.meal_used + change)

    # ---- money ----

    def move(self, e: Entry, wallet: int, change: int) -> int:
        """Add to one side's own balance; returns what it is now."""
        if wallet == at.PAYABLE:
            merchant = self.merchants.get(e.merchant)
            if merchant is None:
                raise Difference(e.seq, f"merchant {e.merchant} is unknown")
            self.weights.merchants.add(e.merchant)
            merchant.payable += change
            return merchant.payable
        if at.SYSTEM_FIRST <= wallet <= at.SYSTEM_LAST:
            balance = self.ledger[wallet] = self.ledger.get(wallet, 0) + change
            self.weights.ledger.add(wallet)
            return balance
        account = self.accounts.get(e.account)
        if account is None:
            raise Difference(e.seq, f"wallet {wallet} without an account")
        if wallet == at.ONLINE:
            account.online += change
            return account.online
        if wallet == at.SUBSIDY:
            account.subsidy += change
            return account.subsidy
        if wallet == at.WATER:
            account.water += change
            self.weights.cold.add(e.account)
            return account.water
        raise Difference(e.seq, f"{wallet} is no wallet")

    def movement(self, e: Entry) -> None:
        """One debit, one credit, one amount: both balances after are the books'."""
        if e.amount <= 0 or e.debit_wallet == e.credit_wallet:
            raise Difference(e.seq, "a movement of nothing, or from a wallet to itself")
        debit = self.move(e, e.debit_wallet, -e.amount)
        credit = self.move(e, e.credit_wallet, e.amount)
        if e.debit_after != debit:
            demand_equal(e.seq, "debit_after", e.debit_after, debit)
        if e.credit_after != credit:
            demand_equal(e.seq, "credit_after", e.credit_after, credit)
        if max(abs(debit), abs(credit)) > at.BALANCE_MAX:
            raise Difference(e.seq, "a balance beyond 10^15 fen")
        self.block_debits += e.amount
        self.moved += 1

    def total(self) -> int:
        """Return the sum of every balance there is: double entry keeps it 0."""
        holders = sum(a.online + a.subsidy + a.water for a in self.accounts.values())
        merchants = sum(m.payable for m in self.merchants.values())
        return holders + merchants + sum(self.ledger.values())
