"""Verifying a certificate of clearance offline, with nothing but the school's public key.

**Source:** RFC 8032 (Ed25519).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.certificates import Certificate, parse

if TYPE_CHECKING:
    from collections.abc import Collection


class CertificateError(Exception):
    """A certificate is worth nothing; the text says why."""


def verify(text: str, public_key: bytes, *, revoked: Collection[int]) -> Certificate:
    """Check form and signature of a certificate.

    Args:
        text: as printed or read from the QR code.
        public_key: 32 bytes, from GetClearanceKey.
        revoked: numbers that were revoked as far as the caller knows.

    Raises:
        CertificateError: it is none, not of this school, changed, or revoked.
    """
    try:
        found = parse(text)
    except ValueError as error:
        raise CertificateError(str(error)) from error
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(found.signature, found.signed)
    except (InvalidSignature, ValueError) as error:
        raise CertificateError("the signature does not fit the text and the key") from error
    if found.certificate_no in revoked:
        raise CertificateError(f"certificate {found.certificate_no} was revoked")
    return found
