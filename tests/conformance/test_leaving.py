"""When connections end: told twice, by age, when idle, without a sign of life; how many calls."""

import contextlib
import struct
import time

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from tests.campus import CALL_S, Campus
from tests.conformance.conftest import Door
from tests.conformance.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RST,
    SETTINGS,
    Peer,
    frame,
    header_block,
    message,
)

AGE_MS, IDLE_MS, KEEPALIVE_MS, CALLS_MAX, STREAMS_MAX = 700, 1_500, 300, 128, 100
NO_LAST_CALL = (1 << 31) - 1
PROTOCOL_ERROR, REFUSED_STREAM = 1, 7
MAX_CONCURRENT_STREAMS = 3
STREAM = "/campuscard.v1.TerminalService/AuthorizeStream"
WAIT_S = 10


@contextlib.contextmanager
def serving(directory, **front):
    with Campus(directory, settings={"front": front}) as campus:
        yield campus


@pytest.fixture(scope="module")
def ageing(tmp_path_factory):
    """A campus whose connections grow old soon."""
    with serving(tmp_path_factory.mktemp("ageing"), age_ms=AGE_MS) as campus:
        yield campus


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A campus with few places for calls, whose idle connections leave."""
    with serving(
        tmp_path_factory.mktemp("busy"),
        calls_max=CALLS_MAX,
        streams_max=STREAMS_MAX,
        idle_ms=IDLE_MS,
        keepalive_ms=KEEPALIVE_MS,
    ) as campus:
        yield campus


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A campus with few places for calls that waits for whoever is in the middle of one."""
    with serving(
        tmp_path_factory.mktemp("crowded"),
        calls_max=CALLS_MAX,
        streams_max=STREAMS_MAX,
        handshake_ms=600_000,
    ) as campus:
        yield campus


def until(frames, kind, flags=None):
    """Return the first frame of a kind, and what came before it."""
    before = []
    for found in frames:
        if found[0] == kind and (flags is None or found[1] & flags == flags):
            return found, before
        before.append(found)
    pytest.fail(f"no frame {kind}: {[f[0] for f in before]}")


def last_call(goaway):
    """Return the last call that a GOAWAY takes, and its error."""
    last, error = struct.unpack(">II", goaway[3][:8])
    return last, error


def asks(stream, body=b"", path=STREAM, *, ends=True):
    head = frame(HEADERS, END_HEADERS, stream, header_block(path))
    return head + frame(DATA, END_STREAM if ends else 0, stream, body)


def test_a_connection_is_told_twice_and_calls_on_their_way_are_answered(ageing):
    holder = ageing.open_account(top_up_fen=1_000)
    pos = ageing.terminal("POS-OLD")
    with Peer(ageing.front_address) as peer:
        frames = peer.frames(WAIT_S)
        told, _ = until(frames, GOAWAY)
        assert last_call(told) == (NO_LAST_CALL, 0)
        ping, _ = until(frames, PING)
        # The peer has not heard of it yet when it sends this.
        body = message(pos.purchase(holder, 100, seq=900).SerializeToString())
        peer.send(asks(1, body, "/campuscard.v1.TerminalService/Authorize"))
        answer, _ = until(frames, DATA)
        decision = pb.AuthorizeResponse.FromString(answer[3][5:]).decision
        assert decision.reason == "OK"
        peer.send(frame(PING, ACK, 0, ping[3]))
        told, _ = until(frames, GOAWAY)
        assert last_call(told) == (1, 0)
        until(frames, "closed")
    assert holder.online_fen == 900


def test_who_does_not_answer_is_told_a_second_time_all_the_same(ageing):
    with Peer(ageing.front_address) as peer:
        frames = peer.frames(WAIT_S)
        until(frames, PING)
        told, _ = until(frames, GOAWAY)
        assert last_call(told) == (0, 0)
        until(frames, "closed")


def test_calls_under_way_end_well_before_an_old_connection_does(ageing):
    holder = ageing.open_account(top_up_fen=1_000)
    with grpc.insecure_channel(ageing.front_address) as channel:
        pos = Door(ageing, "native", channel).pos("POS-SLOW")

        def slowly():
            yield pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1))
            time.sleep(2 * AGE_MS / 1_000)
            yield pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1))

        answers = list(pos.campus.terminals.AuthorizeStream(slowly(), timeout=CALL_S))
        assert [a.decision.reason for a in answers] == ["OK", "OK"]


