"""One page of a list: where it begins, how many items it holds, and where the next one begins.

**Source:** AIP-158.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.page_tokens import PageTokens

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list.

    Attributes:
        size: items on it at most.
        place: key of the last item on the page before; empty on the first page.
    """

    tokens: PageTokens
    query: bytes
    size: int
    place: str

    @property
    def number(self) -> int:
        """The place where keys are numbers; 0 on the first page."""
        return int(self.place or 0)

    @property
    def limit(self) -> int:
        """Items to read: one more than the page holds says whether there is another page."""
        return self.size + 1

    def token(self, place: object) -> str:
        """Return the token of the page after an item's key; empty for an empty key."""
        text = str(place)
        return self.tokens.make(self.query, text) if text else ""

    def cut(
        self, found: Sequence[Item], key: Callable[[Item], object]
    ) -> tuple[Sequence[Item], str]:
        """Return the page's items and the token of the next page; empty: this is the last.

        Args:
            found: at most ``limit`` items from ``place`` on.
            key: an item's key in the order of the list.
        """
        items = found[: self.size]
        return items, self.token(key(items[-1])) if len(found) > self.size else ""
