"""The state hash, recomputed from our own rows when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server.offline import layout as at
from server.offline.checksums import row_mix
from server.offline.rows import ledger_image, request_image, undo_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.offline.books import Books

_MASK: Final = (1 << 128) - 1


class Weights:
    """A sum of mixes, and which rows changed since it was last brought up to date."""

    __slots__ = (
        "_known", "_sum", "accounts", "categories", "cold", "holds", "ledger", "media",
        "merchants", "mixes", "requests", "rules", "scheduled", "terminals", "undos",
    )  # fmt: skip

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], int] = {}
        self._sum = 0
        self.mixes = 0
        self.accounts: set[int] = set()
        self.cold: set[int] = set()
        self.media: set[int] = set()
        self.merchants: set[int] = set()
        self.terminals: set[int] = set()
        self.holds: set[int] = set()
        self.undos: set[int] = set()
        self.scheduled: set[int] = set()
        self.ledger: set[int] = set()
        self.rules: set[int] = set()
        self.categories: set[int] = set()
        self.requests: set[int] = set()

    def state_hash(self, books: Books) -> int:
        """Return the 128-bit state hash; only rows touched since the last call are mixed."""
        for table, row, name, image in self._touched(books):
            mix = row_mix(table, row, image) if image else 0
            self.mixes += 1
            place = (table, name)
            self._sum += mix - self._known.get(place, 0)
            if mix:
                self._known[place] = mix
            else:
                self._known.pop(place, None)
        self._sum &= _MASK
        return self._sum

    def _touched(self, books: Books) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield (table, row in the mix, our name for the row, its bytes), and forget them."""
        for n in take(self.accounts):
            yield at.T_ACCOUNT, n, n, books.accounts[n].image()
        for n in take(self.cold):
            yield at.T_COLD, n, n, books.accounts[n].cold_image()
        for n in take(self.media):
            yield at.T_MEDIUM, n, n, books.media[n].image()
        for n in take(self.merchants):
            yield at.T_MERCHANT, n, n, books.merchants[n].image()
        for n in take(self.terminals):
            yield at.T_TERMINAL, n, n, books.terminals[n].image()
        for n in take(self.ledger):
            yield at.T_LEDGER, n, n, ledger_image(books.ledger[n])
        # Known by content: their place in the table is chance.
        for n in take(self.holds):
            hold = books.holds.get(n)
            yield at.T_HOLD, 0, n, hold.image() if hold else b""
        for n in take(self.undos):
            yield at.T_UNDO, 0, n, undo_image(n, books.undos[n])
        for n in take(self.scheduled):
            waits = books.scheduled.get(n)
            yield at.T_SCHEDULED, 0, n, waits.image() if waits else b""
        for n in take(self.rules):
            yield at.T_RULES, n, n, (books.next_rules if n == 1 else books.next_meals).body
        for n in take(self.categories):
            yield at.T_CATEGORY, n, n, books.categories[n].to_bytes(4, "little")
        for n in take(self.requests):
            yield at.T_REQUEST, n, n, request_image(*books.requests[n])


def take(rows: set[int]) -> list[int]:
    """Return the numbers and empty the set."""
    found = list(rows)
    rows.clear()
    return found
