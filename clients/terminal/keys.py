"""Keys: the batch of the last sign-in and the next number in it."""

from __future__ import annotations

import asyncio
from typing import Final

from campuscard.v1 import terminal_service_pb2 as pb
from clients.terminal.entries import TERMINAL_SEQ_MAX, Key
from clients.terminal.errors import (
    BatchRegressedError,
    ServerUnreachableError,
    SignInRefusedError,
)
from clients.terminal.link import Link, NotYet, Rejected
from clients.terminal.settings import Counters, Settings
from clients.terminal.store import Store

_TRIES: Final = 3


class Keys:
    """Hands out each key once.

    A terminal signs in whenever it starts, so that a store restored from an old copy can never
    give out a key again: batch numbers only grow.
    """

    def __init__(
        self, terminal_id: str, *, link: Link, store: Store, settings: Settings, counters: Counters
    ) -> None:
        self._terminal_id = terminal_id
        self._link = link
        self._store = store
        self._settings = settings
        self._counters = counters
        self._batch_no = 0
        self._next_seq = 1
        self._signing_in = asyncio.Lock()

    @property
    def terminal_id(self) -> str:
        """Whose keys these are."""
        return self._terminal_id

    @property
    def batch_no(self) -> int:
        """The present batch, 0 when signed off."""
        return self._batch_no

    async def next(self) -> Key:
        """Return a key nobody has had; signs in when there is no batch or it is used up.

        Raises:
            SignInRefusedError, ServerUnreachableError, BatchRegressedError: see sign_in.
        """
        while self._batch_no == 0 or self._next_seq > TERMINAL_SEQ_MAX:
            async with self._signing_in:
                if self._batch_no == 0 or self._next_seq > TERMINAL_SEQ_MAX:
                    await self._sign_in()
        key = Key(
            terminal_id=self._terminal_id,
            batch_no=self._batch_no,
            terminal_seq=self._next_seq,
        )
        self._next_seq += 1
        return key

    async def sign_in(self) -> int:
        """Open a new batch and return its number.

        Raises:
            SignInRefusedError: the server says no.
            ServerUnreachableError: no answer in time.
            BatchRegressedError: the server went back in time.
        """
        async with self._signing_in:
            await self._sign_in()
            return self._batch_no

    def lost(self, batch_no: int) -> None:
        """The server no longer knows this batch as the present one."""
        if batch_no == self._batch_no:
            self._batch_no = 0

    async def _sign_in(self) -> None:
        request = pb.SignInRequest(
            terminal_id=self._terminal_id, software=self._settings.software[:64]
        )
        reply: object = None
        for _ in range(_TRIES):
            reply = await self._link.call("SignIn", request, timeout_s=self._settings.attempt_s)
            if isinstance(reply, pb.SignInResponse):
                await self._begin(reply)
                return
            if isinstance(reply, Rejected):
                raise SignInRefusedError(reply.reason, reply.detail)
            pause_s = reply.wait_s if isinstance(reply, NotYet) else self._settings.first_pause_s
            await asyncio.sleep(pause_s)
        raise ServerUnreachableError(f"no answer to SignIn: {reply}")

    async def _begin(self, response: pb.SignInResponse) -> None:
        if response.decision.outcome != pb.OUTCOME_APPROVED:
            raise SignInRefusedError(response.decision.reason)
        last = await self._store.last_batch(self._terminal_id)
        if response.batch_no <= last:
            raise BatchRegressedError(
                f"{self._terminal_id} was given batch {response.batch_no} after {last}"
            )
        await self._store.start_batch(self._terminal_id, response.batch_no)
        self._batch_no = response.batch_no
        self._next_seq = 1
        self._counters.sign_ins += 1
