"""Amounts: whole fen, and the yuan people read and type.

**Source:** docs/adr/0002-integer-fen.md; regulation 四.3 (amounts in yuan), 1 yuan = 100 fen.
"""

from __future__ import annotations

import re
from typing import Final, NewType

Fen = NewType("Fen", int)

AMOUNT_MAX: Final = Fen(100_000_000)
"""Largest amount of one transaction, fen: 1,000,000.00 yuan (``CC_AMOUNT_MAX``)."""

_YUAN: Final = re.compile(r"(?P<sign>-?)(?P<yuan>[0-9]{1,14})(?:\.(?P<part>[0-9]{1,2}))?", re.ASCII)


def parse_yuan(text: str) -> Fen:
    """Read an amount in yuan as people type it: ``12``, ``12.5``, ``12.50``, ``-3.00``.

    Args:
        text: digits with at most two decimals; no separators, no currency sign.

    Raises:
        ValueError: anything else, so that nothing is rounded in silence.
    """
    match = _YUAN.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount in yuan with at most two decimals: {text!r}")
    fen = int(match["yuan"]) * 100 + int((match["part"] or "").ljust(2, "0"))
    return Fen(-fen if match["sign"] else fen)


def format_yuan(fen: int) -> str:
    """Write fen as yuan with two decimals: ``1250`` is ``12.50``, ``-5`` is ``-0.05``."""
    yuan, part = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan}.{part:02d}"


def in_amount_range(fen: int) -> bool:
    """Tell whether an amount may be one transaction's: 1 fen to ``AMOUNT_MAX``."""
    return 1 <= fen <= AMOUNT_MAX
