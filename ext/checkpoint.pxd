"""Checkpoints: changed rows into state/, a chunk between two blocks, written by another thread.

That thread does all slow writing beside the sequencer's: it also makes the journal's next segment.

A checkpoint is fuzzy: it starts at a seq, and each page it copies is as of the block before it was
copied. A start from it redoes every record after that seq; records carry after-images, so the rows
that were ahead end where they were.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.atomics cimport cc_bell, load32, load64
from ext.journal cimport cc_journal
from ext.pages cimport cc_page
from ext.state cimport cc_state, cc_state_meta
from ext.tables cimport cc_tables

cdef enum:
    CC_CHUNKS = 2
    CC_CHUNK_PAGES = 512
    CC_CHUNK_SCAN = 65536        # pages looked at between two blocks

ctypedef struct cc_chunk:
    uint32_t full                # the sequencer sets it, the checkpointer clears it
    uint32_t n
    uint32_t last                # the checkpoint ends with it
    uint32_t spare
    uint64_t seq                 # its rows are as of
    uint64_t *key                # table << 32 | page
    cc_page *page

ctypedef struct cc_checkpoint:
    cc_state state
    cc_chunk chunk[CC_CHUNKS]
    # the sequencer's, while it copies
    bint copying
    uint32_t table, page_at, filling
    uint64_t every               # records from one checkpoint to the next
    uint64_t started_seq         # where the newest one started
    uint64_t started_count
    uint32_t serving             # the newest request it serves
    cc_state_meta meta           # handed over with the last chunk
    # between threads
    uint32_t requests            # counted up by who wants one
    uint32_t served              # the newest request that is complete
    uint64_t complete_seq        # where the newest complete one stands
    uint64_t complete_count
    uint32_t hurry               # nobody is served meanwhile: do not pace
    uint32_t failed              # LMDB's code; state/ is left alone until the next start
    uint32_t prepare             # the journal wants its next segment made
    uint32_t prepare_failed      # why the last one could not be made ahead; 0 it could
    uint32_t stop
    cc_journal *journal
    const uint64_t *acknowledged  # nothing newer than this is written
    cc_bell bell                 # wakes the checkpointer
    cc_bell *sequencer           # wakes the sequencer
    int64_t slowest_step_ns      # of the sequencer's


cdef int checkpoint_open(cc_checkpoint *cp, uint64_t every) except -1
cdef void checkpoint_close(cc_checkpoint *cp) noexcept
cdef void checkpoint_start(
    cc_checkpoint *cp, const cc_tables *t, const uint8_t *chain,
) noexcept nogil
cdef void checkpoint_copy(cc_checkpoint *cp, cc_tables *t) noexcept nogil
cdef void checkpoint_run(cc_checkpoint *cp) noexcept nogil
cdef uint32_t checkpoint_request(cc_checkpoint *cp) noexcept nogil


cdef inline bint checkpoint_wanted(cc_checkpoint *cp, const cc_tables *t) noexcept nogil:
    """Whether one should start now. Sequencer, between blocks."""
    if cp.copying or load32(&cp.failed) != 0 or t.applied_seq == 0:
        return False
    if load64(&cp.complete_count) != cp.started_count:
        return False  # copied, not yet written
    return t.applied_seq - cp.started_seq >= cp.every or load32(&cp.requests) != cp.serving


cdef inline bint checkpoint_can_copy(cc_checkpoint *cp) noexcept nogil:
    return cp.copying and load32(&cp.chunk[cp.filling].full) == 0
