"""The rows of the state, recomputed, and their bytes for the state hash."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from server.offline import layout as at

_ACCOUNT: Final = struct.Struct("<qqqQIIIIHHBBBBI")
_COLD: Final = struct.Struct("<q16s8sIBBHIIIIH2x")
_MEDIUM: Final = struct.Struct("<16sIBB2xHH")
_MERCHANT: Final = struct.Struct("<qBBB49x")
_TERMINAL: Final = struct.Struct("<16sIIIIQQQQBBB57x")
_HOLD: Final = struct.Struct("<QqqIIIIIHBBBB10x")
_UNDO: Final = struct.Struct("<QqB11x")
_SCHEDULED: Final = struct.Struct("<QII56s52x")
_LEDGER: Final = struct.Struct("<q20x")
_REQUEST: Final = struct.Struct("<16sQQ")


NO_SESSION: Final = (0, 0, 0, 0)


@dataclass(slots=True)
class Account:
    """Wallets, counters and papers of one account."""

    online: int = 0
    held: int = 0
    subsidy: int = 0
    last_seq: int = 0
    day_used: int = 0
    meal_used: int = 0
    day_limit: int = 0
    meal_limit: int = 0
    day_key: int = 0
    meal_day: int = 0
    meal_index: int = 0
    status: int = 0
    pin_fails: int = 0
    flags: int = 0
    water_hold: int = 0
    water: int = 0
    pin_tag: bytes = bytes(16)
    pin_salt: bytes = bytes(8)
    pin_version: int = 0
    pin_kid: int = 0
    kind: int = 0
    changes: int = 0
    session: tuple[int, int, int, int] = NO_SESSION
    """Second it began, medium, terminal, rule version."""
    pin_fail_day: int = 0

    def image(self) -> bytes:
        """Return the hot row without its stamp."""
        return _ACCOUNT.pack(
            self.online,
            self.held,
            self.subsidy,
            self.last_seq,
            self.day_used,
            self.meal_used,
            self.day_limit,
            self.meal_limit,
            self.day_key,
            self.meal_day,
            self.meal_index,
            self.status,
            self.pin_fails,
            self.flags,
            self.water_hold & 0xFFFF_FFFF,
        )

    def cold_image(self) -> bytes:
        """Return the cold row without its stamp."""
        papers = (self.pin_version, self.pin_kid, self.kind, self.changes)
        kept = (*self.session, self.pin_fail_day)
        return _COLD.pack(self.water, self.pin_tag, self.pin_salt, *papers, *kept)


@dataclass(slots=True)
class Medium:
    """One carrier of an account."""

    key: bytes = bytes(16)
    account: int = 0
    state: int = 0
    flags: int = 0
    expires_day: int = 0
    changes: int = 0

    def image(self) -> bytes:
        """Return the row without its stamp."""
        papers = (self.state, self.flags, self.expires_day, self.changes)
        return _MEDIUM.pack(self.key, self.account, *papers)


@dataclass(slots=True)
class Merchant:
    """One merchant."""

    payable: int = 0
    category: int = 0
    status: int = 0
    flags: int = 0

    def image(self) -> bytes:
        """Return the row without its stamp."""
        return _MERCHANT.pack(self.payable, self.category, self.status, self.flags)


@dataclass(slots=True)
class Terminal:
    """One terminal; `batches` holds what became of its keys, by batch."""

    name: bytes = bytes(16)
    merchant: int = 0
    max_amount: int = 0
    batch_no: int = 0
    prev_batch_no: int = 0
    last_seq: int = 0
    sign_in_seq: int = 0
    keys_sum: list[int] = field(default_factory=lambda: [0, 0])
    status: int = 0
    flags: int = 0
    signed_in: int = 0

    def image(self) -> bytes:
        """Return the row without its stamp."""
        return _TERMINAL.pack(
            self.name,
            self.merchant,
            self.max_amount,
            self.batch_no,
            self.prev_batch_no,
            self.last_seq,
            self.sign_in_seq,
            *self.keys_sum,
            self.status,
            self.flags,
            self.signed_in,
        )


@dataclass(slots=True)
class Hold:
    """One reservation that is not finished."""

    seq: int
    amount: int
    due_s: int
    account: int
    medium: int
    merchant: int
    terminal: int
    card_counter: int
    day_key: int
    meal_key: int
    state: int
    water: int
    counts: int

    def image(self) -> bytes:
        """Return the row without its stamp."""
        return _HOLD.pack(
            self.seq,
            self.amount,
            self.due_s,
            self.account,
            self.medium,
            self.merchant,
            self.terminal,
            self.card_counter,
            self.day_key,
            self.meal_key,
            self.state,
            self.water,
            self.counts,
        )


@dataclass(frozen=True, slots=True)
class Scheduled:
    """An effect that waits for its time, with its bytes."""

    seq: int
    account: int
    medium: int
    body: bytes
    due_s: int
    mask: int
    changes: int
    kind: int
    event: int
    expect: int
    expect_status: int
    expect_flags: int
    spare: int
    values: bytes

    def image(self) -> bytes:
        """Return the row without its stamp."""
        return _SCHEDULED.pack(self.seq, self.account, self.medium, self.body)


@dataclass(slots=True)
class Undo:
    """What was taken back of an original."""

    refunded: int = 0
    reversed: int = 0


@dataclass(slots=True)
class Rules:
    """One versioned set of rules, with its bytes."""

    body: bytes = bytes(56)
    version: int = 0
    day_limit: int = 0
    meal_limit: int = 0
    day_ceiling: int = 0
    meal_ceiling: int = 0
    hold_seconds: int = 0
    water_hold_seconds: int = 0
    late_capture_seconds: int = 0
    water_tap: int = 0
    water_cap: int = 0
    utc_offset_seconds: int = 0
    pin_max: int = 0
    meal_scope: int = 0
    limit_day: int = 0
    pin_reset: int = 0
    pin_session_seconds: int = 0
    day_cut_minutes: int = 0

    @classmethod
    def read(cls, body: bytes) -> Rules:
        """Read a record's body."""
        *values, _spare = at.RULES_BODY.unpack(body)
        return cls(body, *values)

    def business_day(self, local_s: int) -> int:
        """Return the business day of a local second; a cut from noon on is the evening before."""
        cut = self.day_cut_minutes
        return (local_s - (cut - 1_440 if cut >= 720 else cut) * 60) // 86_400


