"""The journal over its segments: append, roll, read (see journal.pxd)."""

from ext.errors import EngineError, JournalCorrupt

from libc.errno cimport EINVAL, ENOMEM
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strerror
from posix.unistd cimport _exit, write

from ext.atomics cimport load32, load64, load_pointer, store32, store64, swap_pointer
from ext.blocks cimport BLOCK_OK, block_header, block_records, block_shape
from ext.digest cimport crc32c, iovec
from ext.lmdb09 cimport (
    MDB_APPEND, MDB_NEXT, MDB_NOMETASYNC, MDB_NOSYNC, MDB_NOTFOUND, MDB_RDONLY, MDB_RESERVE,
    MDB_SET_RANGE, MDB_env, MDB_txn, MDB_val, mdb,
)
from ext.records cimport cc_block_header, cc_record
from ext.segments cimport (
    cc_fault, cc_pace, cc_segment, fault_set, segment_bytes_for, segment_close, segment_create,
    segment_discard, segment_fits, segment_half_full, segment_open, segment_used,
)


cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_lock(pthread_mutex_t *mutex) noexcept
    int pthread_mutex_unlock(pthread_mutex_t *mutex) noexcept

cdef extern from "<sys/statvfs.h>" nogil:
    struct statvfs:
        unsigned long f_frsize
        unsigned long f_bavail
    int statvfs_of "statvfs"(const char *path, statvfs *out) noexcept

cdef extern from "sabotage.h" nogil:
    bint sabotaged "cc_sabotaged"(const char *what) noexcept


# ---- stopping ----

cdef const char *journal_words(int rc) noexcept nogil:
    if rc == JOURNAL_END:
        return b"not in the journal"
    if rc == JOURNAL_DAMAGED:
        return b"damaged"
    if rc == JOURNAL_FAILED:
        return b"the journal has failed before"
    if rc == JOURNAL_FULL:
        return b"no space for another segment"
    if rc < 0 and mdb.strerror != NULL:
        return mdb.strerror(rc)
    return strerror(rc)


cdef void cc_fatal(const char *what, int rc) noexcept nogil:
    cdef char line[512]
    cdef int length = snprintf(
        line, sizeof(line),
        b"campuscard: fatal: %s: %s (%d). The process ends; start it again to recover.\n",
        what, journal_words(rc), rc)
    if length > 0:
        # Nothing can be done if stderr is gone.
        write(2, line, min(<size_t>length, sizeof(line) - 1))
    _exit(EXIT_FATAL)


cdef void lmdb_assertion(MDB_env *env, const char *message) noexcept nogil:
    cc_fatal(message, EINVAL)


cdef int journal_raise(int rc, const char *what, uint64_t seq) except -1:
    if rc == JOURNAL_DAMAGED:
        raise JournalCorrupt(seq, what.decode())
    raise EngineError(f"{what.decode()}: {journal_words(rc).decode(errors='replace')} ({rc})")


# ---- appending ----

cdef int _failed(cc_journal *j, const char *what, int rc) noexcept nogil:
    store32(&j.failed, 1)
    return fault_set(&j.fault, what, rc)


cdef int _put(
    cc_segment *segment, uint64_t key, const iovec *part, uint64_t length,
) noexcept nogil:
    """One block, one transaction: data pages, fdatasync, meta page.

    The meta page goes through an O_DSYNC file; pipelined it is left to the next fdatasync.
    """
    cdef MDB_txn *txn = NULL
    cdef MDB_val name, value
    cdef char *to
    cdef int i, rc
    rc = mdb.txn_begin(segment.env, NULL, 0, &txn)
    if rc != 0:
        return rc
    name.mv_size = 8
    name.mv_data = &key
    value.mv_size = length
    value.mv_data = NULL
    rc = mdb.put(txn, segment.dbi, &name, &value, MDB_RESERVE | MDB_APPEND)
    if rc != 0:
        mdb.txn_abort(txn)
        return rc
    to = <char*>value.mv_data
    for i in range(4):
        if part[i].iov_len:
            memcpy(to, part[i].iov_base, part[i].iov_len)
            to += part[i].iov_len
    return mdb.txn_commit(txn)


