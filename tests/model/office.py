"""Papers and funds: effects the office decided, applied all or none, never twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.model import holds, schedule
from tests.model.books import Books, signed64
from tests.model.numbers import (
    AMOUNT_MAX,
    HOLDER_WALLETS,
    LIMIT_DEFAULT,
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
    Wallet,
)
from tests.model.state import (
    Account,
    Meals,
    Medium,
    Merchant,
    Record,
    Rules,
    Terminal,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One row's change, and what the row must look like before it."""

    kind: EffectKind
    row: int = 0
    link: int = 0
    event: Event = Event.NONE
    expect_status: int | None = None
    """Account status or medium state."""
    expect_flags: int = 0
    """Medium flags, looked at with `expect_status`."""
    expect_last_seq: int | None = None
    amount: int = 0
    debit: Wallet = Wallet.NONE
    credit: Wallet = Wallet.NONE
    pin: str = ""
    status: int = 0
    flags: int = 0
    category: int = 0
    key: bytes = b""
    name: str = ""
    expires_day: int = 0
    max_amount: int = 0
    holder_kind: int = 1
    day_limit: int = LIMIT_DEFAULT
    meal_limit: int = LIMIT_DEFAULT
    rules: Rules | None = None
    meals: Meals = ()
    due_s: int = 0
    """Not 0: it waits until then; `mask` says what it changes then."""
    mask: int = 0
    unchanged: bool = False
    scheduled_seq: int = 0
    """What a CANCEL ends."""
    hold_seq: int = 0
    """What a SETTLE ends: `written` to the card, or not."""
    written: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An office command."""

    effects: Sequence[Effect]
    request_id: bytes
    document_kind: int = 0
    actor: int = 0
    pin_account: int = 0
    pin: str | bool | None = None

    @property
    def body(self) -> tuple[Any, ...]:
        """All that two commands under one request_id must share; never a password."""
        plain = tuple(replace(effect, pin="") for effect in self.effects)
        return plain, self.document_kind, self.actor, self.pin_account


@dataclass(slots=True, kw_only=True)
class OfficeReply:
    """Answer to an office command."""

    status: str = "OK"
    """OK, CONFLICT, INVALID or REQUEST_REUSED; without OK nothing is recorded."""
    effect: int = 0
    records: list[Record] = field(default_factory=list)
    replayed: bool = False


def perform(books: Books, act: Act) -> OfficeReply:
    """Decide an office command."""
    if known := books.requests.get(act.request_id):
        body, first = known
        reply: OfficeReply = first
        if body != act.body:
            return OfficeReply(status="REQUEST_REUSED")
        return replace(reply, replayed=True)
    account = books.accounts.get(act.pin_account)
    records: list[Record] = []
    flags = Flag.KEY_IS_REQUEST
    fails = account.pin_fails if account else 0
    if account and act.pin is not None:
        reason, verdict = books.check_pin(account, act.pin)
        if reason:
            return remember(books, act, refused(books, act, account, reason, verdict))
        flags |= verdict
    for index, effect in enumerate(act.effects):
        problem = problem_of(books, act.effects[:index], effect)
        if problem:
            if account:
                account.pin_fails = fails
            return OfficeReply(status=problem, effect=index)
    if account and flags & Flag.PIN_OK:
        records.append(check_record(books, account, Outcome.APPROVED, Reason.OK, flags))
    records += [carry_out(books, effect, flags) for effect in act.effects]
    records.append(document(books, act, Outcome.EFFECT, Reason.OK, flags, len(records)))
    return remember(books, act, records)


def remember(books: Books, act: Act, records: list[Record]) -> OfficeReply:
    """Number the records, give them the request's key, keep the answer."""
    for index, record in enumerate(records, start=1):
        record.part, record.parts = index, len(records)
        record.batch_no = int.from_bytes(act.request_id[8:12], "little")
        record.terminal_seq = int.from_bytes(act.request_id[12:16], "little")
    reply = OfficeReply(records=records)
    books.requests[act.request_id] = (act.body, reply)
    return reply


