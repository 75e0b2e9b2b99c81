"""That peers decide alike: random taps on a small campus where every check fails for somebody.

A run compares each peer with SQLite's; ``tests/integration/test_peers.py`` compares that one, and the
others where they are installed, with the reference model that the engine is held to.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.peers import campus
from bench.peers.campus import DAY_US, Peer, Rows, Tap
from bench.workload import SEED

START_US: Final = 20_000 * DAY_US + 3_600 * 1_000_000
_STEP_US: Final = 7 * 60 * 1_000_000
_PIN: Final = "135790"
_BATCHES: Final = 3


def small() -> Rows:
    """Return a campus where every check can fail."""
    accounts, media = [], []
    statuses = [1] * 8 + [2, 3, 4]
    for number in range(1, 31):
        account = campus.Account(
            number,
            online=-50 if number % 13 == 0 else 4_000 * number,
            subsidy=900 if number % 3 == 0 else 0,
            held=700 if number % 7 == 0 else 0,
            status=statuses[number % len(statuses)],
            day_limit=6_000,
            meal_limit=2_500,
            pin="" if number % 5 == 0 else _PIN,
        )
        accounts.append(account)
        card = campus.Medium(
            number,
            number,
            state=(3, 3, 3, 3, 3, 3, 1, 2, 4, 5, 6)[number % 11],
            lost=number % 17 == 0,
            frozen=number % 16 == 0,
            expires_day=20_003 if number % 4 == 0 else 0,
        )
        # Half of the accounts have a card that works, whatever the first is like.
        media += [card, campus.Medium(100 + number, number)] if number % 2 else [card]
    merchants = [
        campus.Merchant(number, category=(number - 1) % 6 + 1, status=2 if number == 7 else 1)
        for number in range(1, 8)
    ]
    terminals = [
        campus.Terminal(
            number,
            number if number <= 7 else 1,
            status=2 if number == 8 else 1,
            keypad=number != 9,
            max_amount=1_000 if number == 10 else 0,
            batch_no=_BATCHES,
        )
        for number in range(1, 11)
    ]
    return Rows(accounts, media, merchants, terminals)


def taps(count: int) -> Iterator[Tap]:
    """Make taps over some days, some sent twice, some with a password, some with what nobody has."""
    rng = random.Random(SEED)
    sent: list[Tap] = []
    for at in range(count):
        now_us = START_US + at * _STEP_US
        pin = rng.choice(["", "", _PIN, "000000"])
        if sent and rng.random() < 0.2:
            old = rng.choice(sent[-20:])
            amount = old.amount + (rng.random() < 0.2)
            yield Tap(old.terminal, old.batch_no, old.seq, old.token, amount, pin, now_us)
            continue
        tap = Tap(
            rng.choice([*[1] * 6, *[5] * 4, *range(1, 12)]),
            rng.choice([_BATCHES, _BATCHES, _BATCHES - 1, _BATCHES + 1]),
            at + 1,
            rng.choice([rng.randrange(1, 33), rng.randrange(101, 132)]),
            rng.choice([0, 1, 250, 800, 1_200, 2_600, 2_600, 5_000, 7_000, 150_000, 100_000_001]),
            pin,
            now_us,
        )
        sent.append(tap)
        yield tap


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a comparison saw: how often each reason came."""

    reasons: dict[str, int]
    replayed: int


def compare(peer: Peer, reference: Peer, rows: Rows, *, count: int) -> Agreed:
    """Send the same taps to two that were filled with ``rows``.

    Raises:
        RuntimeError: they differ.
    """
    reasons, replayed = dict[str, int](), 0
    for tap in taps(count):
        expected, found = reference.ask(tap), peer.ask(tap)
        if expected != found:
            raise RuntimeError(f"{tap}: {found}, where {expected} is right")
        reasons[found.reason] = reasons.get(found.reason, 0) + 1
        replayed += found.replayed
    for account in rows.accounts:
        stands, is_found = reference.standing(account.number), peer.standing(account.number)
        if stands != is_found:
            raise RuntimeError(f"account {account.number}: {is_found}, where {stands} is right")
    return Agreed(reasons, replayed)
