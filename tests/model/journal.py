"""Reading blocks with `struct`: a second reading of the durable format, for comparison only."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from typing import Any

from tests.model.numbers import (
    MUST_CHANGE,
    AccountStatus,
    EffectKind,
    Event,
    Flag,
    Kind,
    Mark,
    MediumFlag,
    MediumState,
    Outcome,
    Reason,
    Wallet,
)
from tests.model.state import Record, Rules

MAGIC = 0x4B4C424343434331
HEADER = struct.Struct("<QHHHHIIQQqIIIIq32s20xI")
RECORD = struct.Struct("<QBBHHBBIIIIIIQQQ56sII")
MONEY = struct.Struct("<QqqqqIIHBBBBBB")
ACCOUNT = struct.Struct("<16s8sIIIBBBBBBH12x")
MEDIUM = struct.Struct("<16sBBBxHH32x")
SCHEDULED = struct.Struct("<IHHBBBBBx42s")
TERMINAL = struct.Struct("<16sIBB34x")
RULES = struct.Struct("<IIIIIIIIIIiBBBBHH4x")
LATER_RULES = slice(46, 52)
"""Fields of the rules that wait by themselves; the others begin behind the version."""
MEALS = struct.Struct("<B3x16HI16x")
DOCUMENT = struct.Struct("<IIHHI16s24x")
TRAILER_BYTES = 64


@dataclass(slots=True, kw_only=True)
class Block:
    """A block's header in short, and its records."""

    time_us: int
    business_date: int
    rule_version: int
    records: list[Record]
    fingerprints: list[int]


def read_block(data: bytes) -> Block:
    """Read one whole block."""
    head = HEADER.unpack_from(data)
    magic, count, first, last, payload = head[0], head[6], head[7], head[8], head[12]
    assert magic == MAGIC, "not a block"
    assert last == first + count - 1, "seq and count do not fit"
    expected = HEADER.size + RECORD.size * count + payload + TRAILER_BYTES
    assert len(data) == expected, "the block's length"
    raw = [RECORD.unpack_from(data, HEADER.size + RECORD.size * i) for i in range(count)]
    records = [read_record(values) for values in raw]
    assert [record.seq for record in records] == list(range(first, last + 1)), "seqs in a block"
    return Block(
        time_us=head[9],
        business_date=head[10],
        rule_version=head[11],
        records=records,
        fingerprints=[values[13] for values in raw],
    )


def read_record(values: tuple[Any, ...]) -> Record:
    """Turn unpacked fields into a record of the model."""
    record = Record(
        seq=values[0],
        type=Kind(values[1]),
        outcome=Outcome(values[2]),
        reason=Reason(values[3]),
        flags=Flag(values[4]),
        part=values[5],
        parts=values[6],
        account=values[7],
        medium=values[8],
        merchant=values[9],
        terminal=values[10],
        batch_no=values[11],
        terminal_seq=values[12],
        original_seq=values[14],
        prev_account_seq=values[15],
        aux=values[17],
    )
    body: bytes = values[16]
    if record.type < Kind.ACCOUNT:
        read_money(record, body)
    else:
        record.image = IMAGES[record.type](body)
    return record


def read_money(record: Record, body: bytes) -> None:
    """Fill a record's money body."""
    (
        record.prev_terminal_seq,
        record.amount,
        record.debit_after,
        record.credit_after,
        record.held_after,
        record.day_used,
        record.meal_used,
        record.day_key,
        record.meal_key,
        debit,
        credit,
        record.pin_fails,
        record.original_part,
        marks,
    ) = MONEY.unpack(body)
    record.marks = Mark(marks)
    record.debit_wallet, record.credit_wallet = Wallet(debit), Wallet(credit)


def account_image(body: bytes) -> tuple[Any, ...]:
    """Status, must change, fails, version, limits, kind, event, changes: no password."""
    _tag, _salt, version, day, meal, status, flags, fails, _kid, kind, event, changes = (
        ACCOUNT.unpack(body)
    )
    must_change = bool(flags & MUST_CHANGE)
    papers = (AccountStatus(status), must_change, fails, version, day, meal, kind)
    return *papers, Event(event), changes


