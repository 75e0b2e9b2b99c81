"""Peers that no terminal is: each is bounded, and everybody else is served meanwhile."""

import contextlib
import pathlib
import random
import socket
import struct
import time

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc
from tests.campus import CALL_S, Campus, refusal
from tests.conformance.conftest import Door
from tests.conformance.frames import (
    AUTHORIZE,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    HEADERS,
    PING,
    PREFACE,
    RST,
    SETTINGS,
    WINDOW,
    Peer,
    frame,
    header_block,
    message,
)
from tests.terminals import medium_of

STREAM = "/campuscard.v1.TerminalService/AuthorizeStream"


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    """A campus whose native front end is impatient."""
    front = {
        "address": "127.0.0.1:0",
        "handshake_ms": 400,
        "slots_max": 128,
        "frames_burst": 1_000,
        "frames_rate": 100,
    }
    with Campus(tmp_path_factory.mktemp("campus"), settings={"front": front}) as running:
        yield running


@pytest.fixture(scope="module")
def pos(campus):
    """A well-behaved terminal on the native front end."""
    with grpc.insecure_channel(campus.front_address) as channel:
        yield Door(campus, "native", channel).pos("HONEST")


@pytest.fixture(scope="module")
def holder(campus):
    return campus.open_account(top_up_fen=10_000_000)


@pytest.fixture(autouse=True)
def still_served(campus, pos, holder):
    """After every test the honest terminal is served, by the process that served it before."""
    before = campus.process.pid
    yield
    assert pos.pay(holder, 1).reason in {"OK", "PIN_REQUIRED"}
    assert campus.process.pid == before
    assert campus.process.poll() is None


def resident_bytes(campus):
    text = pathlib.Path(f"/proc/{campus.process.pid}/status").read_text(encoding="ascii")
    return 1024 * next(int(line.split()[1]) for line in text.splitlines() if "VmRSS" in line)


@pytest.mark.parametrize(
    "flood",
    [
        frame(PING, payload=b"12345678"),
        frame(SETTINGS),
        frame(SETTINGS, payload=struct.pack(">HI", 3, 100)),
        frame(WINDOW, payload=struct.pack(">I", 1)),
        frame(2, stream=1, payload=b"\0\0\0\0\x10"),
    ],
    ids=["ping", "settings", "settings with a value", "window", "priority"],
)
def test_a_flood_of_frames_without_a_call_ends_the_connection(campus, flood):
    with Peer(campus.front_address) as peer:
        for _ in range(20):
            if not peer.send(flood * 500):
                break
        error, closed = peer.farewell()
        assert closed
        assert error in {None, ENHANCE_YOUR_CALM}


def test_rapid_reset_ends_the_connection(campus):
    with Peer(campus.front_address) as peer:
        stream = 1
        for _ in range(20):
            burst = b""
            for _ in range(250):
                burst += frame(HEADERS, END_HEADERS, stream, header_block())
                burst += frame(RST, 0, stream, struct.pack(">I", 8))
                stream += 2
            if not peer.send(burst):
                break
        _, closed = peer.farewell()
        assert closed


def test_headers_without_end_are_bounded(campus):
    with Peer(campus.front_address) as peer:
        peer.send(frame(HEADERS, 0, 1, header_block()))
        more = frame(CONTINUATION, 0, 1, b"\x00\x01a" + b"\x7f\x81\x7d" + b"v" * 16_256)
        for _ in range(200):
            if not peer.send(more):
                break
        _, closed = peer.farewell()
        assert closed


def test_headers_that_come_byte_by_byte_are_cancelled(campus):
    """Each byte is a sign of life of the connection, and none of the request."""
    with Peer(campus.front_address) as peer:
        peer.send(frame(HEADERS, 0, 1, header_block()))
        rest = frame(CONTINUATION, END_HEADERS, 1, b"\x00\x01a\x40" + b"v" * 64)
        cancelled = []
        for byte in rest[:-1]:
            peer.send(bytes((byte,)))
            cancelled += [s for kind, _, s, _ in peer.frames(0.05) if kind in {RST, "closed"}]
            if cancelled:
                break
        assert cancelled in ([1], [0])


