"""Water purses of lost cards: counted, and moved when they are due.

**Source:** regulation 四.6, D11; ``core/water_purse.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.blocks import RecordType
from core.documents import cards as documents
from core.plans import Wallet
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
CREATE INDEX purses_by_account ON purses (account_number, ended_us);
"""

_PURSE: Final = (
    "SELECT seq, account_number, lost_us, ended_us, counted_seq, water_fen, side, settled_seq"
    " FROM purses"
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
    row = sql.execute("SELECT 1 FROM purses WHERE seq = ? AND counted_seq", (seq,)).fetchone()
    return row is not None


def counted_purse(sql: sqlite3.Connection, seq: int) -> Purse | None:
    """Return a purse that was counted and not moved yet; None: it is not one."""
    row = sql.execute(f"{_PURSE} WHERE seq = ? AND {_PENDING}", (seq,)).fetchone()
    return _purse(row) if row else None


def purse_after(sql: sqlite3.Connection, account_number: int, time_us: int) -> Purse | None:
    """Return the purse of the first card that was lost for good after a time, if it is counted."""
    query = f"{_PURSE} WHERE account_number = ? AND ended_us >= ? ORDER BY ended_us, seq LIMIT 1"
    row = sql.execute(query, (account_number, time_us)).fetchone()
    purse = _purse(row) if row else None
    return purse if purse and purse.counted_seq else None


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


def _transfer_settled(scope: Scope, command: Command, document: documents.TransferSettled) -> Facts:
    record = command.effect(RecordType.CAPTURE if document.written else RecordType.RELEASE)
    money, online_fen = record.money(), record.money().debit_after
    moved = command.effects_of(RecordType.ADJUST)
    if moved and moved[0].money().credit_wallet == Wallet.ONLINE:
        online_fen = moved[0].money().credit_after
    if document.purse and not moved:
        scope.sql.execute(
            "UPDATE purses SET water_fen = water_fen + ? WHERE seq = ?",
            (money.amount, document.purse),
        )
    return {"amount_fen": money.amount, "online_fen": online_fen, "held_fen": money.held_after}


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.PurseCounted: _counted,
        documents.PurseSettled: _settled,
        documents.TransferSettled: _transfer_settled,
    },
)
