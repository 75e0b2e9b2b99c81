"""The office lane: acts are decided one at a time, each from the registry as of the act before.

An act goes: known request? → decide in ``core`` → one engine command (payload and effects with what
they expect) → durable → the registry shows it → answer. When the engine finds an expectation
broken it answers CONFLICT with nothing written, and the act is decided again on fresh facts.

A caller that gives up does not undo a decision under way; the same request_id finds it later.

**Source:** regulation 七.1: nothing is answered before it is durable.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from core.blocks import Block, Outcome
from core.catalogue import BY_NAME, BY_NUMBER
from core.ids import request_time_ms
from core.plans import Plan
from core.refusals import Refusal
from ext.engine import Effect
from ext.errors import EngineError, Malformed, Refused
from server.background import Background
from server.errors_map import refusal_of
from server.registers.parameters import values_at
from server.registry import AnsweredRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from core.documents import By
    from core.parameters import Values
    from core.ports import Clock, HolderKeys
    from ext.engine import AccountReply, Engine, OfficeReply
    from server.projector import Projector
    from server.registry import Registry

DECISIONS_MAX: Final = 8
"""How often one act is decided before the caller is told of the conflict."""
WINDOW_MS: Final = 64 * 86_400_000
"""How old a request id may be that is not known."""

_Result = TypeVar("_Result")
_log = structlog.get_logger("campuscard.office")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act to decide.

    ``decide`` returns what to ask of the engine, or the answer of an earlier act that did the same
    already. It may be called several times. ``by`` says who acts and why; ``actor`` is who as a number.
    """

    name: str
    request_id: bytes
    fingerprint: int
    decide: Callable[[Desk], Awaitable[Plan | AnsweredRequest]]
    by: By
    actor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActAnswer:
    """An answered act."""

    request: AnsweredRequest
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of several acts that are submitted together."""

    request_id: bytes
    fingerprint: int
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Acts decided from one look and submitted at once, so that they share their durable commit.

    ``decide`` is called once; it returns plans in the order they are to be carried out. Each part is
    an act of its own: when one meets a conflict, those before it stay.
    """

    name: str
    decide: Callable[[Desk], Awaitable[Sequence[Part]]]
    by: By
    actor: int = 0


class Desk:
    """What an act may look at while it is decided: everything as of the act before.

    Args:
        engine: for rows and wallets.
        projector: owns the registry.
        keys: seal what identifies a holder.
        now_us: the clock as the deciding begins, microseconds since 1970 UTC.
        after_seq: where the registry must stand.
    """

    def __init__(
        self,
        engine: Engine,
        projector: Projector,
        *,
        keys: HolderKeys,
        now_us: int,
        after_seq: int,
    ) -> None:
        self.keys = keys
        self.now_us = now_us
        self._engine = engine
        self._projector = projector
        self._after_seq = after_seq

    async def read(self, function: Callable[[Registry], _Result]) -> _Result:
        """Run a reading function on the registry."""
        return await self._projector.look(function, after_seq=self._after_seq)

    async def parameters(self) -> Values:
        """Return the parameters in force."""
        return await self.read(lambda r: values_at(r.connection, self.now_us))

    async def wallets(self, account: int) -> AccountReply:
        """Read an account's money as it stands."""
        future: asyncio.Future[AccountReply] = asyncio.get_running_loop().create_future()
        self._engine.account(account, future)
        return await future

    def next_row(self, table: str) -> int:
        """Return the next free row number of a table."""
        return self._engine.next_rows()[table]

    def block_of(self, seq: int) -> Block:
        """Read the acknowledged block that holds a seq."""
        return Block(self._engine.read_blocks(seq, 1)[0])


@dataclass(frozen=True, slots=True)
class _Waiting:
    name: str
    work: Callable[[], Awaitable[Any]]
    future: asyncio.Future[Any]


