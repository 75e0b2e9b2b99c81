"""One segment of the journal: a directory with an LMDB environment of fixed size.

A segment comes into being under a temporary name, whole and synced, and is renamed: it is there
or it is not. Its file never grows: the space is written ahead.
"""

from libc.stdint cimport uint32_t, uint64_t

from ext.lmdb09 cimport MDB_dbi, MDB_env

cdef enum:
    SEGMENT_PATH = 4096
    SEGMENT_BYTES_MIN = 262144
    SEGMENT_BYTES_DEFAULT = 268435456

ctypedef struct cc_fault:
    const char *what            # NULL: none
    int rc                      # errno, or LMDB's negative number
    uint64_t seq                # not 0: damage, at this seq

ctypedef struct cc_segment:
    MDB_env *env
    MDB_dbi dbi
    uint32_t number             # 1, 2, 3 ... as in the directory's name
    uint64_t first_seq          # 0: holds no block; other threads read it with load64
    uint64_t last_seq
    uint64_t bytes              # of the file and of the map

# "PATH/000007"; `prefix` "" or what marks a temporary name. 0, or ENAMETOOLONG.
cdef int segment_path(
    char *out, const char *journal, const char *prefix, uint32_t number) noexcept nogil

# Behind whose writing a segment is made: it rests between its own, as long as it is ready in time.
ctypedef struct cc_pace:
    const cc_segment *live      # being filled; NULL: nobody writes
    const uint32_t *hurry       # not 0: rest no more

# Makes journal/NNNNNN of at least `bytes`, synced, its name synced. 0 or errno/LMDB's, *fault set.
cdef int segment_create(
    const char *journal, uint32_t number, uint64_t bytes, const cc_pace *pace, cc_fault *fault,
) noexcept nogil

# Removes a segment that is closed and holds no block.
cdef int segment_discard(const char *journal, uint32_t number, cc_fault *fault) noexcept nogil

# Opens a segment. Not writable: read-only and without a lock table, for sealed segments and copies.
cdef int segment_open(
    cc_segment *segment, const char *journal, uint32_t number, bint writable, cc_fault *fault,
) noexcept nogil
cdef void segment_close(cc_segment *segment) noexcept nogil

# Reads first and last seq from the tree.
cdef int segment_bounds(cc_segment *segment, cc_fault *fault) noexcept nogil

# Bytes of the file that hold something.
cdef uint64_t segment_used(const cc_segment *segment) noexcept nogil
# Whether a block of so many bytes surely fits.
cdef bint segment_fits(const cc_segment *segment, uint64_t length) noexcept nogil
# Whether so much is used that the next one should be made.
cdef bint segment_half_full(const cc_segment *segment) noexcept nogil
# How large a new segment must be for a block of so many bytes.
cdef uint64_t segment_bytes_for(uint64_t segment_bytes, uint64_t length) noexcept nogil

# Syncs a directory's entries. 0 or errno.
cdef int sync_directory(const char *path) noexcept nogil

cdef inline int fault_set(cc_fault *fault, const char *what, int rc) noexcept nogil:
    fault.what = what
    fault.rc = rc
    return rc
