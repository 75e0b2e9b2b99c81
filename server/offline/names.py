"""Names for the numbers of the format, for people and JSON."""

from __future__ import annotations

from typing import Final

TYPES: Final = {
    1: "PURCHASE", 2: "HOLD", 3: "CAPTURE", 4: "RELEASE", 5: "HOLD_EXPIRED", 6: "HOLD_GREY",
    7: "HOLD_RETIRED", 8: "REVERSAL", 9: "TOMBSTONE", 10: "REFUND", 11: "SIGN_IN", 12: "SIGN_OFF",
    13: "PIN_CHECK", 32: "TOP_UP", 33: "SUBSIDY", 34: "ADJUST", 64: "ACCOUNT", 65: "MEDIUM",
    66: "MERCHANT", 67: "TERMINAL", 68: "CATEGORY", 69: "RULES", 70: "MEALS", 71: "SCHEDULED",
    72: "UNSCHEDULED", 96: "DOCUMENT",
}  # fmt: skip

OUTCOMES: Final = {0: "NONE", 1: "APPROVED", 2: "DECLINED", 3: "PIN_REQUIRED", 4: "EFFECT"}

WALLETS: Final = {
    1: "ONLINE", 2: "WATER", 3: "SUBSIDY", 8: "MERCHANT", 16: "CASH", 17: "CLEARING_WX",
    18: "CLEARING_BANK", 19: "SUBSIDY_SOURCE", 20: "LOSS_OFFLINE", 21: "ADJUSTMENT",
    22: "FINANCE_FEES", 23: "INCOME",
}  # fmt: skip

FLAGS: Final = {
    1: "PIN_OK", 2: "PIN_BAD", 4: "OVER_DAY", 8: "OVER_MEAL", 16: "PARTIAL", 32: "VOID",
    64: "FORCED", 128: "LATE", 256: "EXCESS", 512: "BY_COUNTER", 1024: "COUNTS_DAY",
    2048: "COUNTS_MEAL", 4096: "WATER", 8192: "MUST_CHANGE", 16384: "KEY_IS_REQUEST", 32768: "DUE",
}  # fmt: skip

ACCOUNT_STATUS: Final = {0: "NONE", 1: "NORMAL", 2: "SUSPENDED", 3: "CLOSING", 4: "CLOSED"}
MEDIUM_STATE: Final = {
    0: "NONE", 1: "PRODUCED", 2: "IN_TRANSIT", 3: "ACTIVE", 4: "VOID", 5: "RETURNED", 6: "UNBOUND",
}  # fmt: skip
MEDIUM_FLAGS: Final = {1: "LOST", 2: "FROZEN"}
MEDIUM_TYPES: Final = {1: "RFID_CARD", 2: "MOBILE_QR", 3: "MOBILE_NFC", 4: "FACE"}
SERVICE: Final = {0: "NONE", 1: "IN_SERVICE", 2: "SUSPENDED", 3: "WITHDRAWN"}
CATEGORIES: Final = {
    1: "CANTEEN", 2: "UTILITY", 3: "WATER", 4: "BATH", 5: "SHOP", 6: "ACCESS",
}  # fmt: skip
CATEGORY_FLAGS: Final = {
    1: "DAY", 2: "MEAL", 4: "REFUNDABLE", 8: "HOLD", 16: "SPEND", 32: "SUBSIDY",
}  # fmt: skip
PIN_MARKS: Final = {1: "TRY_OF_DAY", 2: "SESSION", 4: "BY_SESSION"}
EVENTS: Final = {
    0: "NONE", 1: "OPEN", 2: "STATUS", 3: "LIMITS", 4: "PIN_SET", 5: "PIN_RESET", 6: "BIND",
    7: "STATE", 8: "UNBIND", 9: "LOSS", 10: "UNLOSS",
}  # fmt: skip

EFFECTS: Final = {
    2: "ACCOUNT_STATUS", 7: "MEDIUM_STATE", 10: "CATEGORY", 11: "RULES", 12: "MEALS",
}  # fmt: skip
"""Those that can wait for their time."""
RULES_FIELDS: Final = (
    "day_limit", "meal_limit", "day_ceiling", "meal_ceiling", "hold_seconds",
    "water_hold_seconds", "late_capture_seconds", "water_tap", "water_cap",
    "utc_offset_seconds", "pin_max", "meal_scope", "limit_day", "pin_reset",
    "pin_session_seconds", "day_cut_minutes",
)  # fmt: skip


def name(table: dict[int, str], number: int) -> str:
    """Return a number's name; a number without one as it is, so that nothing is hidden."""
    return table.get(number, f"#{number}")


def names_of_bits(table: dict[int, str], bits: int) -> list[str]:
    """Return the names of all bits set."""
    return [name(table, 1 << i) for i in range(bits.bit_length()) if bits >> i & 1]