@dataclass(slots=True)
class Meals:
    """One versioned set of meal periods in local minutes, with its bytes."""

    body: bytes = bytes(56)
    version: int = 0
    periods: tuple[tuple[int, int], ...] = ()

    @classmethod
    def read(cls, body: bytes) -> Meals:
        """Read a record's body."""
        count, _spare, *rest = at.MEALS_BODY.unpack(body)
        minutes, version = rest[:16], rest[16]
        pairs = zip(minutes[0 : 2 * count : 2], minutes[1 : 2 * count : 2], strict=True)
        return cls(body, version, tuple(pairs))

    def key_at(self, minute: int) -> int:
        """Return the meal's key at a local minute: index from 1, 0x80 when begun yesterday."""
        for index, (start, end) in enumerate(self.periods, start=1):
            if start < end:
                if start <= minute < end:
                    return index
            elif minute >= start:
                return index
            elif minute < end:
                return index | 0x80
        return 0


def undo_image(seq: int, undo: Undo) -> bytes:
    """Return the row of an original's undoing without its stamp."""
    return _UNDO.pack(seq, undo.refunded, undo.reversed)


def ledger_image(balance: int) -> bytes:
    """Return the row of a system account without its stamp."""
    return _LEDGER.pack(balance)


def request_image(request_id: bytes, seq: int, fingerprint: int) -> bytes:
    """Return the row of a request."""
    return _REQUEST.pack(request_id, seq, fingerprint)