def refused(
    books: Books, act: Act, account: Account, reason: Reason, verdict: Flag
) -> list[Record]:
    """A wrong password is counted, and answers the request."""
    flags = Flag.KEY_IS_REQUEST | verdict
    check = check_record(books, account, Outcome.DECLINED, reason, flags)
    return [check, document(books, act, Outcome.DECLINED, reason, Flag.KEY_IS_REQUEST, 1)]


def check_record(
    books: Books, account: Account, outcome: Outcome, reason: Reason, flags: Flag
) -> Record:
    """Write the verdict on a password outside a payment."""
    record = Record(
        type=Kind.PIN_CHECK,
        outcome=outcome,
        reason=reason,
        flags=flags,
        debit_after=account.online,
        credit_after=books.limits_told(account, reason),
    )
    return books.write(record, account=account)


def document(
    books: Books, act: Act, outcome: Outcome, reason: Reason, flags: Flag, before: int
) -> Record:
    """Write the record that points to the papers and carries the request_id."""
    record = Record(
        type=Kind.DOCUMENT,
        outcome=outcome,
        reason=reason,
        flags=flags,
        image=(act.document_kind, before, act.actor, act.request_id),
    )
    return books.write(record, counters=False)


# ---- what is expected ----


def problem_of(books: Books, before: Sequence[Effect], effect: Effect) -> str:
    """Return CONFLICT or INVALID if the effect cannot be behind those before it, else nothing."""
    if effect.kind is EffectKind.SETTLE:
        settled = {e.hold_seq for e in before if e.kind is EffectKind.SETTLE}
        return not_settled(books, settled, effect)
    if effect.due_s or effect.kind is EffectKind.CANCEL:
        return schedule.objection(books, before, effect)
    return objection(books, effect) or wrong_row(books, before, effect)


def not_settled(books: Books, settled: set[int], effect: Effect) -> str:
    """Only a grey hold of the account named is settled, and once."""
    if effect.row not in books.accounts or effect.due_s:
        return "INVALID"
    hold = books.holds.get(effect.hold_seq)
    grey = hold is not None and hold.state == "GREY" and hold.account == effect.row
    return "" if grey and effect.hold_seq not in settled else "CONFLICT"


def objection(books: Books, effect: Effect) -> str:
    """Return CONFLICT or INVALID if the effect cannot be, else nothing."""
    if effect.kind in {EffectKind.TOP_UP, EffectKind.SUBSIDY, EffectKind.ADJUST}:
        if not 1 <= effect.amount <= AMOUNT_MAX or effect.debit == effect.credit:
            return "INVALID"
        if effect.row not in books.accounts and uses_account(effect):
            return "INVALID"
    row = books.media.get(effect.row) if effect.kind is EffectKind.MEDIUM_STATE else None
    account = books.accounts.get(effect.row) if is_account(effect.kind) else None
    if effect.expect_status is not None:
        if row and (row.state, row.flags) != (effect.expect_status, effect.expect_flags):
            return "CONFLICT"
        if account and account.status != effect.expect_status:
            return "CONFLICT"
    wanted = effect.expect_last_seq
    if wanted is not None and account and account.last_seq != wanted:
        return "CONFLICT"
    if effect.kind is EffectKind.MEDIUM_BIND:
        taken = books.medium_by_key(effect.key)
        if taken and taken.state is not MediumState.UNBOUND:
            return "CONFLICT"
    return ""


def wrong_row(books: Books, before: Sequence[Effect], effect: Effect) -> str:
    """Rows are made in order: a number given for a new one must be the next free."""
    tables: dict[EffectKind, dict[int, Any]] = {
        EffectKind.ACCOUNT_OPEN: books.accounts,
        EffectKind.MEDIUM_BIND: books.media,
        EffectKind.MERCHANT: books.merchants,
        EffectKind.TERMINAL: books.terminals,
    }
    table = tables.get(effect.kind)
    if table is None or not effect.row:
        return ""
    if effect.row in table:
        makes = effect.kind in {EffectKind.ACCOUNT_OPEN, EffectKind.MEDIUM_BIND}
        return "CONFLICT" if makes else ""
    earlier = sum(1 for e in before if e.kind is effect.kind and e.row not in table)
    return "" if effect.row == next_row(table) + earlier else "CONFLICT"


