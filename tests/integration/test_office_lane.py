"""Acts at the same moment, acts against taps, and acts when the registry cannot be used."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from campuscard.v1 import account_service_pb2 as pb
from campuscard.v1 import ops_service_pb2
from tests.campus import CALL_S, Campus, refusal


def top_up(campus, holder, txn, fen=100):
    return pb.TopUpRequest(
        request_id=campus.request_id(),
        account_no=holder.account_no,
        source=pb.TOP_UP_SOURCE_WECHAT,
        channel_txn_id=txn,
        amount_fen=fen,
    )


def test_one_request_sent_by_many_acts_once(campus):
    holder = campus.open_account()
    request = top_up(campus, holder, "once")
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(campus.accounts.TopUp, request, timeout=CALL_S) for _ in range(16)]
        answers = [call.result() for call in calls]
    assert len({answer.act.seq for answer in answers}) == 1
    assert sum(not answer.act.replayed for answer in answers) == 1
    assert {answer.online_fen for answer in answers} == {100}
    assert holder.online_fen == 100


@pytest.mark.clause("四.5")
def test_one_channel_transaction_notified_by_many_is_credited_once(campus):
    holder = campus.open_account()
    requests = [top_up(campus, holder, "thrice") for _ in range(8)]
    outcomes = []

    def notify(request):
        try:
            campus.accounts.TopUp(request, timeout=CALL_S)
            outcomes.append("credited")
        except grpc.RpcError as error:
            outcomes.append(refusal(error)[0])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(notify, requests))
    assert sorted(outcomes) == ["CHANNEL_TXN_REUSED"] * 7 + ["credited"]
    assert holder.online_fen == 100


def test_one_account_number_is_opened_once(campus):
    requests = [
        pb.OpenAccountRequest(
            request_id=campus.request_id(),
            account_no="RACE1",
            kind=pb.HOLDER_KIND_STAFF,
            name=f"某{number}",
        )
        for number in range(8)
    ]

    def open_account(request):
        try:
            return campus.accounts.OpenAccount(request, timeout=CALL_S).number
        except grpc.RpcError as error:
            return refusal(error)[0]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(open_account, requests))
    assert outcomes.count("ALREADY_EXISTS") == 7


def test_an_act_decided_on_old_money_is_decided_again(campus, pos):
    """Refused taps move the account's last seq, which closing expects unchanged."""
    holder = campus.open_account()
    holder.set_status("CLOSING")
    ends = threading.Event()

    def tap():
        while not ends.is_set():
            assert pos.pay(holder, 1).reason == "ACCOUNT_CLOSED"

    with ThreadPoolExecutor(2) as pool:
        tapping = [pool.submit(tap) for _ in range(2)]
        try:
            holder.set_status("CLOSED")
            reason = ""
        except grpc.RpcError as error:
            reason = refusal(error)[0]
        ends.set()
        for each in tapping:
            each.result()
    assert reason in {"", "CONFLICT"}
    closed = holder.read().account.status == pb.ACCOUNT_STATUS_CLOSED
    assert closed is (reason == "")


def test_a_caller_that_gives_up_leaves_the_act(campus):
    holder = campus.open_account()
    request = top_up(campus, holder, "given-up")
    campus.accounts.TopUp.future(request).cancel()
    answer = campus.accounts.TopUp(request, timeout=CALL_S)
    assert answer.online_fen == 100
    assert holder.online_fen == 100


def test_payments_go_on_without_a_registry(own_campus):
    own_campus.start()
    pos = own_campus.terminal("POS-07")
    holder = own_campus.open_account(top_up_fen=1_000)
    own_campus.stop()
    folder = own_campus.data / "registry"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way", encoding="utf-8")
    own_campus.start()
    assert pos.pay(holder, 10).reason == "OK"
    with pytest.raises(grpc.RpcError) as caught:
        holder.top_up(5)
    reason, _, details = refusal(caught.value)
    assert reason == "REGISTRY_UNAVAILABLE"
    assert details["RetryInfo"].retry_delay.ToMilliseconds() > 0
    assert own_campus.metrics()["campuscard_registry_up"] == 0
    folder.unlink()
    ends = time.monotonic() + 10
    while own_campus.metrics()["campuscard_registry_up"] == 0:
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert holder.top_up(5).online_fen == 995


def test_calls_beyond_the_bound_are_told_when_to_come_back(tmp_path):
    settings = {"server": {"calls_max": 2}}
    with Campus(tmp_path / "c", settings=settings) as campus:
        streams = [
            campus.ops.Follow(ops_service_pb2.FollowRequest(), timeout=CALL_S) for _ in range(2)
        ]
        for stream in streams:
            next(iter(stream))
        with pytest.raises(grpc.RpcError) as caught:
            campus.ops.GetHead(ops_service_pb2.GetHeadRequest(), timeout=CALL_S)
        reason, _, details = refusal(caught.value)
        assert reason == "QUEUE_FULL"
        assert details["RetryInfo"].retry_delay.ToMilliseconds() > 0
        health = health_pb2_grpc.HealthStub(campus.channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=CALL_S).status
        for stream in streams:
            stream.cancel()


def test_health_says_when_the_server_drains(own_campus):
    own_campus.start()
    health = health_pb2_grpc.HealthStub(own_campus.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=CALL_S)
    assert next(iter(watch)).status == health_pb2.HealthCheckResponse.SERVING
    own_campus.process.terminate()
    assert next(iter(watch)).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    assert own_campus.process.wait(20) == 0
    own_campus.process = None
