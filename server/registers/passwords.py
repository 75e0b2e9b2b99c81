"""Holders' two passwords: what is kept of them, and the lock of self-service.

Everything that tells something of a password stays sealed under the holder's key, here as in the
journal, and goes with the holder.

**Source:** regulation 三.2c, 四.3a, 四.4, 五.2a; docs/reference/documents.md kinds 80 to 95.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.documents import passwords as documents
from core.password_changes import HISTORY_MAX, PasswordKind, QueryState
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3

    from core.documents import Document
    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = """
CREATE TABLE passwords (
    number INTEGER NOT NULL, kind INTEGER NOT NULL, seq INTEGER NOT NULL,
    initial INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (number, kind, seq)
) WITHOUT ROWID;
CREATE TABLE query_tries (
    number INTEGER PRIMARY KEY, fails INTEGER NOT NULL, locked_until_us INTEGER NOT NULL
);
"""

_STATE: Final = (
    "SELECT a.number, a.account_no, p.sealed, coalesce(s.query_tag, x''), coalesce(p.initial, 1),"
    " coalesce(t.fails, 0), coalesce(t.locked_until_us, 0) FROM accounts a"
    " LEFT JOIN holder_secrets s ON s.number = a.number"
    " LEFT JOIN query_tries t ON t.number = a.number"
    " LEFT JOIN passwords p ON p.number = a.number AND p.kind = ? AND p.seq ="
    " (SELECT max(seq) FROM passwords WHERE number = a.number AND kind = ?)"
)


def _keep(
    scope: Scope, command: Command, number: int, kind: PasswordKind, sealed: bytes, *, initial: bool
) -> None:
    """Keep what is known of a password, and forget the oldest one above ``HISTORY_MAX``."""
    scope.sql.execute(
        "INSERT INTO passwords VALUES (?, ?, ?, ?, ?)",
        (number, kind, command.seq, initial, sealed),
    )
    scope.sql.execute(
        "DELETE FROM passwords WHERE number = ? AND kind = ? AND seq <= (SELECT seq FROM passwords"
        " WHERE number = ? AND kind = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
        (number, kind, number, kind, HISTORY_MAX),
    )


def _unlock(scope: Scope, number: int) -> None:
    scope.sql.execute("DELETE FROM query_tries WHERE number = ?", (number,))


def _transaction_set(
    scope: Scope, command: Command, document: documents.TransactionPasswordSet
) -> Facts:
    kind = PasswordKind.TRANSACTION
    _keep(scope, command, document.account, kind, document.sealed, initial=False)
    return {}


def _transaction_reset(
    scope: Scope, command: Command, document: documents.TransactionPasswordReset
) -> Facts:
    kind = PasswordKind.TRANSACTION
    _keep(scope, command, document.account, kind, document.sealed, initial=True)
    return {}


def _query_set(scope: Scope, command: Command, document: documents.QueryPasswordSet) -> Facts:
    _keep(scope, command, document.account, PasswordKind.QUERY, document.sealed, initial=False)
    _unlock(scope, document.account)
    return {}


def _query_reset(scope: Scope, command: Command, document: documents.QueryPasswordReset) -> Facts:
    _keep(scope, command, document.account, PasswordKind.QUERY, document.sealed, initial=True)
    _unlock(scope, document.account)
    return {}


def _query_failed(scope: Scope, _: Command, document: documents.QueryPasswordFailed) -> Facts:
    scope.sql.execute(
        "INSERT OR REPLACE INTO query_tries VALUES (?, ?, ?)",
        (document.account, document.fails, document.locked_until_us),
    )
    return {}


def _signed_in(scope: Scope, _: Command, document: documents.HolderSignedIn) -> Facts:
    _unlock(scope, document.account)
    return {"until_us": document.until_us}


def _nothing(_scope: Scope, _command: Command, _document: Document) -> Facts:
    return {}


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.TransactionPasswordSet: _transaction_set,
        documents.TransactionPasswordReset: _transaction_reset,
        documents.QueryPasswordSet: _query_set,
        documents.QueryPasswordReset: _query_reset,
        documents.QueryPasswordFailed: _query_failed,
        documents.HolderSignedIn: _signed_in,
        documents.HolderSignedOut: _nothing,
    },
)


def forget(sql: sqlite3.Connection, number: int) -> None:
    """Take away everything kept of a holder's passwords."""
    sql.execute("DELETE FROM passwords WHERE number = ?", (number,))
    sql.execute("DELETE FROM query_tries WHERE number = ?", (number,))


# ---- reading ----


def query_state(sql: sqlite3.Connection, account_no: str) -> QueryState | None:
    """Return how a holder's query password stands; None: there is no such account."""
    return _state(sql, "a.account_no = ?", account_no)


def query_state_by_number(sql: sqlite3.Connection, number: int) -> QueryState | None:
    """Return the same by the number of the account."""
    return _state(sql, "a.number = ?", number)


def used(sql: sqlite3.Connection, number: int, kind: PasswordKind) -> list[bytes]:
    """Return what is kept of a holder's passwords of a kind, sealed, the newest first."""
    query = "SELECT sealed FROM passwords WHERE number = ? AND kind = ? ORDER BY seq DESC"
    return [sealed for (sealed,) in sql.execute(query, (number, kind))]


def _state(sql: sqlite3.Connection, condition: str, value: str | int) -> QueryState | None:
    kind = PasswordKind.QUERY
    row = sql.execute(f"{_STATE} WHERE {condition}", (kind, kind, value)).fetchone()
    if row is None:
        return None
    number, account_no, sealed, tag, initial, fails, locked_until_us = row
    return QueryState(
        number=number,
        account_no=account_no,
        sealed=sealed or b"",
        tag=tag,
        initial=bool(initial),
        fails=fails,
        locked_until_us=locked_until_us,
    )
