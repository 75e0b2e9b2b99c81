"""Checksums, hashes and the password's MAC, with the call from Python."""

# ruff: noqa: S101 - a benchmark checks what it measured
from __future__ import annotations

import random
from importlib import import_module
from typing import Any, Final

import pytest

_digest: Any = import_module("ext.digest")  # the engine's modules have no stubs
_blocks: Any = import_module("ext.blocks")

SEED: Final = 20_261_123
RECORD: Final = 128
RECORDS: Final = 1_024
ACCOUNT_TABLE: Final = 1
ACCOUNT_ROW: Final = 60  # without its stamp


def some(length: int) -> bytes:
    """Return the same bytes every time."""
    return random.Random(SEED).randbytes(length)


def test_crc32c_of_a_record(benchmark: Any) -> None:
    """One record's checksum."""
    assert benchmark(_digest.checksum, some(RECORD - 4)) != 0


def test_sha256_of_a_block(benchmark: Any) -> None:
    """The chain hash over 1,024 records."""
    assert len(benchmark(_digest.chain_hash, some(RECORD * RECORDS))) == 32


def test_state_mix_of_a_row(benchmark: Any) -> None:
    """What an account's row weighs in the state hash; a block takes two a row."""
    assert benchmark(_digest.row_mix, ACCOUNT_TABLE, 7, some(ACCOUNT_ROW))


def test_fingerprint_of_a_command(benchmark: Any) -> None:
    """What tells two commands under one key apart."""
    assert benchmark(_digest.body_fingerprint, some(64)) != 0


def test_password_mac(benchmark: Any) -> None:
    """A password's tag; only above a limit does the sequencer make one."""
    key, salt = some(32), some(8)
    assert len(benchmark(_digest.pin_tag, key, 7, 1, salt, b"123456")) == 16


@pytest.mark.parametrize("records", [1, RECORDS])
def test_check_of_a_block(benchmark: Any, records: int) -> None:
    """Everything a reader checks of a block, chain included."""
    made = b"".join(record(seq) for seq in range(1, records + 1))
    sealed = _blocks.seal(made, first_seq=1, previous=bytes(32), time_us=1, business_date=1)
    assert benchmark(_blocks.check, sealed, 1, bytes(32)) == ("", 0)


def record(seq: int) -> bytes:
    """Return a record that says nothing but its seq."""
    return seq.to_bytes(8, "little") + b"\x01\x01" + bytes(RECORD - 10)
