"""The cache of older batches' keys: who gets a place in it.

Only the sequencer changes a place's state; while it is LOADING the entries are the reader's.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from ext.keys cimport find_old_batch
from ext.records cimport CC_TERMINAL_SEQ_MAX, cc_key
from ext.tables cimport (
    CC_OB_FREE, CC_OB_LOADING, CC_OB_READY, CC_OLD_BATCHES, cc_old_batch, cc_tables,
)

cdef extern from "<sys/mman.h>" nogil:
    enum:
        PROT_READ
        PROT_WRITE
        MAP_PRIVATE
        MAP_ANONYMOUS
    void *MAP_FAILED
    void *mmap(void *address, size_t size, int protection, int flags, int fd, long offset)


cdef cc_old_batch *free_slot(cc_tables *t) noexcept nogil:
    """A free place, or the one unused for longest; NULL when all are being read into."""
    cdef cc_old_batch *best = NULL
    cdef int i
    for i in range(<int>CC_OLD_BATCHES):
        if t.old_batch[i].state == CC_OB_FREE:
            return &t.old_batch[i]
        if t.old_batch[i].state != CC_OB_READY:
            continue
        if best == NULL or t.old_batch[i].used < best.used:
            best = &t.old_batch[i]
    return best


cdef bint empty(cc_old_batch *slot) noexcept nogil:
    """Zero the place's entries, mapping them the first time."""
    cdef size_t size = (CC_TERMINAL_SEQ_MAX + 1) * sizeof(cc_key)
    if slot.keys != NULL:
        memset(slot.keys, 0, size)
        return True
    slot.keys = <cc_key *>mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if slot.keys == MAP_FAILED:
        slot.keys = NULL
    return slot.keys != NULL


cdef cc_old_batch *batch_claim(
    cc_tables *t, uint32_t terminal, uint32_t batch_no,
) noexcept nogil:
    cdef cc_old_batch *slot
    if find_old_batch(t, terminal, batch_no) != NULL:
        return NULL
    slot = free_slot(t)
    if slot == NULL or not empty(slot):
        return NULL
    slot.terminal, slot.batch_no, slot.state = terminal, batch_no, CC_OB_LOADING
    slot.used = t.blocks
    return slot


cdef void batch_unclaim(cc_old_batch *slot) noexcept nogil:
    slot.state = CC_OB_FREE


cdef void batch_loaded(
    cc_tables *t, uint32_t terminal, uint32_t batch_no, int64_t sign_in_us,
) noexcept nogil:
    cdef cc_old_batch *slot = find_old_batch(t, terminal, batch_no)
    if slot != NULL and slot.state == CC_OB_LOADING:
        slot.sign_in_us = sign_in_us
        slot.used = t.blocks
        slot.state = CC_OB_READY
