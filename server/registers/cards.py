"""Cards: what the engine's media do not say, batches, numbers that are burnt, leave to be late.

**Source:** regulation 三.1-三.5; docs/reference/card-states.md; docs/reference/documents.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.blocks import BlockError, RecordType
from core.card_facts import CardFacts
from core.cards import PHYSICAL_CARD, CardState, CardType
from core.documents import cards as documents
from core.facts import MediumFacts
from core.rows import MediumBody, MediumFlag, MediumState
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from core.blocks import Record
    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = """
CREATE TABLE cards (
    card_no INTEGER PRIMARY KEY, medium_number INTEGER NOT NULL UNIQUE,
    account_number INTEGER NOT NULL, card_seq INTEGER NOT NULL, type INTEGER NOT NULL,
    state INTEGER NOT NULL, batch INTEGER NOT NULL, successor INTEGER NOT NULL DEFAULT 0,
    made_us INTEGER NOT NULL, ended_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX cards_by_account ON cards (account_number, card_no);
CREATE INDEX cards_by_batch ON cards (batch, state, card_no);
CREATE INDEX cards_by_state ON cards (state, card_no);
CREATE INDEX media_lost ON media (number) WHERE lost_seq;
CREATE INDEX media_by_expiry ON media (expires_day, number) WHERE expires_day > 0;
CREATE TABLE batches (batch INTEGER PRIMARY KEY, time_us INTEGER NOT NULL);
CREATE TABLE burnt_cards (
    card_no INTEGER PRIMARY KEY, case_no INTEGER NOT NULL, seq INTEGER NOT NULL
);
CREATE TABLE leavers (account_number INTEGER PRIMARY KEY, ended_us INTEGER NOT NULL);
CREATE TABLE hour_overrides (
    seq INTEGER PRIMARY KEY, account_number INTEGER NOT NULL, operation TEXT NOT NULL,
    day INTEGER NOT NULL, used_seq INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX hour_overrides_unused
    ON hour_overrides (account_number, operation, day) WHERE NOT used_seq;
"""

MEDIUM: Final = (
    "SELECT m.number, m.account_number, m.type, m.token, m.key, m.state, m.flags, m.expires_day,"
    " m.lost_seq, m.lost_time_us FROM media m"
)
"""What ``medium_facts`` reads."""
_MEDIUM_COLUMNS: Final = 10
_SEQ_MAX: Final = 2**63 - 1
_COLUMNS: Final = (
    "SELECT m.number, m.account_number, m.type, m.token, m.key, m.state, m.flags, m.expires_day,"
    " m.lost_seq, m.lost_time_us, c.card_no, c.account_number, c.card_seq, c.type, c.state, c.batch,"
    " c.successor, c.made_us, c.ended_us"
)
_CARD: Final = f"{_COLUMNS} FROM cards c JOIN media m ON m.number = c.medium_number"
_WITH_HOLDER: Final = (
    f"{_COLUMNS}, a.account_no, a.name, a.class_name FROM cards c"
    " JOIN media m ON m.number = c.medium_number JOIN accounts a ON a.number = c.account_number"
)
_COUNT: Final = "SELECT count(*) FROM cards c JOIN media m ON m.number = c.medium_number"
_OF_BATCH: Final = (
    "c.batch = ? AND c.state IN (SELECT value FROM json_each(?)) AND c.card_no > ?"
    " AND (? OR m.flags = 0)"
)
_LOST: Final = "(SELECT number FROM media WHERE lost_seq)"
_EXPIRING: Final = "(SELECT number FROM media WHERE expires_day > 0 AND expires_day <= ?)"
_LIVE: Final = "c.state IN (1, 2, 3)"
"""PRODUCED, IN_TRANSIT or ACTIVE: the stored states of a card that is or may be used one day."""

_STATES: Final = {
    MediumState.PRODUCED: CardState.PRODUCED,
    MediumState.IN_TRANSIT: CardState.IN_TRANSIT,
    MediumState.ACTIVE: CardState.ACTIVE,
    MediumState.RETURNED: CardState.RETURNED,
}


# ---- reading ----


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFilter:
    """Which cards to list; empty, 0 or None: all."""

    classes: frozenset[str] | None = None
    account_no: str = ""
    state: CardState | None = None
    type: CardType | None = None
    batch: int = 0
    lost: bool = False
    expires_before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A card with its holder, as lists show it."""

    card: CardFacts
    account_no: str
    name: str
    class_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """A batch and where its cards stand."""

    batch: int
    time_us: int
    cards: int
    produced: int
    in_transit: int


def medium_facts(row: Any) -> MediumFacts:
    """Make the facts of a medium of a row of ``MEDIUM``."""
    number, account, kind, token, key, state, flags, expires_day, lost_seq, lost_time_us = row
    return MediumFacts(
        number=number,
        account_number=account,
        type=kind,
        token=token,
        key=key,
        state=MediumState(state),
        flags=MediumFlag(flags),
        expires_day=expires_day,
        lost_seq=lost_seq,
        lost_time_us=lost_time_us,
    )


def card(sql: sqlite3.Connection, card_no: int) -> CardFacts | None:
    """Find a card by its number."""
    return _card(sql.execute(f"{_CARD} WHERE c.card_no = ?", (card_no,)).fetchone())


def card_of_medium(sql: sqlite3.Connection, medium_number: int) -> CardFacts | None:
    """Find the card of a medium."""
    return _card(sql.execute(f"{_CARD} WHERE c.medium_number = ?", (medium_number,)).fetchone())


def newest_card(sql: sqlite3.Connection, account_number: int) -> CardFacts | None:
    """Find the newest card of an account, whatever its state."""
    query = f"{_CARD} WHERE c.account_number = ? ORDER BY c.card_no DESC LIMIT 1"
    return _card(sql.execute(query, (account_number,)).fetchone())


def live_card(sql: sqlite3.Connection, account_number: int) -> CardFacts | None:
    """Find the card of an account that is or may be used one day; the newest one."""
    query = f"{_CARD} WHERE c.account_number = ? AND {_LIVE} ORDER BY c.card_no DESC LIMIT 1"
    return _card(sql.execute(query, (account_number,)).fetchone())


def cards_of_batch(
    sql: sqlite3.Connection,
    batch: int,
    states: Iterable[CardState],
    *,
    limit: int,
    after: int = 0,
    marked: bool = False,
) -> list[CardFacts]:
    """List cards of a batch in some states, in the order of their numbers.

    Args:
        sql: of the registry.
        batch: which.
        states: as the last act left them.
        limit: how many at most.
        after: number of the last one seen.
        marked: those that are lost or frozen, too.
    """
    query = f"{_CARD} WHERE {_OF_BATCH} ORDER BY c.card_no LIMIT ?"
    return [_made(row) for row in sql.execute(query, (batch, _json(states), after, marked, limit))]


def count_of_batch(
    sql: sqlite3.Connection,
    batch: int,
    states: Iterable[CardState],
    *,
    after: int = 0,
    marked: bool = False,
) -> int:
    """Count what ``cards_of_batch`` would list without a limit."""
    query = f"{_COUNT} WHERE {_OF_BATCH}"
    return int(sql.execute(query, (batch, _json(states), after, marked)).fetchone()[0])


def is_batch(sql: sqlite3.Connection, batch: int) -> bool:
    """Tell whether there is such a batch."""
    return sql.execute("SELECT 1 FROM batches WHERE batch = ?", (batch,)).fetchone() is not None


def batches(sql: sqlite3.Connection, *, before: int, limit: int) -> list[BatchRow]:
    """List batches, newest first; ``before`` 0: from the newest."""
    rows = sql.execute(
        "SELECT b.batch, b.time_us,"
        " (SELECT count(*) FROM cards c WHERE c.batch = b.batch),"
        " (SELECT count(*) FROM cards c WHERE c.batch = b.batch AND c.state = 1),"
        " (SELECT count(*) FROM cards c WHERE c.batch = b.batch AND c.state = 2)"
        " FROM batches b WHERE b.batch < ? ORDER BY b.batch DESC LIMIT ?",
        (before or _SEQ_MAX, limit),
    )
    names = BatchRow.__slots__
    return [BatchRow(**dict(zip(names, row, strict=True))) for row in rows]


def list_cards(
    sql: sqlite3.Connection, wanted: CardFilter, *, after: int, limit: int
) -> list[CardRow]:
    """List cards in the order of their numbers.

    Args:
        sql: of the registry.
        wanted: filters, all at once.
        after: number of the last one seen.
        limit: how many at most.
    """
    few = wanted.classes is not None or wanted.account_no or wanted.lost or wanted.expires_before
    number = "+c.card_no" if few else "c.card_no"  # the plus: rather sort few than walk all cards
    conditions, values = [f"{number} > ?"], list[object]([after])
    if wanted.classes is not None:
        conditions.append("a.class_name IN (SELECT value FROM json_each(?))")
        values.append(_json(sorted(wanted.classes)))
    for condition, value in (
        ("a.account_no = ?", wanted.account_no),
        ("c.state = ?", wanted.state),
        ("c.type = ?", wanted.type),
        ("c.batch = ?", wanted.batch),
    ):
        if value:
            conditions.append(condition)
            values.append(value)
    if wanted.lost:
        conditions.append(f"+{_LIVE} AND c.medium_number IN {_LOST}")
    if wanted.expires_before:
        conditions.append(f"+{_LIVE} AND c.medium_number IN {_EXPIRING}")
        values.append(wanted.expires_before - 1)
    query = f"{_WITH_HOLDER} WHERE {' AND '.join(conditions)} ORDER BY {number} LIMIT ?"
    return [
        CardRow(card=_made(row[:-3]), account_no=row[-3], name=row[-2], class_name=row[-1])
        for row in sql.execute(query, (*values, limit))
    ]


def next_card_no(sql: sqlite3.Connection) -> int:
    """Return the number the next card gets: never one that was used or burnt."""
    used, burnt = sql.execute(
        "SELECT (SELECT max(card_no) FROM cards), (SELECT max(card_no) FROM burnt_cards)"
    ).fetchone()
    return max(used or 0, burnt or 0) + 1


def still_out(sql: sqlite3.Connection, class_name: str, *, limit: int) -> list[tuple[int, str]]:
    """List number and account_no of a class's holders whose card is not given back."""
    rows = sql.execute(
        "SELECT a.number, a.account_no FROM accounts a WHERE a.class_name = ? AND EXISTS"
        " (SELECT 1 FROM cards c WHERE c.account_number = a.number AND c.state IN (1, 2, 3))"
        " ORDER BY a.account_no LIMIT ?",
        (class_name, limit),
    )
    return rows.fetchall()


def left_us(sql: sqlite3.Connection, account_number: int) -> int:
    """Return when an account's last card was given back or paid for; 0: not, or there is a new one."""
    row = sql.execute(
        "SELECT ended_us FROM leavers WHERE account_number = ?", (account_number,)
    ).fetchone()
    return int(row[0]) if row else 0


def leavers(
    sql: sqlite3.Connection, *, until_us: int, class_name: str, after: int, limit: int
) -> list[tuple[int, str, str, int]]:
    """List number, account_no, name and time of those who gave their card back, and are not closed.

    Args:
        sql: of the registry.
        until_us: only those who did so by then.
        class_name: exactly this class; empty: all.
        after: number of the last one seen.
        limit: how many at most.
    """
    rows = sql.execute(
        "SELECT a.number, a.account_no, a.name, l.ended_us FROM leavers l"
        " JOIN accounts a ON a.number = l.account_number"
        " WHERE l.account_number > ? AND l.ended_us <= ? AND a.status <> 4"
        " AND (? = '' OR a.class_name = ?) ORDER BY l.account_number LIMIT ?",
        (after, until_us, class_name, class_name, limit),
    )
    return rows.fetchall()


def override_for(sql: sqlite3.Connection, account_number: int, operation: str, day: int) -> int:
    """Return a supervisor's unused leave for one act on a local day; 0: none."""
    row = sql.execute(
        "SELECT seq FROM hour_overrides WHERE account_number = ? AND operation = ? AND day = ?"
        " AND NOT used_seq ORDER BY seq LIMIT 1",
        (account_number, operation, day),
    ).fetchone()
    return int(row[0]) if row else 0


def _json(values: Iterable[object]) -> str:
    return json.dumps(list(values), ensure_ascii=False)


def _card(row: Any) -> CardFacts | None:
    return None if row is None else _made(row)


def _made(row: Any) -> CardFacts:
    medium = medium_facts(row[:_MEDIUM_COLUMNS])
    card_no, account, card_seq, kind, state, batch, successor, made, ended = row[_MEDIUM_COLUMNS:]
    return CardFacts(
        card_no=card_no,
        account_number=account,
        card_seq=card_seq,
        type=CardType(kind),
        state=CardState(state),
        batch=batch,
        successor=successor,
        made_us=made,
        ended_us=ended,
        medium=medium,
    )


# ---- writing ----


def add_card(
    scope: Scope,
    command: Command,
    record: Record,
    *,
    uid: bytes,
    card_no: int,
    card_type: int = CardType.FORMAL,
    batch: int = 0,
) -> None:
    """Keep a card that a MEDIUM record binds."""
    scope.sql.execute(
        "UPDATE media SET type = ?, token = ? WHERE number = ?",
        (PHYSICAL_CARD, uid, record.medium),
    )
    (before,) = scope.sql.execute(
        "SELECT coalesce(max(card_seq), 0) FROM cards WHERE account_number = ?", (record.account,)
    ).fetchone()
    state = _STATES[MediumState(MediumBody.unpack(record.body).state)]
    scope.sql.execute(
        "INSERT INTO cards (card_no, medium_number, account_number, card_seq, type, state, batch,"
        " made_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            card_no,
            record.medium,
            record.account,
            before + 1,
            card_type,
            state,
            batch,
            command.time_us,
        ),
    )
    scope.sql.execute("DELETE FROM leavers WHERE account_number = ?", (record.account,))


def follow(
    scope: Scope,
    command: Command,
    records: Iterable[Record],
    *,
    void: CardState | None = None,
    successor: int = 0,
) -> None:
    """Give cards the states their MEDIUM records say.

    Args:
        scope: of the handler.
        command: the act.
        records: of MEDIUM; those of other media are passed over.
        void: which kind of void the engine's VOID is here.
        successor: number of the card that takes their place.
    """
    for record in records:
        state = _STATES.get(MediumState(MediumBody.unpack(record.body).state), void)
        if state is None:
            raise BlockError("a card is void and nothing says why", command.seq)
        if state in {CardState.PRODUCED, CardState.IN_TRANSIT, CardState.ACTIVE}:
            scope.sql.execute(
                "UPDATE cards SET state = ? WHERE medium_number = ?", (state, record.medium)
            )
            continue
        scope.sql.execute(
            "UPDATE cards SET state = ?, successor = ?, ended_us = ? WHERE medium_number = ?",
            (state, successor, command.time_us, record.medium),
        )
        if state in {CardState.RETURNED, CardState.VOID_COMPENSATED}:
            scope.sql.execute(
                "INSERT OR REPLACE INTO leavers VALUES (?, ?)", (record.account, command.time_us)
            )


def use_override(scope: Scope, command: Command, override: int) -> None:
    """Use a supervisor's leave up; 0: none was needed."""
    if override:
        scope.sql.execute(
            "UPDATE hour_overrides SET used_seq = ? WHERE seq = ?", (command.seq, override)
        )


def _issued(scope: Scope, command: Command, document: documents.CardsIssued) -> Facts:
    batch = document.batch or command.seq
    scope.sql.execute("INSERT OR IGNORE INTO batches VALUES (?, ?)", (batch, command.time_us))
    records = command.effects_of(RecordType.MEDIUM)
    for record, uid, card_type, card_no in zip(
        records, document.uids, document.types, document.card_nos, strict=True
    ):
        add_card(scope, command, record, uid=uid, card_no=card_no, card_type=card_type, batch=batch)
    done = [
        {"index": index, "card_no": card_no, "type": card_type, "state": int(CardState.PRODUCED)}
        for index, card_no, card_type in zip(
            document.indexes, document.card_nos, document.types, strict=True
        )
    ]
    return {"batch": batch, "results": done + refused_items(document.refused, document.reasons)}


def refused_items(indexes: tuple[int, ...], reasons: tuple[str, ...]) -> list[Facts]:
    """Return the results of items that were refused."""
    return [
        {"index": index, "reason": reason} for index, reason in zip(indexes, reasons, strict=True)
    ]


def done_items(scope: Scope, indexes: tuple[int, ...], records: Iterable[Record]) -> list[Facts]:
    """Return the results of items whose cards have the states of these records."""
    done = []
    for index, record in zip(indexes, records, strict=True):
        card_no, state, account_no = scope.sql.execute(
            "SELECT c.card_no, c.state, a.account_no FROM cards c"
            " JOIN accounts a ON a.number = c.account_number WHERE c.medium_number = ?",
            (record.medium,),
        ).fetchone()
        done.append({"index": index, "card_no": card_no, "state": state, "account_no": account_no})
    return done


def _handed_over(scope: Scope, command: Command, _: documents.CardsHandedOver) -> Facts:
    records = command.effects_of(RecordType.MEDIUM)
    follow(scope, command, records)
    return {"count": len(records)}


def _activated(scope: Scope, command: Command, document: documents.CardsActivated) -> Facts:
    records = command.effects_of(RecordType.MEDIUM)
    follow(scope, command, records)
    done = done_items(scope, document.indexes, records)
    return {"results": done + refused_items(document.refused, document.reasons)}


def _lost(scope: Scope, command: Command, _: documents.LossReported) -> Facts:
    records = command.effects_of(RecordType.MEDIUM)
    for record in records:
        scope.sql.execute(
            "UPDATE media SET lost_seq = ?, lost_time_us = ? WHERE number = ?",
            (command.seq, command.time_us, record.medium),
        )
    return {"lost_time_us": command.time_us, "media": len(records)}


def _upgraded(scope: Scope, command: Command, document: documents.CardUpgraded) -> Facts:
    old, new = command.effects_of(RecordType.MEDIUM)
    (old_card_no,) = scope.sql.execute(
        "SELECT card_no FROM cards WHERE medium_number = ?", (old.medium,)
    ).fetchone()
    follow(scope, command, (old,), void=CardState.VOID_UPGRADED, successor=document.card_no)
    add_card(scope, command, new, uid=document.uid, card_no=document.card_no)
    use_override(scope, command, document.override)
    return {"old_card_no": old_card_no, "card_no": document.card_no}


def _renewed(_: Scope, command: Command, _document: documents.CardRenewed) -> Facts:
    body = MediumBody.unpack(command.effect(RecordType.MEDIUM).body)
    return {"expires_day": body.expires_day}


def _returned(scope: Scope, command: Command, document: documents.CardsReturned) -> Facts:
    records = command.effects_of(RecordType.MEDIUM)
    follow(scope, command, records)
    use_override(scope, command, document.override)
    refused = refused_items(document.refused, document.reasons)
    for item, owner in zip(refused, document.owners, strict=True):
        row = scope.sql.execute(
            "SELECT account_no FROM accounts WHERE number = ?", (owner,)
        ).fetchone()
        item["account_no"] = row[0] if row else ""
    return {"results": done_items(scope, document.indexes, records) + refused}


def _return_listed(scope: Scope, _: Command, document: documents.ReturnListed) -> Facts:
    names = [
        scope.sql.execute("SELECT account_no FROM accounts WHERE number = ?", (number,)).fetchone()[
            0
        ]
        for number in document.missing
    ]
    return {"missing": names, "returned": document.returned}


def _overridden(scope: Scope, command: Command, document: documents.HoursOverridden) -> Facts:
    scope.sql.execute(
        "INSERT INTO hour_overrides (seq, account_number, operation, day) VALUES (?, ?, ?, ?)",
        (command.seq, document.account, document.operation, document.day),
    )
    return {}


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.CardsIssued: _issued,
        documents.CardsHandedOver: _handed_over,
        documents.CardsActivated: _activated,
        documents.LossReported: _lost,
        documents.CardUpgraded: _upgraded,
        documents.CardRenewed: _renewed,
        documents.CardsReturned: _returned,
        documents.ReturnListed: _return_listed,
        documents.HoursOverridden: _overridden,
    },
)
