"""Numbers of the durable format, stated a second time so that the model imports nothing.

If one of them changes in the engine, the property tests say so.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

AMOUNT_MAX: Final = 100_000_000
"""Fen in one transaction."""
BALANCE_MAX: Final = 10**15
"""Fen in one account, either sign."""
COUNTER_MAX: Final = 2**32 - 1
LIMIT_DEFAULT: Final = 2**32 - 1
"""A personal limit that is not set."""
ASKED_MAX: Final = 2**32 - 1
"""What `aux` says when the amount asked does not fit."""
KEY_WINDOW_US: Final = 64 * 86_400 * 1_000_000
DUE_MAX: Final = 4_096
MEAL_YESTERDAY: Final = 0x80
"""Bit of a meal key: the meal began on the day before the record's day."""


class Kind(IntEnum):
    """Type of a record."""

    PURCHASE = 1
    HOLD = 2
    CAPTURE = 3
    RELEASE = 4
    HOLD_EXPIRED = 5
    HOLD_GREY = 6
    HOLD_RETIRED = 7
    REVERSAL = 8
    TOMBSTONE = 9
    REFUND = 10
    SIGN_IN = 11
    SIGN_OFF = 12
    PIN_CHECK = 13
    TOP_UP = 32
    SUBSIDY = 33
    ADJUST = 34
    ACCOUNT = 64
    MEDIUM = 65
    MERCHANT = 66
    TERMINAL = 67
    CATEGORY = 68
    RULES = 69
    MEALS = 70
    SCHEDULED = 71
    UNSCHEDULED = 72
    DOCUMENT = 96


class Op(IntEnum):
    """A tap."""

    AUTHORIZE = 1
    HOLD = 2
    CAPTURE = 3
    RELEASE = 4
    REVERSE = 5
    REFUND = 6
    SIGN_IN = 7
    SIGN_OFF = 8


KIND_OF: Final = {
    Op.AUTHORIZE: Kind.PURCHASE,
    Op.HOLD: Kind.HOLD,
    Op.CAPTURE: Kind.CAPTURE,
    Op.RELEASE: Kind.RELEASE,
    Op.REVERSE: Kind.REVERSAL,
    Op.REFUND: Kind.REFUND,
    Op.SIGN_IN: Kind.SIGN_IN,
    Op.SIGN_OFF: Kind.SIGN_OFF,
}
"""The type of a command's refusal."""


class Outcome(IntEnum):
    """How a command ended."""

    NONE = 0
    APPROVED = 1
    DECLINED = 2
    PIN_REQUIRED = 3
    EFFECT = 4


class Reason(IntEnum):
    """Why a command ended so."""

    OK = 0
    TERMINAL_NOT_SIGNED_IN = 1
    KEY_EXPIRED = 2
    DUPLICATE_MISMATCH = 3
    ORIGINAL_REVERSED = 4
    TERMINAL_SUSPENDED = 5
    MERCHANT_INVALID = 6
    CARD_UNKNOWN = 7
    CARD_VOID = 8
    CARD_LOST = 9
    CARD_FROZEN = 10
    CARD_EXPIRED = 11
    CARD_NOT_ACTIVE = 12
    ACCOUNT_CLOSED = 13
    ACCOUNT_SUSPENDED = 14
    ACCOUNT_DEBT = 15
    CATEGORY_NOT_ALLOWED = 16
    AMOUNT_INVALID = 17
    INSUFFICIENT = 18
    PIN_REQUIRED = 19
    PIN_WRONG = 20
    PIN_LOCKED = 21
    LIMIT_HARD = 22
    ORIGINAL_NOT_FOUND = 23
    ORIGINAL_NOT_APPROVED = 24
    ALREADY_REVERSED = 25
    ALREADY_REFUNDED = 26
    REVERSAL_AMOUNT_MISMATCH = 27
    REFUND_EXCEEDS_ORIGINAL = 28
    REFUND_NOT_ALLOWED = 29
    HOLD_NOT_FOUND = 30
    HOLD_CLOSED = 31
    HOLD_PENDING = 32
    CARD_COUNTER_REGRESSION = 33
    WATER_CAP = 34
    PIN_NOT_SET = 35
    MERCHANT_SHORT = 36
    PIN_UNVERIFIABLE = 37
    CONFLICT = 213


class Flag(IntFlag):
    """Flags of a record."""

    PIN_OK = 1
    PIN_BAD = 2
    OVER_DAY = 4
    OVER_MEAL = 8
    PARTIAL = 16
    VOID = 32
    FORCED = 64
    LATE = 128
    EXCESS = 256
    BY_COUNTER = 512
    COUNTS_DAY = 1024
    COUNTS_MEAL = 2048
    WATER = 4096
    MUST_CHANGE = 8192
    KEY_IS_REQUEST = 16384
    DUE = 32768


NO_FLAG: Final = Flag(0)


class Mark(IntFlag):
    """What a record says of the password beside its flags."""

    DATED = 1
    SESSION = 2
    BY_SESSION = 4


NO_MARK: Final = Mark(0)


class Wallet(IntEnum):
    """One side of a movement."""

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


HOLDER_WALLETS: Final = (Wallet.ONLINE, Wallet.WATER, Wallet.SUBSIDY)


class Counts(IntFlag):
    """What a category of merchant allows and counts towards."""

    DAY = 1
    MEAL = 2
    REFUNDABLE = 4
    HOLD = 8
    SPEND = 16
    SUBSIDY = 32


class Category(IntEnum):
    """Kind of merchant."""

    CANTEEN = 1
    UTILITY = 2
    WATER = 3
    BATH = 4
    SHOP = 5
    ACCESS = 6


class AccountStatus(IntEnum):
    """Status of an account."""

    NORMAL = 1
    SUSPENDED = 2
    CLOSING = 3
    CLOSED = 4


class MediumState(IntEnum):
    """Lifecycle of a medium."""

    PRODUCED = 1
    IN_TRANSIT = 2
    ACTIVE = 3
    VOID = 4
    RETURNED = 5
    UNBOUND = 6


class MediumFlag(IntFlag):
    """Flags on a medium."""

    LOST = 1
    FROZEN = 2


IN_SERVICE: Final = 1
"""Status of a merchant or terminal that works; 2 suspended, 3 withdrawn."""
KEYPAD: Final = 1
"""Terminal flag."""
MUST_CHANGE: Final = 1
"""Account flag: the password is still the initial one."""


class EffectKind(IntEnum):
    """An office effect."""

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


class Event(IntEnum):
    """What the act behind an account's or medium's new row was."""

    NONE = 0
    OPEN = 1
    STATUS = 2
    LIMITS = 3
    PIN_SET = 4
    PIN_RESET = 5
    BIND = 6
    STATE = 7
    UNBIND = 8
    LOSS = 9
    UNLOSS = 10
