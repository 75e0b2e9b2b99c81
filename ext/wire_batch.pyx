"""AuthorizeBatch: the message is walked twice, once for its shape and once for its items."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memset

from ext.commands cimport CC_OP_AUTHORIZE, CC_PIN_MAX, CC_ST_OK, cc_command, cc_reply
from ext.digest cimport wipe
from ext.records cimport CC_O_APPROVED
from ext.wire_decode cimport (
    CC_MSG_BATCH, CC_MSG_ITEM, CC_WIRE_BATCH_MAX, CC_WIRE_DEPTH, cc_wire_error, cc_wire_fields,
    wire_check_batch, wire_check_terminal, wire_finish, wire_invalid, wire_make_purchase,
    wire_malformed, wire_parse, wire_start,
)
from ext.wire_encode cimport put_auth_code, wire_status_reason
from ext.wire_reader cimport read_length, read_tag, skip_value
from ext.wire_writer cimport close_message, open_message, put_signed, put_unsigned

cdef enum:
    ITEM_TAG = 3 << 3 | 2   # AuthorizeBatchRequest.items


cdef int wire_batch_open(
    cc_wire_batch *batch, const uint8_t *data, size_t length, cc_wire_error *err,
) noexcept nogil:
    cdef int reason
    memset(batch, 0, sizeof(cc_wire_batch))
    if not wire_parse(CC_MSG_BATCH, data, length, &batch.head, CC_WIRE_DEPTH):
        return wire_malformed(err)
    reason = wire_check_terminal(&batch.head, b"", err)
    if reason == 0:
        reason = wire_check_batch(&batch.head, b"", err)
    if reason != 0:
        return reason
    if not 1 <= batch.head.items <= CC_WIRE_BATCH_MAX:
        return wire_invalid(err, b"", b"items", b"must be 1 to 8192")
    batch.count = batch.head.items
    batch.at = data
    batch.end = data + length
    return 0


cdef const uint8_t *next_item(cc_wire_batch *batch, uint32_t *size) noexcept nogil:
    """Return the next item's bytes and move behind it; NULL at the end."""
    cdef const uint8_t *p = batch.at
    cdef const uint8_t *item
    cdef uint32_t tag
    while p != NULL and p < batch.end:
        p = read_tag(p, batch.end, &tag)
        if p == NULL:
            break
        if tag == ITEM_TAG:
            item = read_length(p, batch.end, size)
            if item != NULL:
                batch.at = item + size[0]
            return item
        p = skip_value(p, batch.end, tag, CC_WIRE_DEPTH)
    return NULL


cdef int wire_batch_next(
    cc_wire_batch *batch, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    cdef cc_wire_fields fields
    cdef uint32_t size
    cdef const uint8_t *item
    if batch.index >= batch.count:
        return 0
    item = next_item(batch, &size)
    if item == NULL:
        return 0
    memset(&fields, 0, sizeof(fields))
    fields.terminal = batch.head.terminal
    fields.terminal_len = batch.head.terminal_len
    fields.batch_no = batch.head.batch_no
    wire_parse(CC_MSG_ITEM, item, size, &fields, CC_WIRE_DEPTH - 1)
    wire_start(CC_OP_AUTHORIZE, &fields, out)
    batch.index += 1
    if wire_make_purchase(&fields, True, out, err) != 0:
        err.item = <int>batch.index - 1
        wipe(out.pin, CC_PIN_MAX)
        out.pin_len = 0
        return -1
    wire_finish(out)
    return 1


cdef uint8_t *wire_put_undecided(
    uint8_t *p, uint32_t terminal_seq, int reason,
) noexcept nogil:
    cdef uint8_t *start = open_message(p, 1)
    p = put_unsigned(start, 1, terminal_seq)
    p = put_unsigned(p, 3, <uint64_t>reason)
    return close_message(start, p)


cdef uint8_t *wire_put_result(
    uint8_t *p, uint32_t terminal_seq, const cc_reply *reply,
) noexcept nogil:
    cdef uint8_t *start
    if reply.status != CC_ST_OK:
        return wire_put_undecided(p, terminal_seq, wire_status_reason(reply.op, reply.status))
    start = open_message(p, 1)
    p = put_unsigned(start, 1, terminal_seq)
    p = put_unsigned(p, 2, reply.record.outcome)
    p = put_unsigned(p, 3, reply.record.reason)
    p = put_signed(p, 4, reply.approved)
    p = put_signed(p, 5, reply.record.body.money.debit_after)
    p = put_unsigned(p, 6, reply.record.seq)
    p = put_unsigned(p, 7, reply.record.body.money.day_used)
    p = put_unsigned(p, 8, reply.record.body.money.meal_used)
    p = put_unsigned(p, 9, reply.replayed != 0)
    if reply.record.outcome == CC_O_APPROVED:
        p = put_auth_code(p, reply.record.seq)
    p = put_unsigned(p, 11, reply.rule_version)
    return close_message(start, p)


cdef uint8_t *wire_encode_batch(
    const cc_reply *replies, const uint32_t *terminal_seqs, uint32_t count, size_t *length,
) noexcept nogil:
    cdef uint8_t *buffer = <uint8_t*>malloc(<size_t>count * WIRE_RESULT_MAX + 1)
    cdef uint8_t *p = buffer
    cdef uint32_t i
    if buffer == NULL:
        return NULL
    for i in range(count):
        p = wire_put_result(p, terminal_seqs[i], &replies[i])
    length[0] = <size_t>(p - buffer)
    return buffer
