"""Brings entries to an end: sends, asks, gives up, reverses, repeats.

The rules that keep a holder from being charged twice, or for nothing:

1. An entry is durable before its first send, and every send of it is the same key and bytes.
2. After a send without a clear answer the next call is a question (GetTransaction), and only
   "never decided" leads to another send.
3. When patience ends in doubt, the wish to reverse is made durable first. From then on an
   approval is ignored, and the reversal is repeated until the server has acknowledged it.
4. An answer is durable before the till hears of it. So after a restart an entry without an answer
   is one whose goods were not delivered, and it is reversed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from campuscard.v1 import terminal_service_pb2 as pb
from clients.terminal.backoff import Backoff
from clients.terminal.entries import Entry, Event, Key, Kind, State
from clients.terminal.errors import ServerUnreachableError, SignInRefusedError, StoreFailedError
from clients.terminal.keys import Keys
from clients.terminal.link import (
    REQUESTS,
    Answer,
    Decided,
    Link,
    NeverDecided,
    NotYet,
    Rejected,
    Reply,
    Unknown,
)
from clients.terminal.receipts import Receipt, Result
from clients.terminal.settings import Counters, Settings
from clients.terminal.store import Store

NOT_SIGNED_IN: Final = "TERMINAL_NOT_SIGNED_IN"
# Refusals of a reversal that say what it wanted to reach: the original stands for nothing.
_NOTHING_LEFT: Final = frozenset(
    {"ALREADY_REVERSED", "HOLD_CLOSED", "ORIGINAL_NOT_APPROVED", "ORIGINAL_REVERSED"}
)
_REKEYS_MAX: Final = 3
_EVENTS: Final = {
    pb.OUTCOME_APPROVED: (Event.APPROVED, Result.APPROVED),
    pb.OUTCOME_DECLINED: (Event.DECLINED, Result.DECLINED),
    pb.OUTCOME_PIN_REQUIRED: (Event.PIN_ASKED, Result.PIN_REQUIRED),
}


@dataclass(frozen=True, slots=True)
class Settled:
    """An entry as it stands now, what to tell the till, and whether a send is still in doubt."""

    entry: Entry
    receipt: Receipt
    doubtful: bool = False


def now_us() -> int:
    """Microseconds since 1970 UTC by this terminal's clock; only ever informative."""
    return time.time_ns() // 1000


