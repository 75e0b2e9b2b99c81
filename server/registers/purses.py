"""Water purses of lost cards: counted, and moved when they are due.

**Source:** regulation 四.6, D11; ``core/water_purse.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.documents import cards as documents
from core.water_purse import Purse
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3

    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = """
CREATE TABLE purses (
    seq INTEGER PRIMARY KEY, account_number INTEGER NOT NULL,
    lost_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
    counted_seq INTEGER NOT NULL DEFAULT 0, water_fen INTEGER NOT NULL DEFAULT 0,
    side INTEGER NOT NULL DEFAULT 0, due_us INTEGER NOT NULL DEFAULT 0,
    settled_seq INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX purses_uncounted ON purses (ended_us) WHERE NOT counted_seq;
CREATE INDEX purses_due ON purses (due_us) WHERE counted_seq AND NOT settled_seq;
CREATE INDEX purses_by_account ON purses (account_number) WHERE counted_seq AND NOT settled_seq;
"""

_PURSE: Final = (
    "SELECT seq, account_number, lost_us, ended_us, counted_seq, water_fen, side FROM purses"
)
_PENDING: Final = "counted_seq AND NOT settled_seq"


# ---- reading ----


def uncounted(sql: sqlite3.Connection, *, since_us: int, limit: int) -> list[Purse]:
    """List purses of cards whose story ended at ``since_us`` or later and that are not counted."""
    query = f"{_PURSE} WHERE NOT counted_seq AND ended_us >= ? ORDER BY ended_us LIMIT ?"
    return [_purse(row) for row in sql.execute(query, (since_us, limit))]


def due(sql: sqlite3.Connection, *, now_us: int, limit: int) -> list[Purse]:
    """List counted purses whose time has come."""
    query = f"{_PURSE} WHERE {_PENDING} AND due_us <= ? ORDER BY due_us LIMIT ?"
    return [_purse(row) for row in sql.execute(query, (now_us, limit))]


def pending_fen(sql: sqlite3.Connection, account_number: int) -> int:
    """Return what was counted of an account and not moved yet, fen."""
    query = (
        f"SELECT coalesce(sum(water_fen), 0) FROM purses WHERE account_number = ? AND {_PENDING}"  # noqa: S608 - our words
    )
    (fen,) = sql.execute(query, (account_number,)).fetchone()
    return int(fen)


def is_counted(sql: sqlite3.Connection, seq: int) -> bool:
    """Tell whether a purse was counted."""
    return _has(sql, "SELECT 1 FROM purses WHERE seq = ? AND counted_seq", seq)


def is_settled(sql: sqlite3.Connection, seq: int) -> bool:
    """Tell whether what was counted was moved."""
    return _has(sql, "SELECT 1 FROM purses WHERE seq = ? AND settled_seq", seq)


def _has(sql: sqlite3.Connection, query: str, seq: int) -> bool:
    return sql.execute(query, (seq,)).fetchone() is not None


def _purse(row: tuple[int, ...]) -> Purse:
    return Purse(**dict(zip(Purse.__slots__, row, strict=True)))


# ---- writing ----


def keep_purse(scope: Scope, command: Command, account_number: int, lost_us: int) -> None:
    """Keep that an account goes on without a card it lost."""
    scope.sql.execute(
        "INSERT INTO purses (seq, account_number, lost_us, ended_us) VALUES (?, ?, ?, ?)",
        (command.seq, account_number, lost_us, command.time_us),
    )


def _counted(scope: Scope, command: Command, document: documents.PurseCounted) -> Facts:
    scope.sql.execute(
        "UPDATE purses SET counted_seq = ?, water_fen = ?, side = ?, due_us = ? WHERE seq = ?",
        (command.seq, document.water_fen, document.side, document.due_us, document.purse),
    )
    return {}


def _settled(scope: Scope, command: Command, document: documents.PurseSettled) -> Facts:
    scope.sql.execute(
        "UPDATE purses SET settled_seq = ? WHERE seq = ?", (command.seq, document.purse)
    )
    return {}


REGISTER: Final = Register(
    _SCHEMA, {documents.PurseCounted: _counted, documents.PurseSettled: _settled}
)
