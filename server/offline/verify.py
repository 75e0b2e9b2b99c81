"""campuscard verify: walks a journal from its first record and keeps the books again.

Nothing of the engine is used: blocks are read with py-lmdb, checksums and mixes are computed
here, balances, counters, holds, limits, passwords and keys are recomputed from amounts and
compared with what every record says. The first difference ends the walk and names its seq.

About 100,000 records a second on one core in blocks of 1,000, half of that in blocks of one;
`state_hash="every"` costs a fifth more there and doubles it here.

**Source:** regulation 七.2, 八.2.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from server.offline import layout as at
from server.offline import papers, taps, undoing
from server.offline.books import Books
from server.offline.chain import Chain
from server.offline.files import JournalFiles, at_rest
from server.offline.findings import Difference
from server.offline.names import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from server.offline.chain import Block

    Progress = Callable[[int, int], None]
    """Called with (records done, records in all)."""

StateHash = Literal["sampled", "every", "off"]

REQUESTS_MAX: Final = 1_048_576
SAMPLE_RECORDS: Final = 131_072
"""Records between two comparisons of the state hash when it is sampled."""
PROGRESS_RECORDS: Final = 8_192

CHECKS: Final = {
    at.PURCHASE: taps.purchase,
    at.HOLD: taps.hold,
    at.CAPTURE: undoing.capture,
    at.RELEASE: undoing.release,
    at.HOLD_EXPIRED: undoing.due,
    at.HOLD_GREY: undoing.due,
    at.HOLD_RETIRED: undoing.due,
    at.REVERSAL: undoing.reversal,
    at.TOMBSTONE: undoing.tombstone,
    at.REFUND: undoing.refund,
    at.SIGN_IN: papers.sign_in,
    at.SIGN_OFF: papers.sign_off,
    at.PIN_CHECK: papers.pin_check,
    at.TOP_UP: papers.fund,
    at.SUBSIDY_PAID: papers.fund,
    at.ADJUST: papers.fund,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a walk found.

    ``checked`` counts what was compared, by name. ``bad_seq`` and ``difference`` are of the first
    difference, 0 and empty when there is none.
    """

    ok: bool
    difference: str = ""
    bad_seq: int = 0
    head_seq: int
    segments: int
    blocks: int
    records: int
    seconds: float
    sum_fen: int
    chain: bytes
    state_hash: bytes
    checked: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    @property
    def records_per_second(self) -> int:
        """How fast it went."""
        return int(self.records / self.seconds) if self.seconds else 0


class Walk:
    """One walk along a journal."""

    def __init__(
        self,
        lookup: Callable[[int], at.Entry],
        *,
        state_hash: StateHash = "sampled",
        requests_max: int = REQUESTS_MAX,
    ) -> None:
        self.chain = Chain()
        self.books = Books(lookup, CHECKS, requests_max=requests_max)
        self._mode = state_hash
        self._next_sample = 0
        self._newest: Block | None = None
        self.state_hashes = 0
        self.state = 0

    def take(self, raw: bytes, key: int | None = None) -> None:
        """Check the next block and every record in it."""
        block = self.chain.take(raw, key)
        books = self.books
        books.enter(block.header)
        try:
            self._records(block)
        except Difference:
            self.chain.settle()  # a broken record explains itself better by its CRC
            raise
        books.leave(block.header)
        self._newest = block
        if self._mode == "every" or (
            self._mode == "sampled" and self.chain.records >= self._next_sample
        ):
            self._compare_state(block)

    def _records(self, block: Block) -> None:
        books, area = self.books, block.area
        seq = block.header.first_seq
        part = parts = 0
        key = (0, 0)
        for entry in map(at.Entry._make, at.RECORD.iter_unpack(area)):
            if entry.seq != seq:
                raise Difference(seq, "a record out of sequence")
            part = 1 if part == parts else part + 1
            if part == 1:
                parts = entry.parts
                key = (entry.batch_no, entry.terminal_seq)
            elif key != (entry.batch_no, entry.terminal_seq):
                raise Difference(seq, "parts of one command with different keys")
            if entry.part != part or entry.parts != parts or not parts:
                raise Difference(seq, "the parts of a command are not neighbours")
            if entry.type < at.ACCOUNT:
                books.feed(entry)
            else:
                start = at.ROW_BYTES * (seq - block.header.first_seq)
                papers.paper(books, entry, area[start + 64 : start + 120])
            seq += 1
        if part != parts:
            raise Difference(seq - 1, "a command goes over the end of its block")

    def _compare_state(self, block: Block) -> None:
        self.state = self.books.weights.state_hash(self.books)
        self.state_hashes += 1
        self._next_sample = self.chain.records + SAMPLE_RECORDS
        if self.state != block.state:
            raise Difference(
                block.header.last_seq,
                f"state hash is {block.state:032x}, recomputed {self.state:032x}",
            )

    def end(self, last_seq: int) -> None:
        """Check what is checked once: the end, CRCs that wait, the newest state hash, the sum."""
        self.chain.settle()
        if self.chain.next_seq != last_seq + 1:
            raise Difference(self.chain.next_seq, "blocks are missing")
        total = self.books.total()
        if total:
            raise Difference(self.chain.next_seq - 1, f"the sum of all accounts is {total} fen")
        if self._newest is not None and self._mode != "off":
            self._compare_state(self._newest)

    def checked(self) -> dict[str, int]:
        """Count what was compared."""
        books = self.books
        holders = [a for a in books.accounts.values() if a.last_seq]
        return {
            "movements": books.moved,
            "approved": books.outcomes[at.APPROVED],
            "declined": books.outcomes[at.DECLINED],
            "password asked": books.outcomes[at.PIN_REQUIRED],
            "accounts": len(holders),
            "merchants": len(books.merchants),
            "terminals": len(books.terminals),
            "media": len(books.media),
            "keys": books.keys.used,
            "holds open": len(books.holds),
            "undone": len(books.undos),
            "requests": len(books.request_rows),
            "state hashes": self.state_hashes,
            "rows mixed": books.weights.mixes,
        }


