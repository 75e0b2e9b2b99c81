"""Who taps where, for how much: a lunch rush, the same for the same seed.

Merchants are chosen by Zipf's law with exponent 1.1 in the order of the file, holders evenly. Of 100
taps 90 are purchases, 3 are over a limit and need the password, 2 move money to the water purse,
2 are bath meters (hold, then capture), 1 is voided, 1 is sent twice, 1 is a heartbeat or, one time
in ten, a loss report.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from clients.campus import (
    Person,
    TerminalRow,
    read_cards,
    read_merchants,
    read_roster,
    read_terminals,
)
from core.ids import initial_password

ZIPF_EXPONENT: Final = 1.1
TRYOUT: Final = "tryout"  # its terminal is for people who try `campuscard pay`
SALES: Final = frozenset({"CANTEEN", "SHOP", "UTILITY"})


class Tap(StrEnum):
    """What happens at a terminal."""

    PURCHASE = "purchase"
    PIN = "pin"
    WATER = "water"
    BATH = "bath"
    VOID = "void"
    TWICE = "twice"
    HEARTBEAT = "heartbeat"
    LOSS = "loss"


# In thousandths.
MIX: Final = {
    Tap.PURCHASE: 900,
    Tap.PIN: 30,
    Tap.WATER: 20,
    Tap.BATH: 20,
    Tap.VOID: 10,
    Tap.TWICE: 10,
    Tap.HEARTBEAT: 9,
    Tap.LOSS: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Somebody with a card, who knows the initial password."""

    account_no: str
    uid: bytes
    pin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """A merchant's terminals that take part."""

    category: str
    terminal_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campus:
    """Everybody and everything a simulation needs."""

    holders: tuple[Holder, ...]
    sellers: tuple[Seller, ...]

    @property
    def terminal_ids(self) -> list[str]:
        """All terminals that take part."""
        return [terminal for seller in self.sellers for terminal in seller.terminal_ids]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One tap: at ``at_s`` after the start, unless the simulation goes as fast as it can."""

    at_s: float
    tap: Tap
    terminal_id: str
    holder: Holder
    amount_fen: int


def read_campus(directory: Path, *, terminals: int) -> Campus:
    """Read holders and terminals from a directory of campus files.

    Args:
        directory: with roster.csv, staff.csv, cards.csv, merchants.csv, terminals.csv.
        terminals: how many take part, spread over all merchants that sell.
    """
    people: list[Person] = []
    for name in ("roster.csv", "staff.csv"):
        if (directory / name).exists():
            people += read_roster(directory / name).rows
    uids = {card.account_no: card.uid for card in read_cards(directory / "cards.csv").rows}
    holders = tuple(
        Holder(
            account_no=person.account_no,
            uid=uids[person.account_no],
            pin=initial_password(person.id_number),
        )
        for person in people
        if person.account_no in uids
    )
    categories = {
        row.merchant_id: row.category for row in read_merchants(directory / "merchants.csv").rows
    }
    chosen = _spread(
        [
            row
            for row in read_terminals(directory / "terminals.csv").rows
            if categories.get(row.merchant_id) in SALES | {"WATER", "BATH"}
            and row.merchant_id != TRYOUT
        ],
        terminals,
    )
    sellers = tuple(
        Seller(category=category, terminal_ids=tuple(chosen[merchant_id]))
        for merchant_id, category in categories.items()
        if merchant_id in chosen
    )
    return Campus(holders=holders, sellers=sellers)


def _spread(rows: Sequence[TerminalRow], count: int) -> dict[str, list[str]]:
    """Choose ``count`` terminals so that every merchant keeps its share."""
    by_merchant: dict[str, list[str]] = {}
    for row in rows:
        by_merchant.setdefault(row.merchant_id, []).append(row.terminal_id)
    places = sorted(
        (place / len(terminal_ids), order, merchant, terminal_id)
        for order, (merchant, terminal_ids) in enumerate(by_merchant.items())
        for place, terminal_id in enumerate(terminal_ids)
    )
    chosen: dict[str, list[str]] = {}
    for _, _, merchant, terminal_id in places[:count]:
        chosen.setdefault(merchant, []).append(terminal_id)
    return chosen


class Traffic:
    """An endless stream of arrivals."""

    def __init__(self, campus: Campus, *, seed: int, rate: float) -> None:
        """Prepare.

        Args:
            campus: who and where.
            seed: the same seed gives the same arrivals.
            rate: arrivals per second on average (Poisson); 0: all at once, the caller paces.
        """
        self._rng = random.Random(seed)
        self._campus = campus
        self._rate = rate
        self._at_s = 0.0
        self._taps = list(MIX)
        self._tap_weights = list(itertools.accumulate(MIX.values()))
        self._sellers = {
            tap: [seller for seller in campus.sellers if seller.category in categories]
            for tap, categories in (
                (Tap.PURCHASE, SALES),
                (Tap.PIN, {"CANTEEN"}),
                (Tap.WATER, {"WATER"}),
                (Tap.BATH, {"BATH"}),
            )
        }
        self._zipf = {tap: _zipf(len(sellers)) for tap, sellers in self._sellers.items()}

    def __next__(self) -> Arrival:
        rng = self._rng
        if self._rate:
            self._at_s += rng.expovariate(self._rate)
        tap = self._taps[bisect.bisect(self._tap_weights, rng.randrange(self._tap_weights[-1]))]
        if tap in self._sellers and not self._sellers[tap]:
            tap = Tap.PURCHASE  # no such machine takes part
        place = tap if tap in self._sellers else Tap.PURCHASE
        sellers, weights = self._sellers[place], self._zipf[place]
        seller = sellers[bisect.bisect(weights, rng.random() * weights[-1])]
        return Arrival(
            at_s=self._at_s,
            tap=tap,
            terminal_id=rng.choice(seller.terminal_ids),
            holder=rng.choice(self._campus.holders),
            amount_fen=self._amount_fen(tap, seller.category),
        )

    def _amount_fen(self, tap: Tap, category: str) -> int:
        rng = self._rng
        if tap is Tap.PIN:
            return rng.randrange(5_050, 8_000, 10)
        if tap is Tap.BATH:
            return 600
        if category == "CANTEEN":  # breakfast things, meals, a treat
            low, high = rng.choices(((100, 500), (500, 1_200), (1_200, 2_500)), (50, 40, 10))[0]
            return rng.randrange(low, high, 10)
        if category == "UTILITY":
            return rng.choice((500, 1_000, 2_000))
        return rng.randrange(150, 2_000, 10)


def _zipf(count: int) -> list[float]:
    return list(itertools.accumulate(1 / rank**ZIPF_EXPONENT for rank in range(1, count + 1)))
