"""What the rules need from outside, as protocols. The server implements them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.calendar import MealPeriod
    from core.facts import AccountFacts, MediumFacts, MerchantFacts, TerminalFacts
    from core.rows import RulesBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What identifies a holder. Sealed wherever it is kept; never in a repr.

    Attributes:
        name: as printed on the card.
        class_name: of a student; a department's name for staff.
        phone: digits; empty where not known.
        id_hash: ``core.passwords.id_hash`` of the ID number; empty where not known.
        weak_hashes: ``core.passwords.keyed_hash`` of each number a password must not be.
        query_tag: ``core.passwords.query_tag`` of the initial query password; empty where none.
    """

    name: str = field(repr=False)
    class_name: str = field(repr=False)
    phone: str = field(default="", repr=False)
    id_hash: bytes = field(default=b"", repr=False)
    weak_hashes: tuple[bytes, ...] = field(default=(), repr=False)
    query_tag: bytes = field(default=b"", repr=False)


class Clock(Protocol):
    """The one clock: the machine's, or the test's file."""

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC."""
        ...


class HolderKeys(Protocol):
    """A key per holder. Destroying it makes the person unreadable everywhere."""

    def seal(self, number: int, person: Person) -> bytes:
        """Seal a person under the key of holder ``number``, making the key when it is new."""
        ...

    def unseal(self, number: int, sealed: bytes) -> Person | None:
        """Return the person, or None when the key is destroyed or not the right one."""
        ...

    def seal_file(self, number: int, content: bytes) -> bytes:
        """Seal a file of holder ``number``; the same content gives the same bytes."""
        ...

    def unseal_file(self, number: int, sealed: bytes) -> bytes | None:
        """Return a file's content, or None when the key is destroyed or the bytes are damaged."""
        ...

    def derive(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for one purpose of the server itself."""
        ...

    def destroy(self, number: int) -> None:
        """Destroy the key of holder ``number`` for ever; twice does no harm."""
        ...

    def has_key(self, number: int) -> bool:
        """Tell whether the key of holder ``number`` exists and was not destroyed."""
        ...


class Papers(Protocol):
    """The registry as acts read it: exactly as of the newest act before."""

    def account(self, account_no: str) -> AccountFacts | None:
        """Find an account by its number as printed."""
        ...

    def bound_medium(self, medium_type: int, token: bytes) -> MediumFacts | None:
        """Find the medium bound under a token now."""
        ...

    def media_of(self, account_number: int) -> tuple[MediumFacts, ...]:
        """List an account's media, newest first, at most 100."""
        ...

    def merchant(self, merchant_id: str) -> MerchantFacts | None:
        """Find a merchant."""
        ...

    def terminal(self, terminal_id: str) -> TerminalFacts | None:
        """Find a terminal."""
        ...

    def credited_seq(self, source: int, channel_txn_id: str) -> int:
        """Return where a channel transaction was credited; 0: nowhere."""
        ...

    def rules(self) -> RulesBody:
        """Return the limit rules in force."""
        ...

    def meals(self) -> tuple[MealPeriod, ...]:
        """Return the meal periods in force."""
        ...
