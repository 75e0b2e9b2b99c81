"""How long the codec of the hot messages takes: `pytest bench/micro --benchmark-enable`.

One round is a batch of 1,000 items, so microseconds a round are nanoseconds an item. The floor to
compare with is the official library, which makes an object per item.
"""

# ruff: noqa: S101 - a benchmark checks what it measured
from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any

import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from ext import wire

if TYPE_CHECKING:
    from typing_extensions import Buffer

ITEMS = 1_000
SEED = 20_261_123
REPLY_HEAD = struct.Struct("<Q4BIQqIIqII8x")
RECORD = struct.Struct("<QBBHHBBIIIIIIQQQ")
MONEY = struct.Struct("<QqqqqIIHBBBBBx")


def request(token_bytes: int, kind: pb.MediumType.ValueType, pin: str = "") -> bytes:
    """Return an AuthorizeBatchRequest of ITEMS different taps."""
    rng = random.Random(SEED)
    items = [
        pb.AuthorizeItem(
            terminal_seq=seq,
            medium_type=kind,
            medium_token=rng.randbytes(token_bytes),
            amount_fen=rng.randrange(50, 4_000),
            pin=pin,
        )
        for seq in range(1, ITEMS + 1)
    ]
    return pb.AuthorizeBatchRequest(
        terminal_id="POS-0001", batch_no=70, items=items
    ).SerializeToString()


def reply(rng: random.Random) -> bytes:
    """Return the bytes of a cc_reply: an approved purchase."""
    seq, amount = rng.randrange(2**34), rng.randrange(50, 4_000)
    head = REPLY_HEAD.pack(0, 1, 0, 0, 1, 3, seq, 1_795_000_000_000_000, 20_780, 0, amount, 0, 0)
    record = RECORD.pack(seq, 1, 1, 0, 0, 1, 1, 5, 5, 2, 9, 70, 5, 1, 0, 0)
    left, used = rng.randrange(20_000), rng.randrange(10_000)
    money = MONEY.pack(0, amount, left, 10**6, 0, used, used // 2, 20_780, 2, 1, 8, 0, 1)
    return (head + record + money).ljust(wire.REPLY_BYTES, b"\0")


CASES = {
    "card": request(4, pb.MEDIUM_TYPE_RFID_CARD),
    "card and password": request(7, pb.MEDIUM_TYPE_RFID_CARD, "123456"),
    "hashed token of 32": request(32, pb.MEDIUM_TYPE_MOBILE_QR),
}


@pytest.mark.parametrize("case", CASES)
def test_decode_batch(benchmark: Any, case: str) -> None:
    """Decode and check every item of a batch."""
    message = CASES[case]
    assert benchmark(wire.count_batch, message) == ITEMS


def test_encode_batch(benchmark: Any) -> None:
    """Encode every result of a batch."""
    rng = random.Random(SEED)
    replies = b"".join(reply(rng) for _ in range(ITEMS))
    seqs: Buffer = memoryview(struct.pack(f"<{ITEMS}I", *range(1, ITEMS + 1))).cast("I")
    raw = benchmark(wire.encode_batch, replies, seqs)
    assert len(pb.AuthorizeBatchResponse.FromString(raw).results) == ITEMS


def test_official_decode_batch(benchmark: Any) -> None:
    """Decode the same batch with the official library and look at one field of each item."""
    message = CASES["card"]

    def decode() -> int:
        batch = pb.AuthorizeBatchRequest.FromString(message)
        return sum(item.terminal_seq for item in batch.items)

    assert benchmark(decode) == ITEMS * (ITEMS + 1) // 2


def test_encode_unary(benchmark: Any) -> None:
    """Encode one response, with the call from Python."""
    raw = benchmark(wire.encode, wire.METHODS["Authorize"], reply(random.Random(SEED)))
    assert pb.AuthorizeResponse.FromString(raw).decision.auth_code
