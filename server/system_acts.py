"""What the system does by itself in the office lane.

A card with signs of a copy is frozen; the water purse of a lost card is counted, and moved in time. It
looks at the registry, where such a card or purse waits until its act is there: what a crash or a
rebuild left undone is made up for, and nothing is done twice.

**Source:** regulation 四.6, 五.1, 七.5; D11.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from core.alerts import freeze_clone
from core.documents import SYSTEM, By
from core.refusals import Refusal
from core.water_purse import count, settle
from server.background import Background
from server.office_lane import WINDOW_MS
from server.registers import alerts, holds, purses
from server.services import card_acts

if TYPE_CHECKING:
    from core.alerts import AlertFacts
    from core.media import Carrier
    from core.plans import Plan
    from core.water_purse import Purse
    from server.office_lane import Desk
    from server.registry import Registry
    from server.services.office import Office
    from server.trust import Trust

LOOK_S: Final = 0.2
"""Seconds between two looks."""
AT_ONCE: Final = 64
"""Cards frozen in one look at most."""
COUNTED_WITHIN_US: Final = 86_400_000_000
"""How long after its card's end a purse is counted at all: later WATER may be another card's."""
RETRY_S: Final = 1.0
_MARGIN_MS: Final = 3_600_000
"""Left of the time within which a request id counts, for the act itself."""

_log = structlog.get_logger("campuscard.system")


@dataclass(frozen=True, slots=True)
class _Due:
    """What waits, and how many alerts are open."""

    clones: list[AlertFacts]
    to_count: list[Purse]
    to_settle: list[Purse]
    open_alerts: int


class SystemActs(Background):
    """Carries out what is due, one act after the other.

    Args:
        office: for the acts.
        trust: while it is lost nothing is decided here either.

    Attributes:
        open_alerts: alerts nobody has acknowledged, as of the last look.
    """

    def __init__(self, office: Office, trust: Trust) -> None:
        super().__init__("system-acts")
        self._office = office
        self._trust = trust
        self._failure = ""
        self.open_alerts = 0

    async def _run(self) -> None:
        while True:
            pause = LOOK_S
            try:
                if not self._trust.broken:
                    await self._look()
                self._failure = ""
            except Refusal as refusal:
                self._say(refusal.reason.name)
                pause = RETRY_S
            except Exception as error:  # noqa: BLE001 - the next look must come
                self._say(repr(error))
                pause = RETRY_S
            await asyncio.sleep(pause)

    def _say(self, failure: str) -> None:
        if failure != self._failure:
            self._failure = failure
            _log.error("system_act_failed", error=failure)

    async def _look(self) -> None:
        now_us = self._office.clock.now_us()
        since_us = now_us - (WINDOW_MS - _MARGIN_MS) * 1_000

        def read(registry: Registry) -> _Due:
            sql = registry.connection
            return _Due(
                alerts.unfrozen(sql, since_us=since_us, limit=AT_ONCE),
                purses.uncounted(sql, since_us=now_us - COUNTED_WITHIN_US, limit=AT_ONCE),
                purses.due(sql, now_us=now_us, limit=AT_ONCE),
                alerts.open_count(sql),
            )

        due = await self._office.projector.look(read)
        self.open_alerts = due.open_alerts
        refused: Refusal | None = None
        for act in (
            *(partial(self._freeze, alert) for alert in due.clones),
            *(partial(self._count, purse) for purse in due.to_count),
            *(partial(self._settle, purse) for purse in due.to_settle),
        ):
            try:
                await act()
            except Refusal as refusal:  # the others must not wait for it
                refused = refusal
        if refused is not None:
            raise refused

    async def _freeze(self, alert: AlertFacts) -> None:
        async def decide(desk: Desk) -> Plan:
            number = alert.medium_number
            carrier, end_seq = await desk.read(
                lambda r: (
                    _carrier(r, number, desk.now_us),
                    holds.medium_end_seq(r.connection, number),
                )
            )
            return freeze_clone(alert, carrier, end_seq=end_seq)

        body = b"freeze" + alert.seq.to_bytes(8, "big")
        given = await self._office.record(
            "CloneFrozen",
            decide,
            by=By(actor=SYSTEM.actor, reason=f"CARD_COUNTER_REGRESSION, seq {alert.seq}"),
            request_id=self._office.own_request_id(body, alert.time_us),
        )
        _log.warning("clone_frozen", alert=alert.seq, act=given.request.seq)

    async def _count(self, purse: Purse) -> None:
        async def decide(desk: Desk) -> Plan:
            if await desk.read(lambda r: purses.is_counted(r.connection, purse.seq)):
                raise Refusal("CONFLICT", retry_after_ms=1_000)
            number = purse.account_number
            return count(
                purse,
                water_fen=(await desk.wallets(number))["water_fen"],
                pending_fen=await desk.read(lambda r: purses.pending_fen(r.connection, number)),
                values=await desk.parameters(),
            )

        by = By(actor=SYSTEM.actor, reason=f"water purse, seq {purse.seq}")
        await self._office.record("PurseCounted", decide, by=by)

    async def _settle(self, purse: Purse) -> None:
        async def decide(desk: Desk) -> Plan:
            counted = await desk.read(lambda r: purses.counted_purse(r.connection, purse.seq))
            if counted is None:
                raise Refusal("CONFLICT", retry_after_ms=1_000)
            money = await desk.wallets(purse.account_number)
            return settle(counted, water_fen=money["water_fen"], last_seq=money["last_seq"])

        by = By(actor=SYSTEM.actor, reason=f"water_purse_on_loss, seq {purse.seq}")
        await self._office.record("PurseSettled", decide, by=by)


def _carrier(registry: Registry, medium_number: int, now_us: int) -> Carrier | None:
    medium = registry.medium(medium_number)
    if medium is None:
        return None
    return card_acts.carrier_of(registry, medium, card_acts.moment_at(registry, now_us).today)
