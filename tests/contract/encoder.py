"""The durable format written a second time, in Python, from docs/reference/journal-format.md.

It shares nothing with ext: own struct formats, own CRC32C. Only the golden test uses it.
"""

import hashlib
import struct

HEADER = struct.Struct("<8sHHHHIIQQqIIIIq32s20xI")
RECORD = struct.Struct("<QBBHHBBIIIIIIQQQ56sII")
TRAILER = struct.Struct("<QQ32sI8xI")
MONEY = struct.Struct("<QqqqqIIHBBBB2x")
ACCOUNT = struct.Struct("<16s8sIIIBBBBBB14x")
MEDIUM = struct.Struct("<16sBBBxH34x")
CATEGORY = struct.Struct("<BB54x")
RULES = struct.Struct("<IIIIIIIIIIiBB10x")
MEALS = struct.Struct("<B3x16HI16x")
SCHEDULED = struct.Struct("<IHHBBBBBx42s")
DOCUMENT = struct.Struct("<IIHHI16s24x")
IDENTITY = struct.Struct("<8sHHI16sqQ16sB7x56s56s68xI")
KEY_FILE = struct.Struct("<8sB7x32s16s")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def with_crc(packed):
    return packed[:-4] + struct.pack("<I", crc32c(packed[:-4]))


def record(seq, kind, body, **fields):
    names = (
        *("type", "outcome", "reason", "flags", "part", "parts"),
        *("account", "medium", "merchant", "terminal", "batch_no", "terminal_seq"),
        *("fingerprint", "original_seq", "prev_account_seq"),
    )
    values = {**dict.fromkeys(names, 0), "part": 1, "parts": 1, "type": kind, **fields}
    aux = values.pop("aux", 0)
    return with_crc(RECORD.pack(seq, *(values[name] for name in names), body, aux, 0))


def block(records, payload, previous, state, **fields):
    first = struct.unpack_from("<Q", records[0])[0]
    payload += bytes(-len(payload) % 8)
    header = with_crc(
        HEADER.pack(
            b"1CCCCBLK",
            *(1, 1, 0, 1),
            fields.get("epoch", 0),
            len(records),
            first,
            first + len(records) - 1,
            fields["time_us"],
            fields["business_date"],
            fields["rule_version"],
            len(payload),
            0,
            fields.get("debits", 0),
            previous,
            0,
        )
    )
    content = header + b"".join(records) + payload
    content += struct.pack("<QQ", state & 2**64 - 1, state >> 64)
    chain = hashlib.sha256(content).digest()
    lo, hi = state & 2**64 - 1, state >> 64
    return content[:-16] + with_crc(TRAILER.pack(lo, hi, chain, crc32c(payload), 0))


def identity(key_check, *, uuid, created_us, test, segment_bytes):
    nothing = bytes(56)
    packed = IDENTITY.pack(
        b"CAMPCID1",
        *(1, 1),
        int(test),
        uuid,
        created_us,
        segment_bytes,
        key_check,
        1,
        nothing,
        nothing,
        0,
    )
    return with_crc(packed)


def key_file(key, check):
    return KEY_FILE.pack(b"CAMPKEY1", 1, key, check)


# ---- a small history that uses every part of the format ----

DAY = 19795  # 2024-03-13
TIME_US = 1_710_301_200_000_000


def genesis():
    rules = RULES.pack(1, 10000, 5000, 50000, 20000, 1800, 300, 3456000, 1000, 0, 28800, 3, 0)
    meals = [300, 600, 600, 870, 870, 1260, 1260, 300] + [0] * 8
    records = [
        record(1, 69, rules, outcome=4),
        record(2, 70, MEALS.pack(4, *meals, 1), outcome=4),
    ]
    for category, flags in ((1, 31), (2, 18), (3, 24), (4, 24), (5, 22), (6, 0)):
        records.append(record(len(records) + 1, 68, CATEGORY.pack(category, flags), outcome=4))
    return records


