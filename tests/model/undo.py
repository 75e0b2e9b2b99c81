"""Taking back: REVERSE (whole, also before its original) and REFUND (in parts, never above)."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.model import holds
from tests.model.books import Books, answer, asked32
from tests.model.numbers import (
    KEY_WINDOW_US,
    KIND_OF,
    NO_FLAG,
    AccountStatus,
    Counts,
    Flag,
    Kind,
    Outcome,
    Reason,
    Wallet,
)
from tests.model.state import Account, Key, Record, Reply, Tap, Terminal, Undo


@dataclass(slots=True, kw_only=True)
class Found:
    """What the original's name leads to."""

    state: str
    """NONE (no such thing), UNUSED (a key of a known batch, never used), else the key's state."""
    records: list[Record] = field(default_factory=list)

    @property
    def approved(self) -> bool:
        """Whether money moved or was reserved."""
        return bool(self.records) and self.records[0].outcome is Outcome.APPROVED

    @property
    def seq(self) -> int:
        """Seq of the first part: the original's name."""
        return self.records[0].seq

    @property
    def amount(self) -> int:
        """Fen of all parts."""
        return sum(record.amount for record in self.records)


def find(books: Books, tap: Tap, terminal: Terminal) -> Found:
    """Look the original up by seq, or by key of the same terminal."""
    if tap.original.seq:
        return find_by_seq(books, tap.original.seq)
    batch, number = tap.original.batch_no, tap.original.terminal_seq
    sign_in = terminal.sign_ins.get(batch)
    if sign_in is None or (batch, number) == (tap.batch_no, tap.terminal_seq):
        return Found(state="NONE")
    if batch < terminal.batch_no - 1 and sign_in + KEY_WINDOW_US < books.time_us:
        return Found(state="NONE")
    key: Key | None = terminal.keys.get((batch, number))
    if key is None:
        return Found(state="UNUSED")
    if key.state != "FINAL":
        return Found(state=key.state)
    return Found(state="FINAL", records=own_records(key.reply.records))


def find_by_seq(books: Books, seq: int) -> Found:
    """Any part names the whole; what a card counter resolved was no command of its own."""
    if not 1 <= seq <= len(books.journal) or books.journal[seq - 1].flags & Flag.BY_COUNTER:
        return Found(state="NONE")
    first = seq - books.journal[seq - 1].part
    whole = books.journal[first : first + books.journal[seq - 1].parts]
    return Found(state="FINAL", records=own_records(whole))


def own_records(records: list[Record]) -> list[Record]:
    """Leave out what the command resolved on its way."""
    return [record for record in records if not record.flags & Flag.BY_COUNTER]


def find_hold(books: Books, tap: Tap, terminal: Terminal) -> Record | None:
    """Return the approved HOLD of this terminal that the command names."""
    found = find(books, tap, terminal)
    if not found.approved or found.records[0].type is not Kind.HOLD:
        return None
    return found.records[0] if found.records[0].terminal == terminal.number else None


def refuse(
    books: Books, tap: Tap, terminal: Terminal, reason: Reason, found: Found | None = None
) -> Reply:
    """Refuse; with `found` the refusal says whose original it was."""
    original = found.records[0] if found else None
    record = books.refuse(
        tap,
        terminal,
        KIND_OF[tap.op],
        reason,
        account=books.accounts[original.account] if original else None,
        medium=original.medium if original else 0,
        flags=Flag.VOID if tap.void else NO_FLAG,
        asked=tap.amount,
        original_seq=original.seq if original else 0,
        told=left_of(books, found) if found and reason is Reason.REFUND_EXCEEDS_ORIGINAL else 0,
    )
    return answer([record])


def left_of(books: Books, found: Found) -> int:
    """Return what of a sale was not refunded yet."""
    return found.amount - books.undos.get(found.seq, Undo()).refunded


# ---- REVERSE ----


