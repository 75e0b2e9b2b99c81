"""A journal made from the reference model's records: no engine takes part.

`ModelJournal` is a rig whose every command becomes a sealed block, so that whatever a scenario
plays can be verified, dumped or broken byte by byte.
"""

import hashlib

from ext import blocks
from tests.model import journal as at
from tests.model.numbers import Flag, Kind
from tests.model.rig import Rig
from tests.model.state import SEED_CATEGORIES, SEED_MEALS, Record, Rules

MONEY_KINDS = Kind.ACCOUNT


def pack(record, fingerprint):
    """Return the 128 bytes of a record; its CRC is set when the block is sealed."""
    body = at.MONEY.pack(
        record.prev_terminal_seq,
        record.amount,
        record.debit_after,
        record.credit_after,
        record.held_after,
        record.day_used,
        record.meal_used,
        record.day_key,
        record.meal_key,
        record.debit_wallet,
        record.credit_wallet,
        record.pin_fails,
        record.original_part,
        record.marks,
    )
    if record.type >= MONEY_KINDS:
        body = PACKERS[record.type](record)
    return at.RECORD.pack(
        record.seq,
        record.type,
        record.outcome,
        record.reason,
        record.flags,
        record.part,
        record.parts,
        record.account,
        record.medium,
        record.merchant,
        record.terminal,
        record.batch_no,
        record.terminal_seq,
        fingerprint,
        record.original_seq,
        record.prev_account_seq,
        body,
        record.aux,
        0,
    )


def pack_account(record):
    status, must_change, fails, version, day, meal, kind, event, changes = record.image
    tag = hashlib.sha256(b"%d %d" % (record.account, version)).digest()[:16] if version else b""
    papers = (status, must_change, fails, version > 0, kind, event, changes)
    return at.ACCOUNT.pack(tag, tag[:8], version, day, meal, *papers)


def pack_medium(record):
    return at.MEDIUM.pack(*record.image)


def pack_terminal(record):
    name, max_amount, status, flags = record.image
    return at.TERMINAL.pack(name.encode(), max_amount, status, flags)


def pack_document(record):
    kind, before, actor, request_id = record.image
    return at.DOCUMENT.pack(0, 0, kind, before, actor, request_id)


PACKERS = {
    Kind.ACCOUNT: pack_account,
    Kind.MEDIUM: pack_medium,
    Kind.MERCHANT: lambda record: bytes(record.image).ljust(56, b"\0"),
    Kind.TERMINAL: pack_terminal,
    Kind.CATEGORY: lambda record: bytes(record.image).ljust(56, b"\0"),
    Kind.RULES: lambda record: at.pack_rules(record.image[0]),
    Kind.MEALS: lambda record: at.pack_meals(*record.image),
    Kind.SCHEDULED: lambda record: at.pack_scheduled(record.image),
    Kind.UNSCHEDULED: lambda record: at.pack_scheduled(record.image),
    Kind.DOCUMENT: pack_document,
}
MOVES_NOTHING = {Kind.HOLD}


def first_records():
    """Return the seed's rules, meals and categories, as a new directory begins with."""
    rules = Record(type=Kind.RULES, image=(Rules(),))
    meals = Record(type=Kind.MEALS, image=(SEED_MEALS, 1))
    categories = [
        Record(type=Kind.CATEGORY, image=(number, counts))
        for number, counts in SEED_CATEGORIES.items()
    ]
    return [rules, meals, *categories]


class ModelJournal(Rig):
    """The model with a clock; every command is sealed into a block of its own."""

    def __init__(self):
        super().__init__()
        self.sealed = []
        self.chain = bytes(32)
        self.fingerprint = 0
        self.rule_version = 0
        self.model.books.set_time(self.now_us)
        first = first_records()
        for record in first:
            record.outcome = 4
            self.model.books.write(record, counters=False)
        self.seal(first)
        self.auditor.feed(first)
        self.auditor.counters_known = True
        self.rule_version = 1

    def send(self, tap):
        self.fingerprint = int.from_bytes(hashlib.sha256(repr(tap.body).encode()).digest()[:8])
        try:
            return super().send(tap)
        finally:
            self.fingerprint = 0

    def check(self, records):
        super().check(records)
        if records:
            self.seal(records)
            for record in records:
                if record.type in {Kind.RULES, Kind.MEALS}:
                    self.rule_version = self.model.books.rule_version + 1

    def fingerprint_of(self, record):
        return 0 if record.flags & Flag.DUE else self.fingerprint

    def seal(self, records):
        """Append the records as the next block."""
        moved = sum(r.amount for r in records if r.debit_wallet and r.type not in MOVES_NOTHING)
        raw = blocks.seal(
            b"".join(pack(record, self.fingerprint_of(record)) for record in records),
            first_seq=records[0].seq,
            previous=self.chain,
            time_us=self.model.books.time_us,
            business_date=self.model.books.business_date,
            rule_version=self.rule_version,
            debits_fen=moved,
        )
        self.chain = raw[-48:-16]
        self.sealed.append(raw)
