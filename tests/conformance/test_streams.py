"""Streams that Python answers: through both doors the same, and bounded by who reads them."""

import contextlib
import struct
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hpack import Decoder

from tests.campus import CALL_S, Campus
from tests.conformance.conftest import DOORS
from tests.conformance.feeding import SERVICE, Feeding, wanted
from tests.conformance.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    RST,
    WINDOW,
    Peer,
    frame,
    header_block,
    message,
)
from tests.conformance.test_taps import told

CANCEL = 8
DEADLINE_EXCEEDED, UNAVAILABLE = b"4", b"14"
FIRST_WINDOW = 65_535
AHEAD = {"native": 65_536, "grpcio": 1 << 20}  # bytes that a handler may have made beyond a window
SIZE = 1_000
FED_MAX = 8
NOBODYS = "nobody's.Service"
SERVING, NOT_SERVING = 1, 2


@pytest.fixture(scope="module")
def fed(tmp_path_factory):
    with Feeding(tmp_path_factory.mktemp("fed"), fed_max=FED_MAX) as running:
        yield running


@pytest.fixture(params=DOORS)
def name(request):
    return request.param


def called(channel, method, request, **options):
    return channel.unary_stream(SERVICE + method)(request, **options)


def asks(method, request, *, extra=(), stream=1):
    """A whole request by hand."""
    headers = header_block(SERVICE + method, extra)
    return frame(HEADERS, END_HEADERS, stream, headers) + frame(
        DATA, END_STREAM, stream, message(request)
    )


def opened(peer, more):
    """Let the peer's first stream send so many bytes more."""
    for stream in (0, 1):
        peer.send(frame(WINDOW, 0, stream, struct.pack(">I", more)))


def wait_for(holds):
    ends = time.monotonic() + CALL_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def trailers(frames):
    """Read to the call's end; returns its headers, all blocks together."""
    decoder, found = Decoder(), {}
    for kind, flags, stream, payload in frames:
        if kind == HEADERS and stream == 1:
            found |= dict(decoder.decode(payload, raw=True))
            if flags & END_STREAM:
                return found
        assert kind not in {"closed", RST}
    return pytest.fail("it did not end")


@pytest.mark.parametrize("method", ["Count", "Written"])
@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (3_000, 100), (40, 100_000)])
def test_all_messages_come_in_order_and_then_a_good_end(fed, name, method, shape):
    """None, one, many small ones, some that are larger than what may be ahead."""
    count, size = shape
    with grpc.insecure_channel(fed.addresses[name]) as channel:
        call = called(channel, method, wanted(count, size), timeout=CALL_S)
        got = [(int.from_bytes(said[:4]), len(said)) for said in call]
        assert got == [(number, size) for number in range(count)]
        assert call.code() is grpc.StatusCode.OK
    assert fed.feed.ended.get(timeout=CALL_S) == "well"


def test_a_refusal_behind_messages_says_the_same(fed):
    """Code, words that no header can carry as they are, details; after what was said before."""
    said = {}
    for name in DOORS:
        with grpc.insecure_channel(fed.addresses[name]) as channel:
            got = []

            def read(request, channel=channel, got=got):
                got += called(channel, "Refused", request, timeout=CALL_S)

            said[name] = told(read, wanted(3, 10)), len(got)
            assert told(read, wanted(0, 4)) == said[name][0], "behind none too"
        assert {fed.feed.ended.get(timeout=CALL_S) for _ in range(2)} == {"Refusal"}
    assert said["native"] == said["grpcio"]
    assert said["native"][0][2] == "FIELD_INVALID"


def test_a_handler_waits_for_a_slow_reader(fed, name):
    """However long it would go on, what it has made is what its reader lets it, and a bound."""
    with Peer(fed.addresses[name]) as peer:
        before = fed.feed.made
        peer.send(asks("Count", wanted(5_000, SIZE)))
        frames = peer.frames(CALL_S)
        granted, got = FIRST_WINDOW, 0
        while got < 4_000 * SIZE:
            while got < granted:
                kind, _, stream, payload = next(frames)
                assert kind != "closed"
                got += len(payload) if (kind, stream) == (DATA, 1) else 0
            assert fed.feed.made - before <= granted + AHEAD[name] + SIZE
            opened(peer, 4 * FIRST_WINDOW)
            granted += 4 * FIRST_WINDOW
        opened(peer, 1 << 30)
        assert trailers(frames)[b"grpc-status"] == b"0"
    assert fed.feed.ended.get(timeout=CALL_S) == "well"
    assert fed.feed.made - before == 5_000 * SIZE


@pytest.mark.parametrize("how", ["cancelled", "hung up"])
@pytest.mark.parametrize("reads", [True, False], ids=["reading", "not reading"])
def test_a_handler_whose_caller_is_gone_is_cancelled(fed, name, how, reads):
    """While it waits for something of its own, and while it waits for its reader."""
    with Peer(fed.addresses[name]) as peer:
        request = wanted(1, 4) if reads else wanted(1 << 30, SIZE)
        peer.send(asks("Held" if reads else "Count", request))
        assert fed.feed.begun.get(timeout=CALL_S)
        next(payload for kind, _, _, payload in peer.frames(CALL_S) if kind == DATA)
        if how == "cancelled":
            peer.send(frame(RST, 0, 1, struct.pack(">I", CANCEL)))
        else:
            peer.close()
        assert fed.feed.ended.get(timeout=CALL_S) in {"CancelledError", "GeneratorExit"}
    drained(fed.feed.begun)


