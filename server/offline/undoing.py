"""What becomes of holds, and what may be taken back.

**Source:** docs/reference/decisions.md, captures, releases, due holds, reversals and refunds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.offline import layout as at
from server.offline.findings import Difference, demand_equal
from server.offline.rows import Undo
from server.offline.taps import COUNTS, now, refusal

if TYPE_CHECKING:
    from server.offline.books import Books
    from server.offline.layout import Entry
    from server.offline.rows import Account, Hold


def flags_of(hold: Hold) -> int:
    """Return the flags every record that ends a hold repeats."""
    counts = (hold.counts & 1 and at.F_COUNTS_DAY) | (hold.counts & 2 and at.F_COUNTS_MEAL)
    return counts | (at.F_WATER if hold.water else 0)


def the_hold(books: Books, e: Entry) -> Hold:
    """Return the open hold a record is about, checked against what the record repeats of it."""
    hold = books.holds.get(e.original_seq)
    if hold is None:
        raise Difference(e.seq, f"hold {e.original_seq} is not open")
    repeated = (e.account, e.medium, e.merchant, e.day_key, e.meal_key)
    right = (hold.account, hold.medium, hold.merchant, hold.day_key, hold.meal_key)
    if repeated != right:
        demand_equal(e.seq, "account, medium, merchant, day and meal", repeated, right)
    if e.flags & at.F_KEY_IS_REQUEST:
        if e.terminal or e.aux or hold.state != at.GREY:
            raise Difference(e.seq, "the office settled a hold that was not grey")
    elif e.flags & at.F_BY_COUNTER:
        if not hold.water:
            raise Difference(e.seq, "a card counter resolved a hold that is not of water")
    elif e.terminal != hold.terminal:
        raise Difference(e.seq, "a hold of another terminal")
    books.weights.holds.add(hold.seq)
    return hold


def close_hold(books: Books, hold: Hold) -> None:
    """Forget a finished hold."""
    del books.holds[hold.seq]
    if hold.water:
        books.accounts[hold.account].water_hold = 0


def ends(e: Entry) -> bool:
    """Whether a capture or release came true: approved at a terminal, or an effect of the office."""
    return e.outcome == (at.EFFECT if e.flags & at.F_KEY_IS_REQUEST else at.APPROVED)


def give_back(books: Books, e: Entry, account: Account, hold: Hold) -> None:
    """Free all of a hold that was not posted."""
    demand_equal(e.seq, "amount freed", e.amount, hold.amount)
    demand_equal(e.seq, "COUNTS and WATER", e.flags & (COUNTS | at.F_WATER), flags_of(hold))
    account.held -= hold.amount
    books.recount(account, hold.day_key, hold.meal_key, -hold.amount, flags_of(hold))
    demand_equal(e.seq, "ONLINE", e.debit_after, account.online)


def no_wallets(e: Entry, credit_after: int = 0) -> None:
    """The record moves nothing."""
    demand_equal(e.seq, "wallets", (e.debit_wallet, e.credit_wallet), (0, 0))
    demand_equal(e.seq, "credit_after", e.credit_after, credit_after)


def capture(books: Books, e: Entry, account: Account | None) -> None:
    """Posts a hold, at most its amount; late ones may overdraw."""
    if not ends(e):
        refusal(books, e, account)
        return
    hold = the_hold(books, e)
    if account is None:
        raise Difference(e.seq, "an approved capture without account")
    late = hold.state == at.EXPIRED
    demand_equal(e.seq, "LATE and FORCED", e.flags & (at.F_LATE | at.F_FORCED) != 0, late)
    demand_equal(e.seq, "COUNTS and WATER", e.flags & (COUNTS | at.F_WATER), flags_of(hold))
    posted = hold.amount if hold.water else min(e.aux, hold.amount)
    demand_equal(e.seq, "amount captured", e.amount, posted)
    more = not hold.water and e.aux > hold.amount
    demand_equal(e.seq, "EXCESS", bool(e.flags & at.F_EXCESS), more)
    change = e.amount if late else e.amount - hold.amount
    if not late:
        account.held -= hold.amount
    books.recount(account, hold.day_key, hold.meal_key, change, flags_of(hold))
    wallets = (at.ONLINE, at.WATER if hold.water else at.PAYABLE)
    demand_equal(e.seq, "wallets", (e.debit_wallet, e.credit_wallet), wallets)
    books.movement(e)
    close_hold(books, hold)


def release(books: Books, e: Entry, account: Account | None) -> None:
    """Frees a hold."""
    if not ends(e):
        refusal(books, e, account)
        return
    free(books, e, account)


def free(books: Books, e: Entry, account: Account | None) -> None:
    """A hold ends unposted: released, or reversed."""
    hold = the_hold(books, e)
    if account is None or hold.state == at.EXPIRED:
        raise Difference(e.seq, "freed a hold that had expired")
    give_back(books, e, account, hold)
    if e.type == at.RELEASE and e.aux and not e.flags & at.F_BY_COUNTER:
        raise Difference(e.seq, "a release with an amount asked")
    no_wallets(e)
    close_hold(books, hold)


def due(books: Books, e: Entry, account: Account | None) -> None:
    """A deadline passed: a bath hold expires, is later forgotten; a water transfer turns grey."""
    hold = the_hold(books, e)
    if account is None or not e.flags & at.F_DUE or e.outcome != at.EFFECT:
        raise Difference(e.seq, "a deadline's record without account or mark")
    if books.time_us < hold.due_s * 1_000_000:
        raise Difference(e.seq, "a deadline before its time")
    if e.type == at.HOLD_GREY and hold.water and hold.state == at.HELD:
        hold.state = at.GREY
    elif e.type == at.HOLD_EXPIRED and not hold.water and hold.state == at.HELD:
        give_back(books, e, account, hold)
        hold.state = at.EXPIRED
        hold.due_s += books.rules.late_capture_seconds
        no_wallets(e, hold.due_s)
        return
    elif e.type == at.HOLD_RETIRED and hold.state == at.EXPIRED:
        close_hold(books, hold)
    else:
        raise Difference(e.seq, "a deadline that this hold does not have")
    demand_equal(e.seq, "amount", e.amount, 0)
    demand_equal(e.seq, "ONLINE", e.debit_after, account.online)
    no_wallets(e)


# ---- reversals and refunds ----


def undo_of(books: Books, e: Entry) -> Undo:
    """Return what was taken back of the original so far."""
    first = e.original_seq - (e.original_part - 1)
    if e.original_part < 1 or first < 1:
        raise Difference(e.seq, "an undoing record that names no part")
    books.weights.undos.add(first)
    return books.undos.setdefault(first, Undo())


def original_of(books: Books, e: Entry) -> Entry:
    """Read the posted original and check what the record repeats of it."""
    if not 0 < e.original_seq < e.seq:
        raise Difference(e.seq, f"original {e.original_seq} is not before it")
    original = books.lookup(e.original_seq)
    if original.outcome != at.APPROVED or original.type not in (at.PURCHASE, at.CAPTURE):
        raise Difference(e.seq, "undoes something that moved no money")
    repeated = (e.account, e.medium, e.merchant)
    right = (original.account, original.medium, original.merchant)
    if repeated != right:
        demand_equal(e.seq, "account, medium and merchant", repeated, right)
    wallets = (original.credit_wallet, original.debit_wallet)
    demand_equal(e.seq, "wallets", (e.debit_wallet, e.credit_wallet), wallets)
    return original


def reversal(books: Books, e: Entry, account: Account | None) -> None:
    """Takes an original back whole, part by part."""
    if e.outcome != at.APPROVED:
        refusal(books, e, account)
        return
    if account is None:
        raise Difference(e.seq, "an approved reversal without account")
    undo = undo_of(books, e)
    if e.original_seq in books.holds:
        free(books, e, account)
        undo.reversed = 1
        return
    original = original_of(books, e)
    if original.terminal != e.terminal or original.flags & at.F_BY_COUNTER:
        raise Difference(e.seq, "reverses what another terminal did")
    if undo.refunded or (undo.reversed and e.part == 1):
        raise Difference(e.seq, "reversed what was reversed or refunded before")
    parts = original.parts if original.type == at.PURCHASE else 1
    part = original.part if original.type == at.PURCHASE else 1
    whole = (e.parts, e.part, e.original_part, e.amount)
    demand_equal(e.seq, "parts and amount", whole, (parts, part, part, original.amount))
    kept = COUNTS | at.F_WATER
    demand_equal(e.seq, "COUNTS and WATER", e.flags & kept, original.flags & kept)
    day_meal = (original.day_key, original.meal_key)
    demand_equal(e.seq, "day and meal", (e.day_key, e.meal_key), day_meal)
    books.recount(account, e.day_key, e.meal_key, -e.amount, original.flags)
    books.movement(e)
    if e.debit_wallet == at.WATER and e.debit_after < 0:
        raise Difference(e.seq, "the water purse below zero")
    undo.reversed = 1


def refund(books: Books, e: Entry, account: Account | None) -> None:
    """Gives back a part or all: ONLINE first, then SUBSIDY; never above the original."""
    if e.outcome != at.APPROVED:
        refusal(books, e, account)
        return
    if account is None or account.status == at.AS_CLOSED:
        raise Difference(e.seq, "an approved refund without account, or to a closed one")
    now(books, e)
    original = original_of(books, e)
    category = books.categories.get(books.merchants[e.merchant].category, 0)
    if not category & at.C_REFUNDABLE or original.flags & at.F_WATER:
        raise Difference(e.seq, "refunded where that is not allowed")
    if books.terminals[e.terminal].merchant != original.merchant:
        raise Difference(e.seq, "refunded by another merchant")
    undo = undo_of(books, e)
    if undo.reversed:
        raise Difference(e.seq, "refunded after a reversal")
    if e.flags & COUNTS:
        raise Difference(e.seq, "a refund that counts")
    undo.refunded += e.amount
    demand_equal(e.seq, "refunded in all", e.aux, undo.refunded)
    refund_fits(books, e, original, undo.refunded)
    books.movement(e)
    if e.debit_after < 0:
        raise Difference(e.seq, "refunded more than the merchant has")


def refund_fits(books: Books, e: Entry, original: Entry, refunded: int) -> None:
    """ONLINE, the last part, takes what was refunded first; SUBSIDY the rest."""
    parts = original.parts if original.type == at.PURCHASE else 1
    part = original.part if original.type == at.PURCHASE else 1
    demand_equal(e.seq, "original_part", e.original_part, part)
    last = original if part == parts else books.lookup(original.seq + 1)
    room = last.amount if part == parts else last.amount + original.amount
    if refunded > room or (part < parts and refunded - e.amount < last.amount):
        raise Difference(e.seq, "refunded more than was paid, or not ONLINE first")


def tombstone(books: Books, e: Entry, account: Account | None) -> None:
    """Remembers a reversal that overtook its original; the original's key is set with its own."""
    if e.outcome != at.APPROVED:
        refusal(books, e, account)
        return
    if account is not None:
        raise Difference(e.seq, "a tombstone that has an account")
    now(books, e)
    demand_equal(e.seq, "merchant", e.merchant, books.terminals[e.terminal].merchant)
    demand_equal(e.seq, "amount and balances", (e.amount, e.debit_after), (0, 0))
    no_wallets(e)
