"""What effects that wait for their time must satisfy, when they are made, end and come true.

**Source:** docs/reference/decisions.md, scheduled effects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.offline import layout as at
from server.offline.findings import Difference, demand_equal
from server.offline.names import RULES_FIELDS
from server.offline.rows import Scheduled

if TYPE_CHECKING:
    from server.offline.books import Books
    from server.offline.layout import Entry

WORDS = 10
"""Fields of the rules of four bytes, before those of one."""
HALVES = 14
"""From here on they have two bytes."""
LATER = 12
"""From here on fields wait by themselves, and their values begin with the first of them."""
VALUES_AT = 4
"""Where the fields of the rules begin in their body."""
VALUES_BYTES = 42
MEALS_BYTES = 36
TYPES = {
    at.EF_ACCOUNT_STATUS: at.ACCOUNT,
    at.EF_MEDIUM_STATE: at.MEDIUM,
    at.EF_CATEGORY: at.CATEGORY,
    at.EF_RULES: at.RULES,
    at.EF_MEALS: at.MEALS,
}
"""The record of each kind's coming true."""
USED = {
    at.EF_ACCOUNT_STATUS: 1,
    at.EF_MEDIUM_STATE: 2,
    at.EF_CATEGORY: 2,
    at.EF_MEALS: MEALS_BYTES,
}
"""Bytes of the values that mean something."""


MASK_BITS = {at.EF_RULES: len(RULES_FIELDS), at.EF_MEDIUM_STATE: 8}
"""How long the masks are."""


def read(e: Entry, body: bytes) -> Scheduled:
    """Read a body and check what must be zero."""
    waits = Scheduled(e.seq, e.account, e.medium, body, *at.SCHEDULED_BODY.unpack(body))
    if waits.kind not in TYPES or waits.spare:
        raise Difference(e.seq, f"effect {waits.kind} cannot wait, or bytes that should be zero")
    of_row = waits.kind in (at.EF_ACCOUNT_STATUS, at.EF_MEDIUM_STATE)
    rows = (bool(e.account), bool(e.medium), bool(waits.expect & at.X_STATUS))
    wanted = (of_row, waits.kind == at.EF_MEDIUM_STATE, of_row)
    demand_equal(e.seq, "rows and expectation", rows, wanted)
    if not of_row and (waits.event or waits.expect or waits.expect_status or waits.expect_flags):
        raise Difference(e.seq, "expectations of no row")
    if waits.expect & ~(at.X_STATUS | at.X_UNCHANGED) or waits.mask >> MASK_BITS.get(waits.kind, 0):
        raise Difference(e.seq, "an expectation or a mask out of range")
    values = waits.values
    if waits.kind == at.EF_RULES:
        if waits.mask >> LATER and waits.mask % (1 << LATER):
            raise Difference(e.seq, "a mask of fields that do not wait together")
        start = values_at(waits.mask)
        whole = masked(bytes(at.RULES_BODY.size), values, waits.mask)
        meant = whole[start : start + VALUES_BYTES].ljust(VALUES_BYTES, b"\0")
    else:
        used = USED[waits.kind]
        meant = values[:used] + bytes(VALUES_BYTES - used)
    flags = values[1] if waits.kind == at.EF_MEDIUM_STATE else 0
    if (flags | waits.expect_flags) & ~waits.mask:
        raise Difference(e.seq, "flags outside the mask")
    demand_equal(e.seq, "values that mean something", values, meant)
    return waits


def field_at(field: int) -> int:
    """Return where a field stands in the body of the rules."""
    bytes_before = max(min(field, HALVES) - WORDS, 0) + 2 * max(field - HALVES, 0)
    return VALUES_AT + 4 * min(field, WORDS) + bytes_before


def values_at(mask: int) -> int:
    """Return where the values of a mask's fields begin in the body of the rules."""
    return field_at(LATER if mask >> LATER else 0)


def masked(before: bytes, values: bytes, mask: int) -> bytes:
    """Replace the fields that the mask names in a body of rules."""
    after = bytearray(before)
    for field in range(len(RULES_FIELDS)):
        if mask >> field & 1:
            start, end = field_at(field), field_at(field + 1)
            skipped = values_at(mask)
            after[start:end] = values[start - skipped : end - skipped]
    return bytes(after)