def reverse(books: Books, tap: Tap, terminal: Terminal) -> Reply:
    """Take an original back whole, whose outcome the terminal does not know or does not want."""
    found = find(books, tap, terminal)
    if found.records and found.records[0].terminal != terminal.number:
        found = Found(state="NONE")
    if found.state == "NONE":
        return refuse(books, tap, terminal, Reason.ORIGINAL_NOT_FOUND)
    if found.state in {"UNUSED", "PIN_REQUIRED"}:
        return set_tombstone(books, tap, terminal)
    if found.state == "TOMBSTONE":
        return refuse(books, tap, terminal, Reason.ALREADY_REVERSED)
    if found.records[0].type not in {Kind.PURCHASE, Kind.CAPTURE, Kind.HOLD} or not found.approved:
        return refuse(books, tap, terminal, Reason.ORIGINAL_NOT_APPROVED)
    if reason := reversal_refused(books, tap, found):
        return refuse(books, tap, terminal, reason, found)
    if found.records[0].type is Kind.HOLD:
        return reverse_hold(books, tap, terminal, found.records[0])
    books.undos.setdefault(found.seq, Undo()).reversed = True
    return answer([mirror(books, tap, terminal, part, found) for part in found.records])


def set_tombstone(books: Books, tap: Tap, terminal: Terminal) -> Reply:
    """Remember a reversal that overtook its original: the late original will be refused."""
    name = (tap.original.batch_no, tap.original.terminal_seq)
    record = Record(
        type=Kind.TOMBSTONE,
        outcome=Outcome.APPROVED,
        flags=Flag.VOID if tap.void else NO_FLAG,
        original_seq=name[0] << 32 | name[1],
        aux=asked32(tap.amount),
    )
    books.tap_record(tap, terminal, record)
    reply = answer([record])
    terminal.keys[name] = Key(state="TOMBSTONE", body=(), reply=reply)
    return reply


def reversal_refused(books: Books, tap: Tap, found: Found) -> Reason:
    """Return why an approved original cannot be reversed, OK if it can."""
    original = found.records[0]
    water = bool(original.flags & Flag.WATER)
    undo = books.undos.get(found.seq, Undo())
    if original.type is Kind.HOLD:
        hold = books.holds.get(original.seq)
        if hold is None or hold.state == "EXPIRED":
            return Reason.HOLD_CLOSED
    if undo.reversed:
        return Reason.ALREADY_REVERSED
    if undo.refunded:
        return Reason.ALREADY_REFUNDED
    if not water and tap.amount not in {found.amount, original.aux}:
        return Reason.REVERSAL_AMOUNT_MISMATCH
    transferred = water and original.type is Kind.CAPTURE
    if transferred and books.accounts[original.account].water < found.amount:
        return Reason.INSUFFICIENT
    return Reason.OK


def reverse_hold(books: Books, tap: Tap, terminal: Terminal, original: Record) -> Reply:
    """A reversed hold is a released one."""
    record = holds.free(books, books.holds[original.seq], Kind.REVERSAL)
    record.flags |= Flag.VOID if tap.void else NO_FLAG
    record.original_part = 1
    record.aux = asked32(tap.amount)
    return answer([books.tap_record(tap, terminal, record, books.accounts[original.account])])


def mirror(books: Books, tap: Tap, terminal: Terminal, part: Record, found: Found) -> Record:
    """One part back: the merchant (or the water purse) pays, the wallet and its counters get."""
    account = books.accounts[part.account]
    counts = part.flags & (Flag.COUNTS_DAY | Flag.COUNTS_MEAL)
    books.recount(account, part.day_key, part.meal_key, -part.amount, counts)
    water = part.flags & Flag.WATER
    payer = account if water else books.merchants[part.merchant]
    record = Record(
        type=Kind.REVERSAL,
        outcome=Outcome.APPROVED,
        flags=counts | water | (Flag.VOID if tap.void else NO_FLAG),
        medium=part.medium,
        merchant=part.merchant,
        original_seq=part.seq,
        original_part=found.records.index(part) + 1,
        amount=part.amount,
        debit_wallet=part.credit_wallet,
        debit_after=books.move(part.credit_wallet, payer, -part.amount),
        credit_wallet=part.debit_wallet,
        credit_after=books.move(part.debit_wallet, account, part.amount),
        day_key=part.day_key,
        meal_key=part.meal_key,
        aux=asked32(tap.amount),
    )
    return books.tap_record(tap, terminal, record, account)


