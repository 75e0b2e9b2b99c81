"""More than the server can take: refused at once where the disk stands still, and shared fairly."""

import os
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hpack import Decoder

from campuscard.v1 import ops_service_pb2, terminal_service_pb2_grpc
from campuscard.v1 import terminal_service_pb2 as pb
from tests.campus import CALL_S, Campus, refusal
from tests.conformance.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    WINDOW,
    Peer,
    frame,
    header_block,
    message,
)
from tests.conformance.parts import PARTS, Grown, slack
from tests.conformance.test_taps import SERVICE
from tests.terminals import Pos

DEADLINE_EXCEEDED = b"4"
QUEUE, BLOCK_MAX, BLOCKS = 64, 64, 4
CALLS = 800
VICTIMS, STREAMS = 300, 16
STREAM_WINDOW = 65_535
DATA_MAX = 16_384
TURN = 8_192  # bytes that one connection is read in a turn
EVENTS = 256  # connections of a turn
IN_FLIGHT = 1_024  # front.connection_in_flight


@pytest.fixture(scope="module")
def held_disk(tmp_path_factory):
    """A library that holds the disk, and the file that does while it exists."""
    directory = tmp_path_factory.mktemp("held")
    library = directory / "held_disk.so"
    source = str(Path(__file__).with_name("held_disk.c"))
    build = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), source]
    subprocess.run([*build, "-ldl"], check=True)
    return library, directory / "held"


@pytest.fixture
def slow(tmp_path, held_disk):
    """A campus with a small queue whose disk can be held; and the file that does."""
    library, held = held_disk
    held.with_suffix(".stuck").unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as environment:
        # Behind what is preloaded already: a sanitizer wants to be first.
        environment.setenv("LD_PRELOAD", f"{os.environ.get('LD_PRELOAD', '')} {library}".strip())
        environment.setenv("HELD", str(held))
        settings = {
            "engine": {"queue": QUEUE, "block_max": BLOCK_MAX},
            "front": {"streams_max": CALLS},
        }
        campus = Campus(tmp_path / "campus", settings=settings)
        campus.start()
    yield campus, held
    held.unlink(missing_ok=True)
    campus.stop()


def test_a_full_queue_refuses_with_a_time_to_come_back(slow):
    """Nothing is kept for those that find no place, and all that found one are answered."""
    campus, held = slow
    holder = campus.open_account(top_up_fen=100_000)
    with grpc.insecure_channel(campus.front_address) as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        campus.terminal("POS-1", sign_in=False)
        pos = Pos(type("Front", (), {"terminals": stub}), "POS-1")
        assert pos.sign_in().reason == "OK"
        requests = [pos.purchase(holder, 1) for _ in range(CALLS)]
        refused = threading.Semaphore(0)
        held.touch()
        calls = [stub.Authorize.future(request, timeout=60) for request in requests]
        for call in calls:
            call.add_done_callback(lambda _: refused.release())
        # All but those that have a place are answered while the disk still stands.
        places = QUEUE + BLOCKS * BLOCK_MAX
        for _ in range(CALLS - places):
            assert refused.acquire(timeout=30)
        held.unlink()
        answers = [answer_of(call) for call in calls]
        decided = [answer for answer in answers if answer == "OK"]
        assert QUEUE <= len(decided) <= places
        again = [answer_of(stub.Authorize.future(r, timeout=CALL_S)) for r in requests]
        assert set(again) == {"OK"}
        assert holder.online_fen == 100_000 - CALLS
    assert campus.metrics()['campuscard_front_refused_total{reason="QUEUE_FULL"}'] == CALLS - len(
        decided
    )


