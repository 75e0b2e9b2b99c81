"""Bounds on what callers may ask for: size of a message, calls under way, calls of one terminal.

Innermost: here a request is still the bytes that came, and is decoded only after they were measured.
A message that cannot be decoded is REQUEST_MALFORMED.

**Source:** regulation 五.4, 七.4.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from core.refusals import Refusal
from server.wire_peek import terminal_of

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from server.interceptors.wrapping import Context, Decoder
    from server.trust import Trust

TERMINAL_SERVICE: Final = "/campuscard.v1.TerminalService/"
BATCH_METHOD: Final = TERMINAL_SERVICE + "AuthorizeBatch"
PHOTO_METHOD: Final = "/campuscard.v1.CardOfficeService/UploadPhoto"
PAPER_METHOD: Final = "/campuscard.v1.CardOfficeService/AttachDocument"
STREAM_METHOD: Final = TERMINAL_SERVICE + "AuthorizeStream"
OF_TERMINALS: Final = (
    TERMINAL_SERVICE,
    "/campuscard.v1.AccessService/CheckAccess",
    "/campuscard.v1.AccessService/PresentCarrier",
)
"""Calls that count against a terminal's rate."""
BUCKETS_MAX: Final = 16_384
"""Names remembered at once; above it the full buckets are forgotten."""
_UNCOUNTED: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.")
_NOTHING: Final = nullcontext()


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class TokenBuckets:
    """A token bucket per name: of a terminal, of an account.

    Args:
        rate: calls per second that each name may make for ever.
        burst: calls it may make at once.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[bytes, _Bucket] = {}

    def take(self, name: bytes) -> int:
        """Take one call's token.

        Returns:
            0, or the milliseconds until there is one again.
        """
        now = time.monotonic()
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                self._forget_full(now)
            self._buckets[name] = _Bucket(self._burst - 1, now)
            return 0
        tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._rate)
        bucket.filled_at = now
        if tokens < 1:
            bucket.tokens = tokens
            return max(1, int((1 - tokens) * 1_000 / self._rate))
        bucket.tokens = tokens - 1
        return 0

    def _forget_full(self, now: float) -> None:
        self._buckets = {
            name: bucket
            for name, bucket in self._buckets.items()
            if bucket.tokens + (now - bucket.filled_at) * self._rate < self._burst
        }
        if len(self._buckets) >= BUCKETS_MAX:
            self._buckets.clear()


class LimitsGuard:
    """Measures requests, counts calls, then decodes.

    Args:
        message_bytes: size of a request.
        batch_message_bytes: size of an AuthorizeBatch request.
        photo_message_bytes: size of an UploadPhoto or AttachDocument request.
        calls_max: calls under way at once, health and reflection aside.
        rates: of the terminals.
        trust: nothing is let in once it is lost.
    """

    def __init__(
        self,
        message_bytes: int,
        batch_message_bytes: int,
        *,
        photo_message_bytes: int,
        calls_max: int,
        rates: TokenBuckets,
        trust: Trust,
    ) -> None:
        self._message_bytes = message_bytes
        self._larger = {
            BATCH_METHOD: batch_message_bytes,
            PHOTO_METHOD: photo_message_bytes,
            PAPER_METHOD: photo_message_bytes,
        }
        self._calls_max = calls_max
        self._rates = rates
        self._trust = trust
        self.calls = 0

    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[Any]:
        """Count the calls under way."""
        del context
        return _NOTHING if method.startswith(_UNCOUNTED) else _Admitted(self, self._calls_max)

    def incoming(self, method: str, message: bytes, decode: Decoder) -> Any:
        """Measure, count against the terminal's rate, decode.

        Raises:
            Refusal: INTEGRITY_BROKEN, MESSAGE_TOO_LARGE, RATE_LIMITED, REQUEST_MALFORMED.
        """
        self._trust.check(method)
        allowed = self._larger.get(method, self._message_bytes)
        if len(message) > allowed:
            raise Refusal("MESSAGE_TOO_LARGE", allowedBytes=allowed)
        if method.startswith(OF_TERMINALS) and method != STREAM_METHOD:
            wait_ms = self._rates.take(terminal_of(method, message))
            if wait_ms:
                raise Refusal("RATE_LIMITED", retry_after_ms=wait_ms)
        if decode is None:
            return message
        try:
            return decode(message)
        except DecodeError:
            raise Refusal("REQUEST_MALFORMED") from None


class _Admitted:
    """One call under way."""

    __slots__ = ("_calls_max", "_guard")

    def __init__(self, guard: LimitsGuard, calls_max: int) -> None:
        self._guard = guard
        self._calls_max = calls_max

    async def __aenter__(self) -> None:
        if self._guard.calls >= self._calls_max:
            raise Refusal("QUEUE_FULL", retry_after_ms=100)
        self._guard.calls += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._guard.calls -= 1
