"""Keys of idempotency: (terminal, batch_no, terminal_seq) -> what became of it.

A terminal's last two batches stand in RAM, slot batch_no & 1; older ones in a small cache that the
reader fills. keys_sum of the terminal's row brings the entries into the state hash.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.digest cimport mix64
from ext.reasons cimport CC_R_DUPLICATE_MISMATCH
from ext.records cimport (
    CC_F_DUE, CC_K_FINAL, CC_K_NONE, CC_K_PIN_REQUIRED, CC_K_TOMBSTONE, CC_O_PIN_REQUIRED,
    CC_TABLE_KEYS, CC_TERMINAL_SEQ_MAX, CC_T_PIN_CHECK, CC_T_SIGN_IN, CC_T_TOMBSTONE, cc_key,
    cc_record, cc_terminal,
)
from ext.rows cimport touch_terminal
from ext.tables cimport CC_OB_READY, CC_OLD_BATCHES, cc_old_batch, cc_tables

cdef extern from "<sys/mman.h>" nogil:
    enum:
        MADV_DONTNEED
    int madvise(void *address, size_t size, int advice)


cdef inline bint batch_in_ram(const cc_terminal *r, uint32_t batch_no) noexcept nogil:
    return batch_no != 0 and (batch_no == r.batch_no or batch_no == r.prev_batch_no)


cdef inline size_t key_place(uint32_t terminal, uint32_t batch_no, uint32_t seq) noexcept nogil:
    return ((<size_t>terminal * 2 + (batch_no & 1)) << 16) | seq


cdef inline cc_old_batch *find_old_batch(
    cc_tables *t, uint32_t terminal, uint32_t batch_no,
) noexcept nogil:
    """The cache slot of an older batch in any state, NULL none."""
    cdef uint32_t i
    for i in range(CC_OLD_BATCHES):
        if t.old_batch[i].state != 0 and t.old_batch[i].terminal == terminal \
                and t.old_batch[i].batch_no == batch_no:
            return &t.old_batch[i]
    return NULL


cdef inline cc_key *find_key(
    cc_tables *t, uint32_t terminal, uint32_t batch_no, uint32_t seq,
) noexcept nogil:
    """The entry, NULL when its batch is neither in RAM nor loaded."""
    cdef cc_old_batch *old
    if batch_in_ram(&t.terminal[terminal], batch_no):
        return &t.keys[key_place(terminal, batch_no, seq)]
    old = find_old_batch(t, terminal, batch_no)
    if old != NULL and old.state == CC_OB_READY and old.keys != NULL:
        return &old.keys[seq]
    return NULL


cdef inline void set_key(
    cc_tables *t, uint32_t terminal, uint32_t batch_no, uint32_t seq,
    uint64_t at_seq, uint8_t state, uint64_t fingerprint,
) noexcept nogil:
    """Write an entry where its batch is at hand; a batch that is not will be read when needed."""
    cdef cc_key *entry = find_key(t, terminal, batch_no, seq)
    cdef cc_terminal *r
    if entry == NULL or seq > CC_TERMINAL_SEQ_MAX:
        return
    if batch_in_ram(&t.terminal[terminal], batch_no):
        r = touch_terminal(t, terminal)
        if entry.seq_state != 0:
            r.keys_sum[batch_no & 1] -= mix64(terminal, batch_no, seq, entry)
        entry.seq_state = at_seq << 2 | state
        entry.fingerprint = fingerprint
        r.keys_sum[batch_no & 1] += mix64(terminal, batch_no, seq, entry)
        t.dirty[CC_TABLE_KEYS][key_place(terminal, batch_no, seq) >> 6] = 1
        return
    entry.seq_state = at_seq << 2 | state
    entry.fingerprint = fingerprint


cdef inline bint binds_key(const cc_record *r) noexcept nogil:
    """Whether a record is what its own key stands for: a tap's last part that is no mismatch."""
    return (
        r.terminal != 0 and r.type < CC_T_PIN_CHECK and r.type != CC_T_SIGN_IN
        and not r.flags & CC_F_DUE and r.part == r.parts
        and r.reason != CC_R_DUPLICATE_MISMATCH
    )


cdef inline uint8_t key_state(const cc_record *r) noexcept nogil:
    return CC_K_PIN_REQUIRED if r.outcome == CC_O_PIN_REQUIRED else CC_K_FINAL


cdef inline void apply_keys(cc_tables *t, const cc_record *r) noexcept nogil:
    """Bind the record's key, and for a tombstone the original's as well."""
    if binds_key(r):
        set_key(
            t, r.terminal, r.batch_no, r.terminal_seq, r.seq, key_state(r), r.fingerprint,
        )
    if r.type == CC_T_TOMBSTONE:
        set_key(
            t, r.terminal, <uint32_t>(r.original_seq >> 32), <uint32_t>r.original_seq,
            r.seq, CC_K_TOMBSTONE, 0,
        )


cdef inline bint key_of_record(
    const cc_record *r, uint32_t batch_no, uint32_t *seq, cc_key *entry,
) noexcept nogil:
    """For the reader walking a terminal's chain back: the entry this record gives to `batch_no`.

    Of several records for one terminal_seq the newest counts. A tombstone can bind two keys of one
    batch: its own is `r.terminal_seq` and the original's comes from original_key_of_record.
    """
    if not binds_key(r) or r.batch_no != batch_no:
        return False
    seq[0] = r.terminal_seq
    entry.seq_state = r.seq << 2 | key_state(r)
    entry.fingerprint = r.fingerprint
    return True


cdef inline bint original_key_of_record(
    const cc_record *r, uint32_t batch_no, uint32_t *seq, cc_key *entry,
) noexcept nogil:
    if r.type != CC_T_TOMBSTONE or <uint32_t>(r.original_seq >> 32) != batch_no:
        return False
    seq[0] = <uint32_t>r.original_seq
    entry.seq_state = r.seq << 2 | CC_K_TOMBSTONE
    entry.fingerprint = 0
    return True


cdef inline void clear_batch(cc_tables *t, uint32_t terminal, uint32_t batch_no) noexcept nogil:
    """Empty the slot a new batch takes over from the one before the previous.

    A slot is whole pages of a mapping: giving them back zeroes it, and a batch of a hundred
    payments holds one page, not 256.
    """
    cdef void *slot = &t.keys[key_place(terminal, batch_no, 0)]
    cdef size_t size = (CC_TERMINAL_SEQ_MAX + 1) * sizeof(cc_key)
    if madvise(slot, size, MADV_DONTNEED) != 0:
        memset(slot, 0, size)
