"""The text of a clearance certificate: one line of ASCII, short enough for a small QR code.

``CCC1.ACCOUNT.NUMBER.SECONDS.SIGNATURE``: whose, which certificate, when it was issued (seconds since
1970 UTC), and the Ed25519 signature over everything before the last dot, base64url without padding.
It says that this account was cleared at that time, and nothing about the person.

**Source:** regulation 三.5(3); RFC 8032 (Ed25519); RFC 4648 section 5 (base64url).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

SIGNATURE_BYTES: Final = 64
TEXT_MAX: Final = 200
"""Characters of a certificate at most."""

_VERSION: Final = "CCC1"
_TEXT: Final = re.compile(
    r"CCC1\.(?P<account>[0-9A-Za-z]{1,20})\.(?P<number>\d{1,10})\.(?P<seconds>\d{1,12})"
    r"\.(?P<signature>[0-9A-Za-z_-]{86})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says. It is worth what its signature is."""

    account_no: str
    certificate_no: int
    issued_s: int
    signed: bytes
    signature: bytes


def unsigned(account_no: str, certificate_no: int, issued_s: int) -> str:
    """Return what is signed.

    Args:
        account_no: 1 to 20 ASCII letters and digits.
        certificate_no: its number.
        issued_s: seconds since 1970 UTC.
    """
    return f"{_VERSION}.{account_no}.{certificate_no}.{issued_s}"


def signed(text: str, signature: bytes) -> str:
    """Return the certificate of its unsigned text and signature."""
    return f"{text}.{base64.urlsafe_b64encode(signature).decode('ascii').rstrip('=')}"


def parse(text: str) -> Certificate:
    """Read a certificate; its signature is not looked at.

    Raises:
        ValueError: it is none.
    """
    match = _TEXT.fullmatch(text.strip()) if len(text) <= TEXT_MAX else None
    if match is None:
        raise ValueError("not a clearance certificate")
    try:
        signature = base64.b64decode(match["signature"] + "==", altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not a clearance certificate") from error
    return Certificate(
        account_no=match["account"],
        certificate_no=int(match["number"]),
        issued_s=int(match["seconds"]),
        signed=match.string[: match.start("signature") - 1].encode("ascii"),
        signature=signature,
    )
