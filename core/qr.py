"""The dynamic QR of a phone: signed, a minute at most, good for one use.

base64url of version 1 B, account 4 B, medium 4 B, time of issue 4 B (seconds since 1970 UTC),
life 1 B (seconds), nonce 8 B, MAC 16 B: HMAC-SHA256 over all before it under a key of the server's
own. Whoever reads it learns two numbers and nothing about a person.

**Source:** regulation 四.1a (一卡一码一脸).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from typing import Final

VERSION: Final = 1
NONCE_BYTES: Final = 8
LIFE_MAX_S: Final = 60
"""Longest life, seconds."""
TEXT_MAX: Final = 100
"""Characters of any code that is looked at."""

_BODY: Final = struct.Struct(">BIIIB8s")
_MAC_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a dynamic QR says: for which phone, from when, for how many seconds."""

    account: int
    medium: int
    issued_s: int
    life_s: int
    nonce: bytes

    def valid_at(self, time_us: int) -> bool:
        """Tell whether it is good at a time: from its issue on, not at ``issued_s + life_s``."""
        return 0 <= time_us // 1_000_000 - self.issued_s < self.life_s


def write(code: Code, key: bytes) -> str:
    """Return the text of a code, 51 characters.

    Args:
        code: ``life_s`` 1 to ``LIFE_MAX_S``, ``nonce`` of 8 random bytes.
        key: 32 bytes of this server's own.
    """
    body = _BODY.pack(VERSION, code.account, code.medium, code.issued_s, code.life_s, code.nonce)
    return base64.urlsafe_b64encode(body + _mac(key, body)).decode("ascii").rstrip("=")


def read(text: str, key: bytes) -> Code | None:
    """Return what a code says; None: it is not one that this server made."""
    if len(text) > TEXT_MAX:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    body, mac = raw[: _BODY.size], raw[_BODY.size :]
    if len(raw) != _BODY.size + _MAC_BYTES or not hmac.compare_digest(mac, _mac(key, body)):
        return None
    version, account, medium, issued_s, life_s, nonce = _BODY.unpack(body)
    code = Code(account=account, medium=medium, issued_s=issued_s, life_s=life_s, nonce=nonce)
    return code if version == VERSION and write(code, key) == text else None


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_MAC_BYTES]
