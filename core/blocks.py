"""Reading blocks of the journal: header, records, documents, trailer.

Mirrors ``ext/records.h``. What arrives here was acknowledged and checked by the engine; these
readers serve projections, followers and the walk along the chain.

**Source:** design of the journal: header 128 B, n records of 128 B, payload area, trailer 64 B.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = 0x4B4C_4243_4343_4331
HEADER_BYTES: Final = 128
RECORD_BYTES: Final = 128
TRAILER_BYTES: Final = 64

_HEADER: Final = struct.Struct("<QHHHHIIQQqIIIIq32s20xI")
_RECORD: Final = struct.Struct("<QBBHHBBIIIIIIQQQ56sII")
_TRAILER: Final = struct.Struct("<16s32sI8xI")
_MONEY: Final = struct.Struct("<QqqqqIIHBBBBBB")
_DOCUMENT: Final = struct.Struct("<IIHHI16s24x")


class RecordType(IntEnum):
    """``CC_T_*``."""

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


DUE: Final = 32_768
"""``CC_F_DUE``: no command behind the record, its time had come."""
WATER: Final = 4_096
"""``CC_F_WATER``: about a transfer to the water purse."""


class Outcome(IntEnum):
    """``CC_O_*``."""

    NONE = 0
    APPROVED = 1
    DECLINED = 2
    PIN_REQUIRED = 3
    EFFECT = 4


class BlockError(Exception):
    """Bytes that are no block of the journal.

    Attributes:
        seq: where, as far as it is known; 0 otherwise.
    """

    def __init__(self, text: str, seq: int = 0) -> None:
        self.seq = seq
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Header:
    """``cc_block_header``."""

    magic: int
    format: int
    min_reader: int
    shard: int
    engine_version: int
    epoch: int
    count: int
    first_seq: int
    last_seq: int
    time_us: int
    business_date: int
    rule_version: int
    payload_len: int
    spare0: int
    debits: int
    prev_hash: bytes
    crc32c: int


@dataclass(frozen=True, slots=True)
class Record:
    """``cc_record``; ``body`` is read by type."""

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
    body: bytes
    aux: int
    crc32c: int

    def money(self) -> Money:
        """Read the body of a movement, refusal or hold."""
        return Money(*_MONEY.unpack(self.body))

    def document(self) -> DocumentPointer:
        """Read the body of a document record."""
        return DocumentPointer(*_DOCUMENT.unpack(self.body))


@dataclass(frozen=True, slots=True)
class Money:
    """``cc_money_body``; amounts in fen."""

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


@dataclass(frozen=True, slots=True)
class DocumentPointer:
    """``cc_document_body``."""

    offset: int
    length: int
    kind: int
    effects: int
    actor: int
    request_id: bytes


class Block:
    """One block as it stands in the journal.

    Args:
        raw: the whole block.

    Raises:
        BlockError: the lengths in the header do not make up the bytes.
    """

    __slots__ = ("_raw", "header")

    def __init__(self, raw: bytes) -> None:
        if len(raw) < HEADER_BYTES + TRAILER_BYTES:
            raise BlockError("shorter than a header and a trailer")
        self.header = Header(*_HEADER.unpack_from(raw))
        self._raw = raw
        header = self.header
        if header.magic != MAGIC:
            raise BlockError("wrong magic", header.first_seq)
        if header.last_seq - header.first_seq + 1 != header.count:
            raise BlockError("count and sequence differ", header.first_seq)
        if self._payload_at + header.payload_len + TRAILER_BYTES != len(raw):
            raise BlockError("length differs from the header's", header.first_seq)

    @property
    def _payload_at(self) -> int:
        return HEADER_BYTES + self.header.count * RECORD_BYTES

    def types(self) -> bytes:
        """Return the type of every record, one byte each, without reading the records."""
        return self._raw[HEADER_BYTES + 8 : self._payload_at : RECORD_BYTES]

    def reasons(self) -> bytes:
        """Return the low byte of every record's reason, without reading the records."""
        return self._raw[HEADER_BYTES + 10 : self._payload_at : RECORD_BYTES]

    def record(self, index: int) -> Record:
        """Read one record.

        Args:
            index: 0 to count - 1.
        """
        record = Record(*_RECORD.unpack_from(self._raw, HEADER_BYTES + index * RECORD_BYTES))
        if record.seq != self.header.first_seq + index:
            raise BlockError("a record is not in sequence", self.header.first_seq + index)
        return record

    def records(self) -> Iterator[Record]:
        """Read all records in order."""
        return (self.record(index) for index in range(self.header.count))

    def payload(self, pointer: DocumentPointer) -> bytes:
        """Return the bytes of one document."""
        if pointer.offset + pointer.length > self.header.payload_len:
            raise BlockError("a document lies outside the payload", self.header.first_seq)
        start = self._payload_at + pointer.offset
        return self._raw[start : start + pointer.length]

    def chain(self) -> bytes:
        """Return the chain hash written in the trailer, 32 bytes."""
        _, chain, _, _ = self._trailer()
        return chain

    def state_hash(self) -> bytes:
        """Return the state hash written in the trailer, 16 bytes."""
        state, _, _, _ = self._trailer()
        return state

    def computed_chain(self) -> bytes:
        """Compute the chain hash anew from header, records, payload and state hash."""
        return hashlib.sha256(self._raw[: -TRAILER_BYTES + 16]).digest()

    def _trailer(self) -> tuple[bytes, bytes, int, int]:
        state, chain, payload_crc, crc = _TRAILER.unpack_from(self._raw, len(self._raw) - 64)
        return state, chain, payload_crc, crc
