"""What holds an account beside its status: leaves, and sanctions with the effect that ends them.

The sanctions themselves stand in ``server/registers/cases.py``.

**Source:** regulation 八.1, D19; ``core/account_holds.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.account_holds import NOT_HELD, Held
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

_SCHEMA: Final = """
CREATE TABLE leave_holds (number INTEGER PRIMARY KEY);
CREATE TRIGGER leave_holds_end AFTER UPDATE OF status ON accounts
WHEN new.status IN (1, 4) -- NORMAL, CLOSED: nothing else holds it
BEGIN
    DELETE FROM leave_holds WHERE number = new.number;
END;
CREATE INDEX scheduled_statuses ON scheduled (account_number, seq) WHERE kind = 2 AND state = 0;
CREATE INDEX scheduled_media ON scheduled (medium_number, seq) WHERE kind = 7 AND state = 0;
"""

HELD: Final = (
    "EXISTS (SELECT 1 FROM leave_holds l WHERE l.number = accounts.number),"
    " (SELECT s.until_us FROM sanctions s WHERE s.account_number = accounts.number"
    " AND s.medium_number = 0 AND s.kind = 2 AND NOT s.ended_us ORDER BY s.seq DESC LIMIT 1),"
    " (SELECT max(e.seq) FROM scheduled e WHERE e.account_number = accounts.number"
    " AND e.kind = 2 AND e.state = 0)"
)
"""Three columns of a query on ``accounts``, which ``held`` reads."""


def held(leave: int, until_us: int | None, end_seq: int | None) -> Held:
    """Make what is known of an account's holds of the columns ``HELD``."""
    if not leave and until_us is None and end_seq is None:
        return NOT_HELD
    return Held(
        leave=bool(leave),
        sanction=until_us is not None,
        until_us=until_us or 0,
        end_seq=end_seq or 0,
    )


def medium_end_seq(sql: sqlite3.Connection, medium_number: int) -> int:
    """Return the effect that waits to end a medium's suspension; 0: none."""
    row = sql.execute(
        "SELECT max(seq) FROM scheduled WHERE medium_number = ? AND kind = 7 AND state = 0",
        (medium_number,),
    ).fetchone()
    return row[0] or 0


def begin_leaves(sql: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Keep that a leave holds accounts."""
    sql.executemany("INSERT OR IGNORE INTO leave_holds VALUES (?)", ((n,) for n in numbers))


def end_leaves(sql: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Keep that no leave holds accounts any more."""
    sql.executemany("DELETE FROM leave_holds WHERE number = ?", ((n,) for n in numbers))


REGISTER: Final = Register(_SCHEMA, {})
