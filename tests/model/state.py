"""What the model knows: rows, the block it is in, and the journal so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.model.numbers import (
    LIMIT_DEFAULT,
    AccountStatus,
    Counts,
    EffectKind,
    Event,
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


@dataclass(slots=True, kw_only=True)
class Record:
    """One record of the journal, without its fingerprint and checksum."""

    seq: int = 0
    type: Kind = Kind.PURCHASE
    outcome: Outcome = Outcome.NONE
    reason: Reason = Reason.OK
    flags: Flag = Flag(0)
    part: int = 1
    parts: int = 1
    account: int = 0
    medium: int = 0
    merchant: int = 0
    terminal: int = 0
    batch_no: int = 0
    terminal_seq: int = 0
    original_seq: int = 0
    original_part: int = 0
    prev_account_seq: int = 0
    prev_terminal_seq: int = 0
    amount: int = 0
    debit_after: int = 0
    credit_after: int = 0
    held_after: int = 0
    day_used: int = 0
    meal_used: int = 0
    day_key: int = 0
    meal_key: int = 0
    debit_wallet: Wallet = Wallet.NONE
    credit_wallet: Wallet = Wallet.NONE
    pin_fails: int = 0
    marks: Mark = Mark(0)
    aux: int = 0
    image: tuple[Any, ...] = ()
    """After-image of an effect on papers; empty for records with a money body."""


@dataclass(slots=True, kw_only=True)
class Reply:
    """Answer to a command: its records, or why there are none."""

    outcome: Outcome
    reason: Reason
    records: list[Record] = field(default_factory=list)
    replayed: bool = False

    @property
    def approved(self) -> int:
        """Fen approved; what a card counter resolved on the way is not part of it."""
        if self.outcome is not Outcome.APPROVED:
            return 0
        return sum(r.amount for r in self.records if not r.flags & Flag.BY_COUNTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """Names a hold or an original: by seq, or else by key of the same terminal."""

    seq: int = 0
    batch_no: int = 0
    terminal_seq: int = 0


@dataclass(slots=True, kw_only=True)
class Tap:
    """A command of a terminal.

    `pin` is the password as typed, the verdict of the journal (True, False), or None.
    """

    op: Op
    terminal: str
    batch_no: int = 0
    terminal_seq: int = 0
    medium: bytes = b""
    amount: int = 0
    pin: str | bool | None = None
    partial_ok: bool = False
    void: bool = False
    water: bool = False
    card_counter: int = 0
    original: Original = Original()

    @property
    def body(self) -> tuple[Any, ...]:
        """All that two commands under one key must share; never the password."""
        return (
            self.op,
            self.medium,
            self.amount,
            self.partial_ok,
            self.void,
            self.water,
            self.card_counter,
            self.original,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A right password that serves for a while: when, where, under which rules."""

    second: int
    medium: int
    terminal: int
    rule_version: int


@dataclass(slots=True, kw_only=True)
class Account:
    """An account and its counters."""

    number: int
    online: int = 0
    held: int = 0
    subsidy: int = 0
    water: int = 0
    status: AccountStatus = AccountStatus.NORMAL
    must_change: bool = False
    kind: int = 1
    day_limit: int = LIMIT_DEFAULT
    meal_limit: int = LIMIT_DEFAULT
    pin: str = ""
    pin_version: int = 0
    pin_fails: int = 0
    pin_fail_day: int = 0
    """Day of the newest wrong try, 0 unknown."""
    session: Session | None = None
    day: int = 0
    day_used: int = 0
    meal: tuple[int, int] = (0, 0)
    """Day the counted meal began, and its index."""
    meal_used: int = 0
    last_seq: int = 0
    water_hold: int = 0
    """Seq of the open transfer to the water purse."""
    changes: int = 0
    """How often the status was set."""

    @property
    def available(self) -> int:
        """Fen of ONLINE that are not reserved."""
        return self.online - self.held


@dataclass(slots=True, kw_only=True)
class Medium:
    """A card, phone or face."""

    number: int
    key: bytes
    account: int
    state: MediumState
    flags: MediumFlag = MediumFlag(0)
    expires_day: int = 0
    changes: int = 0
    """How often FROZEN was set or cleared."""


@dataclass(slots=True, kw_only=True)
class Merchant:
    """Who is paid."""

    number: int
    category: int
    status: int = 1
    flags: int = 0
    payable: int = 0


@dataclass(slots=True, kw_only=True)
class Key:
    """What a (terminal, batch_no, terminal_seq) stands for."""

    state: str
    """FINAL, PIN_REQUIRED or TOMBSTONE."""
    body: tuple[Any, ...]
    reply: Reply


@dataclass(slots=True, kw_only=True)
class Terminal:
    """A terminal and the keys it used."""

    number: int
    name: str
    merchant: int
    max_amount: int = 0
    status: int = 1
    flags: int = 0
    batch_no: int = 0
    signed_in: bool = False
    sign_in_seq: int = 0
    last_seq: int = 0
    sign_ins: dict[int, int] = field(default_factory=dict)
    """Block time of each batch's sign-in."""
    keys: dict[tuple[int, int], Key] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Hold:
    """A reservation."""

    seq: int
    amount: int
    due_s: int
    account: int
    medium: int
    merchant: int
    terminal: int
    day_key: int
    meal_key: int
    counts: Flag
    water: bool
    card_counter: int
    state: str = "HELD"
    """HELD, GREY or EXPIRED; a finished hold has no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """An effect that waits for its time."""

    seq: int
    due_s: int
    kind: EffectKind
    event: Event
    mask: int
    unchanged: bool
    expect_status: int
    expect_flags: int
    changes: int
    account: int
    medium: int
    values: tuple[Any, ...]
    """By kind: status; state and flags; category and flags; fields of the rules; meals."""

    @property
    def image(self) -> tuple[Any, ...]:
        """Return what its records say."""
        expects = self.kind in {EffectKind.ACCOUNT_STATUS, EffectKind.MEDIUM_STATE}
        return (
            *(self.due_s, self.mask, self.changes, self.kind, self.event),
            expects + 8 * self.unchanged,
            *(self.expect_status, self.expect_flags, self.values),
        )


@dataclass(slots=True)
class Undo:
    """What was already taken back of an original."""

    refunded: int = 0
    reversed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The parameters in force, as seeded from the regulation."""

    version: int = 1
    day_limit: int = 10_000
    meal_limit: int = 5_000
    day_ceiling: int = 50_000
    meal_ceiling: int = 50_000
    hold_seconds: int = 1_800
    water_hold_seconds: int = 300
    late_capture_seconds: int = 40 * 86_400
    water_tap: int = 1_000
    water_cap: int = 0
    utc_offset_seconds: int = 28_800
    pin_max: int = 3
    limit_per_transaction: bool = False
    business_days: bool = False
    fails_until_reset: bool = False
    pin_session_seconds: int = 0
    day_cut_minutes: int = 0


Meals = tuple[tuple[int, int], ...]
"""Half-open minute ranges of the day, in order; the first that matches counts."""

SEED_MEALS: Meals = ((300, 600), (600, 870), (870, 1260), (1260, 300))

SEED_CATEGORIES: dict[int, Counts] = {
    1: Counts.DAY | Counts.MEAL | Counts.REFUNDABLE | Counts.SPEND | Counts.SUBSIDY,
    2: Counts.DAY | Counts.SPEND,
    3: Counts.DAY | Counts.HOLD,
    4: Counts.DAY | Counts.HOLD | Counts.SPEND | Counts.REFUNDABLE,
    5: Counts.DAY | Counts.REFUNDABLE | Counts.SPEND,
    6: Counts(0),
}