def test_a_client_library_pays_on_while_its_connections_grow_old(ageing):
    """Every tap is answered, on as many connections as it takes; none has to be sent again."""
    holder = ageing.open_account(top_up_fen=100_000)
    options = [("grpc.enable_retries", 0)]
    with grpc.insecure_channel(ageing.front_address, options=options) as channel:
        pos = Door(ageing, "native", channel).pos("POS-LONG")
        before = accepted(ageing)
        ends = time.monotonic() + 4 * AGE_MS / 1_000
        paid = 0
        while time.monotonic() < ends:
            assert pos.pay(holder, 1).reason in {"OK", "PIN_REQUIRED"}
            paid += 1
        assert paid > 10
        assert accepted(ageing) > before


def accepted(campus):
    return campus.metrics()["campuscard_front_accepted_total"]


def test_an_idle_connection_that_answers_pings_leaves_in_order(busy):
    with Peer(busy.front_address) as peer:
        pings = 0
        for kind, flags, _, payload in peer.frames(WAIT_S):
            if kind == PING and not flags & ACK:
                peer.send(frame(PING, ACK, 0, payload))
                pings += 1
            if kind == GOAWAY:
                assert payload[4:8] == b"\0\0\0\0"
                break
        assert pings >= IDLE_MS // KEEPALIVE_MS // 2, "it was kept alive until then"
        assert peer.farewell(WAIT_S) == (0, True)


def test_a_connection_with_a_call_is_not_idle(busy):
    with Peer(busy.front_address) as peer:
        peer.send(asks(1, ends=False))
        ends = time.monotonic() + 2 * IDLE_MS / 1_000
        for kind, flags, _, payload in peer.frames(2 * IDLE_MS / 1_000):
            assert kind not in {GOAWAY, "closed"}
            if kind == PING and not flags & ACK:
                peer.send(frame(PING, ACK, 0, payload))
        assert time.monotonic() >= ends


def test_who_answers_no_ping_is_gone(busy):
    with Peer(busy.front_address) as peer:
        frames = peer.frames(WAIT_S)
        until(frames, PING)
        _, before = until(frames, "closed")
        assert GOAWAY not in [found[0] for found in before]


@pytest.mark.parametrize("knows", [False, True], ids=["before it knows", "knowing"])
def test_the_bound_of_a_connections_calls_is_told_and_kept(busy, knows):
    """A call too many is refused as never begun; from who has agreed to the bound it is an error."""
    with Peer(busy.front_address) as peer:
        settings, _ = until(peer.frames(WAIT_S), SETTINGS)
        pairs = [settings[3][at : at + 6] for at in range(0, len(settings[3]), 6)]
        told = dict(struct.unpack(">HI", pair) for pair in pairs)
        assert told[MAX_CONCURRENT_STREAMS] == STREAMS_MAX
        if knows:
            peer.send(frame(SETTINGS, ACK))
        for stream in range(1, 2 * STREAMS_MAX + 2, 2):
            peer.send(asks(stream, ends=False))
        if knows:
            assert peer.farewell(WAIT_S) == (PROTOCOL_ERROR, True)
            return
        refused, _ = until(peer.frames(WAIT_S), RST)
        assert refused[2] == 2 * STREAMS_MAX + 1
        assert int.from_bytes(refused[3]) == REFUSED_STREAM


def test_calls_above_the_bound_of_all_were_never_begun(crowded):
    pos = crowded.terminal("POS-FULL")
    holder = crowded.open_account(top_up_fen=1_000)
    body = message(pos.purchase(holder, 100, seq=900).SerializeToString())
    ask = asks(1, body, "/campuscard.v1.TerminalService/Authorize")
    with Peer(crowded.front_address) as first, Peer(crowded.front_address) as second:
        for peer, count in ((first, STREAMS_MAX), (second, CALLS_MAX - STREAMS_MAX)):
            for stream in range(1, 2 * count, 2):
                peer.send(asks(stream, ends=False))
        wait_for(lambda: crowded.metrics()["campuscard_front_calls"] == CALLS_MAX)
        before = crowded.metrics()["campuscard_front_turned_away_total"]
        with Peer(crowded.front_address) as third:
            third.send(ask)
            refused, _ = until(third.frames(WAIT_S), RST)
            assert (refused[2], int.from_bytes(refused[3])) == (1, REFUSED_STREAM)
        assert crowded.metrics()["campuscard_front_turned_away_total"] == before + 1
    wait_for(lambda: crowded.metrics()["campuscard_front_calls"] == 0)
    with Peer(crowded.front_address) as fourth:
        fourth.send(ask)
        answer, _ = until(fourth.frames(WAIT_S), DATA)
        assert not pb.AuthorizeResponse.FromString(answer[3][5:]).decision.replayed


def wait_for(holds):
    ends = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)
