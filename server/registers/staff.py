"""Staff: who there is, what they may act as, what is known of their passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core.documents import staff as documents
from core.staff import Grant, StaffFacts, parse_grant
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3

    from core.documents import Document
    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = """
CREATE TABLE staff (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, disabled INTEGER NOT NULL DEFAULT 0,
    password BLOB NOT NULL DEFAULT x'', totp BLOB NOT NULL DEFAULT x'',
    totp_step INTEGER NOT NULL DEFAULT 0,
    secret_mac BLOB NOT NULL, secret_until_us INTEGER NOT NULL,
    fails INTEGER NOT NULL DEFAULT 0, locked_until_us INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL, signed_in_us INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE staff_grants (
    staff INTEGER NOT NULL, role TEXT NOT NULL, scope TEXT NOT NULL,
    PRIMARY KEY (staff, role, scope)
) WITHOUT ROWID;
CREATE INDEX staff_grants_by_role ON staff_grants (role, scope, staff);
"""

_MEMBER: Final = (
    "SELECT number, name, disabled, password, totp, totp_step, secret_mac, secret_until_us, fails,"
    " locked_until_us, created_us, signed_in_us FROM staff"
)

_OF_ROLE: Final = "SELECT staff FROM staff_grants WHERE role = ?"
_MEMBERS: Final = (
    f"{_MEMBER} WHERE name > ? AND (? = '' OR number IN ({_OF_ROLE})) ORDER BY name LIMIT ?"
)


def member(sql: sqlite3.Connection, name: str) -> StaffFacts | None:
    """Find a member by sign-in name."""
    return _facts(sql, sql.execute(f"{_MEMBER} WHERE name = ?", (name,)).fetchone())


def member_by_number(sql: sqlite3.Connection, number: int) -> StaffFacts | None:
    """Find a member by number."""
    return _facts(sql, sql.execute(f"{_MEMBER} WHERE number = ?", (number,)).fetchone())


def members(sql: sqlite3.Connection, *, role: str, after: str, limit: int) -> list[StaffFacts]:
    """List members in order of their names.

    Args:
        sql: of the registry.
        role: only those who have it; empty: all.
        after: name of the last one seen.
        limit: how many at most.
    """
    rows = sql.execute(_MEMBERS, (after, role, role, limit)).fetchall()
    return [facts for row in rows if (facts := _facts(sql, row)) is not None]


def next_number(sql: sqlite3.Connection) -> int:
    """Return the number the next member gets, from 1."""
    return int(sql.execute("SELECT coalesce(max(number), 0) + 1 FROM staff").fetchone()[0])


def other_admins(sql: sqlite3.Connection, number: int) -> int:
    """Count who can act as SEC_ADMIN beside a member: enabled and enrolled."""
    query = (
        "SELECT count(*) FROM staff JOIN staff_grants ON staff = number AND role = 'SEC_ADMIN'"
        " WHERE number != ? AND NOT disabled AND password != x'' AND totp != x''"
    )
    return int(sql.execute(query, (number,)).fetchone()[0])


def _facts(sql: sqlite3.Connection, row: Any) -> StaffFacts | None:
    if row is None:
        return None
    names = (
        *("number", "name", "disabled", "password", "totp", "totp_step", "secret_mac"),
        *("secret_until_us", "fails", "locked_until_us", "created_us", "signed_in_us"),
    )
    values = dict(zip(names, row, strict=True))
    values["disabled"] = bool(values["disabled"])
    query = "SELECT role, scope FROM staff_grants WHERE staff = ? ORDER BY role, scope"
    grants = tuple(_grant(*pair) for pair in sql.execute(query, (values["number"],)))
    return StaffFacts(**values, grants=grants)


def _grant(role: str, scope: str) -> Grant:
    return parse_grant(f"{role}:{scope}")


def _created(scope: Scope, command: Command, document: documents.StaffCreated) -> Facts:
    scope.sql.execute(
        "INSERT INTO staff (number, name, secret_mac, secret_until_us, created_us)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            document.staff,
            document.name,
            document.secret_mac,
            document.secret_until_us,
            command.time_us,
        ),
    )
    for text in document.grants:
        grant = parse_grant(text)
        _insert_grant(scope, document.staff, grant.role.name, grant.scope)
    return {"number": document.staff, "secret_until_us": document.secret_until_us}


def _signed_in(scope: Scope, command: Command, document: documents.StaffSignedIn) -> Facts:
    scope.sql.execute(
        "UPDATE staff SET fails = 0, locked_until_us = 0, signed_in_us = ?,"
        " totp_step = max(totp_step, ?) WHERE number = ?",
        (command.time_us, document.totp_step, document.staff),
    )
    return {"until_us": document.until_us}


def _failed(scope: Scope, _: Command, document: documents.StaffSignInFailed) -> Facts:
    scope.sql.execute(
        "UPDATE staff SET fails = ?, locked_until_us = ? WHERE number = ?",
        (document.fails, document.locked_until_us, document.staff),
    )
    return {}


def _nothing(_scope: Scope, _command: Command, _document: Document) -> Facts:
    return {}


def _password_set(scope: Scope, _: Command, document: documents.StaffPasswordSet) -> Facts:
    scope.sql.execute(
        "UPDATE staff SET password = ?, secret_mac = x'', secret_until_us = 0, fails = 0"
        " WHERE number = ?",
        (document.sealed, document.staff),
    )
    return {}


def _totp_set(scope: Scope, _: Command, document: documents.StaffTotpSet) -> Facts:
    scope.sql.execute(
        "UPDATE staff SET totp = ?, totp_step = ? WHERE number = ?",
        (document.sealed, document.totp_step, document.staff),
    )
    return {}


def _granted(scope: Scope, _: Command, document: documents.StaffRoleGranted) -> Facts:
    _insert_grant(scope, document.staff, document.role, document.scope)
    return {}


def _insert_grant(scope: Scope, number: int, role: str, granted_for: str) -> None:
    scope.sql.execute("INSERT INTO staff_grants VALUES (?, ?, ?)", (number, role, granted_for))


def _revoked(scope: Scope, _: Command, document: documents.StaffRoleRevoked) -> Facts:
    scope.sql.execute(
        "DELETE FROM staff_grants WHERE staff = ? AND role = ? AND scope = ?",
        (document.staff, document.role, document.scope),
    )
    return {}


def _disabled(scope: Scope, _: Command, document: documents.StaffDisabled) -> Facts:
    scope.sql.execute("UPDATE staff SET disabled = 1 WHERE number = ?", (document.staff,))
    return {}


def _enabled(scope: Scope, _: Command, document: documents.StaffEnabled) -> Facts:
    scope.sql.execute(
        "UPDATE staff SET disabled = 0, fails = 0, locked_until_us = 0 WHERE number = ?",
        (document.staff,),
    )
    return {}


def _reset(scope: Scope, _: Command, document: documents.StaffReset) -> Facts:
    scope.sql.execute(
        "UPDATE staff SET password = x'', totp = x'', totp_step = 0, fails = 0,"
        " locked_until_us = 0, secret_mac = ?, secret_until_us = ? WHERE number = ?",
        (document.secret_mac, document.secret_until_us, document.staff),
    )
    return {"secret_until_us": document.secret_until_us}


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.StaffCreated: _created,
        documents.StaffSignedIn: _signed_in,
        documents.StaffSignInFailed: _failed,
        documents.StaffSignedOut: _nothing,
        documents.StaffPasswordSet: _password_set,
        documents.StaffTotpSet: _totp_set,
        documents.StaffRoleGranted: _granted,
        documents.StaffRoleRevoked: _revoked,
        documents.StaffDisabled: _disabled,
        documents.StaffEnabled: _enabled,
        documents.StaffReset: _reset,
        documents.StaffSessionsRevoked: _nothing,
    },
)
