"""One import of a roster: checked rows in, acts of the office lane out, a result for every row.

The file was read and checked as a whole before. Rows go in chunks: what the registry knows of them is
looked up at once, new holders become acts of up to eight, changes one act. Every act is decided again
at the desk, so that two imports at the same time, or an interrupted one sent again, do nothing twice.
Between acts the loop is given back: terminals pay meanwhile.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from campuscard.v1 import roster_pb2 as pb
from core import documents, holders
from core.holders import NewHolder, RowChange
from core.ids import derived_request_id
from core.plans import EFFECTS_MAX, Plan
from core.ports import Person
from core.refusals import Fault, Refusal
from core.roster import HEADINGS, CheckedRow, Column, shared_id
from server.registers import holders as register
from server.services.office import answer
from server.services.roster_messages import row_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from core.facts import HolderFacts
    from core.roster import Wanted
    from server.office_lane import Desk
    from server.registers.holders import Secrets
    from server.registry import Registry
    from server.roster_files import ReadRoster
    from server.services.office import Office

TRIES: Final = 20
"""How often a chunk is looked at again because others acted on its holders, or the lane was full."""
PAUSE_S: Final = 0.002
"""How long the loop is left to others after each chunk; a payment passes through it several times."""
_NO_PHOTO: Final = "ROW_PHOTO_MISSING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The file as it came.

    Attributes:
        request_id: of the whole import, 16 bytes.
        sha256: of the file.
        file_name: for people.
        dry_run: check only.
    """

    request_id: bytes
    sha256: bytes
    file_name: str
    dry_run: bool


@dataclass(slots=True)
class _Sorted:
    """A chunk's rows by what is to be done, and the results that need no act."""

    new: list[CheckedRow] = field(default_factory=list)
    changed: list[tuple[CheckedRow, HolderFacts, Person]] = field(default_factory=list)
    results: list[pb.RowResult] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the registry knows of a chunk's holders."""

    holders: dict[str, HolderFacts]
    secrets: dict[int, Secrets]
    sharing: dict[bytes, tuple[str, ...]]


class _Moved(Exception):
    """Somebody else acted on these holders meanwhile."""


