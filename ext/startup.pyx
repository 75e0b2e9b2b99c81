"""Opening an engine: options, directory, key, recovery, the first block; and closing it."""

import os

from ext.errors import EngineError

from libc.string cimport memset
from posix.unistd cimport close

from ext.answers cimport Answers
from ext.checkpoint cimport checkpoint_open
from ext.clocks cimport clock_open
from ext.committer cimport take_stand, tell_head
from ext.digest cimport pin_mac_free, pin_mac_new, wipe
from ext.genesis cimport write_first_block
from ext.jobs cimport jobs_open
from ext.journal cimport journal_pipeline, journal_raise
from ext.memory cimport cc_bounds, tables_open
from ext.opening cimport journal_close, journal_open
from ext.records cimport CC_BLOCK_MAX
from ext.recovery cimport recover
from ext.ring cimport ring_open
from ext.shared cimport cc_shared, cc_stand, shared_open
from ext.state cimport state_close
from ext.store cimport CC_I_TEST, cc_identity, store_key, store_lock

# name: (default, least, most)
BOUNDS = {
    "accounts_max": (1_048_576, 1, 1 << 26),
    "media_max": (2_097_152, 1, 1 << 27),
    "merchants_max": (65_536, 1, 1 << 20),
    "terminals_max": (4_096, 1, 1 << 16),
    "holds_max": (262_144, 1, 1 << 24),
    "undos_max": (1_048_576, 1, 1 << 26),
    "requests_max": (1_048_576, 1, 1 << 26),
    "schedules_max": (65_536, 1, 1 << 20),
    "queue": (16_384, 16, 1 << 20),
    "block_max": (CC_BLOCK_MAX, 64, CC_BLOCK_MAX),
    "overlap_from": (128, 1, CC_BLOCK_MAX),
    "segment_bytes": (0, 0, 1 << 40),          # 0: what the directory was made with
    "journal_bytes_max": (0, 0, 1 << 60),
    "checkpoint_records": (500_000, 1, 1 << 40),
}
COMMITS = ("full", "pipelined")                # docs/concepts/durability.md
TICKETS_PER_PLACE = 4                          # answers may wait longer than commands


cdef class Opened:
    """What an open directory is, beside the shared memory."""

    def __cinit__(self):
        self.lock = -1


def checked_options(dict options):
    """Return all numbers of the options, defaults filled in; EngineError names a bad one."""
    unknown = options.keys() - BOUNDS.keys() - {"clock_path", "lock_memory", "commit"}
    if unknown:
        raise EngineError(f"no such option: {sorted(unknown)[0]}")
    if options.get("commit", COMMITS[0]) not in COMMITS:
        raise EngineError(f"commit is one of {', '.join(COMMITS)}, not {options['commit']!r}")
    numbers = {}
    for name, (default, least, most) in BOUNDS.items():
        value = options.get(name, default)
        if not isinstance(value, int) or not least <= value <= most:
            raise EngineError(f"{name} is a number from {least} to {most}, not {value!r}")
        numbers[name] = value
    return numbers


cdef int open_memory(cc_shared *s, dict numbers, bint lock, cc_bounds *bounds) except -1:
    bounds.accounts, bounds.media = numbers["accounts_max"], numbers["media_max"]
    bounds.merchants, bounds.terminals = numbers["merchants_max"], numbers["terminals_max"]
    bounds.holds, bounds.undos = numbers["holds_max"], numbers["undos_max"]
    bounds.requests, bounds.schedules = numbers["requests_max"], numbers["schedules_max"]
    shared_open(s, numbers["block_max"])
    s.overlap_from = numbers["overlap_from"]
    tables_open(&s.tables, bounds)
    ring_open(&s.ring, numbers["queue"], lock)
    # A job for every place of the queue: a whole batch of replays is no reason to refuse.
    jobs_open(&s.jobs, numbers["queue"])
    checkpoint_open(&s.checkpoint, numbers["checkpoint_records"])
    s.checkpoint.acknowledged = &s.acknowledged_seq
    s.checkpoint.sequencer = &s.ring.bell
    s.checkpoint.journal = &s.journal
    return 0


cdef int open_key(cc_shared *s, str key_file, str data_dir, const cc_identity *identity) except -1:
    store_key(key_file, data_dir, identity, s.tables.pin_key, &s.tables.pin_kid)
    s.tables.pin_mac = pin_mac_new(s.tables.pin_key)
    if s.tables.pin_mac == NULL:
        raise MemoryError
    return 0


cdef int open_journal(
    cc_shared *s, Opened opened, str data_dir, str key_file, dict numbers, str clock_path,
    cc_bounds *bounds,
) except -1:
    """Everything that needs the directory, whose lock is held."""
    cdef cc_identity identity
    cdef cc_stand at
    opened.lock = store_lock(data_dir, &identity)
    opened.test = identity.flags & CC_I_TEST != 0
    opened.identity = (<char*>&identity)[:sizeof(cc_identity)]
    if clock_path and not opened.test:
        raise EngineError(
            f"{data_dir} was not made with init --test: it runs on real time, not on {clock_path}")
    clock_open(&s.clock, clock_path)
    # The wrong key is found before minutes of replay, and again loaded after it.
    open_key(s, key_file, data_dir, &identity)
    close_key(s)
    journal_open(
        &s.journal, data_dir, numbers["segment_bytes"] or identity.segment_bytes,
        numbers["journal_bytes_max"], True)
    opened.recovered = recover(s, data_dir, bounds)
    open_key(s, key_file, data_dir, &identity)
    s.acknowledged_seq = s.journal.last_seq
    if s.journal.last_seq == 0:
        write_first_block(s, &identity)
    take_stand(&s.tables, &at)
    tell_head(s, &at, s.chain)
    return 0


cdef int choose_commit(cc_shared *s, object commit) except -1:
    """Recovery and the first block commit in full; from here on as chosen."""
    cdef int rc = journal_pipeline(&s.journal, commit == "pipelined")
    if rc != 0:
        journal_raise(rc, b"choosing how to commit", 0)
    return 0


cdef void close_key(cc_shared *s) noexcept:
    if s.tables.pin_mac != NULL:
        pin_mac_free(s.tables.pin_mac)
        s.tables.pin_mac = NULL
    wipe(s.tables.pin_key, sizeof(s.tables.pin_key))


cdef Opened engine_open(cc_shared *s, str data_dir, str key_file, dict options):
    """Open everything into the zeroed `s`. After an exception nothing is held."""
    cdef Opened opened = Opened()
    cdef dict numbers = checked_options(options)
    cdef cc_bounds bounds
    memset(&bounds, 0, sizeof(bounds))
    try:
        open_memory(s, numbers, options.get("lock_memory", True), &bounds)
        open_journal(
            s, opened, os.path.abspath(data_dir), os.path.abspath(key_file), numbers,
            options.get("clock_path", ""), &bounds)
        choose_commit(s, options.get("commit", COMMITS[0]))
    except BaseException:
        engine_close(s, opened)
        raise
    opened.answers = Answers(TICKETS_PER_PLACE * numbers["queue"])
    opened.answers.tables = &s.tables
    return opened


cdef int engine_close(cc_shared *s, Opened opened) except -1:
    """Let go of the directory; the threads have ended. Twice does no harm."""
    if opened.lock < 0:
        return 0
    close_key(s)
    journal_close(&s.journal)
    state_close(&s.checkpoint.state)
    close(opened.lock)
    opened.lock = -1
    return 0
