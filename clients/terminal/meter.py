"""What a simulation counts: answers, reasons, and how long people waited."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from clients.terminal.receipts import Receipt, Result

_SUB_BITS: Final = 7  # 128 steps a power of two: a value is kept within 1 %
_SUB: Final = 1 << _SUB_BITS
_ROWS: Final = 33  # up to 2**39 µs, about six days
PERCENTILES: Final = (50, 90, 99)


class Histogram:
    """Microseconds in buckets that grow with the value; nothing is averaged away."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _SUB * _ROWS))
        self.count = 0
        self.max_us = 0

    def add(self, us: int) -> None:
        """Count one duration."""
        shift = max(0, us.bit_length() - _SUB_BITS - 1)
        row = min(shift + (us >= _SUB), _ROWS - 1)
        self._counts[row * _SUB + ((us >> shift) & (_SUB - 1))] += 1
        self.count += 1
        self.max_us = max(self.max_us, us)

    def percentile_us(self, percent: int) -> int:
        """Return the duration that so many percent did not exceed, 0 when nothing was counted."""
        wanted = -(-self.count * percent // 100)
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                row, step = divmod(index, _SUB)
                low = step if row == 0 else (_SUB + step) << (row - 1)
                width = 1 if row == 0 else 1 << (row - 1)
                return min(low + width - 1, self.max_us)
        return 0


@dataclass(slots=True, kw_only=True)
class Meter:
    """Everything one simulation saw. Times are seconds of the event loop's clock."""

    started_s: float
    ended_s: float = 0.0
    latency: Histogram = field(default_factory=Histogram)
    results: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)  # by terminal
    replays: int = 0
    replay_mismatches: int = 0
    money_fen: int = 0
    top_ups: int = 0
    losses: int = 0
    shed: int = 0
    waiting: int = 0
    trouble: str = ""  # the newest error, for a person
    _seconds: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=11))

    def answered(self, receipt: Receipt, *, waited_us: int, now_s: float) -> None:
        """Count one answer to a customer."""
        self.latency.add(waited_us)
        self.results[receipt.result.value] += 1
        if receipt.deliver:
            self.money_fen += receipt.approved_fen
        else:
            self.reasons[receipt.reason] += 1
        if receipt.result in {Result.GIVEN_UP, Result.REJECTED}:
            self.failed(receipt.key.terminal_id, receipt.reason)
        second = int(now_s)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))

    def failed(self, terminal_id: str, trouble: str) -> None:
        """Count one thing that should not happen, for its terminal."""
        self.errors[terminal_id] += 1
        self.trouble = f"{terminal_id}: {trouble}"

    def repeated(self, first: Receipt, again: Receipt) -> None:
        """Compare the answer to the same key sent twice."""
        self.replays += again.replayed
        one, two = first.decision, again.decision
        same = (one.seq, one.outcome, one.approved_fen, one.balance_fen, one.auth_code) == (
            two.seq,
            two.outcome,
            two.approved_fen,
            two.balance_fen,
            two.auth_code,
        )
        if not same or not again.replayed:
            self.replay_mismatches += 1
            self.failed(first.key.terminal_id, f"another answer to {first.key}")

    def rate(self, now_s: float) -> float:
        """Answers per second over the last ten whole seconds."""
        now = int(now_s)
        recent = [count for second, count in self._seconds if now - 10 <= second < now]
        span = max(1, min(10, now - int(self.started_s)))
        return sum(recent) / span

    def summary(self, now_s: float) -> dict[str, Any]:
        """Return everything as plain values, for ``--output json``."""
        elapsed_s = max((self.ended_s or now_s) - self.started_s, 1e-9)
        milliseconds = {
            f"p{percent}_ms": round(self.latency.percentile_us(percent) / 1000, 3)
            for percent in PERCENTILES
        }
        return {
            "seconds": round(elapsed_s, 3),
            "answers": self.latency.count,
            "rate_per_s": round(self.latency.count / elapsed_s, 1),
            **milliseconds,
            "max_ms": round(self.latency.max_us / 1000, 3),
            "results": dict(self.results),
            "declines": dict(self.reasons.most_common()),
            "kinds": dict(self.kinds),
            "money_fen": self.money_fen,
            "replays": self.replays,
            "replay_mismatches": self.replay_mismatches,
            "top_ups": self.top_ups,
            "losses": self.losses,
            "shed": self.shed,
            "terminal_errors": dict(self.errors.most_common(20)),
        }
