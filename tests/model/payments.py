"""AUTHORIZE and HOLD: the decision order, check by check, and what an approval writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.model import holds
from tests.model.books import Books, answer, asked32
from tests.model.numbers import (
    AMOUNT_MAX,
    BALANCE_MAX,
    COUNTER_MAX,
    IN_SERVICE,
    KEYPAD,
    KIND_OF,
    NO_FLAG,
    NO_MARK,
    AccountStatus,
    Category,
    Counts,
    Flag,
    Kind,
    Mark,
    MediumFlag,
    MediumState,
    Op,
    Outcome,
    Reason,
    Wallet,
)
from tests.model.state import (
    Account,
    Hold,
    Medium,
    Merchant,
    Record,
    Reply,
    Session,
    Tap,
    Terminal,
)


@dataclass(slots=True, kw_only=True)
class Case:
    """A tap on its way through the checks, with what they found."""

    books: Books
    tap: Tap
    terminal: Terminal
    asked: int
    amount: int
    merchant: Merchant | None = None
    medium: Medium | None = None
    account: Account | None = None
    flags: Flag = NO_FLAG
    marks: Mark = NO_MARK

    @property
    def category(self) -> Counts:
        """What the merchant's category allows and counts towards."""
        kind = self.merchant.category if self.merchant else 0
        return self.books.categories.get(kind, Counts(0))

    @property
    def holder(self) -> Account:
        """The account, once `medium_known` has passed."""
        if self.account is None:
            raise LookupError("the account is not resolved yet")
        return self.account

    @property
    def counts(self) -> Flag:
        """Which counters an approval moves."""
        return self.books.counts_of(self.category)


Check = Callable[[Case], Reason]


def terminal_in_service(case: Case) -> Reason:
    """Row 3a of the order."""
    return Reason.OK if case.terminal.status == IN_SERVICE else Reason.TERMINAL_SUSPENDED


def merchant_in_service(case: Case) -> Reason:
    """Row 3b."""
    case.merchant = case.books.merchants.get(case.terminal.merchant)
    good = case.merchant is not None and case.merchant.status == IN_SERVICE
    return Reason.OK if good else Reason.MERCHANT_INVALID


def medium_known(case: Case) -> Reason:
    """Row 4."""
    medium = case.books.medium_by_key(case.tap.medium)
    if medium is None or medium.state is MediumState.UNBOUND:
        return Reason.CARD_UNKNOWN
    case.medium, case.account = medium, case.books.accounts[medium.account]
    return Reason.OK


def card_usable(case: Case) -> Reason:
    """Row 5: VOID > LOST > FROZEN > EXPIRED > NOT_ACTIVE."""
    card = case.medium
    if card is None or card.state in {MediumState.VOID, MediumState.RETURNED}:
        return Reason.CARD_VOID
    if card.flags & MediumFlag.LOST:
        return Reason.CARD_LOST
    if card.flags & MediumFlag.FROZEN:
        return Reason.CARD_FROZEN
    if card.expires_day and case.books.today >= card.expires_day:
        return Reason.CARD_EXPIRED
    if card.state in {MediumState.PRODUCED, MediumState.IN_TRANSIT}:
        return Reason.CARD_NOT_ACTIVE
    return Reason.OK


def account_usable(case: Case) -> Reason:
    """Row 6: CLOSED > SUSPENDED > DEBT."""
    if case.holder.status in {AccountStatus.CLOSING, AccountStatus.CLOSED}:
        return Reason.ACCOUNT_CLOSED
    if case.holder.status is AccountStatus.SUSPENDED:
        return Reason.ACCOUNT_SUSPENDED
    return Reason.ACCOUNT_DEBT if case.holder.online < 0 else Reason.OK


def category_allows(case: Case) -> Reason:
    """Row 7."""
    wanted = Counts.HOLD if case.tap.op is Op.HOLD else Counts.SPEND
    allowed = bool(case.category & wanted)
    if case.tap.water and case.merchant and case.merchant.category != Category.WATER:
        allowed = False
    return Reason.OK if allowed else Reason.CATEGORY_NOT_ALLOWED


def amount_in_range(case: Case) -> Reason:
    """Row 8."""
    most = case.terminal.max_amount or AMOUNT_MAX
    good = 1 <= case.amount <= min(most, AMOUNT_MAX)
    return Reason.OK if good else Reason.AMOUNT_INVALID


