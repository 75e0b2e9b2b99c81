"""Who may pass a gate: one decision, from the same truth about cards that payments have.

The order is fixed and the first thing that is wrong decides: emergency, carrier, account, the
holder's standing with the school, groups and their hours, the passage before.

**Source:** regulation 二.1 (身份识别), 四.1a, 四.2 (出入管控), 八.1; D19 (leave); the rules on face
recognition in force since 2025-06-01 (never the only way).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from core.accounts import limits_as_they_are
from core.calendar import day_key
from core.holders import LEFT, HolderStatus
from core.media import medium_as_is
from core.plans import EFFECTS_MAX
from core.rows import AccountStatus, MediumFlag, MediumState, ServiceStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.facts import AccountFacts, MediumFacts
    from core.plans import EffectPlan
    from core.time_windows import Timetable

US_PER_MINUTE: Final = 60_000_000
OK: Final = "OK"


class MediumType(IntEnum):
    """Kind of carrier; as in the proto."""

    RFID_CARD = 1
    MOBILE_QR = 2
    MOBILE_NFC = 3
    FACE = 4


class Direction(IntEnum):
    """Which way somebody passes; as in the proto."""

    IN = 1
    OUT = 2


class Passback(IntEnum):
    """What is done about a second entry without an exit; as in the proto."""

    OFF = 1
    WARN = 2
    ENFORCE = 3


class Emergency(IntEnum):
    """How a zone stands; as in the proto."""

    NONE = 1
    OPEN = 2
    LOCKED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A zone as the decision needs it. ``exits``: who leaves is checked like who enters."""

    zone: str
    emergency: Emergency
    passback: Passback
    passback_minutes: int
    exits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What was shown at the gate, as far as it resolved.

    Attributes:
        medium: None: it is not known.
        fault: name of a reason that ends it already, as QR_EXPIRED; empty: none.
        others: the account's other media, for a face.
    """

    medium: MediumFacts | None
    fault: str = ""
    others: tuple[MediumFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passer:
    """Who it is, and what was before.

    Attributes:
        timetables: of the groups of the zone this account is in.
        inside_since_us: of the last entry into the zone with no exit after it; 0: outside.
    """

    account_status: AccountStatus
    holder_status: HolderStatus
    timetables: tuple[Timetable, ...]
    inside_since_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When it is decided: microseconds since 1970 UTC, and seconds the local day is ahead."""

    time_us: int
    utc_offset_s: int

    @property
    def today(self) -> int:
        """The local day, days since 1970-01-01."""
        return day_key(self.time_us, self.utc_offset_s)

    @property
    def minute(self) -> int:
        """The minute of the local day."""
        return (self.time_us // 1_000_000 + self.utc_offset_s) % 86_400 // 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether somebody may pass, and a reason of the catalogue; a warning where they may."""

    granted: bool
    reason: str = OK


def medium_fault(medium: MediumFacts | None, today: int) -> str:
    """Return what is wrong with a medium, as the engine finds it before it pays; empty: nothing.

    Args:
        medium: None: it is not known.
        today: local day.

    **Source:** regulation 三.2a, 三.2d, 三.3b, 三.1, 八.1; docs/reference/decisions.md, check 3 and 4.
    """
    if medium is None or medium.state in {MediumState.NONE, MediumState.UNBOUND}:
        return "CARD_UNKNOWN"
    if medium.state in {MediumState.VOID, MediumState.RETURNED}:
        return "CARD_VOID"
    if MediumFlag.LOST in medium.flags:
        return "CARD_LOST"
    if MediumFlag.FROZEN in medium.flags:
        return "CARD_FROZEN"
    if medium.expires_day and today >= medium.expires_day:
        return "CARD_EXPIRED"
    return "" if medium.state is MediumState.ACTIVE else "CARD_NOT_ACTIVE"


def carrier_fault(shown: Shown, today: int) -> str:
    """Return what is wrong with what was shown, to a gate or a till; empty: nothing.

    A face counts only beside another carrier that works: nobody is left with the face alone.

    Args:
        shown: what was shown.
        today: local day.
    """
    fault = shown.fault or medium_fault(shown.medium, today)
    if fault or shown.medium is None or shown.medium.type != MediumType.FACE:
        return fault
    return "" if has_other_carrier(shown.others, today) else "FACE_ONLY"


def has_other_carrier(media: tuple[MediumFacts, ...], today: int) -> bool:
    """Tell whether one of an account's media, no face, works today."""
    return any(m.type != MediumType.FACE and not medium_fault(m, today) for m in media)


def account_fault(status: AccountStatus) -> str:
    """Return why an account may not be used; empty: it may. A debt closes no door."""
    if status in {AccountStatus.CLOSING, AccountStatus.CLOSED}:
        return "ACCOUNT_CLOSED"
    return "ACCOUNT_SUSPENDED" if status is AccountStatus.SUSPENDED else ""


def decide(
    zone: Zone,
    gate: ServiceStatus,
    direction: Direction,
    shown: Shown,
    passer: Passer | None,
    moment: Moment,
) -> Verdict:
    """Decide one passage.

    A zone that stands open lets everybody pass, whatever they show; a locked one lets nobody in,
    and out as always. Who leaves is asked for a carrier that works, and for hours and groups only
    where the zone says so: nobody is shut in.

    Args:
        zone: of the gate.
        gate: whether the gate's terminal works.
        direction: which way.
        shown: the carrier.
        passer: None where the carrier did not resolve.
        moment: now.
    """
    if zone.emergency is Emergency.OPEN:
        return Verdict(granted=True, reason="ZONE_OPEN")
    if gate is not ServiceStatus.IN_SERVICE:
        return Verdict(granted=False, reason="TERMINAL_SUSPENDED")
    entering = direction is Direction.IN
    if zone.emergency is Emergency.LOCKED and entering:
        return Verdict(granted=False, reason="ZONE_LOCKED")
    fault = carrier_fault(shown, moment.today)
    if fault or passer is None:
        return Verdict(granted=False, reason=fault or "CARD_UNKNOWN")
    fault = account_fault(passer.account_status) or _standing_fault(passer.holder_status)
    if not fault and (entering or zone.exits):
        fault = _hours_fault(passer.timetables, moment)
    if fault:
        return Verdict(granted=False, reason=fault)
    if entering and _came_twice(zone, passer.inside_since_us, moment.time_us):
        return Verdict(granted=zone.passback is Passback.WARN, reason="PASSBACK")
    return Verdict(granted=True)


def as_decided(account: AccountFacts, media: Iterable[MediumFacts]) -> tuple[EffectPlan, ...]:
    """Return effects that change nothing and demand that a passage finds what it was decided on.

    Only an effect that waits for its time can come between a decision and its record; everything else
    goes through the same lane. The account's limits and the media are written as they are: neither
    takes the end of a suspension away.

    Args:
        account: with an end that waits, or without.
        media: those with an end that waits.

    **Source:** regulation 二.1, 八.1; docs/reference/decisions.md "Scheduled effects".
    """
    effects = [medium_as_is(medium) for medium in media]
    if account.held.end_seq:
        effects.insert(0, limits_as_they_are(account))
    return tuple(effects[:EFFECTS_MAX])


def _standing_fault(status: HolderStatus) -> str:
    if status in LEFT:
        return "HOLDER_LEFT"
    return "HOLDER_ON_LEAVE" if status is HolderStatus.ON_LEAVE else ""


def _hours_fault(timetables: tuple[Timetable, ...], moment: Moment) -> str:
    if not timetables:
        return "NOT_ADMITTED"
    is_open = any(table.is_open(moment.today, moment.minute) for table in timetables)
    return "" if is_open else "OUTSIDE_WINDOW"


def _came_twice(zone: Zone, inside_since_us: int, time_us: int) -> bool:
    if zone.passback is Passback.OFF or not inside_since_us:
        return False
    return time_us - inside_since_us < zone.passback_minutes * US_PER_MINUTE
