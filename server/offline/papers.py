"""What acts of the office and of terminals themselves must satisfy: rows, funds, documents.

**Source:** docs/reference/decisions.md, sign-in and office commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.offline import layout as at
from server.offline import schedule
from server.offline.findings import Difference, demand_equal
from server.offline.rows import (
    NO_SESSION,
    Account,
    Meals,
    Medium,
    Merchant,
    Rules,
    Terminal,
)
from server.offline.shapes import office_shape
from server.offline.taps import now, refusal

if TYPE_CHECKING:
    from server.offline.books import Books
    from server.offline.layout import Entry


# ---- terminals ----


def sign_in(books: Books, e: Entry, account: Account | None) -> None:
    """Opens the next batch."""
    if e.outcome != at.APPROVED:
        refusal(books, e, account)
        return
    terminal = books.terminals.get(e.terminal)
    if terminal is None or terminal.status != at.TS_IN_SERVICE or account is not None:
        raise Difference(e.seq, "signed in a terminal that is not in service")
    now(books, e)
    moves_nothing(books, e)
    demand_equal(e.seq, "batch_no", e.batch_no, terminal.batch_no + 1)
    demand_equal(e.seq, "the sign-in before", e.original_seq, terminal.sign_in_seq)
    terminal.prev_batch_no, terminal.batch_no = terminal.batch_no, e.batch_no
    terminal.sign_in_seq, terminal.signed_in = e.seq, 1
    books.keys.sign_in(e.terminal, terminal, e.batch_no)


def sign_off(books: Books, e: Entry, account: Account | None) -> None:
    """Closes the terminal's batch; `Books` clears `signed_in` once the key is bound."""
    if e.outcome != at.APPROVED:
        refusal(books, e, account)
        return
    now(books, e)
    moves_nothing(books, e)
    demand_equal(e.seq, "batch_no", e.batch_no, books.terminals[e.terminal].batch_no)


def moves_nothing(books: Books, e: Entry) -> None:
    """A record of the terminal itself: its merchant, no money."""
    demand_equal(e.seq, "merchant", e.merchant, books.terminals[e.terminal].merchant)
    money = (e.amount, e.debit_after, e.credit_after, e.debit_wallet, e.credit_wallet)
    demand_equal(e.seq, "amount, balances and wallets", money, (0,) * 5)


def pin_check(books: Books, e: Entry, account: Account | None) -> None:
    """The verdict on a password outside a payment."""
    if account is None:
        raise Difference(e.seq, "a password of no account")
    if e.outcome != at.APPROVED:
        refusal(books, e, account)
        return
    now(books, e)
    if not e.flags & at.F_PIN_OK or e.amount or e.debit_wallet or e.credit_wallet:
        raise Difference(e.seq, "a right password is told by PIN_OK and moves nothing")
    told = (e.debit_after, e.credit_after)
    demand_equal(e.seq, "ONLINE and limits", told, (account.online, 0))


# ---- funds ----


def fund(books: Books, e: Entry, account: Account | None) -> None:
    """Top-ups, subsidies and adjustments."""
    if e.outcome != at.EFFECT or e.terminal:
        raise Difference(e.seq, "funds moved by something else than the office")
    now(books, e)
    system = at.SYSTEM_FIRST <= e.debit_wallet <= at.SYSTEM_LAST
    if e.type == at.TOP_UP and (account is None or not system or e.credit_wallet != at.ONLINE):
        raise Difference(e.seq, "a top-up goes from a system account to ONLINE")
    subsidy = (at.SUBSIDY_SOURCE, at.SUBSIDY)
    if e.type == at.SUBSIDY_PAID and (e.debit_wallet, e.credit_wallet) != subsidy:
        raise Difference(e.seq, "a subsidy goes from SUBSIDY_SOURCE to SUBSIDY")
    if e.type != at.ADJUST and not 1 <= e.amount <= at.AMOUNT_MAX:
        raise Difference(e.seq, "funds out of range")
    books.movement(e)


