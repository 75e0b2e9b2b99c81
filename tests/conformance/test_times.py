"""Where the time of a command goes: what the server counts of each part, against what it took."""

import itertools
import threading
import time

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from tests.campus import CALL_S, Campus
from tests.conformance.parts import ENGINE, PARTS, ROUNDING_S, Grown, named, slack
from tests.terminals import medium_of

CALLS = 50
ONCE = dict.fromkeys(PARTS, CALLS)


@pytest.fixture(scope="module", params=["full", "pipelined"])
def campus(request, tmp_path_factory):
    settings = {"front": {"address": "127.0.0.1:0"}, "journal": {"commit": request.param}}
    with Campus(tmp_path_factory.mktemp("campus"), settings=settings) as running:
        yield running


def test_the_parts_are_the_time_in_the_server(campus, doors):
    """Asked one by one, no two commands are in the server at once: their parts do not overlap."""
    holder = campus.open_account(top_up_fen=100_000)
    native = doors["native"]
    began = time.monotonic()  # before a turn that could read one of the calls
    pos = native.pos("POS-SUM")
    grown = Grown(campus)
    for _ in range(CALLS):
        assert pos.pay(holder, 1).reason == "OK"
    took = time.monotonic() - began
    assert grown.counted(CALLS) == ONCE
    assert all(grown.seconds(part) > 0 for part in PARTS)
    assert sum(grown.seconds(part) for part in ("parse", *ENGINE)) <= took + slack(CALLS)
    # The front end's clock at both ends of the engine's parts; then all that its turns did.
    turns = sum(map(grown.work, ("front_read", "front_answer", "front_send")))
    assert grown.engine - slack(CALLS) <= grown.way <= grown.engine + turns + slack(CALLS)
    # A command alone in its block is in it for as long as that is worked at.
    for part in ("decide", "hash"):
        assert grown.seconds(part) <= grown.work(part) + ROUNDING_S
    assert grown.seconds("commit") >= grown.work("commit") - ROUNDING_S


def test_all_of_a_batch_and_of_a_stream_are_counted(campus, doors):
    holder = campus.open_account(top_up_fen=100_000)
    native = doors["native"]
    pos = native.pos("POS-MANY")
    medium = medium_of(holder)
    items = [
        pb.AuthorizeItem(
            terminal_seq=next(pos.seqs),
            medium_type=medium.type,
            medium_token=medium.token,
            amount_fen=1,
        )
        for _ in range(CALLS)
    ]
    request = pb.AuthorizeBatchRequest(
        terminal_id=pos.terminal_id, batch_no=pos.batch_no, items=items
    )
    messages = [pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1)) for _ in items]
    grown = Grown(campus)
    assert len(native.terminals.AuthorizeBatch(request, timeout=CALL_S).results) == CALLS
    assert grown.counted(CALLS) == ONCE
    assert all(grown.seconds(part) > 0 for part in PARTS)
    # All of a block are in it for all of it.
    assert grown.seconds("decide") >= grown.work("decide") - ROUNDING_S
    grown = Grown(campus)
    assert len(list(native.terminals.AuthorizeStream(iter(messages), timeout=CALL_S))) == CALLS
    assert grown.counted(CALLS) == ONCE
    assert all(grown.seconds(part) > 0 for part in PARTS)


def test_what_grpcio_takes_is_counted_by_the_engine_only(campus, doors):
    holder = campus.open_account(top_up_fen=100_000)
    pos = doors["grpcio"].pos("POS-PLAIN")
    grown = Grown(campus)
    began = time.monotonic()
    for _ in range(CALLS):
        assert pos.pay(holder, 1).reason == "OK"
    took = time.monotonic() - began
    assert grown.counted(CALLS, ENGINE) == dict.fromkeys(ENGINE, CALLS)
    assert all(grown.seconds(part) > 0 for part in ENGINE)
    assert sum(map(grown.seconds, ENGINE)) <= took + slack(CALLS)
    assert grown.seconds("parse") == grown.seconds("reply") == 0


def test_a_refused_message_and_a_lost_caller_leave_the_counts_even(campus, doors):
    """What is not queued is in no part; what is queued is in all, whoever still waits for it."""
    holder = campus.open_account(top_up_fen=100_000)
    native = doors["native"]
    pos = native.pos("POS-GONE")
    grown = Grown(campus)
    with pytest.raises(grpc.RpcError):
        native.terminals.Authorize(pos.purchase(holder, 1, seq=70_000), timeout=CALL_S)
    with grpc.insecure_channel(native.address) as channel:
        gone = type(native)(campus, "native", channel)
        calls = [
            gone.terminals.Authorize.future(pos.purchase(holder, 1), timeout=CALL_S)
            for _ in range(CALLS)
        ]
        calls[0].result()
    counts = grown.counted()
    assert 1 <= counts["parse"] <= CALLS
    assert len(set(counts.values())) == 1


def test_nothing_counted_ever_shrinks(campus, doors):
    holder = campus.open_account(top_up_fen=100_000)
    pos = doors["native"].pos("POS-UP")
    calls = [pos.purchase(holder, 1) for _ in range(4 * CALLS)]
    names = [named(part, of) for part in PARTS for of in ("count", "sum")]
    readings, over = [], threading.Event()

    def read():
        said = campus.metrics()
        readings.append([said[name] for name in names])

    def read_on():
        while not over.is_set():
            read()

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        pending = [
            pos.campus.terminals.Authorize.future(request, timeout=CALL_S) for request in calls
        ]
        assert all(call.result().decision.reason == "OK" for call in pending)
    finally:
        over.set()
        reader.join()
    read()
    for before, after in itertools.pairwise(readings):
        assert all(earlier <= later for earlier, later in zip(before, after, strict=True))
    assert all(last > 0 for last in readings[-1])
