"""How long to wait before the next try: exponential, with jitter, never less than asked."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

# Jitter only spreads terminals that failed together; nothing secret hangs on it.
_JITTER: Final = random.Random()


@dataclass(slots=True, kw_only=True)
class Backoff:
    """Pauses in seconds: uniform in [half, whole] of first_s, 2·first_s, 4·first_s … most_s."""

    first_s: float = 0.1
    most_s: float = 5.0
    rng: random.Random = field(default=_JITTER)
    _step: int = 0

    def pause_s(self, *, at_least_s: float = 0.0) -> float:
        """Return the next pause; ``at_least_s`` is the server's RetryInfo."""
        whole = min(self.most_s, self.first_s * 2.0 ** min(self._step, 30))
        self._step += 1
        return max(at_least_s, whole * self.rng.uniform(0.5, 1.0))
