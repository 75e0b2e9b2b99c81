"""CRC32C and the mixes of the state hash, written again from the format's specification.

Pure Python, so that a fault in the engine's arithmetic cannot hide itself. Whole columns of
equal rows are checked at once: a CRC is affine, so each byte position contributes on its own.

**Source:** docs/reference/journal-format.md, checksums and state hash.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

_POLYNOMIAL: Final = 0x82F6_3B78
_MASK: Final = (1 << 64) - 1
_MASK_128: Final = (1 << 128) - 1
_COLUMNS_FROM: Final = 64
"""Fewer rows than this are quicker one by one."""


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC32C (Castagnoli, reflected, inverted at both ends) of the bytes."""
    crc = 0xFFFF_FFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFF_FFFF


@cache
def _contributions(covered: int) -> tuple[tuple[bytes, bytes, bytes, bytes], ...]:
    """Return, per byte position, what each byte value adds to each byte of the CRC."""
    values = list(_TABLE)
    rows = []
    for _ in range(covered):
        rows.append(
            (
                bytes(value & 0xFF for value in values),
                bytes(value >> 8 & 0xFF for value in values),
                bytes(value >> 16 & 0xFF for value in values),
                bytes(value >> 24 for value in values),
            )
        )
        values = [_TABLE[value & 0xFF] ^ value >> 8 for value in values]
    return tuple(reversed(rows))


def first_bad_row(area: bytes, width: int) -> int:
    """Return the index of the first row whose last four bytes are not the CRC of the rest.

    Args:
        area: rows of equal width, one after another.
        width: bytes a row.

    Returns:
        The index, -1 when every row is right.
    """
    count = len(area) // width
    if count < _COLUMNS_FROM:
        for index in range(count):
            row = area[index * width : (index + 1) * width]
            if crc32c(row[:-4]) != int.from_bytes(row[-4:], "little"):
                return index
        return -1
    computed = _column_crcs(area, width, count)
    wrong = [
        _first_difference(computed[place], area[width - 4 + place :: width]) for place in range(4)
    ]
    found = [index for index in wrong if index >= 0]
    return min(found, default=-1)


def _column_crcs(area: bytes, width: int, count: int) -> list[bytes]:
    """Return the four bytes of every row's CRC as four columns."""
    start = crc32c(bytes(width - 4)).to_bytes(4, "little")
    sums = [int.from_bytes(start[place : place + 1] * count, "little") for place in range(4)]
    for position, tables in enumerate(_contributions(width - 4)):
        column = area[position::width]
        if not column.strip(b"\0"):
            continue  # zeros add nothing
        for place, table in enumerate(tables):
            sums[place] ^= int.from_bytes(column.translate(table), "little")
    return [value.to_bytes(count, "little") for value in sums]


def _first_difference(one: bytes, other: bytes) -> int:
    if one == other:
        return -1
    return next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)


# ---- mixes ----


def _splitmix(count: int) -> tuple[int, ...]:
    """Return the constants: outputs of splitmix64 started at the eight letters `campusca`."""
    state = int.from_bytes(b"campusca", "big")
    found = []
    for _ in range(count):
        state = state + 0x9E37_79B9_7F4A_7C15 & _MASK
        value = state
        value = (value ^ value >> 30) * 0xBF58_476D_1CE4_E5B9 & _MASK
        value = (value ^ value >> 27) * 0x94D0_49BB_1331_11EB & _MASK
        found.append(value ^ value >> 31)
    return tuple(found)


K: Final = _splitmix(16)


def _fmix(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51_AFD7_ED55_8CCD & _MASK
    value = (value ^ value >> 33) * 0xC4CE_B9FE_1A85_EC53 & _MASK
    return value ^ value >> 33


@cache
def _words(size: int) -> struct.Struct:
    return struct.Struct(f"<{size // 8}Q")


def row_mix(table: int, row: int, image: bytes) -> int:
    """Return the 128-bit mix of one row; 0 for a row of zeros.

    Args:
        table: number of the table.
        row: number of the row, 0 for rows that are known by content.
        image: the row's bytes without its stamp.
    """
    size = len(image) + 15 & ~15
    words = _words(size).unpack(image.ljust(size, b"\0"))
    if not any(words):
        return 0
    total = 0
    for i in range(0, size // 8, 2):
        total += (words[i] ^ K[i]) * (words[i + 1] ^ K[i + 1])
    total &= _MASK_128
    name = (table << 32 | row) ^ K[2]
    x = _fmix(total & _MASK ^ name * K[3] & _MASK)
    y = _fmix((total >> 64) + x + len(image) & _MASK)
    low = x + ((y << 32 | y >> 32) & _MASK) & _MASK
    return y << 64 | low


def key_mix(
    terminal: int, batch_no: int, terminal_seq: int, seq_state: int, fingerprint: int
) -> int:
    """Return the 64-bit mix of one idempotency key; 0 for an empty one."""
    if not seq_state | fingerprint:
        return 0
    product = (seq_state ^ K[0]) * (fingerprint ^ K[1])
    high = product >> 64
    name = (terminal << 32 | batch_no) ^ K[2]
    x = product & _MASK ^ (high << 32 | high >> 32) & _MASK
    return _fmix(x ^ (name * K[3] + terminal_seq * K[4]) & _MASK)
