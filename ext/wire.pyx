"""The codec of the hot messages as Python sees it: for tests, tools and other front ends.

The servers' own path is ext/wire_decode, ext/wire_batch and ext/wire_encode; no object is made
there per item.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from ext.commands cimport (
    CC_OP_AUTHORIZE, CC_OP_CAPTURE, CC_OP_GET_BALANCE, CC_OP_GET_TRANSACTION, CC_OP_HOLD,
    CC_OP_REFUND, CC_OP_RELEASE, CC_OP_REVERSE, CC_OP_SIGN_IN, CC_OP_SIGN_OFF, cc_command,
    cc_reply,
)
from ext.reasons cimport cc_reason_text_of
from ext.wire_batch cimport cc_wire_batch, wire_batch_next, wire_batch_open, wire_encode_batch
from ext.wire_decode cimport (
    CC_MSG_COUNT, CC_WIRE_FIELDS, cc_wire_error, cc_wire_slots, wire_decode, wire_decode_stream,
)
from ext.wire_encode cimport (
    WIRE_RESPONSE_MAX, wire_encode, wire_encode_stream, wire_encode_transaction,
)

METHODS = {
    "Authorize": CC_OP_AUTHORIZE,
    "Hold": CC_OP_HOLD,
    "Capture": CC_OP_CAPTURE,
    "Release": CC_OP_RELEASE,
    "Reverse": CC_OP_REVERSE,
    "Refund": CC_OP_REFUND,
    "SignIn": CC_OP_SIGN_IN,
    "SignOff": CC_OP_SIGN_OFF,
    "GetBalance": CC_OP_GET_BALANCE,
    "GetTransaction": CC_OP_GET_TRANSACTION,
}
REPLY_BYTES = sizeof(cc_reply)
SLOTS = [
    [cc_wire_slots[message][field] for field in range(CC_WIRE_FIELDS)]
    for message in range(CC_MSG_COUNT)
]


class WireError(ValueError):
    """A message is refused; see wire.pyi."""

    def __init__(self, str reason, str field, str detail):
        super().__init__(reason, field, detail)
        self.reason = reason
        self.field = field
        self.detail = detail


cdef object error_of(const cc_wire_error *err):
    cdef str field = err.field.decode("ascii")
    if err.parent[0]:
        field = err.parent.decode("ascii") + "." + field
    if err.item >= 0:
        field = f"items[{err.item}].{field}"
    reason = cc_reason_text_of(<unsigned>err.reason).name.decode("ascii")
    return WireError(reason, field, err.detail.decode("ascii"))


cdef dict view(const cc_command *command):
    """Return what the decoder sets, by the names of ext/commands.h."""
    return {
        "op": command.op,
        "flags": command.flags,
        "terminal_name": <bytes>(<char*>command.terminal_name)[:16],
        "batch_no": command.batch_no,
        "terminal_seq": command.terminal_seq,
        "medium_key": <bytes>(<char*>command.medium_key)[:16],
        "amount": command.amount,
        "original_seq": command.original_seq,
        "original_batch": command.original_batch,
        "original_terminal_seq": command.original_terminal_seq,
        "card_counter": command.card_counter,
        "pin": <bytes>(<char*>command.pin)[:command.pin_len],
        "fingerprint": command.fingerprint,
    }


cdef const uint8_t *start_of(const uint8_t[::1] message) noexcept:
    """Return where the bytes are; of none a place too, so that what is added to it is one."""
    return &message[0] if message.shape[0] else <const uint8_t *>b""


def decode(int method, const uint8_t[::1] message):
    """Return the command of one encoded request of a method."""
    cdef cc_command command
    cdef cc_wire_error err
    cdef const uint8_t *data = start_of(message)
    cdef size_t length = <size_t>message.shape[0]
    cdef int reason
    with nogil:
        reason = wire_decode(method, data, length, &command, &err)
    if reason != 0:
        raise error_of(&err)
    return view(&command)


def decode_stream(const uint8_t[::1] message):
    """Return the command of one AuthorizeStreamRequest."""
    cdef cc_command command
    cdef cc_wire_error err
    cdef const uint8_t *data = start_of(message)
    if wire_decode_stream(data, <size_t>message.shape[0], &command, &err) != 0:
        raise error_of(&err)
    return view(&command)


def decode_batch(const uint8_t[::1] message):
    """Return the commands of an AuthorizeBatchRequest; a WireError in place of a refused item."""
    cdef cc_wire_batch batch
    cdef cc_command command
    cdef cc_wire_error err
    cdef const uint8_t *data = start_of(message)
    cdef int more
    if wire_batch_open(&batch, data, <size_t>message.shape[0], &err) != 0:
        raise error_of(&err)
    found = []
    while True:
        more = wire_batch_next(&batch, &command, &err)
        if more == 0:
            return found
        found.append(view(&command) if more > 0 else error_of(&err))


def count_batch(const uint8_t[::1] message):
    """Decode a batch and drop it; returns how many items are right. For measuring."""
    cdef cc_wire_batch batch
    cdef cc_command command
    cdef cc_wire_error err
    cdef const uint8_t *data = start_of(message)
    cdef int more, right = 0
    with nogil:
        if wire_batch_open(&batch, data, <size_t>message.shape[0], &err) == 0:
            more = wire_batch_next(&batch, &command, &err)
            while more != 0:
                right += more > 0
                more = wire_batch_next(&batch, &command, &err)
    return right


cdef int take_reply(bytes raw, cc_reply *reply) except -1:
    if len(raw) != sizeof(cc_reply):
        raise ValueError(f"a cc_reply has {sizeof(cc_reply)} bytes")
    memcpy(reply, <const char*>raw, sizeof(cc_reply))
    return 0


def encode(int method, bytes raw, bytes terminal_name=None):
    """Return the encoded response of a method from the bytes of a cc_reply; b"": there is none."""
    cdef uint8_t buffer[WIRE_RESPONSE_MAX]
    cdef uint8_t name[16]
    cdef cc_reply reply
    cdef size_t length
    take_reply(raw, &reply)
    if terminal_name is None:
        length = wire_encode(method, &reply, buffer, WIRE_RESPONSE_MAX)
    else:
        memset(name, 0, 16)
        memcpy(name, <const char*>terminal_name, min(16, len(terminal_name)))
        length = wire_encode_transaction(&reply, name, buffer, WIRE_RESPONSE_MAX)
    return <bytes>(<char*>buffer)[:length]


def encode_stream(bytes raw, uint32_t terminal_seq):
    """Return an encoded AuthorizeStreamResponse from the bytes of a cc_reply."""
    cdef uint8_t buffer[WIRE_RESPONSE_MAX]
    cdef cc_reply reply
    take_reply(raw, &reply)
    length = wire_encode_stream(&reply, terminal_seq, buffer, WIRE_RESPONSE_MAX)
    return <bytes>(<char*>buffer)[:length]


def encode_batch(bytes raw, const uint32_t[::1] terminal_seqs):
    """Return an encoded AuthorizeBatchResponse from the bytes of as many cc_reply."""
    cdef const cc_reply *replies = <const cc_reply*><const char*>raw
    cdef uint32_t count = <uint32_t>terminal_seqs.shape[0]
    cdef size_t length = 0
    cdef uint8_t *buffer
    if <size_t>len(raw) != count * sizeof(cc_reply) or count == 0:
        raise ValueError("as many replies as terminal_seqs, at least one")
    with nogil:
        buffer = wire_encode_batch(replies, &terminal_seqs[0], count, &length)
    if buffer == NULL:
        raise MemoryError
    try:
        return <bytes>(<char*>buffer)[:length]
    finally:
        free(buffer)