def scheduled(books: Books, e: Entry, body: bytes) -> None:
    """An effect waits from now on."""
    waits = read(e, body)
    changes = 0
    if waits.medium:
        medium = books.media.get(waits.medium)
        if medium is None or medium.account != e.account:
            raise Difference(e.seq, "a medium that is not the account's")
        changes = medium.changes
    elif waits.account:
        changes = books.accounts[waits.account].changes
    demand_equal(e.seq, "changes", waits.changes, changes)
    books.wait(waits)
    follow_account(books, e)


def unscheduled(books: Books, e: Entry, body: bytes) -> None:
    """It waits no more: cancelled, or its time has come and the row is another."""
    waits = known(books, e)
    told = (e.account, e.medium, body)
    demand_equal(e.seq, "what was scheduled", told, (waits.account, waits.medium, waits.body))
    due = bool(e.flags & at.F_DUE)
    verdict = (e.outcome == at.DECLINED, e.reason)
    demand_equal(e.seq, "outcome and reason", verdict, (due, at.R_CONFLICT if due else 0))
    books.wait_no_more(waits.seq)
    follow_account(books, e)


def follow_account(books: Books, e: Entry) -> None:
    """Link the record to its account."""
    if e.account:
        books.accounts[e.account].last_seq = e.seq
        books.weights.accounts.add(e.account)


def known(books: Books, e: Entry) -> Scheduled:
    """Find what waits."""
    waits = books.scheduled.get(e.original_seq)
    if waits is None:
        raise Difference(e.seq, f"seq {e.original_seq} is nothing that waits")
    return waits


def falls_due(books: Books, e: Entry, body: bytes) -> None:
    """An effect's time has come: it is the earliest, fits or does not, and is as scheduled."""
    waits = known(books, e)
    if waits.due_s * 1_000_000 > books.time_us:
        raise Difference(e.seq, "a scheduled effect before its time")
    demand_equal(e.seq, "the earliest of what is due", waits.seq, books.earliest()[1])
    if e.type == at.UNSCHEDULED:
        if fits(books, waits):
            raise Difference(e.seq, "given up although its row is as expected")
        return
    demand_equal(e.seq, "type and fit", (e.type, fits(books, waits)), (TYPES[waits.kind], True))
    demand_equal(e.seq, "rows", (e.account, e.medium), (waits.account, waits.medium))
    demand_equal(e.seq, "what comes true", body, after_image(books, waits, body))
    books.wait_no_more(waits.seq)
    books.rules_fell_due = e.type in (at.RULES, at.MEALS)


def fits(books: Books, waits: Scheduled) -> bool:
    """Whether the row is as the effect expects it."""
    if waits.medium:
        medium = books.media[waits.medium]
        same = waits.expect_status in (0, medium.state)
        same = same and medium.flags & waits.mask == waits.expect_flags
        changes = medium.changes
    elif waits.account:
        account = books.accounts[waits.account]
        same, changes = account.status == waits.expect_status, account.changes
    else:
        return True
    return same and (not waits.expect & at.X_UNCHANGED or changes == waits.changes)


def after_image(books: Books, waits: Scheduled, body: bytes) -> bytes:
    """Return what the record must hold; versions and passwords are compared by its type."""
    values = waits.values
    if waits.kind == at.EF_RULES:
        kept = books.next_rules.body
        return body[:VALUES_AT] + masked(kept, values, waits.mask)[VALUES_AT:]
    if waits.kind == at.EF_MEALS:
        return values[:MEALS_BYTES] + body[MEALS_BYTES : MEALS_BYTES + 4] + bytes(16)
    if waits.kind == at.EF_CATEGORY:
        return values[:2] + bytes(54)
    if waits.kind == at.EF_MEDIUM_STATE:
        medium = books.media[waits.medium]
        flags = medium.flags & ~waits.mask & 0xFF | values[1]
        papers = (values[0] or medium.state, flags, waits.event, 0, medium.expires_day)
        changes = medium.changes + bool((medium.flags ^ flags) & at.M_FROZEN)
        return at.MEDIUM_BODY.pack(medium.key, *papers, changes & 0xFFFF, bytes(32))
    account = books.accounts[waits.account]
    return at.ACCOUNT_BODY.pack(
        account.pin_tag,
        account.pin_salt,
        account.pin_version,
        account.day_limit,
        account.meal_limit,
        values[0],
        account.flags,
        account.pin_fails,
        account.pin_kid,
        account.kind,
        waits.event,
        (account.changes + 1) & 0xFFFF,
        bytes(12),
    )
