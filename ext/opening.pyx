"""Opens a journal: looks it over and makes sure that what it found is on the disk."""

import mmap
import os

from ext.errors import EngineError, JournalCorrupt

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ext.audit cimport audit_meta, audit_tree, cc_audit
from ext.blocks cimport (
    BLOCK_OK, block_check, block_finding, block_header, block_trailer,
)
from ext.digest cimport iovec, sha256_free, sha256_new
from ext.journal cimport (
    SEGMENTS_MAX, cc_fatal, cc_journal, cc_reader, journal_append, journal_raise, lmdb_assertion,
    pthread_mutex_t, reader_close, reader_open, reader_seek,
)
from ext.lmdb09 cimport mdb
from ext.segments cimport (
    SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MIN, SEGMENT_PATH, cc_fault, cc_segment, segment_bounds,
    segment_close, segment_open, sync_directory,
)


cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes) noexcept
    int pthread_mutex_destroy(pthread_mutex_t *mutex) noexcept


cdef list _numbers(path, bint writable):
    """Segment numbers in order; removes what an interrupted making has left."""
    numbers = []
    for name in sorted(os.listdir(path)):
        if name.startswith(".new-"):
            if writable:
                for part in os.listdir(os.path.join(path, name)):
                    os.unlink(os.path.join(path, name, part))
                os.rmdir(os.path.join(path, name))
        elif len(name) == 6 and name.isdecimal():
            numbers.append(int(name))
        else:
            raise EngineError(f"{os.path.join(path, name)} is not part of a journal")
    if not numbers:
        raise EngineError(f"{path} holds no segment")
    if numbers != list(range(1, len(numbers) + 1)):
        raise EngineError(f"{path}: segments missing between 000001 and {max(numbers):06d}")
    if len(numbers) > SEGMENTS_MAX:
        raise EngineError(f"{path}: more than {SEGMENTS_MAX} segments")
    return numbers


cdef object _map(path, int number):
    """Map a segment's file for reading; a memory view of it."""
    name = os.path.join(path, f"{number:06d}", "data.mdb")
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_size < 4 * 4096:
            raise EngineError(f"{name} is too short for a segment")
        return mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    finally:
        os.close(fd)


cdef int _raise_finding(cc_audit *found, uint64_t after) except -1:
    raise JournalCorrupt(found.bad_seq if found.bad_seq else after + 1, found.finding.decode())


cdef int _open_one(cc_journal *j, uint32_t number, bint writable, cc_segment **out) except -1:
    cdef cc_segment *segment = <cc_segment*>calloc(1, sizeof(cc_segment))
    cdef cc_fault fault
    cdef int rc
    if segment == NULL:
        raise MemoryError
    memset(&fault, 0, sizeof(fault))
    rc = segment_open(segment, j.path, number, writable, &fault)
    if rc == 0:
        mdb.env_set_assert(segment.env, lmdb_assertion)
        rc = segment_bounds(segment, &fault)
    if rc != 0:
        segment_close(segment)
        free(segment)
        if rc < 0:
            # LMDB's own finding: the file exists and has been looked over, so it is damage.
            raise JournalCorrupt(j.last_seq + 1, mdb.strerror(rc).decode())
        journal_raise(rc, fault.what, 0)
    out[0] = segment
    return 0


cdef int _open_sealed(cc_journal *j, path, uint32_t number) except -1:
    """A segment before the last one with blocks: its meta pages, its ends."""
    cdef const uint8_t[::1] file = _map(path, number)
    cdef cc_audit found
    cdef cc_segment *segment
    if audit_meta(&file[0], file.shape[0], &found) != 0:
        _raise_finding(&found, j.last_seq)
    _open_one(j, number, False, &segment)
    j.segment[j.count] = segment
    j.count += 1
    j.sealed_bytes += segment.bytes
    if segment.first_seq != j.last_seq + 1:
        raise JournalCorrupt(j.last_seq + 1, "gap in the sequence between two segments")
    j.last_seq = segment.last_seq
    return 0


cdef list _orphans_of(const cc_audit *found):
    """Copies: where they lie is where the next commit writes, and not aligned to be read."""
    return [
        (<const char*>found.orphan[i])[:found.orphan_length[i]] for i in range(found.orphans)
    ]


cdef bint _complete(cc_journal *j, list orphans, const uint8_t *chain, void *sha) except -1:
    """Append the block that a commit without its meta page has left, if it follows on the newest.

    It may have been acknowledged, when the disk has lost just that page. True when there was one.
    """
    cdef const uint8_t *block
    cdef uint64_t bad = 0
    cdef iovec part[4]
    memset(part, 0, sizeof(part))
    for orphan in orphans:
        block = <const uint8_t*><bytes>orphan
        if block_check(block, len(orphan), j.last_seq + 1, chain, sha, &bad) != BLOCK_OK:
            continue
        if not j.writable:
            # A start settles that it counts; until then nobody may say it is not there.
            raise JournalCorrupt(
                j.last_seq + 1, "a commit cut short at its very end; the next start completes it")
        part[0].iov_base = <void*>block
        part[0].iov_len = len(orphan)
        if journal_append(j, block_header(block), part) != 0:
            cc_fatal(j.fault.what, j.fault.rc)
        return True
    return False