class RosterImport:
    """One import.

    Args:
        office: decides the acts.
        form: the file.
        wanted: what it was checked against.
        roster: its rows.
    """

    def __init__(self, office: Office, form: Form, wanted: Wanted, roster: ReadRoster) -> None:
        self._office = office
        self._form = form
        self._wanted = wanted
        self._roster = roster
        self._heading = HEADINGS[wanted.kind][Column.NUMBER]
        self.counts: Counter[RowChange] = Counter()
        self.warned = 0

    async def receive(self) -> pb.ImportSummary:
        """Journal the form; the summary has its act and no counts yet."""
        form, wanted = self._form, self._wanted
        document = documents.RosterReceived(
            sha256=form.sha256,
            file_name=form.file_name,
            kind=wanted.kind,
            class_name=wanted.class_name,
            rows=self._roster.rows,
            refused=self._roster.refused,
        )

        async def decide(_: Desk) -> Plan:
            return Plan(document=document, effects=())

        name = pb.ImportHoldersHeader.DESCRIPTOR.full_name
        given = await self._office.decide(name, form.request_id, document.encode(), decide)
        return answer(given, pb.ImportSummary)

    async def chunks(self) -> AsyncIterator[list[pb.RowResult]]:
        """Do the rows chunk by chunk; yields their results in the file's order.

        Raises:
            Refusal: the lane takes no acts now; what was done stays, the same file goes on with it.
        """
        for chunk in self._roster.chunks:
            rows: list[CheckedRow] = pickle.loads(chunk)  # noqa: S301 - our own worker wrote it
            results = await self._settled(rows)
            for result in results:
                self.counts[_CHANGES[result.outcome]] += 1
                self.warned += bool(result.warnings)
            yield results
            await asyncio.sleep(PAUSE_S)

    async def _settled(self, rows: list[CheckedRow]) -> list[pb.RowResult]:
        for _ in range(TRIES):
            todo = self._sort(rows, await self._look(rows))
            try:
                if not self._form.dry_run:
                    await self._write(todo)
            except _Moved:
                continue
            except Refusal as refusal:
                if not refusal.reason.retryable or refusal.reason.name == "SHUTTING_DOWN":
                    raise
                await asyncio.sleep(max(refusal.retry_after_ms, 50) / 1_000)
                continue
            results = todo.results
            results += [self._result(row, RowChange.ADDED) for row in todo.new]
            results += [self._result(row, RowChange.CHANGED) for row, _, _ in todo.changed]
            return sorted(results, key=lambda result: result.line)
        raise Refusal("CONFLICT", retry_after_ms=1_000)

    async def _look(self, rows: Sequence[CheckedRow]) -> _Known:
        numbers = [row.account_no for row in rows if row.person is not None]
        hashes = [row.person.id_hash for row in rows if row.person and row.person.id_hash]

        def look(registry: Registry) -> _Known:
            sql = registry.connection
            known = register.holders_of(sql, numbers)
            return _Known(
                known,
                register.secrets_of(sql, [facts.number for facts in known.values()]),
                register.sharing_id(sql, hashes),
            )

        return await self._office.projector.look(look)

    def _sort(self, rows: Sequence[CheckedRow], known: _Known) -> _Sorted:
        todo = _Sorted()
        for checked in rows:
            if checked.person is None:
                todo.results.append(self._result(checked, RowChange.REFUSED))
                continue
            facts = known.holders.get(checked.account_no)
            row = self._warned(checked, facts, known)
            if facts is None:
                todo.new.append(row)
                continue
            merged = holders.merge(
                facts,
                checked.person,
                kept=_kept(facts, known.secrets.get(facts.number)),
                kind=self._wanted.kind,
                classes=self._wanted.classes,
                heading=self._heading,
            )
            if merged.person is not None:
                todo.changed.append((row, facts, merged.person))
            else:
                faults = (merged.fault,) if merged.fault else ()
                todo.results.append(self._result(row, merged.change, faults=faults))
        return todo

    def _warned(self, row: CheckedRow, facts: HolderFacts | None, known: _Known) -> CheckedRow:
        """Add who gave the same ID number before; a photo that is there is not missed."""
        warnings = row.warnings
        if facts is not None and facts.photo_version:
            warnings = tuple(w for w in warnings if w.reason != _NO_PHOTO)
        sharing = known.sharing.get(row.person.id_hash, ()) if row.person else ()
        others = [account_no for account_no in sharing if account_no != row.account_no]
        if others and all(w.reason != "ROW_ID_SHARED" for w in warnings):
            warnings = (*warnings, shared_id(self._wanted.kind, others[0]))
        if warnings == row.warnings:
            return row
        return CheckedRow(
            line=row.line,
            account_no=row.account_no,
            person=row.person,
            password=row.password,
            warnings=warnings,
        )

    def _result(
        self, row: CheckedRow, change: RowChange, *, faults: tuple[Fault, ...] = ()
    ) -> pb.RowResult:
        refused = change is RowChange.REFUSED
        return row_message(
            row.line,
            row.account_no,
            change,
            faults=faults or row.faults,
            warnings=() if refused else row.warnings,
        )

    # ---- acts ----

    async def _write(self, todo: _Sorted) -> None:
        """Add and change a chunk's holders, as acts that share their durable commit."""
        if not todo.new and not todo.changed:
            return
        numbers = [row.account_no for row in todo.new]
        numbers += [row.account_no for row, _, _ in todo.changed]
        expected = {row.account_no: facts for row, facts, _ in todo.changed}

        async def decide(desk: Desk) -> list[tuple[bytes, bytes, Plan]]:
            now = await desk.read(lambda r: register.holders_of(r.connection, numbers))
            if now != expected:
                raise _Moved
            acts = []
            row_number = desk.next_row("account")
            for first in range(0, len(todo.new), EFFECTS_MAX):
                rows = todo.new[first : first + EFFECTS_MAX]
                plan = self._add(rows, desk, row_number)
                acts.append((*self._named("add", [row.account_no for row in rows]), plan))
                row_number += len(rows)
            if todo.changed:
                # Somebody may change a holder back between two imports of one file: the etag makes
                # the second change another act than the first.
                names = [f"{row.account_no}@{facts.changed_seq}" for row, facts, _ in todo.changed]
                plan = self._change(todo.changed, desk)
                acts.append((*self._named("change", names), plan))
            return acts

        await self._office.decide_together(pb.RowResult.DESCRIPTOR.full_name, decide)

    def _add(self, rows: Sequence[CheckedRow], desk: Desk, first: int) -> Plan:
        new = [
            NewHolder(
                number=number,
                account_no=row.account_no,
                sealed=desk.keys.seal(number, _person(row)),
                password=row.password,
            )
            for number, row in enumerate(rows, start=first)
        ]
        return holders.add(new, kind=self._wanted.kind, roster=self._form.sha256)

    def _change(
        self, changes: Sequence[tuple[CheckedRow, HolderFacts, Person]], desk: Desk
    ) -> Plan:
        document = documents.HoldersChanged(
            roster=self._form.sha256,
            numbers=tuple(facts.number for _, facts, _ in changes),
            sealed=tuple(desk.keys.seal(facts.number, person) for _, facts, person in changes),
            statuses=tuple(facts.status for _, facts, _ in changes),
        )
        return Plan(document=document, effects=())

    def _named(self, what: str, names: Sequence[str]) -> tuple[bytes, bytes]:
        """Return the request id of one act, made from the import's, and its compared body."""
        body = self._form.sha256 + "\0".join((what, *names)).encode()
        return derived_request_id(self._form.request_id, body), body


_CHANGES: Final = {
    pb.ROW_OUTCOME_ADDED: RowChange.ADDED,
    pb.ROW_OUTCOME_CHANGED: RowChange.CHANGED,
    pb.ROW_OUTCOME_UNCHANGED: RowChange.UNCHANGED,
    pb.ROW_OUTCOME_REFUSED: RowChange.REFUSED,
}


def _person(row: CheckedRow) -> Person:
    if row.person is None:
        raise ValueError("a refused row has no person")
    return row.person


def _kept(facts: HolderFacts, secrets: Secrets | None) -> Person | None:
    return None if facts.erased else register.person(facts, secrets)