cdef int _take_next(cc_journal *j, uint64_t length, cc_segment **out) noexcept nogil:
    """The segment made ahead, or one made now. The caller holds `making`."""
    cdef cc_segment *next = <cc_segment*>j.next
    cdef cc_pace at_once = [NULL, NULL]
    cdef int rc
    if next != NULL and not segment_fits(next, length):
        # Made for an ordinary block: an extraordinary one gets a segment of its size.
        segment_close(next)
        rc = segment_discard(j.path, next.number, &j.fault)
        free(next)
        j.next = NULL
        if rc != 0:
            return rc
    rc = _make_locked(j, length, &at_once, &j.fault)
    out[0] = <cc_segment*>j.next
    j.next = NULL
    return rc


cdef int _roll(cc_journal *j, uint64_t length) noexcept nogil:
    """Go on in the next segment."""
    cdef cc_segment *live = j.segment[j.count - 1]
    cdef cc_segment *next = NULL
    cdef int rc
    # What comes after is in another file, whose syncs say nothing of this one.
    rc = mdb.env_sync(live.env, 1)
    if rc != 0:
        return _failed(j, b"syncing a full journal segment", rc)
    if j.count == SEGMENTS_MAX:
        return _failed(j, b"the journal has its largest number of segments", JOURNAL_FULL)
    pthread_mutex_lock(&j.making)
    rc = _take_next(j, length, &next)
    if rc == 0:
        j.sealed_bytes += live.bytes
        j.segment[j.count] = next
        store32(&j.count, j.count + 1)
    pthread_mutex_unlock(&j.making)
    return 0 if rc == 0 else _failed(j, j.fault.what, rc)


cdef int journal_append(
    cc_journal *j, const cc_block_header *head, const iovec *part,
) noexcept nogil:
    cdef cc_segment *live
    cdef uint64_t length = 0
    cdef int i, rc
    if load32(&j.failed) or not j.writable:
        return JOURNAL_FAILED
    if head.first_seq != j.last_seq + 1 or head.last_seq < head.first_seq:
        return _failed(j, b"a block that does not follow the last one", EINVAL)
    for i in range(4):
        length += part[i].iov_len
    if not segment_fits(j.segment[j.count - 1], length):
        rc = _roll(j, length)
        if rc != 0:
            return rc
    live = j.segment[j.count - 1]
    rc = _put(live, head.last_seq, part, length)
    if rc != 0 and sabotaged(b"retry-failed-sync"):
        rc = _put(live, head.last_seq, part, length)
    if rc != 0:
        return _failed(j, b"committing a block", rc)
    # LMDB syncs before it writes the meta page: this sync has covered the block before.
    j.durable_seq = j.last_seq
    if not j.pipelined or sabotaged(b"acknowledge-at-its-own-return"):
        j.durable_seq = head.last_seq
    if live.first_seq == 0:
        store64(&live.first_seq, head.first_seq)
    store64(&live.last_seq, head.last_seq)
    store64(&j.last_seq, head.last_seq)
    return 0


cdef int journal_settle(cc_journal *j) noexcept nogil:
    cdef int rc
    if load32(&j.failed):
        return JOURNAL_FAILED
    rc = mdb.env_sync(j.segment[j.count - 1].env, 1)
    if rc != 0:
        return _failed(j, b"syncing a block", rc)
    j.durable_seq = j.last_seq
    return 0


cdef int journal_pipeline(cc_journal *j, bint pipelined) noexcept nogil:
    cdef cc_segment *next = <cc_segment*>load_pointer(&j.next)
    cdef int rc = journal_settle(j)
    if rc == 0:
        rc = mdb.env_set_flags(j.segment[j.count - 1].env, MDB_NOMETASYNC, pipelined)
    if rc == 0 and next != NULL:
        rc = mdb.env_set_flags(next.env, MDB_NOMETASYNC, pipelined)
    j.pipelined = pipelined
    return rc


cdef int journal_unsync(cc_journal *j) noexcept nogil:
    j.unsynced = True
    return mdb.env_set_flags(j.segment[j.count - 1].env, MDB_NOSYNC, 1)


cdef int journal_sync(cc_journal *j) noexcept nogil:
    cdef cc_segment *live = j.segment[j.count - 1]
    # The segments before it were synced when they were full.
    cdef cc_segment *next = <cc_segment*>load_pointer(&j.next)
    cdef int rc = mdb.env_sync(live.env, 1)
    j.unsynced = False
    if rc == 0:
        rc = mdb.env_set_flags(live.env, MDB_NOSYNC, 0)
    if rc == 0 and next != NULL:
        rc = mdb.env_set_flags(next.env, MDB_NOSYNC, 0)
    return rc


# ---- the next segment and the space left ----