def test_frames_of_chance_end_in_order(campus, seed):
    """Whole frames of any kind, length and stream: answered or sent away, never a hang."""
    rng = random.Random(seed)
    for _ in range(200):
        with Peer(campus.front_address) as peer:
            for _ in range(rng.randrange(1, 12)):
                stream = rng.choice((0, 1, 1, 1, 3, 5, 2**31 - 1, 2))
                body = header_block() if rng.random() < 0.4 else rng.randbytes(rng.randrange(40))
                peer.send(frame(rng.randrange(12), rng.randrange(256), stream, body))
            with contextlib.suppress(OSError):  # it was sent away
                peer.socket.shutdown(socket.SHUT_WR)
            _, closed = peer.farewell(5)
            assert closed


def test_metadata_above_the_bound_is_refused(campus):
    with grpc.insecure_channel(campus.front_address) as channel:
        call = channel.unary_unary(AUTHORIZE)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=CALL_S, metadata=[("x-large", "v" * 12_000)])
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "said",
    [b"", PREFACE[:10], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + b"\0" * 200],
    ids=["nothing", "half a preface", "HTTP/1.1", "TLS"],
)
def test_who_does_not_greet_is_closed(campus, said):
    with Peer(campus.front_address, greet=False) as peer:
        peer.send(said)
        _, closed = peer.farewell(5)
        assert closed


def test_a_request_that_does_not_end_is_cancelled(campus):
    with Peer(campus.front_address) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, header_block()))
        peer.send(frame(DATA, 0, 1, b"\0\0\0\0\x40half"))
        cancelled = [s for kind, _, s, _ in peer.frames(3) if kind == RST]
        assert cancelled == [1]


def test_a_stream_may_be_silent_for_as_long_as_it_likes(campus, pos, holder):
    def slowly():
        yield pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1))
        time.sleep(1.5)
        yield pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1))

    answers = list(pos.campus.terminals.AuthorizeStream(slowly(), timeout=CALL_S))
    assert len(answers) == 2


def test_a_length_that_never_comes_costs_nothing(campus):
    before = resident_bytes(campus)
    with Peer(campus.front_address) as peer:
        for stream in range(1, 401, 2):
            peer.send(frame(HEADERS, END_HEADERS, stream, header_block()))
            peer.send(frame(DATA, 0, stream, b"\0\xff\xff\xff\xff"))
        ended = {s for kind, _, s, _ in peer.frames(2) if kind == HEADERS}
        assert len(ended) == 200
    assert resident_bytes(campus) - before < 8 << 20


def bad_stream_message():
    """Encode a stream message that is refused in its place."""
    request = pb.AuthorizeStreamRequest(authorization=pb.AuthorizeRequest(terminal_id="X"))
    return message(request.SerializeToString())


def test_who_ignores_our_window_is_sent_away(campus):
    before = resident_bytes(campus)
    with Peer(campus.front_address) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, header_block(STREAM)))
        chunk = (bad_stream_message() * 2_000)[:16_000]
        sent = 0
        while sent < 64 << 20 and peer.send(frame(DATA, 0, 1, chunk)):
            sent += len(chunk)
        assert sent < 64 << 20, "it was never sent away"
    assert resident_bytes(campus) - before < 8 << 20


