"""What becomes of a hold: captured, released, resolved by the card, expired, forgotten."""

from __future__ import annotations

from tests.model.books import Books, answer, asked32
from tests.model.numbers import (
    KIND_OF,
    NO_FLAG,
    Flag,
    Kind,
    Op,
    Outcome,
    Reason,
    Wallet,
)
from tests.model.state import Hold, Record, Reply, Tap, Terminal


def capture(books: Books, tap: Tap, terminal: Terminal, hold_record: Record | None) -> Reply:
    """Post a hold, at most its amount. No card or account state is asked: it was reserved."""
    hold = books.holds.get(hold_record.seq) if hold_record else None
    if hold_record is None or hold is None:
        return no_hold(books, tap, terminal, hold_record)
    if tap.amount < 1 and not hold.water:
        return refused(books, tap, terminal, hold_record, Reason.AMOUNT_INVALID)
    record = post(books, hold, hold.amount if hold.water else min(tap.amount, hold.amount))
    record.aux = asked32(tap.amount)
    if tap.amount > hold.amount and not hold.water:
        record.flags |= Flag.EXCESS
    return answer([books.tap_record(tap, terminal, record, books.accounts[hold.account])])


def release(books: Books, tap: Tap, terminal: Terminal, hold_record: Record | None) -> Reply:
    """Free a hold without posting."""
    hold = books.holds.get(hold_record.seq) if hold_record else None
    if hold_record is None or hold is None or hold.state == "EXPIRED":
        return no_hold(books, tap, terminal, hold_record)
    record = free(books, hold)
    return answer([books.tap_record(tap, terminal, record, books.accounts[hold.account])])


def by_counter(books: Books, tap: Tap, terminal: Terminal, hold: Hold, written: bool) -> Record:
    """The next tap of the card shows whether the last transfer reached it."""
    record = post(books, hold, hold.amount) if written else free(books, hold)
    record.flags |= Flag.BY_COUNTER
    record.aux = tap.card_counter
    return books.tap_record(tap, terminal, record, books.accounts[hold.account])


def settle(books: Books, hold: Hold, written: bool, flags: Flag) -> Record:
    """The office says what became of a transfer; no terminal has part in it."""
    record = post(books, hold, hold.amount) if written else free(books, hold)
    record.outcome = Outcome.EFFECT
    record.flags |= flags
    return books.write(record, account=books.accounts[hold.account])


def post(books: Books, hold: Hold, amount: int) -> Record:
    """Move the money of a hold and drop its row; the record still has to be written."""
    account = books.accounts[hold.account]
    late = hold.state == "EXPIRED"
    if late:
        books.recount(account, hold.day_key, hold.meal_key, amount, hold.counts)
    else:
        account.held -= hold.amount
        given_back = hold.amount - amount
        books.recount(account, hold.day_key, hold.meal_key, -given_back, hold.counts)
    drop(books, hold)
    debit_after = books.move(Wallet.ONLINE, account, -amount)
    if hold.water:
        credit_wallet, credit_after = Wallet.WATER, books.move(Wallet.WATER, account, amount)
    else:
        credit_wallet = Wallet.MERCHANT
        credit_after = books.move(credit_wallet, books.merchants[hold.merchant], amount)
    return of_hold(
        hold,
        Kind.CAPTURE,
        amount=amount,
        flags=hold.counts | (Flag.FORCED | Flag.LATE if late else NO_FLAG),
        debit_wallet=Wallet.ONLINE,
        debit_after=debit_after,
        credit_wallet=credit_wallet,
        credit_after=credit_after,
    )


def free(books: Books, hold: Hold, kind: Kind = Kind.RELEASE, *, keep_row: bool = False) -> Record:
    """Give a reservation and its counters back; the record still has to be written."""
    account = books.accounts[hold.account]
    account.held -= hold.amount
    books.recount(account, hold.day_key, hold.meal_key, -hold.amount, hold.counts)
    if not keep_row:
        drop(books, hold)
    return of_hold(hold, kind, amount=hold.amount, flags=hold.counts, debit_after=account.online)


def drop(books: Books, hold: Hold) -> None:
    """Forget a finished hold."""
    del books.holds[hold.seq]
    if hold.water:
        books.accounts[hold.account].water_hold = 0


def of_hold(
    hold: Hold,
    kind: Kind,
    *,
    amount: int,
    flags: Flag,
    debit_after: int,
    credit_after: int = 0,
    debit_wallet: Wallet = Wallet.NONE,
    credit_wallet: Wallet = Wallet.NONE,
) -> Record:
    """Return a record that speaks of a hold: its medium, merchant, day and meal."""
    return Record(
        type=kind,
        outcome=Outcome.APPROVED,
        flags=flags | (Flag.WATER if hold.water else NO_FLAG),
        medium=hold.medium,
        merchant=hold.merchant,
        original_seq=hold.seq,
        amount=amount,
        debit_wallet=debit_wallet,
        debit_after=debit_after,
        credit_wallet=credit_wallet,
        credit_after=credit_after,
        day_key=hold.day_key,
        meal_key=hold.meal_key,
    )


def no_hold(books: Books, tap: Tap, terminal: Terminal, hold_record: Record | None) -> Reply:
    """There never was such a hold, or it is finished."""
    reason = Reason.HOLD_CLOSED if hold_record else Reason.HOLD_NOT_FOUND
    return refused(books, tap, terminal, hold_record, reason)


def refused(
    books: Books, tap: Tap, terminal: Terminal, hold_record: Record | None, reason: Reason
) -> Reply:
    """Refuse a CAPTURE or RELEASE."""
    record = books.refuse(
        tap,
        terminal,
        KIND_OF[tap.op],
        reason,
        account=books.accounts[hold_record.account] if hold_record else None,
        medium=hold_record.medium if hold_record else 0,
        original_seq=hold_record.seq if hold_record else 0,
        asked=tap.amount if tap.op is Op.CAPTURE else 0,
    )
    return answer([record])


def fall_due(books: Books, hold: Hold) -> Record:
    """One deadline: a bath hold expires, is later forgotten; a water transfer becomes GREY."""
    account = books.accounts[hold.account]
    if hold.water:
        hold.state = "GREY"
        record = of_hold(hold, Kind.HOLD_GREY, amount=0, flags=NO_FLAG, debit_after=account.online)
    elif hold.state == "HELD":
        record = free(books, hold, Kind.HOLD_EXPIRED, keep_row=True)
        hold.state = "EXPIRED"
        hold.due_s += books.rules.late_capture_seconds
        record.credit_after = hold.due_s
    else:
        drop(books, hold)
        record = of_hold(
            hold, Kind.HOLD_RETIRED, amount=0, flags=NO_FLAG, debit_after=account.online
        )
    record.outcome = Outcome.EFFECT
    record.flags |= Flag.DUE
    record.terminal = hold.terminal
    return books.write(record, account=account)
