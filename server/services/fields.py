"""Reading the fields of requests: each is of its form, or FIELD_INVALID names it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from core import ids
from core.money import AMOUNT_MAX, in_amount_range
from core.refusals import invalid
from server.page_tokens import PAGE_DEFAULT, PAGE_MAX

if TYPE_CHECKING:
    from enum import IntEnum

TOKEN_MAX: Final = 64
"""Bytes of a medium's token at most."""
DAY_MAX: Final = 65_535
"""Largest local day a record can hold, days since 1970-01-01."""
SEQ_MAX: Final = 2**62
"""Largest position in the journal that is looked for: the one after it is still a number of SQLite."""
REASON_MAX: Final = 200
"""Characters of a reason at most."""
_UID_BYTES: Final = (4, 14)
_RFID_CARD: Final = 1
_MEDIUM_TYPES: Final = (1, 4)

_Enum = TypeVar("_Enum", bound="IntEnum")


class MediumFields(Protocol):
    """The proto's Medium."""

    @property
    def type(self) -> int:
        """MediumType."""

    @property
    def token(self) -> bytes:
        """UID or opaque token."""


def request_id(text: str) -> bytes:
    """Read a request_id."""
    value = ids.parse_request_id(text)
    if value is None:
        raise invalid("request_id", "a UUID of version 7")
    return value


def account_no(text: str) -> str:
    """Read an account number."""
    if not ids.is_account_no(text):
        raise invalid("account_no", "1 to 20 ASCII letters and digits")
    return text


def short_name(field: str, text: str) -> str:
    """Read a terminal_id or merchant_id."""
    if not ids.is_short_name(text):
        raise invalid(field, "1 to 16 ASCII letters, digits, '-' and '_'")
    return text


def text(field: str, value: str, *, longest: int, shortest: int = 0) -> str:
    """Read a text for people: no control characters, nothing but white space at its ends.

    Args:
        field: name as in the proto.
        value: as sent.
        longest: characters at most.
        shortest: characters at least.
    """
    if not shortest <= len(value) <= longest:
        raise invalid(field, f"{shortest} to {longest} characters")
    if value != value.strip() or any(not char.isprintable() for char in value):
        raise invalid(field, "printable, without white space at its ends")
    return value


def reason(value: str, *, needed: bool = False) -> str:
    """Read why a person does something."""
    return text("reason", value, shortest=1 if needed else 0, longest=REASON_MAX)


def date(field: str, value: str) -> dt.date:
    """Read a day written as YYYY-MM-DD."""
    try:
        day = dt.date.fromisoformat(value)
    except ValueError:
        raise invalid(field, "a day as YYYY-MM-DD") from None
    if day.isoformat() != value:
        raise invalid(field, "a day as YYYY-MM-DD")
    return day


def uid(field: str, value: bytes) -> bytes:
    """Read a card's UID."""
    least, largest = _UID_BYTES
    if not least <= len(value) <= largest:
        raise invalid(field, f"{least} to {largest} bytes")
    return value


def receipt_no(value: str) -> str:
    """Read the number of a receipt."""
    if not 1 <= len(value) <= 32 or not value.isascii() or not value.isprintable() or " " in value:
        raise invalid("receipt_no", "1 to 32 printable ASCII characters without spaces")
    return value


def channel_txn_id(value: str) -> str:
    """Read the transaction id of a channel."""
    if not 1 <= len(value) <= 64 or not value.isascii() or not value.isprintable() or " " in value:
        raise invalid("channel_txn_id", "1 to 64 printable ASCII characters without spaces")
    return value


def amount(field: str, fen: int) -> int:
    """Read the amount of a transaction."""
    if not in_amount_range(fen):
        raise invalid(field, f"1 to {AMOUNT_MAX} fen")
    return fen


def bounded(field: str, value: int, *, largest: int) -> int:
    """Read a number from 0 to ``largest``."""
    if not 0 <= value <= largest:
        raise invalid(field, f"0 to {largest}")
    return value


def seq(field: str, value: int) -> int:
    """Read a position in the journal that must be given; what was made there has it for a number."""
    if not 1 <= value <= SEQ_MAX:
        raise invalid(field, f"1 to {SEQ_MAX}")
    return value


def id_number(value: str) -> str:
    """Read an ID number: 18 characters must end in their check character."""
    if len(value) > 32:
        raise invalid("id_number", "at most 32 characters")
    if ids.is_resident_id(value.strip()) and not ids.has_valid_check(value.strip()):
        raise invalid("id_number", "the check character does not fit")
    return value


def medium(field: str, value: MediumFields) -> tuple[int, bytes]:
    """Read what was presented: its type and token."""
    if not _MEDIUM_TYPES[0] <= value.type <= _MEDIUM_TYPES[1]:
        raise invalid(f"{field}.type", "a known kind of medium")
    least, largest = _UID_BYTES if value.type == _RFID_CARD else (1, TOKEN_MAX)
    if not least <= len(value.token) <= largest:
        raise invalid(f"{field}.token", f"{least} to {largest} bytes")
    return value.type, value.token


def choice(field: str, value: int, among: type[_Enum]) -> _Enum:
    """Read an enum that must be set."""
    if value == 0 or value not in {int(member) for member in among}:
        raise invalid(field, "a known value")
    return among(value)


def optional_choice(field: str, value: int, among: type[_Enum]) -> _Enum | None:
    """Read an enum whose zero means nothing was chosen."""
    return None if value == 0 else choice(field, value, among)


def page_size(value: int) -> int:
    """Read a page size; 0 is the default."""
    if not 0 <= value <= PAGE_MAX:
        raise invalid("page_size", f"0 to {PAGE_MAX}")
    return value or PAGE_DEFAULT