cdef bint _check_head(cc_journal *j, list orphans) except -1:
    """The newest block must be sound; then what has been left of one after it."""
    cdef cc_reader r
    cdef const uint8_t *block
    cdef size_t size
    cdef uint64_t bad = j.last_seq
    cdef uint8_t chain[32]
    cdef void *sha = sha256_new()
    cdef int rc = 0
    if sha == NULL:
        raise MemoryError
    memset(chain, 0, 32)
    reader_open(&r, j)
    if j.last_seq != 0:
        rc = reader_seek(&r, j.last_seq, &block, &size)
        if rc == 0:
            rc = block_check(block, size, 0, NULL, sha, &bad)
            r.finding = block_finding(rc)
            memcpy(chain, block_trailer(block).chain, 32)
    reader_close(&r)
    try:
        if rc != 0:
            finding = r.finding.decode() if r.finding != NULL else "unreadable"
            raise JournalCorrupt(bad if bad else j.last_seq, finding)
        return _complete(j, orphans, chain, sha)
    finally:
        sha256_free(sha)


cdef list _open_live(cc_journal *j, path, uint32_t number):
    """The segment written to: every page of it. What is found is on the disk when this returns.

    Returns what may be blocks that its trees do not lead to.
    """
    cdef const uint8_t[::1] file = _map(path, number)
    cdef cc_audit found
    cdef cc_segment *segment
    cdef int rc
    with nogil:
        rc = audit_tree(&file[0], file.shape[0], &found)
    if rc != 0:
        _raise_finding(&found, j.last_seq)
    _open_one(j, number, j.writable, &segment)
    j.segment[j.count] = segment
    j.count += 1
    if segment.first_seq != 0:
        if segment.first_seq != j.last_seq + 1:
            raise JournalCorrupt(j.last_seq + 1, "gap in the sequence between two segments")
        j.last_seq = segment.last_seq
    if j.writable:
        # A process killed while it synced may have left a commit in the page cache only.
        rc = mdb.env_sync(segment.env, 1)
        if rc == 0:
            rc = sync_directory(j.path)
        if rc != 0:
            journal_raise(rc, b"syncing the journal", 0)
    return _orphans_of(&found)


cdef list _open_next(cc_journal *j, path, uint32_t number):
    """The segment made ahead, which holds no block, or one that its meta pages do not know."""
    cdef const uint8_t[::1] file = _map(path, number)
    cdef cc_audit found
    cdef cc_segment *next
    if audit_tree(&file[0], file.shape[0], &found) != 0:
        _raise_finding(&found, j.last_seq)
    _open_one(j, number, j.writable, &next)
    j.next = next
    return _orphans_of(&found)


cdef int _blocks_in(path, uint32_t number, uint64_t last_seq) except -1:
    """Whether a segment holds blocks: 0 or 1."""
    cdef const uint8_t[::1] file = _map(path, number)
    cdef cc_audit found
    if audit_meta(&file[0], file.shape[0], &found) != 0:
        _raise_finding(&found, last_seq)
    return found.blocks != 0 or found.later


cdef bint _open_all(
    cc_journal *j, str path, uint64_t segment_bytes, uint64_t bytes_max, bint writable,
) except -1:
    """Open every segment; True when a block has been completed, so that all is to be seen anew."""
    cdef bytes encoded = os.fsencode(path)
    memset(j, 0, sizeof(cc_journal))
    pthread_mutex_init(&j.making, NULL)
    memcpy(j.path, <const char*>encoded, len(encoded))
    j.segment_bytes = max(segment_bytes or SEGMENT_BYTES_DEFAULT, <uint64_t>SEGMENT_BYTES_MIN)
    j.bytes_max = bytes_max
    j.writable = writable
    try:
        numbers = _numbers(path, writable)
        # The last segment may be one made ahead: empty, after the one written to.
        live = len(numbers)
        if live > 1 and not _blocks_in(path, live, 0):
            live -= 1
        for number in range(1, live):
            _open_sealed(j, path, number)
        orphans = _open_live(j, path, live)
        if live < len(numbers):
            orphans += _open_next(j, path, live + 1)
        completed = _check_head(j, orphans)
        j.durable_seq = j.last_seq
        return completed
    except BaseException:
        journal_close(j)
        raise


cdef int journal_open(
    cc_journal *j, object data_dir, uint64_t segment_bytes, uint64_t bytes_max, bint writable,
) except -1:
    path = os.path.abspath(os.path.join(os.fsdecode(data_dir), "journal"))
    if len(os.fsencode(path)) > SEGMENT_PATH - 64:
        raise EngineError(f"{path}: path too long")
    try:
        # Pipelined, two commits may lack their meta pages. The next start must not find another.
        while _open_all(j, path, segment_bytes, bytes_max, writable):
            journal_close(j)
    except OSError as error:
        raise EngineError(f"{path}: {error}") from error
    return 0


cdef void journal_close(cc_journal *j) noexcept:
    cdef uint32_t i
    cdef cc_segment *next = <cc_segment*>j.next
    for i in range(j.count):
        segment_close(j.segment[i])
        free(j.segment[i])
    if next != NULL:
        segment_close(next)
        free(next)
    j.count = 0
    j.next = NULL
    pthread_mutex_destroy(&j.making)
