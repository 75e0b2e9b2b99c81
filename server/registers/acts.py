"""Every act with who did it, as what, by which way and why: the audit trail for people.

**Source:** regulation 六.3a, 七.3, 七.5, 八.3; the journal's documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from server.registers.base import Command

_SCHEMA: Final = """
CREATE TABLE acts (
    seq INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, kind INTEGER NOT NULL,
    reason INTEGER NOT NULL, account_number INTEGER NOT NULL,
    actor TEXT NOT NULL, role TEXT NOT NULL, channel TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX acts_by_actor ON acts (actor, seq);
CREATE TABLE acts_about (
    account_number INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (account_number, seq)
) WITHOUT ROWID;
"""

_ACT: Final = (
    "SELECT seq, time_us, kind, reason, account_number, actor, role, channel, why FROM acts"
)

REGISTER: Final = Register(_SCHEMA, {})
"""Written by the projection itself, for every document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActFacts:
    """One act.

    ``account_number`` is the first account it was about, 0: none. ``reason`` is 0, or of the
    catalogue when it was refused in the journal.
    """

    seq: int
    time_us: int
    kind: int
    reason: int
    account_number: int
    actor: str
    role: str
    channel: str
    why: str


def record_act(sql: sqlite3.Connection, command: Command, named: Iterable[int] = ()) -> None:
    """Keep an act; ``named`` are numbers of accounts its document names."""
    record, by = command.record, command.by
    about = dict.fromkeys(effect.account for effect in command.effects if effect.account)
    about |= dict.fromkeys(named)
    account = next(iter(about), 0)
    sql.execute(
        "INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.seq,
            command.time_us,
            record.document().kind,
            record.reason,
            account,
            by.actor,
            by.role,
            by.channel,
            by.reason,
        ),
    )
    sql.executemany(
        "INSERT INTO acts_about VALUES (?, ?)", [(number, record.seq) for number in about]
    )


def list_acts(
    sql: sqlite3.Connection,
    *,
    before_seq: int,
    limit: int,
    actor: str = "",
    account_number: int = 0,
) -> list[ActFacts]:
    """List acts, newest first.

    Args:
        sql: of the registry.
        before_seq: only acts before it; 0: from the newest.
        limit: how many at most.
        actor: only this one's; empty: everybody's.
        account_number: only about this account; 0: about all.
    """
    conditions, values = ["1"], list[object]()
    for condition, value in (
        ("seq < ?", before_seq),
        ("actor = ?", actor),
        ("seq IN (SELECT seq FROM acts_about WHERE account_number = ?)", account_number),
    ):
        if value:
            conditions.append(condition)
            values.append(value)
    query = f"{_ACT} WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"
    rows = sql.execute(query, (*values, limit))
    names = ActFacts.__slots__
    return [ActFacts(**dict(zip(names, row, strict=True))) for row in rows]
