"""Holders: where they stand with the school, what may change, who may see them.

Every function decides one act from facts and returns a ``Plan`` or raises ``Refusal``.

**Source:** regulation 一.2, 三.1(1)-(2), 三.5, 四.3b; D15 (staff leaving), D19 (leave).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

from core import documents
from core.merchants import check_etag
from core.plans import EffectKind, EffectPlan, Expect, Plan
from core.ports import Person
from core.refusals import Fault, Refusal, invalid
from core.rows import AccountBody, AccountStatus, RowEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.facts import HolderFacts


class HolderKind(IntEnum):
    """What a holder is; as in the proto."""

    STUDENT = 1
    STAFF = 2
    TEMPORARY = 3
    OPERATOR = 4


class HolderStatus(IntEnum):
    """Where a holder stands with the school; as in the proto."""

    ENROLLED = 1
    ON_LEAVE = 2
    GRADUATED = 3
    WITHDRAWN = 4
    STAFF_LEFT = 5


LEFT: Final = frozenset({HolderStatus.GRADUATED, HolderStatus.WITHDRAWN, HolderStatus.STAFF_LEFT})
"""Statuses of holders who have left; entering and leaving them needs a reason."""

_OF_STUDENTS: Final = frozenset({HolderStatus.GRADUATED, HolderStatus.WITHDRAWN})
_OF_STAFF: Final = frozenset({HolderStatus.STAFF_LEFT})

STATUS_TRANSITIONS: Final[dict[HolderStatus, frozenset[HolderStatus]]] = {
    HolderStatus.ENROLLED: frozenset({HolderStatus.ON_LEAVE}) | LEFT,
    HolderStatus.ON_LEAVE: frozenset(
        {HolderStatus.ENROLLED, HolderStatus.WITHDRAWN, HolderStatus.STAFF_LEFT}
    ),
    HolderStatus.GRADUATED: frozenset({HolderStatus.ENROLLED}),
    HolderStatus.WITHDRAWN: frozenset({HolderStatus.ENROLLED}),
    HolderStatus.STAFF_LEFT: frozenset({HolderStatus.ENROLLED}),
}
"""Statuses that may follow each one. Who left comes back as ENROLLED only: a mistake, or a return."""

WEAK_MAX: Final = 256
"""Forbidden numbers kept of one holder at most; a row has about forty."""
REASON_MAX: Final = 200
"""Characters of a reason at most."""


def legal_statuses(kind: int, status: HolderStatus) -> frozenset[HolderStatus]:
    """Return what may follow a status for a kind of holder.

    Students graduate and withdraw, everybody else leaves as staff do.
    """
    not_theirs = _OF_STAFF if kind == HolderKind.STUDENT else _OF_STUDENTS
    return STATUS_TRANSITIONS[status] - not_theirs


class RowChange(StrEnum):
    """What a row of a roster does to the registry."""

    ADDED = "ADDED"
    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a row makes of a known holder; ``person`` only where it is CHANGED."""

    change: RowChange
    person: Person | None = None
    fault: Fault | None = None


def merge(
    known: HolderFacts,
    person: Person,
    *,
    kept: Person | None,
    kind: HolderKind,
    classes: frozenset[str] | None,
    heading: str,
) -> Merged:
    """Compare a row with the holder it names.

    A blank telephone or ID number of the row takes nothing away. Passwords are never touched: who is
    known keeps the one in use, so the tag of an initial query password stays that of the first row
    that had one.

    Args:
        known: the holder.
        person: the row's.
        kept: what is kept of the holder; None when it cannot be read.
        kind: of the import.
        classes: those the caller may touch; None: all.
        heading: of the column with the number.

    **Source:** regulation 一.2, 三.1(1) (the same file again changes nothing).
    """
    fault = _merge_fault(known, kind=kind, classes=classes, heading=heading)
    if fault is not None:
        return Merged(change=RowChange.REFUSED, fault=fault)
    if kept is None:
        return Merged(change=RowChange.REFUSED, fault=Fault("HOLDER_ERASED"))
    new_numbers = bool(person.id_hash) and person.id_hash != kept.id_hash
    new_phone = bool(person.phone) and person.phone != kept.phone
    after = Person(
        name=person.name,
        class_name=person.class_name,
        phone=person.phone or kept.phone,
        id_hash=person.id_hash or kept.id_hash,
        weak_hashes=_weak(person, kept, new_numbers=new_numbers, new_phone=new_phone),
        query_tag=kept.query_tag or person.query_tag,
    )
    if after == kept:
        return Merged(change=RowChange.UNCHANGED)
    return Merged(change=RowChange.CHANGED, person=after)


def _weak(person: Person, kept: Person, *, new_numbers: bool, new_phone: bool) -> tuple[bytes, ...]:
    """Return all that was forbidden before, too: an old birthday or telephone is no secret."""
    if not kept.weak_hashes:
        return person.weak_hashes
    if new_numbers or new_phone:
        return _united(person.weak_hashes, kept.weak_hashes)
    return kept.weak_hashes