def is_account(kind: EffectKind) -> bool:
    """Whether the effect's row is an account."""
    return kind in {
        EffectKind.ACCOUNT_STATUS,
        EffectKind.ACCOUNT_LIMITS,
        EffectKind.PIN_SET,
        EffectKind.PIN_RESET,
        EffectKind.TOP_UP,
        EffectKind.SUBSIDY,
        EffectKind.ADJUST,
    }


def uses_account(effect: Effect) -> bool:
    """Whether a fund's effect touches a holder's wallet."""
    return bool({effect.debit, effect.credit} & set(HOLDER_WALLETS))


# ---- effects ----


def carry_out(books: Books, effect: Effect, flags: Flag) -> Record:
    """Change the row and write its after-image."""
    if effect.kind is EffectKind.SETTLE:
        return holds.settle(books, books.holds[effect.hold_seq], effect.written, flags)
    if effect.due_s or effect.kind is EffectKind.CANCEL:
        return schedule.take_down(books, effect, flags)
    if effect.kind in {EffectKind.TOP_UP, EffectKind.SUBSIDY, EffectKind.ADJUST}:
        return move_funds(books, effect, flags)
    if effect.kind is EffectKind.ACCOUNT_OPEN or is_account(effect.kind):
        return change_account(books, effect, flags)
    if effect.kind in {EffectKind.MEDIUM_BIND, EffectKind.MEDIUM_STATE}:
        return change_medium(books, effect, flags)
    return change_other(books, effect, flags)


def next_row(table: dict[int, Any]) -> int:
    """Return the next free row number; numbers are never used again."""
    return max(table, default=0) + 1


def paper(
    kind: Kind,
    flags: Flag,
    image: tuple[Any, ...],
    *,
    medium: int = 0,
    merchant: int = 0,
    terminal: int = 0,
) -> Record:
    """Return the record of a paper's after-image."""
    record = Record(type=kind, outcome=Outcome.EFFECT, flags=flags, image=image)
    record.medium, record.merchant, record.terminal = medium, merchant, terminal
    return record


def change_account(books: Books, effect: Effect, flags: Flag) -> Record:
    """Open an account, or change its status, limits or password."""
    if effect.kind is EffectKind.ACCOUNT_OPEN:
        number = effect.row or next_row(books.accounts)
        books.accounts[number] = Account(number=number, kind=effect.holder_kind)
        account = books.accounts[number]
        if effect.pin:
            account.pin, account.pin_version, account.must_change = effect.pin, 1, True
    else:
        account = books.accounts[effect.row]
    account.pin_fails = books.fails(account)
    if effect.kind is EffectKind.ACCOUNT_STATUS:
        account.status = AccountStatus(effect.status)
        account.changes = (account.changes + 1) % 2**16
    elif effect.kind is EffectKind.ACCOUNT_LIMITS:
        account.day_limit, account.meal_limit = effect.day_limit, effect.meal_limit
    elif effect.kind in {EffectKind.PIN_SET, EffectKind.PIN_RESET}:
        account.pin = effect.pin
        account.pin_version += 1
        account.pin_fails = 0
        account.must_change = effect.kind is EffectKind.PIN_RESET
    record = paper(Kind.ACCOUNT, flags, account_image(account, effect.event))
    return books.write(record, account=account, counters=False)


def account_image(account: Account, event: Event) -> tuple[Any, ...]:
    """Return what an account's paper says, without the password."""
    return (
        account.status,
        account.must_change,
        account.pin_fails,
        account.pin_version,
        account.day_limit,
        account.meal_limit,
        account.kind,
        event,
        account.changes,
    )


def medium_image(medium: Medium, event: Event) -> tuple[Any, ...]:
    """Return what a medium's paper says."""
    return medium.key, medium.state, medium.flags, event, medium.expires_day, medium.changes


