"""Which passwords are too easy to guess, and what is kept so that this can be told later.

**Source:** regulation 五.2b: no date of birth, telephone number, student number "等易被他人猜测到的数字".
The ID number and the date of birth are never stored: at the import the six-digit numbers in them
are hashed under the server's key, and a new password is looked for among these hashes.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.ids import DEFAULT_PASSWORD

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

LENGTH: Final = 6
"""Digits of a transaction password: what a terminal's keypad takes."""
HASH_BYTES: Final = 8
"""Bytes of a forbidden number's hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNumbers:
    """Numbers of the holder that the password must not be taken from; empty where not known."""

    account_no: str = ""
    phone: str = ""
    id_number: str = ""
    birth_date: dt.date | None = None


def is_well_formed(password: str) -> bool:
    """Tell whether a text is six ASCII digits; full-width digits are not."""
    return len(password) == LENGTH and password.isascii() and password.isdigit()


def weakness(password: str, known: KnownNumbers, *, is_personal: Callable[[str], bool]) -> str:
    """Name the rule of 五.2b a transaction password breaks.

    Args:
        password: six digits.
        known: what can be read of the holder at this moment.
        is_personal: tells whether six digits are among those hashed at the import.

    Returns:
        Name of the first rule broken, in the order DEFAULT, REPEATED, SEQUENCE, PATTERN, ACCOUNT_NO,
        PHONE, PERSONAL; empty when it is good.

    **Source:** regulation 五.2b.
    """
    rules = (
        ("DEFAULT", password == DEFAULT_PASSWORD),
        ("REPEATED", len(set(password)) == 1),
        ("SEQUENCE", _is_sequence(password)),
        ("PATTERN", password[:2] * 3 == password or password[:3] * 2 == password),
        ("ACCOUNT_NO", password in _windows(known.account_no)),
        ("PHONE", password in _windows(known.phone)),
        ("PERSONAL", is_personal(password)),
    )
    return next((name for name, broken in rules if broken), "")


def query_weakness(
    password: str, known: KnownNumbers, *, is_personal: Callable[[str], bool]
) -> str:
    """Name the rule of 五.2b a query password breaks.

    Of digits alone it is weak when all its six-digit windows are: a whole birthday, telephone
    number or sequence. Otherwise it is weak as one repeated character or the account number.

    Args:
        password: 6 characters at least.
        known: as for ``weakness``.
        is_personal: as for ``weakness``.

    Returns:
        As ``weakness``: of digits alone, the rule of the first window.

    **Source:** regulation 四.4, 五.2b.
    """
    if password.isascii() and password.isdigit():
        windows = [password[i : i + LENGTH] for i in range(len(password) - LENGTH + 1)]
        broken = [weakness(window, known, is_personal=is_personal) for window in windows]
        return broken[0] if broken and all(broken) else ""
    if len(set(password)) == 1:
        return "REPEATED"
    return "ACCOUNT_NO" if password.casefold() == known.account_no.casefold() else ""


def forbidden_numbers(known: KnownNumbers) -> set[str]:
    """Return every six-digit number that a holder's own numbers give away.

    Windows of the account number and the telephone number, endings of the ID number, ways of
    writing the date of birth. What is weak for everybody is not among them; see ``weakness``.

    **Source:** regulation 五.2b.
    """
    return (
        _windows(known.account_no)
        | _windows(known.phone)
        | _id_endings(known.id_number)
        | _date_numbers(known.birth_date)
    )


def keyed_hash(key: bytes, account_no: str, text: str) -> bytes:
    """Return what is kept of a forbidden number: 8 bytes, of use to nobody without the key.

    Args:
        key: 32 bytes, the server's own for passwords.
        account_no: of the holder; the same number has another hash for everybody else.
        text: six digits.
    """
    return _mac(key, b"number", account_no, text, size=HASH_BYTES)


def query_tag(key: bytes, account_no: str, password: str) -> bytes:
    """Return what an initial query password is checked by: 16 bytes.

    A keyed MAC costs a microsecond where a slow hash would make an import of 50,000 take an hour;
    the first change replaces it by the slow hash.

    Args:
        key: 32 bytes, the server's own for passwords.
        account_no: of the holder.
        password: the initial query password.

    **Source:** regulation 四.3a.
    """
    return _mac(key, b"query", account_no, password, size=16)


def id_hash(key: bytes, id_number: str) -> bytes:
    """Return what tells that two holders gave the same ID number: 16 bytes.

    Args:
        key: 32 bytes, the server's own for passwords.
        id_number: as checked, upper case.
    """
    return _mac(key, b"id", "", id_number, size=16)


def _mac(key: bytes, purpose: bytes, account_no: str, text: str, *, size: int) -> bytes:
    body = f"{account_no}\0{text}".encode()
    return hashlib.blake2b(body, key=key, digest_size=size, person=purpose).digest()


def _windows(text: str) -> set[str]:
    digits = "".join(char for char in text if "0" <= char <= "9")
    return {digits[i : i + LENGTH] for i in range(len(digits) - LENGTH + 1)}


def _is_sequence(password: str) -> bool:
    steps = {int(b) - int(a) for a, b in itertools.pairwise(password)}
    return steps in ({1}, {-1})


def _id_endings(id_number: str) -> set[str]:
    """Both readings of a final X: dropped, and as 0."""
    text = id_number.strip().upper()
    endings = {text.removesuffix("X")[-LENGTH:], text.replace("X", "0")[-LENGTH:]}
    return {ending for ending in endings if is_well_formed(ending)}


def _date_numbers(date: dt.date | None) -> set[str]:
    if date is None:
        return set()
    year, month, day = f"{date.year:04d}", f"{date.month:02d}", f"{date.day:02d}"
    short = year[2:]
    written = {short + month + day, month + day + short, day + month + short, month + year}
    return written | _windows(year + month + day)
