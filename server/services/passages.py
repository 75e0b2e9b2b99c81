"""Passages: decided several at a time in the office lane, each a document of its own.

Whoever waits while a group is being written makes the next group, so that many gates share a durable
commit as payments do. A group is decided in order from one look; what an earlier one of the group
used up or entered counts for the later ones. Loss reports go through the same lane: a passage stands
either before a loss or after it.

**Source:** regulation 二.1, 三.2a, 四.2.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core import access
from core.access import Direction, Emergency, Moment, Passer
from core.catalogue import BY_NAME
from core.documents.access import PassageDecided
from core.ids import request_time_ms
from core.plans import Plan
from core.refusals import Refusal, missing
from server.office_lane import DECISIONS_MAX, WINDOW_MS, ActAnswer
from server.registers import access as register
from server.registers import holders, holds, passes
from server.registers.parameters import values_at
from server.services.carriers import resolve

if TYPE_CHECKING:
    from core.documents import By
    from core.plans import EffectPlan
    from server.office_lane import Desk
    from server.registry import Registry
    from server.services.carriers import Presented, Resolved
    from server.services.office import Office

GROUP_MAX: Final = 16
"""Passages decided together at most: the look must stay short."""
WAITING_MAX: Final = 2_048
"""Passages waiting at most."""
NAME: Final = "campuscard.v1.CheckAccessRequest"


@dataclass(slots=True, kw_only=True, eq=False)
class Asked:
    """One passage to decide."""

    request_id: bytes
    body: bytes
    terminal_id: str
    presented: Presented
    direction: Direction
    by: By
    actor: int
    future: asyncio.Future[ActAnswer]
    written: bool = False


@dataclass(slots=True)
class _Group:
    """What decisions of one group leave for those after them."""

    moment: Moment
    keep_days: int
    used: set[bytes] = field(default_factory=set)
    inside: dict[tuple[str, int], int] = field(default_factory=dict)
    ids: set[bytes] = field(default_factory=set)


class Passages:
    """Decides passages.

    Args:
        office: its lane decides.
    """

    def __init__(self, office: Office) -> None:
        self._office = office
        self._waiting: deque[Asked] = deque()
        self._running: asyncio.Task[None] | None = None

    async def decide(self, asked: Asked) -> ActAnswer:
        """Have a passage decided.

        Raises:
            Refusal: NOT_FOUND, KEY_EXPIRED, REQUEST_ID_REUSED, QUEUE_FULL.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise Refusal("QUEUE_FULL", retry_after_ms=200)
        self._waiting.append(asked)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="passages")
        return await asked.future

    async def _run(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft()]
            while self._waiting and len(group) < GROUP_MAX and self._waiting[0].by == group[0].by:
                group.append(self._waiting.popleft())
            group = [asked for asked in group if not asked.future.done()]
            if not group:
                continue
            try:
                await self._decide(group)
            except Exception as error:  # noqa: BLE001 - it belongs to those who asked
                for asked in group:
                    _fail(asked, error)

    async def _decide(self, group: list[Asked]) -> None:
        async def decide(desk: Desk) -> list[tuple[bytes, bytes, Plan]]:
            return await desk.read(lambda r: _plans(r, group, desk.now_us))

        for _ in range(DECISIONS_MAX):
            try:
                await self._office.decide_together(
                    NAME, decide, by=group[0].by, actor=group[0].actor
                )
            except Refusal as refusal:
                if refusal.reason.name != "CONFLICT":
                    raise
                continue  # the end of a suspension came between; who is written already stays so
            break
        ids = [asked.request_id for asked in group]
        found = await self._office.projector.look(lambda r: {i: r.request(i) for i in ids})
        for asked in group:
            answer = found[asked.request_id]
            if asked.future.done():
                continue
            if answer is None:
                _fail(asked, Refusal("CONFLICT", retry_after_ms=50))
            elif answer.fingerprint != self._office.fingerprint(NAME, asked.body):
                _fail(asked, Refusal("REQUEST_ID_REUSED"))
            else:
                asked.future.set_result(ActAnswer(request=answer, replayed=not asked.written))


def _fail(asked: Asked, error: Exception) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):
        asked.future.set_exception(error)


def _plans(registry: Registry, group: list[Asked], now_us: int) -> list[tuple[bytes, bytes, Plan]]:
    """Decide a group in order; who cannot be decided is told so at once."""
    values = values_at(registry.connection, now_us)
    moment = Moment(time_us=now_us, utc_offset_s=registry.rules().utc_offset_seconds)
    left = _Group(moment, values.number("passage_days"))
    plans = []
    for asked in group:
        if asked.future.done() or asked.request_id in left.ids:
            continue
        if registry.request(asked.request_id) is not None:
            continue
        try:
            plan = _plan(registry, asked, left)
        except Refusal as refusal:
            _fail(asked, refusal)
            continue
        left.ids.add(asked.request_id)
        asked.written = True
        plans.append((asked.request_id, asked.body, plan))
    return plans


def _plan(registry: Registry, asked: Asked, left: _Group) -> Plan:
    moment, sql = left.moment, registry.connection
    if moment.time_us // 1_000 - request_time_ms(asked.request_id) > WINDOW_MS:
        raise Refusal("KEY_EXPIRED")
    gate = registry.terminal(asked.terminal_id)
    zone = register.zone_of_gate(sql, gate.number) if gate else None
    if gate is None or zone is None:
        raise missing("gate")
    resolved = resolve(registry, asked.presented, now_us=moment.time_us, used=left.used)
    passer = None
    if resolved.account and zone.emergency is not Emergency.OPEN:
        passer = _passer(registry, zone.zone, resolved.account, left)
    verdict = access.decide(zone, gate.status, asked.direction, resolved.shown, passer, moment)
    if resolved.nonce:
        left.used.add(resolved.nonce)
    if verdict.granted and resolved.account:
        entered = moment.time_us if asked.direction is Direction.IN else 0
        left.inside[zone.zone, resolved.account] = entered
    document = PassageDecided(
        terminal=gate.number,
        zone=zone.zone,
        direction=asked.direction,
        account=resolved.account,
        medium=resolved.medium,
        medium_type=resolved.type,
        granted=int(verdict.granted),
        reason=BY_NAME[verdict.reason].number,
        nonce=resolved.nonce,
        keep_days=left.keep_days,
    )
    return Plan(document=document, effects=_as_decided(registry, resolved))


def _as_decided(registry: Registry, resolved: Resolved) -> tuple[EffectPlan, ...]:
    account = registry.account_by_number(resolved.account) if resolved.account else None
    if account is None or resolved.shown.medium is None:
        return ()
    looked_at = {
        medium.number: medium for medium in (resolved.shown.medium, *resolved.shown.others)
    }
    waiting = [
        medium
        for number, medium in looked_at.items()
        if holds.medium_end_seq(registry.connection, number)
    ]
    return access.as_decided(account, waiting)


def _passer(registry: Registry, zone: str, account: int, left: _Group) -> Passer | None:
    sql = registry.connection
    holder = holders.holder_by_number(sql, account)
    if holder is None:
        return None
    inside = left.inside.get((zone, account))
    return Passer(
        account_status=holder.account_status,
        holder_status=holder.status,
        timetables=register.timetables_for(
            sql, zone, account=account, class_name=holder.class_name, kind=holder.kind
        ),
        inside_since_us=passes.inside_since(sql, zone, account) if inside is None else inside,
    )
