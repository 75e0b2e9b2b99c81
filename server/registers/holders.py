"""Holders: who they are, where they stand, their photos, the forms they came with.

What a person is called stands in ``accounts``, one row a holder; secrets stand apart, so that no
list reads them, and go with the person.

**Source:** regulation 一.2, 三.1; docs/reference/documents.md kinds 32 to 47.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core import documents
from core.blocks import RecordType
from core.facts import HolderFacts
from core.holders import HolderStatus
from core.merchants import format_etag
from core.passwords import HASH_BYTES
from core.ports import Person
from core.rows import AccountStatus
from server.registers import access, passes, passwords
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = """
CREATE INDEX accounts_by_standing ON accounts (standing, account_no);
CREATE INDEX accounts_by_photo ON accounts (photo_version, account_no) WHERE photo_version = 0;
CREATE TABLE holder_secrets (
    number INTEGER PRIMARY KEY,
    id_hash BLOB NOT NULL, weak BLOB NOT NULL, query_tag BLOB NOT NULL
);
CREATE INDEX holder_secrets_by_id ON holder_secrets (id_hash, number) WHERE id_hash <> x'';
CREATE TABLE photos (
    number INTEGER NOT NULL, version INTEGER NOT NULL, address BLOB NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL,
    seq INTEGER NOT NULL, time_us INTEGER NOT NULL,
    PRIMARY KEY (number, version)
) WITHOUT ROWID;
CREATE TABLE rosters (
    seq INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, actor TEXT NOT NULL,
    sha256 BLOB NOT NULL, file_name TEXT NOT NULL, kind INTEGER NOT NULL,
    class_name TEXT NOT NULL, rows INTEGER NOT NULL, refused INTEGER NOT NULL
);
CREATE INDEX rosters_by_hash ON rosters (sha256, seq);
CREATE TABLE leave_holds (number INTEGER PRIMARY KEY);
CREATE TRIGGER leave_holds_end AFTER UPDATE OF status ON accounts
WHEN new.status <> 2 -- SUSPENDED
BEGIN
    DELETE FROM leave_holds WHERE number = new.number;
END;
"""

_HOLDER: Final = (
    "SELECT number, account_no, kind, name, class_name, phone, standing, erased, photo_version,"
    " status, open_time_us, changed_seq,"
    " EXISTS (SELECT 1 FROM leave_holds l WHERE l.number = accounts.number) FROM accounts"
)
_PHOTO: Final = "SELECT p.number, p.version, p.address, p.width, p.height, p.bytes, p.seq, p.time_us FROM photos p"
_SECRETS: Final = "SELECT number, id_hash, weak, query_tag FROM holder_secrets"
_SHARING: Final = (
    "SELECT s.id_hash, a.account_no FROM holder_secrets s JOIN accounts a ON a.number = s.number"
    " WHERE s.id_hash <> x''"
)
_BATCH: Final = 500
"""Values of one IN (...) at most."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is kept of a holder's numbers, as ``core.ports.Person`` has it."""

    id_hash: bytes
    weak_hashes: tuple[bytes, ...]
    query_tag: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFacts:
    """A stored photo; ``address`` is the SHA-256 of its sealed file."""

    version: int
    address: bytes
    width: int
    height: int
    bytes: int
    seq: int
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFilter:
    """Which holders to list; empty or None: all. ``has_photo`` asks for the newest version."""

    class_name: str = ""
    name_prefix: str = ""
    account_no_prefix: str = ""
    status: HolderStatus | None = None
    has_photo: bool | None = None


def write_person(
    sql: sqlite3.Connection, number: int, account_no: str, person: Person | None, seq: int
) -> None:
    """Name the holder of a new account; None: erased."""
    sql.execute(
        "UPDATE accounts SET account_no = ?, name = ?, class_name = ?, phone = ?, erased = ?,"
        " changed_seq = ? WHERE number = ?",
        (account_no, *_identity(person), person is None, seq, number),
    )
    _write_secrets(sql, number, person)


def forget(sql: sqlite3.Connection, number: int) -> None:
    """Take away what identifies a holder."""
    sql.execute(
        "UPDATE accounts SET name = '', class_name = '', phone = '', erased = 1 WHERE number = ?",
        (number,),
    )
    sql.execute("DELETE FROM holder_secrets WHERE number = ?", (number,))
    passwords.forget(sql, number)
    access.forget_face(sql, number)
    passes.forget_passes(sql, number)


def _identity(person: Person | None) -> tuple[str, str, str]:
    return (person.name, person.class_name, person.phone) if person else ("", "", "")


def _write_secrets(sql: sqlite3.Connection, number: int, person: Person | None) -> None:
    if person is None:
        sql.execute("DELETE FROM holder_secrets WHERE number = ?", (number,))
        return
    if person.id_hash or person.weak_hashes or person.query_tag:
        sql.execute(
            "INSERT OR REPLACE INTO holder_secrets VALUES (?, ?, ?, ?)",
            (number, person.id_hash, b"".join(person.weak_hashes), person.query_tag),
        )