def change_medium(books: Books, effect: Effect, flags: Flag) -> Record:
    """Bind a medium, or change its state."""
    if effect.kind is EffectKind.MEDIUM_BIND:
        number = effect.row or next_row(books.media)
        medium = Medium(
            number=number, key=effect.key, account=effect.link, state=MediumState(effect.status)
        )
        books.media[number] = medium
    else:
        medium = books.media[effect.row]
        medium.changes += bool((medium.flags ^ effect.flags) & MediumFlag.FROZEN)
    medium.state = MediumState(effect.status)
    medium.flags = MediumFlag(effect.flags)
    medium.expires_day = effect.expires_day
    image = medium_image(medium, effect.event)
    record = paper(Kind.MEDIUM, flags, image, medium=medium.number)
    return books.write(record, account=books.accounts[medium.account], counters=False)


def change_other(books: Books, effect: Effect, flags: Flag) -> Record:
    """Change a merchant, a terminal, a category, the rules or the meals."""
    if effect.kind is EffectKind.MERCHANT:
        number = effect.row or next_row(books.merchants)
        merchant = books.merchants.setdefault(number, Merchant(number=number, category=0))
        merchant.category, merchant.status = effect.category, effect.status
        merchant.flags = effect.flags
        image: tuple[Any, ...] = (effect.category, effect.status, effect.flags)
        return books.write(paper(Kind.MERCHANT, flags, image, merchant=number), counters=False)
    if effect.kind is EffectKind.TERMINAL:
        number = effect.row or next_row(books.terminals)
        fresh = Terminal(number=number, name=effect.name, merchant=effect.link)
        terminal = books.terminals.setdefault(number, fresh)
        terminal.name, terminal.merchant = effect.name, effect.link
        terminal.max_amount, terminal.status = effect.max_amount, effect.status
        terminal.flags = effect.flags
        image = (effect.name, effect.max_amount, effect.status, effect.flags)
        record = paper(Kind.TERMINAL, flags, image, terminal=number, merchant=effect.link)
        return books.write(record, counters=False)
    if effect.kind is EffectKind.CATEGORY:
        books.categories[effect.category] = Counts(effect.flags)
        image = (effect.category, effect.flags)
        return books.write(paper(Kind.CATEGORY, flags, image), counters=False)
    if effect.kind is EffectKind.RULES and effect.rules:
        return set_rules(books, effect.rules, flags)
    return set_meals(books, effect.meals, flags)


def set_rules(books: Books, rules: Rules, flags: Flag) -> Record:
    """Write rules for the next block on."""
    books.next_rules = replace(rules, version=books.rule_version + 1)
    return books.write(paper(Kind.RULES, flags, (books.next_rules,)), counters=False)


def set_meals(books: Books, meals: Meals, flags: Flag) -> Record:
    """Write meals for the next block on."""
    books.next_meals = meals
    image = (meals, books.rule_version + 1)
    return books.write(paper(Kind.MEALS, flags, image), counters=False)


FUND_KINDS = {
    EffectKind.TOP_UP: Kind.TOP_UP,
    EffectKind.SUBSIDY: Kind.SUBSIDY,
    EffectKind.ADJUST: Kind.ADJUST,
}


def move_funds(books: Books, effect: Effect, flags: Flag) -> Record:
    """Move money in one step; a debt is netted by arithmetic."""
    debit, credit = effect.debit, effect.credit
    if effect.kind is EffectKind.TOP_UP:
        credit = Wallet.ONLINE
    elif effect.kind is EffectKind.SUBSIDY:
        debit, credit = Wallet.SUBSIDY_SOURCE, Wallet.SUBSIDY
    account = books.accounts.get(effect.row)

    def owner(wallet: Wallet) -> Account | Merchant | None:
        return books.merchants[effect.link] if wallet is Wallet.MERCHANT else account

    record = Record(
        type=FUND_KINDS[effect.kind],
        outcome=Outcome.EFFECT,
        flags=flags,
        merchant=effect.link,
        amount=effect.amount,
        debit_wallet=debit,
        debit_after=signed64(books.move(debit, owner(debit), -effect.amount)),
        credit_wallet=credit,
        credit_after=signed64(books.move(credit, owner(credit), effect.amount)),
    )
    return books.write(record, account=account)
