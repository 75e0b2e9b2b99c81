"""Writes inputs to begin with: real messages, replies, frames and handshakes.

python -m tests.fuzz.seeds NAME DIRECTORY; NAME is one of SEEDS.
"""

import hashlib
import struct
import sys
from pathlib import Path

from campuscard.v1 import terminal_service_pb2 as pb
from core.catalogue import BY_NUMBER
from tests.conformance import frames
from tests.conformance.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    RST,
    SETTINGS,
    WINDOW,
    header_block,
    message,
)
from tests.unit.test_wire_encode import FLAGS, TYPES, make

SERVICE = "/campuscard.v1.TerminalService/"
METHODS = (  # in the order of driver.c
    *("Authorize", "Hold", "Capture", "Release", "Reverse", "Refund"),
    *("SignIn", "SignOff", "GetBalance", "GetTransaction"),
    *("AuthorizeStream", "AuthorizeBatch"),
)
WAITS, BARE = b"\x01", b"\x03"
MEDIUM = pb.Medium(type=1, token=struct.pack("<I", 1))
LONG = pb.Medium(type=2, token=b"q" * 40)


def requests():
    """Yield (method, message) of each hot method, some with everything set."""
    key = {"terminal_id": "POS-1", "batch_no": 1, "terminal_seq": 7}
    original = pb.Original(batch_no=1, terminal_seq=7)
    sale = pb.AuthorizeRequest(**key, medium=MEDIUM, amount_fen=1_250)
    full = pb.AuthorizeRequest(
        **key, medium=LONG, amount_fen=5_000, pin="123456", partial_ok=True, terminal_time_us=1
    )
    item = pb.AuthorizeItem(terminal_seq=9, medium_type=1, medium_token=b"\1\0\0\0", amount_fen=2)
    batch = {"terminal_id": "POS-1", "batch_no": 1}
    yield "Authorize", sale
    yield "Authorize", full
    yield "Hold", pb.HoldRequest(**key, medium=MEDIUM, amount_fen=9, water_transfer=True)
    yield "Capture", pb.CaptureRequest(**key, hold=original, amount_fen=5)
    yield "Release", pb.ReleaseRequest(**key, hold=pb.Original(seq=12))
    yield "Reverse", pb.ReverseRequest(**key, original=original, amount_fen=5, void_sale=True)
    yield "Refund", pb.RefundRequest(**key, original=pb.Original(seq=12), amount_fen=5)
    yield "SignIn", pb.SignInRequest(terminal_id="POS-1", software="终端 1.0")
    yield "SignOff", pb.SignOffRequest(terminal_id="POS-1", batch_no=1)
    yield "GetBalance", pb.GetBalanceRequest(terminal_id="POS-1", medium=LONG)
    yield "GetTransaction", pb.GetTransactionRequest(key=pb.TransactionKey(**key))
    yield "GetTransaction", pb.GetTransactionRequest(seq=3)
    yield "AuthorizeStream", pb.AuthorizeStreamRequest(authorization=full)
    yield "AuthorizeBatch", pb.AuthorizeBatchRequest(**batch, items=[item] * 3)


def decoder():
    for method, request in requests():
        yield bytes((METHODS.index(method),)) + request.SerializeToString()


def step(kind, flags=0, stream=0, payload=b""):
    """Write one frame as driver.c reads it."""
    return bytes((kind, flags, stream)) + struct.pack(">H", len(payload)) + payload


def call(method, body, stream=1, extra=(), flags=END_STREAM):
    block = header_block(SERVICE + method, extra)
    return step(HEADERS, END_HEADERS, stream, block) + step(DATA, flags, stream, body)