class OfficeLane(Background):
    """Decides acts one at a time, in one asyncio task.

    Args:
        engine: started.
        projector: started.
        keys: the holders' keys.
        clock: for the age of request ids.
        queue_max: acts waiting at most.
    """

    def __init__(
        self,
        engine: Engine,
        projector: Projector,
        *,
        keys: HolderKeys,
        clock: Clock,
        queue_max: int,
    ) -> None:
        super().__init__("office-lane")
        self._engine = engine
        self._projector = projector
        self._keys = keys
        self._clock = clock
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(queue_max)
        self._last_seq = 0
        self._stopping = False

    @property
    def depth(self) -> int:
        """Acts waiting."""
        return self._queue.qsize()

    async def stop(self) -> None:
        """Take no more acts, decide those that wait, end the task."""
        self._stopping = True
        await self._queue.join()
        await super().stop()

    async def decide(self, act: Act) -> ActAnswer:
        """Have an act decided and wait for its answer.

        Raises:
            Refusal: why not; QUEUE_FULL and SHUTTING_DOWN before anything was looked at.
        """
        answered: ActAnswer = await self._in_turn(act.name, lambda: self._decide(act))
        return answered

    async def decide_together(self, acts: Together) -> None:
        """Have several acts decided at once and wait until the registry shows them.

        Raises:
            Refusal: as ``decide``, of the first that was refused; CONFLICT: look again.
        """
        await self._in_turn(acts.name, lambda: self._decide_together(acts))

    async def _in_turn(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        if self._stopping:
            raise Refusal("SHUTTING_DOWN", retry_after_ms=1_000)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Waiting(name, work, future))
        except asyncio.QueueFull:
            raise Refusal("QUEUE_FULL", retry_after_ms=200) from None
        return await future

    async def _run(self) -> None:
        while True:
            waiting = await self._queue.get()
            try:
                if not waiting.future.done():
                    await self._answer(waiting)
            finally:
                self._queue.task_done()

    async def _answer(self, waiting: _Waiting) -> None:
        try:
            answer = await waiting.work()
        except (Refused, Malformed) as error:
            self._fail(waiting, refusal_of(error))
        except Refusal as refusal:
            self._fail(waiting, refusal)
        except Exception as error:  # noqa: BLE001 - the next act must not suffer
            self._fail(waiting, error)
        else:
            if not waiting.future.done():
                waiting.future.set_result(answer)

    def _fail(self, waiting: _Waiting, error: Exception) -> None:
        if not waiting.future.done():
            waiting.future.set_exception(error)
        elif not isinstance(error, Refusal):
            _log.error("act_failed_unheard", act=waiting.name, error=repr(error))

    async def _decide(self, act: Act) -> ActAnswer:
        known = await self._projector.look(
            lambda registry: registry.request(act.request_id), after_seq=self._last_seq
        )
        if known is not None:
            if known.fingerprint != act.fingerprint:
                raise Refusal("REQUEST_ID_REUSED")
            return _answered(known, replayed=True)
        if self._clock.now_us() // 1_000 - request_time_ms(act.request_id) > WINDOW_MS:
            raise Refusal("KEY_EXPIRED")
        for attempt in range(DECISIONS_MAX):
            plan = await act.decide(self._desk())
            if isinstance(plan, AnsweredRequest):
                return _answered(plan, replayed=True)
            part = Part(request_id=act.request_id, fingerprint=act.fingerprint, plan=plan)
            try:
                reply = await self._submit(part, act.by, act.actor)
            except Refused as error:
                if error.reason != "CONFLICT":
                    raise
                _log.info("act_conflicted", act=act.name, attempt=attempt, effect=error.effect)
                self._last_seq = max(self._last_seq, self._engine.head()["acknowledged_seq"])
                continue
            return await self._shown(act, reply)
        raise Refusal("CONFLICT", retry_after_ms=200)

    async def _decide_together(self, acts: Together) -> None:
        parts = await acts.decide(self._desk())
        sent: list[asyncio.Future[OfficeReply]] = []
        faults: list[BaseException] = []
        for part in parts:
            try:
                sent.append(self._submit(part, acts.by, acts.actor))
            except Refused as error:
                faults.append(error)
                break
        replies = await asyncio.gather(*sent, return_exceptions=True)
        faults = [reply for reply in replies if isinstance(reply, BaseException)] + faults
        seqs = [reply["seq"] for reply in replies if not isinstance(reply, BaseException)]
        self._last_seq = max((self._last_seq, *seqs))
        if faults:
            self._last_seq = max(self._last_seq, self._engine.head()["acknowledged_seq"])
            raise faults[0]
        await self._projector.look(lambda _: None, after_seq=self._last_seq)

    def _desk(self) -> Desk:
        return Desk(
            self._engine,
            self._projector,
            keys=self._keys,
            now_us=self._clock.now_us(),
            after_seq=self._last_seq,
        )

    def _submit(self, part: Part, by: By, actor: int) -> asyncio.Future[OfficeReply]:
        if not by.reason:
            raise Refusal("REASON_REQUIRED", field="reason")  # no act stands without one
        plan = part.plan
        future: asyncio.Future[OfficeReply] = asyncio.get_running_loop().create_future()
        self._engine.office(
            plan.document.encode(by),
            [_effect(plan_effect) for plan_effect in plan.effects],
            future,
            request_id=part.request_id,
            fingerprint=part.fingerprint,
            document_kind=plan.document.KIND,
            actor=actor,
            pin_account=plan.pin_account,
            pin=plan.pin,
        )
        return future

    async def _shown(self, act: Act, reply: OfficeReply) -> ActAnswer:
        """Answer when the registry shows the act: what is read next contains it."""
        self._last_seq = max(self._last_seq, reply["seq"])
        known = await self._projector.look(
            lambda registry: registry.request(act.request_id), after_seq=reply["seq"]
        )
        if known is None:
            raise EngineError(f"seq {reply['seq']} is acknowledged and shows no request")
        if reply["outcome"] == Outcome.DECLINED and not known.reason:
            raise EngineError(f"seq {reply['seq']} was declined and stands as an act")
        return _answered(known, replayed=reply["replayed"])