cdef bint journal_wants_next(cc_journal *j) noexcept nogil:
    cdef cc_segment *live = j.segment[load32(&j.count) - 1]
    return load_pointer(&j.next) == NULL and segment_half_full(live)


cdef uint64_t _allocated(cc_journal *j) noexcept nogil:
    cdef cc_segment *next = <cc_segment*>load_pointer(&j.next)
    cdef uint64_t total = j.sealed_bytes + j.segment[load32(&j.count) - 1].bytes
    return total + (next.bytes if next != NULL else 0)


cdef uint64_t _obtainable(cc_journal *j, uint64_t segment_bytes) noexcept nogil:
    """Bytes of further segments, whole ones only, that file system and limit allow."""
    cdef statvfs fs
    cdef uint64_t free_bytes = 0
    cdef uint64_t allocated = _allocated(j)
    if statvfs_of(j.path, &fs) == 0:
        free_bytes = <uint64_t>fs.f_bavail * fs.f_frsize
    if j.bytes_max != 0:
        free_bytes = min(free_bytes, j.bytes_max - allocated if j.bytes_max > allocated else 0)
    return free_bytes // segment_bytes * segment_bytes


cdef int _make_locked(
    cc_journal *j, uint64_t length, const cc_pace *pace, cc_fault *fault,
) noexcept nogil:
    cdef cc_segment *made
    cdef uint32_t number = j.segment[j.count - 1].number + 1
    cdef uint64_t size = segment_bytes_for(j.segment_bytes, length)
    cdef int rc
    if j.next != NULL:
        return 0
    if _obtainable(j, size) == 0:
        return fault_set(fault, b"making a journal segment", JOURNAL_FULL)
    made = <cc_segment*>calloc(1, sizeof(cc_segment))
    if made == NULL:
        return fault_set(fault, b"making a journal segment", ENOMEM)
    rc = segment_create(j.path, number, size, pace, fault)
    if rc == 0:
        rc = segment_open(made, j.path, number, True, fault)
    if rc != 0:
        free(made)
        return rc
    mdb.env_set_assert(made.env, lmdb_assertion)
    if j.unsynced:
        mdb.env_set_flags(made.env, MDB_NOSYNC, 1)
    if j.pipelined:
        mdb.env_set_flags(made.env, MDB_NOMETASYNC, 1)
    swap_pointer(&j.next, made)
    return 0


cdef int journal_prepare(cc_journal *j, const uint32_t *hurry) noexcept nogil:
    cdef cc_fault fault
    cdef cc_pace pace
    cdef int rc
    if not journal_wants_next(j):
        return 0
    pace.live = j.segment[load32(&j.count) - 1] if hurry != NULL else NULL
    pace.hurry = hurry
    pthread_mutex_lock(&j.making)
    rc = _make_locked(j, 0, &pace, &fault)
    pthread_mutex_unlock(&j.making)
    return rc


