"""A small campus that takes commands: the model alone, or (in `tests/property`) with the engine.

What the acceptance scenarios call A, POS-07 and W-1 stands here, so that one situation can be
played on both.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.model.audit import Auditor
from tests.model.model import Model
from tests.model.numbers import (
    KEYPAD,
    EffectKind,
    Event,
    MediumFlag,
    MediumState,
    Op,
    Wallet,
)
from tests.model.office import Effect, OfficeReply
from tests.model.state import Account, Original, Record, Reply, Rules, Tap

SHANGHAI = timezone(timedelta(hours=8))
NO_MEDIUM_FLAG = MediumFlag(0)
PIN = "904617"
WRONG = "000001"


def us(text: str) -> int:
    """Return the microseconds of a local time, as "2024-03-13 11:40:00"."""
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000


def card(number: int) -> bytes:
    """Return the 16-byte key of a card's UID: type, length, token."""
    return bytes([1, 4]) + number.to_bytes(4, "big") + bytes(10)


class Rig:
    """The model with a clock; every command is a block of its own."""

    def __init__(self) -> None:
        self.model = Model()
        self.auditor = Auditor()
        self.now_us = us("2024-03-13 11:40:00")
        self.terminal_seqs = itertools.count(1)
        self.requests = itertools.count(1)
        self.batches: dict[str, int] = {}

    # ---- to be replaced by a rig that has an engine too ----

    def send(self, tap: Tap) -> Reply:
        """Decide one tap in a block of its own."""
        due = self.open_block()
        reply = self.model.tap(tap)
        self.check(due + ([] if reply.replayed else reply.records))
        return reply

    def sign_in(self, name: str) -> Reply | None:
        """Open a batch; later taps of the terminal use it."""
        due = self.open_block()
        reply = self.model.sign_in(name)
        self.check(due + (reply.records if reply else []))
        self.note_batch(name, reply)
        return reply

    def perform(self, effects: Sequence[Effect], **options: Any) -> OfficeReply:
        """Decide one office command in a block of its own."""
        due = self.open_block()
        options.setdefault("request_id", self.request_id())
        reply = self.model.office(effects, **options)
        self.check(due + ([] if reply.replayed else reply.records))
        return reply

    def idle(self) -> None:
        """Let what is due happen."""
        self.check(self.open_block())

    def open_block(self) -> list[Record]:
        """Begin the block a command is decided in; blocks of due records alone come before it."""
        while True:
            due = self.model.begin_block(self.now_us)
            if not self.model.block_is_over:
                return due
            self.check(due)

    # ---- shared ----

    def do(self, effects: Sequence[Effect]) -> OfficeReply:
        """Send an office command that must pass."""
        reply = self.perform(effects)
        assert reply.status == "OK", f"{reply.status} at effect {reply.effect}"
        return reply

    def check(self, records: list[Record]) -> None:
        """Audit what was written and compare it with the rows."""
        self.auditor.feed(records, self.model.books.business_date, self.model.books.day_key)
        for account in self.model.books.accounts.values():
            books = self.auditor.balances
            assert account.online == books[Wallet.ONLINE, account.number]
            assert account.subsidy == books[Wallet.SUBSIDY, account.number]
            assert account.water == books[Wallet.WATER, account.number]
            assert account.held == self.auditor.held[account.number]
        for merchant in self.model.books.merchants.values():
            assert merchant.payable == self.auditor.balances[Wallet.MERCHANT, merchant.number]

    def note_batch(self, name: str, reply: Reply | None) -> None:
        """Remember a terminal's batch."""
        if reply and reply.records and reply.records[0].batch_no:
            self.batches[name] = reply.records[0].batch_no

    def request_id(self) -> bytes:
        """Return a fresh UUIDv7 of the present time."""
        number = next(self.requests)
        milliseconds = self.now_us // 1000
        tail = (0x7 << 76 | number >> 32 << 64 | 0x2 << 62 | number & 0xFFFFFFFF) & (2**80 - 1)
        return (milliseconds << 80 | tail).to_bytes(16, "big")

    def at(self, text: str) -> None:
        """Set the clock."""
        self.now_us = us(text)

    def after(self, seconds: int) -> None:
        """Let time pass."""
        self.now_us += seconds * 1_000_000

    def tap(self, op: Op, terminal: str = "POS-07", **fields: Any) -> Reply:
        """Send a tap of card 1; the terminal's batch and a new terminal_seq unless given."""
        return self.send(self.make_tap(op, terminal, **fields))

    def make_tap(self, op: Op, terminal: str = "POS-07", **fields: Any) -> Tap:
        """Return a tap without sending it."""
        fields.setdefault("batch_no", self.batches.get(terminal, 0))
        fields.setdefault("terminal_seq", next(self.terminal_seqs))
        if op in {Op.AUTHORIZE, Op.HOLD}:
            fields.setdefault("medium", card(1))
        return Tap(op=op, terminal=terminal, **fields)

    def buy(self, amount: int, terminal: str = "POS-07", **fields: Any) -> Reply:
        """Purchase."""
        return self.tap(Op.AUTHORIZE, terminal, amount=amount, **fields)

    def hold(self, amount: int, terminal: str = "B-1", **fields: Any) -> Reply:
        """Reserve at the bath meter."""
        return self.tap(Op.HOLD, terminal, amount=amount, **fields)

    def water(self, counter: int, terminal: str = "W-1", **fields: Any) -> Reply:
        """Tap the water machine: hold for the transfer."""
        return self.tap(Op.HOLD, terminal, water=True, card_counter=counter, **fields)

    def of(self, op: Op, reply: Reply, amount: int, terminal: str, **fields: Any) -> Reply:
        """Capture, release, reverse or refund what a reply approved, by its seq."""
        original = Original(seq=reply.records[-1].seq)
        return self.tap(op, terminal, amount=amount, original=original, **fields)

    def top_up(self, amount: int, account: int = 1) -> OfficeReply:
        """Put cash on ONLINE."""
        return self.do([fund(EffectKind.TOP_UP, account, amount)])

    def card_flags(self, flags: MediumFlag, event: Event, medium: int = 1) -> OfficeReply:
        """Report a loss, take it back, freeze or unfreeze."""
        known = self.model.books.media[medium]
        effect = medium_state(known.state, flags, event=event, row=medium)
        return self.perform([replace(effect, expect_status=known.state, expect_flags=known.flags)])

    def account(self, number: int = 1) -> Account:
        """Return the model's account."""
        return self.model.books.accounts[number]

    def used(self, number: int = 1) -> tuple[int, int]:
        """Return (day, meal) used of the present day and meal."""
        books, account = self.model.books, self.account(number)
        return (
            books.day_used(account, books.day_key),
            books.meal_used(account, books.day_key, books.meal_key),
        )


