"""The journal: appends blocks durably, lets other threads read what is there.

One thread appends. `acknowledged_seq` is not kept here: it belongs to whoever lets answers go, and
a reader is given the seq it may read up to. Any error of an append means that nobody knows what
is on the disk: the owner calls cc_fatal and never appends again.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.digest cimport iovec
from ext.lmdb09 cimport MDB_cursor, MDB_env, MDB_txn
from ext.records cimport cc_block_header, cc_record
from ext.segments cimport SEGMENT_PATH, cc_fault, cc_segment

cdef enum:
    SEGMENTS_MAX = 1024
    # What a call may return beside 0, errno and LMDB's negative numbers.
    JOURNAL_END = 10001         # no block there, or not for this reader yet
    JOURNAL_DAMAGED = 10002     # a block that is there fails a check
    JOURNAL_FAILED = 10003      # an append has failed before: the process must end
    JOURNAL_FULL = 10004        # no space for another segment; nothing was written
    EXIT_FATAL = 70             # status of a process that stopped itself

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass

ctypedef struct cc_journal:
    char path[SEGMENT_PATH]     # DATA/journal
    cc_segment *segment[SEGMENTS_MAX]
    uint32_t count              # of them; the last one is written to. Read it with load32
    void *next                  # cc_segment made ahead, or NULL; whoever swaps it out owns it
    uint64_t last_seq           # newest appended; read it with load64
    uint64_t durable_seq        # newest that a sync has covered; who appends moves it
    uint64_t segment_bytes      # of a new segment
    uint64_t bytes_max          # the journal may take; 0: what the file system has
    uint64_t sealed_bytes       # of the segments before the last
    bint writable
    bint pipelined              # a block is durable when a sync after its commit has returned
    bint unsynced               # nothing is durable before journal_sync
    uint32_t failed
    cc_fault fault              # why, when an append has failed
    pthread_mutex_t making      # held while a segment is made

ctypedef struct cc_reader:      # one per thread
    cc_journal *journal
    cc_segment *segment
    MDB_txn *txn
    MDB_cursor *cursor
    bint paused                 # no snapshot is held
    uint64_t limit              # newest seq it may see; UINT64_MAX: all that is durable
    uint64_t next_seq
    uint64_t bad_seq            # with JOURNAL_DAMAGED
    const char *finding
    uint64_t small[512]         # an aligned copy of a block that lies inside a page

ctypedef struct cc_space:
    uint64_t map_used, map_size  # of the segment written to, bytes
    uint64_t used               # by the journal
    uint64_t room               # used and what it may still take
    uint32_t permille           # of room

# ext.opening makes and ends one.

# Appends a sealed block (four parts as from block_seal). 0: it is committed, and what it says in
# durable_seq is on the disk: this block too, or pipelined all before it. Else: cc_fatal.
cdef int journal_append(
    cc_journal *j, const cc_block_header *head, const iovec *part) noexcept nogil
# Makes durable what has been committed. 0; else: cc_fatal.
cdef int journal_settle(cc_journal *j) noexcept nogil
# Chooses the strategy, with nothing under way. 0 or LMDB's.
cdef int journal_pipeline(cc_journal *j, bint pipelined) noexcept nogil
# For a journal that nobody relies on yet: appends no longer sync. Nothing of it is durable before
# journal_sync. 0 or LMDB's.
cdef int journal_unsync(cc_journal *j) noexcept nogil
cdef int journal_sync(cc_journal *j) noexcept nogil
# Whether the next segment should be made now; journal_prepare does it, in a thread that may wait:
# beside commits, with rests until *hurry is not 0; at once where it is NULL.
# 0, or why it could not: not fatal before the segment is needed.
cdef bint journal_wants_next(cc_journal *j) noexcept nogil
cdef int journal_prepare(cc_journal *j, const uint32_t *hurry) noexcept nogil

cdef void journal_space(cc_journal *j, cc_space *out) noexcept nogil
cdef uint32_t journal_space_permille(cc_journal *j) noexcept nogil

# Reading. A pointer to a block is good until the reader's next call; pause a reader that waits,
# or the file grows behind its snapshot.
cdef void reader_open(cc_reader *r, cc_journal *j) noexcept nogil
cdef void reader_close(cc_reader *r) noexcept nogil
cdef void reader_pause(cc_reader *r) noexcept nogil
# The block that holds seq; the block after the last one given. 0, JOURNAL_END, JOURNAL_DAMAGED,
# or an error. Lengths and seq are checked, block_check does the rest.
cdef int reader_seek(
    cc_reader *r, uint64_t seq, const uint8_t **block, size_t *length) noexcept nogil
cdef int reader_next(cc_reader *r, const uint8_t **block, size_t *length) noexcept nogil
# One record and its block's header, both checked by CRC.
cdef int journal_read_record(
    cc_journal *j, uint64_t seq, cc_block_header *head, cc_record *out) noexcept nogil

# What a number of LMDB, errno or this module means.
cdef const char *journal_words(int rc) noexcept nogil
# Writes one line to stderr and ends the process at once, without unwinding anything.
cdef void cc_fatal(const char *what, int rc) noexcept nogil
# LMDB's assertions end here as well.
cdef void lmdb_assertion(MDB_env *env, const char *message) noexcept nogil
# Raises what a call's number means.
cdef int journal_raise(int rc, const char *what, uint64_t seq) except -1
