"""A journal from Python: what follows, copies, verifies or dumps one without an engine.

A Mirror takes the directory's lock like an engine would, so that no two processes ever work on
the same files. Blocks come in sealed, as another journal gave them out, and are checked before
they are appended.
"""

from ext.errors import EngineError, JournalCorrupt

from libc.stdint cimport UINT64_MAX, uint8_t, uint64_t
from libc.string cimport memcpy, memset
from posix.unistd cimport close

from ext.blocks cimport (
    BLOCK_OK, block_check, block_finding, block_header, block_trailer,
)
from ext.digest cimport iovec, sha256_free, sha256_new
from ext.journal cimport (
    JOURNAL_DAMAGED, JOURNAL_END, cc_fatal, cc_journal, cc_reader, cc_space, journal_append,
    journal_prepare, journal_raise, journal_read_record, journal_space, journal_sync,
    journal_unsync, journal_wants_next, reader_close, reader_next, reader_open, reader_pause,
    reader_seek,
)
from ext.opening cimport journal_close, journal_open
from ext.records cimport cc_block_header, cc_record
from ext.store cimport cc_identity, store_lock


cdef class Mirror:
    """One open data directory.

    `write`: blocks can be appended; otherwise nothing in the directory changes but its lock.
    `unsynced`: for a directory nobody relies on yet: what is appended is durable after `sync`.
    `journal_bytes_max`: bytes the journal may take; 0: what the file system has.
    """

    cdef cc_journal *journal
    cdef cc_journal memory
    cdef cc_reader reader
    cdef cc_identity identity
    cdef uint8_t chain[32]
    cdef void *sha
    cdef int lock

    def __cinit__(self):
        self.lock = -1
        self.journal = NULL
        self.sha = NULL

    def __init__(
        self, data_dir, *, bint write=False, bint unsynced=False, segment_bytes=0,
        journal_bytes_max=0,
    ):
        if self.journal != NULL:
            raise EngineError("a mirror is opened once")
        self.lock = store_lock(data_dir, &self.identity)
        self.sha = sha256_new()
        if self.sha == NULL:
            raise MemoryError
        journal_open(
            &self.memory, data_dir, segment_bytes or self.identity.segment_bytes,
            journal_bytes_max, write)
        self.journal = &self.memory
        reader_open(&self.reader, self.journal)
        self._load_chain()
        if unsynced:
            journal_unsync(self.journal)

    cdef int _load_chain(self) except -1:
        cdef const uint8_t *block
        cdef size_t length
        memset(self.chain, 0, 32)
        if self.journal.last_seq == 0:
            return 0
        self._found(reader_seek(&self.reader, self.journal.last_seq, &block, &length))
        memcpy(self.chain, block_trailer(block).chain, 32)
        reader_pause(&self.reader)
        return 0

    cdef int _found(self, int rc) except -1:
        if rc == JOURNAL_DAMAGED:
            raise JournalCorrupt(self.reader.bad_seq, (<bytes>self.reader.finding).decode())
        if rc != 0 and rc != JOURNAL_END:
            journal_raise(rc, b"reading the journal", 0)
        return rc

    cdef int _check_open(self) except -1:
        if self.journal == NULL:
            raise EngineError("the mirror is closed")
        return 0

    def close(self):
        """Close the journal and let the directory go."""
        if self.journal != NULL:
            reader_close(&self.reader)
            journal_close(self.journal)
            self.journal = NULL
        if self.sha != NULL:
            sha256_free(self.sha)
            self.sha = NULL
        if self.lock >= 0:
            close(self.lock)
            self.lock = -1

    def __dealloc__(self):
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    @property
    def last_seq(self):
        """The newest seq, 0 for an empty journal."""
        self._check_open()
        return self.journal.last_seq

    @property
    def last_chain(self):
        """The chain hash of the newest block; zeros for an empty journal."""
        self._check_open()
        return (<char*>self.chain)[:32]

    def append(self, const uint8_t[::1] block not None):
        """Check a sealed block that follows the newest one and append it, durably unless unsynced.

        A failed write ends the process: nobody knows what is on the disk then.
        """
        cdef const uint8_t *start
        cdef iovec part[4]
        cdef uint64_t bad = 0
        cdef int rc
        self._check_open()
        if block.shape[0] == 0:
            raise JournalCorrupt(self.journal.last_seq + 1, "empty")
        start = &block[0]
        rc = block_check(
            start, block.shape[0], self.journal.last_seq + 1, self.chain, self.sha, &bad)
        if rc != BLOCK_OK:
            raise JournalCorrupt(bad, block_finding(rc).decode())
        memset(part, 0, sizeof(part))
        part[0].iov_base = <void*>start
        part[0].iov_len = block.shape[0]
        with nogil:
            rc = journal_append(self.journal, block_header(start), part)
            if rc != 0:
                cc_fatal(self.journal.fault.what, rc)
        memcpy(self.chain, block_trailer(start).chain, 32)

    def sync(self):
        """Make everything appended so far durable; a failure ends the process."""
        cdef int rc
        self._check_open()
        with nogil:
            rc = journal_sync(self.journal)
            if rc != 0:
                cc_fatal(b"syncing the journal", rc)

    def prepare(self):
        """Make the next segment if it is time; returns whether one was due."""
        cdef int rc
        self._check_open()
        if not journal_wants_next(self.journal):
            return False
        with nogil:
            rc = journal_prepare(self.journal, NULL)
        if rc != 0:
            journal_raise(rc, b"making a journal segment", 0)
        return True

    def blocks(
        self, uint64_t from_seq=1, *, uint64_t to_seq=UINT64_MAX, uint64_t max_bytes=4194304,
    ):
        """Return whole blocks from the one holding from_seq on, up to max_bytes but at least one.

        Their lengths and sequence are checked, their content is not.
        """
        cdef const uint8_t *block
        cdef size_t length
        cdef int rc
        self._check_open()
        self.reader.limit = to_seq
        found = []
        cdef uint64_t room = max_bytes
        rc = self._found(reader_seek(&self.reader, from_seq if from_seq else 1, &block, &length))
        while rc == 0 and (not found or length <= room):
            found.append((<const char*>block)[:length])
            room -= min(length, room)
            rc = self._found(reader_next(&self.reader, &block, &length))
        reader_pause(&self.reader)
        return found

    def record(self, uint64_t seq):
        """Return the 128 bytes of one record, or None."""
        cdef cc_block_header head
        cdef cc_record record
        cdef int rc
        self._check_open()
        rc = journal_read_record(self.journal, seq, &head, &record)
        if rc == JOURNAL_END:
            return None
        if rc != 0:
            journal_raise(rc, b"record CRC", seq)
        return (<char*>&record)[:sizeof(record)]

    def verify(self):
        """Check every block of the journal; returns how many. Raises JournalCorrupt."""
        cdef const uint8_t *block
        cdef size_t length
        cdef uint64_t expected = 1, bad = 0, count = 0
        cdef uint8_t chain[32]
        cdef int rc, finding = BLOCK_OK
        self._check_open()
        memset(chain, 0, 32)
        self.reader.limit = UINT64_MAX
        with nogil:
            rc = reader_seek(&self.reader, 1, &block, &length)
            while rc == 0:
                finding = block_check(block, length, expected, chain, self.sha, &bad)
                if finding != BLOCK_OK:
                    break
                expected = block_header(block).last_seq + 1
                memcpy(chain, block_trailer(block).chain, 32)
                count += 1
                rc = reader_next(&self.reader, &block, &length)
            reader_pause(&self.reader)
        if finding != BLOCK_OK:
            raise JournalCorrupt(bad, block_finding(finding).decode())
        self._found(rc)
        if expected != self.journal.last_seq + 1:
            raise JournalCorrupt(expected, "block missing")
        return count

    def space(self):
        """Return bytes used and available, and how full the journal is in permille."""
        cdef cc_space space
        self._check_open()
        journal_space(self.journal, &space)
        return {
            "map_used": space.map_used,
            "map_size": space.map_size,
            "used": space.used,
            "room": space.room,
            "permille": space.permille,
        }
