"""Decisions at gates, who is inside, and dynamic QR codes that were used up.

Whereabouts are kept no longer than they are of use: each passage takes some of the oldest away.

**Source:** regulation 四.2; PIPL articles 19 and 28.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.access import Direction
from core.alerts import ALARMING
from core.documents import access as documents
from server.registers import alerts
from server.registers.base import Register
from server.registers.cards import MEDIUM, medium_facts

if TYPE_CHECKING:
    import sqlite3

    from core.facts import MediumFacts
    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = """
CREATE TABLE passes (
    seq INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, terminal_number INTEGER NOT NULL,
    zone TEXT NOT NULL, direction INTEGER NOT NULL, account_number INTEGER NOT NULL,
    medium_type INTEGER NOT NULL, granted INTEGER NOT NULL, reason INTEGER NOT NULL,
    request_id BLOB NOT NULL
);
CREATE INDEX passes_by_account ON passes (account_number, seq) WHERE account_number;
CREATE INDEX passes_by_zone ON passes (zone, seq);
CREATE TABLE inside (
    zone TEXT NOT NULL, account_number INTEGER NOT NULL, since_us INTEGER NOT NULL,
    PRIMARY KEY (zone, account_number)
) WITHOUT ROWID;
CREATE TABLE codes_used (
    nonce BLOB PRIMARY KEY, time_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX codes_used_by_time ON codes_used (time_us);
"""

_LISTED: Final = (
    "SELECT p.seq, p.time_us, coalesce(t.terminal_id, ''), p.zone, p.direction,"
    " coalesce(a.account_no, ''), p.medium_type, p.granted, p.reason FROM passes p"
    " LEFT JOIN terminals t ON t.number = p.terminal_number"
    " LEFT JOIN accounts a ON a.number = p.account_number AND NOT a.erased"
)

PRUNED_EACH: Final = 4
"""Passages too old that one new one takes away at most."""
CODES_KEPT_US: Final = 86_400 * 1_000_000
"""How long a used code is remembered: it expired a day before, whatever a clock did."""
_DAY_US: Final = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRow:
    """A decision at a gate as it is listed."""

    seq: int
    time_us: int
    terminal_id: str
    zone: str
    direction: int
    account_no: str
    medium_type: int
    granted: bool
    reason: int


def _passage(scope: Scope, command: Command, document: documents.PassageDecided) -> Facts:
    sql = scope.sql
    sql.execute(
        "INSERT INTO passes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            command.seq,
            command.time_us,
            document.terminal,
            document.zone,
            document.direction,
            document.account,
            document.medium_type,
            document.granted,
            document.reason,
            command.record.document().request_id,
        ),
    )
    if document.reason in ALARMING and not document.granted:
        alerts.keep(
            sql,
            seq=command.seq,
            time_us=command.time_us,
            reason=document.reason,
            account=document.account,
            medium=document.medium,
            terminal=document.terminal,
        )
    _use_up(sql, document.nonce, command.time_us)
    if document.granted and document.account:
        _move(sql, document, command.time_us)
    _prune(sql, command.time_us - document.keep_days * _DAY_US)
    return {
        "granted": bool(document.granted),
        "reason": document.reason,
        "zone": document.zone,
    }


def _move(sql: sqlite3.Connection, document: documents.PassageDecided, time_us: int) -> None:
    if document.direction == Direction.IN:
        sql.execute(
            "INSERT OR REPLACE INTO inside VALUES (?, ?, ?)",
            (document.zone, document.account, time_us),
        )
    else:
        sql.execute(
            "DELETE FROM inside WHERE zone = ? AND account_number = ?",
            (document.zone, document.account),
        )


def _prune(sql: sqlite3.Connection, before_us: int) -> None:
    rows = sql.execute(
        "SELECT seq, request_id FROM passes WHERE time_us < ? AND seq IN"
        " (SELECT seq FROM passes ORDER BY seq LIMIT ?)",
        (before_us, PRUNED_EACH),
    ).fetchall()
    for seq, request_id in rows:
        sql.execute("DELETE FROM passes WHERE seq = ?", (seq,))
        sql.execute("DELETE FROM acts WHERE seq = ?", (seq,))
        sql.execute("DELETE FROM requests WHERE request_id = ?", (request_id,))


def _presented(scope: Scope, command: Command, document: documents.CarrierPresented) -> Facts:
    _use_up(scope.sql, document.nonce, command.time_us)
    return {"medium": document.medium}


def _use_up(sql: sqlite3.Connection, nonce: bytes, time_us: int) -> None:
    if not nonce:
        return
    sql.execute("INSERT INTO codes_used VALUES (?, ?)", (nonce, time_us))
    sql.execute(
        "DELETE FROM codes_used WHERE nonce IN"
        " (SELECT nonce FROM codes_used WHERE time_us < ? ORDER BY time_us LIMIT ?)",
        (time_us - CODES_KEPT_US, PRUNED_EACH),
    )


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.PassageDecided: _passage,
        documents.CarrierPresented: _presented,
    },
)


# ---- reading ----


def is_used(sql: sqlite3.Connection, nonce: bytes) -> bool:
    """Tell whether a code was used up."""
    row = sql.execute("SELECT 1 FROM codes_used WHERE nonce = ?", (nonce,)).fetchone()
    return row is not None


def inside_since(sql: sqlite3.Connection, zone: str, account: int) -> int:
    """Return when an account came into a zone that it did not leave; 0: it is outside."""
    row = sql.execute(
        "SELECT since_us FROM inside WHERE zone = ? AND account_number = ?", (zone, account)
    ).fetchone()
    return 0 if row is None else int(row[0])


def medium_by_number(sql: sqlite3.Connection, number: int) -> MediumFacts | None:
    """Find a medium by its number in the journal."""
    row = sql.execute(f"{MEDIUM} WHERE m.number = ?", (number,)).fetchone()
    return None if row is None else medium_facts(row)


def list_passes(
    sql: sqlite3.Connection,
    *,
    account: int,
    zone: str,
    refused: bool,
    since_us: int,
    before: int,
    limit: int,
) -> list[PassRow]:
    """List decisions, newest first.

    Args:
        sql: of the registry.
        account: only of this one; 0: of all.
        zone: only of this one; empty: of all.
        refused: only refusals.
        since_us: only from then on.
        before: only before this seq; 0: from the newest.
        limit: how many at most.
    """
    conditions, values = ["p.time_us >= ?"], list[object]([since_us])
    for condition, value in (
        ("p.account_number = ?", account),
        ("p.zone = ?", zone),
        ("p.seq < ?", before),
    ):
        if value:
            conditions.append(condition)
            values.append(value)
    if refused:
        conditions.append("NOT p.granted")
    query = f"{_LISTED} WHERE {' AND '.join(conditions)} ORDER BY p.seq DESC LIMIT ?"
    rows = sql.execute(query, (*values, limit))
    return [PassRow(**dict(zip(PassRow.__slots__, row, strict=True))) for row in rows]


def forget_passes(sql: sqlite3.Connection, account: int) -> None:
    """Take away where an erased holder was."""
    sql.execute("UPDATE passes SET account_number = 0 WHERE account_number = ?", (account,))
    sql.execute("DELETE FROM inside WHERE account_number = ?", (account,))