def test_who_does_not_take_answers_is_given_no_more_room_for_questions(campus):
    """Its window for our answers is 0: what we take of it is bounded by what we may keep."""
    before = resident_bytes(campus)
    with Peer(campus.front_address, greet=False) as peer:
        peer.send(PREFACE + frame(SETTINGS, payload=struct.pack(">HI", 4, 0)))
        peer.send(frame(HEADERS, END_HEADERS, 1, header_block(STREAM)))
        one = bad_stream_message()
        room, sent = 65_535, 0
        while room >= len(one) * 100:
            chunk = one * min(room // len(one), 16_000 // len(one))
            peer.send(frame(DATA, 0, 1, chunk))
            sent += len(chunk)
            room -= len(chunk)
            for kind, _, stream, payload in peer.frames(0.2 if room < 20_000 else 0.02):
                if kind == WINDOW and stream == 1:
                    room += int.from_bytes(payload)
            assert sent < 1 << 20, "it was given room for ever"
    assert resident_bytes(campus) - before < 8 << 20


def test_more_commands_than_there_are_places_are_refused_and_may_be_sent_again(pos, holder):
    medium = medium_of(holder)
    items = [
        pb.AuthorizeItem(
            terminal_seq=40_000 + number,
            medium_type=medium.type,
            medium_token=medium.token,
            amount_fen=1,
        )
        for number in range(129)
    ]
    request = pb.AuthorizeBatchRequest(
        terminal_id=pos.terminal_id, batch_no=pos.batch_no, items=items
    )
    with pytest.raises(grpc.RpcError) as caught:
        pos.campus.terminals.AuthorizeBatch(request, timeout=CALL_S)
    reason, _, details = refusal(caught.value)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason == "QUEUE_FULL"
    assert details["RetryInfo"].retry_delay.ToMilliseconds() > 0
    del request.items[128:]
    assert len(pos.campus.terminals.AuthorizeBatch(request, timeout=CALL_S).results) == 128


def test_two_messages_where_one_was_promised_are_refused(campus, pos, holder):
    with Peer(campus.front_address) as peer:
        one = message(pos.purchase(holder, 1, seq=33_000).SerializeToString())
        peer.send(frame(HEADERS, END_HEADERS, 1, header_block()))
        peer.send(frame(DATA, END_STREAM, 1, one + one))
        kinds = [(kind, flags) for kind, flags, s, _ in peer.frames(1) if s == 1]
        assert (HEADERS, END_STREAM | END_HEADERS) in kinds
    with pytest.raises(grpc.RpcError) as caught:
        pos.transaction(33_000)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_decision_stands_when_its_caller_is_gone(campus, pos, holder):
    with Peer(campus.front_address) as peer:
        body = message(pos.purchase(holder, 1, seq=33_001).SerializeToString())
        peer.send(frame(HEADERS, END_HEADERS, 1, header_block()))
        peer.send(frame(DATA, END_STREAM, 1, body) + frame(RST, 0, 1, struct.pack(">I", 8)))
        list(peer.frames(0.3))
    ends = time.monotonic() + CALL_S
    while time.monotonic() < ends:
        try:
            assert pos.transaction(33_001).decision.replayed
            return
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
    pytest.fail("it was never decided")


def test_what_comes_after_its_deadline_is_not_decided(campus, pos, holder):
    with Peer(campus.front_address) as peer:
        soon = [("grpc-timeout", "20m")]
        peer.send(frame(HEADERS, END_HEADERS, 1, header_block(extra=soon)))
        time.sleep(0.2)
        body = message(pos.purchase(holder, 1, seq=33_003).SerializeToString())
        peer.send(frame(DATA, END_STREAM, 1, body))
        blocks = [payload for kind, _, s, payload in peer.frames(1) if kind == HEADERS and s == 1]
    assert len(blocks) == 1, "refused in one block of headers"
    with pytest.raises(grpc.RpcError) as caught:
        pos.transaction(33_003)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_compressed_requests_are_refused_with_what_is_understood(campus, pos, holder):
    request = pos.purchase(holder, 1, seq=33_002)
    request.medium.token = b"a" * 60
    gzip = grpc.Compression.Gzip
    with grpc.insecure_channel(campus.front_address, compression=gzip) as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Authorize(request, timeout=CALL_S)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_drain_tells_connections_to_leave_and_ends_in_order(tmp_path):
    campus = Campus(tmp_path / "drained", settings={"front": {"address": "127.0.0.1:0"}})
    campus.start()
    with grpc.insecure_channel(campus.front_address) as channel:
        pos = Door(campus, "native", channel).pos("LAST")
        holder = campus.open_account(top_up_fen=1_000)
        with Peer(campus.front_address) as peer:
            assert pos.pay(holder, 1).reason == "OK"
            assert campus.stop() == 0
            error, closed = peer.farewell(2)
            assert closed
            assert error == 0
