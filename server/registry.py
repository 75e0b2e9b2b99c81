"""The registry: what the journal's documents and after-images say, indexed for people.

SQLite in WAL mode with ``synchronous=NORMAL``: never corrupt, and what a power cut takes of its
newest commits the journal gives back. It is a projection: deleting the file costs a rebuild and
nothing else. ``applied_seq`` and the chain hash of that block say where it stands.

One connection under the projector's lock; see ``server/projector.py``.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.calendar import DEFAULT_MEALS, MealPeriod
from core.facts import AccountFacts, MediumFacts, MerchantFacts, TerminalFacts
from core.rows import AccountStatus, MealsBody, MediumState, RulesBody, ServiceStatus
from server.registers import REGISTERS, holders, holds
from server.registers.cards import MEDIUM, medium_facts

if TYPE_CHECKING:
    from pathlib import Path

LOG_PAGES: Final = 65_536
"""Pages of 4 KB in the log from which on a commit folds it itself, whatever waits."""
LOG_BYTES: Final = 64 << 20
"""To which the log is cut when it is begun anew."""
CACHE_BYTES: Final = 32 << 20
"""Pages kept in memory: as many as a second of an import changes."""
SCHEMA_VERSION: Final = 17
"""Grows with every change of the tables; a registry of another version is rebuilt."""

MEDIA_MAX: Final = 100
"""Media of one account that are listed at most."""

_SCHEMA: Final = """
CREATE TABLE position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    applied_seq INTEGER NOT NULL, chain BLOB NOT NULL
);
INSERT INTO position VALUES (1, 0, zeroblob(32));
CREATE TABLE accounts (
    number INTEGER PRIMARY KEY,
    account_no TEXT UNIQUE, kind INTEGER NOT NULL,
    name TEXT NOT NULL DEFAULT '', class_name TEXT NOT NULL DEFAULT '',
    phone TEXT NOT NULL DEFAULT '', standing INTEGER NOT NULL DEFAULT 1,
    photo_version INTEGER NOT NULL DEFAULT 0, changed_seq INTEGER NOT NULL DEFAULT 0,
    erased INTEGER NOT NULL DEFAULT 0,
    status INTEGER NOT NULL, day_limit INTEGER, meal_limit INTEGER,
    must_change INTEGER NOT NULL, open_time_us INTEGER NOT NULL
);
CREATE INDEX accounts_by_class ON accounts (class_name, account_no);
CREATE INDEX accounts_by_name ON accounts (name, account_no);
CREATE INDEX accounts_by_status ON accounts (status, account_no);
CREATE TABLE media (
    number INTEGER PRIMARY KEY,
    account_number INTEGER NOT NULL, type INTEGER NOT NULL DEFAULT 0,
    token BLOB NOT NULL DEFAULT x'', key BLOB NOT NULL,
    state INTEGER NOT NULL, flags INTEGER NOT NULL, expires_day INTEGER NOT NULL,
    lost_seq INTEGER NOT NULL DEFAULT 0, lost_time_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX media_by_token ON media (token, type, number);
CREATE INDEX media_by_account ON media (account_number, number);
CREATE TABLE merchants (
    number INTEGER PRIMARY KEY,
    merchant_id TEXT UNIQUE, name TEXT NOT NULL DEFAULT '',
    category INTEGER NOT NULL, status INTEGER NOT NULL, changed_seq INTEGER NOT NULL
);
CREATE TABLE terminals (
    number INTEGER PRIMARY KEY,
    terminal_id TEXT NOT NULL UNIQUE, merchant_number INTEGER NOT NULL,
    flags INTEGER NOT NULL, max_amount INTEGER NOT NULL, status INTEGER NOT NULL,
    place TEXT NOT NULL DEFAULT '', batch_no INTEGER NOT NULL DEFAULT 0,
    changed_seq INTEGER NOT NULL
);
CREATE INDEX terminals_by_merchant ON terminals (merchant_number, terminal_id);
CREATE TABLE channel_txns (
    source INTEGER NOT NULL, channel_txn_id TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (source, channel_txn_id)
) WITHOUT ROWID;
CREATE TABLE requests (
    request_id BLOB PRIMARY KEY, seq INTEGER NOT NULL, fingerprint BLOB NOT NULL,
    time_us INTEGER NOT NULL, business_date INTEGER NOT NULL,
    reason INTEGER NOT NULL, facts TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE parameters (
    name TEXT PRIMARY KEY, body BLOB NOT NULL, names TEXT NOT NULL DEFAULT '[]',
    version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE scheduled (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, due_s INTEGER NOT NULL,
    account_number INTEGER NOT NULL, medium_number INTEGER NOT NULL, body BLOB NOT NULL,
    names TEXT NOT NULL DEFAULT '',
    state INTEGER NOT NULL DEFAULT 0,
    ended_seq INTEGER NOT NULL DEFAULT 0, ended_time_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX scheduled_by_state ON scheduled (state, due_s, seq);
CREATE TABLE days (
    business_date INTEGER PRIMARY KEY, blocks INTEGER NOT NULL, records INTEGER NOT NULL,
    moved_fen INTEGER NOT NULL
);
"""

_ACCOUNT: Final = (
    "SELECT number, account_no, kind, name, class_name, erased, status, day_limit, meal_limit,"  # noqa: S608 - our words
    f" must_change, open_time_us, {holds.HELD} FROM accounts"
)
_MERCHANT: Final = "SELECT number, merchant_id, name, category, status, changed_seq FROM merchants"
_TERMINAL: Final = (
    "SELECT t.number, t.terminal_id, t.merchant_number, coalesce(m.merchant_id, ''), t.flags,"
    " t.max_amount, t.status, t.place, t.batch_no, t.changed_seq"
    " FROM terminals t LEFT JOIN merchants m ON m.number = t.merchant_number"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRequest:
    """What was answered to a request. ``reason`` is 0, or of the catalogue when it was refused."""

    seq: int
    fingerprint: int
    time_us: int
    business_date: int
    reason: int
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Which accounts to list; empty or None: all."""

    class_name: str = ""
    name_prefix: str = ""
    account_no_prefix: str = ""
    status: AccountStatus | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where the registry stands. ``chain`` is the hash of the block that ends at ``applied_seq``."""

    applied_seq: int
    chain: bytes


class Registry:
    """One registry file, opened for reading and writing.

    Args:
        path: the file; it and its directory are made when they are missing.

    Raises:
        sqlite3.Error: it cannot be opened or is no registry.
        SchemaError: it is of another version.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(
            path, isolation_level=None, timeout=10, check_same_thread=False
        )
        execute = self.connection.execute
        execute("PRAGMA journal_mode=WAL")
        execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
        execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
        execute(f"PRAGMA cache_size=-{CACHE_BYTES >> 10}")
        execute("PRAGMA synchronous=NORMAL")
        execute("PRAGMA temp_store=MEMORY")
        execute("PRAGMA secure_delete=ON")
        version = execute("PRAGMA user_version").fetchone()[0]
        fresh = execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if fresh:
            schema = _SCHEMA + "".join(register.schema for register in REGISTERS)
            self.connection.executescript(
                f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        elif version != SCHEMA_VERSION:
            self.connection.close()
            raise SchemaError(f"registry of version {version}, not {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file; what was not committed is given up."""
        self.connection.close()

    def position(self) -> Position:
        """Return where it stands."""
        row = self._one("SELECT applied_seq, chain FROM position")
        return Position(*row) if row else Position(0, bytes(32))

    def account(self, account_no: str) -> AccountFacts | None:
        """Find an account by its number as printed."""
        return _account(self._one(f"{_ACCOUNT} WHERE account_no = ?", account_no))

    def account_by_number(self, number: int) -> AccountFacts | None:
        """Find an account by its number in the journal."""
        return _account(self._one(f"{_ACCOUNT} WHERE number = ?", number))

    def accounts(self, wanted: AccountFilter, *, after: str, limit: int) -> list[AccountFacts]:
        """List accounts in order of account_no.

        Args:
            wanted: filters, all at once.
            after: account_no of the last one seen; empty: from the beginning.
            limit: how many at most.
        """
        conditions, values = ["account_no > ?"], [after]
        if wanted.class_name:
            conditions.append("class_name = ?")
            values.append(wanted.class_name)
        for column, prefix in (
            ("name", wanted.name_prefix),
            ("account_no", wanted.account_no_prefix),
        ):
            if prefix:
                conditions.append(f"{column} >= ? AND {column} < ?")
                values += [prefix, prefix + "\U0010ffff"]
        if wanted.status is not None:
            conditions.append("status = ?")
            values.append(str(int(wanted.status)))
        query = f"{_ACCOUNT} WHERE {' AND '.join(conditions)} ORDER BY account_no LIMIT ?"
        rows = self.connection.execute(query, (*values, limit))
        return [facts for row in rows if (facts := _account(row))]

    def unerased_numbers(self) -> list[int]:
        """List the holders whose name is readable."""
        return [
            n for (n,) in self.connection.execute("SELECT number FROM accounts WHERE NOT erased")
        ]

    def erase(self, number: int) -> None:
        """Take away what identifies a holder."""
        holders.forget(self.connection, number)

    def bound_medium(self, medium_type: int, token: bytes) -> MediumFacts | None:
        """Find the medium bound under a token now."""
        medium = self.newest_medium(medium_type, token)
        return None if medium is None or medium.state is MediumState.UNBOUND else medium

    def newest_medium(self, medium_type: int, token: bytes) -> MediumFacts | None:
        """Find the medium last bound under a token, taken off or not."""
        query = f"{MEDIUM} WHERE token = ? AND type = ? ORDER BY number DESC LIMIT 1"
        row = self._one(query, token, medium_type)
        return None if row is None else medium_facts(row)

    def medium(self, number: int) -> MediumFacts | None:
        """Find a medium by its number in the journal."""
        row = self._one(f"{MEDIUM} WHERE number = ?", number)
        return None if row is None else medium_facts(row)

    def media_of(self, account_number: int) -> tuple[MediumFacts, ...]:
        """List an account's media, newest first, at most ``MEDIA_MAX``."""
        query = f"{MEDIUM} WHERE account_number = ? ORDER BY number DESC LIMIT ?"
        return tuple(map(medium_facts, self.connection.execute(query, (account_number, MEDIA_MAX))))

    def merchant(self, merchant_id: str) -> MerchantFacts | None:
        """Find a merchant."""
        return _merchant(self._one(f"{_MERCHANT} WHERE merchant_id = ?", merchant_id))

    def merchants(self, category: int, *, after: str, limit: int) -> list[MerchantFacts]:
        """List merchants in order of merchant_id; ``category`` 0: all."""
        query = (
            f"{_MERCHANT} WHERE merchant_id > ? AND (? = 0 OR category = ?)"
            " ORDER BY merchant_id LIMIT ?"
        )
        rows = self.connection.execute(query, (after, category, category, limit))
        return [facts for row in rows if (facts := _merchant(row))]

    def merchant_names(self) -> dict[int, tuple[str, str]]:
        """Return merchant_id and name of every merchant by its number."""
        query = "SELECT number, coalesce(merchant_id, ''), name FROM merchants"
        return {number: (mid, name) for number, mid, name in self.connection.execute(query)}

    def terminal(self, terminal_id: str) -> TerminalFacts | None:
        """Find a terminal."""
        return _terminal(self._one(f"{_TERMINAL} WHERE t.terminal_id = ?", terminal_id))

    def terminals(self, merchant_id: str, *, after: str, limit: int) -> list[TerminalFacts]:
        """List terminals in order of terminal_id; ``merchant_id`` empty: of all merchants."""
        query = (
            f"{_TERMINAL} WHERE t.terminal_id > ? AND (? = '' OR m.merchant_id = ?)"
            " ORDER BY t.terminal_id LIMIT ?"
        )
        rows = self.connection.execute(query, (after, merchant_id, merchant_id, limit))
        return [facts for row in rows if (facts := _terminal(row))]

    def terminal_ids(self) -> dict[int, str]:
        """Return the terminal_id of every terminal by its number."""
        return dict(self.connection.execute("SELECT number, terminal_id FROM terminals").fetchall())

    def credited_seq(self, source: int, channel_txn_id: str) -> int:
        """Return where a channel transaction was credited; 0: nowhere."""
        query = "SELECT seq FROM channel_txns WHERE source = ? AND channel_txn_id = ?"
        row = self._one(query, source, channel_txn_id)
        return 0 if row is None else int(row[0])

    def request(self, request_id: bytes) -> AnsweredRequest | None:
        """Find what was answered to a request."""
        row = self._one(
            "SELECT seq, fingerprint, time_us, business_date, reason, facts FROM requests"
            " WHERE request_id = ?",
            request_id,
        )
        if row is None:
            return None
        seq, fingerprint, time_us, business_date, reason, facts = row
        return AnsweredRequest(
            seq=seq,
            fingerprint=int.from_bytes(fingerprint, "big"),
            time_us=time_us,
            business_date=business_date,
            reason=reason,
            facts=json.loads(facts),
        )

    def rules(self) -> RulesBody:
        """Return the limit rules in force."""
        row = self._one("SELECT body FROM parameters WHERE name = 'rules'")
        return RulesBody() if row is None else RulesBody.unpack(row[0])

    def meals(self) -> tuple[MealPeriod, ...]:
        """Return the meal periods in force, named."""
        row = self._one("SELECT body, names FROM parameters WHERE name = 'meals'")
        if row is None:
            return DEFAULT_MEALS
        return MealsBody.unpack(row[0]).named(tuple(json.loads(row[1]))).periods

    def parameter_version(self, name: str) -> int:
        """Return the version of ``rules`` or ``meals``; 0 before the first."""
        row = self._one("SELECT version FROM parameters WHERE name = ?", name)
        return 0 if row is None else int(row[0])

    def _one(self, query: str, *values: object) -> Any:
        return self.connection.execute(query, values).fetchone()


class SchemaError(Exception):
    """The file is a registry of another version."""


def _account(row: Any) -> AccountFacts | None:
    if row is None:
        return None
    number, account_no, kind, name, class_name, erased, status, day, meal = row[:9]
    must_change, opened = row[9:11]
    return AccountFacts(
        number=number,
        account_no=account_no,
        kind=kind,
        name=name,
        class_name=class_name,
        erased=bool(erased),
        status=AccountStatus(status),
        day_limit=day,
        meal_limit=meal,
        must_change=bool(must_change),
        open_time_us=opened,
        held=holds.held(*row[11:]),
    )


def _merchant(row: Any) -> MerchantFacts | None:
    if row is None:
        return None
    number, merchant_id, name, category, status, changed_seq = row
    return MerchantFacts(
        number=number,
        merchant_id=merchant_id,
        name=name,
        category=category,
        status=ServiceStatus(status),
        changed_seq=changed_seq,
    )


def _terminal(row: Any) -> TerminalFacts | None:
    if row is None:
        return None
    number, terminal_id, merchant, merchant_id, flags, maximum, status, place, batch, changed = row
    return TerminalFacts(
        number=number,
        terminal_id=terminal_id,
        merchant_number=merchant,
        merchant_id=merchant_id,
        flags=flags,
        max_amount=maximum,
        status=ServiceStatus(status),
        place=place,
        batch_no=batch,
        changed_seq=changed,
    )