def drained(marks):
    while not marks.empty():
        marks.get()


def with_a_deadline(fed, name, method, request, *, ends):
    """Call by hand until the handler has begun in time and the call ended as it must.

    The peer has set no deadline of its own: the server tells it.
    """
    for timeout in ("200m", "2S", "10S"):
        with Peer(fed.addresses[name]) as peer:
            peer.send(asks(method, request, extra=[("grpc-timeout", timeout)]))
            ended = ends(peer.frames(4 * CALL_S))
        if not fed.feed.begun.empty():
            fed.feed.begun.get()
            assert fed.feed.ended.get(timeout=CALL_S) in {"CancelledError", "GeneratorExit"}
            if ended:
                return
    pytest.fail("it did not end so")


def test_a_stream_ends_at_its_deadline(fed, name):
    def ends(frames):
        return trailers(frames)[b"grpc-status"] == DEADLINE_EXCEEDED

    drained(fed.feed.begun)
    with_a_deadline(fed, name, "Held", wanted(1, 4), ends=ends)


def test_who_does_not_read_is_cut_at_the_deadline(fed):
    """What was said and not taken is not kept for it."""

    def ends(frames):
        for kind, flags, stream, payload in frames:
            if kind == HEADERS and stream == 1 and flags & END_STREAM:
                return False  # it had not said as much as may wait
            if kind == RST:
                return int.from_bytes(payload) == CANCEL
        return False

    drained(fed.feed.begun)
    with_a_deadline(fed, "native", "Count", wanted(1 << 30, SIZE), ends=ends)
    wait_for(lambda: fed.stats()["calls"] == 0)


def test_streams_have_a_bound_and_their_places_come_back(fed):
    """As many calls that are given up at once leave nothing behind."""
    request = wanted(1, 4)
    with Peer(fed.addresses["native"]) as peer:
        for stream in range(1, 20 * FED_MAX, 2):
            reset = frame(RST, 0, stream, struct.pack(">I", CANCEL))
            peer.send(asks("Held", request, stream=stream) + reset)
    wait_for(lambda: fed.stats()["calls"] == 0)
    with grpc.insecure_channel(fed.addresses["native"]) as channel:
        calls = []

        def begin():
            call = called(channel, "Held", request, timeout=4 * CALL_S)
            assert next(call)[:4] == bytes(4)
            calls.append(call)

        def begun():
            """Python gives a place back when it has learned that the caller is gone."""
            with contextlib.suppress(grpc.RpcError):
                begin()
                return True
            return False

        while len(calls) < FED_MAX:
            wait_for(begun)
        refused = told(lambda: next(called(channel, "Held", request, timeout=CALL_S)))
        assert refused[0] == "RESOURCE_EXHAUSTED"
        assert refused[2] == "QUEUE_FULL"
        calls.pop().cancel()
        wait_for(begun)
        for call in calls:
            call.cancel()
    wait_for(lambda: fed.stats()["calls"] == 0)


def test_a_stream_may_end_while_the_server_drains(tmp_path, name):
    with Feeding(tmp_path, grace_s=60) as fed, Peer(fed.addresses[name]) as peer:
        peer.send(asks("Held", wanted(1, 4)))
        frames = peer.frames(CALL_S)
        next(payload for kind, _, _, payload in frames if kind == DATA)
        fed.leave()
        next(payload for kind, _, _, payload in frames if kind == GOAWAY)
        fed.go_on()
        last = next(payload for kind, _, _, payload in frames if kind == DATA)
        assert last == message(b"end")
        assert trailers(frames)[b"grpc-status"] == b"0"
        assert fed.feed.ended.get(timeout=CALL_S) == "well"


def test_a_stream_that_does_not_end_is_told_so_after_the_grace(tmp_path):
    """Its caller learns that it may ask elsewhere, before the connection ends."""
    with Feeding(tmp_path, grace_s=1) as fed, Peer(fed.addresses["native"]) as peer:
        peer.send(asks("Held", wanted(1, 4)))
        frames = peer.frames(CALL_S)
        next(payload for kind, _, _, payload in frames if kind == DATA)
        fed.leave()
        assert trailers(frames)[b"grpc-status"] == UNAVAILABLE
        assert fed.feed.ended.get(timeout=CALL_S) in {"CancelledError", "GeneratorExit"}
        assert peer.farewell(CALL_S)[1]


def test_health_is_watched_alike_until_the_server_leaves(tmp_path):
    """A watcher learns that the server leaves before its connection does."""
    with Campus(tmp_path / "campus") as campus:
        channels = [grpc.insecure_channel(a) for a in (campus.address, campus.front_address)]
        stubs = [health_pb2_grpc.HealthStub(channel) for channel in channels]
        unknown = health_pb2.HealthCheckRequest(service=NOBODYS)
        said = [told(stub.Check, unknown, timeout=CALL_S) for stub in stubs]
        assert said[0] == said[1]
        assert said[0][0] == "NOT_FOUND"
        asked = health_pb2.HealthCheckRequest(service="campuscard.v1.TerminalService")
        watches = [stub.Watch(asked, timeout=4 * CALL_S) for stub in stubs]
        assert [next(watch).status for watch in watches] == [SERVING, SERVING]
        assert campus.stop() == 0
        assert [next(watch).status for watch in watches] == [NOT_SERVING, NOT_SERVING]
        for watch in watches:
            with pytest.raises(grpc.RpcError) as caught:
                next(watch)
            assert caught.value.code() in {
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.CANCELLED,
            }
        for channel in channels:
            channel.close()
