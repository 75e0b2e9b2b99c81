"""How fast `campuscard verify` keeps the books: `pytest bench/micro --benchmark-enable`.

A round walks a journal of 20,000 purchases of 1,000 accounts, in blocks of one size.
"""

# ruff: noqa: S101 - a benchmark checks what it measured
from __future__ import annotations

import random
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal

import pytest

from server.offline import layout as at
from server.offline.findings import Difference
from server.offline.verify import StateHash, Walk

_blocks: Any = import_module("ext.blocks")  # the engine's modules have no stubs

PURCHASES: Final = 20_000
ACCOUNTS: Final = 1_000
SEED: Final = 20_261_123
TIME_US: Final = 1_795_000_000_000_000
DAY: Final = (TIME_US // 1_000_000 + 28_800) // 86_400
MUCH: Final = 100_000_000
SHOP: Final = 5


@dataclass(slots=True)
class Journal:
    """Sealed blocks of a campus with one shop; links and balances as the engine would set them."""

    block: int
    sealed: list[bytes] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)
    moved: int = 0
    chain: bytes = bytes(32)
    seq: int = 0
    last: dict[int, int] = field(default_factory=dict)
    """Newest record of each account; of the terminal under -1."""

    def add(self, kind: int, body: bytes = b"", **fields: int) -> None:
        """Append a record; account and terminal chains link themselves."""
        self.seq += 1
        numbers = dict.fromkeys(at.Entry._fields, 0) | {"part": 1, "parts": 1} | fields
        numbers |= {"seq": self.seq, "type": kind}
        account = numbers["account"]
        if account:
            numbers["prev_account_seq"] = self.last.get(account, 0)
            self.last[account] = self.seq
        if kind < at.TOP_UP:
            numbers["prev_terminal_seq"] = self.last.get(-1, 0)
            self.last[-1] = self.seq
        raw = at.RECORD.pack(*numbers.values())
        self.waiting.append(raw[:64] + body + raw[120:] if body else raw)
        if numbers["debit_wallet"]:
            self.moved += numbers["amount"]

    def seal(self, rule_version: int = 1) -> None:
        """Close the block."""
        raw = _blocks.seal(
            b"".join(self.waiting),
            first_seq=self.seq - len(self.waiting) + 1,
            previous=self.chain,
            time_us=TIME_US,
            business_date=DAY,
            rule_version=rule_version,
            debits_fen=self.moved,
        )
        self.chain = raw[-48:-16]
        self.sealed.append(raw)
        self.waiting, self.moved = [], 0


def furnish(journal: Journal) -> None:
    """Write the rules and one shop; open, bind and fill the accounts."""
    rules = (1, MUCH, MUCH, MUCH, MUCH, 1800, 300, 86_400, 1000, 0, 28_800, 3, *[0] * 5, bytes(4))
    journal.add(at.RULES, at.RULES_BODY.pack(*rules), outcome=at.EFFECT)
    flags = at.C_DAY | at.C_SPEND
    journal.add(at.CATEGORY, at.CATEGORY_BODY.pack(SHOP, flags, bytes(54)), outcome=at.EFFECT)
    journal.seal(rule_version=0)
    shop = at.MERCHANT_BODY.pack(SHOP, at.TS_IN_SERVICE, 0, bytes(53))
    journal.add(at.MERCHANT, shop, outcome=at.EFFECT, merchant=1)
    terminal = at.TERMINAL_BODY.pack(b"SHOP-1".ljust(16, b"\0"), 0, at.TS_IN_SERVICE, 0, bytes(34))
    journal.add(at.TERMINAL, terminal, outcome=at.EFFECT, terminal=1, merchant=1)
    for number in range(1, ACCOUNTS + 1):
        key = bytes([1, 4]) + number.to_bytes(4, "big") + bytes(10)
        papers = (bytes(16), bytes(8), 0, MUCH, MUCH, at.AS_NORMAL, 0, 0, 0, 1, 1, 0, bytes(12))
        journal.add(at.ACCOUNT, at.ACCOUNT_BODY.pack(*papers), outcome=at.EFFECT, account=number)
        card = at.MEDIUM_BODY.pack(key, at.MS_ACTIVE, 0, 6, 0, 0, 0, bytes(32))
        journal.add(at.MEDIUM, card, outcome=at.EFFECT, account=number, medium=number)
        journal.add(
            at.TOP_UP, outcome=at.EFFECT, account=number, amount=MUCH, day_key=DAY,
            debit_wallet=16, debit_after=-MUCH * number, credit_wallet=at.ONLINE,
            credit_after=MUCH,
        )  # fmt: skip
    journal.seal()
    journal.add(at.SIGN_IN, outcome=at.APPROVED, terminal=1, merchant=1, batch_no=1, day_key=DAY)
    journal.seal()


def purchases(block: int) -> list[bytes]:
    """Return a journal with PURCHASES purchases in blocks of this size."""
    rng, journal = random.Random(SEED), Journal(block)
    furnish(journal)
    online = dict.fromkeys(range(1, ACCOUNTS + 1), MUCH)
    payable = 0
    for terminal_seq in range(1, PURCHASES + 1):
        account, amount = rng.randrange(1, ACCOUNTS + 1), rng.randrange(50, 4_000)
        online[account] -= amount
        payable += amount
        journal.add(
            at.PURCHASE, outcome=at.APPROVED, flags=at.F_COUNTS_DAY, account=account,
            medium=account, merchant=1, terminal=1, batch_no=1, terminal_seq=terminal_seq,
            fingerprint=terminal_seq, amount=amount, aux=amount, day_key=DAY,
            debit_wallet=at.ONLINE, debit_after=online[account], credit_wallet=at.PAYABLE,
            credit_after=payable, day_used=MUCH - online[account],
        )  # fmt: skip
        if terminal_seq % block == 0 or terminal_seq == PURCHASES:
            journal.seal()
    return journal.sealed


def no_lookup(seq: int) -> at.Entry:
    """Refuse: nothing is undone here."""
    raise Difference(seq, "not looked for")


def walk(sealed: list[bytes], mode: StateHash) -> int:
    """Verify; the state hash is recomputed but, having no engine, not compared."""
    found = Walk(no_lookup, state_hash="off")
    for raw in sealed:
        found.take(raw)
        if mode == "every":
            found.books.weights.state_hash(found.books)
    if mode == "sampled":
        found.books.weights.state_hash(found.books)
    found.end(found.chain.next_seq - 1)
    return found.chain.records


@pytest.mark.parametrize("mode", ["off", "sampled", "every"])
@pytest.mark.parametrize("block", [1_000, 16, 1])
def test_verify(benchmark: Any, block: int, mode: Literal["off", "sampled", "every"]) -> None:
    """Walk; records a second are written to the result's `extra_info`."""
    sealed = purchases(block)
    records = benchmark.pedantic(walk, args=(sealed, mode), rounds=1)
    assert records > PURCHASES
    if benchmark.stats is not None:
        benchmark.extra_info["records_per_second"] = int(records / benchmark.stats.stats.min)