class Settler:
    """One terminal's entries on their way to an end."""

    def __init__(
        self,
        *,
        link: Link,
        store: Store,
        keys: Keys,
        settings: Settings,
        counters: Counters,
        on_settled: Callable[[Receipt], None] | None,
    ) -> None:
        self._link = link
        self._store = store
        self._keys = keys
        self._settings = settings
        self._counters = counters
        self._on_settled = on_settled
        self._background: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    @property
    def background(self) -> int:
        """Entries that are being repeated without anybody waiting."""
        return len(self._background)

    async def decide(self, entry: Entry, *, pin: str = "") -> Settled:
        """Bring a saved entry to an end while a customer waits.

        Cancelling this is giving up: the reversal is queued before CancelledError goes on.
        """
        if self._failure is not None:
            raise StoreFailedError("the background work has stopped") from self._failure
        try:
            reply, doubtful = await self._attempts(entry, pin=pin, patient=False)
            for _ in range(_REKEYS_MAX):
                if not _must_rekey(reply):
                    break
                entry = await self._rekey(entry)
                reply, doubtful = await self._attempts(entry, pin=pin, patient=False)
            return await self._conclude(entry, reply, doubtful=doubtful)
        except asyncio.CancelledError:
            await asyncio.shield(self.leave(entry))
            raise

    async def leave(self, entry: Entry) -> None:
        """Nobody waits any more: queue the reversal, or the repetition of what must land."""
        if entry.kind.must_land:
            self._spawn(self._land(entry))
        else:
            await self.give_up(entry)

    async def give_up(self, entry: Entry) -> None:
        """Make the wish to reverse durable, then carry it out in the background."""
        reversing = entry.after(Event.GIVEN_UP)
        await self._store.save(reversing)
        self._counters.given_up += 1
        self._spawn(self._reverse(reversing))

    async def abandon(self, settled: Settled) -> None:
        """The password was asked for and nobody gives it."""
        if settled.doubtful:  # an earlier send may still be under way: make sure it finds nothing
            await self.give_up(settled.entry)
        else:
            await self._store.save(settled.entry.after(Event.ABANDONED))

    async def recover(self) -> int:
        """Take up what the last run left; returns how many entries that are.

        An entry without an answer was never reported to the till, so nothing was delivered.
        """
        entries = await self._store.unsettled(self._keys.terminal_id)
        under_way = {entry.original for entry in entries if entry.kind is Kind.REVERSE}
        for entry in entries:
            if entry.state is State.PIN_NEEDED:
                await self._store.save(entry.after(Event.ABANDONED))
            elif entry.state is State.REVERSING:
                if entry.key not in under_way:
                    self._spawn(self._reverse(entry))
            elif entry.kind.must_land:
                self._spawn(self._land(entry))
            else:
                self._spawn(self._resolve(entry))
        return len(entries)

    async def wait(self) -> None:
        """Wait until nothing is repeated in the background any more."""
        while self._background:
            await asyncio.wait(set(self._background))

    async def close(self) -> None:
        """Stop repeating; what is open stays in the store for the next start."""
        tasks = set(self._background)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- one entry, in the foreground -------------------------------------------------------

    async def _conclude(self, entry: Entry, reply: Reply, *, doubtful: bool) -> Settled:
        if isinstance(reply, Decided):
            return await self._record(entry, reply, doubtful=doubtful)
        if isinstance(reply, Rejected) or not doubtful:
            closed = entry.after(Event.REJECTED)
            await self._store.save(closed, *await self._original(entry, Event.REVERSAL_REFUSED))
            reason = "" if isinstance(reply, Unknown) else reply.reason
            return Settled(closed, _receipt(closed, Result.REJECTED, reason=reason))
        await self.leave(entry)
        result = Result.QUEUED if entry.kind.must_land else Result.GIVEN_UP
        return Settled(entry, _receipt(entry, result, reason="UNKNOWN"))

    async def _record(self, entry: Entry, reply: Decided, *, doubtful: bool) -> Settled:
        """Save an answer before anybody hears of it."""
        decision = reply.decision
        event, result = _EVENTS[decision.outcome]
        after = entry.after(event, decision=decision.SerializeToString())
        await self._store.save(after, *await self._original(entry, _verdict(decision)))
        self._counters.replays += decision.replayed
        receipt = _receipt(
            after, result, reason=decision.reason, decision=decision, expires_s=reply.expire_time_s
        )
        return Settled(after, receipt, doubtful)

    async def _original(self, reversal: Entry, verdict: Event) -> list[Entry]:
        """Return the original as the reversal's end leaves it, when it was waiting for that."""
        if reversal.original is None:
            return []
        original = await self._store.find(reversal.original)
        if original is None or original.state is not State.REVERSING:
            return []
        self._counters.reversals += verdict is Event.REVERSAL_ACKNOWLEDGED
        self._counters.disputes += verdict is Event.REVERSAL_REFUSED
        return [original.after(verdict)]

    async def _attempts(self, entry: Entry, *, pin: str, patient: bool) -> tuple[Reply, bool]:
        """Send, and ask, until there is an answer or patience ends; True: a send is in doubt."""
        loop = asyncio.get_running_loop()
        ends = math.inf if patient else loop.time() + self._settings.patience_s
        pause = self._pauses(patient=patient)
        doubtful = asking = False
        while True:
            answer = await self._try(entry, pin=pin, asking=asking)
            wait_s = 0.0
            match answer:
                case Decided(decision=decision):
                    if not (asking and pin and decision.outcome == pb.OUTCOME_PIN_REQUIRED):
                        return answer, doubtful
                    asking = False  # the send that got lost was the one with the password
                case NeverDecided():
                    asking = False
                case Unknown():
                    doubtful = asking = True
                case NotYet(wait_s=least_s):
                    wait_s = least_s
                case Rejected():
                    if not asking and not (doubtful and not entry.kind.must_land):
                        return answer, doubtful
                    asking = False
            if loop.time() >= ends:
                return (answer if isinstance(answer, NotYet) else Unknown(detail="")), doubtful
            await asyncio.sleep(pause.pause_s(at_least_s=wait_s))

    async def _try(self, entry: Entry, *, pin: str, asking: bool) -> Answer:
        timeout_s = self._settings.attempt_s
        if asking:
            self._counters.questions += 1
            return await self._link.ask(entry.key, timeout_s=timeout_s)
        self._counters.sends += 1
        return await self._link.send(entry, pin=pin, timeout_s=timeout_s)

    # -- in the background ------------------------------------------------------------------

    async def _reverse(self, original: Entry) -> None:
        """Give the reversal a key of its own, save it, and repeat it until acknowledged."""
        key = await self._key_for_ever()
        request = pb.ReverseRequest(
            terminal_id=key.terminal_id,
            batch_no=key.batch_no,
            terminal_seq=key.terminal_seq,
            original=pb.Original(
                batch_no=original.key.batch_no, terminal_seq=original.key.terminal_seq
            ),
            amount_fen=original.amount_fen,
        )
        reversal = Entry(
            key=key,
            kind=Kind.REVERSE,
            body=request.SerializeToString(),
            amount_fen=original.amount_fen,
            saved_us=now_us(),
            original=original.key,
        )
        await self._store.save(reversal)
        await self._land(reversal)

    async def _land(self, entry: Entry) -> None:
        """Repeat what must land until the server has decided it or will never take it."""
        while True:
            reply, doubtful = await self._attempts(entry, pin="", patient=True)
            if not _must_rekey(reply):
                break
            self._keys.lost(entry.key.batch_no)
            entry = await self._rekey(entry)
        settled = await self._conclude(entry, reply, doubtful=doubtful)
        if self._on_settled is not None:
            self._on_settled(settled.receipt)

    async def _resolve(self, entry: Entry) -> None:
        """After a restart: what money may have moved for is reversed, unless it was refused."""
        pause = self._pauses(patient=True)
        while True:
            answer = await self._try(entry, pin="", asking=True)
            match answer:
                case Decided(decision=decision) if decision.outcome == pb.OUTCOME_DECLINED:
                    await self._conclude(entry, answer, doubtful=False)
                    return
                case NotYet(wait_s=wait_s):
                    await asyncio.sleep(pause.pause_s(at_least_s=wait_s))
                case Unknown():
                    await asyncio.sleep(pause.pause_s())
                case _:
                    await self.give_up(entry)
                    return

    async def _rekey(self, entry: Entry) -> Entry:
        """Move a request the server refused to look at into the present batch.

        Safe because the refusal stands: a batch that was closed never opens again.
        """
        self._keys.lost(entry.key.batch_no)
        key = await (self._key_for_ever() if entry.kind.must_land else self._keys.next())
        request = REQUESTS[entry.kind].FromString(entry.body)
        request.batch_no = key.batch_no
        request.terminal_seq = key.terminal_seq
        moved = replace(entry, key=key, body=request.SerializeToString(), saved_us=now_us())
        await self._store.save(entry.after(Event.REJECTED), moved)
        return moved

    async def _key_for_ever(self) -> Key:
        pause = self._pauses(patient=True)
        while True:
            try:
                return await self._keys.next()
            except (ServerUnreachableError, SignInRefusedError):
                await asyncio.sleep(pause.pause_s())

    def _pauses(self, *, patient: bool) -> Backoff:
        settings = self._settings
        most_s = settings.background_pause_s if patient else settings.most_pause_s
        return Backoff(first_s=settings.first_pause_s, most_s=most_s)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()


def _verdict(decision: pb.Decision) -> Event:
    if decision.outcome == pb.OUTCOME_APPROVED or decision.reason in _NOTHING_LEFT:
        return Event.REVERSAL_ACKNOWLEDGED
    return Event.REVERSAL_REFUSED


def _must_rekey(reply: Reply) -> bool:
    return isinstance(reply, Decided) and reply.decision.reason == NOT_SIGNED_IN


def _receipt(
    entry: Entry,
    result: Result,
    *,
    reason: str,
    decision: pb.Decision | None = None,
    expires_s: int = 0,
) -> Receipt:
    return Receipt(
        key=entry.key,
        kind=entry.kind,
        result=result,
        reason=reason,
        decision=decision if decision is not None else pb.Decision(),
        expire_time_s=expires_s,
    )
