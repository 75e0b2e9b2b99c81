"""The campus of the peers, the taps on it and their answers: the same rows for all.

What each peer decides is an authorization as in docs/reference/decisions.md, in its order: key,
terminal, merchant, card, account, category, amount, funds, limits, password. Its writes are one
account and one row of the journal, durable before it is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from bench.workload import MERCHANTS, ONLINE_FEN, TERMINALS

NO_LIMIT: Final = 0xFFFFFFFE
SHOP: Final = 5
BATCHES: Final = 60_000
SEQ_MAX: Final = 65_535
PIN_TRIES: Final = 3
UTC_OFFSET_S: Final = 28_800
DAY_US: Final = 86_400 * 1_000_000
AMOUNT_MAX: Final = 100_000_000
MEALS: Final = ((1, 300, 600), (2, 600, 870), (3, 870, 1_260), (4, 1_260, 300))
"""Index, first minute, minute after the last; the fourth crosses midnight."""


@dataclass(frozen=True, slots=True)
class Category:
    """What a merchant's category allows and counts towards."""

    number: int
    spend: bool
    day: bool
    meal: bool
    subsidy: bool


CATEGORIES: Final = (
    Category(1, spend=True, day=True, meal=True, subsidy=True),
    Category(2, spend=True, day=True, meal=False, subsidy=False),
    Category(3, spend=False, day=True, meal=False, subsidy=False),
    Category(4, spend=True, day=True, meal=False, subsidy=False),
    Category(5, spend=True, day=True, meal=False, subsidy=False),
    Category(6, spend=False, day=False, meal=False, subsidy=False),
)


@dataclass(slots=True)
class Account:
    """Money in fen; status 1 normal, 2 suspended, 3 closing, 4 closed; no password: empty."""

    number: int
    online: int = ONLINE_FEN
    subsidy: int = 0
    held: int = 0
    status: int = 1
    day_limit: int = NO_LIMIT
    meal_limit: int = NO_LIMIT
    pin: str = ""


@dataclass(slots=True)
class Medium:
    """A card; state 1 produced, 2 in transit, 3 active, 4 void, 5 returned, 6 unbound."""

    token: int
    account: int
    state: int = 3
    lost: bool = False
    frozen: bool = False
    expires_day: int = 0


@dataclass(slots=True)
class Merchant:
    """Status 1 in service."""

    number: int
    category: int = SHOP
    status: int = 1


@dataclass(slots=True)
class Terminal:
    """Status 1 in service; ``max_amount`` 0: none; ``batch_no`` is the newest issued."""

    number: int
    merchant: int
    status: int = 1
    keypad: bool = True
    max_amount: int = 0
    batch_no: int = BATCHES


@dataclass(slots=True)
class Rows:
    """What a peer is filled with."""

    accounts: list[Account]
    media: list[Medium]
    merchants: list[Merchant]
    terminals: list[Terminal]
    categories: tuple[Category, ...] = field(default=CATEGORIES)


@dataclass(frozen=True, slots=True)
class Tap:
    """One authorization asked for; ``pin`` empty: none given."""

    terminal: int
    batch_no: int
    seq: int
    token: int
    amount: int
    pin: str
    now_us: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The reason by name, ``OK`` when approved; fen approved; whether this is the first answer again."""

    reason: str
    approved: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What a tap may change of an account."""

    online: int
    subsidy: int
    day_used: int
    meal_used: int
    pin_fails: int


class Peer(Protocol):
    """A system that was filled and answers taps."""

    def ask(self, tap: Tap) -> Answer:
        """Decide one tap, durably."""

    def standing(self, account: int) -> Standing:
        """Return an account's row."""


def measured(accounts: int) -> Rows:
    """Return the campus of the measured runs: as ``Campus.populate`` makes ours."""
    return Rows(
        [Account(number) for number in range(1, accounts + 1)],
        [Medium(number, number) for number in range(1, accounts + 1)],
        [Merchant(number) for number in range(1, MERCHANTS + 1)],
        [Terminal(number, (number - 1) % MERCHANTS + 1) for number in range(1, TERMINALS + 1)],
    )
