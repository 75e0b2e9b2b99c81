"""campuscard dump: a journal as JSON lines, one record a line, names in place of numbers.

Amounts are integer fen. Documents are shown as they are: what is sealed stays sealed. What guards
a password (tag and salt) is left out.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TextIO

from core.catalogue import BY_NUMBER
from core.documents import KINDS
from server.offline import layout as at
from server.offline import names
from server.offline.chain import Chain
from server.offline.files import JournalFiles, at_rest
from server.offline.names import name, names_of_bits
from server.offline.rows import Meals, Rules
from server.offline.schedule import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from server.offline.chain import Block

    Progress = Callable[[int, int], None]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_DAY: Final = date(1970, 1, 1)
ROWS: Final = ("account", "medium", "merchant", "terminal")
NO_LIMIT: Final = 0xFFFF_FFFF
PROGRESS_BLOCKS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpResult:
    """What was written."""

    records: int
    """Lines written."""
    read: int
    """Records looked at."""
    first_seq: int
    """Of the first line, 0 when there is none."""
    last_seq: int


def run(
    directory: Path,
    out: TextIO,
    *,
    account: int = 0,
    from_seq: int = 1,
    to_seq: int = 0,
    progress: Progress | None = None,
) -> DumpResult:
    """Write records of a stopped or copied directory as JSON lines.

    Args:
        directory: the data directory.
        out: where the lines go.
        account: only this account's records; 0 all.
        from_seq: first record wanted.
        to_seq: last record wanted; 0 the newest.
        progress: called now and then with (seq, last seq).

    Raises:
        DirectoryInUse: a process holds the directory.
        DirectoryError: this is no data directory.
        Difference: a block fails its checks.
    """
    lines = first = last = read = 0
    with at_rest(directory), JournalFiles(directory) as files:
        end = min(to_seq or files.last_seq, files.last_seq)
        for number, block in enumerate(checked(files, max(from_seq, 1), end)):
            for raw in records_of(block):
                seq, of_account = seq_and_account(raw)
                if not from_seq <= seq <= end:
                    continue
                read += 1
                if account and of_account != account:
                    continue
                out.write(json.dumps(line(block, raw), ensure_ascii=False) + "\n")
                lines, first, last = lines + 1, first or seq, seq
            if progress is not None and number % PROGRESS_BLOCKS == 0:
                progress(block.header.last_seq, end)
        if progress is not None:
            progress(end, end)
    return DumpResult(records=lines, read=read, first_seq=first, last_seq=last)


def checked(files: JournalFiles, from_seq: int, to_seq: int) -> Iterator[Block]:
    """Yield blocks whose hashes and checksums are right; the first one is taken at its word."""
    chain: Chain | None = None
    for key, raw in files.blocks(from_seq):
        if chain is None:
            header = at.Header._make(at.HEADER.unpack_from(raw))
            chain = Chain(header.prev_hash, header.first_seq)
        block = chain.take(raw, key)
        if block.header.first_seq > to_seq:
            break
        yield block
    if chain is not None:
        chain.settle()


def records_of(block: Block) -> Iterator[bytes]:
    """Yield the 128 bytes of every record."""
    for start in range(0, len(block.area), at.ROW_BYTES):
        yield block.area[start : start + at.ROW_BYTES]


def seq_and_account(raw: bytes) -> tuple[int, int]:
    """Read the two numbers a filter needs."""
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[16:20], "little")


# ---- one line ----


def line(block: Block, raw: bytes) -> dict[str, Any]:
    """Return one record by names; numbers that say nothing are left out."""
    e = at.Entry._make(at.RECORD.unpack(raw))
    found: dict[str, Any] = {
        "seq": e.seq,
        "time": utc(block.header.time_us),
        "time_us": block.header.time_us,
        "business_date": day(block.header.business_date),
        "rule_version": block.header.rule_version,
        "type": name(names.TYPES, e.type),
        "outcome": name(names.OUTCOMES, e.outcome),
        "reason": BY_NUMBER[e.reason].name if e.reason in BY_NUMBER else f"#{e.reason}",
        "part": e.part,
        "parts": e.parts,
        "flags": names_of_bits(names.FLAGS, e.flags),
    }
    found |= {row: getattr(e, row) for row in ROWS if getattr(e, row)}
    if e.flags & at.F_KEY_IS_REQUEST:
        found["request_id_end"] = (e.batch_no | e.terminal_seq << 32).to_bytes(8, "little").hex()
    elif e.batch_no:
        found |= {"batch_no": e.batch_no, "terminal_seq": e.terminal_seq}
    if e.prev_account_seq:
        found["prev_account_seq"] = e.prev_account_seq
    if e.fingerprint:
        found["fingerprint"] = f"{e.fingerprint:016x}"
    body = raw[64:120]
    if e.type >= at.ACCOUNT and e.original_seq:
        found["scheduled_seq"] = e.original_seq
    if e.type < at.ACCOUNT:
        found |= money(e)
    elif e.type == at.DOCUMENT:
        found["document"] = document(block, body)
    elif e.type in (at.SCHEDULED, at.UNSCHEDULED):
        found["scheduled"] = scheduled(body)
    else:
        found["row"] = ROW_READERS[e.type](body) if e.type in ROW_READERS else body.hex()
    return found


def money(e: at.Entry) -> dict[str, Any]:
    """Return a money body."""
    found: dict[str, Any] = {"amount_fen": e.amount}
    if e.type == at.TOMBSTONE:
        batch_no, terminal_seq = e.original_seq >> 32, e.original_seq & 0xFFFF_FFFF
        found["original_key"] = {"batch_no": batch_no, "terminal_seq": terminal_seq}
    elif e.original_seq:
        found["original_seq"] = e.original_seq
    if e.original_part:
        found["original_part"] = e.original_part
    settled = e.outcome in (at.APPROVED, at.EFFECT)
    if settled and e.debit_wallet and e.type != at.HOLD:
        found["debit"] = side(e.debit_wallet, e.debit_after)
        found["credit"] = side(e.credit_wallet, e.credit_after)
    elif e.account:
        found["online_fen"] = e.debit_after
        found |= told_after(e, settled=settled)
    if e.account:
        found |= {
            "held_fen": e.held_after,
            "day_used_fen": e.day_used,
            "meal_used_fen": e.meal_used,
            "pin_fails": e.pin_fails,
        }
    if e.pin_marks:
        found["password"] = names_of_bits(names.PIN_MARKS, e.pin_marks)
    found["day"] = day(e.day_key)
    if e.meal_key:
        found["meal"] = e.meal_key & 0x7F
        found["meal_began_the_day_before"] = bool(e.meal_key & 0x80)
    if e.aux:
        found[AUX_NAMES.get((e.type, settled), "asked_fen")] = e.aux
    if e.prev_terminal_seq:
        found["prev_terminal_seq"] = e.prev_terminal_seq
    return found


AUX_NAMES: Final = {(at.REFUND, True): "refunded_fen"}


def told_after(e: at.Entry, *, settled: bool) -> dict[str, Any]:
    """Return what credit_after means where no wallet is credited."""
    if settled and e.type == at.HOLD:
        return {"hold_for": name(names.WALLETS, e.credit_wallet), "expires": at_second(e)}
    if settled and e.type == at.HOLD_EXPIRED:
        return {"retires": at_second(e)}
    if e.reason in (at.R_PIN_REQUIRED, at.R_PIN_WRONG, at.R_PIN_LOCKED):
        limits = e.credit_after & 0xFFFF_FFFF_FFFF_FFFF
        return {"day_limit_fen": limits & 0xFFFF_FFFF, "meal_limit_fen": limits >> 32}
    if e.reason == at.R_INSUFFICIENT:
        return {"subsidy_fen": e.credit_after}
    if e.reason == at.R_WATER_CAP:
        return {"water_cap_fen": e.credit_after}
    if e.reason == at.R_REFUND_EXCEEDS_ORIGINAL:
        return {"refundable_fen": e.credit_after}
    return {}


def at_second(e: at.Entry) -> str:
    """Return the time in credit_after."""
    return utc(e.credit_after * 1_000_000)


def side(wallet: int, after: int) -> dict[str, Any]:
    """Return one side of a movement."""
    return {"wallet": name(names.WALLETS, wallet), "after_fen": after}


# ---- rows and documents ----


def account_row(body: bytes) -> dict[str, Any]:
    """Return an account's papers, without what guards its password."""
    fields = at.ACCOUNT_BODY.unpack(body)[2:11]
    version, day_limit, meal_limit, status, flags, fails, kid, kind, event = fields
    return {
        "event": name(names.EVENTS, event),
        "status": name(names.ACCOUNT_STATUS, status),
        "kind": kind,
        "day_limit_fen": None if day_limit == NO_LIMIT else day_limit,
        "meal_limit_fen": None if meal_limit == NO_LIMIT else meal_limit,
        "must_change_pin": bool(flags & at.A_MUST_CHANGE),
        "pin_version": version,
        "pin_key_id": kid,
        "pin_fails": fails,
    }


