"""Photos of holders: names, kind by content, bounds. Pixels are looked at elsewhere.

A photo's file is named after its holder, name and number together: 张三200571020316.jpg. Where the
name ends and the number begins cannot be told from the text when a name has Latin letters or
digits, so ``candidates`` gives every way of reading it.

**Source:** regulation 三.1(3): "JPG, 不超过 2M, 不超过 800×800, 近期正面免冠, 姓名+学号".
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from core.refusals import Fault

NAME_MAX: Final = 120
"""Characters of a file name at most."""
SCANS_MAX: Final = 64
"""Scans of a JPEG at most; progressive ones have about ten, and each costs a pass over all pixels."""

_JPEG: Final = b"\xff\xd8\xff"
_SCAN: Final = b"\xff\xda"
_TYPES: Final = (".jpg", ".jpeg")
_NUMBER_TAIL: Final = re.compile(r"[0-9A-Za-z]{1,20}\Z", re.ASCII)
_FORBIDDEN: Final = frozenset('/\\:*?"<>|')


def stem_of(file_name: str) -> str:
    """Return what stands before ``.jpg`` or ``.jpeg``, in NFC; empty when it is no such name.

    Folders, control characters and what file systems refuse make it no such name.
    """
    name = unicodedata.normalize("NFC", file_name)
    if len(name) > NAME_MAX or not name.isprintable() or _FORBIDDEN.intersection(name):
        return ""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and f".{ending.lower()}" in _TYPES else ""


def stem_for(name: str, account_no: str) -> str:
    """Return the stem a holder's photo must have: name without spaces, then the number."""
    return "".join(unicodedata.normalize("NFC", name).split()) + account_no


def candidates(stem: str) -> tuple[str, ...]:
    """List every account number that a stem may end with, longest first.

    Args:
        stem: from ``stem_of``.
    """
    tail = _NUMBER_TAIL.search(stem)
    if tail is None:
        return ()
    longest = tail.group()
    return tuple(
        longest[start:] for start in range(len(longest)) if len(longest) - start < len(stem)
    )


def check_content(content: bytes, *, bytes_max: int) -> Fault | None:
    """Check a file's size and kind by its content.

    Args:
        content: the file, or its first ``bytes_max + 1`` bytes.
        bytes_max: parameter ``photo_bytes_max``.

    Returns:
        PHOTO_TOO_LARGE, PHOTO_NOT_JPEG, PHOTO_UNREADABLE, or None.
    """
    if len(content) > bytes_max:
        return Fault("PHOTO_TOO_LARGE", "content", {"allowedBytes": bytes_max})
    if not content.startswith(_JPEG):
        return Fault("PHOTO_NOT_JPEG", "content")
    if content.count(_SCAN) > SCANS_MAX:
        return Fault("PHOTO_UNREADABLE", "content", {"detail": "too many scans"})
    return None


def check_sides(width: int, height: int, *, side_max: int) -> Fault | None:
    """Check a photo's sides, upright.

    Args:
        width: pixels.
        height: pixels.
        side_max: parameter ``photo_side_max_px``; it bounds both.
    """
    if 1 <= width <= side_max and 1 <= height <= side_max:
        return None
    values: dict[str, str | int] = {"width": width, "height": height, "side": side_max}
    return Fault("PHOTO_SIDES", "content", values)
