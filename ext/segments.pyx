"""One segment of the journal: making, opening, measuring (see segments.pxd)."""

from libc.errno cimport ENAMETOOLONG, EINTR, EIO, ENOENT, ENOMEM, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport rename, snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.fcntl cimport O_CLOEXEC, O_DIRECTORY, O_RDONLY, O_RDWR, open
from posix.stat cimport fstat, mkdir, struct_stat
from posix.types cimport off_t
from posix.unistd cimport close, fsync, rmdir, unlink

from ext.atomics cimport load32, monotonic_ns, sleep_ns
from ext.lmdb09 cimport (
    MDB_CORRUPTED, MDB_FIRST, MDB_INTEGERKEY, MDB_LAST, MDB_MAPASYNC, MDB_NOLOCK, MDB_NOMETASYNC,
    MDB_NOSYNC,
    MDB_NOTFOUND, MDB_NOTLS, MDB_RDONLY, MDB_WRITEMAP, MDB_cursor, MDB_dbi, MDB_env, MDB_envinfo,
    MDB_txn, MDB_val, mdb,
)
from ext.records cimport cc_block_header


cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) noexcept

cdef extern from *:
    """
    #include <fcntl.h>
    """
    enum:
        SYNC_FILE_RANGE_WRITE
        SYNC_FILE_RANGE_WAIT_AFTER
    int sync_file_range(int fd, off_t at, off_t length, unsigned int flags) noexcept nogil

cdef extern from "sabotage.h" nogil:
    bint sabotaged "cc_sabotaged"(const char *what) noexcept

cdef enum:
    PAGE = 4096
    ZEROS = 1048576             # bytes written ahead at a time
    SLICE = 262144              # the same beside commits: what a commit may have to wait for
    RESTS = 3                   # times what a slice took
    REST_MAX_NS = 20000000
    AHEAD = 8                   # an eighth of a segment that the one being filled may be ahead
    # Pages a commit may need beside the block's own: the changed path of both trees, twice.
    SLACK_PAGES = 32


cdef int segment_path(
    char *out, const char *journal, const char *prefix, uint32_t number,
) noexcept nogil:
    cdef int length = snprintf(out, SEGMENT_PATH, b"%s/%s%06u", journal, prefix, number)
    return 0 if 0 < length < SEGMENT_PATH else ENAMETOOLONG


cdef int _join(char *out, const char *path, const char *name) noexcept nogil:
    cdef int length = snprintf(out, SEGMENT_PATH, b"%s/%s", path, name)
    return 0 if 0 < length < SEGMENT_PATH else ENAMETOOLONG


cdef int sync_directory(const char *path) noexcept nogil:
    cdef int fd, rc
    if sabotaged(b"skip-directory-sync"):
        return 0
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if fd < 0:
        return errno
    rc = 0 if fsync(fd) == 0 else errno
    close(fd)
    return rc


# ---- making one ----

cdef int _make_tree(const char *path, uint64_t size) noexcept nogil:
    """Let LMDB write its two meta pages and the first commit: an empty tree of integer keys."""
    cdef MDB_env *env = NULL
    cdef MDB_txn *txn = NULL
    cdef MDB_dbi dbi
    cdef int rc = mdb.env_create(&env)
    if rc == 0:
        rc = mdb.env_set_mapsize(env, size)
    if rc == 0:
        rc = mdb.env_open(env, path, MDB_NOTLS, 0o600)
    if rc == 0:
        rc = mdb.txn_begin(env, NULL, 0, &txn)
    if rc == 0:
        rc = mdb.dbi_open(txn, NULL, MDB_INTEGERKEY, &dbi)
        if rc == 0:
            rc = mdb.txn_commit(txn)
        else:
            mdb.txn_abort(txn)
    if env != NULL:
        mdb.env_close(env)
    return rc