def opening():
    tag, salt = bytes(range(16)), bytes(range(100, 108))
    account = ACCOUNT.pack(tag, salt, 1, 2**32 - 1, 2**32 - 1, 1, 1, 0, 1, 1, 1)
    medium = MEDIUM.pack(b"\x01\x04" + bytes(range(14)), 3, 0, 6, 0)
    request = bytes(range(200, 216))
    names = {"account": 1, "batch_no": 0xCBCAC9C8, "terminal_seq": 0xCFCECDCC, "flags": 16384}
    return [
        record(9, 64, account, outcome=4, part=1, parts=3, **names),
        record(10, 65, medium, outcome=4, part=2, parts=3, medium=1, prev_account_seq=9, **names),
        record(11, 96, DOCUMENT.pack(0, 13, 1, 2, 7, request), outcome=4, part=3, parts=3, **names),
    ]


def purchases(count):
    found = []
    for i in range(count):
        seq, left = 12 + i, 20000 - 250 * (i + 1)
        money = MONEY.pack(seq - 1, 250, left, 250 * (i + 1), 0, 250 * i, 0, DAY, 2, 1, 8, 0)
        found.append(
            record(
                *(seq, 1, money),
                outcome=1,
                account=1,
                medium=1,
                merchant=1,
                terminal=1,
                batch_no=1,
                terminal_seq=i + 1,
                flags=3072,
                fingerprint=0x1234567890ABCDEF + i,
                prev_account_seq=seq - 1,
                aux=250,
            )
        )
    return found


def history():
    """Three blocks: inside a page, with payload, on pages of its own."""
    blocks, previous = [], bytes(32)
    contents = (
        (genesis(), b"", {"debits": 0}),
        (opening(), b"thirteen byte", {"debits": 0}),
        (purchases(40), b"", {"debits": 10000}),
    )
    for number, (records, payload, more) in enumerate(contents):
        sealed = block(
            records,
            payload,
            previous,
            state=(number + 1) * 0x0123456789ABCDEF_FEDCBA9876543211,
            time_us=TIME_US + number * 1_000_000,
            business_date=DAY,
            rule_version=min(number, 1),
            **more,
        )
        blocks.append(sealed)
        previous = sealed[-48:-16]
    return blocks


MIDNIGHT_S = 1_710_345_600


def waiting():
    """Three blocks after `history`: two effects that wait, one that comes true, one that lapses."""
    limits = struct.pack("<II", 20_000, 0)
    rules = SCHEDULED.pack(MIDNIGHT_S, 1, 0, 11, 0, 0, 0, 0, limits)
    status = SCHEDULED.pack(MIDNIGHT_S, 0, 1, 2, 2, 9, 2, 0, b"\x01")
    new = RULES.pack(2, 20000, 5000, 50000, 20000, 1800, 300, 3456000, 1000, 0, 28800, 3, 0)
    request = bytes(range(216, 232))
    key = {"batch_no": 0xE3E2E1E0, "terminal_seq": 0xE7E6E5E4, "flags": 16384, "outcome": 4}
    contents = (
        [
            record(52, 71, rules, part=1, parts=3, **key),
            record(53, 71, status, part=2, parts=3, account=1, prev_account_seq=51, **key),
            record(54, 96, DOCUMENT.pack(0, 0, 1, 2, 7, request), part=3, parts=3, **key),
        ],
        [record(55, 69, new, outcome=4, flags=32768, original_seq=52)],
        [
            record(
                *(56, 72, status),
                outcome=2,
                reason=213,
                flags=32768,
                account=1,
                original_seq=53,
                prev_account_seq=53,
            )
        ],
    )
    previous, blocks = history()[-1][-48:-16], []
    for number, records in enumerate(contents):
        sealed = block(
            records,
            b"",
            previous,
            state=(number + 4) * 0x0123456789ABCDEF_FEDCBA9876543211,
            time_us=MIDNIGHT_S * 1_000_000 - (number == 0),
            business_date=DAY + (number > 0),
            rule_version=1 + (number > 1),
        )
        blocks.append(sealed)
        previous = sealed[-48:-16]
    return blocks
