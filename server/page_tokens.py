"""Page tokens: where the next page begins, in a form that only this server makes.

base64url(MAC of 16 bytes, JSON of [last key, extra]), the MAC over method and filters too: a token
fits the query it was made for and no other, and it never gives a right to anything.

**Source:** AIP-158.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Final

from core.refusals import Refusal

MAC_BYTES: Final = 16
PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 1_000


class PageTokens:
    """Makes and opens page tokens.

    Args:
        key: 32 bytes of this server's own.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, query: bytes, place: str) -> str:
        """Make the token of the page after ``place``.

        Args:
            query: method and filters, as bytes that are the same for the same query.
            place: key of the last item on this page.
        """
        body = json.dumps([place]).encode("ascii")
        return base64.urlsafe_b64encode(self._mac(query, body) + body).decode("ascii")

    def open(self, query: bytes, token: str) -> str:
        """Return the place a token stands for; empty for an empty token.

        Raises:
            Refusal: PAGE_TOKEN_INVALID: not ours, or of another query.
        """
        if not token:
            return ""
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise Refusal("PAGE_TOKEN_INVALID", field="page_token") from None
        mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(query, body)):
            raise Refusal("PAGE_TOKEN_INVALID", field="page_token")
        place: str = json.loads(body)[0]
        return place

    def _mac(self, query: bytes, body: bytes) -> bytes:
        text = len(query).to_bytes(4, "big") + query + body
        return hmac.digest(self._key, text, "sha256")[:MAC_BYTES]
