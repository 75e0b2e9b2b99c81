"""Alerts: taps of cards that are void, lost or perhaps copied, and what became of them.

Taps at terminals are seen in their blocks by reason alone (``Block.reasons``), passages in their
documents. Taps of one card at one terminal count in one alert while it is open.

**Source:** regulation 五.1, 七.5; ``core/alerts.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.alerts import ALARMING, CLONE, AlertFacts, folds
from core.blocks import Outcome, RecordType
from core.documents import cards as documents
from server.registers import cases
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3

    from core.blocks import Block
    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = f"""
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, reason INTEGER NOT NULL,
    account_number INTEGER NOT NULL, medium_number INTEGER NOT NULL,
    terminal_number INTEGER NOT NULL, merchant_number INTEGER NOT NULL,
    taps INTEGER NOT NULL DEFAULT 1, last_us INTEGER NOT NULL,
    frozen_seq INTEGER NOT NULL DEFAULT 0, closed_seq INTEGER NOT NULL DEFAULT 0,
    closed_us INTEGER NOT NULL DEFAULT 0, closed_by TEXT NOT NULL DEFAULT '',
    closed_why TEXT NOT NULL DEFAULT ''
);
CREATE INDEX alerts_by_account ON alerts (account_number, seq);
CREATE INDEX alerts_open ON alerts (medium_number, terminal_number, reason) WHERE NOT closed_seq;
CREATE INDEX alerts_open_by_seq ON alerts (seq) WHERE NOT closed_seq;
CREATE INDEX alerts_unfrozen ON alerts (seq) WHERE reason = {CLONE} AND NOT frozen_seq;
"""

_FACTS: Final = (
    "SELECT seq, time_us, reason, account_number, medium_number, taps, frozen_seq, closed_seq"
    " FROM alerts"
)
_LISTED: Final = (
    "SELECT l.seq, l.time_us, l.reason, coalesce(a.account_no, ''), coalesce(a.name, ''),"
    " coalesce(a.class_name, ''), coalesce(m.type, 0), coalesce(c.card_no, 0),"
    " coalesce(t.terminal_id, ''), coalesce(s.merchant_id, ''), l.taps, l.last_us, l.frozen_seq,"
    " l.closed_us, l.closed_by, l.closed_why FROM alerts l"
    " LEFT JOIN accounts a ON a.number = l.account_number AND NOT a.erased"
    " LEFT JOIN media m ON m.number = l.medium_number"
    " LEFT JOIN cards c ON c.medium_number = l.medium_number"
    " LEFT JOIN terminals t ON t.number = l.terminal_number"
    " LEFT JOIN merchants s ON s.number = l.merchant_number"
)
OPEN_MAX: Final = 10_000
"""Open alerts are counted up to here."""

_TAPS: Final = frozenset({RecordType.PURCHASE, RecordType.HOLD})
_IS_ALARMING: Final = bytes(1 if number in ALARMING else 0 for number in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """An alert as lists show it; texts are empty where nothing is known or the holder is erased.

    ``closed_us`` is 0 while it is open.
    """

    seq: int
    time_us: int
    reason: int
    account_no: str
    name: str
    class_name: str
    medium_type: int
    card_no: int
    terminal_id: str
    merchant_id: str
    taps: int
    last_us: int
    frozen_seq: int
    closed_us: int
    closed_by: str
    closed_why: str


# ---- reading ----


def alert(sql: sqlite3.Connection, seq: int) -> AlertFacts | None:
    """Find an alert by the seq of its first tap."""
    row = sql.execute(f"{_FACTS} WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else _facts(row)


def unfrozen(sql: sqlite3.Connection, *, since_us: int, limit: int) -> list[AlertFacts]:
    """List signs of a copy whose card was not frozen yet, oldest first.

    Args:
        sql: of the registry.
        since_us: only those not older.
        limit: how many at most.
    """
    query = (
        f"{_FACTS} WHERE reason = {CLONE} AND NOT frozen_seq AND time_us >= ? ORDER BY seq LIMIT ?"
    )
    return [_facts(row) for row in sql.execute(query, (since_us, limit))]


def open_count(sql: sqlite3.Connection) -> int:
    """Count open alerts, up to ``OPEN_MAX``."""
    query = "SELECT count(*) FROM (SELECT 1 FROM alerts WHERE NOT closed_seq LIMIT ?)"
    (count,) = sql.execute(query, (OPEN_MAX,)).fetchone()
    return int(count)


def list_alerts(
    sql: sqlite3.Connection,
    *,
    only_open: bool,
    account_number: int,
    before: int,
    limit: int,
) -> list[AlertRow]:
    """List alerts, newest first.

    Args:
        sql: of the registry.
        only_open: leave out those that were acknowledged.
        account_number: of this account only; 0: of all.
        before: only those before this seq; 0: from the newest.
        limit: how many at most.
    """
    conditions, values = ["1"], list[object]()
    if only_open:
        conditions.append("NOT l.closed_seq")
    for condition, value in (("l.account_number = ?", account_number), ("l.seq < ?", before)):
        if value:
            conditions.append(condition)
            values.append(value)
    query = f"{_LISTED} WHERE {' AND '.join(conditions)} ORDER BY l.seq DESC LIMIT ?"
    names = AlertRow.__slots__
    rows = sql.execute(query, (*values, limit))
    return [AlertRow(**dict(zip(names, row, strict=True))) for row in rows]


def _facts(row: tuple[int, ...]) -> AlertFacts:
    return AlertFacts(**dict(zip(AlertFacts.__slots__, row, strict=True)))


# ---- writing ----


def keep_taps(sql: sqlite3.Connection, block: Block) -> None:
    """Keep what is alarming among the taps of a block."""
    marks = block.reasons().translate(_IS_ALARMING)
    index = marks.find(1)
    while index >= 0:
        record = block.record(index)
        if (
            record.type in _TAPS
            and record.outcome == Outcome.DECLINED
            and record.reason in ALARMING
        ):
            keep(
                sql,
                seq=record.seq,
                time_us=block.header.time_us,
                reason=record.reason,
                account=record.account,
                medium=record.medium,
                terminal=record.terminal,
                merchant=record.merchant,
            )
        index = marks.find(1, index + 1)


def keep(
    sql: sqlite3.Connection,
    *,
    seq: int,
    time_us: int,
    reason: int,
    account: int,
    medium: int,
    terminal: int,
    merchant: int = 0,
) -> None:
    """Keep an alarming tap: it opens an alert, or counts in the one that is open."""
    if folds(reason):
        counted = sql.execute(
            "UPDATE alerts SET taps = taps + 1, last_us = ? WHERE medium_number = ?"
            " AND terminal_number = ? AND reason = ? AND NOT closed_seq",
            (time_us, medium, terminal, reason),
        )
        if counted.rowcount:
            return
    sql.execute(
        "INSERT INTO alerts (seq, time_us, reason, account_number, medium_number,"
        " terminal_number, merchant_number, last_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (seq, time_us, reason, account, medium, terminal, merchant, time_us),
    )


def _frozen(scope: Scope, command: Command, document: documents.CloneFrozen) -> Facts:
    scope.sql.execute(
        "UPDATE alerts SET frozen_seq = ? WHERE seq = ?", (command.seq, document.alert)
    )
    if command.effects:
        cases.keep_suspension(scope, command, document.account, medium=document.medium)
    return {}


def _acknowledged(scope: Scope, command: Command, document: documents.AlertAcknowledged) -> Facts:
    scope.sql.execute(
        "UPDATE alerts SET closed_seq = ?, closed_us = ?, closed_by = ?, closed_why = ?"
        " WHERE seq = ?",
        (command.seq, command.time_us, command.by.actor, command.by.reason, document.alert),
    )
    return {}


REGISTER: Final = Register(
    _SCHEMA, {documents.CloneFrozen: _frozen, documents.AlertAcknowledged: _acknowledged}
)