# ---- effects, as the office would send them ----


def fund(kind: EffectKind, account: int, amount: int, **fields: Any) -> Effect:
    """Return a TOP_UP, SUBSIDY or ADJUST."""
    sides = {
        EffectKind.TOP_UP: (Wallet.CASH, Wallet.ONLINE),
        EffectKind.SUBSIDY: (Wallet.SUBSIDY_SOURCE, Wallet.SUBSIDY),
        EffectKind.ADJUST: (Wallet.ADJUSTMENT, Wallet.ONLINE),
    }
    debit, credit = sides[kind]
    fields.setdefault("debit", debit)
    fields.setdefault("credit", credit)
    return Effect(kind=kind, row=account, amount=amount, **fields)


def open_account(number: int, pin: str = PIN) -> Effect:
    """Return the opening of an account whose password is still the initial one."""
    return Effect(kind=EffectKind.ACCOUNT_OPEN, row=number, event=Event.OPEN, pin=pin)


def bind(number: int, account: int, state: MediumState = MediumState.ACTIVE) -> Effect:
    """Return the binding of card `number`."""
    return Effect(
        kind=EffectKind.MEDIUM_BIND,
        row=number,
        link=account,
        event=Event.BIND,
        key=card(number),
        status=state,
    )


def medium_state(
    state: MediumState,
    flags: MediumFlag = NO_MEDIUM_FLAG,
    *,
    row: int = 1,
    event: Event = Event.STATE,
    expires_day: int = 0,
) -> Effect:
    """Return a change of card `row`."""
    return Effect(
        kind=EffectKind.MEDIUM_STATE,
        row=row,
        event=event,
        status=state,
        flags=flags,
        expires_day=expires_day,
        key=card(row),
    )


def merchant(number: int, category: int, status: int = 1) -> Effect:
    """Return a merchant."""
    return Effect(kind=EffectKind.MERCHANT, row=number, category=category, status=status)


def terminal(
    number: int,
    name: str,
    merchant_no: int,
    *,
    flags: int = KEYPAD,
    status: int = 1,
    max_amount: int = 0,
) -> Effect:
    """Return a terminal."""
    return Effect(
        kind=EffectKind.TERMINAL,
        row=number,
        name=name,
        link=merchant_no,
        flags=flags,
        status=status,
        max_amount=max_amount,
    )


def rules(**fields: Any) -> Effect:
    """Return a new rule set: the seed's with some numbers changed."""
    return Effect(kind=EffectKind.RULES, rules=Rules(**fields))


def furnish(rig: Rig) -> None:
    """Build the campus of the acceptance scenarios: A has 200.00, POS-07 is a canteen's, ..."""
    rig.do([open_account(1), open_account(2), open_account(3)])
    rig.do([bind(1, 1), bind(2, 2), bind(3, 3)])
    rig.do([merchant(n, category) for n, category in ((1, 1), (2, 3), (3, 4), (4, 5))])
    rig.do(
        [
            terminal(1, "POS-07", 1),
            terminal(2, "POS-08", 1),
            terminal(3, "W-1", 2, flags=0),
            terminal(4, "B-1", 3),
            terminal(5, "SHOP-1", 4),
        ]
    )
    rig.do([fund(EffectKind.TOP_UP, 1, 20_000)])
    for name in ("POS-07", "POS-08", "W-1", "B-1", "SHOP-1"):
        rig.sign_in(name)
