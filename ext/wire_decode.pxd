"""Requests of the hot methods, from protobuf bytes to commands; no Python, no allocation.

Accepts what the official library accepts, then checks ranges. Every field of a command is written
(`originals` is 0); the caller sets `token` and `deadline_ms` afterwards. After
a refusal by range `terminal_seq` is as sent, so that streams and batches can echo it; the password
is wiped.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.commands cimport cc_command

cdef extern from "wire.h" nogil:
    enum:
        CC_WIRE_FIELDS
        CC_WIRE_DEPTH
        CC_WIRE_BATCH_MAX
    enum:
        CC_S_SKIP
        CC_S_BATCH
        CC_S_TERMINAL_SEQ
        CC_S_AMOUNT
        CC_S_PARTIAL
        CC_S_VOID
        CC_S_WATER
        CC_S_COUNTER
        CC_S_ORIGINAL_SEQ
        CC_S_ORIGINAL_BATCH
        CC_S_ORIGINAL_TERMINAL_SEQ
        CC_S_MEDIUM_TYPE
        CC_S_VARINT_LAST
        CC_S_TOKEN
        CC_S_TERMINAL
        CC_S_PIN
        CC_S_SOFTWARE
        CC_S_STRING_FIRST
        CC_S_BYTES_LAST
        CC_S_MEDIUM
        CC_S_ORIGINAL
        CC_S_KEY
        CC_S_AUTHORIZATION
        CC_S_ITEM
    enum:
        CC_MSG_MEDIUM
        CC_MSG_ORIGINAL
        CC_MSG_KEY
        CC_MSG_STREAM
        CC_MSG_BATCH
        CC_MSG_ITEM
        CC_MSG_COUNT
    const uint8_t cc_wire_slots[CC_MSG_COUNT][CC_WIRE_FIELDS]

    ctypedef struct cc_wire_fields:
        const uint8_t *terminal
        const uint8_t *token
        const uint8_t *pin
        const uint8_t *software
        uint32_t terminal_len, token_len, pin_len, software_len
        int64_t amount
        uint64_t original_seq
        uint32_t batch_no, terminal_seq, original_batch, original_terminal_seq
        uint32_t card_counter
        int32_t medium_type
        uint32_t items
        uint8_t partial_ok, void_sale, water, spare

    ctypedef struct cc_wire_body:
        uint8_t medium_key[16]
        int64_t amount
        uint64_t original_seq
        uint32_t original_batch, original_terminal_seq
        uint32_t card_counter
        uint16_t flags
        uint8_t op, spare

# Why a message was refused: REQUEST_MALFORMED alone, or FIELD_INVALID with
# [items[`item`].][`parent`.]`field` and what it must be. The texts are static.
ctypedef struct cc_wire_error:
    int reason
    int item                # -1: not in a batch's item
    const char *parent      # "" or the embedded message, as "medium"
    const char *field
    const char *detail

# One request of `method` (CC_OP_*). 0, or the reason's number.
cdef int wire_decode(
    int method, const uint8_t *data, size_t length, cc_command *out, cc_wire_error *err,
) noexcept nogil
# One AuthorizeStreamRequest, as AUTHORIZE.
cdef int wire_decode_stream(
    const uint8_t *data, size_t length, cc_command *out, cc_wire_error *err,
) noexcept nogil

# For ext/wire_batch: parse one message's fields; check them and make the command.
cdef bint wire_parse(
    int message, const uint8_t *data, size_t length, cc_wire_fields *fields, int depth,
) noexcept nogil
cdef int wire_malformed(cc_wire_error *err) noexcept nogil
cdef int wire_invalid(
    cc_wire_error *err, const char *parent, const char *field, const char *detail,
) noexcept nogil
cdef int wire_check_terminal(
    const cc_wire_fields *fields, const char *parent, cc_wire_error *err,
) noexcept nogil
cdef int wire_check_batch(
    const cc_wire_fields *fields, const char *parent, cc_wire_error *err,
) noexcept nogil
cdef void wire_start(int op, const cc_wire_fields *fields, cc_command *out) noexcept nogil
cdef int wire_make_purchase(
    const cc_wire_fields *fields, bint in_batch, cc_command *out, cc_wire_error *err,
) noexcept nogil
cdef void wire_finish(cc_command *out) noexcept nogil
