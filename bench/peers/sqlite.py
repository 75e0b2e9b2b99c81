"""The authorization on SQLite: WAL, synchronous=FULL, one writer that commits whatever waits.

In process: no caller is another process, none pays for a socket. That is in SQLite's favour.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from bench.arrivals import NS, poisson
from bench.peers.campus import (
    AMOUNT_MAX,
    MEALS,
    PIN_TRIES,
    SEQ_MAX,
    UTC_OFFSET_S,
    Answer,
    Rows,
    Standing,
    Tap,
)
from bench.peers.runs import Run
from bench.workload import SEED, TERMINALS
from ext.histogram import Histogram

_SCHEMA: Final = """
CREATE TABLE category (
    id INTEGER PRIMARY KEY, spend INT, day INT, meal INT, subsidy INT
);
CREATE TABLE merchant (id INTEGER PRIMARY KEY, category INT, status INT);
CREATE TABLE terminal (
    id INTEGER PRIMARY KEY, merchant INT, status INT, keypad INT, max_amount INT, batch_no INT
);
CREATE TABLE account (
    id INTEGER PRIMARY KEY, online INT, subsidy INT, held INT, status INT, day_limit INT,
    meal_limit INT, pin BLOB, pin_fails INT DEFAULT 0, day INT DEFAULT 0, day_used INT DEFAULT 0,
    meal_day INT DEFAULT 0, meal INT DEFAULT 0, meal_used INT DEFAULT 0
);
CREATE TABLE medium (
    token INTEGER PRIMARY KEY, account INT, state INT, lost INT, frozen INT, expires_day INT
);
CREATE TABLE journal (
    terminal INT, batch_no INT, seq INT, at_us INT, token INT, account INT, merchant INT, asked INT,
    reason TEXT, pending INT, approved INT, from_subsidy INT, online_after INT, day_used INT,
    meal_used INT,
    PRIMARY KEY (terminal, batch_no, seq)
) WITHOUT ROWID;
"""
_FIND: Final = """
SELECT t.batch_no, j.token, j.asked, j.pending, j.reason, j.approved,
       t.status, m.status, c.spend, c.day, c.meal, c.subsidy, t.keypad, t.max_amount, t.merchant,
       k.state, k.lost, k.frozen, k.expires_day,
       a.id, a.status, a.online, a.subsidy, a.held, a.day_limit, a.meal_limit, a.pin, a.pin_fails,
       a.day, a.day_used, a.meal_day, a.meal, a.meal_used
FROM terminal t
LEFT JOIN merchant m ON m.id = t.merchant
LEFT JOIN category c ON c.id = m.category
LEFT JOIN medium k ON k.token = ?4
LEFT JOIN account a ON a.id = k.account
LEFT JOIN journal j ON j.terminal = ?1 AND j.batch_no = ?2 AND j.seq = ?3
WHERE t.id = ?1
"""
_MOVE: Final = """
UPDATE account SET online = ?, subsidy = ?, pin_fails = ?, day = ?, day_used = ?, meal_day = ?,
    meal = ?, meal_used = ? WHERE id = ?
