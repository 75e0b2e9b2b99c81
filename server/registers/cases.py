"""Replacement cases, receipts, notices, certificates and sanctions.

**Source:** regulation 三.3-三.5, 八.1; docs/reference/card-states.md; docs/reference/documents.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from core.blocks import RecordType
from core.card_facts import CaseFacts
from core.cards import CardState
from core.documents import cards as documents
from core.replacement import CaseEvent, CaseState, FeeState, Paper, fee_after_cancel, missing, take
from server.registers import cards, purses
from server.registers.base import Register

if TYPE_CHECKING:
    import sqlite3

    from server.registers.base import Command, Facts, Scope

_SCHEMA: Final = """
CREATE TABLE cases (
    case_no INTEGER PRIMARY KEY, account_number INTEGER NOT NULL, state INTEGER NOT NULL,
    old_card_no INTEGER NOT NULL, new_card_no INTEGER NOT NULL DEFAULT 0,
    form TEXT NOT NULL DEFAULT '', photo TEXT NOT NULL DEFAULT '', receipt TEXT NOT NULL DEFAULT '',
    fee_fen INTEGER NOT NULL, fee_state INTEGER NOT NULL, proposed_by TEXT NOT NULL DEFAULT '',
    receipt_no TEXT NOT NULL DEFAULT '', early INTEGER NOT NULL DEFAULT 0,
    faulty INTEGER NOT NULL, opened_us INTEGER NOT NULL, changed_us INTEGER NOT NULL
);
CREATE INDEX cases_by_account ON cases (account_number, case_no);
CREATE INDEX cases_by_state ON cases (state, case_no);
CREATE INDEX cases_by_old_card ON cases (old_card_no, case_no);
CREATE TABLE receipts (
    receipt_no TEXT PRIMARY KEY, seq INTEGER NOT NULL, account_number INTEGER NOT NULL,
    case_no INTEGER NOT NULL, paid_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE notices (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, account_number INTEGER NOT NULL,
    case_no INTEGER NOT NULL, time_us INTEGER NOT NULL, text TEXT NOT NULL,
    acknowledged_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX notices_by_account ON notices (account_number, seq);
CREATE TABLE certificates (
    certificate_no INTEGER PRIMARY KEY, account_number INTEGER NOT NULL,
    certificate TEXT NOT NULL, issued_us INTEGER NOT NULL, revoked_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX certificates_by_account ON certificates (account_number, certificate_no);
CREATE INDEX certificates_revoked ON certificates (revoked_us) WHERE revoked_us;
CREATE TABLE sanctions (
    seq INTEGER PRIMARY KEY, account_number INTEGER NOT NULL, medium_number INTEGER NOT NULL,
    kind INTEGER NOT NULL, until_us INTEGER NOT NULL, ended_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX sanctions_by_account ON sanctions (account_number, seq);
"""

_PAPER_COLUMNS: Final = {Paper.FORM: "form", Paper.PHOTO: "photo", Paper.RECEIPT: "receipt"}
_CASE: Final = (
    "SELECT c.case_no, c.account_number, c.state, c.old_card_no, c.new_card_no, c.form, c.photo,"
    " c.receipt, c.fee_fen, c.fee_state, c.proposed_by, c.receipt_no, c.early, c.faulty,"
    " c.opened_us, c.changed_us"
)
_NOTICE: Final = (
    "SELECT n.seq, n.kind, n.account_number, n.case_no, n.time_us, n.text, n.acknowledged_us,"
    " a.account_no, a.name, a.class_name FROM notices n"
    " JOIN accounts a ON a.number = n.account_number"
)
_CERTIFICATE: Final = (
    "SELECT c.certificate_no, c.account_number, c.certificate, c.issued_us, c.revoked_us,"
    " a.account_no FROM certificates c JOIN accounts a ON a.number = c.account_number"
)
REVOKED_MAX: Final = 10_000
"""Revoked certificates that are listed at most."""


class NoticeKind(IntEnum):
    """Kind of a notice; numbers as in the proto."""

    CARD_READY = 1
    WARNING = 2
    SUSPENSION = 3


class SanctionKind(IntEnum):
    """Kind of a sanction."""

    WARNING = 1
    SUSPENSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """A case with its holder, as lists show it."""

    case: CaseFacts
    account_no: str
    name: str
    class_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    """A notice with whom it is about."""

    seq: int
    kind: int
    account_number: int
    case_no: int
    time_us: int
    text: str
    acknowledged_us: int
    account_no: str
    name: str
    class_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """A certificate."""

    certificate_no: int
    account_number: int
    certificate: str
    issued_us: int
    revoked_us: int
    account_no: str


# ---- reading ----


def case(sql: sqlite3.Connection, case_no: int) -> CaseFacts | None:
    """Find a case by its number."""
    return _case(sql.execute(f"{_CASE} FROM cases c WHERE case_no = ?", (case_no,)).fetchone())


def newest_case(sql: sqlite3.Connection, account_number: int) -> CaseFacts | None:
    """Find the newest case of an account."""
    query = f"{_CASE} FROM cases c WHERE account_number = ? ORDER BY case_no DESC LIMIT 1"
    return _case(sql.execute(query, (account_number,)).fetchone())


def case_of_old_card(sql: sqlite3.Connection, card_no: int) -> CaseFacts | None:
    """Find the newest case that replaces a card."""
    query = f"{_CASE} FROM cases c WHERE old_card_no = ? ORDER BY case_no DESC LIMIT 1"
    return _case(sql.execute(query, (card_no,)).fetchone())


def next_case_no(sql: sqlite3.Connection) -> int:
    """Return the number the next case gets."""
    (newest,) = sql.execute("SELECT max(case_no) FROM cases").fetchone()
    return (newest or 0) + 1


def list_cases(
    sql: sqlite3.Connection,
    *,
    state: CaseState | None,
    classes: frozenset[str] | None,
    before: int,
    limit: int,
) -> list[CaseRow]:
    """List cases, newest first; None: all, ``before`` 0: from the newest."""
    conditions, values = ["1"], list[object]()
    if before:
        conditions.append("c.case_no < ?")
        values.append(before)
    if state is not None:
        conditions.append("c.state = ?")
        values.append(state)
    if classes is not None:
        conditions.append("a.class_name IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(classes), ensure_ascii=False))
    query = (
        f"{_CASE}, a.account_no, a.name, a.class_name FROM cases c"
        " JOIN accounts a ON a.number = c.account_number"
        f" WHERE {' AND '.join(conditions)} ORDER BY c.case_no DESC LIMIT ?"
    )
    return [
        CaseRow(case=_made(row[:-3]), account_no=row[-3], name=row[-2], class_name=row[-1])
        for row in sql.execute(query, (*values, limit))
    ]


def receipt_used(sql: sqlite3.Connection, receipt_no: str) -> bool:
    """Tell whether a receipt number was confirmed before."""
    row = sql.execute("SELECT 1 FROM receipts WHERE receipt_no = ?", (receipt_no,)).fetchone()
    return row is not None


def list_notices(
    sql: sqlite3.Connection,
    *,
    classes: frozenset[str] | None,
    unread: bool,
    before: int,
    limit: int,
) -> list[NoticeRow]:
    """List notices, newest first; ``classes`` None: of everybody, ``before`` 0: from the newest."""
    conditions, values = ["1"], list[object]()
    if before:
        conditions.append("n.seq < ?")
        values.append(before)
    if unread:
        conditions.append("NOT n.acknowledged_us")
    if classes is not None:
        conditions.append("a.class_name IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(classes), ensure_ascii=False))
    query = f"{_NOTICE} WHERE {' AND '.join(conditions)} ORDER BY n.seq DESC LIMIT ?"
    rows = sql.execute(query, (*values, limit))
    names = NoticeRow.__slots__
    return [NoticeRow(**dict(zip(names, row, strict=True))) for row in rows]


def notice(sql: sqlite3.Connection, seq: int) -> NoticeRow | None:
    """Find a notice by its place in the journal."""
    found = list_notices(sql, classes=None, unread=False, before=seq + 1, limit=1)
    return found[0] if found and found[0].seq == seq else None


def certificate(sql: sqlite3.Connection, certificate_no: int) -> CertificateRow | None:
    """Find a certificate by its number."""
    return _certificate(sql, "c.certificate_no = ?", certificate_no)


def certificate_in_force(sql: sqlite3.Connection, account_number: int) -> CertificateRow | None:
    """Find the newest certificate of an account that is not revoked."""
    return _certificate(sql, "c.account_number = ? AND NOT c.revoked_us", account_number)


def next_certificate_no(sql: sqlite3.Connection) -> int:
    """Return the number the next certificate gets."""
    (newest,) = sql.execute("SELECT max(certificate_no) FROM certificates").fetchone()
    return (newest or 0) + 1


def revoked(sql: sqlite3.Connection) -> list[int]:
    """List revoked certificates, newest first, at most ``REVOKED_MAX``."""
    rows = sql.execute(
        "SELECT certificate_no FROM certificates WHERE revoked_us ORDER BY revoked_us DESC LIMIT ?",
        (REVOKED_MAX,),
    )
    return [number for (number,) in rows]


def _certificate(sql: sqlite3.Connection, condition: str, value: int) -> CertificateRow | None:
    query = f"{_CERTIFICATE} WHERE {condition} ORDER BY c.certificate_no DESC LIMIT 1"
    row = sql.execute(query, (value,)).fetchone()
    return CertificateRow(**dict(zip(CertificateRow.__slots__, row, strict=True))) if row else None


def _case(row: Any) -> CaseFacts | None:
    return None if row is None else _made(row)


def _made(row: Any) -> CaseFacts:
    case_no, account, state, old, new, form, photo, receipt, fee, fee_state = row[:10]
    proposed_by, receipt_no, early, faulty, opened, changed = row[10:]
    files = {Paper.FORM: form, Paper.PHOTO: photo, Paper.RECEIPT: receipt}
    return CaseFacts(
        case_no=case_no,
        account_number=account,
        state=CaseState(state),
        old_card_no=old,
        new_card_no=new,
        papers={paper: file for paper, file in files.items() if file},
        fee_fen=fee,
        fee_state=FeeState(fee_state),
        proposed_by=proposed_by,
        receipt_no=receipt_no,
        early=bool(early),
        faulty=bool(faulty),
        opened_us=opened,
        changed_us=changed,
    )


# ---- writing ----


def _known(scope: Scope, case_no: int) -> CaseFacts:
    return _made(
        scope.sql.execute(f"{_CASE} FROM cases c WHERE case_no = ?", (case_no,)).fetchone()
    )


def _change(scope: Scope, command: Command, case_no: int, **values: object) -> CaseFacts:
    names = ", ".join(f"{name} = ?" for name in values)
    scope.sql.execute(
        f"UPDATE cases SET {names}, changed_us = ? WHERE case_no = ?",  # noqa: S608 - our names
        (*values.values(), command.time_us, case_no),
    )
    return _known(scope, case_no)


def _cancel(scope: Scope, command: Command, case_no: int) -> bool:
    """Cancel a case; tells whether its fee is to be paid back."""
    fee = fee_after_cancel(_known(scope, case_no).fee_state)
    _change(scope, command, case_no, state=CaseState.CANCELLED, fee_state=fee)
    return fee is FeeState.REFUNDABLE


def _papers_facts(known: CaseFacts) -> Facts:
    return {"state": int(known.state), "missing": list(missing(known.papers, known.fee_state))}


def _notify(
    scope: Scope, command: Command, kind: NoticeKind, account: int, *, case_no: int = 0
) -> None:
    text = "" if kind is NoticeKind.CARD_READY else command.by.reason
    scope.sql.execute(
        "INSERT INTO notices (seq, kind, account_number, case_no, time_us, text)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (command.seq, kind, account, case_no, command.time_us, text),
    )


def _keep_receipt(
    scope: Scope, command: Command, account: int, receipt_no: str, paid_us: int, case_no: int = 0
) -> None:
    scope.sql.execute(
        "INSERT INTO receipts VALUES (?, ?, ?, ?, ?)",
        (receipt_no, command.seq, account, case_no, paid_us),
    )


def _loss_cancelled(scope: Scope, command: Command, document: documents.LossCancelled) -> Facts:
    cards.use_override(scope, command, document.override)
    refundable = document.case_no != 0 and _cancel(scope, command, document.case_no)
    return {"case_no": document.case_no, "fee_refundable": refundable}


def _opened(scope: Scope, command: Command, document: documents.CaseOpened) -> Facts:
    if document.closes:
        _change(scope, command, document.closes, state=CaseState.CANCELLED)
    scope.sql.execute(
        "INSERT INTO cases (case_no, account_number, state, old_card_no, fee_fen, fee_state, faulty,"
        " opened_us, changed_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            document.case_no,
            document.account,
            CaseState.OPEN,
            document.card_no,
            document.fee_fen,
            FeeState.DUE if document.fee_fen else FeeState.NONE,
            document.faulty,
            command.time_us,
            command.time_us,
        ),
    )
    return {"case_no": document.case_no, "fee_fen": document.fee_fen}


def _attached(scope: Scope, command: Command, document: documents.PaperAttached) -> Facts:
    column = _PAPER_COLUMNS[Paper(document.paper)]
    values = {column: document.file, "state": document.state}
    return _papers_facts(_change(scope, command, document.case_no, **values))


def _fee_confirmed(scope: Scope, command: Command, document: documents.FeeConfirmed) -> Facts:
    _keep_receipt(
        scope,
        command,
        document.account,
        document.receipt_no,
        document.paid_us,
        document.case_no,
    )
    known = _change(
        scope,
        command,
        document.case_no,
        state=document.state,
        fee_state=FeeState.PAID,
        receipt_no=document.receipt_no,
        early=document.early,
    )
    return {**_papers_facts(known), "receipt_before_loss": known.early}


def _waiver_proposed(scope: Scope, command: Command, document: documents.WaiverProposed) -> Facts:
    known = _change(
        scope,
        command,
        document.case_no,
        fee_state=FeeState.WAIVER_PROPOSED,
        proposed_by=command.by.actor,
    )
    return {"fee_state": int(known.fee_state), "state": int(known.state)}


def _fee_waived(scope: Scope, command: Command, document: documents.FeeWaived) -> Facts:
    known = _change(
        scope, command, document.case_no, fee_state=FeeState.WAIVED, state=document.state
    )
    return {"fee_state": int(known.fee_state), "state": int(known.state)}


def _fee_refunded(scope: Scope, command: Command, document: documents.FeeRefunded) -> Facts:
    known = _change(scope, command, document.case_no, fee_state=FeeState.REFUNDED)
    return {"amount_fen": known.fee_fen}


def _made_card(scope: Scope, command: Command, document: documents.CardMade) -> Facts:
    *old, new = command.effects_of(RecordType.MEDIUM)
    cards.follow(scope, command, old, void=CardState.VOID_REPLACED, successor=document.card_no)
    cards.add_card(scope, command, new, uid=document.uid, card_no=document.card_no)
    cards.use_override(scope, command, document.override)
    known = _change(
        scope,
        command,
        document.case_no,
        state=CaseState.CARD_MADE,
        new_card_no=document.card_no,
    )
    _notify(scope, command, NoticeKind.CARD_READY, known.account_number, case_no=document.case_no)
    return {"old_card_no": known.old_card_no, "card_no": document.card_no}


def _make_failed(scope: Scope, command: Command, document: documents.MakeFailed) -> Facts:
    scope.sql.execute(
        "INSERT INTO burnt_cards VALUES (?, ?, ?)",
        (document.card_no, document.case_no, command.seq),
    )
    return {"burnt_card_no": document.card_no}


def _picked_up(scope: Scope, command: Command, document: documents.CardPickedUp) -> Facts:
    known = _change(scope, command, document.case_no, state=CaseState.PICKED_UP)
    cards.follow(
        scope,
        command,
        command.effects_of(RecordType.MEDIUM),
        void=CardState.VOID_REPLACED,
        successor=known.new_card_no,
    )
    cards.use_override(scope, command, document.override)
    (lost_us,) = scope.sql.execute(
        "SELECT m.lost_time_us FROM cards c JOIN media m ON m.number = c.medium_number"
        " WHERE c.card_no = ?",
        (known.old_card_no,),
    ).fetchone()
    purses.keep_purse(scope, command, known.account_number, lost_us)
    return {"card_no": known.new_card_no}


def _cancelled(scope: Scope, command: Command, document: documents.CaseCancelled) -> Facts:
    return {"fee_refundable": _cancel(scope, command, document.case_no)}


def _compensated(scope: Scope, command: Command, document: documents.CardCompensated) -> Facts:
    record = command.effect(RecordType.MEDIUM)
    cards.follow(scope, command, (record,), void=CardState.VOID_COMPENSATED)
    _keep_receipt(scope, command, record.account, document.receipt_no, document.paid_us)
    card_no, lost_us = scope.sql.execute(
        "SELECT c.card_no, m.lost_time_us FROM cards c JOIN media m ON m.number = c.medium_number"
        " WHERE m.number = ?",
        (record.medium,),
    ).fetchone()
    purses.keep_purse(scope, command, record.account, lost_us)
    return {"card_no": card_no, "receipt_before_loss": bool(document.early)}


def _certified(scope: Scope, command: Command, document: documents.CertificateIssued) -> Facts:
    scope.sql.execute(
        "INSERT INTO certificates (certificate_no, account_number, certificate, issued_us)"
        " VALUES (?, ?, ?, ?)",
        (document.certificate_no, document.account, document.certificate, command.time_us),
    )
    return {
        "certificate_no": document.certificate_no,
        "certificate": document.certificate,
    }


def _revoked(scope: Scope, command: Command, document: documents.CertificateRevoked) -> Facts:
    scope.sql.execute(
        "UPDATE certificates SET revoked_us = ? WHERE certificate_no = ?",
        (command.time_us, document.certificate_no),
    )
    return {}


def _sanction(
    scope: Scope,
    command: Command,
    kind: SanctionKind,
    account: int,
    *,
    medium: int = 0,
    until: int = 0,
) -> None:
    scope.sql.execute(
        "INSERT INTO sanctions (seq, account_number, medium_number, kind, until_us)"
        " VALUES (?, ?, ?, ?, ?)",
        (command.seq, account, medium, kind, until),
    )


def _warned(scope: Scope, command: Command, document: documents.HolderWarned) -> Facts:
    _sanction(scope, command, SanctionKind.WARNING, document.account)
    _notify(scope, command, NoticeKind.WARNING, document.account)
    (count,) = scope.sql.execute(
        "SELECT count(*) FROM sanctions WHERE account_number = ? AND kind = ?",
        (document.account, SanctionKind.WARNING),
    ).fetchone()
    return {"warnings": count}


def keep_suspension(
    scope: Scope, command: Command, account: int, *, medium: int, until: int = 0
) -> None:
    """Keep that an account (``medium`` 0) or a medium was suspended, and tell the class's teacher."""
    _sanction(scope, command, SanctionKind.SUSPENSION, account, medium=medium, until=until)
    _notify(scope, command, NoticeKind.SUSPENSION, account)


def _suspended(scope: Scope, command: Command, document: documents.UseSuspended) -> Facts:
    medium, until = document.medium, document.until_us
    keep_suspension(scope, command, document.account, medium=medium, until=until)
    return {}


def _resumed(scope: Scope, command: Command, document: documents.UseResumed) -> Facts:
    scope.sql.execute(
        "UPDATE sanctions SET ended_us = ? WHERE account_number = ? AND medium_number = ?"
        " AND kind = ? AND NOT ended_us",
        (command.time_us, document.account, document.medium, SanctionKind.SUSPENSION),
    )
    return {}


def _acknowledged(scope: Scope, command: Command, document: documents.NoticeAcknowledged) -> Facts:
    scope.sql.execute(
        "UPDATE notices SET acknowledged_us = ? WHERE seq = ?", (command.time_us, document.notice)
    )
    found = notice(scope.sql, document.notice)
    if found is not None and found.kind == NoticeKind.CARD_READY:
        known = _known(scope, found.case_no)
        if known.state is CaseState.CARD_MADE:
            _change(scope, command, known.case_no, state=take(known.state, CaseEvent.NOTIFY))
    return {}


REGISTER: Final = Register(
    _SCHEMA,
    {
        documents.LossCancelled: _loss_cancelled,
        documents.CaseOpened: _opened,
        documents.PaperAttached: _attached,
        documents.FeeConfirmed: _fee_confirmed,
        documents.WaiverProposed: _waiver_proposed,
        documents.FeeWaived: _fee_waived,
        documents.FeeRefunded: _fee_refunded,
        documents.CardMade: _made_card,
        documents.MakeFailed: _make_failed,
        documents.CardPickedUp: _picked_up,
        documents.CaseCancelled: _cancelled,
        documents.CardCompensated: _compensated,
        documents.CertificateIssued: _certified,
        documents.CertificateRevoked: _revoked,
        documents.HolderWarned: _warned,
        documents.UseSuspended: _suspended,
        documents.UseResumed: _resumed,
        documents.NoticeAcknowledged: _acknowledged,
    },
)