def run(
    directory: Path,
    *,
    state_hash: StateHash = "sampled",
    requests_max: int = REQUESTS_MAX,
    progress: Progress | None = None,
) -> Verdict:
    """Verify a stopped or copied data directory.

    Args:
        directory: the data directory.
        state_hash: compare the state hash now and then and at the end, at every block, or never.
        requests_max: the engine's option; rows of requests go round a circle of this size.
        progress: called now and then with (records done, records in all).

    Raises:
        DirectoryInUse: a process holds the directory.
        DirectoryError: this is no data directory.
    """
    with at_rest(directory):
        try:
            files = JournalFiles(directory)
        except Difference as found:
            return unreadable(found)
        with files:
            return judge(files, state_hash, requests_max, progress)


def judge(
    files: JournalFiles, state_hash: StateHash, requests_max: int, progress: Progress | None
) -> Verdict:
    """Walk and say what was found."""
    walk = Walk(files.record, state_hash=state_hash, requests_max=requests_max)
    began = time.monotonic()
    found: Difference | None = None
    try:
        follow_blocks(walk, files.blocks(), files.last_seq, progress)
        walk.end(files.last_seq)
    except Difference as difference:
        found = difference
    return Verdict(
        ok=found is None,
        difference=found.what if found else "",
        bad_seq=found.seq if found else 0,
        head_seq=walk.chain.next_seq - 1,
        segments=len(files.segments),
        blocks=walk.chain.blocks,
        records=walk.chain.records,
        seconds=time.monotonic() - began,
        sum_fen=walk.books.total(),
        chain=walk.chain.previous,
        state_hash=walk.state.to_bytes(at.STATE_BYTES, "little"),
        checked=walk.checked(),
        types={TYPES[kind]: count for kind, count in sorted(walk.books.kinds.items())},
    )


def follow_blocks(
    walk: Walk, blocks: Iterable[tuple[int, bytes]], total: int, progress: Progress | None
) -> None:
    """Take all blocks, telling how far it is."""
    told = 0
    for key, raw in blocks:
        walk.take(raw, key)
        if progress is not None and walk.chain.records - told >= PROGRESS_RECORDS:
            told = walk.chain.records
            progress(told, total)
    if progress is not None:
        progress(walk.chain.records, total)


def unreadable(found: Difference) -> Verdict:
    """Return the verdict on files that cannot even be opened."""
    return Verdict(
        ok=False,
        difference=found.what,
        bad_seq=found.seq,
        head_seq=0,
        segments=0,
        blocks=0,
        records=0,
        seconds=0.0,
        sum_fen=0,
        chain=bytes(at.CHAIN_BYTES),
        state_hash=bytes(at.STATE_BYTES),
    )
