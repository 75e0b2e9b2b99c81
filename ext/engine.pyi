"""The engine's one Python face. Shapes and threads: docs/ARCHITECTURE.md."""

import asyncio
from collections.abc import Sequence
from typing import Final, Self, TypedDict, type_check_only

from typing_extensions import disjoint_base

from ext.errors import (
    DirectoryBusy,
    EngineError,
    JournalCorrupt,
    KeyMismatch,
    Malformed,
    Refused,
)

__all__ = [
    "ENGINE_VERSION",
    "DirectoryBusy",
    "Effect",
    "Engine",
    "EngineError",
    "JournalCorrupt",
    "KeyMismatch",
    "Malformed",
    "Refused",
    "init",
]

ENGINE_VERSION: Final[int]

@type_check_only
class Options(TypedDict, total=False):
    """Bounds fixed at open; all have defaults that fit a campus of 50,000."""

    accounts_max: int  # 1,048,576
    media_max: int  # 2,097,152
    merchants_max: int  # 65,536
    terminals_max: int  # 4,096
    holds_max: int  # 262,144
    undos_max: int  # 1,048,576
    requests_max: int  # 1,048,576
    schedules_max: int  # 65,536 effects that wait for their time
    queue: int  # 16,384 commands
    block_max: int  # 8,192 records
    overlap_from: int  # 128 records: from here on a block is committed beside the sequencer
    segment_bytes: int  # 268,435,456
    journal_bytes_max: int  # 0: the file system's size
    checkpoint_records: int  # checkpoint at least every so many records
    clock_path: str  # test clock file, only for directories made with --test
    lock_memory: bool
    commit: str  # "full": two flushes a block; "pipelined": one, brought by the block after it

@type_check_only
class Head(TypedDict):
    decided_seq: int  # newest of which anybody may know; what follows is of its block
    acknowledged_seq: int
    checkpoint_seq: int
    rule_version: int
    time_us: int
    business_date: int
    chain: bytes
    state_hash: bytes
    test: bool

@type_check_only
class Recovered(TypedDict):
    """What opening the directory did."""

    state_seq: int  # replay began after this one; 0: at the beginning
    records: int  # replayed
    discarded: str  # why state/ was not used, "" when it was or was not there

@type_check_only
class Stats(TypedDict):
    queue_depth: int
    queue_bytes: int  # of memory for the queue
    memory_locked: bool  # it cannot reach the swap
    blocks: int
    records: int
    commands: int  # decided, replays not counted
    replays: int
    decide_ns: int  # of work, each block once; so the three that follow
    hash_ns: int
    commit_ns: int
    answer_ns: int
    taken: int  # commands from the queue
    queue_ns: int  # these were in it until their blocks began
    released: int  # answers that left with their blocks
    in_decide_ns: int  # these were in each part of their block, all of one as long
    in_hash_ns: int
    in_commit_ns: int
    syncs: int  # pipelined: of their own, when no later block brought one
    commit: str  # "full" or "pipelined"
    slowest_block_ns: int  # decide to answers, or a checkpoint's step
    block_sizes: list[int]  # count per power of two, 1..8192
    commit_us: list[int]  # count per power of two microseconds
    declines: dict[int, int]  # reason number -> count
    map_used: int
    map_size: int
    space_used_permille: int
    space_alarm: bool  # 700 permille and more
    checkpoint_age_records: int
    checkpoint_error: int  # LMDB's or errno's number; not 0: no checkpoints until the next start
    segment_error: int  # likewise, or ext/journal.pxd's: why the next segment was not made ahead
    ledger_sum: int  # must be 0; of a moment ago on a large campus and while the disk hangs

@disjoint_base
class Effect:
    """One effect of an office command; see ext/commands.h cc_effect.

    ``due_s`` (UTC seconds, not 0) makes it wait until then: ACCOUNT_STATUS, MEDIUM_STATE, CATEGORY,
    RULES and MEALS can. ``mask`` says what it changes then: fields of the rules in their order, or
    flags of the medium. ``scheduled_seq`` is what a CANCEL ends, ``hold_seq`` what a SETTLE does.
    """

    def __new__(
        cls,
        kind: int,
        *,
        row: int = 0,
        link: int = 0,
        event: int = 0,
        expect: int = 0,
        expect_status: int = 0,
        expect_flags: int = 0,
        expect_last_seq: int = 0,
        due_s: int = 0,
        mask: int = 0,
        scheduled_seq: int = 0,
        hold_seq: int = 0,
        amount_fen: int = 0,
        debit_wallet: int = 0,
        credit_wallet: int = 0,
        body: bytes = b"",
        pin: str = "",
    ) -> Self: ...

@type_check_only
class Faults(TypedDict):
    """What goes wrong without stopping the engine."""

    checkpoint: str  # why no checkpoints are written until the next start; "" they are
    segment: str  # why the next segment could not be made ahead; "" it could
    space_permille: int  # journal space used

@type_check_only
class Stream:
    """Messages of one AuthorizeStream and their answers, in order. For one thread, the loop's."""

    def put(self, message: bytes, wait_ms: int = 0) -> bool:
        """Queue one encoded AuthorizeStreamRequest; False: too many under way, take answers first.

        wait_ms: not 0: do not decide it, answer RATE_LIMITED with this wait.
        """
    def take(self) -> bytes | None:
        """Return the next encoded AuthorizeStreamResponse; None while it is not there."""
    def end(self) -> None:
        """Say that no more messages come."""
    @property
    def over(self) -> bool:
        """No more messages come and all answers are taken."""
    def wait(self, future: asyncio.Future[None]) -> None:
        """Resolve the future when take() has something or the stream is over."""