# ---- rows ----


def paper(books: Books, e: Entry, body: bytes) -> None:
    """Check one record whose body is the after-image of a row, or a document."""
    write = WRITERS.get(e.type)
    if write is None:
        raise Difference(e.seq, f"record type {e.type} is unknown")
    refused = e.type in (at.DOCUMENT, at.UNSCHEDULED) and e.outcome == at.DECLINED
    if e.outcome != at.EFFECT and not refused:
        raise Difference(e.seq, "a paper that is no effect")
    office_shape(e)
    books.in_time(e)
    books.kinds[e.type] += 1
    books.outcomes[e.outcome] += 1
    account = books.accounts.get(e.account)
    if e.type == at.DOCUMENT:
        demand_equal(e.seq, "prev_account_seq of a document", e.prev_account_seq, 0)
    else:
        before = account.last_seq if account else 0
        demand_equal(e.seq, "prev_account_seq", e.prev_account_seq, before)
    if account is not None and e.type == at.ACCOUNT:
        books.forgive(account)
    if e.flags & at.F_DUE:
        schedule.falls_due(books, e, body)
    write(books, e, body)


def account_row(books: Books, e: Entry, body: bytes) -> None:
    """Opens an account, or changes its status, limits or password."""
    tag, salt, version, day, meal, status, flags, fails, kid, kind, _event, changes, spare = (
        at.ACCOUNT_BODY.unpack(body)
    )
    account = books.accounts.get(e.account)
    if any(spare) or e.account == 0:
        raise Difference(e.seq, "an account's paper with bytes that should be zero")
    if account is None:
        account = books.accounts[e.account] = Account()
        made = (version > 1, fails, changes)
        demand_equal(e.seq, "pin_version, pin_fails and changes", made, (False, 0, 0))
    elif version == account.pin_version:
        kept = (account.pin_tag, account.pin_salt, account.pin_fails)
        demand_equal(e.seq, "the password and its tries", (tag, salt, fails), kept)
    else:
        after = (account.pin_version + 1, 0)
        demand_equal(e.seq, "pin_version and pin_fails", (version, fails), after)
    counted = (changes - account.changes) & 0xFFFF
    if counted > 1 or (status != account.status and account.last_seq and not counted):
        raise Difference(e.seq, f"the status was set {counted} times")
    account.changes = changes
    account.day_limit, account.meal_limit = day, meal
    account.status, account.flags, account.pin_fails = status, flags, fails
    account.pin_tag, account.pin_salt = tag, salt
    account.pin_version, account.pin_kid, account.kind = version, kid, kind
    account.last_seq = e.seq
    account.session = NO_SESSION
    books.weights.accounts.add(e.account)
    books.weights.cold.add(e.account)


def medium_row(books: Books, e: Entry, body: bytes) -> None:
    """Binds a medium, or changes its state."""
    key, state, flags, _event, zero, expires_day, changes, spare = at.MEDIUM_BODY.unpack(body)
    account = books.accounts.get(e.account)
    if any(spare) or zero or e.medium == 0 or account is None:
        raise Difference(e.seq, "a medium of no account, or bytes that should be zero")
    holder = books.media.get(books.media_by_key.get(key, 0))
    other = holder is not None and books.media_by_key[key] != e.medium
    if other and holder and holder.state != at.MS_UNBOUND:
        raise Difference(e.seq, "a medium that is bound already")
    medium = books.media.setdefault(e.medium, Medium(key=key))
    demand_equal(e.seq, "the medium's key", key, medium.key)
    if medium.account:
        flipped = bool((medium.flags ^ flags) & at.M_FROZEN)
        demand_equal(e.seq, "changes", changes, (medium.changes + flipped) & 0xFFFF)
    medium.changes = changes
    medium.account, medium.state, medium.flags = e.account, state, flags
    medium.expires_day = expires_day
    books.media_by_key[key] = max(e.medium, books.media_by_key.get(key, 0))
    books.weights.media.add(e.medium)
    account.last_seq = e.seq
    books.keep_session(e.account, account, NO_SESSION)
    books.weights.accounts.add(e.account)