def medium_row(body: bytes) -> dict[str, Any]:
    """Return a medium; a long token is known by its hash only."""
    key, state, flags, event, _, expires_day, *_ = at.MEDIUM_BODY.unpack(body)
    hashed = bool(key[0] & 0x80)
    token = key[2:] if hashed else key[2 : 2 + min(key[1], 14)]
    return {
        "event": name(names.EVENTS, event),
        "medium_type": name(names.MEDIUM_TYPES, key[0] & 0x7F),
        "token_sha256_start" if hashed else "token": token.hex(),
        "token_bytes": key[1],
        "state": name(names.MEDIUM_STATE, state),
        "flags": names_of_bits(names.MEDIUM_FLAGS, flags),
        "expires": day(expires_day) if expires_day else None,
    }


def merchant_row(body: bytes) -> dict[str, Any]:
    """Return a merchant."""
    category, status, flags, _ = at.MERCHANT_BODY.unpack(body)
    return {
        "category": name(names.CATEGORIES, category),
        "status": name(names.SERVICE, status),
        "flags": flags,
    }


def terminal_row(body: bytes) -> dict[str, Any]:
    """Return a terminal."""
    label, max_amount, status, flags, _ = at.TERMINAL_BODY.unpack(body)
    return {
        "name": label.rstrip(b"\0").decode("ascii", "replace"),
        "max_amount_fen": max_amount or at.AMOUNT_MAX,
        "status": name(names.SERVICE, status),
        "keypad": bool(flags & 1),
    }


