"""Sealing and checking blocks: every bit is covered, and each finding names its place."""

import hashlib
import random
import struct

import pytest

from ext import blocks

ZERO = bytes(32)


def record(seq, filler=0):
    return struct.pack("<Q", seq) + bytes([filler]) * 116 + bytes(4)


def sealed(first, count, payload=b"", previous=ZERO, **fields):
    records = b"".join(record(first + i, filler=i % 251) for i in range(count))
    return blocks.seal(records, payload, first_seq=first, previous=previous, **fields)


def chain_of(block):
    return block[-48:-16]


def test_a_block_is_header_records_payload_and_trailer():
    block = sealed(7, 3, b"papers", state=(5 << 64) | 6)
    assert len(block) == 128 + 3 * 128 + 8 + 64
    assert block[:8] == b"1CCCCBLK"
    assert block[512:520] == b"papers\0\0"
    assert block[520:536] == struct.pack("<QQ", 6, 5)
    assert chain_of(block) == hashlib.sha256(block[:536]).digest()
    assert blocks.check(block, 7, ZERO) == ("", 0)
    assert blocks.check(block) == ("", 0)


def test_blocks_follow_each_other():
    one = sealed(1, 5)
    two = sealed(6, 1, previous=chain_of(one))
    assert blocks.check(two, 6, chain_of(one)) == ("", 0)
    assert blocks.check(two, 7, chain_of(one)) == ("gap in the sequence", 7)
    finding = ("does not follow the block before it", 6)
    assert blocks.check(two, 6, hashlib.sha256(b"other").digest()) == finding


def test_every_flipped_bit_is_found():
    block = sealed(1, 3, b"a document of some length", debits_fen=12345)
    for bit in range(len(block) * 8):
        damaged = bytearray(block)
        damaged[bit // 8] ^= 1 << bit % 8
        assert blocks.check(damaged, 1, ZERO)[0], bit


def test_a_damaged_record_is_named(seed):
    rng = random.Random(seed)
    block = sealed(100, 64)
    for _ in range(200):
        damaged = bytearray(block)
        at = rng.randrange(128, 128 + 64 * 128)
        damaged[at] ^= 1 << rng.randrange(8)
        assert blocks.check(damaged, 100, ZERO) == ("record CRC", 100 + (at - 128) // 128)


def test_records_out_of_sequence_are_named():
    records = record(1) + record(3) + record(3)
    assert blocks.check(blocks.seal(records, first_seq=1)) == ("record out of sequence", 2)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 319, 575])
def test_a_shortened_block_is_found(length):
    block = sealed(1, 3)
    assert blocks.check(block[:length], 1)[0] == "length differs from its header's"


def test_a_newer_format_is_told_from_damage():
    block = bytearray(sealed(1, 1))
    struct.pack_into("<HH", block, 8, 2, 2)
    assert blocks.check(block)[0] == "header CRC"
    from ext import digest

    struct.pack_into("<I", block, 124, digest.checksum(block[:124]))
    assert blocks.check(block)[0] == "written by a newer version"


@pytest.mark.parametrize("count", [1, 2, 127, 128, 8192])
def test_sizes_up_to_the_largest(count):
    block = sealed(1, count)
    assert len(block) == 192 + count * 128
    assert blocks.check(block, 1, ZERO) == ("", 0)


@pytest.mark.parametrize("records", [b"", bytes(127), bytes(128 * 8193)])
def test_seal_refuses_what_is_no_block(records):
    with pytest.raises(ValueError, match="records of 128 bytes"):
        blocks.seal(records, first_seq=1)
