"""Which transaction passwords are too easy to guess.

**Source:** regulation 五.2: no date of birth, telephone number, student number "等易被他人猜测到的数字".
The rules look only at what is at hand: the ID number and the date of birth are never stored, so a
change at a terminal is checked against the account number and the general rules.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.ids import DEFAULT_PASSWORD

if TYPE_CHECKING:
    import datetime as dt

LENGTH: Final = 6
"""Digits of a transaction password: what a terminal's keypad takes."""


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


def weakness(password: str, known: KnownNumbers) -> str:
    """Name the rule a transaction password breaks.

    Args:
        password: six digits.
        known: what is known of the holder at this moment.

    Returns:
        Name of the first rule broken, in the order DEFAULT, REPEATED, SEQUENCE, PATTERN, ACCOUNT_NO,
        PHONE, ID_NUMBER, BIRTH_DATE; empty when it is good.
    """
    rules = (
        ("DEFAULT", password == DEFAULT_PASSWORD),
        ("REPEATED", len(set(password)) == 1),
        ("SEQUENCE", _is_sequence(password)),
        ("PATTERN", password[:2] * 3 == password or password[:3] * 2 == password),
        ("ACCOUNT_NO", password in known.account_no),
        ("PHONE", password in known.phone),
        ("ID_NUMBER", bool(known.id_number) and password == _last_six(known.id_number)),
        ("BIRTH_DATE", known.birth_date is not None and _is_date(password, known.birth_date)),
    )
    return next((name for name, broken in rules if broken), "")


def _is_sequence(password: str) -> bool:
    steps = {int(b) - int(a) for a, b in itertools.pairwise(password)}
    return steps in ({1}, {-1})


def _last_six(id_number: str) -> str:
    return id_number.upper().removesuffix("X")[-LENGTH:]


def _is_date(password: str, date: dt.date) -> bool:
    year, month, day = f"{date.year:04d}", f"{date.month:02d}", f"{date.day:02d}"
    short = year[2:]
    whole = year + month + day
    return password in whole or password in {
        short + month + day,
        month + day + short,
        day + month + short,
        month + year,
    }