cdef bint _has_time(const cc_pace *pace, uint64_t at, uint64_t size) noexcept nogil:
    """Begun when the live segment was half full, this one is to be whole well before that is."""
    cdef uint64_t half = pace.live.bytes // 2, head = pace.live.bytes // AHEAD
    if load32(pace.hurry) != 0:
        return False
    return segment_used(pace.live) < half + head + (half - head) * (at // PAGE) // (size // PAGE)


cdef void _give_way(int fd, uint64_t at, size_t length, int64_t began) noexcept nogil:
    """Have a slice written and rest: a segment at once would fill the disk's queue for 0.1 s."""
    sync_file_range(fd, at, length, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)
    sleep_ns(min(RESTS * (monotonic_ns() - began), <int64_t>REST_MAX_NS))


cdef int _write_ahead(int fd, uint64_t size, const cc_pace *pace) noexcept nogil:
    """Write zeros behind what LMDB has written: a commit then changes no file system metadata."""
    cdef struct_stat st
    cdef uint64_t at
    cdef size_t length
    cdef ssize_t written
    cdef int64_t began
    cdef bint gentle
    cdef int rc = 0
    cdef void *zeros
    if fstat(fd, &st) != 0:
        return errno
    zeros = calloc(1, ZEROS)
    if zeros == NULL:
        return ENOMEM
    at = st.st_size
    while at < size and rc == 0:
        gentle = pace.live != NULL and _has_time(pace, at, size)
        began = monotonic_ns()
        length = min(<uint64_t>(SLICE if gentle else ZEROS), size - at)
        written = pwrite(fd, zeros, length, at)
        if written < 0:
            rc = 0 if errno == EINTR else errno
        elif written == 0:
            rc = EIO
        else:
            if gentle:
                _give_way(fd, at, <size_t>written, began)
            at += written
    free(zeros)
    return rc


cdef int _fill(const char *path, uint64_t size, const cc_pace *pace) noexcept nogil:
    """Bring the data file to its size and onto the disk."""
    cdef char name[SEGMENT_PATH]
    cdef int fd, rc = _join(name, path, b"data.mdb")
    if rc != 0:
        return rc
    fd = open(name, O_RDWR | O_CLOEXEC)
    if fd < 0:
        return errno
    rc = _write_ahead(fd, size, pace)
    if rc == 0 and fsync(fd) != 0:
        rc = errno
    if close(fd) != 0 and rc == 0:
        rc = errno
    return rc


cdef int _clear(const char *path) noexcept nogil:
    """Remove what an attempt before a crash has left under the temporary name."""
    cdef char name[SEGMENT_PATH]
    if _join(name, path, b"data.mdb") == 0:
        unlink(name)
    if _join(name, path, b"lock.mdb") == 0:
        unlink(name)
    return 0 if rmdir(path) == 0 or errno == ENOENT else errno


cdef int segment_create(
    const char *journal, uint32_t number, uint64_t bytes, const cc_pace *pace, cc_fault *fault,
) noexcept nogil:
    cdef char temporary[SEGMENT_PATH]
    cdef char final[SEGMENT_PATH]
    cdef char lock[SEGMENT_PATH]
    cdef uint64_t size = (bytes + PAGE - 1) // PAGE * PAGE
    cdef int rc = segment_path(temporary, journal, b".new-", number)
    if rc == 0:
        rc = segment_path(final, journal, b"", number)
    if rc == 0:
        rc = _clear(temporary)
    if rc == 0 and mkdir(temporary, 0o700) != 0:
        rc = errno
    if rc == 0:
        rc = _make_tree(temporary, size)
    if rc == 0:
        rc = _fill(temporary, size, pace)
    if rc == 0:
        # The lock table is of this process and this opening only.
        rc = _join(lock, temporary, b"lock.mdb")
        unlink(lock)
    if rc == 0:
        rc = sync_directory(temporary)
    if rc == 0 and rename(temporary, final) != 0:
        rc = errno
    if rc == 0:
        rc = sync_directory(journal)
    if rc != 0:
        _clear(temporary)
        return fault_set(fault, b"making a journal segment", rc)
    return 0


cdef int segment_discard(const char *journal, uint32_t number, cc_fault *fault) noexcept nogil:
    cdef char path[SEGMENT_PATH]
    cdef char temporary[SEGMENT_PATH]
    cdef int rc = segment_path(path, journal, b"", number)
    if rc == 0:
        rc = segment_path(temporary, journal, b".new-", number)
    # Under the temporary name it may be half removed when the process dies.
    if rc == 0 and rename(path, temporary) != 0:
        rc = errno
    if rc == 0:
        rc = _clear(temporary)
    if rc == 0:
        rc = sync_directory(journal)
    return rc if rc == 0 else fault_set(fault, b"removing an empty journal segment", rc)


# ---- opening one ----

cdef int _file_size(const char *path, uint64_t *size) noexcept nogil:
    cdef char name[SEGMENT_PATH]
    cdef struct_stat st
    cdef int fd, rc = _join(name, path, b"data.mdb")
    if rc != 0:
        return rc
    fd = open(name, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return errno
    rc = 0 if fstat(fd, &st) == 0 else errno
    close(fd)
    size[0] = st.st_size
    return rc


cdef int _open_tree(cc_segment *segment, bint writable) noexcept nogil:
    cdef MDB_txn *txn = NULL
    cdef int rc = mdb.txn_begin(segment.env, NULL, MDB_RDONLY, &txn)
    if rc != 0:
        return rc
    rc = mdb.dbi_open(txn, NULL, MDB_INTEGERKEY, &segment.dbi)
    mdb.txn_abort(txn)
    return rc


cdef int segment_open(
    cc_segment *segment, const char *journal, uint32_t number, bint writable, cc_fault *fault,
) noexcept nogil:
    cdef char path[SEGMENT_PATH]
    cdef unsigned int flags = MDB_NOTLS if writable else MDB_NOTLS | MDB_RDONLY | MDB_NOLOCK
    cdef unsigned int forbidden = MDB_NOSYNC | MDB_NOMETASYNC | MDB_MAPASYNC | MDB_WRITEMAP
    cdef int rc
    memset(segment, 0, sizeof(cc_segment))
    segment.number = number
    rc = segment_path(path, journal, b"", number)
    if rc == 0:
        rc = _file_size(path, &segment.bytes)
    if rc == 0:
        rc = mdb.env_create(&segment.env)
    if rc == 0:
        rc = mdb.env_set_mapsize(segment.env, segment.bytes)
    if rc == 0:
        if sabotaged(b"acknowledge-before-sync"):
            flags |= MDB_NOSYNC
            forbidden = 0
        if sabotaged(b"open-without-sync"):
            flags |= MDB_NOSYNC
        rc = mdb.env_open(segment.env, path, flags, 0o600)
    if rc == 0:
        rc = mdb.env_get_flags(segment.env, &flags)
    if rc == 0 and flags & forbidden:
        segment_close(segment)
        return fault_set(fault, b"a journal segment may not be opened without sync", EIO)
    if rc == 0:
        rc = _open_tree(segment, writable)
    if rc != 0:
        segment_close(segment)
        return fault_set(fault, b"opening a journal segment", rc)
    return 0


cdef void segment_close(cc_segment *segment) noexcept nogil:
    if segment.env != NULL:
        mdb.env_close(segment.env)
        segment.env = NULL


# ---- looking into one ----

cdef int _last_seq(const MDB_val *key, const MDB_val *value, uint64_t *last) noexcept nogil:
    """The key of a block, which its header must repeat."""
    cdef cc_block_header head
    if key.mv_size != 8 or value.mv_size < sizeof(head):
        return MDB_CORRUPTED
    memcpy(last, key.mv_data, 8)
    memcpy(&head, value.mv_data, sizeof(head))
    return 0 if head.last_seq == last[0] and head.first_seq <= last[0] else MDB_CORRUPTED


cdef int segment_bounds(cc_segment *segment, cc_fault *fault) noexcept nogil:
    cdef MDB_txn *txn = NULL
    cdef MDB_cursor *cursor = NULL
    cdef MDB_val key, value
    cdef cc_block_header head
    cdef uint64_t last = 0
    cdef int rc = mdb.txn_begin(segment.env, NULL, MDB_RDONLY, &txn)
    if rc != 0:
        return fault_set(fault, b"reading a journal segment", rc)
    rc = mdb.cursor_open(txn, segment.dbi, &cursor)
    if rc == 0:
        rc = mdb.cursor_get(cursor, &key, &value, MDB_LAST)
    if rc == 0:
        rc = _last_seq(&key, &value, &last)
    if rc == 0:
        rc = mdb.cursor_get(cursor, &key, &value, MDB_FIRST)
    if rc == 0 and value.mv_size >= sizeof(cc_block_header):
        memcpy(&head, value.mv_data, sizeof(head))
        segment.first_seq = head.first_seq
        segment.last_seq = last
    if cursor != NULL:
        mdb.cursor_close(cursor)
    mdb.txn_abort(txn)
    if rc == MDB_NOTFOUND:
        return 0
    return 0 if rc == 0 else fault_set(fault, b"reading a journal segment", rc)


cdef uint64_t segment_used(const cc_segment *segment) noexcept nogil:
    cdef MDB_envinfo info
    if mdb.env_info(segment.env, &info) != 0:
        return segment.bytes
    return (<uint64_t>info.me_last_pgno + 1) * PAGE


cdef bint segment_fits(const cc_segment *segment, uint64_t length) noexcept nogil:
    return segment_used(segment) + length + (SLACK_PAGES + 1) * PAGE <= segment.bytes


cdef bint segment_half_full(const cc_segment *segment) noexcept nogil:
    return 2 * segment_used(segment) + (SLACK_PAGES + 1) * PAGE > segment.bytes


cdef uint64_t segment_bytes_for(uint64_t segment_bytes, uint64_t length) noexcept nogil:
    cdef uint64_t need = length + (SLACK_PAGES + 8) * <uint64_t>PAGE
    return max(max(segment_bytes, need), <uint64_t>SEGMENT_BYTES_MIN)