def fingerprint(key: bytes, method: str, body: bytes) -> int:
    """Return the fingerprint two requests under one id are compared by.

    It stands in the journal, so it is keyed: nobody may learn a name by guessing bodies.

    Args:
        key: 32 bytes of this server's own.
        method: full name of the method.
        body: the request without request_id, passwords and ID number.

    Returns:
        64 bits, not 0.
    """
    mac = hmac.digest(key, method.encode("ascii") + b"\0" + body, "sha256")
    return int.from_bytes(mac[:8], "big") or 1


def _answered(known: AnsweredRequest, *, replayed: bool) -> ActAnswer:
    if known.reason:
        metadata: dict[str, Any] = {"reason": BY_NUMBER[known.reason].name}
        if known.reason == BY_NAME["PIN_WRONG"].number:
            metadata["triesLeft"] = known.facts.get("tries_left", 0)
        raise Refusal("PASSWORD_REFUSED", **metadata)
    return ActAnswer(request=known, replayed=replayed)


def _effect(plan: Any) -> Effect:
    return Effect(
        plan.kind,
        row=plan.row,
        link=plan.link,
        event=plan.event,
        expect=plan.expect,
        expect_status=plan.expect_status,
        expect_flags=plan.expect_flags,
        expect_last_seq=plan.expect_last_seq,
        due_s=plan.due_s,
        mask=plan.mask,
        scheduled_seq=plan.scheduled_seq,
        hold_seq=plan.hold_seq,
        amount_fen=plan.amount_fen,
        debit_wallet=plan.debit_wallet,
        credit_wallet=plan.credit_wallet,
        body=plan.body,
        pin=plan.pin,
    )