def merchant_row(books: Books, e: Entry, body: bytes) -> None:
    """Opens or changes a merchant."""
    category, status, flags, spare = at.MERCHANT_BODY.unpack(body)
    if any(spare) or e.merchant == 0 or category > 15:
        raise Difference(e.seq, "a merchant out of range")
    merchant = books.merchants.setdefault(e.merchant, Merchant())
    merchant.category, merchant.status, merchant.flags = category, status, flags
    books.weights.merchants.add(e.merchant)


def terminal_row(books: Books, e: Entry, body: bytes) -> None:
    """Puts a terminal into service, or changes it."""
    name, max_amount, status, flags, spare = at.TERMINAL_BODY.unpack(body)
    if any(spare) or e.terminal == 0:
        raise Difference(e.seq, "a terminal out of range")
    terminal = books.terminals.setdefault(e.terminal, Terminal(name=name))
    terminal.name, terminal.merchant, terminal.max_amount = name, e.merchant, max_amount
    terminal.status, terminal.flags = status, flags
    books.weights.terminals.add(e.terminal)


def category_row(books: Books, e: Entry, body: bytes) -> None:
    """Says what a category of merchants may do."""
    category, flags, spare = at.CATEGORY_BODY.unpack(body)
    if any(spare) or category > 15:
        raise Difference(e.seq, "a category out of range")
    books.categories[category] = flags
    books.weights.categories.add(category)


def rules_row(books: Books, e: Entry, body: bytes) -> None:
    """A new set of rules, from the next block on."""
    rules = Rules.read(body)
    demand_equal(e.seq, "the rules' version", rules.version, books.rule_version + 1)
    books.next_rules = rules
    books.rule_version = rules.version
    books.weights.rules.add(1)


def meals_row(books: Books, e: Entry, body: bytes) -> None:
    """New meal periods, from the next block on."""
    meals = Meals.read(body)
    if meals.version - books.rule_version not in (0, 1):
        raise Difference(e.seq, f"the meals' version is {meals.version}")
    books.next_meals = meals
    books.rule_version = meals.version
    books.weights.rules.add(2)


def document(books: Books, e: Entry, body: bytes) -> None:
    """The words of a command; its request_id may not come twice."""
    offset, length, _kind, effects, _actor, request_id, spare = at.DOCUMENT_BODY.unpack(body)
    if any(spare) or offset + length > books.payload_len:
        raise Difference(e.seq, "a document outside the payload, or bytes that should be zero")
    if effects > e.seq or e.part != e.parts:
        raise Difference(e.seq, "a document stands last of its command")
    key = e.batch_no | e.terminal_seq << 32
    if e.flags & at.F_KEY_IS_REQUEST and key != int.from_bytes(request_id[8:], "little"):
        raise Difference(e.seq, "the record's key is not its request's")
    if request_id in books.request_rows:
        raise Difference(e.seq, "a request_id decided twice")
    row = books.request_next
    books.request_next = row + 1 if row < books.requests_max else 1
    gone = books.requests.get(row)
    if gone is not None:
        books.request_rows.pop(gone[0], None)
    books.requests[row] = (request_id, e.seq, e.fingerprint)
    books.request_rows[request_id] = row
    books.weights.requests.add(row)


WRITERS = {
    at.ACCOUNT: account_row,
    at.MEDIUM: medium_row,
    at.MERCHANT: merchant_row,
    at.TERMINAL: terminal_row,
    at.CATEGORY: category_row,
    at.RULES: rules_row,
    at.MEALS: meals_row,
    at.SCHEDULED: schedule.scheduled,
    at.UNSCHEDULED: schedule.unscheduled,
    at.DOCUMENT: document,
}
