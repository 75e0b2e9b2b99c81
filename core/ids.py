"""Names of things: account numbers, terminals, ID numbers, request ids.

**Source:** regulation 三.4(1) (account = student or staff number), 四.3b (initial password from the
ID number), GB 11643-1999 with ISO 7064 MOD 11-2 (check character), RFC 9562 (UUID version 7).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from enum import StrEnum
from typing import Final, NewType

AccountNo = NewType("AccountNo", str)
TerminalId = NewType("TerminalId", str)
MerchantId = NewType("MerchantId", str)

ACCOUNT_NO_MAX: Final = 20
"""Characters of an account number at most."""

DEFAULT_PASSWORD: Final = "888888"  # noqa: S105 - published by the regulation (四.3b)
"""Initial transaction password where no ID number gives one."""

_ACCOUNT_NO: Final = re.compile(r"[0-9A-Za-z]{1,20}", re.ASCII)
_NAME_16: Final = re.compile(r"[0-9A-Za-z_-]{1,16}", re.ASCII)
_ID_18: Final = re.compile(r"[0-9]{17}[0-9Xx]", re.ASCII)
_ID_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS: Final = "10X98765432"
_UUID7_VERSION: Final = 7


class InitialPassword(StrEnum):
    """How an ID number that ends in X becomes six digits."""

    SKIP = "SKIP"
    """Drop the letter, take the last six digits before it."""
    ZERO = "ZERO"
    """Read the letter as 0."""
    FIXED = "FIXED"
    """Never use the ID number: 888888 for everybody."""


def is_account_no(text: str) -> bool:
    """Tell whether a text may be an account number: 1 to 20 ASCII letters and digits.

    It is a string and stays one: leading zeros belong to it.
    """
    return _ACCOUNT_NO.fullmatch(text) is not None


def is_short_name(text: str) -> bool:
    """Tell whether a text may name a terminal or merchant: 1 to 16 of ``[0-9A-Za-z_-]``."""
    return _NAME_16.fullmatch(text) is not None


def is_resident_id(text: str) -> bool:
    """Tell whether a text has the shape of a resident ID number of 18 characters."""
    return _ID_18.fullmatch(text) is not None


def check_character(first_17: str) -> str:
    """Return the check character of a resident ID number, ``0`` to ``9`` or ``X``.

    Args:
        first_17: the 17 digits before it.
    """
    if len(first_17) != len(_ID_WEIGHTS) or not first_17.isascii() or not first_17.isdigit():
        raise ValueError("17 digits are needed")
    total = sum(int(digit) * weight for digit, weight in zip(first_17, _ID_WEIGHTS, strict=True))
    return _ID_CHECKS[total % 11]


def has_valid_check(id_number: str) -> bool:
    """Tell whether a resident ID number of 18 characters ends in its check character."""
    return is_resident_id(id_number) and check_character(id_number[:17]) == id_number[17].upper()


def initial_password(id_number: str, rule: InitialPassword = InitialPassword.SKIP) -> str:
    """Derive the initial transaction password; the ID number is then to be dropped.

    Resident ID numbers of 18 and 15 characters give their last six digits; every other document,
    and an empty text, gives 888888.

    Args:
        id_number: as typed; its check character is not looked at here.
        rule: what becomes of a final X.

    Returns:
        Six digits.
    """
    text = id_number.strip().upper()
    old_15 = len(text) == 15 and text.isascii() and text.isdigit()
    if rule is InitialPassword.FIXED or not (is_resident_id(text) or old_15):
        return DEFAULT_PASSWORD
    digits = text.removesuffix("X") + (
        "0" if text[-1] == "X" and rule is InitialPassword.ZERO else ""
    )
    return digits[-6:]


def parse_request_id(text: str) -> bytes | None:
    """Read a request id: a UUID of version 7 in its usual form of 36 characters.

    Returns:
        Its 16 bytes, or None when it is not one.
    """
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    if str(value) != text.lower() or value.version != _UUID7_VERSION:
        return None
    return value.bytes


def request_time_ms(request_id: bytes) -> int:
    """Return the time inside a request id, milliseconds since 1970 UTC by its maker's clock."""
    return int.from_bytes(request_id[:6], "big")


def part_request_id(request_id: bytes, part: int) -> bytes:
    """Return the id of one part of a request that is written in several acts; part 0 has its own.

    Args:
        request_id: 16 bytes.
        part: from 0.
    """
    return derived_request_id(request_id, part.to_bytes(4, "big")) if part else request_id


def derived_request_id(request_id: bytes, body: bytes) -> bytes:
    """Return the id of one act among those a request is made of: the same for the same work.

    Args:
        request_id: 16 bytes.
        body: what the act is about.
    """
    digest = hashlib.sha256(request_id + body).digest()
    text = make_request_id(request_time_ms(request_id), digest[:10])
    return uuid.UUID(text).bytes


def make_request_id(time_ms: int, random: bytes) -> str:
    """Make a UUID of version 7.

    Args:
        time_ms: milliseconds since 1970 UTC, below 2**48.
        random: ten random bytes.
    """
    if len(random) != 10:
        raise ValueError("ten random bytes are needed")
    raw = bytearray(time_ms.to_bytes(6, "big") + random)
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(raw)))
