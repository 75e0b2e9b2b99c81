"""What a decided act of the office asks of the engine: one document and up to eight effects.

**Source:** docs/reference/decisions.md "Office commands"; ``ext/commands.h`` ``cc_effect``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from core.documents import Document

EFFECTS_MAX: Final = 8


class EffectKind(IntEnum):
    """``CC_EF_*``."""

    ACCOUNT_OPEN = 1
    ACCOUNT_STATUS = 2
    ACCOUNT_LIMITS = 3
    PIN_SET = 4
    PIN_RESET = 5
    MEDIUM_BIND = 6
    MEDIUM_STATE = 7
    MERCHANT = 8
    TERMINAL = 9
    CATEGORY = 10
    RULES = 11
    MEALS = 12
    TOP_UP = 13
    SUBSIDY = 14
    ADJUST = 15
    CANCEL = 16
    SETTLE = 17


class Expect(IntFlag):
    """``CC_X_*``: what the row must be like, or the engine answers CONFLICT."""

    ANY = 0
    STATUS = 1
    LAST_SEQ = 2
    ROW_FREE = 4
    UNCHANGED = 8
    """Of a scheduled effect: nobody has set the status, or FROZEN, since it was scheduled."""


class Wallet(IntEnum):
    """``CC_W_*``: a side of a movement."""

    NONE = 0
    ONLINE = 1
    WATER = 2
    SUBSIDY = 3
    MERCHANT = 8
    CASH = 16
    CLEARING_WX = 17
    CLEARING_BANK = 18
    SUBSIDY_SOURCE = 19
    LOSS_OFFLINE = 20
    ADJUSTMENT = 21
    FINANCE_FEES = 22
    INCOME = 23


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectPlan:
    """One effect; ``row`` 0 takes the next free row. ``pin`` never shows in a repr.

    ``due_s`` (UTC seconds, not 0) makes it wait until the first block of that time: ACCOUNT_STATUS,
    MEDIUM_STATE, CATEGORY, RULES and MEALS can. What it expects is looked at then: STATUS is a must
    for accounts and media, UNCHANGED may come with it. ``mask`` says what it changes: ``RulesField``
    of the rules, ``MediumFlag`` of a medium (whose body's state 0 leaves the state as it is). Its
    seq in the journal names it; CANCEL ends ``scheduled_seq``, or CONFLICT when it waits no more.

    SETTLE ends the grey hold ``hold_seq`` of account ``row`` by a record of the type ``event``, CAPTURE
    or RELEASE; CONFLICT when it is not grey.
    """

    kind: EffectKind
    row: int = 0
    link: int = 0
    event: int = 0
    expect: Expect = Expect.ANY
    expect_status: int = 0
    expect_flags: int = 0
    expect_last_seq: int = 0
    due_s: int = 0
    mask: int = 0
    scheduled_seq: int = 0
    hold_seq: int = 0
    amount_fen: int = 0
    debit_wallet: Wallet = Wallet.NONE
    credit_wallet: Wallet = Wallet.NONE
    body: bytes = b""
    pin: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A decided act. With ``pin_account`` the engine checks the password first and counts it."""

    document: Document
    effects: tuple[EffectPlan, ...]
    pin_account: int = 0
    pin: str = field(default="", repr=False)
