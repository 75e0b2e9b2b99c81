"""Effects that wait for their time, and everything that falls due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from tests.model import holds, office
from tests.model.books import Books
from tests.model.numbers import (
    DUE_MAX,
    AccountStatus,
    Counts,
    EffectKind,
    Event,
    Flag,
    Kind,
    MediumFlag,
    MediumState,
    Outcome,
    Reason,
)
from tests.model.state import Hold, Record, Rules, Scheduled

if TYPE_CHECKING:
    from tests.model.office import Effect

FIELDS = tuple(field.name for field in fields(Rules))[1:]
"""Fields of the rules in the order of a mask's bits."""
LATER = FIELDS.index("business_days")
"""From here on fields wait apart from those before."""
ROWS = {EffectKind.ACCOUNT_STATUS, EffectKind.MEDIUM_STATE}
CAN_WAIT = ROWS | {EffectKind.CATEGORY, EffectKind.RULES, EffectKind.MEALS}


# ---- taken down, cancelled ----


def objection(books: Books, before: Sequence[Effect], effect: Effect) -> str:
    """Return CONFLICT or INVALID if it cannot wait or be cancelled, else nothing."""
    if effect.kind is EffectKind.CANCEL:
        named = {e.scheduled_seq for e in before if e.kind is EffectKind.CANCEL}
        here = effect.scheduled_seq in books.scheduled and effect.scheduled_seq not in named
        return "" if here else "CONFLICT"
    known = {EffectKind.ACCOUNT_STATUS: books.accounts, EffectKind.MEDIUM_STATE: books.media}
    expected = effect.expect_status is not None
    if effect.kind not in CAN_WAIT or effect.expect_last_seq is not None:
        return "INVALID"
    if expected != (effect.kind in ROWS) or (effect.unchanged and not expected):
        return "INVALID"
    if effect.kind in ROWS and effect.row not in known[effect.kind]:
        return "INVALID"
    if effect.kind is EffectKind.RULES and effect.mask >> LATER and effect.mask % (1 << LATER):
        return "INVALID"
    return ""


def take_down(books: Books, effect: Effect, flags: Flag) -> Record:
    """Make an effect wait, or end its waiting."""
    if effect.kind is EffectKind.CANCEL:
        return end(books, books.scheduled[effect.scheduled_seq], Outcome.EFFECT, Reason.OK, flags)
    account = medium = changes = 0
    if effect.kind is EffectKind.ACCOUNT_STATUS:
        account, changes = effect.row, books.accounts[effect.row].changes
    elif effect.kind is EffectKind.MEDIUM_STATE:
        row = books.media[effect.row]
        account, medium, changes = row.account, effect.row, row.changes
    waits = Scheduled(
        seq=len(books.journal) + 1,
        due_s=effect.due_s,
        kind=effect.kind,
        event=effect.event if account else Event.NONE,
        mask=effect.mask,
        unchanged=effect.unchanged,
        expect_status=effect.expect_status or 0,
        expect_flags=effect.expect_flags & effect.mask if medium else 0,
        changes=changes,
        account=account,
        medium=medium,
        values=values_of(effect),
    )
    books.scheduled[waits.seq] = waits
    return write(books, waits, Record(type=Kind.SCHEDULED, outcome=Outcome.EFFECT, flags=flags))


def values_of(effect: Effect) -> tuple[Any, ...]:
    """Return what the effect will set."""
    if effect.kind is EffectKind.ACCOUNT_STATUS:
        return (effect.status,)
    if effect.kind is EffectKind.MEDIUM_STATE:
        return effect.status, effect.flags & effect.mask
    if effect.kind is EffectKind.CATEGORY:
        return effect.category, effect.flags
    if effect.kind is EffectKind.MEALS:
        return effect.meals
    bits = enumerate(FIELDS)
    return tuple(getattr(effect.rules, name) * (effect.mask >> bit & 1) for bit, name in bits)


def write(books: Books, waits: Scheduled, record: Record) -> Record:
    """Write a record of the effect's waiting."""
    record.image, record.medium = waits.image, waits.medium
    return books.write(record, account=books.accounts.get(waits.account), counters=False)


