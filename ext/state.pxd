"""state/: the rows as of a checkpoint, in LMDB. The journal can always rebuild it."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.lmdb09 cimport MDB_dbi, MDB_env
from ext.pages cimport cc_counts, cc_page
from ext.tables cimport cc_tables

ctypedef struct cc_state:
    MDB_env *env
    MDB_dbi dbi

ctypedef struct cc_state_meta:  # under key 0, written after all rows of its checkpoint
    uint32_t format
    uint32_t rule_version
    uint64_t start_seq          # replay goes on after this one; end of a block
    uint64_t newest_seq         # rows may be as of any seq from start_seq to here
    uint64_t state_lo, state_hi  # state hash at start_seq
    int64_t time_us             # of the block at start_seq
    uint64_t blocks
    uint8_t chain[32]           # chain hash at start_seq: which journal this belongs to
    uint32_t business_date
    cc_counts counts            # at start_seq
    uint32_t crc32c             # of everything before it


cdef int state_open(cc_state *s, str path, size_t map_bytes) except -1
cdef void state_close(cc_state *s) noexcept
cdef int state_load(cc_state *s, cc_tables *t, cc_state_meta *meta) except -1
cdef int state_put_pages(
    cc_state *s, const uint64_t *key, const cc_page *page, uint32_t n,
) noexcept nogil
cdef int state_put_meta(cc_state *s, cc_state_meta *meta) noexcept nogil