def category_row(body: bytes) -> dict[str, Any]:
    """Return what a category may do."""
    category, flags, _ = at.CATEGORY_BODY.unpack(body)
    return {
        "category": name(names.CATEGORIES, category),
        "may": names_of_bits(names.CATEGORY_FLAGS, flags),
    }


def rules_row(body: bytes) -> dict[str, Any]:
    """Return a set of rules; sums are fen."""
    rules = Rules.read(body)
    return {field: getattr(rules, field) for field in rules.__slots__ if field != "body"}


def meals_row(body: bytes) -> dict[str, Any]:
    """Return meal periods as local times."""
    meals = Meals.read(body)
    periods = [[clock(start), clock(end)] for start, end in meals.periods]
    return {"version": meals.version, "periods": periods}


ROW_READERS: Final = {
    at.ACCOUNT: account_row,
    at.MEDIUM: medium_row,
    at.MERCHANT: merchant_row,
    at.TERMINAL: terminal_row,
    at.CATEGORY: category_row,
    at.RULES: rules_row,
    at.MEALS: meals_row,
}


def scheduled(body: bytes) -> dict[str, Any]:
    """Return an effect that waits: when, what it expects, what it sets."""
    due_s, mask, changes, kind, event, expect, status, flags, _, values = at.SCHEDULED_BODY.unpack(
        body
    )
    found: dict[str, Any] = {"due": utc(due_s * 1_000_000), "kind": name(names.EFFECTS, kind)}
    if expect:
        statuses = names.MEDIUM_STATE if kind == at.EF_MEDIUM_STATE else names.ACCOUNT_STATUS
        found["event"] = name(names.EVENTS, event)
        found["expects"] = {"status": name(statuses, status)} if status else {}
        if kind == at.EF_MEDIUM_STATE:
            found["expects"]["flags"] = names_of_bits(names.MEDIUM_FLAGS, flags)
        if expect & at.X_UNCHANGED:
            found["expects"]["changes"] = changes
    return found | {"sets": sets(kind, mask, values)}


def sets(kind: int, mask: int, values: bytes) -> dict[str, Any]:
    """Return what a scheduled effect will change."""
    if kind == at.EF_RULES:
        rules = rules_row(masked(bytes(at.RULES_BODY.size), values, mask))
        fields = enumerate(names.RULES_FIELDS)
        return {field: rules[field] for bit, field in fields if mask >> bit & 1}
    if kind == at.EF_MEALS:
        return {"periods": meals_row(values[:36] + bytes(20))["periods"]}
    if kind == at.EF_CATEGORY:
        return category_row(values[:2] + bytes(54))
    if kind == at.EF_MEDIUM_STATE:
        changed = {
            bit: bool(values[1] & number)
            for number, bit in names.MEDIUM_FLAGS.items()
            if mask & number
        }
        state = {"state": name(names.MEDIUM_STATE, values[0])} if values[0] else {}
        return state | changed
    return {"status": name(names.ACCOUNT_STATUS, values[0])}


def document(block: Block, body: bytes) -> dict[str, Any]:
    """Return a document with its words."""
    offset, length, kind, effects, actor, request_id, _ = at.DOCUMENT_BODY.unpack(body)
    raw = block.payload[offset : offset + length]
    return {
        "kind": KINDS[kind].__name__ if kind in KINDS else f"#{kind}",
        "effects": effects,
        "actor": actor,
        "request_id": str(uuid.UUID(bytes=request_id)),
        "body": words(raw),
    }


def words(raw: bytes) -> Any:
    """Return a document's JSON; bytes that are none as hexadecimal digits."""
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return {"hex": raw.hex()}


# ---- times ----


def utc(time_us: int) -> str:
    """Return a time in UTC, to the microsecond."""
    return (EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def day(number: int) -> str:
    """Return a local day."""
    return (FIRST_DAY + timedelta(days=number)).isoformat()


def clock(minute: int) -> str:
    """Return a local time of day."""
    return f"{minute // 60:02}:{minute % 60:02}"
