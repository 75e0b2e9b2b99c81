"""AuthorizeBatch: many AUTHORIZE commands from one message, and their results into another."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.commands cimport cc_command, cc_reply
from ext.wire_decode cimport cc_wire_error, cc_wire_fields

cdef enum:
    WIRE_RESULT_MAX = 80    # bytes of one encoded result at most, with its own tag and length

# A place in a checked AuthorizeBatchRequest. It points into the message: keep that alive.
ctypedef struct cc_wire_batch:
    const uint8_t *at
    const uint8_t *end
    uint32_t count          # items in all
    uint32_t index          # items given out
    cc_wire_fields head     # terminal and batch of every item

# Checks the whole message's shape, the head and the count (1 to 8,192). 0, or the reason.
cdef int wire_batch_open(
    cc_wire_batch *batch, const uint8_t *data, size_t length, cc_wire_error *err,
) noexcept nogil
# The next item: 1 it is in `out`; -1 its range is refused (`err`; out.terminal_seq as sent, go on
# with the next); 0 there is none.
cdef int wire_batch_next(
    cc_wire_batch *batch, cc_command *out, cc_wire_error *err,
) noexcept nogil

# One element of AuthorizeBatchResponse.results behind p; returns the new end. WIRE_RESULT_MAX
# bytes must be free. An undecided reply (status not OK) has the status' reason.
cdef uint8_t *wire_put_result(
    uint8_t *p, uint32_t terminal_seq, const cc_reply *reply,
) noexcept nogil
cdef uint8_t *wire_put_undecided(
    uint8_t *p, uint32_t terminal_seq, int reason,
) noexcept nogil
# The whole response in one malloc'd buffer; NULL: no memory. `terminal_seqs` are the items'.
cdef uint8_t *wire_encode_batch(
    const cc_reply *replies, const uint32_t *terminal_seqs, uint32_t count, size_t *length,
) noexcept nogil