def front():
    greeting = step(SETTINGS)
    for method, request in requests():
        body = message(request.SerializeToString())
        yield WAITS + greeting + call(method, body)
        yield b"\0" + greeting + call(method, body, extra=[("grpc-timeout", "20m")])
        yield WAITS + greeting + call(method, body[:7], flags=0) + step(DATA, 1, 1, body[7:])
    sale = message(next(requests())[1].SerializeToString())
    several = b"".join(call("Authorize", sale, stream) for stream in (1, 3, 5, 7))
    streamed = message(
        pb.AuthorizeStreamRequest(authorization=next(requests())[1]).SerializeToString()
    )
    block = header_block(SERVICE + "Authorize")
    yield WAITS + greeting + several
    yield WAITS + greeting + call("AuthorizeStream", streamed * 20, flags=0)
    yield WAITS + greeting + call("AuthorizeStream", streamed * 3) + step(WINDOW, 0, 0, b"\0\0\1\0")
    yield WAITS + greeting + call("Heartbeat", message(b"\x0a\x05POS-1"))
    watched = b"".join(call("Watch", message(b""), stream) for stream in (1, 3, 5, 7))
    yield WAITS + greeting + watched
    yield b"\0" + greeting + watched + step(RST, 0, 3, b"\0\0\0\x08")
    yield WAITS + greeting + call("Nothing", sale)
    yield WAITS + greeting + call("Authorize", sale, extra=[("grpc-encoding", "gzip")])
    yield WAITS + greeting + call("Authorize", b"\1" + sale[1:], extra=[("grpc-encoding", "gzip")])
    yield WAITS + greeting + call("Authorize", sale, extra=[("authorization", "Bearer x")])
    yield WAITS + greeting + call("Authorize", sale, extra=[("x-large", "v" * 9_000)])
    yield WAITS + greeting + call("Authorize", sale + sale)
    yield WAITS + greeting + call("Authorize", b"\0\xff\xff\xff\xff")
    yield WAITS + greeting + step(HEADERS, 0, 1, block[:9]) + step(CONTINUATION, 4, 1, block[9:])
    yield WAITS + greeting + call("Authorize", sale, flags=0) + step(RST, 0, 1, b"\0\0\0\x08")
    yield (
        WAITS
        + greeting
        + step(HEADERS, 5, 1, header_block(frames.AUTHORIZE).replace(b"POST", b"PUTT"))
    )
    yield WAITS + greeting + step(PING, 0, 0, b"12345678") + step(GOAWAY, 0, 0, bytes(8))
    yield WAITS + greeting + step(PRIORITY, 0, 1, b"\0\0\0\0\x10")
    yield WAITS + step(SETTINGS, 0, 0, struct.pack(">HIHI", 4, 0, 1, 0)) + several
    yield WAITS + step(SETTINGS, 0, 0, struct.pack(">HI", 5, 16_384)) + several
    yield BARE + step(255, 0, 0, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    yield BARE + step(255, 0, 0, frames.PREFACE[:10])


# As in driver.c: what a client that speaks TLS does next.
RAW, SEND, CUT, SAY, KEYS, END, WAIT = range(7)
CERTIFIED = 2
VERSIONS = (0, 1)  # 1.3, only 1.2


def act(kind, payload=b""):
    return bytes((kind,)) + struct.pack(">H", len(payload)) + payload


def bent(place, change):
    return act(SEND, struct.pack(">H", place) + change)


def sent():
    return act(SEND) + act(WAIT)


def tls():
    said = next(seed for seed in front() if seed[0] == 1)
    say = act(SAY, said) + sent()
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    for version in VERSIONS:
        greeted = bytes((version | CERTIFIED,)) + sent() * 2
        yield greeted + say * 3
        yield greeted + say + act(KEYS) + sent() + act(KEYS, b"1") + say
        yield greeted + say + act(END) + say
        yield greeted + act(SAY, said) + bent(9, b"\xff") + sent()  # a record that was changed
        yield greeted + act(SAY, said) + act(CUT, b"\0\x30") + sent()
        yield greeted + act(RAW, b"\x15\x03\x03\0\x02\x01\0") + say  # an alert, not encrypted
        yield greeted + act(RAW, b"\x17\x03\x03\xff\xff" + bytes(90)) + say
        yield greeted + act(RAW, frames.PREFACE) + say
        yield bytes((version,)) + sent() * 3 + say  # no certificate
        yield bytes((version | 4,)) + sent() * 2  # HTTP/1.1
        for place in (0, 3, 5, 9, 43, 44, 80, 120):
            yield bytes((version | CERTIFIED,)) + bent(place, b"\x01") + act(WAIT)
            yield bytes((version | CERTIFIED,)) + sent() + bent(place, b"\x80") + act(WAIT)
            cut = act(CUT, struct.pack(">H", place))
            yield bytes((version | CERTIFIED,)) + cut + act(WAIT)
            yield bytes((version | CERTIFIED,)) + sent() + cut + act(WAIT)
        yield bytes((version,)) + act(RAW, hello + bytes(89)) + act(WAIT)
        yield bytes((version,)) + act(RAW, b"\x80\x2e\x01\0\2") + act(WAIT)  # of SSL 2
        yield bytes((version,)) + act(RAW, b"\x15\x03\x03\0\x02\x02\x28") + sent()


def writing():
    money = {"amount": 500, "debit_after": -300, "credit_after": 10_000 | 5_000 << 32}
    money |= {"held_after": 7, "day_used": 9_500, "meal_used": 5_000, "debit_wallet": 1}
    each = 0
    for reason in BY_NUMBER:
        for outcome in range(1, 5):
            each += 1
            record = {
                "seq": each * 1_000,
                "type": sorted(TYPES)[each % len(TYPES)],
                "outcome": outcome,
                "reason": reason,
                "flags": sum(FLAGS) | 8192 if each % 2 else 0,
                "parts": 1 + each % 2,
                "batch_no": each % 3,
                "terminal_seq": 7,
                "aux": 800,
            }
            reply = make(record=record, money=money, approved=500, pin_left=2, replayed=each % 2)
            yield bytes((each % 13, 5, 9, 1)) + bytes(reply)
    for status in range(12):
        yield bytes((128 + 11, 0, 0, 0)) + bytes(make(op=1, status=status))


SEEDS = {
    "control": lambda: [b"found"],
    "decoder": decoder,
    "front": front,
    "reading": decoder,
    "tls": tls,
    "writing": writing,
}


def main():
    subject, directory = sys.argv[1:]
    for seed in SEEDS[subject]():
        name = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
        (Path(directory) / name).write_bytes(seed)


main()