cdef void journal_space(cc_journal *j, cc_space *out) noexcept nogil:
    cdef cc_segment *live = j.segment[load32(&j.count) - 1]
    out.map_used = segment_used(live)
    out.map_size = live.bytes
    out.used = j.sealed_bytes + out.map_used
    out.room = _allocated(j) + _obtainable(j, j.segment_bytes)
    out.permille = <uint32_t>(out.used * 1000 // out.room)


cdef uint32_t journal_space_permille(cc_journal *j) noexcept nogil:
    cdef cc_space space
    journal_space(j, &space)
    return space.permille


# ---- reading ----

cdef void reader_open(cc_reader *r, cc_journal *j) noexcept nogil:
    memset(r, 0, sizeof(cc_reader))
    r.journal = j
    r.limit = UINT64_MAX
    r.next_seq = 1


cdef void reader_close(cc_reader *r) noexcept nogil:
    if r.cursor != NULL:
        mdb.cursor_close(r.cursor)
    if r.txn != NULL:
        mdb.txn_abort(r.txn)
    r.cursor = NULL
    r.txn = NULL
    r.segment = NULL
    r.paused = False


cdef void reader_pause(cc_reader *r) noexcept nogil:
    if r.txn != NULL and not r.paused:
        mdb.txn_reset(r.txn)
        r.paused = True


cdef int _enter(cc_reader *r, cc_segment *segment) noexcept nogil:
    """Take a fresh snapshot of a segment."""
    cdef int rc
    if r.segment != segment:
        reader_close(r)
        rc = mdb.txn_begin(segment.env, NULL, MDB_RDONLY, &r.txn)
        if rc == 0:
            rc = mdb.cursor_open(r.txn, segment.dbi, &r.cursor)
        if rc == 0:
            r.segment = segment
            return 0
        reader_close(r)
        return rc
    reader_pause(r)
    rc = mdb.txn_renew(r.txn)
    if rc == 0:
        r.paused = False
        rc = mdb.cursor_renew(r.txn, r.cursor)
    if rc != 0:
        reader_close(r)
    return rc


cdef int _reader_damaged(cc_reader *r, uint64_t seq, const char *finding) noexcept nogil:
    r.bad_seq = seq
    r.finding = finding
    return JOURNAL_DAMAGED


cdef int _give(
    cc_reader *r, uint64_t seq, const MDB_val *key, const MDB_val *value,
    const uint8_t **block, size_t *length,
) noexcept nogil:
    """Hand out the block that must hold seq."""
    cdef const uint8_t *at = <const uint8_t*>value.mv_data
    cdef const cc_block_header *head
    cdef uint64_t last
    if key.mv_size != 8 or value.mv_size < sizeof(cc_block_header):
        return _reader_damaged(r, seq, b"block too short")
    memcpy(&last, key.mv_data, 8)
    if <size_t>at & 7:
        # Small blocks lie inside LMDB's pages, aligned to two bytes.
        if value.mv_size > sizeof(r.small):
            return _reader_damaged(r, seq, b"block misplaced")
        memcpy(r.small, at, value.mv_size)
        at = <const uint8_t*>r.small
    if block_shape(at, value.mv_size) != BLOCK_OK:
        return _reader_damaged(r, seq, b"length differs from its header's")
    head = block_header(at)
    if head.last_seq != last or not head.first_seq <= seq <= last:
        return _reader_damaged(r, seq, b"block under the wrong seq")
    if last > r.limit:
        return JOURNAL_END
    r.next_seq = last + 1
    block[0] = at
    length[0] = value.mv_size
    return 0


cdef cc_segment *_segment_of(cc_journal *j, uint64_t seq) noexcept nogil:
    cdef uint32_t i = load32(&j.count)
    cdef uint64_t first
    while i > 0:
        i -= 1
        first = load64(&j.segment[i].first_seq)
        if first != 0 and first <= seq:
            return j.segment[i]
    return NULL


cdef int reader_seek(
    cc_reader *r, uint64_t seq, const uint8_t **block, size_t *length,
) noexcept nogil:
    cdef cc_segment *segment = _segment_of(r.journal, seq)
    cdef MDB_val key, value
    cdef int rc
    if segment == NULL or seq > r.limit or seq > load64(&segment.last_seq):
        return JOURNAL_END
    rc = _enter(r, segment)
    if rc != 0:
        return rc
    key.mv_size = 8
    key.mv_data = &seq
    rc = mdb.cursor_get(r.cursor, &key, &value, MDB_SET_RANGE)
    if rc == MDB_NOTFOUND:
        return _reader_damaged(r, seq, b"block missing")
    if rc != 0:
        return _reader_damaged(r, seq, mdb.strerror(rc))
    return _give(r, seq, &key, &value, block, length)


cdef int reader_next(cc_reader *r, const uint8_t **block, size_t *length) noexcept nogil:
    cdef MDB_val key, value
    if r.txn == NULL or r.paused:
        return reader_seek(r, r.next_seq, block, length)
    if mdb.cursor_get(r.cursor, &key, &value, MDB_NEXT) == 0:
        return _give(r, r.next_seq, &key, &value, block, length)
    # The end of this snapshot: there may be more by now, here or in the next segment.
    return reader_seek(r, r.next_seq, block, length)


cdef int journal_read_record(
    cc_journal *j, uint64_t seq, cc_block_header *head, cc_record *out,
) noexcept nogil:
    cdef cc_reader r
    cdef const uint8_t *block
    cdef size_t length
    cdef int rc
    reader_open(&r, j)
    rc = reader_seek(&r, seq, &block, &length)
    if rc == 0:
        memcpy(head, block, sizeof(cc_block_header))
        memcpy(out, block_records(block) + (seq - head.first_seq), sizeof(cc_record))
        if (head.crc32c != crc32c(0, head, sizeof(cc_block_header) - 4) or out.seq != seq
                or out.crc32c != crc32c(0, out, sizeof(cc_record) - 4)):
            rc = JOURNAL_DAMAGED
    reader_close(&r)
    return rc
