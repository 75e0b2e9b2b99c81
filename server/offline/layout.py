"""The durable format as plain numbers: blocks, records, bodies, rows.

Written from docs/reference/journal-format.md, with nothing imported from the engine, so that the
two can disagree.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

MAGIC: Final = 0x4B4C_4243_4343_4331
FORMAT: Final = 1
BLOCK_MAX: Final = 8192
PAYLOAD_MAX: Final = 4 << 20
AMOUNT_MAX: Final = 100_000_000
BALANCE_MAX: Final = 1_000_000_000_000_000
LIMIT_DEFAULT: Final = 0xFFFF_FFFF
NOT_TOLD: Final = 0xFFFF_FFFF
KEY_WINDOW_US: Final = 64 * 86_400 * 1_000_000

HEADER: Final = struct.Struct("<QHHHHIIQQqIIIIq32s20sI")
TRAILER: Final = struct.Struct("<16s32sI8sI")
RECORD: Final = struct.Struct("<QBBHHBBIIIIIIQQQQqqqqIIHBBBBBBII")
ROW_BYTES: Final = 128
TRAILER_BYTES: Final = 64
STATE_BYTES: Final = 16
CHAIN_BYTES: Final = 32

ACCOUNT_BODY: Final = struct.Struct("<16s8sIIIBBBBBBH12s")
MEDIUM_BODY: Final = struct.Struct("<16sBBBBHH32s")
MERCHANT_BODY: Final = struct.Struct("<BBB53s")
TERMINAL_BODY: Final = struct.Struct("<16sIBB34s")
CATEGORY_BODY: Final = struct.Struct("<BB54s")
RULES_BODY: Final = struct.Struct("<10Ii4B2H4s")
MEALS_BODY: Final = struct.Struct("<B3s16HI16s")
SCHEDULED_BODY: Final = struct.Struct("<IHHBBBBBB42s")
DOCUMENT_BODY: Final = struct.Struct("<IIHHI16s24s")


class Header(NamedTuple):
    """A block's header."""

    magic: int
    format: int
    min_reader: int
    shard: int
    engine_version: int
    epoch: int
    record_count: int
    first_seq: int
    last_seq: int
    time_us: int
    business_date: int
    rule_version: int
    payload_len: int
    spare0: int
    debits: int
    prev_hash: bytes
    spare: bytes
    crc32c: int


class Entry(NamedTuple):
    """A record with its body read as money; other bodies are read from the bytes by type."""

    seq: int
    type: int
    outcome: int
    reason: int
    flags: int
    part: int
    parts: int
    account: int
    medium: int
    merchant: int
    terminal: int
    batch_no: int
    terminal_seq: int
    fingerprint: int
    original_seq: int
    prev_account_seq: int
    prev_terminal_seq: int
    amount: int
    debit_after: int
    credit_after: int
    held_after: int
    day_used: int
    meal_used: int
    day_key: int
    meal_key: int
    debit_wallet: int
    credit_wallet: int
    pin_fails: int
    original_part: int
    pin_marks: int
    aux: int
    crc32c: int


# Record types.
PURCHASE: Final = 1
HOLD: Final = 2
CAPTURE: Final = 3
RELEASE: Final = 4
HOLD_EXPIRED: Final = 5
HOLD_GREY: Final = 6
HOLD_RETIRED: Final = 7
REVERSAL: Final = 8
TOMBSTONE: Final = 9
REFUND: Final = 10
SIGN_IN: Final = 11
SIGN_OFF: Final = 12
PIN_CHECK: Final = 13
TOP_UP: Final = 32
SUBSIDY_PAID: Final = 33
ADJUST: Final = 34
ACCOUNT: Final = 64
MEDIUM: Final = 65
MERCHANT: Final = 66
TERMINAL: Final = 67
CATEGORY: Final = 68
RULES: Final = 69
MEALS: Final = 70
SCHEDULED: Final = 71
UNSCHEDULED: Final = 72
DOCUMENT: Final = 96

# Outcomes.
APPROVED: Final = 1
DECLINED: Final = 2
PIN_REQUIRED: Final = 3
EFFECT: Final = 4

# Wallets and ledger accounts.
ONLINE: Final = 1
WATER: Final = 2
SUBSIDY: Final = 3
PAYABLE: Final = 8
SYSTEM_FIRST: Final = 16
SYSTEM_LAST: Final = 31
SUBSIDY_SOURCE: Final = 19

# Flags of a record.
F_PIN_OK: Final = 1
F_PIN_BAD: Final = 2
F_OVER_DAY: Final = 4
F_OVER_MEAL: Final = 8
F_PARTIAL: Final = 16
F_VOID: Final = 32
F_FORCED: Final = 64
F_LATE: Final = 128
F_EXCESS: Final = 256
F_BY_COUNTER: Final = 512
F_COUNTS_DAY: Final = 1024
F_COUNTS_MEAL: Final = 2048
F_WATER: Final = 4096
F_MUST_CHANGE: Final = 8192
F_KEY_IS_REQUEST: Final = 16384
F_DUE: Final = 32768

# What a record says of the password beside its flags.
P_DATED: Final = 1
P_SESSION: Final = 2
P_BY_SESSION: Final = 4

# Reasons the checks speak of.
R_DUPLICATE_MISMATCH: Final = 3
R_INSUFFICIENT: Final = 18
R_PIN_REQUIRED: Final = 19
R_PIN_WRONG: Final = 20
R_PIN_LOCKED: Final = 21
R_REFUND_EXCEEDS_ORIGINAL: Final = 28
R_WATER_CAP: Final = 34
R_CONFLICT: Final = 213

# Account, medium and service states; flags of rows.
AS_NORMAL: Final = 1
AS_CLOSED: Final = 4
A_MUST_CHANGE: Final = 1
MS_ACTIVE: Final = 3
MS_UNBOUND: Final = 6
TS_IN_SERVICE: Final = 1
C_DAY: Final = 1
C_MEAL: Final = 2
C_REFUNDABLE: Final = 4
C_HOLD: Final = 8
C_SPEND: Final = 16
C_SUBSIDY: Final = 32
CAT_WATER: Final = 3

# Hold states.
HELD: Final = 1
GREY: Final = 2
EXPIRED: Final = 3

# Idempotency key states.
K_FINAL: Final = 1
K_PIN_REQUIRED: Final = 2
K_TOMBSTONE: Final = 3

# State tables.
T_ACCOUNT: Final = 1
T_COLD: Final = 2
T_MEDIUM: Final = 3
T_MERCHANT: Final = 4
T_TERMINAL: Final = 5
T_HOLD: Final = 6
T_UNDO: Final = 7
T_LEDGER: Final = 8
T_RULES: Final = 9
T_CATEGORY: Final = 10
T_REQUEST: Final = 12
T_SCHEDULED: Final = 13

# Effects that can wait, and what they expect.
EF_ACCOUNT_STATUS: Final = 2
EF_MEDIUM_STATE: Final = 7
EF_CATEGORY: Final = 10
EF_RULES: Final = 11
EF_MEALS: Final = 12
X_STATUS: Final = 1
X_UNCHANGED: Final = 8
M_FROZEN: Final = 2