@type_check_only
class Transaction(TypedDict):
    """One record in Python's terms (all cc_record fields by name, plus the block's)."""

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
    original_seq: int
    prev_account_seq: int
    amount_fen: int
    debit_after_fen: int
    credit_after_fen: int
    held_after_fen: int
    day_used_fen: int
    meal_used_fen: int
    day_key: int
    meal_key: int
    debit_wallet: int
    credit_wallet: int
    pin_fails: int
    aux: int
    raw: bytes

@type_check_only
class HistoryItem(Transaction):
    """A record and what its block says."""

    time_us: int
    business_date: int
    rule_version: int

@type_check_only
class OfficeReply(TypedDict):
    seq: int
    row: int
    replayed: bool
    as_of_seq: int
    outcome: int
    reason: int

@type_check_only
class AccountReply(TypedDict):
    account: int
    online_fen: int
    held_fen: int
    subsidy_fen: int
    water_fen: int
    day_used_fen: int  # of the present day
    meal_used_fen: int  # of the present meal
    day_limit_fen: int  # effective
    meal_limit_fen: int
    personal_day_limit: bool
    personal_meal_limit: bool
    status: int
    must_change_pin: bool
    pin_fails: int
    pin_version: int
    last_seq: int
    water_hold_seq: int  # of the open transfer to the water purse; 0: none
    water_hold_grey: bool  # nobody told in time what became of it
    as_of_seq: int

@type_check_only
class HistoryReply(TypedDict):
    items: list[HistoryItem]
    next_seq: int  # 0: the end
    as_of_seq: int

def init(
    data_dir: str,
    key_file: str,
    *,
    test: bool = False,
    segment_bytes: int = ...,
    rules: bytes = b"",
    meals: bytes = b"",
) -> None:
    """Make a data directory and a key file (0600, outside it); the first block holds the rules."""

@disjoint_base
class Engine:
    """One open data directory. Open recovers; start runs the threads."""

    def __new__(cls, data_dir: str, key_file: str, options: Options = ...) -> Self: ...
    def start(self) -> None: ...
    def drain(self, timeout_s: int) -> bool:
        """Stop taking commands, decide what is queued, commit, checkpoint."""
    def close(self) -> None: ...
    @property
    def eventfd(self) -> int:
        """Readable when answers wait; register it with loop.add_reader(fd, engine.answer)."""
    @property
    def identity(self) -> bytes:
        """Which journal this is: the 256 bytes of the directory's file `campuscard`."""
    @property
    def recovered(self) -> Recovered: ...
    def answer(self) -> int:
        """Resolve the futures of all released answers; returns how many."""
    def submit(
        self,
        method: int,
        message: bytes,
        future: asyncio.Future[bytes],
        deadline_ms: int = 0,
        terminal: bytes = b"",
    ) -> None:
        """Queue one encoded request of a hot method (ext.wire.METHODS).

        The future gets the encoded response, or Refused. Raises Malformed or Refused at once.
        deadline_ms: milliseconds the caller still waits; not decided after them. 0: for ever.
        terminal: who the caller is; a message of another terminal is Malformed. b"": anybody.
        """
    def submit_batch(
        self, message: bytes, future: asyncio.Future[bytes], deadline_ms: int = 0
    ) -> None:
        """Queue an AuthorizeBatchRequest; the future gets the encoded response."""
    def stream(self, in_flight: int, deadline_ms: int = 0) -> Stream:
        """Open a pipeline of authorizations.

        in_flight: messages under way at once, at least 1.
        deadline_ms: milliseconds the caller still waits, for all messages. 0: for ever.
        """
    def office(
        self,
        payload: bytes,
        effects: Sequence[Effect],
        future: asyncio.Future[OfficeReply],
        *,
        request_id: bytes,
        fingerprint: int,
        document_kind: int,
        actor: int = 0,
        pin_account: int = 0,
        pin: str = "",
    ) -> None: ...
    def account(self, account: int, future: asyncio.Future[AccountReply]) -> None: ...
    def transaction(self, seq: int, future: asyncio.Future[Transaction]) -> None:
        """Read one acknowledged record. Raises Refused(TRANSACTION_NOT_FOUND) at once."""
    def history(
        self, account: int, from_seq: int, limit: int, future: asyncio.Future[HistoryReply]
    ) -> None: ...
    def head(self) -> Head: ...
    def stats(self) -> Stats: ...
    def faults(self) -> Faults: ...
    def checkpoint(self) -> int:
        """Run one checkpoint now; returns the seq it stands at."""
    def read_blocks(self, from_seq: int, max_bytes: int) -> list[bytes]:
        """Return whole acknowledged blocks from the one holding from_seq on."""
    def next_rows(self) -> dict[str, int]:
        """Next free row number per table: account, medium, merchant, terminal."""
    def state_dump(self, table: int) -> bytes:
        """Rows of a table as they stand, packed (tests and verification).

        Table 9 is the rules and the meals in force, 56 bytes each, and the flags of the 16
        categories, one byte each.
        """