def _roster_received(scope: Scope, command: Command, document: documents.RosterReceived) -> Facts:
    scope.sql.execute(
        "INSERT INTO rosters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            command.seq,
            command.time_us,
            command.by.actor,
            document.sha256,
            document.file_name,
            document.kind,
            document.class_name,
            document.rows,
            document.refused,
        ),
    )
    return {}


def _holders_added(scope: Scope, command: Command, document: documents.HoldersAdded) -> Facts:
    opened = command.effects_of(RecordType.ACCOUNT)
    for record, account_no, sealed in zip(
        opened, document.account_nos, document.sealed, strict=True
    ):
        person = scope.keys.unseal(record.account, sealed)
        write_person(scope.sql, record.account, account_no, person, command.seq)
    return {}


def _holders_changed(scope: Scope, command: Command, document: documents.HoldersChanged) -> Facts:
    for number, sealed, status in zip(
        document.numbers, document.sealed, document.statuses, strict=True
    ):
        person = scope.keys.unseal(number, sealed)
        scope.sql.execute(
            "UPDATE accounts SET name = ?, class_name = ?, phone = ?, erased = ?, standing = ?,"
            " changed_seq = ? WHERE number = ?",
            (*_identity(person), person is None, status, command.seq, number),
        )
        _write_secrets(scope.sql, number, person)
    # Its own effects stand already, and whatever lifts a suspension ends the hold.
    scope.sql.executemany("INSERT OR IGNORE INTO leave_holds VALUES (?)", zip(document.held))
    return {"status": document.statuses[0], "etag": format_etag(command.seq)}


def _photos_stored(scope: Scope, command: Command, document: documents.PhotosStored) -> Facts:
    versions = []
    for number, address, width, height, size in zip(
        document.numbers,
        document.addresses,
        document.widths,
        document.heights,
        document.sizes,
        strict=True,
    ):
        newest = scope.sql.execute(
            "SELECT photo_version FROM accounts WHERE number = ?", (number,)
        ).fetchone()
        version = newest[0] + 1
        scope.sql.execute(
            "INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, version, address, width, height, size, command.seq, command.time_us),
        )
        scope.sql.execute(
            "UPDATE accounts SET photo_version = ? WHERE number = ?", (version, number)
        )
        versions.append(version)
    return {"versions": versions}


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.RosterReceived: _roster_received,
        documents.HoldersAdded: _holders_added,
        documents.HoldersChanged: _holders_changed,
        documents.PhotosStored: _photos_stored,
    },
)


# ---- reading ----


def holder(sql: sqlite3.Connection, account_no: str) -> HolderFacts | None:
    """Find a holder by the number as printed."""
    query = f"{_HOLDER} WHERE account_no = ?"
    return _one(sql.execute(query, (account_no,)).fetchone())


def holder_by_number(sql: sqlite3.Connection, number: int) -> HolderFacts | None:
    """Find a holder by the number in the journal."""
    query = f"{_HOLDER} WHERE number = ?"
    return _one(sql.execute(query, (number,)).fetchone())


def holders_of(sql: sqlite3.Connection, account_nos: Sequence[str]) -> dict[str, HolderFacts]:
    """Find holders by their numbers as printed, at most 500."""
    marks = ",".join("?" * len(account_nos[:_BATCH]))
    query = f"{_HOLDER} WHERE account_no IN ({marks})"
    return {row[1]: _facts(row) for row in sql.execute(query, account_nos[:_BATCH])}


def secrets(sql: sqlite3.Connection, number: int) -> Secrets | None:
    """Return what is kept of a holder's numbers; None: nothing is."""
    row = sql.execute(f"{_SECRETS} WHERE number = ?", (number,)).fetchone()
    return None if row is None else _secrets(row)


def secrets_of(sql: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, Secrets]:
    """Return what is kept of several holders' numbers, at most 500."""
    marks = ",".join("?" * len(numbers[:_BATCH]))
    query = f"{_SECRETS} WHERE number IN ({marks})"
    return {row[0]: _secrets(row) for row in sql.execute(query, numbers[:_BATCH])}


def person(facts: HolderFacts, kept: Secrets | None) -> Person:
    """Put together again what is sealed of a holder who is not erased."""
    return Person(
        name=facts.name,
        class_name=facts.class_name,
        phone=facts.phone,
        id_hash=kept.id_hash if kept else b"",
        weak_hashes=kept.weak_hashes if kept else (),
        query_tag=kept.query_tag if kept else b"",
    )


