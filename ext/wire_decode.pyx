"""Requests of the hot methods: one loop over fields, driven by the tables of wire.h."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ext.commands cimport (
    CC_CF_BY_SEQ, CC_CF_HAS_PIN, CC_CF_PARTIAL_OK, CC_CF_VOID, CC_CF_WATER, CC_OP_AUTHORIZE,
    CC_OP_CAPTURE, CC_OP_GET_BALANCE, CC_OP_GET_TRANSACTION, CC_OP_HOLD, CC_OP_RELEASE,
    CC_OP_SIGN_IN, CC_OP_SIGN_OFF, CC_PIN_MAX, cc_command,
)
from ext.digest cimport fingerprint64, iovec, sha256_free, sha256_new, sha256_vec, wipe
from ext.reasons cimport CC_R_FIELD_INVALID, CC_R_INTERNAL, CC_R_REQUEST_MALFORMED
from ext.records cimport CC_MT_FACE, CC_MT_RFID_CARD, CC_TERMINAL_SEQ_MAX
from ext.wire_reader cimport is_utf8, read_length, read_tag, read_varint, skip_value

cdef extern from * nogil:
    """
    #include <stddef.h>
    #include "commands.h"
    #define CC_COMMAND_HEAD offsetof(cc_command, original)
    #define CC_COMMAND_TAIL (sizeof(cc_command) - offsetof(cc_command, originals))
    """
    const size_t CC_COMMAND_HEAD    # bytes before the originals, which nobody reads at 0 of them
    const size_t CC_COMMAND_TAIL

cdef enum:
    PIN_DIGITS = 6
    TOKEN_MAX = 64
    TOKEN_WHOLE_MAX = 14    # longer ones are known by their hash
    RFID_MIN = 4
    SOFTWARE_MAX = 64       # characters


# ---- parsing: shape only ----

cdef inline void take_varint(cc_wire_fields *f, int slot, uint64_t value) noexcept nogil:
    if slot == CC_S_AMOUNT:
        f.amount = <int64_t>value
    elif slot == CC_S_TERMINAL_SEQ:
        f.terminal_seq = <uint32_t>value
    elif slot == CC_S_BATCH:
        f.batch_no = <uint32_t>value
    elif slot == CC_S_MEDIUM_TYPE:
        f.medium_type = <int32_t><uint32_t>value
    elif slot == CC_S_PARTIAL:
        f.partial_ok = value != 0
    elif slot == CC_S_ORIGINAL_SEQ:
        f.original_seq = value
    elif slot == CC_S_ORIGINAL_BATCH:
        f.original_batch = <uint32_t>value
    elif slot == CC_S_ORIGINAL_TERMINAL_SEQ:
        f.original_terminal_seq = <uint32_t>value
    elif slot == CC_S_COUNTER:
        f.card_counter = <uint32_t>value
    elif slot == CC_S_VOID:
        f.void_sale = value != 0
    elif slot == CC_S_WATER:
        f.water = value != 0


cdef inline bint take_bytes(
    cc_wire_fields *f, int slot, const uint8_t *at, uint32_t length,
) noexcept nogil:
    if slot >= CC_S_STRING_FIRST and not is_utf8(at, length):
        return False
    if slot == CC_S_TOKEN:
        f.token = at
        f.token_len = length
    elif slot == CC_S_TERMINAL:
        f.terminal = at
        f.terminal_len = length
    elif slot == CC_S_PIN:
        f.pin = at
        f.pin_len = length
    else:
        f.software = at
        f.software_len = length
    return True


cdef bint take_message(
    cc_wire_fields *f, int slot, const uint8_t *at, uint32_t length, int depth,
) noexcept nogil:
    """An embedded message seen twice is merged: its fields land in the same places."""
    cdef cc_wire_fields item
    if depth < 0:
        return False
    if slot == CC_S_MEDIUM:
        return wire_parse(CC_MSG_MEDIUM, at, length, f, depth)
    if slot == CC_S_ORIGINAL:
        return wire_parse(CC_MSG_ORIGINAL, at, length, f, depth)
    if slot == CC_S_KEY:
        return wire_parse(CC_MSG_KEY, at, length, f, depth)
    if slot == CC_S_AUTHORIZATION:
        return wire_parse(CC_OP_AUTHORIZE, at, length, f, depth)
    f.items += 1
    return wire_parse(CC_MSG_ITEM, at, length, &item, depth)


cdef bint wire_parse(
    int message, const uint8_t *data, size_t length, cc_wire_fields *fields, int depth,
) noexcept nogil:
    """Parse one message into `fields`, which keep what they hold where it has nothing."""
    cdef const uint8_t *slots = &cc_wire_slots[message][0]
    cdef const uint8_t *p = data
    cdef const uint8_t *end = data + length
    cdef uint64_t value
    cdef uint32_t tag, field, size
    cdef int slot
    while p < end:
        p = read_tag(p, end, &tag)
        if p == NULL:
            return False
        field = tag >> 3
        slot = slots[field] if field < CC_WIRE_FIELDS else CC_S_SKIP
        if tag & 7 == 0 and CC_S_SKIP < slot <= CC_S_VARINT_LAST:
            p = read_varint(p, end, &value)
            if p == NULL:
                return False
            take_varint(fields, slot, value)
        elif tag & 7 == 2 and slot > CC_S_VARINT_LAST:
            p = read_length(p, end, &size)
            if p == NULL:
                return False
            if slot <= CC_S_BYTES_LAST:
                if not take_bytes(fields, slot, p, size):
                    return False
            elif not take_message(fields, slot, p, size, depth - 1):
                return False
            p += size
        else:
            p = skip_value(p, end, tag, depth)
            if p == NULL:
                return False
    return True


# ---- checking: ranges ----

cdef int wire_malformed(cc_wire_error *err) noexcept nogil:
    err.reason = CC_R_REQUEST_MALFORMED
    err.item = -1
    err.parent = err.field = err.detail = b""
    return err.reason


cdef int wire_invalid(
    cc_wire_error *err, const char *parent, const char *field, const char *detail,
) noexcept nogil:
    err.reason = CC_R_FIELD_INVALID
    err.item = -1
    err.parent = parent
    err.field = field
    err.detail = detail
    return err.reason


cdef int wire_check_terminal(
    const cc_wire_fields *f, const char *parent, cc_wire_error *err,
) noexcept nogil:
    cdef uint32_t i
    if not 1 <= f.terminal_len <= 16:
        return wire_invalid(err, parent, b"terminal_id", b"must have 1 to 16 characters")
    for i in range(f.terminal_len):
        if not 0x20 <= f.terminal[i] <= 0x7E:
            return wire_invalid(err, parent, b"terminal_id", b"must be printable ASCII")
    return 0


cdef int wire_check_batch(
    const cc_wire_fields *f, const char *parent, cc_wire_error *err,
) noexcept nogil:
    if f.batch_no == 0:
        return wire_invalid(err, parent, b"batch_no", b"must be the batch of SignIn, 1 or more")
    return 0


cdef inline int check_terminal_seq(
    uint32_t value, const char *parent, cc_wire_error *err,
) noexcept nogil:
    if not 1 <= value <= CC_TERMINAL_SEQ_MAX:
        return wire_invalid(err, parent, b"terminal_seq", b"must be 1 to 65535")
    return 0


cdef int check_key(
    const cc_wire_fields *f, const char *parent, cc_wire_error *err,
) noexcept nogil:
    cdef int reason = wire_check_terminal(f, parent, err)
    if reason == 0:
        reason = wire_check_batch(f, parent, err)
    if reason == 0:
        reason = check_terminal_seq(f.terminal_seq, parent, err)
    return reason


cdef int check_medium(
    const cc_wire_fields *f, bint in_batch, cc_wire_error *err,
) noexcept nogil:
    cdef const char *parent = b"" if in_batch else b"medium"
    cdef const char *name = b"medium_token" if in_batch else b"token"
    if not CC_MT_RFID_CARD <= f.medium_type <= CC_MT_FACE:
        return wire_invalid(
            err, parent, b"medium_type" if in_batch else b"type", b"must be a known type")
    if not 1 <= f.token_len <= TOKEN_MAX:
        return wire_invalid(err, parent, name, b"must have 1 to 64 bytes")
    if f.medium_type == CC_MT_RFID_CARD and not RFID_MIN <= f.token_len <= TOKEN_WHOLE_MAX:
        return wire_invalid(err, parent, name, b"must have 4 to 14 bytes for a card")
    return 0


cdef int check_pin(const cc_wire_fields *f, cc_wire_error *err) noexcept nogil:
    cdef uint32_t i
    if f.pin_len == 0:
        return 0
    if f.pin_len != PIN_DIGITS:
        return wire_invalid(err, b"", b"pin", b"must be empty or six digits")
    for i in range(f.pin_len):
        if not 0x30 <= f.pin[i] <= 0x39:
            return wire_invalid(err, b"", b"pin", b"must be empty or six digits")
    return 0


cdef int check_software(const cc_wire_fields *f, cc_wire_error *err) noexcept nogil:
    cdef uint32_t i, characters = 0
    for i in range(f.software_len):
        characters += f.software[i] & 0xC0 != 0x80
    if characters > SOFTWARE_MAX:
        return wire_invalid(err, b"", b"software", b"must have at most 64 characters")
    return 0


# ---- making the command ----

cdef int set_medium_key(const cc_wire_fields *f, cc_command *out) noexcept nogil:
    """Write type, length and token; of a token above 14 bytes the start of its SHA-256."""
    cdef iovec part
    cdef uint8_t hashed[32]
    cdef void *context
    cdef int rc
    out.medium_key[0] = <uint8_t>f.medium_type
    out.medium_key[1] = <uint8_t>f.token_len
    if f.token_len <= TOKEN_WHOLE_MAX:
        memcpy(&out.medium_key[2], f.token, f.token_len)
        return 0
    context = sha256_new()
    if context == NULL:
        return CC_R_INTERNAL
    part.iov_base = <void*>f.token
    part.iov_len = f.token_len
    rc = sha256_vec(context, &part, 1, hashed)
    sha256_free(context)
    out.medium_key[0] |= 0x80
    memcpy(&out.medium_key[2], hashed, TOKEN_WHOLE_MAX)
    return 0 if rc == 0 else CC_R_INTERNAL


cdef void wire_start(int op, const cc_wire_fields *f, cc_command *out) noexcept nogil:
    """Begin the command: everything zero but the terminal's name and the key."""
    memset(out, 0, CC_COMMAND_HEAD)
    memset(&out.originals, 0, CC_COMMAND_TAIL)
    out.op = <uint8_t>op
    if 0 < f.terminal_len <= 16:
        memcpy(out.terminal_name, f.terminal, f.terminal_len)
    out.batch_no = f.batch_no
    out.terminal_seq = f.terminal_seq
    out.amount = f.amount


