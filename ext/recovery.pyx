"""From the disk to tables that stand where the journal ends.

docs/concepts/recovery.md says why a start from state/ may meet rows newer than the seq it replays
from, and what is concluded from each thing that can be wrong.
"""

import os
import shutil
import threading

from ext.errors import EngineError, JournalCorrupt
from ext.state import StateDamaged

from libc.errno cimport EIO
from libc.stdint cimport uint8_t, uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy, memset

from ext.blocks cimport block_trailer
from ext.blocktime cimport index_rebuild
from ext.journal cimport (
    JOURNAL_DAMAGED, JOURNAL_END, cc_reader, journal_raise, reader_close, reader_open, reader_seek,
)
from ext.memory cimport cc_bounds, tables_close, tables_open
from ext.records cimport (
    CC_TERMINAL_SEQ_MAX, cc_account, cc_account_cold, cc_hold, cc_key, cc_medium, cc_merchant,
    cc_request, cc_scheduled, cc_terminal, cc_undo,
)
from ext.replay cimport (
    REPLAY_ROOM, REPLAY_STATE, REPLAY_TIME, REPLAY_TYPE, cc_replay, replay_apply, replay_check,
)
from ext.rows cimport state_hash_full
from ext.shared cimport cc_shared
from ext.state cimport cc_state_meta, state_close, state_load, state_open

STATE = "state"


cdef class Recovered:
    """What a start did, for the log and the tests."""

    def __cinit__(self):
        self.discarded = ""


# ---- state/ ----

cdef size_t state_map_bytes(const cc_bounds *b) noexcept:
    """Address space for state/: every row at its maximum, and as much again for LMDB's pages."""
    cdef size_t rows = (
        <size_t>b.accounts * (sizeof(cc_account) + sizeof(cc_account_cold))
        + <size_t>b.media * sizeof(cc_medium)
        + <size_t>b.merchants * sizeof(cc_merchant)
        + <size_t>b.terminals * sizeof(cc_terminal)
        + <size_t>b.holds * sizeof(cc_hold)
        + <size_t>b.undos * sizeof(cc_undo)
        + <size_t>b.requests * sizeof(cc_request)
        + <size_t>b.schedules * sizeof(cc_scheduled)
        + (<size_t>b.terminals + 1) * 2 * (CC_TERMINAL_SEQ_MAX + 1) * sizeof(cc_key)
    )
    return (2 * rows + (64 << 20)) // 4096 * 4096


cdef int check_origin(cc_shared *s, const cc_state_meta *meta) except -1:
    """Whether the state is of this journal: its block must be there, with that chain hash."""
    cdef cc_reader r
    cdef const uint8_t *block
    cdef size_t length
    cdef bint same = False
    cdef int rc
    if meta.newest_seq > s.journal.last_seq:
        # Only what was acknowledged is ever written there: the journal has lost records.
        raise JournalCorrupt(
            s.journal.last_seq + 1,
            f"the journal ends here, but state/ has seen seq {meta.newest_seq}")
    reader_open(&r, &s.journal)
    rc = reader_seek(&r, meta.start_seq, &block, &length)
    if rc == 0:
        same = memcmp(block_trailer(block).chain, meta.chain, 32) == 0
    reader_close(&r)
    if rc != 0:
        raise_at(rc, r.bad_seq, r.finding)
    if not same:
        raise StateDamaged("state: it belongs to another journal")
    return 0


cdef int load(cc_shared *s, str path, const cc_bounds *bounds, cc_state_meta *meta) except -1:
    """Load state/ into the tables; 0 when there is none."""
    cdef uint64_t lo = 0, hi = 0
    try:
        state_open(&s.checkpoint.state, path, state_map_bytes(bounds))
    except OSError as error:
        raise StateDamaged(f"state: {error}") from error
    if state_load(&s.checkpoint.state, &s.tables, meta) == 0:
        return 0
    check_origin(s, meta)
    memcpy(s.chain, meta.chain, 32)
    with nogil:
        index_rebuild(&s.tables)
        if meta.newest_seq == meta.start_seq:
            state_hash_full(&s.tables, &lo, &hi)
    if meta.newest_seq == meta.start_seq and (lo != meta.state_lo or hi != meta.state_hi):
        raise StateDamaged("state: its hash is not the journal's")
    return 1


cdef int discard(cc_shared *s, str path, const cc_bounds *bounds) except -1:
    """Throw state/ away and begin with empty tables.

    Where state/ cannot even be made again, the engine runs without checkpoints.
    """
    state_close(&s.checkpoint.state)
    shutil.rmtree(path, ignore_errors=True)
    tables_close(&s.tables)
    tables_open(&s.tables, bounds)
    memset(s.chain, 0, 32)
    try:
        state_open(&s.checkpoint.state, path, state_map_bytes(bounds))
    except (OSError, StateDamaged):
        s.checkpoint.failed = EIO
    return 0


# ---- the journal ----

cdef int raise_at(int rc, uint64_t seq, const char *finding) except -1:
    """The exception for what replay found."""
    text = (<bytes>finding).decode() if finding != NULL else "unreadable"
    if rc == REPLAY_ROOM:
        raise EngineError(
            f"seq {seq}: {text}. The directory was used with larger limits: raise them again.")
    if rc == REPLAY_TYPE:
        raise EngineError(
            f"seq {seq}: {text}. It was written by a newer campuscard: start that one.")
    if rc == JOURNAL_DAMAGED or rc == JOURNAL_END or rc == REPLAY_TIME or rc == REPLAY_STATE:
        raise JournalCorrupt(seq, text)
    journal_raise(rc, b"reading the journal", seq)


def _check(uintptr_t address):
    """The checking thread's body."""
    cdef cc_replay *p = <cc_replay *>address
    with nogil:
        replay_check(p)


cdef int replay(cc_shared *s, cc_replay *p) except -1:
    """Redo the records after p.from_seq; the first thing wrong is left in p."""
    p.journal, p.tables = &s.journal, &s.tables
    p.to_seq = s.journal.last_seq
    memcpy(p.chain, s.chain, 32)
    checker = threading.Thread(target=_check, args=(<uintptr_t>p,), name="check")
    checker.start()
    with nogil:
        replay_apply(p)
    checker.join()
    if p.rc == 0:
        p.rc = p.check_rc
    memcpy(s.chain, p.chain, 32)
    return 0


cdef Recovered recover(cc_shared *s, str data_dir, const cc_bounds *bounds):
    """Load, replay, and once more from the beginning if the state turns out to be wrong."""
    cdef Recovered done = Recovered()
    cdef cc_state_meta meta
    cdef cc_replay p
    cdef str path = os.path.join(data_dir, STATE)
    memset(&meta, 0, sizeof(meta))
    memset(&p, 0, sizeof(p))
    try:
        load(s, path, bounds, &meta)
        p.from_seq, p.even_from = meta.start_seq, meta.newest_seq
        replay(s, &p)
        if p.rc == REPLAY_STATE and meta.start_seq != 0:
            raise StateDamaged(f"state: it does not lead to the state hash at seq {p.bad_seq}")
    except StateDamaged as error:
        done.discarded = str(error)
        discard(s, path, bounds)
        memset(&meta, 0, sizeof(meta))
        memset(&p, 0, sizeof(p))
        replay(s, &p)
    if p.rc != 0:
        raise_at(p.rc, p.bad_seq, p.finding)
    done.state_seq, done.records = meta.start_seq, p.records
    s.checkpoint.started_seq = s.checkpoint.complete_seq = meta.start_seq
    return done
