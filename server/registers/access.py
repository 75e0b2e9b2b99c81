"""Zones, groups and consents to faces: what staff sets up for gates."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from core.access import Emergency, MediumType, Passback, Zone
from core.blocks import RecordType
from core.documents import access as documents
from core.merchants import format_etag
from core.time_windows import Timetable, Window
from core.zones import GroupFacts, ZoneFacts
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = """
CREATE TABLE zones (
    zone TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL,
    passback INTEGER NOT NULL, passback_minutes INTEGER NOT NULL, exits INTEGER NOT NULL,
    emergency INTEGER NOT NULL DEFAULT 1, changed_seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE zone_gates (
    terminal_number INTEGER PRIMARY KEY, zone TEXT NOT NULL
);
CREATE INDEX zone_gates_by_zone ON zone_gates (zone);
CREATE TABLE access_groups (
    group_id TEXT PRIMARY KEY, name TEXT NOT NULL, kinds TEXT NOT NULL, class_names TEXT NOT NULL,
    windows TEXT NOT NULL, days TEXT NOT NULL, day_windows TEXT NOT NULL,
    changed_seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE access_group_zones (
    zone TEXT NOT NULL, group_id TEXT NOT NULL, PRIMARY KEY (zone, group_id)
) WITHOUT ROWID;
CREATE INDEX access_group_zones_by_group ON access_group_zones (group_id, zone);
CREATE TABLE access_group_kinds (
    group_id TEXT NOT NULL, kind INTEGER NOT NULL, PRIMARY KEY (group_id, kind)
) WITHOUT ROWID;
CREATE TABLE access_group_classes (
    group_id TEXT NOT NULL, class_name TEXT NOT NULL, PRIMARY KEY (group_id, class_name)
) WITHOUT ROWID;
CREATE TABLE access_group_members (
    group_id TEXT NOT NULL, account_number INTEGER NOT NULL,
    PRIMARY KEY (group_id, account_number)
) WITHOUT ROWID;
CREATE TABLE face_consents (
    medium_number INTEGER PRIMARY KEY, account_number INTEGER NOT NULL,
    consent_us INTEGER NOT NULL, text_version TEXT NOT NULL, minor INTEGER NOT NULL,
    guardian BLOB NOT NULL, enrolled_seq INTEGER NOT NULL,
    withdrawn_seq INTEGER NOT NULL DEFAULT 0, withdrawn_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX face_consents_by_account ON face_consents (account_number);
"""

_ZONE: Final = (
    "SELECT z.zone, z.name, z.kind, z.passback, z.passback_minutes, z.exits, z.emergency,"
    " z.changed_seq FROM zones z"
)
_GROUP: Final = (
    "SELECT g.group_id, g.name, g.kinds, g.class_names, g.windows, g.days, g.day_windows,"
    " g.changed_seq, (SELECT count(*) FROM access_group_members m WHERE m.group_id = g.group_id)"
    " FROM access_groups g"
)
_OF_ZONE: Final = "SELECT group_id FROM access_group_zones WHERE zone = ?"
_TIMETABLES: Final = (
    "SELECT g.windows, g.days, g.day_windows FROM access_group_zones z"
    " JOIN access_groups g ON g.group_id = z.group_id WHERE z.zone = ? AND ("
    " EXISTS (SELECT 1 FROM access_group_members m"
    " WHERE m.group_id = g.group_id AND m.account_number = ?)"
    " OR EXISTS (SELECT 1 FROM access_group_classes c"
    " WHERE c.group_id = g.group_id AND c.class_name = ?)"
    " OR EXISTS (SELECT 1 FROM access_group_kinds k"
    " WHERE k.group_id = g.group_id AND k.kind = ?))"
)


def _zone_set(scope: Scope, command: Command, document: documents.ZoneSet) -> Facts:
    scope.sql.execute(
        "INSERT INTO zones (zone, name, kind, passback, passback_minutes, exits, changed_seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (zone) DO UPDATE SET name = excluded.name,"
        " kind = excluded.kind, passback = excluded.passback,"
        " passback_minutes = excluded.passback_minutes, exits = excluded.exits,"
        " changed_seq = excluded.changed_seq",
        (
            document.zone,
            document.name,
            document.kind,
            document.passback,
            document.passback_minutes,
            document.exits,
            command.seq,
        ),
    )
    scope.sql.execute("DELETE FROM zone_gates WHERE zone = ?", (document.zone,))
    scope.sql.executemany(
        "INSERT INTO zone_gates VALUES (?, ?)", [(n, document.zone) for n in document.terminals]
    )
    return {"etag": format_etag(command.seq)}


def _emergency_set(scope: Scope, command: Command, document: documents.ZoneEmergencySet) -> Facts:
    scope.sql.execute(
        "UPDATE zones SET emergency = ?, changed_seq = ? WHERE zone = ?",
        (document.mode, command.seq, document.zone),
    )
    return {"previous": document.previous}


def _group_set(scope: Scope, command: Command, document: documents.GroupSet) -> Facts:
    sql, group = scope.sql, document.group
    sql.execute(
        "INSERT OR REPLACE INTO access_groups VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            group,
            document.name,
            _text(document.kinds),
            _text(document.class_names),
            _text(document.windows),
            _text(document.days),
            _text(document.day_windows),
            command.seq,
        ),
    )
    for table in ("zones", "kinds", "classes"):
        sql.execute(f"DELETE FROM access_group_{table} WHERE group_id = ?", (group,))  # noqa: S608 - three names
    sql.executemany(
        "INSERT INTO access_group_zones VALUES (?, ?)", [(zone, group) for zone in document.zones]
    )
    sql.executemany(
        "INSERT INTO access_group_kinds VALUES (?, ?)", [(group, kind) for kind in document.kinds]
    )
    sql.executemany(
        "INSERT INTO access_group_classes VALUES (?, ?)",
        [(group, name) for name in document.class_names],
    )
    return {"etag": format_etag(command.seq)}


def _members_put(scope: Scope, _: Command, document: documents.MembersPut) -> Facts:
    rows = [(document.group, number) for number in document.accounts]
    before = scope.sql.total_changes
    scope.sql.executemany("INSERT OR IGNORE INTO access_group_members VALUES (?, ?)", rows)
    return {"added": scope.sql.total_changes - before}


def _members_removed(scope: Scope, _: Command, document: documents.MembersRemoved) -> Facts:
    rows = [(document.group, number) for number in document.accounts]
    before = scope.sql.total_changes
    scope.sql.executemany(
        "DELETE FROM access_group_members WHERE group_id = ? AND account_number = ?", rows
    )
    return {"removed": scope.sql.total_changes - before}


def _face_enrolled(scope: Scope, command: Command, document: documents.FaceEnrolled) -> Facts:
    number = command.effect(RecordType.MEDIUM).medium
    scope.sql.execute(
        "UPDATE media SET type = ?, token = ? WHERE number = ?",
        (MediumType.FACE, document.token, number),
    )
    scope.sql.execute(
        "INSERT INTO face_consents (medium_number, account_number, consent_us, text_version, minor,"
        " guardian, enrolled_seq) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            document.account,
            document.consent_us,
            document.text_version,
            document.minor,
            document.guardian,
            command.seq,
        ),
    )
    return {"medium_number": number}


def _face_withdrawn(scope: Scope, command: Command, _: documents.FaceWithdrawn) -> Facts:
    number = command.effect(RecordType.MEDIUM).medium
    scope.sql.execute("UPDATE media SET token = x'' WHERE number = ?", (number,))
    scope.sql.execute(
        "UPDATE face_consents SET withdrawn_seq = ?, withdrawn_us = ?, guardian = x''"
        " WHERE medium_number = ?",
        (command.seq, command.time_us, number),
    )
    return {}


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.ZoneSet: _zone_set,
        documents.ZoneEmergencySet: _emergency_set,
        documents.GroupSet: _group_set,
        documents.MembersPut: _members_put,
        documents.MembersRemoved: _members_removed,
        documents.FaceEnrolled: _face_enrolled,
        documents.FaceWithdrawn: _face_withdrawn,
    },
)


# ---- reading ----


def zone(sql: sqlite3.Connection, name: str) -> ZoneFacts | None:
    """Find a zone."""
    row = sql.execute(f"{_ZONE} WHERE z.zone = ?", (name,)).fetchone()
    return None if row is None else _zone_facts(sql, row)


def list_zones(sql: sqlite3.Connection, *, kind: str, after: str, limit: int) -> list[ZoneFacts]:
    """List zones in order of their names; ``kind`` empty: of all kinds."""
    rows = sql.execute(
        f"{_ZONE} WHERE z.zone > ? AND (? = '' OR z.kind = ?) ORDER BY z.zone LIMIT ?",
        (after, kind, kind, limit),
    ).fetchall()
    return [_zone_facts(sql, row) for row in rows]


def zone_of_gate(sql: sqlite3.Connection, terminal: int) -> Zone | None:
    """Find the zone a terminal guards."""
    row = sql.execute(
        f"{_ZONE} JOIN zone_gates g ON g.zone = z.zone WHERE g.terminal_number = ?", (terminal,)
    ).fetchone()
    if row is None:
        return None
    name, _, _, passback, minutes, exits, emergency, _ = row
    return Zone(
        zone=name,
        emergency=Emergency(emergency),
        passback=Passback(passback),
        passback_minutes=minutes,
        exits=bool(exits),
    )


def zones_there(sql: sqlite3.Connection, names: Sequence[str]) -> frozenset[str]:
    """Return which of these zones exist."""
    query = "SELECT zone FROM zones WHERE zone IN (SELECT value FROM json_each(?))"
    return frozenset(name for (name,) in sql.execute(query, (_text(names),)))


def gates_of_others(sql: sqlite3.Connection, terminals: Sequence[int], zone: str) -> list[str]:
    """Return the terminal_ids among these terminals that guard another zone."""
    query = (
        "SELECT t.terminal_id FROM zone_gates g JOIN terminals t ON t.number = g.terminal_number"
        " WHERE g.zone != ? AND g.terminal_number IN (SELECT value FROM json_each(?))"
        " ORDER BY t.terminal_id"
    )
    return [name for (name,) in sql.execute(query, (zone, _text(terminals)))]


def group(sql: sqlite3.Connection, name: str) -> GroupFacts | None:
    """Find a group."""
    row = sql.execute(f"{_GROUP} WHERE g.group_id = ?", (name,)).fetchone()
    return None if row is None else _group_facts(sql, row)


def members_among(sql: sqlite3.Connection, group: str, accounts: Sequence[int]) -> frozenset[int]:
    """Return which of these accounts were put into a group by their numbers."""
    rows = sql.execute(
        "SELECT account_number FROM access_group_members WHERE group_id = ?"
        " AND account_number IN (SELECT value FROM json_each(?))",
        (group, _text(accounts)),
    )
    return frozenset(number for (number,) in rows)


def list_groups(sql: sqlite3.Connection, *, zone: str, after: str, limit: int) -> list[GroupFacts]:
    """List groups in order of their names; ``zone`` empty: of all zones."""
    rows = sql.execute(
        f"{_GROUP} WHERE g.group_id > ? AND (? = '' OR g.group_id IN ({_OF_ZONE}))"
        " ORDER BY g.group_id LIMIT ?",
        (after, zone, zone, limit),
    ).fetchall()
    return [_group_facts(sql, row) for row in rows]


def timetables_for(
    sql: sqlite3.Connection, zone: str, *, account: int, class_name: str, kind: int
) -> tuple[Timetable, ...]:
    """Return the timetables of the groups of a zone an account is in."""
    rows = sql.execute(_TIMETABLES, (zone, account, class_name, kind))
    return tuple(_timetable(*row) for row in rows)


def forget_face(sql: sqlite3.Connection, account: int) -> None:
    """Take away what is kept of an erased holder's faces."""
    sql.execute("UPDATE face_consents SET guardian = x'' WHERE account_number = ?", (account,))
    sql.execute(
        "UPDATE media SET token = x'' WHERE account_number = ? AND type = ?",
        (account, MediumType.FACE),
    )


def _zone_facts(sql: sqlite3.Connection, row: Any) -> ZoneFacts:
    name, title, kind, passback, minutes, exits, emergency, changed_seq = row
    gates = sql.execute(
        "SELECT t.terminal_id FROM zone_gates g JOIN terminals t ON t.number = g.terminal_number"
        " WHERE g.zone = ? ORDER BY t.terminal_id",
        (name,),
    )
    return ZoneFacts(
        zone=name,
        name=title,
        kind=kind,
        terminals=tuple(terminal for (terminal,) in gates),
        passback=Passback(passback),
        passback_minutes=minutes,
        exits=bool(exits),
        emergency=Emergency(emergency),
        changed_seq=changed_seq,
    )


def _group_facts(sql: sqlite3.Connection, row: Any) -> GroupFacts:
    name, title, kinds, class_names, windows, days, day_windows, changed_seq, members = row
    zones = sql.execute(
        "SELECT zone FROM access_group_zones WHERE group_id = ? ORDER BY zone", (name,)
    )
    return GroupFacts(
        group=name,
        name=title,
        zones=tuple(zone for (zone,) in zones),
        kinds=tuple(json.loads(kinds)),
        class_names=tuple(json.loads(class_names)),
        timetable=_timetable(windows, days, day_windows),
        members=members,
        changed_seq=changed_seq,
    )


def _timetable(windows: str, days: str, day_windows: str) -> Timetable:
    special = dict.fromkeys(json.loads(days), ()) | _windows(json.loads(day_windows))
    return Timetable(weekly=_windows(json.loads(windows)), days=special)


def _windows(numbers: list[int]) -> dict[int, tuple[Window, ...]]:
    triples = [tuple(numbers[i : i + 3]) for i in range(0, len(numbers), 3)]
    return {
        day: tuple(Window(start, end) for _, start, end in some)
        for day, some in itertools.groupby(triples, key=lambda triple: triple[0])
    }


def _text(items: Iterable[object]) -> str:
    return json.dumps(list(items), ensure_ascii=False, separators=(",", ":"))