"""
_KEEP: Final = "INSERT OR REPLACE INTO journal VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"


class Sqlite:
    """One database of one run."""

    name: ClassVar = "sqlite"

    def __init__(self, directory: Path, rows: Rows) -> None:
        self._db = sqlite3.connect(directory / "peer.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._accounts = len(rows.accounts)
        self._keys = itertools.count()
        self._fill(rows)

    @property
    def what(self) -> str:
        """What was measured."""
        return f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=FULL, in process, group commit"

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def _fill(self, rows: Rows) -> None:
        many = self._db.executemany
        self._db.execute("BEGIN")
        many(
            "INSERT INTO category VALUES (?, ?, ?, ?, ?)",
            ((c.number, c.spend, c.day, c.meal, c.subsidy) for c in rows.categories),
        )
        many(
            "INSERT INTO merchant VALUES (?, ?, ?)",
            ((m.number, m.category, m.status) for m in rows.merchants),
        )
        many(
            "INSERT INTO terminal VALUES (?, ?, ?, ?, ?, ?)",
            (
                (t.number, t.merchant, t.status, t.keypad, t.max_amount, t.batch_no)
                for t in rows.terminals
            ),
        )
        many(
            "INSERT INTO account (id, online, subsidy, held, status, day_limit, meal_limit, pin)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *(a.number, a.online, a.subsidy, a.held, a.status, a.day_limit, a.meal_limit),
                    _hashed(a.number, a.pin) if a.pin else None,
                )
                for a in rows.accounts
            ),
        )
        many(
            "INSERT INTO medium VALUES (?, ?, ?, ?, ?, ?)",
            ((m.token, m.account, m.state, m.lost, m.frozen, m.expires_day) for m in rows.media),
        )
        self._db.execute("COMMIT")

    # ---- one tap ----

    def ask(self, tap: Tap) -> Answer:
        """Decide one tap in a transaction of its own."""
        return self.commit([tap])[0]

    def commit(self, taps: Sequence[Tap]) -> list[Answer]:
        """Decide what waits, in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        answers = [self._decide(tap) for tap in taps]
        self._db.execute("COMMIT")
        return answers

    def standing(self, account: int) -> Standing:
        """Return an account's row."""
        sql = "SELECT online, subsidy, day_used, meal_used, pin_fails FROM account WHERE id = ?"
        return Standing(*self._db.execute(sql, (account,)).fetchone())

    def _decide(self, tap: Tap) -> Answer:
        asked = (tap.terminal, tap.batch_no, tap.seq, tap.token)
        row = self._db.execute(_FIND, asked).fetchone()
        if row is None or not 1 <= tap.batch_no <= row[0]:
            return Answer("TERMINAL_NOT_SIGNED_IN", 0, replayed=False)
        if row[1] is not None:
            if (row[1], row[2]) != (tap.token, tap.amount):
                return Answer("DUPLICATE_MISMATCH", 0, replayed=False)
            if not row[3]:
                return Answer(row[4], row[5], replayed=True)
        case = Case(tap, row)
        reason = case.refusal()
        if reason == "OK":
            self._db.execute(_MOVE, case.pay())
        elif reason == "PIN_WRONG":
            sql = "UPDATE account SET pin_fails = pin_fails + 1 WHERE id = ?"
            self._db.execute(sql, (case.account,))
        approved = tap.amount if reason == "OK" else 0
        pending = reason == "PIN_REQUIRED" and case.keypad
        self._db.execute(
            _KEEP,
            (
                *(tap.terminal, tap.batch_no, tap.seq, tap.now_us, tap.token, case.account),
                *(case.merchant, tap.amount, reason, pending, approved, case.part),
                *(case.online, case.day_used, case.meal_used),
            ),
        )
        return Answer(reason, approved, replayed=False)

    # ---- measured ----

    def taps(self, count: int) -> Iterator[Tap]:
        """Make purchases with keys that were not used."""
        rng = random.Random(SEED + count)
        for _ in range(count):
            at = next(self._keys)
            batch, seq = divmod(at // TERMINALS, SEQ_MAX)
            yield Tap(
                at % TERMINALS + 1,
                batch + 1,
                seq + 1,
                rng.randrange(self._accounts) + 1,
                rng.randrange(50, 4_001),
                "",
                time.time_ns() // 1_000,
            )

    def closed(self, clients: int, seconds: float) -> Run:
        """Let clients ask as soon as they are answered: every transaction has one tap of each."""
        took, done, spent = Histogram(), 0, 0
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            taps = list(self.taps(clients))
            began = time.perf_counter_ns()
            check(self.commit(taps))
            ns = time.perf_counter_ns() - began
            for _ in range(clients):
                took.add(ns)
            spent += ns
            done += clients
        return Run.of(done * NS / spent, took)

    def open(self, clients: int, per_s: float, seconds: float) -> Run:
        """Let taps come when they come; a transaction takes all that wait, up to one a client."""
        took, gaps = Histogram(), itertools.cycle(poisson(per_s))
        waiting = self.taps(int(per_s * seconds))
        first = due = time.perf_counter_ns()
        held: Tap | None = next(waiting, None)
        while held is not None:
            group: list[Tap] = []
            dues: list[int] = []
            while held is not None and len(group) < clients and due <= time.perf_counter_ns():
                group.append(held)
                dues.append(due)
                held, due = next(waiting, None), due + next(gaps)
            if group:
                check(self.commit(group))
                now = time.perf_counter_ns()
                for one in dues:
                    took.add(now - one)
            else:
                time.sleep(max(0, due - time.perf_counter_ns()) / NS)
        return Run.of(took.total * NS / (time.perf_counter_ns() - first), took)


class Case:
    """A tap with the rows it found, on its way through the checks."""

    def __init__(self, tap: Tap, row: Sequence[Any]) -> None:
        self.tap = tap
        self.status, self.merchant_status, self.spend, self.counts_day, self.counts_meal = row[6:11]
        self.subsidized, self.keypad, self.most, self.merchant = row[11:15]
        self.state, self.lost, self.frozen, self.expires = row[15:19]
        self.account, self.standing, self.online, self.subsidy, self.held = row[19:24]
        self.day_limit, self.meal_limit, self.pin, self.fails = row[24:28]
        self.day, self.day_used, self.meal_day, self.meal, self.meal_used = row[28:]
        self.part = 0

    def refusal(self) -> str:
        """Return the first reason against it, ``OK`` when there is none."""
        local_s = self.tap.now_us // 1_000_000 + UTC_OFFSET_S
        self.today = local_s // 86_400
        if self.status != 1:
            return "TERMINAL_SUSPENDED"
        if self.merchant_status != 1:
            return "MERCHANT_INVALID"
        if self.account is None or self.state == 6:
            return "CARD_UNKNOWN"
        return self._of_card() or self._of_account() or self._of_limits(local_s) or "OK"

    def _of_card(self) -> str:
        if self.state in {4, 5}:
            return "CARD_VOID"
        if self.lost:
            return "CARD_LOST"
        if self.frozen:
            return "CARD_FROZEN"
        if self.expires and self.today >= self.expires:
            return "CARD_EXPIRED"
        return "CARD_NOT_ACTIVE" if self.state in {1, 2} else ""

    def _of_account(self) -> str:
        if self.standing in {3, 4}:
            return "ACCOUNT_CLOSED"
        if self.standing == 2:
            return "ACCOUNT_SUSPENDED"
        if self.online < 0:
            return "ACCOUNT_DEBT"
        if not self.spend:
            return "CATEGORY_NOT_ALLOWED"
        if not 1 <= self.tap.amount <= min(self.most or AMOUNT_MAX, AMOUNT_MAX):
            return "AMOUNT_INVALID"
        available = self.online - self.held + (self.subsidy if self.subsidized else 0)
        return "INSUFFICIENT" if available < self.tap.amount else ""

    def _of_limits(self, local_s: int) -> str:
        self.meal_now, self.meal_began = meal_at(local_s % 86_400 // 60, self.today)
        same_meal = (self.meal_day, self.meal) == (self.meal_began, self.meal_now)
        self.day_sum = self.tap.amount + (self.day_used if self.day == self.today else 0)
        self.meal_sum = self.tap.amount + (self.meal_used if same_meal else 0)
        over = (self.counts_day and self.day_sum > self.day_limit) or (
            self.counts_meal and self.meal_sum > self.meal_limit
        )
        if not over:
            return ""
        if not self.tap.pin:
            return "PIN_REQUIRED"
        if self.fails >= PIN_TRIES:
            return "PIN_LOCKED"
        if self.pin is None:
            return "PIN_NOT_SET"
        if _hashed(self.account, self.tap.pin) != self.pin:
            return "PIN_WRONG"
        self.fails = 0
        return ""

    def pay(self) -> tuple[int, ...]:
        """Move money and counters; returns the account's new row."""
        amount = self.tap.amount
        self.part = min(self.subsidy, amount) if self.subsidized else 0
        self.online -= amount - self.part
        if self.counts_day:
            self.day, self.day_used = self.today, self.day_sum
        if self.counts_meal:
            self.meal_day, self.meal = self.meal_began, self.meal_now
            self.meal_used = self.meal_sum
        return (
            *(self.online, self.subsidy - self.part, self.fails, self.day, self.day_used),
            *(self.meal_day, self.meal, self.meal_used, self.account),
        )


def meal_at(minute: int, today: int) -> tuple[int, int]:
    """Return the meal at a minute of the day and the day it began."""
    for index, first, after in MEALS:
        if first < after and first <= minute < after:
            return index, today
        if first > after and (minute >= first or minute < after):
            return index, today - (minute < after)
    return 0, today


def check(answers: Sequence[Answer]) -> None:
    """Refuse to measure refusals.

    Raises:
        RuntimeError: one was not approved.
    """
    for answer in answers:
        if answer.reason != "OK" or answer.replayed:
            raise RuntimeError(f"not approved: {answer}")


def _hashed(account: int, pin: str) -> bytes:
    return hashlib.sha256(f"campus{account}:{pin}".encode()).digest()