def funds_cover(case: Case) -> Reason:
    """Row 9: what is reserved is not available; part of it only if the terminal can deliver it."""
    cap = case.books.rules.water_cap
    if case.tap.water and cap and case.holder.water + case.amount > cap:
        return Reason.WATER_CAP
    available = case.holder.available
    if case.tap.op is Op.AUTHORIZE and case.category & Counts.SUBSIDY:
        available += case.holder.subsidy
    if available >= case.amount:
        return Reason.OK
    if case.tap.partial_ok and not case.tap.water and available >= 1:
        case.amount = available
        case.flags |= Flag.PARTIAL
        return Reason.OK
    return Reason.INSUFFICIENT


def numbers_fit(case: Case) -> Reason:
    """Between rows 9 and 10: no balance or counter may leave its range."""
    books, account = case.books, case.holder
    paid = case.tap.op is Op.AUTHORIZE and case.merchant is not None
    if paid and case.merchant and case.merchant.payable + case.amount > BALANCE_MAX:
        return Reason.LIMIT_HARD
    day = books.day_used(account, books.day_key) if case.counts & Flag.COUNTS_DAY else 0
    meal = 0
    if case.counts & Flag.COUNTS_MEAL:
        meal = books.meal_used(account, books.day_key, books.meal_key)
    return Reason.LIMIT_HARD if max(day, meal) + case.amount > COUNTER_MAX else Reason.OK


def limits_or_pin(case: Case) -> Reason:
    """Rows 10 and 11: a limit is a threshold above which the password is asked, not a cap.

    Cumulative, this purchase included, strictly above.
    """
    books, account = case.books, case.holder
    day_limit, meal_limit = books.limits(account)
    if case.counts & Flag.COUNTS_DAY:
        used = books.day_used(account, books.day_key) + case.amount
        case.flags |= Flag.OVER_DAY if used > day_limit else NO_FLAG
    if case.counts & Flag.COUNTS_MEAL:
        used = books.meal_used(account, books.day_key, books.meal_key) + case.amount
        if books.rules.limit_per_transaction:
            used = case.amount
        case.flags |= Flag.OVER_MEAL if used > meal_limit else NO_FLAG
    if not case.flags & (Flag.OVER_DAY | Flag.OVER_MEAL):
        return Reason.OK
    medium = case.medium.number if case.medium else 0
    if case.tap.pin is None:
        if not books.session_stands(account, medium, case.terminal.number):
            return Reason.PIN_REQUIRED
        case.marks = Mark.BY_SESSION
        return Reason.OK
    reason, verdict = books.check_pin(account, case.tap.pin)
    case.flags |= verdict
    if not reason and books.rules.pin_session_seconds:
        case.marks = Mark.SESSION
        account.session = Session(
            second=books.time_us // 1_000_000,
            medium=medium,
            terminal=case.terminal.number,
            rule_version=books.rule_version,
        )
    return reason


WHO: tuple[Check, ...] = (
    terminal_in_service,
    merchant_in_service,
    medium_known,
    card_usable,
    account_usable,
    category_allows,
)
HOW_MUCH: tuple[Check, ...] = (amount_in_range, funds_cover, numbers_fit, limits_or_pin)


def first_failure(case: Case, checks: tuple[Check, ...]) -> Reason:
    """Return the first reason in order, OK when all checks pass."""
    for check in checks:
        if reason := check(case):
            return reason
    return Reason.OK


def pay(books: Books, tap: Tap, terminal: Terminal) -> Reply:
    """Decide AUTHORIZE or HOLD."""
    asked = books.rules.water_tap if tap.water else tap.amount
    case = Case(books=books, tap=tap, terminal=terminal, asked=asked, amount=asked)
    records: list[Record] = []
    reason = first_failure(case, WHO)
    if not reason and tap.water:
        reason = resolve_open_transfer(case, records)
    if not reason:
        reason = first_failure(case, HOW_MUCH)
    if reason:
        records.append(refusal(case, reason))
    elif tap.op is Op.AUTHORIZE:
        records += post_purchase(case)
    else:
        records.append(post_hold(case))
    return answer(records)