def sharing_id(sql: sqlite3.Connection, id_hashes: Sequence[bytes]) -> dict[bytes, tuple[str, ...]]:
    """Return who gave each of these ID numbers: account numbers in the order of opening.

    Args:
        sql: of the registry.
        id_hashes: at most 500.
    """
    marks = ",".join("?" * len(id_hashes[:_BATCH]))
    query = f"{_SHARING} AND s.id_hash IN ({marks}) ORDER BY s.number"
    found: dict[bytes, tuple[str, ...]] = {}
    for id_hash, account_no in sql.execute(query, id_hashes[:_BATCH]):
        found[id_hash] = (*found.get(id_hash, ()), account_no)
    return found


def first_roster(sql: sqlite3.Connection, sha256: bytes) -> int:
    """Return where a form was journaled first; 0: it never came."""
    query = "SELECT seq FROM rosters WHERE sha256 = ? ORDER BY seq LIMIT 1"
    row = sql.execute(query, (sha256,)).fetchone()
    return 0 if row is None else int(row[0])


def newest_photos(sql: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, PhotoFacts]:
    """Return the newest photos of holders, at most 500; who has none is not there."""
    marks = ",".join("?" * len(numbers[:_BATCH]))
    query = (
        f"{_PHOTO} JOIN accounts a ON a.number = p.number AND a.photo_version = p.version"
        f" WHERE a.number IN ({marks})"
    )
    return {row[0]: _photo(row) for row in sql.execute(query, numbers[:_BATCH])}


def photo(sql: sqlite3.Connection, number: int, version: int = 0) -> PhotoFacts | None:
    """Find a photo of a holder; version 0: the newest."""
    query = (
        f"{_PHOTO} WHERE p.number = ? AND (? = 0 OR p.version = ?) ORDER BY p.version DESC LIMIT 1"
    )
    row = sql.execute(query, (number, version, version)).fetchone()
    return None if row is None else _photo(row)


def list_holders(
    sql: sqlite3.Connection, wanted: HolderFilter, *, after: tuple[str, str], limit: int
) -> list[HolderFacts]:
    """List holders in order of account_no; with a name prefix, of name and account_no.

    Args:
        sql: of the registry.
        wanted: filters, all at once.
        after: name and account_no of the last one seen; two empty ones: from the beginning.
        limit: how many at most.
    """
    prefix = wanted.account_no_prefix
    if wanted.name_prefix:
        order = "name, account_no"
        conditions = ["(name, account_no) > (?, ?)", "name < ?"]
        values: list[object] = [*max(after, (wanted.name_prefix, ""))]
        values.append(_after_all(wanted.name_prefix))
        others = {"+account_no >= ?": prefix, "+account_no < ?": prefix and _after_all(prefix)}
        others["+class_name = ?"] = wanted.class_name
    else:
        # One lower bound and one index: the planner cannot know which filter leaves least.
        order = "account_no"
        beyond = after[1] >= prefix
        conditions = ["account_no > ?" if beyond else "account_no >= ?"]
        values = [after[1] if beyond else prefix]
        others = {"account_no < ?": prefix and _after_all(prefix)}
        others["class_name = ?"] = wanted.class_name
    for condition, value in others.items():
        if value:
            conditions.append(condition)
            values.append(value)
    narrowed = "+" if wanted.name_prefix or wanted.class_name or prefix else ""
    if wanted.status is not None:
        conditions.append(f"{narrowed}standing = ?")
        values.append(int(wanted.status))
    if wanted.has_photo is not None:
        other = "+" if narrowed or wanted.status is not None else ""
        conditions.append(f"{other}photo_version {'>' if wanted.has_photo else '='} 0")
    query = f"{_HOLDER} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?"
    return [_facts(row) for row in sql.execute(query, (*values, limit))]


def _after_all(prefix: str) -> str:
    return prefix + "\U0010ffff"


def _secrets(row: Any) -> Secrets:
    _, id_hash, weak, query_tag = row
    hashes = tuple(weak[i : i + HASH_BYTES] for i in range(0, len(weak), HASH_BYTES))
    return Secrets(id_hash, hashes, query_tag)


def _photo(row: Any) -> PhotoFacts:
    return PhotoFacts(**dict(zip(PhotoFacts.__slots__, row[1:], strict=True)))


def _one(row: Any) -> HolderFacts | None:
    return None if row is None else _facts(row)


def _facts(row: Any) -> HolderFacts:
    number, account_no, kind, name, class_name, phone, standing, erased, photo_version = row[:9]
    status, open_time_us, changed_seq, held_for_leave = row[9:]
    return HolderFacts(
        number=number,
        account_no=account_no,
        kind=kind,
        name=name,
        class_name=class_name,
        phone=phone,
        status=HolderStatus(standing),
        erased=bool(erased),
        photo_version=photo_version,
        account_status=AccountStatus(status),
        open_time_us=open_time_us,
        changed_seq=changed_seq,
        held_for_leave=bool(held_for_leave),
    )
