"""Finding the original of a capture, release, reversal or refund."""

from libc.stdint cimport uint32_t, uint64_t

from ext.commands cimport CC_CF_BY_SEQ, CC_CF_LOADED, CC_ST_KEY_LOADING, cc_command, cc_reply
from ext.keys cimport batch_in_ram, find_key, find_old_batch
from ext.records cimport CC_K_NONE, CC_K_PIN_REQUIRED, CC_K_TOMBSTONE, CC_TERMINAL_SEQ_MAX, cc_key
from ext.tables cimport (
    CC_D_DONE, CC_D_LOAD_BATCH, CC_KEY_WINDOW_S, CC_OB_READY, cc_old_batch, cc_tables,
)
from ext.taps cimport cc_tap


cdef int batch_at_hand(
    cc_tables *t, uint32_t terminal, uint32_t batch_no, cc_reply *reply,
) noexcept nogil:
    """BATCH_READY, BATCH_EXPIRED, or a CC_D_*: it is being read, or has to be."""
    cdef cc_old_batch *old
    if batch_in_ram(&t.terminal[terminal], batch_no):
        return BATCH_READY
    old = find_old_batch(t, terminal, batch_no)
    if old == NULL:
        reply.record.terminal, reply.record.batch_no = terminal, batch_no
        return CC_D_LOAD_BATCH
    if old.state != CC_OB_READY:
        reply.status = CC_ST_KEY_LOADING
        return CC_D_DONE
    old.used = t.blocks
    if old.sign_in_us == 0 or t.time_us - old.sign_in_us > CC_KEY_WINDOW_S * 1000000:
        return BATCH_EXPIRED
    return BATCH_READY


cdef int find_original(
    cc_tables *t, const cc_command *c, const cc_tap *x, uint64_t *seq, cc_reply *reply,
) noexcept nogil:
    cdef cc_key *entry
    cdef int state
    if c.flags & (CC_CF_BY_SEQ | CC_CF_LOADED):
        seq[0] = c.original_seq
        return ORIGINAL_AT if 0 < seq[0] <= t.applied_seq else ORIGINAL_NONE
    if c.original_batch == 0 or c.original_batch > t.terminal[x.terminal].batch_no:
        return ORIGINAL_NONE
    if c.original_terminal_seq == 0 or c.original_terminal_seq > CC_TERMINAL_SEQ_MAX:
        return ORIGINAL_NONE
    if c.original_batch == c.batch_no and c.original_terminal_seq == c.terminal_seq:
        return ORIGINAL_NONE
    state = batch_at_hand(t, x.terminal, c.original_batch, reply)
    if state == BATCH_EXPIRED:
        return ORIGINAL_NONE
    if state != BATCH_READY:
        return state
    entry = find_key(t, x.terminal, c.original_batch, c.original_terminal_seq)
    if entry == NULL:
        return ORIGINAL_NONE
    state = <int>(entry.seq_state & 3)
    if state == CC_K_NONE:
        return ORIGINAL_UNUSED
    if state == CC_K_TOMBSTONE:
        return ORIGINAL_TOMBSTONE
    if state == CC_K_PIN_REQUIRED:
        return ORIGINAL_PIN_REQUIRED
    seq[0] = entry.seq_state >> 2
    return ORIGINAL_AT