def resolve_open_transfer(case: Case, records: list[Record]) -> Reason:
    """The card's counter tells how the last transfer to the water purse ended."""
    open_hold = case.books.holds.get(case.holder.water_hold)
    if open_hold is None:
        return Reason.OK
    if case.medium is None or open_hold.medium != case.medium.number:
        return Reason.HOLD_PENDING
    if case.tap.card_counter < open_hold.card_counter:
        return Reason.CARD_COUNTER_REGRESSION
    written = case.tap.card_counter > open_hold.card_counter
    records.append(holds.by_counter(case.books, case.tap, case.terminal, open_hold, written))
    return Reason.OK


def refusal(case: Case, reason: Reason) -> Record:
    """Write why not. PIN_REQUIRED is no end where the holder can type."""
    flags = case.flags & ~Flag.PARTIAL
    if case.tap.water:
        flags |= Flag.WATER
    outcome = Outcome.DECLINED
    if reason is Reason.PIN_REQUIRED and case.terminal.flags & KEYPAD:
        outcome = Outcome.PIN_REQUIRED
    return case.books.refuse(
        case.tap,
        case.terminal,
        KIND_OF[case.tap.op],
        reason,
        account=case.account,
        medium=case.medium.number if case.medium else 0,
        flags=flags,
        asked=case.asked,
        outcome=outcome,
        told=told_by(case, reason),
    )


def told_by(case: Case, reason: Reason) -> int:
    """Return the number behind a refusal for want of funds, or for a full water purse."""
    if reason is Reason.WATER_CAP:
        return case.books.rules.water_cap
    spends = case.tap.op is Op.AUTHORIZE and case.category & Counts.SUBSIDY
    return case.holder.subsidy if reason is Reason.INSUFFICIENT and spends else 0


def post_purchase(case: Case) -> list[Record]:
    """SUBSIDY first where the category takes it, then ONLINE; the merchant is owed it at once."""
    books, account, merchant = case.books, case.holder, case.merchant
    subsidy = min(account.subsidy, case.amount) if case.category & Counts.SUBSIDY else 0
    records = []
    for wallet, amount in ((Wallet.SUBSIDY, subsidy), (Wallet.ONLINE, case.amount - subsidy)):
        if not amount:
            continue
        books.count(account, amount, case.counts)
        record = Record(
            type=Kind.PURCHASE,
            outcome=Outcome.APPROVED,
            flags=case.flags | case.counts,
            marks=case.marks,
            medium=case.medium.number if case.medium else 0,
            amount=amount,
            debit_wallet=wallet,
            debit_after=books.move(wallet, account, -amount),
            credit_wallet=Wallet.MERCHANT,
            credit_after=books.move(Wallet.MERCHANT, merchant, amount),
            aux=asked32(case.asked),
        )
        records.append(books.tap_record(case.tap, case.terminal, record, account))
    return records


def post_hold(case: Case) -> Record:
    """Reserve on ONLINE; a reservation counts, what is not used is given back."""
    books, account, water = case.books, case.holder, case.tap.water
    seconds = books.rules.water_hold_seconds if water else books.rules.hold_seconds
    expiry_s = books.time_us // 1_000_000 + seconds
    account.held += case.amount
    books.count(account, case.amount, case.counts)
    record = Record(
        type=Kind.HOLD,
        outcome=Outcome.APPROVED,
        flags=case.flags | case.counts | (Flag.WATER if water else NO_FLAG),
        marks=case.marks,
        medium=case.medium.number if case.medium else 0,
        amount=case.amount,
        debit_wallet=Wallet.ONLINE,
        debit_after=account.online,
        credit_wallet=Wallet.WATER if water else Wallet.MERCHANT,
        credit_after=expiry_s,
        aux=case.tap.card_counter if water else asked32(case.asked),
    )
    books.tap_record(case.tap, case.terminal, record, account)
    books.holds[record.seq] = Hold(
        seq=record.seq,
        amount=case.amount,
        due_s=expiry_s,
        account=account.number,
        medium=record.medium,
        merchant=record.merchant,
        terminal=case.terminal.number,
        day_key=record.day_key,
        meal_key=record.meal_key,
        counts=case.counts,
        water=water,
        card_counter=case.tap.card_counter,
    )
    if water:
        account.water_hold = record.seq
    return record
