"""What the official protobuf library says of the same bytes, for each input that a fuzzer tries.

The first byte of an input chooses the method; the expectations are those of the unit tests.
"""

import ctypes
import os
import traceback

from campuscard.v1 import terminal_service_pb2 as pb
from core.catalogue import BY_NUMBER
from ext import wire
from ext.wire import METHODS, WireError
from tests.unit import test_wire_decode as requests
from tests.unit import test_wire_encode as responses

NAMES = tuple(METHODS)
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t)
SUMMED = ("amount", "debit_after", "credit_after", "held_after")
NAME_BYTES = 16
STATUSES = 100  # the first reason that no decision has
HEAD = 4  # bytes of an input before its reply


def judged(play):
    """Make a callback of libFuzzer's of a function that raises where something is wrong."""

    def call(data, size):
        try:
            play(ctypes.string_at(data, size))
        except BaseException:  # noqa: BLE001 nothing gets through ctypes
            traceback.print_exc()
            os.abort()
        return 0

    return CALLBACK(call)


def stream(raw):
    try:
        message = pb.AuthorizeStreamRequest.FromString(raw)
        want = requests.expected("Authorize", message.authorization)
    except (requests.DecodeError, requests.BadField):
        try:
            wire.decode_stream(raw)
        except WireError:
            return
        raise AssertionError("accepted") from None
    assert wire.decode_stream(raw) == want


def reading(data):
    """Decoder and library agree on what is malformed, what is out of range and what it says."""
    which = data[0] % (len(NAMES) + 2) if data else 0
    if which < len(NAMES):
        requests.agree(NAMES[which], data[1:])
    elif which == len(NAMES):
        stream(data[1:])
    else:
        requests.agree_batch(data[1:])


def reply_of(data):
    """A reply of any bytes; sums of three of its amounts stay within 64 bits, as all money does."""
    size = ctypes.sizeof(responses.Reply)
    reply = responses.Reply.from_buffer_copy(data[:size].ljust(size, b"\0"))
    reply.approved >>= 2
    for name in SUMMED:
        setattr(reply.record.money, name, getattr(reply.record.money, name) >> 2)
    return reply


def known(reply):
    """Whether it may be a decision's: higher reasons are statuses."""
    decided = reply.record.reason in BY_NUMBER and reply.record.reason < STATUSES
    return decided and reply.record.type in responses.TYPES


def check(raw, kind, want):
    """The library reads it; where we know what it says, it says that and is written the same."""
    if want is None:  # no decision's: empty texts of reasons that there are not may be written out
        kind.FromString(raw)
    else:
        responses.same(raw, want)


def unary(name, reply, terminal):
    text = None if terminal is None else terminal.encode()
    raw = wire.encode(METHODS[name], bytes(reply), text)
    if reply.status:
        assert raw == b""
        return
    want = None
    if known(reply):
        named = terminal is not None
        want = responses.transaction(reply, terminal) if named else responses.response(name, reply)
    check(raw, getattr(pb, f"{name}Response"), want)


def writing(data):
    """What is written for a reply is the library's encoding of what the reply says."""
    if len(data) < HEAD:
        return
    which, length, seq = data[0], data[1] % (NAME_BYTES + 1), data[2] | data[3] << 8
    reply = reply_of(data[HEAD:])
    if which < 128:  # else as it comes: most have no decision
        reply.status = 0
    which %= len(NAMES) + 3
    if which < len(NAMES):
        unary(NAMES[which], reply, None)
    elif which == len(NAMES):
        name = bytes(33 + byte % 94 for byte in data[-NAME_BYTES:])[:length].decode()
        unary("GetTransaction", reply, name)
    elif which == len(NAMES) + 1:
        sound = known(reply) and not reply.status
        check(
            wire.encode_stream(bytes(reply), seq),
            pb.AuthorizeStreamResponse,
            responses.streamed(reply, seq) if sound else None,
        )
    else:
        several = [reply, reply_of(data[HEAD + length :]), reply]
        seqs = memoryview(b"".join(n.to_bytes(4, "little") for n in (seq, 0, 2**32 - 1))).cast("I")
        sound = not any(one.status for one in several)
        check(
            wire.encode_batch(b"".join(map(bytes, several)), seqs),
            pb.AuthorizeBatchResponse,
            responses.batch(several, seqs) if sound else None,
        )
