"""One-time codes of staff: six digits from a shared secret and the time.

**Source:** RFC 6238 (TOTP: HMAC-SHA-1, 30 s, T0 = 0), RFC 4226 section 5.3 (truncation), and the
key URI format of authenticator apps.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final
from urllib.parse import quote

SECRET_BYTES: Final = 20
STEP_S: Final = 30
DIGITS: Final = 6


def step_at(time_us: int) -> int:
    """Return the step a moment lies in; ``time_us`` in microseconds since 1970 UTC."""
    return time_us // (STEP_S * 1_000_000)


def code_of(secret: bytes, step: int) -> str:
    """Return the six digits of a step."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: bytes, code: str, *, at: int, after: int, around: int) -> int:
    """Return the step a code is of, or 0.

    Args:
        secret: shared with the member's authenticator.
        code: as typed.
        at: the step of now.
        after: the newest step whose code was used: it and all before it are no longer good.
        around: how many steps the two clocks may differ.
    """
    found, typed = 0, code.encode("utf-8", "replace")
    for step in range(max(at - around, after + 1), at + around + 1):
        if hmac.compare_digest(code_of(secret, step).encode("ascii"), typed):
            found = found or step
    return found


def key_uri(secret: bytes, name: str) -> str:
    """Return what an authenticator app reads from a QR code."""
    shown = base64.b32encode(secret).decode("ascii")
    return (
        f"otpauth://totp/campuscard:{quote(name)}?secret={shown}"
        f"&issuer=campuscard&algorithm=SHA1&digits={DIGITS}&period={STEP_S}"
    )
