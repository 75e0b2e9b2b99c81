"""Approved versions of parameters, and what is in force at a moment.

**Source:** regulation 六.3; docs/reference/documents.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.parameters import Values
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3

_SCHEMA: Final = """
CREATE TABLE parameter_versions (
    key TEXT NOT NULL, effective_us INTEGER NOT NULL, version INTEGER NOT NULL,
    value TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (key, effective_us, version)
) WITHOUT ROWID;
"""

REGISTER: Final = Register(_SCHEMA, {})


def values_at(sql: sqlite3.Connection, time_us: int) -> Values:
    """Return the values in force at a moment.

    Args:
        sql: of the registry.
        time_us: microseconds since 1970 UTC.
    """
    rows = sql.execute(
        "SELECT key, value FROM parameter_versions WHERE effective_us <= ?"
        " ORDER BY key, effective_us, version",
        (time_us,),
    )
    return Values(dict(rows.fetchall()))