def medium_image(body: bytes) -> tuple[Any, ...]:
    """Key, state, flags, event, expiry, changes."""
    key, state, flags, event, expires, changes = MEDIUM.unpack(body)
    return key, MediumState(state), MediumFlag(flags), Event(event), expires, changes


def terminal_image(body: bytes) -> tuple[Any, ...]:
    """Name, maximum, status, flags."""
    name, max_amount, status, flags = TERMINAL.unpack(body)
    return name.rstrip(b"\0").decode("ascii"), max_amount, status, flags


def rules_image(body: bytes) -> tuple[Any, ...]:
    """One set of rules."""
    values = zip(fields(Rules), RULES.unpack(body), strict=True)
    return (Rules(**{field.name: type(field.default)(value) for field, value in values}),)


def meals_image(body: bytes) -> tuple[Any, ...]:
    """Minute ranges in order, version."""
    count, *minutes, version = MEALS.unpack(body)
    return tuple(zip(minutes[0:16:2], minutes[1:16:2], strict=True))[:count], version


def scheduled_image(body: bytes) -> tuple[Any, ...]:
    """Time, mask, changes, kind, event, what it expects, what it sets."""
    due_s, mask, changes, number, event, expect, status, flags, raw = SCHEDULED.unpack(body)
    kind = EffectKind(number)
    values: tuple[Any, ...] = tuple(raw[:2])
    if kind is EffectKind.ACCOUNT_STATUS:
        values = values[:1]
    elif kind is EffectKind.RULES:
        later = mask >> 12
        whole = bytes(46) + raw[:6] + bytes(4) if later else bytes(4) + raw + bytes(10)
        values = RULES.unpack(whole)[1:]
    elif kind is EffectKind.MEALS:
        values = meals_image(raw[:36] + bytes(20))[0]
    return due_s, mask, changes, kind, Event(event), expect, status, flags, values


def document_image(body: bytes) -> tuple[Any, ...]:
    """Kind, records before it, actor, request_id; the papers themselves are not compared."""
    _offset, _length, kind, before, actor, request_id = DOCUMENT.unpack(body)
    return kind, before, actor, request_id


IMAGES = {
    Kind.ACCOUNT: account_image,
    Kind.MEDIUM: medium_image,
    Kind.MERCHANT: lambda body: tuple(body[:3]),
    Kind.TERMINAL: terminal_image,
    Kind.CATEGORY: lambda body: tuple(body[:2]),
    Kind.RULES: rules_image,
    Kind.MEALS: meals_image,
    Kind.SCHEDULED: scheduled_image,
    Kind.UNSCHEDULED: scheduled_image,
    Kind.DOCUMENT: document_image,
}


# ---- the other way: the body an effect sends ----


def pack_account(  # the password travels apart
    *, status: int = 1, day_limit: int, meal_limit: int, kind: int, event: int
) -> bytes:
    """Return the body of an effect on an account."""
    return ACCOUNT.pack(
        bytes(16), bytes(8), 0, day_limit, meal_limit, status, 0, 0, 0, kind, event, 0
    )


def pack_rules(rules: Rules) -> bytes:
    """Return the body of a RULES effect."""
    values = [getattr(rules, name) for name in Rules.__dataclass_fields__]
    return RULES.pack(*values)


def pack_scheduled(image: tuple[Any, ...]) -> bytes:
    """Return the body of a SCHEDULED or UNSCHEDULED record."""
    *head, values = image
    kind = image[3]
    if kind is EffectKind.RULES:
        raw = RULES.pack(0, *values)[LATER_RULES if image[1] >> 12 else slice(4, 46)]
    elif kind is EffectKind.MEALS:
        raw = pack_meals(values)[:36]
    else:
        raw = bytes(values)
    return SCHEDULED.pack(*head, raw)


def pack_meals(meals: tuple[tuple[int, int], ...], version: int = 1) -> bytes:
    """Return the body of a MEALS effect."""
    minutes = [minute for meal in meals for minute in meal]
    return MEALS.pack(len(meals), *minutes, *[0] * (16 - len(minutes)), version)