def _united(new: tuple[bytes, ...], old: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Put hashes together; beyond ``WEAK_MAX`` old ones go."""
    kept = [text for text in old if text not in new][: max(0, WEAK_MAX - len(new))]
    return tuple(sorted({*new, *kept}))


def _merge_fault(
    known: HolderFacts, *, kind: HolderKind, classes: frozenset[str] | None, heading: str
) -> Fault | None:
    if known.erased:
        return Fault("HOLDER_ERASED", heading)
    if known.kind != kind:
        return Fault("ROW_NUMBER_TAKEN", heading)
    if classes is not None and known.class_name not in classes:
        return Fault("NOT_YOUR_CLASS", heading)
    if known.account_status is AccountStatus.CLOSED:
        return Fault("ACCOUNT_CLOSED", heading)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHolder:
    """A holder to add: ``number`` is the row the account takes."""

    number: int
    account_no: str
    sealed: bytes
    password: str


def add(new: Sequence[NewHolder], *, kind: HolderKind, roster: bytes) -> Plan:
    """Open the accounts of new holders, 1 to 8, with their initial transaction passwords.

    Args:
        new: in the order of their numbers, which are the next free ones.
        kind: of all.
        roster: SHA-256 of the form.

    **Source:** regulation 三.1(1), 四.3b.
    """
    body = AccountBody(status=AccountStatus.NORMAL, kind=kind, event=RowEvent.OPEN).pack()
    effects = tuple(
        EffectPlan(
            kind=EffectKind.ACCOUNT_OPEN,
            row=holder.number,
            event=RowEvent.OPEN,
            expect=Expect.ROW_FREE,
            body=body,
            pin=holder.password,
        )
        for holder in new
    )
    document = documents.HoldersAdded(
        roster=roster,
        account_nos=tuple(holder.account_no for holder in new),
        sealed=tuple(holder.sealed for holder in new),
    )
    return Plan(document=document, effects=effects)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedChange:
    """What to change of a holder; None: as it is."""

    name: str | None = None
    class_name: str | None = None
    phone: str | None = None
    status: HolderStatus | None = None
    etag: str = ""
    reason: str = ""


def check_change(known: HolderFacts, wanted: WantedChange) -> HolderStatus:
    """Check a change of one holder; returns the status after it.

    Raises:
        Refusal: HOLDER_ERASED, CONFLICT, FIELD_INVALID, HOLDER_STATUS.

    **Source:** regulation 三.5; ``STATUS_TRANSITIONS``.
    """
    if known.erased:
        raise Refusal("HOLDER_ERASED")
    check_etag(wanted.etag, changed_seq=known.changed_seq)
    after = wanted.status or known.status
    if all(v is None for v in (wanted.name, wanted.class_name, wanted.phone, wanted.status)):
        raise invalid("name", "name something to change")
    if after is known.status:
        return after
    legal = legal_statuses(known.kind, known.status)
    if after not in legal:
        names = ", ".join(sorted(status.name for status in legal))
        raise Refusal("HOLDER_STATUS", state=known.status.name, wanted=after.name, legal=names)
    if (after in LEFT or known.status in LEFT) and not wanted.reason:
        raise invalid("reason", f"1 to {REASON_MAX} characters")
    return after


def leave_effect(known: HolderFacts, after: HolderStatus, *, spending: str) -> EffectPlan | None:
    """Return what a change of status does to the account; None: nothing.

    The value at the beginning of the leave decides. Suspending an account that is suspended already
    takes the end of that suspension away: it is resumed by hand, whatever comes first.

    Args:
        known: the holder as they stand.
        after: the status from now on.
        spending: parameter ``leave_spending``.

    **Source:** regulation 八.1; D19.
    """
    begins = after is HolderStatus.ON_LEAVE and after is not known.status and spending == "NONE"
    ends = after is HolderStatus.ENROLLED and known.held_for_leave
    if begins and known.account_status in {AccountStatus.NORMAL, AccountStatus.SUSPENDED}:
        status = AccountStatus.SUSPENDED
    elif ends and known.account_status is AccountStatus.SUSPENDED:
        status = AccountStatus.NORMAL
    else:
        return None
    return EffectPlan(
        kind=EffectKind.ACCOUNT_STATUS,
        row=known.number,
        event=RowEvent.STATUS,
        expect=Expect.STATUS,
        expect_status=known.account_status,
        body=AccountBody(status=status, event=RowEvent.STATUS).pack(),
    )


def change(known: HolderFacts, after: HolderStatus, sealed: bytes, *, spending: str) -> Plan:
    """Plan a change of one holder that ``check_change`` allowed.

    Args:
        known: the holder as they stand.
        after: the status from now on.
        sealed: the person from now on, under the holder's key.
        spending: parameter ``leave_spending``.

    **Source:** regulation 三.5, 八.1; D19.
    """
    effect = leave_effect(known, after, spending=spending)
    holds = effect is not None and after is HolderStatus.ON_LEAVE
    holds = holds and known.account_status is AccountStatus.NORMAL
    document = documents.HoldersChanged(
        roster=b"",
        numbers=(known.number,),
        sealed=(sealed,),
        statuses=(after,),
        held=(known.number,) if holds else (),
    )
    return Plan(document=document, effects=() if effect is None else (effect,))


def changed(kept: Person, wanted: WantedChange, *, phone_hashes: tuple[bytes, ...]) -> Person:
    """Return a person after a change; ``phone_hashes`` are of the new telephone number."""
    weak = kept.weak_hashes
    if phone_hashes:
        weak = _united(phone_hashes, weak)
    return Person(
        name=kept.name if wanted.name is None else wanted.name,
        class_name=kept.class_name if wanted.class_name is None else wanted.class_name,
        phone=kept.phone if wanted.phone is None else wanted.phone,
        id_hash=kept.id_hash,
        weak_hashes=weak,
        query_tag=kept.query_tag,
    )
