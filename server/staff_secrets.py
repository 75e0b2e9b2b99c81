"""What staff prove who they are by, as it may stand in the journal: sealed, or as a keyed hash.

**Source:** regulation 七.2-七.3: a stolen journal without the keys gives no password.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from server.keys import Keyring

ONE_TIME_BYTES: Final = 15
"""120 bits: 24 characters in base 32, without padding."""
_NONCE_BYTES: Final = 12
_GROUP: Final = 4


class StaffSecrets:
    """Seals and hashes under keys derived from the server's.

    Args:
        keys: of the data directory.
    """

    def __init__(self, keys: Keyring) -> None:
        self._seal_key = AESGCM(keys.derive("staff-secrets"))
        self._mac_key = keys.derive("staff-one-time")

    def seal(self, number: int, purpose: str, plain: bytes) -> bytes:
        """Seal a secret of a member; ``purpose`` is ``password`` or ``totp``."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._seal_key.encrypt(nonce, plain, _bound_to(number, purpose))

    def unseal(self, number: int, purpose: str, sealed: bytes) -> bytes:
        """Return a sealed secret; empty when there is none, or it is another key's."""
        nonce, cipher = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._seal_key.decrypt(nonce, cipher, _bound_to(number, purpose))
        except (InvalidTag, ValueError):
            return b""

    def one_time_mac(self, text: str) -> bytes:
        """Return what the journal keeps of a one-time secret; spaces, dashes and case do not count."""
        plain = "".join(char for char in text.upper() if char.isalnum())
        return hmac.digest(self._mac_key, plain.encode("utf-8", "replace"), "sha256")


def new_one_time() -> str:
    """Make a one-time secret: 24 letters and digits in groups of four."""
    text = base64.b32encode(secrets.token_bytes(ONE_TIME_BYTES)).decode("ascii")
    return "-".join(text[i : i + _GROUP] for i in range(0, len(text), _GROUP))


def _bound_to(number: int, purpose: str) -> bytes:
    return f"campuscard/staff/1/{number}/{purpose}".encode("ascii")
