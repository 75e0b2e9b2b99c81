"""Signing certificates of clearance.

The key is derived from the server's own (``keys/server.key``): a directory that is restored with its
keys signs as before, and nothing else has to be kept.

**Source:** regulation 三.5(3); RFC 8032 (Ed25519).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.certificates import signed

if TYPE_CHECKING:
    from server.keys import Keyring

QR_SCALE: Final = 6
"""Pixels of a module of the QR code."""


class CertificateSigner:
    """Signs with this server's own key.

    Args:
        keys: the keyring of the data directory.
    """

    def __init__(self, keys: Keyring) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(keys.derive("clearance-certificates"))
        self.public_key: bytes = self._key.public_key().public_bytes_raw()

    def sign(self, text: str) -> str:
        """Return the certificate of its unsigned text."""
        return signed(text, self._key.sign(text.encode("ascii")))


def qr_codes(text: str) -> tuple[str, bytes]:
    """Return a certificate's QR code as SVG text and as PNG."""
    code = segno.make_qr(text, error="m")
    svg, png = io.BytesIO(), io.BytesIO()
    code.save(svg, kind="svg", scale=QR_SCALE, xmldecl=False)
    code.save(png, kind="png", scale=QR_SCALE)
    return svg.getvalue().decode("utf-8"), png.getvalue()
