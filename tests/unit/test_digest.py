"""ext/digest against Python's own libraries and a second implementation of the mixes."""

import hashlib
import hmac
import random

import pytest

from ext import digest

WORD = 2**64 - 1


def splitmix64(state, count):
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & WORD
        z = state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & WORD
        yield z ^ z >> 31


K = tuple(splitmix64(int.from_bytes(b"campusca", "big"), 16))


def fmix(x):
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & WORD
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & WORD
    return x ^ x >> 33


def rotate(x, n):
    return (x << n | x >> (64 - n)) & WORD


def words(data):
    padded = data + bytes(-len(data) % 16)
    return [int.from_bytes(padded[i : i + 8], "little") for i in range(0, len(padded), 8)]


def row_mix(table, row, data):
    if not any(data):
        return 0
    pairs = words(data)
    total = sum((w ^ K[i]) * (pairs[i + 1] ^ K[i + 1]) for i, w in enumerate(pairs) if i % 2 == 0)
    name = table << 32 | row
    x = fmix(total & WORD ^ (name ^ K[2]) * K[3] & WORD)
    y = fmix(((total >> 64 & WORD) + x + len(data)) & WORD)
    return y << 64 | (x + rotate(y, 32)) & WORD


def key_mix(terminal, batch_no, terminal_seq, seq_state, fingerprint):
    if not seq_state | fingerprint:
        return 0
    product = (seq_state ^ K[0]) * (fingerprint ^ K[1])
    x = product & WORD ^ rotate(product >> 64, 32)
    name = (terminal << 32 | batch_no) ^ K[2]
    return fmix(x ^ (name * K[3] + terminal_seq * K[4]) & WORD)


def body_fingerprint(data):
    h = (len(data) ^ K[5]) * K[3] & WORD
    whole = len(data) // 8 * 8
    for i in range(0, whole, 8):
        h = (fmix(h ^ int.from_bytes(data[i : i + 8], "little")) + K[6]) & WORD
    return fmix(h ^ int.from_bytes(data[whole:], "little")) or 1


@pytest.fixture
def rng(seed):
    return random.Random(seed)


@pytest.mark.parametrize("table", [False, True])
def test_crc32c_known_answers(table):
    # RFC 3720 B.4
    assert digest.checksum(b"", table=table) == 0
    assert digest.checksum(b"123456789", table=table) == 0xE3069283
    assert digest.checksum(bytes(32), table=table) == 0x8A9136AA
    assert digest.checksum(b"\xff" * 32, table=table) == 0x62A8AB43
    assert digest.checksum(bytes(range(32)), table=table) == 0x46DD794E


def test_crc32c_by_instruction_and_by_table_agree(rng):
    for length in range(300):
        data = rng.randbytes(length)
        assert digest.checksum(data) == digest.checksum(data, table=True)


def test_row_mix_known_answers():
    assert digest.row_mix(1, 5, bytes(60)) == 0
    assert digest.row_mix(1, 5, bytes(range(60))) == 0x575348F5A947D6564DEFE0243ABEABDA


def test_row_mix_equals_the_second_implementation(rng):
    for length in range(4, 132, 4):
        for _ in range(20):
            table, row = rng.randrange(1, 13), rng.randrange(2**32)
            data = rng.randbytes(length)
            assert digest.row_mix(table, row, data) == row_mix(table, row, data)


def test_row_mix_depends_on_every_bit_table_row_and_length(rng):
    data = bytearray(rng.randbytes(60))
    seen = {digest.row_mix(1, 1, data), digest.row_mix(2, 1, data), digest.row_mix(1, 2, data)}
    seen.add(digest.row_mix(1, 1, data + bytes(4)))
    for bit in range(480):
        data[bit // 8] ^= 1 << bit % 8
        seen.add(digest.row_mix(1, 1, data))
        data[bit // 8] ^= 1 << bit % 8
    assert len(seen) == 4 + 480


def test_row_mix_money_moved_between_rows_does_not_cancel_out():
    def row(balance):
        return balance.to_bytes(8, "little") + bytes(52)

    def total(one, other):
        return (digest.row_mix(1, 1, row(one)) + digest.row_mix(1, 2, row(other))) % 2**128

    assert len({total(1000 - moved, moved + 1) for moved in range(999)}) == 999


def test_row_mix_refuses_lengths_that_are_not_rows():
    for length in (0, 3, 61, 132):
        with pytest.raises(ValueError, match="row"):
            digest.row_mix(1, 1, bytes(length))


def test_key_mix(rng):
    assert digest.key_mix(1, 2, 3, 0, 0) == 0
    assert digest.key_mix(1, 2, 3, 4, 5) == 0x17D9419907F0BC53
    for _ in range(500):
        key = [rng.randrange(2**32) for _ in range(3)] + [rng.randrange(2**64) for _ in range(2)]
        assert digest.key_mix(*key) == key_mix(*key)


def test_body_fingerprint(rng):
    assert digest.body_fingerprint(b"") == 0x3CD8B113A8DDD418
    for length in range(100):
        data = rng.randbytes(length)
        assert digest.body_fingerprint(data) == body_fingerprint(data)
        assert digest.body_fingerprint(data) != digest.body_fingerprint(data + b"\0")


def test_chain_hash_is_sha256_over_the_parts(rng):
    parts = [rng.randbytes(n) for n in (128, 0, 1000, 7)]
    assert digest.chain_hash(*parts) == hashlib.sha256(b"".join(parts)).digest()
    assert digest.chain_hash() == hashlib.sha256().digest()


def test_pin_tag_is_hmac_sha256(rng):
    key, salt = rng.randbytes(32), rng.randbytes(8)
    for pin in (b"", b"904617", b"123456789012"):
        message = b"cc-pin-v1" + (7).to_bytes(4, "little") + (2).to_bytes(4, "little") + salt + pin
        expected = hmac.digest(key, message, "sha256")[:16]
        assert digest.pin_tag(key, 7, 2, salt, pin) == expected
    with pytest.raises(ValueError, match="digits"):
        digest.pin_tag(key, 7, 2, salt, b"1" * 13)


def test_key_check_value():
    key = bytes(range(32))
    assert digest.key_check(key) == hmac.digest(key, b"cc-key-check-v1", "sha256")[:16]