def test_what_waits_longer_than_its_deadline_is_not_decided(slow):
    """It is told so by the server, and nothing was charged."""
    campus, held = slow
    holder = campus.open_account(top_up_fen=1_000)
    pos = campus.terminal("POS-1")
    with grpc.insecure_channel(campus.front_address) as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        held.touch()
        first = stub.Authorize.future(pos.purchase(holder, 1), timeout=60)
        await_file(held.with_suffix(".stuck"))
        with Peer(campus.front_address) as peer:
            late = pos.purchase(holder, 10, seq=900)
            headers = header_block(extra=[("grpc-timeout", "50m")])
            peer.send(frame(HEADERS, END_HEADERS, 1, headers))
            peer.send(frame(DATA, END_STREAM, 1, message(late.SerializeToString())))
            peer.send(frame(PING, payload=b"received"))
            frames = peer.frames()
            next(flags for kind, flags, *_ in frames if kind == PING and flags & ACK)
            time.sleep(0.1)
            held.unlink()
            blocks = (payload for kind, _, on, payload in frames if (kind, on) == (HEADERS, 1))
            told = dict(Decoder().decode(next(blocks), raw=True))
        assert told[b"grpc-status"] == DEADLINE_EXCEEDED
        assert first.result().decision.reason == "OK"
    assert holder.online_fen == 999
    with pytest.raises(grpc.RpcError) as caught:
        pos.transaction(900)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_what_is_wrong_can_be_seen_while_the_disk_stands_still(slow):
    """Whoever looks then needs it most: nothing that only reads waits for the journal."""
    campus, held = slow
    holder = campus.open_account(top_up_fen=1_000)
    pos = campus.terminal("POS-1")
    acknowledged = campus.metrics()["campuscard_acknowledged_seq"]
    with grpc.insecure_channel(campus.front_address) as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        held.touch()
        first = stub.Authorize.future(pos.purchase(holder, 1), timeout=60)
        await_file(held.with_suffix(".stuck"))
        for _ in range(2):
            seen = campus.metrics()
            assert seen["campuscard_acknowledged_seq"] == acknowledged
            assert seen["campuscard_ledger_sum_fen"] == 0
            status = campus.stub("OpsService").GetStatus(
                ops_service_pb2.GetStatusRequest(), timeout=CALL_S
            )
            assert status.ledger_sum_fen == 0
            for at in (channel, campus.raw_channel):
                asked = health_pb2.HealthCheckRequest()
                health = health_pb2_grpc.HealthStub(at).Check(asked, timeout=CALL_S)
                assert health.status == health_pb2.HealthCheckResponse.SERVING
        assert not first.done()
        held.unlink()
        assert first.result().decision.reason == "OK"
    assert campus.metrics()["campuscard_acknowledged_seq"] > acknowledged


def test_a_wait_is_counted_where_it_was(slow):
    """One command is with the disk, the next one still in the queue."""
    campus, held = slow
    holder = campus.open_account(top_up_fen=1_000)
    pos = campus.terminal("POS-1")
    with grpc.insecure_channel(campus.front_address) as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        grown = Grown(campus)
        held.touch()
        first = stub.Authorize.future(pos.purchase(holder, 1), timeout=60)
        await_file(held.with_suffix(".stuck"))
        with Peer(campus.front_address) as peer:
            peer.send(frame(HEADERS, END_HEADERS, 1, header_block()))
            second = pos.purchase(holder, 1).SerializeToString()
            peer.send(frame(DATA, END_STREAM, 1, message(second)))
            peer.send(frame(PING, payload=b"received"))
            frames = peer.frames()
            next(flags for kind, flags, *_ in frames if kind == PING and flags & ACK)
            began = time.monotonic()
            time.sleep(0.2)
            waited = time.monotonic() - began
            held.unlink()
            next(on for kind, flags, on, _ in frames if kind == HEADERS and flags & END_STREAM)
        assert first.result().decision.reason == "OK"
    assert grown.counted(2) == dict.fromkeys(PARTS, 2)
    assert grown.seconds("commit") >= waited
    assert grown.seconds("queue") >= waited - slack(2)
    assert holder.online_fen == 998


def await_file(path):
    ends = time.monotonic() + CALL_S
    while not path.exists():
        assert time.monotonic() < ends
        time.sleep(0.005)


def answer_of(call):
    """Return the decision's reason; of one that was refused, QUEUE_FULL, and when to come back."""
    error = call.exception()
    if error is None:
        return call.result().decision.reason
    reason, _, details = refusal(error)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details["RetryInfo"].retry_delay.ToMilliseconds() > 0
    return reason


