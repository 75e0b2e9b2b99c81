"""A look at encoded terminal requests without decoding them.

Only for counting calls per terminal: a message written in another order than protobuf's own encoders
write shows nothing here, and is decided all the same.
"""

from __future__ import annotations

from typing import Final

_FIELD_1: Final = 0x0A
_INSIDE: Final = frozenset(
    {
        "/campuscard.v1.TerminalService/GetTransaction",
        "/campuscard.v1.TerminalService/AuthorizeStream",
    }
)
"""Methods whose requests have the terminal_id inside their first message."""


def terminal_of(method: str, message: bytes) -> bytes:
    """Return the terminal_id at the beginning of a request; empty when it is not there.

    Args:
        method: full name.
        message: encoded request.
    """
    inner = first_field(message)
    return first_field(inner) if method in _INSIDE else inner


def first_field(message: bytes) -> bytes:
    """Return the bytes of field 1 when a message begins with it; empty otherwise."""
    if len(message) < 2 or message[0] != _FIELD_1:
        return b""
    length, start = message[1], 2
    if length & 0x80:
        if len(message) < 3 or message[2] & 0x80:
            return b""
        length, start = length & 0x7F | message[2] << 7, 3
    return message[start : start + length]
