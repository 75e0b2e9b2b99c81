"""What every block must satisfy, whatever its records say: shape, checksums, the chain of hashes.

CRCs are checked by columns over many blocks at once; the chain's SHA-256 of each block when it
comes. When a hash differs, the block's own CRCs say where.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from server.offline import layout as at
from server.offline.checksums import crc32c, first_bad_row
from server.offline.findings import Difference, demand_equal

ROWS_AT_ONCE: Final = 16_384
"""Rows whose CRCs are checked together."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block whose chain is right."""

    header: at.Header
    area: bytes
    """The records, 128 bytes each."""
    payload: bytes
    state: int
    """The state hash in the trailer."""


@dataclass(slots=True)
class Rows:
    """Equal rows that wait for their CRCs to be checked."""

    width: int
    what: str
    parts: list[bytes] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    """Per part the seq of its first row."""
    count: int = 0

    def add(self, area: bytes, seq: int) -> None:
        """Remember rows."""
        self.parts.append(area)
        self.seqs.append(seq)
        self.count += len(area) // self.width

    def check(self) -> Difference | None:
        """Check and forget; returns the first row that is wrong."""
        bad = first_bad_row(b"".join(self.parts), self.width)
        found = None
        if bad >= 0:
            for part, seq in zip(self.parts, self.seqs, strict=True):
                rows = len(part) // self.width
                if bad < rows:
                    found = Difference(seq + bad, f"{self.what} CRC")
                    break
                bad -= rows
        self.parts.clear()
        self.seqs.clear()
        self.count = 0
        return found


class Chain:
    """The blocks so far."""

    def __init__(self, previous: bytes = bytes(at.CHAIN_BYTES), first_seq: int = 1) -> None:
        self.previous = previous
        self.next_seq = first_seq
        self.blocks = self.records = self.payload_bytes = 0
        self._headers = Rows(at.ROW_BYTES, "header")
        self._records = Rows(at.ROW_BYTES, "record")
        self._trailers = Rows(at.TRAILER_BYTES, "trailer")

    def take(self, raw: bytes, key: int | None = None) -> Block:
        """Check the next block.

        Args:
            raw: the whole block.
            key: under which it lies: its last seq.

        Raises:
            Difference: with the seq of the record that is wrong, or the block's first.
        """
        header = self._shape(raw)
        seq = self.next_seq
        area_end = at.ROW_BYTES * (1 + header.record_count)
        area = raw[at.ROW_BYTES : area_end]
        payload = raw[area_end : -at.TRAILER_BYTES]
        state, chain, payload_crc, spare, _ = at.TRAILER.unpack(raw[-at.TRAILER_BYTES :])
        if hashlib.sha256(raw[: -at.TRAILER_BYTES + at.STATE_BYTES]).digest() != chain:
            raise self._where(raw, header, area, payload)
        if payload_crc != crc32c(payload):
            raise Difference(seq, "payload CRC")
        if any(spare) or any(header.spare) or header.spare0:
            raise Difference(seq, "reserved bytes of the block are not zero")
        demand_equal(seq, "first_seq", header.first_seq, seq)
        demand_equal(seq, "last_seq", header.last_seq, seq + header.record_count - 1)
        demand_equal(seq, "the block's key", key or header.last_seq, header.last_seq)
        if header.prev_hash != self.previous:
            raise Difference(seq, "the block does not follow the one before it")
        self._wait(raw, area)
        self.previous = chain
        self.next_seq = header.last_seq + 1
        self.blocks += 1
        self.records += header.record_count
        self.payload_bytes += len(payload)
        return Block(header, area, payload, int.from_bytes(state, "little"))

    def _shape(self, raw: bytes) -> at.Header:
        seq = self.next_seq
        if len(raw) < at.ROW_BYTES * 2 + at.TRAILER_BYTES:
            raise Difference(seq, "a block too short")
        header = at.Header._make(at.HEADER.unpack_from(raw))
        if header.magic != at.MAGIC:
            raise Difference(seq, "not a block")
        length = at.ROW_BYTES * (1 + header.record_count) + header.payload_len + at.TRAILER_BYTES
        in_range = (
            1 <= header.record_count <= at.BLOCK_MAX and header.payload_len <= at.PAYLOAD_MAX + 7
        )
        if not in_range or length != len(raw):
            raise Difference(seq, "the block's length differs from its header's")
        # Only with a right CRC: a flipped bit is damage, not a newer version.
        if header.min_reader > at.FORMAT and header.crc32c == crc32c(raw[: at.ROW_BYTES - 4]):
            raise Difference(seq, "written by a newer version than this one can read")
        return header

    def _wait(self, raw: bytes, area: bytes) -> None:
        seq = self.next_seq
        self._headers.add(raw[: at.ROW_BYTES], seq)
        self._records.add(area, seq)
        self._trailers.add(raw[-at.TRAILER_BYTES :], seq)
        if self._records.count >= ROWS_AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Check the CRCs of all blocks taken since the last time.

        Raises:
            Difference: the first row that is wrong.
        """
        found = [rows.check() for rows in (self._headers, self._records, self._trailers)]
        wrong = [difference for difference in found if difference]
        if wrong:
            raise min(wrong, key=lambda difference: difference.seq)

    def _where(self, raw: bytes, header: at.Header, area: bytes, payload: bytes) -> Difference:
        """Say which part of a block whose hash differs is wrong."""
        try:
            self.settle()
        except Difference as earlier:
            return earlier
        seq = self.next_seq
        if header.crc32c != crc32c(raw[: at.ROW_BYTES - 4]):
            return Difference(seq, "header CRC")
        bad = first_bad_row(area, at.ROW_BYTES)
        if bad >= 0:
            return Difference(seq + bad, "record CRC")
        trailer = raw[-at.TRAILER_BYTES :]
        if crc32c(trailer[:-4]) != int.from_bytes(trailer[-4:], "little"):
            return Difference(seq, "trailer CRC")
        if crc32c(payload) != int.from_bytes(trailer[48:52], "little"):
            return Difference(seq, "payload CRC")
        return Difference(seq, "chain hash")