# ---- fairness ----


class Greedy:
    """A connection that sends on its streams without pause, as much as it may."""

    def __init__(self, address, pos, holder):
        self.peer = Peer(address, greet=False)
        # It takes answers as fast as they come.
        self.peer.send(PREFACE + frame(SETTINGS, payload=struct.pack(">HI", 4, (1 << 31) - 1)))
        self.peer.send(frame(WINDOW, payload=struct.pack(">I", (1 << 31) - 1 - STREAM_WINDOW)))
        path = SERVICE + "AuthorizeStream"
        for number in range(STREAMS):
            self.peer.send(frame(HEADERS, END_HEADERS, 2 * number + 1, header_block(path)))
        self.sent, self.bytes = 0, b""
        self.size = 0
        for number in range(STREAMS):
            self._fill(2 * number + 1, pos, holder)

    def _fill(self, stream, pos, holder):
        body = b""
        while True:
            request = pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1))
            one = message(request.SerializeToString())
            if len(body) + len(one) > STREAM_WINDOW:
                break
            body += one
            self.sent += 1
            self.size = len(one)
        for at in range(0, len(body), DATA_MAX):
            last = at + DATA_MAX >= len(body)
            flags = END_STREAM if last else 0
            self.bytes += frame(DATA, flags, stream, body[at : at + DATA_MAX])

    def seqs(self):
        """Read until everything is answered; returns where each was decided."""
        found, rest = [], {}
        for kind, _, stream, payload in self.peer.frames(60):
            assert kind != "closed"
            if kind != DATA:
                continue
            data = rest.get(stream, b"") + payload
            while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5]):
                size = 5 + int.from_bytes(data[1:5])
                answer = pb.AuthorizeStreamResponse.FromString(data[5:size])
                found.append(answer.decision.seq)
                data = data[size:]
            rest[stream] = data
            if len(found) == self.sent:
                break
        return found


@pytest.fixture
def crowd(tmp_path):
    with Campus(tmp_path / "campus") as campus:
        yield campus


def test_one_that_sends_without_pause_does_not_starve_the_others(crowd):
    """While the server stands still all have sent: nobody waits for more than the other's share.

    What is compared is the order of decisions, not time.
    """
    holder = crowd.open_account(top_up_fen=10_000_000)
    other = crowd.open_account(top_up_fen=10_000_000)
    pos, victim = crowd.terminal("GREEDY"), crowd.terminal("VICTIM")
    greedy = Greedy(crowd.front_address, pos, holder)
    peers = [Peer(crowd.front_address) for _ in range(VICTIMS)]
    for peer in peers:
        assert next(kind for kind, *_ in peer.frames() if kind == SETTINGS) == SETTINGS
    sending = threading.Thread(target=greedy.peer.send, args=(greedy.bytes,))
    os.kill(crowd.process.pid, signal.SIGSTOP)
    try:
        sending.start()
        sending.join(1)  # as much as the kernel keeps
        for peer in peers:
            body = message(victim.purchase(other, 1).SerializeToString())
            # In one piece: it is there before the server goes on.
            ask = frame(HEADERS, END_HEADERS, 1, header_block())
            peer.send(ask + frame(DATA, END_STREAM, 1, body))
    finally:
        os.kill(crowd.process.pid, signal.SIGCONT)
    theirs = greedy.seqs()
    ours = [seq_of(peer) for peer in peers]
    sending.join()
    turns = VICTIMS // EVENTS + 2
    share = turns * (TURN // greedy.size + IN_FLIGHT)
    assert len(theirs) == greedy.sent > 4 * share, "there is enough to starve them with"
    assert sum(seq < max(ours) for seq in theirs) <= share
    greedy.peer.close()
    for peer in peers:
        peer.close()


def seq_of(peer):
    payload = next(payload for kind, _, _, payload in peer.frames() if kind == DATA)
    return pb.AuthorizeResponse.FromString(payload[5:]).decision.seq