def end(books: Books, waits: Scheduled, outcome: Outcome, reason: Reason, flags: Flag) -> Record:
    """It will not happen: cancelled, or no longer what its row expects."""
    del books.scheduled[waits.seq]
    record = Record(type=Kind.UNSCHEDULED, outcome=outcome, reason=reason, flags=flags)
    record.original_seq = waits.seq
    return write(books, waits, record)


# ---- falling due ----


def overdue(books: Books) -> list[Hold | Scheduled]:
    """Return what should have happened by now."""
    reserved = [hold for hold in books.holds.values() if hold.state != "GREY"]
    waiting: list[Hold | Scheduled] = [*reserved, *books.scheduled.values()]
    return [item for item in waiting if item.due_s * 1_000_000 <= books.time_us]


def process_due(books: Books) -> list[Record]:
    """At a block's start: all whose time has come, earliest first, then by seq.

    A change of rules or meals is its block's last record: what comes after runs under it.
    """
    records: list[Record] = []
    while len(records) < DUE_MAX and not books.rules_change:
        due = overdue(books)
        if not due:
            break
        item = min(due, key=lambda i: (i.due_s, i.seq))
        happens = carry_out if isinstance(item, Scheduled) else holds.fall_due
        records.append(happens(books, item))  # type: ignore[arg-type]
    return records


def carry_out(books: Books, waits: Scheduled) -> Record:
    """Set what it says, on the row as it now is."""
    if not fits(books, waits):
        return end(books, waits, Outcome.DECLINED, Reason.CONFLICT, Flag.DUE)
    del books.scheduled[waits.seq]
    record = DOERS[waits.kind](books, waits)
    record.original_seq = waits.seq
    return record


def fits(books: Books, waits: Scheduled) -> bool:
    """Whether the row is as expected; `unchanged`: and nobody has set it since."""
    if waits.kind is EffectKind.ACCOUNT_STATUS:
        account = books.accounts[waits.account]
        same, changes = account.status == waits.expect_status, account.changes
    elif waits.kind is EffectKind.MEDIUM_STATE:
        medium = books.media[waits.medium]
        same = waits.expect_status in {0, medium.state}
        same = same and medium.flags & waits.mask == waits.expect_flags
        changes = medium.changes
    else:
        return True
    return same and (not waits.unchanged or changes == waits.changes)


def set_status(books: Books, waits: Scheduled) -> Record:
    """An account's status."""
    account = books.accounts[waits.account]
    account.pin_fails = books.fails(account)
    account.status = AccountStatus(waits.values[0])
    account.changes = (account.changes + 1) % 2**16
    image = office.account_image(account, waits.event)
    record = office.paper(Kind.ACCOUNT, Flag.DUE, image)
    return books.write(record, account=account, counters=False)


def set_medium(books: Books, waits: Scheduled) -> Record:
    """A medium's state, if one is given, and the flags of the mask."""
    medium = books.media[waits.medium]
    state, values = waits.values
    flags = MediumFlag(medium.flags & ~waits.mask | values)
    medium.changes += bool((medium.flags ^ flags) & MediumFlag.FROZEN)
    medium.state, medium.flags = MediumState(state or medium.state), flags
    image = office.medium_image(medium, waits.event)
    record = office.paper(Kind.MEDIUM, Flag.DUE, image, medium=medium.number)
    return books.write(record, account=books.accounts[medium.account], counters=False)


def set_category(books: Books, waits: Scheduled) -> Record:
    """What a category may do."""
    books.categories[waits.values[0]] = Counts(waits.values[1])
    return books.write(office.paper(Kind.CATEGORY, Flag.DUE, waits.values), counters=False)


def set_rules(books: Books, waits: Scheduled) -> Record:
    """The rules in force, with the fields of the mask replaced."""
    values = zip(FIELDS, waits.values, strict=True)
    new = {name: value for bit, (name, value) in enumerate(values) if waits.mask >> bit & 1}
    return office.set_rules(books, replace(books.rules, **new), Flag.DUE)


def set_meals(books: Books, waits: Scheduled) -> Record:
    """All meals."""
    return office.set_meals(books, waits.values, Flag.DUE)


DOERS = {
    EffectKind.ACCOUNT_STATUS: set_status,
    EffectKind.MEDIUM_STATE: set_medium,
    EffectKind.CATEGORY: set_category,
    EffectKind.RULES: set_rules,
    EffectKind.MEALS: set_meals,
}