cdef int wire_make_purchase(
    const cc_wire_fields *f, bint in_batch, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    """AUTHORIZE and HOLD: a medium, an amount, perhaps a password. Terminal and batch stand."""
    cdef int reason = check_terminal_seq(f.terminal_seq, b"", err)
    if reason == 0:
        reason = check_medium(f, in_batch, err)
    if reason == 0:
        reason = check_pin(f, err)
    if reason != 0:
        return reason
    if set_medium_key(f, out) != 0:
        wire_malformed(err)
        err.reason = CC_R_INTERNAL
        return CC_R_INTERNAL
    if f.partial_ok:
        out.flags |= CC_CF_PARTIAL_OK
    if f.pin_len:
        out.flags |= CC_CF_HAS_PIN
        out.pin_len = <uint8_t>f.pin_len
        memcpy(out.pin, f.pin, f.pin_len)
    return 0


cdef int make_hold(
    const cc_wire_fields *f, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    cdef int reason = wire_make_purchase(f, False, out, err)
    if reason == 0:
        out.card_counter = f.card_counter
        if f.water:
            out.flags |= CC_CF_WATER
    return reason


cdef int make_undo(
    int op, const cc_wire_fields *f, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    """CAPTURE, RELEASE, REVERSE and REFUND: an original by seq or by key."""
    cdef const char *parent = b"original"
    cdef int reason = check_terminal_seq(f.terminal_seq, b"", err)
    if op == CC_OP_CAPTURE or op == CC_OP_RELEASE:
        parent = b"hold"
    if reason != 0:
        return reason
    if f.original_seq != 0:
        out.flags |= CC_CF_BY_SEQ
    elif f.original_batch == 0:
        return wire_invalid(err, parent, b"batch_no", b"must be 1 or more where seq is 0")
    else:
        reason = check_terminal_seq(f.original_terminal_seq, parent, err)
    if f.void_sale:
        out.flags |= CC_CF_VOID
    out.original_seq = f.original_seq
    out.original_batch = f.original_batch
    out.original_terminal_seq = f.original_terminal_seq
    return reason


cdef int make_get_transaction(
    const cc_wire_fields *f, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    """By seq where one is given; else the key is both the command's and the original's."""
    if f.original_seq != 0:
        out.flags |= CC_CF_BY_SEQ
        out.original_seq = f.original_seq
        return 0
    out.original_batch = f.batch_no
    out.original_terminal_seq = f.terminal_seq
    return check_key(f, b"key", err)


cdef int make_get_balance(
    const cc_wire_fields *f, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    cdef int reason = check_medium(f, False, err)
    if reason == 0 and set_medium_key(f, out) != 0:
        wire_malformed(err)
        err.reason = reason = CC_R_INTERNAL
    return reason


cdef void wire_finish(cc_command *out) noexcept nogil:
    """Set the fingerprint: what the same key must repeat. The password is not part of it."""
    cdef cc_wire_body body
    memcpy(body.medium_key, out.medium_key, 16)
    body.amount = out.amount
    body.original_seq = out.original_seq
    body.original_batch = out.original_batch
    body.original_terminal_seq = out.original_terminal_seq
    body.card_counter = out.card_counter
    body.flags = out.flags & (CC_CF_PARTIAL_OK | CC_CF_VOID | CC_CF_WATER | CC_CF_BY_SEQ)
    body.op = out.op
    body.spare = 0
    out.fingerprint = fingerprint64(<const uint8_t*>&body, sizeof(body))


cdef int make(
    int op, const cc_wire_fields *f, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    cdef int reason
    wire_start(op, f, out)
    if op == CC_OP_GET_TRANSACTION:
        return make_get_transaction(f, out, err)
    reason = wire_check_terminal(f, b"", err)
    if reason != 0:
        return reason
    if op == CC_OP_SIGN_IN:
        return check_software(f, err)
    if op == CC_OP_GET_BALANCE:
        return make_get_balance(f, out, err)
    reason = wire_check_batch(f, b"", err)
    if reason != 0 or op == CC_OP_SIGN_OFF:
        return reason
    if op == CC_OP_AUTHORIZE:
        return wire_make_purchase(f, False, out, err)
    if op == CC_OP_HOLD:
        return make_hold(f, out, err)
    return make_undo(op, f, out, err)


cdef int decode(
    int message, int op, const uint8_t *data, size_t length, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    cdef cc_wire_fields fields
    cdef int reason
    memset(&fields, 0, sizeof(fields))
    if not wire_parse(message, data, length, &fields, CC_WIRE_DEPTH):
        memset(&fields, 0, sizeof(fields))
        wire_start(op, &fields, out)
        return wire_malformed(err)
    reason = make(op, &fields, out, err)
    if reason != 0:
        wipe(out.pin, CC_PIN_MAX)
        out.pin_len = 0
        return reason
    wire_finish(out)
    return 0


cdef int wire_decode(
    int method, const uint8_t *data, size_t length, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    if not (CC_OP_AUTHORIZE <= method <= CC_OP_SIGN_OFF
            or CC_OP_GET_BALANCE <= method <= CC_OP_GET_TRANSACTION):
        return wire_malformed(err)
    return decode(method, method, data, length, out, err)


cdef int wire_decode_stream(
    const uint8_t *data, size_t length, cc_command *out, cc_wire_error *err,
) noexcept nogil:
    return decode(CC_MSG_STREAM, CC_OP_AUTHORIZE, data, length, out, err)
