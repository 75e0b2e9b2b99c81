"""Changes under dual control in the registry: proposals, approved versions, what is in force.

**Source:** regulation 六.3a, 九.2; docs/reference/documents.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core import documents
from core.blocks import RecordType
from core.change_subjects import MEALS, parse_meals
from core.parameter_changes import Change, Proposal, ProposalState
from core.parameters import Values
from core.plans import EffectKind
from core.rows import ScheduledBody
from server.registers.base import Facts, Register

if TYPE_CHECKING:
    import sqlite3

    from server.registers.base import Command, Scope

_SCHEMA: Final = """
CREATE TABLE parameter_proposals (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL, value TEXT NOT NULL, effective_us INTEGER NOT NULL,
    cancels INTEGER NOT NULL DEFAULT 0,
    proposer TEXT NOT NULL, reason TEXT NOT NULL, time_us INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 1, decider TEXT NOT NULL DEFAULT '',
    decided_reason TEXT NOT NULL DEFAULT '', decided_us INTEGER NOT NULL DEFAULT 0,
    decided_seq INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX parameter_proposals_by_state ON parameter_proposals (state, number);
CREATE TABLE parameter_versions (
    seq INTEGER PRIMARY KEY,
    proposal INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    effective_us INTEGER NOT NULL, version INTEGER NOT NULL,
    scheduled TEXT NOT NULL, cancelled_seq INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX parameter_versions_by_key ON parameter_versions (key, version);
"""

_PROPOSAL: Final = (
    "SELECT number, key, value, effective_us, cancels, proposer, reason, time_us, state, decider,"
    " decided_reason, decided_us, decided_seq FROM parameter_proposals"
)
_CHANGE: Final = (
    "SELECT seq, proposal, key, value, effective_us, version, scheduled FROM parameter_versions"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRow:
    """A proposal with who proposed and decided it, when and why."""

    number: int
    key: str
    value: str
    effective_us: int
    cancels: int
    proposer: str
    reason: str
    time_us: int
    state: int
    decider: str
    decided_reason: str
    decided_us: int
    decided_seq: int

    def facts(self) -> Proposal:
        """Return what the rules read."""
        return Proposal(
            number=self.number,
            key=self.key,
            value=self.value,
            effective_us=self.effective_us,
            cancels=self.cancels,
            proposer=self.proposer,
            state=ProposalState(self.state),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """An approved version. ``cancelled_seq``: of the approval that took it back, or 0.

    ``in_force_seq`` is the record with which it took effect in the engine; 0: not yet.
    """

    change: Change
    cancelled_seq: int
    in_force_seq: int
    proposal: ProposalRow


def _proposed(
    scope: Scope, command: Command, document: documents.parameters.ChangeProposed
) -> Facts:
    _insert(scope, command, document.key, document.value, document.effective_us, 0)
    return {
        "proposal": command.seq,
        "value": document.value,
        "effective_us": document.effective_us,
    }


def _cancellation_proposed(
    scope: Scope, command: Command, document: documents.parameters.CancellationProposed
) -> Facts:
    key, value, effective_us = scope.sql.execute(
        "SELECT key, value, effective_us FROM parameter_versions WHERE seq = ?", (document.change,)
    ).fetchone()
    _insert(scope, command, key, value, effective_us, document.change)
    return {"proposal": command.seq}


def _insert(
    scope: Scope, command: Command, key: str, value: str, effective_us: int, cancels: int
) -> None:
    scope.sql.execute(
        "INSERT INTO parameter_proposals (number, key, value, effective_us, cancels, proposer,"
        " reason, time_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            command.seq,
            key,
            value,
            effective_us,
            cancels,
            command.by.actor,
            command.by.reason,
            command.time_us,
        ),
    )


def _approved(
    scope: Scope, command: Command, document: documents.parameters.ChangeApproved
) -> Facts:
    _decided(scope, command, document.proposal, ProposalState.APPROVED)
    effective_us = document.effective_us or command.time_us
    scheduled = command.effects_of(RecordType.SCHEDULED)
    overridden = scope.sql.execute(
        "SELECT coalesce(max(version), 0) FROM parameter_versions"
        " WHERE key = ? AND effective_us = ? AND cancelled_seq = 0",
        (document.key, effective_us),
    ).fetchone()[0]
    scope.sql.execute(
        "INSERT INTO parameter_versions (seq, proposal, key, value, effective_us, version, scheduled)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            command.seq,
            document.proposal,
            document.key,
            document.value,
            effective_us,
            document.version,
            json.dumps([record.seq for record in scheduled]),
        ),
    )
    if document.key == MEALS:
        names = json.dumps([p.name for p in parse_meals(document.value)], ensure_ascii=False)
        for record in scheduled:
            if ScheduledBody.unpack(record.body).kind == EffectKind.MEALS:
                scope.sql.execute(
                    "UPDATE scheduled SET names = ? WHERE seq = ?", (names, record.seq)
                )
    return {
        "change": command.seq,
        "version": document.version,
        "effective_us": effective_us,
        "overridden_version": overridden,
    }


def _cancelled(
    scope: Scope, command: Command, document: documents.parameters.CancellationApproved
) -> Facts:
    _decided(scope, command, document.proposal, ProposalState.APPROVED)
    scope.sql.execute(
        "UPDATE parameter_versions SET cancelled_seq = ? WHERE seq = ?",
        (command.seq, document.change),
    )
    return {"change": document.change}


def _rejected(
    scope: Scope, command: Command, document: documents.parameters.ProposalRejected
) -> Facts:
    _decided(scope, command, document.proposal, ProposalState.REJECTED)
    return {}


def _withdrawn(
    scope: Scope, command: Command, document: documents.parameters.ProposalWithdrawn
) -> Facts:
    _decided(scope, command, document.proposal, ProposalState.WITHDRAWN)
    return {}


def _decided(scope: Scope, command: Command, proposal: int, state: ProposalState) -> None:
    scope.sql.execute(
        "UPDATE parameter_proposals SET state = ?, decider = ?, decided_reason = ?,"
        " decided_us = ?, decided_seq = ? WHERE number = ?",
        (state, command.by.actor, command.by.reason, command.time_us, command.seq, proposal),
    )


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.parameters.ChangeProposed: _proposed,
        documents.parameters.CancellationProposed: _cancellation_proposed,
        documents.parameters.ChangeApproved: _approved,
        documents.parameters.CancellationApproved: _cancelled,
        documents.parameters.ProposalRejected: _rejected,
        documents.parameters.ProposalWithdrawn: _withdrawn,
    },
)


def values_at(sql: sqlite3.Connection, time_us: int) -> Values:
    """Return the values in force at a moment.

    Args:
        sql: of the registry.
        time_us: microseconds since 1970 UTC.
    """
    rows = sql.execute(
        "SELECT key, value FROM parameter_versions WHERE effective_us <= ? AND cancelled_seq = 0"
        " ORDER BY key, effective_us, version",
        (time_us,),
    )
    return Values(dict(rows.fetchall()))


def changes(sql: sqlite3.Connection) -> tuple[Change, ...]:
    """Return every approved change that was not cancelled, in order of approval."""
    return tuple(map(_change, sql.execute(f"{_CHANGE} WHERE cancelled_seq = 0 ORDER BY seq")))


def change(sql: sqlite3.Connection, seq: int) -> Change | None:
    """Find an approved change that was not cancelled by its approval's seq."""
    row = sql.execute(f"{_CHANGE} WHERE seq = ? AND cancelled_seq = 0", (seq,)).fetchone()
    return None if row is None else _change(row)


def last_version(sql: sqlite3.Connection, key: str) -> int:
    """Return the newest version of a key, cancelled or not; 0 before the first."""
    query = "SELECT coalesce(max(version), 0) FROM parameter_versions WHERE key = ?"
    return int(sql.execute(query, (key,)).fetchone()[0])


def versions(
    sql: sqlite3.Connection, key: str, *, before_version: int, limit: int
) -> list[VersionRow]:
    """List a key's versions, newest first, cancelled ones too.

    Args:
        sql: of the registry.
        key: of what is changed.
        before_version: only older ones; 0: from the newest.
        limit: how many at most.
    """
    rows = sql.execute(
        "SELECT v.seq, v.proposal, v.key, v.value, v.effective_us, v.version, v.scheduled,"
        " v.cancelled_seq, coalesce((SELECT max(s.ended_seq) FROM scheduled s WHERE s.state = 1"
        " AND s.seq IN (SELECT value FROM json_each(v.scheduled))), 0)"
        " FROM parameter_versions v WHERE v.key = ? AND (? = 0 OR v.version < ?)"
        " ORDER BY v.version DESC LIMIT ?",
        (key, before_version, before_version, limit),
    ).fetchall()
    found = []
    for *row, cancelled_seq, in_force_seq in rows:
        made = _change(tuple(row))
        given = proposal(sql, made.proposal)
        if given is not None:
            found.append(
                VersionRow(
                    change=made,
                    cancelled_seq=cancelled_seq,
                    in_force_seq=in_force_seq,
                    proposal=given,
                )
            )
    return found


def proposal(sql: sqlite3.Connection, number: int) -> ProposalRow | None:
    """Find a proposal."""
    row = sql.execute(f"{_PROPOSAL} WHERE number = ?", (number,)).fetchone()
    return None if row is None else ProposalRow(**dict(zip(_FIELDS, row, strict=True)))


def proposals(sql: sqlite3.Connection, *, state: int, before: int, limit: int) -> list[ProposalRow]:
    """List proposals, newest first.

    Args:
        sql: of the registry.
        state: a ``ProposalState``; 0: all.
        before: only numbers below it; 0: from the newest.
        limit: how many at most.
    """
    rows = sql.execute(
        f"{_PROPOSAL} WHERE (? = 0 OR state = ?) AND (? = 0 OR number < ?)"
        " ORDER BY number DESC LIMIT ?",
        (state, state, before, before, limit),
    )
    return [ProposalRow(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


def open_count(sql: sqlite3.Connection) -> int:
    """Return how many proposals wait."""
    row = sql.execute(
        "SELECT count(*) FROM parameter_proposals WHERE state = ?", (ProposalState.OPEN,)
    ).fetchone()
    return int(row[0])


_FIELDS: Final = ProposalRow.__slots__


def _change(row: tuple[object, ...]) -> Change:
    seq, number, key, value, effective_us, version, scheduled = row
    return Change(
        seq=int(str(seq)),
        proposal=int(str(number)),
        key=str(key),
        value=str(value),
        effective_us=int(str(effective_us)),
        version=int(str(version)),
        scheduled=tuple(json.loads(str(scheduled))),
    )
