"""Zones and groups: what staff sets up for gates, decided.

**Source:** regulation 四.2 (出入管控, 后续扩展: kinds of zones are names, not code); 六.3a (who changed
what stands in the journal).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.access import Emergency, Passback
from core.documents import access as documents
from core.merchants import check_etag
from core.plans import Plan
from core.refusals import Refusal, illegal, invalid, missing
from core.rows import ServiceStatus
from core.time_windows import timetable_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.facts import TerminalFacts
    from core.time_windows import Timetable, Window

GATES_MAX: Final = 200
"""Gates of one zone at most."""
NAMES_MAX: Final = 200
"""Classes, kinds or zones of one group at most."""
MEMBERS_MAX: Final = 500
"""Accounts put into a group, or taken out of it, at once."""
PASSBACK_MAX: Final = 10_080
"""Longest time that counts for a second entry, minutes: a week."""

_KIND: Final = re.compile(r"[A-Z][A-Z0-9_]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFacts:
    """A zone as the registry has it. ``terminals`` are the terminal_ids of its gates."""

    zone: str
    name: str
    kind: str
    terminals: tuple[str, ...]
    passback: Passback
    passback_minutes: int
    exits: bool
    emergency: Emergency
    changed_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """A group as the registry has it; ``members`` counts accounts put in by their numbers."""

    group: str
    name: str
    zones: tuple[str, ...]
    kinds: tuple[int, ...]
    class_names: tuple[str, ...]
    timetable: Timetable
    members: int
    changed_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedZone:
    """A zone as it shall be."""

    zone: str
    name: str
    kind: str
    passback: Passback
    passback_minutes: int
    exits: bool
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedGroup:
    """A group as it shall be."""

    group: str
    name: str
    zones: tuple[str, ...]
    kinds: tuple[int, ...]
    class_names: tuple[str, ...]
    timetable: Timetable
    etag: str


def set_zone(
    wanted: WantedZone,
    gates: Sequence[TerminalFacts],
    *,
    known: ZoneFacts | None,
    others: Sequence[str],
) -> Plan:
    """Make a zone, or change it.

    Args:
        wanted: how it shall be.
        gates: its terminals.
        known: as it is; None: there is none.
        others: terminal_ids among the gates that guard another zone.

    Raises:
        Refusal: FIELD_INVALID, CONFLICT, GATE_TAKEN, STATE_TRANSITION.
    """
    if _KIND.fullmatch(wanted.kind) is None:
        raise invalid("kind", "1 to 32 of A-Z, 0-9 and '_', a letter first")
    if len(gates) > GATES_MAX:
        raise invalid("terminal_ids", f"at most {GATES_MAX}")
    if not 0 <= wanted.passback_minutes <= PASSBACK_MAX:
        raise invalid("passback_minutes", f"0 to {PASSBACK_MAX}")
    if wanted.passback is not Passback.OFF and not wanted.passback_minutes:
        raise invalid("passback_minutes", "1 or more where a second entry counts")
    check_etag(wanted.etag, changed_seq=known.changed_seq if known else 0)
    if others:
        raise Refusal("GATE_TAKEN", terminal=others[0])
    for gate in gates:
        if gate.status is ServiceStatus.WITHDRAWN:
            raise illegal(gate.status.name, "GATE", ())
    document = documents.ZoneSet(
        zone=wanted.zone,
        name=wanted.name,
        kind=wanted.kind,
        terminals=tuple(sorted({gate.number for gate in gates})),
        passback=wanted.passback,
        passback_minutes=wanted.passback_minutes,
        exits=int(wanted.exits),
    )
    return Plan(document=document, effects=())


def set_group(wanted: WantedGroup, *, known: GroupFacts | None, zones: frozenset[str]) -> Plan:
    """Make a group, or change it.

    Args:
        wanted: how it shall be.
        known: as it is; None: there is none.
        zones: those of ``wanted.zones`` that exist.

    Raises:
        Refusal: FIELD_INVALID, CONFLICT, NOT_FOUND for a zone.
    """
    for field in ("zones", "kinds", "class_names"):
        if len(getattr(wanted, field)) > NAMES_MAX:
            raise invalid(field, f"at most {NAMES_MAX}")
    fault = timetable_fault(wanted.timetable)
    if fault:
        raise invalid("windows", fault)
    check_etag(wanted.etag, changed_seq=known.changed_seq if known else 0)
    if not zones.issuperset(wanted.zones):
        raise missing("zone")
    table = wanted.timetable
    document = documents.GroupSet(
        group=wanted.group,
        name=wanted.name,
        zones=tuple(sorted(set(wanted.zones))),
        kinds=tuple(sorted(set(wanted.kinds))),
        class_names=tuple(sorted(set(wanted.class_names))),
        windows=_triples({day: table.weekly[day] for day in sorted(table.weekly)}),
        days=tuple(sorted(table.days)),
        day_windows=_triples({day: table.days[day] for day in sorted(table.days)}),
    )
    return Plan(document=document, effects=())


def put_members(group: GroupFacts, accounts: Sequence[int]) -> Plan:
    """Put accounts into a group."""
    document = documents.MembersPut(group=group.group, accounts=tuple(sorted(set(accounts))))
    return Plan(document=document, effects=())


def remove_members(group: GroupFacts, accounts: Sequence[int]) -> Plan:
    """Take accounts out of a group they were put into by their numbers."""
    document = documents.MembersRemoved(group=group.group, accounts=tuple(sorted(set(accounts))))
    return Plan(document=document, effects=())


def set_emergency(zone: ZoneFacts, mode: Emergency) -> Plan:
    """Open a zone for everybody, lock it, or let it work again.

    Raises:
        Refusal: STATE_TRANSITION: it stands so already.
    """
    if zone.emergency is mode:
        raise illegal(
            mode.name, mode.name, (other.name for other in Emergency if other is not mode)
        )
    document = documents.ZoneEmergencySet(zone=zone.zone, mode=mode, previous=zone.emergency)
    return Plan(document=document, effects=())


def _triples(windows: dict[int, tuple[Window, ...]]) -> tuple[int, ...]:
    return tuple(
        number
        for day, some in windows.items()
        for window in sorted(some)
        for number in (day, window.start, window.end)
    )
