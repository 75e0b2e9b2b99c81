"""Finding the original of a capture, release, reversal or refund."""

from libc.stdint cimport uint32_t, uint64_t

from ext.commands cimport cc_command, cc_reply
from ext.records cimport CC_F_BY_COUNTER, cc_record
from ext.tables cimport cc_tables
from ext.taps cimport cc_tap

cdef enum:
    ORIGINAL_NONE = 100       # there is none this terminal may name
    ORIGINAL_AT = 101         # seq is set
    ORIGINAL_UNUSED = 102     # its key was never used
    ORIGINAL_TOMBSTONE = 103
    ORIGINAL_PIN_REQUIRED = 104
    BATCH_READY = 110
    BATCH_EXPIRED = 111


cdef int batch_at_hand(
    cc_tables *t, uint32_t terminal, uint32_t batch_no, cc_reply *reply,
) noexcept nogil
# One of the above, or a CC_D_* the caller hands on (its batch has to be loaded).
cdef int find_original(
    cc_tables *t, const cc_command *c, const cc_tap *x, uint64_t *seq, cc_reply *reply,
) noexcept nogil


cdef inline const cc_record *loaded_part(const cc_command *c) noexcept nogil:
    """First part of the loaded original that is what its command did; NULL when the one named
    was only resolved on the way.
    """
    cdef int i
    for i in range(c.originals):
        if c.original[i].seq == c.original_seq and c.original[i].flags & CC_F_BY_COUNTER:
            return NULL
    for i in range(c.originals):
        if not c.original[i].flags & CC_F_BY_COUNTER:
            return &c.original[i]
    return NULL


cdef inline int loaded_parts(const cc_command *c) noexcept nogil:
    """How many parts it has from that one on."""
    cdef int i, n = 0
    for i in range(c.originals):
        n += 0 if c.original[i].flags & CC_F_BY_COUNTER else 1
    return n
