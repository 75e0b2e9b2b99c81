"""argon2id away from the loop: a few threads, a bounded queue, the same work for everybody.

The threads run at a low priority: payments go first, however many people sign in.

**Source:** RFC 9106 section 4 (second recommended parameters: 64 MiB, three passes).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

THREADS: Final = 2
NICENESS: Final = 10
"""Of those threads, added to the server's."""
WAITING_MAX: Final = 64
"""Passwords hashed or waiting at once; more are answered QUEUE_FULL."""


class Argon:
    """Hashes and checks passwords.

    Args:
        memory_kib: memory of one hash, KiB.
        passes: over that memory.
    """

    def __init__(self, *, memory_kib: int, passes: int) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._pool = ThreadPoolExecutor(
            THREADS, thread_name_prefix="argon2", initializer=_step_back
        )
        self._waiting = 0
        self._nobodys = self._hasher.hash(secrets.token_hex(16))

    def close(self) -> None:
        """End the threads once they are idle."""
        self._pool.shutdown(cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Return the encoded hash of a password, salt and parameters in it."""
        text: str = await self._run(self._hasher.hash, password)
        return text

    async def verify(self, encoded: str, password: str) -> bool:
        """Tell whether a password is the hashed one; an empty hash costs the same and is never it."""
        right: bool = await self._run(self._verify, encoded or self._nobodys, password)
        return right and bool(encoded)

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., Any], *arguments: str) -> Any:
        if self._waiting >= WAITING_MAX:
            raise Refusal("QUEUE_FULL", retry_after_ms=1_000)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, function, *arguments)
        finally:
            self._waiting -= 1


def _step_back() -> None:
    """Lower the priority of this thread alone; Linux keeps one per thread."""
    thread = threading.get_native_id()
    niceness = min(19, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
    os.setpriority(os.PRIO_PROCESS, thread, niceness)