# ---- REFUND ----


def refund(books: Books, tap: Tap, terminal: Terminal) -> Reply:
    """Give back a part or all; counters stay, so that a refund does not lift a limit."""
    found = find(books, tap, terminal)
    if found.state in {"NONE", "UNUSED"}:
        return refuse(books, tap, terminal, Reason.ORIGINAL_NOT_FOUND)
    if found.state == "TOMBSTONE":
        return refuse(books, tap, terminal, Reason.ALREADY_REVERSED)
    if found.state == "PIN_REQUIRED":
        return refuse(books, tap, terminal, Reason.ORIGINAL_NOT_APPROVED)
    if found.records[0].merchant != terminal.merchant:
        return refuse(books, tap, terminal, Reason.ORIGINAL_NOT_FOUND)
    original = found.records[0]
    posted = original.type is Kind.PURCHASE or (
        original.type is Kind.CAPTURE and not original.flags & Flag.WATER
    )
    if not posted:
        return refuse(books, tap, terminal, Reason.REFUND_NOT_ALLOWED, whose(found))
    if not found.approved:
        return refuse(books, tap, terminal, Reason.ORIGINAL_NOT_APPROVED)
    if reason := refund_refused(books, tap, found):
        return refuse(books, tap, terminal, reason, found)
    return answer(give_back(books, tap, terminal, found))


def whose(found: Found) -> Found | None:
    """Return the original if it had an account."""
    return found if found.records[0].account else None


def refund_refused(books: Books, tap: Tap, found: Found) -> Reason:
    """Return why an approved sale cannot be refunded, OK if it can."""
    merchant = books.merchants[found.records[0].merchant]
    account: Account = books.accounts[found.records[0].account]
    undo = books.undos.get(found.seq, Undo())
    if not books.categories.get(merchant.category, Counts(0)) & Counts.REFUNDABLE:
        return Reason.REFUND_NOT_ALLOWED
    if account.status is AccountStatus.CLOSED:
        return Reason.ACCOUNT_CLOSED
    if tap.amount < 1:
        return Reason.AMOUNT_INVALID
    if undo.reversed:
        return Reason.ALREADY_REVERSED
    if tap.amount > left_of(books, found):
        return Reason.REFUND_EXCEEDS_ORIGINAL
    return Reason.MERCHANT_SHORT if merchant.payable < tap.amount else Reason.OK


def give_back(books: Books, tap: Tap, terminal: Terminal, found: Found) -> list[Record]:
    """Fill the wallets in reverse order of the debit, each up to what it gave."""
    undo = books.undos.setdefault(found.seq, Undo())
    account = books.accounts[found.records[0].account]
    already, left = undo.refunded, tap.amount
    records = []
    for part in reversed(found.records):
        had = min(already, part.amount)
        already -= had
        amount = min(left, part.amount - had)
        left -= amount
        if not amount:
            continue
        undo.refunded += amount
        merchant = books.merchants[part.merchant]
        record = Record(
            type=Kind.REFUND,
            outcome=Outcome.APPROVED,
            medium=part.medium,
            merchant=part.merchant,
            original_seq=part.seq,
            original_part=found.records.index(part) + 1,
            amount=amount,
            debit_wallet=Wallet.MERCHANT,
            debit_after=books.move(Wallet.MERCHANT, merchant, -amount),
            credit_wallet=part.debit_wallet,
            credit_after=books.move(part.debit_wallet, account, amount),
            aux=undo.refunded,
        )
        records.append(books.tap_record(tap, terminal, record, account))
    return records
