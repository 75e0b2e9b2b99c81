"""Scenarios 4, 5 and 6: retries, conflicts, and reversals that overtake or come late."""

import grpc
import pytest

from campuscard.v1 import ops_service_pb2 as ops_pb
from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc
from tests.acceptance.conftest import DEADLINE_S, same_answer, wait_until
from tests.acceptance.mute import Mute


@pytest.mark.clause("四.1b")
def test_retry_and_conflict(scene):
    a, pos = scene.a, scene.pos7
    first = pos.pay(a, 1_250, seq=1001)
    assert (first.reason, first.balance_fen) == ("OK", 18_750)
    assert len(first.auth_code) == 6
    for _ in range(5):
        again = pos.pay(a, 1_250, seq=1001)
        assert again.replayed
        assert same_answer(first, again)
    assert pos.pay(a, 1_350, seq=1001).reason == "DUPLICATE_MISMATCH"
    assert same_answer(first, pos.pay(a, 1_250, seq=1001))
    assert pos.balance(a).online_fen == 18_750


@pytest.mark.clause("四.1b", "七.1")
def test_killed_between_commit_and_reply(scene):
    a, pos = scene.a, scene.pos7
    proxy = Mute(scene.campus.address)
    try:
        request = pos.purchase(a, 1_250, seq=1001)
        with grpc.insecure_channel(proxy.address) as channel:
            grpc.channel_ready_future(channel).result(timeout=DEADLINE_S)
            terminal = terminal_service_pb2_grpc.TerminalServiceStub(channel)
            proxy.silence()
            lost = terminal.Authorize.future(request, timeout=DEADLINE_S)
            wait_until(lambda: pos.balance(a).online_fen == 18_750)
            scene.crash()
            with pytest.raises(grpc.RpcError):
                lost.result()
    finally:
        proxy.close()
    found = pos.transaction(1001).decision
    again = pos.pay(a, 1_250, seq=1001)
    assert again.replayed
    assert (again.reason, again.approved_fen, again.balance_fen) == ("OK", 1_250, 18_750)
    assert (found.seq, found.auth_code) == (again.seq, again.auth_code)
    assert same_answer(again, pos.pay(a, 1_250, seq=1001))
    assert pos.balance(a).online_fen == 18_750
    assert pos.pay(a, 1_350, seq=1001).reason == "DUPLICATE_MISMATCH"


@pytest.mark.clause("四.1b")
def test_the_reversal_overtakes_the_original(scene):
    a, pos = scene.a, scene.pos7
    tombstone = pos.reverse(1002, 2_500, seq=1003)
    assert (tombstone.reason, tombstone.approved_fen) == ("OK", 0)
    scene.campus.pass_time(seconds=2)
    late = pos.pay(a, 2_500, seq=1002)
    assert (late.outcome, late.reason) == (pb.OUTCOME_DECLINED, "ORIGINAL_REVERSED")
    for _ in range(3):
        again = pos.reverse(1002, 2_500, seq=1003)
        assert again.replayed
        assert same_answer(tombstone, again)
    after = pos.balance(a)
    assert (after.online_fen, after.day_used_fen) == (20_000, 0)
    assert "PURCHASE" not in {record.type for record in a.history()}
    scene.crash()
    again = pos.pay(a, 2_500, seq=1002)
    assert (again.reason, again.replayed) == ("ORIGINAL_REVERSED", True)


def test_a_tombstone_survives_a_crash(scene):
    scene.pos7.reverse(1002, 2_500)
    scene.crash()
    assert scene.pos7.pay(scene.a, 2_500, seq=1002).reason == "ORIGINAL_REVERSED"


def test_timeout_reversal_of_an_approved_sale(scene):
    a, pos = scene.a, scene.pos7
    scene.campus.set_time("2024-03-13 13:59")
    lunch = pos.pay(a, 2_500, seq=501)
    assert (lunch.meal_used_fen, lunch.day_used_fen) == (2_500, 2_500)
    scene.campus.set_time("2024-03-13 14:31")
    dinner = pos.pay(a, 700)
    assert (dinner.meal_used_fen, dinner.day_used_fen) == (700, 3_200)
    assert pos.reverse(501, 2_000).reason == "REVERSAL_AMOUNT_MISMATCH"
    whole = pos.reverse(501, 2_500)
    assert (whole.reason, whole.approved_fen) == ("OK", 2_500)
    now = pos.balance(a)
    assert (now.online_fen, now.day_used_fen, now.meal_used_fen) == (19_300, 700, 700)
    assert pos.refund(lunch.seq, 100).reason == "ALREADY_REVERSED"
    assert pos.reverse(501, 2_500).reason == "ALREADY_REVERSED"


@pytest.mark.clause("五.3")
def test_refunds_never_exceed_the_original(scene):
    a, pos = scene.a, scene.pos7
    sale = pos.pay(a, 2_500)
    assert pos.refund(sale.seq, 1_000).approved_fen == 1_000
    assert pos.refund(sale.seq, 1_501).reason == "REFUND_EXCEEDS_ORIGINAL"
    assert scene.pos8.refund(sale.seq, 1_500).approved_fen == 1_500
    assert pos.refund(sale.seq, 1).reason == "REFUND_EXCEEDS_ORIGINAL"
    assert scene.shop.refund(sale.seq, 1).reason == "ORIGINAL_NOT_FOUND"
    now = pos.balance(a)
    assert (now.online_fen, now.day_used_fen) == (20_000, 2_500)


def test_an_unknown_card_is_a_record_too(scene):
    before = scene.campus.ops.GetHead(ops_pb.GetHeadRequest()).acknowledged_seq
    stranger = pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=b"none")
    refused = scene.pos7.pay(stranger, 100)
    assert (refused.outcome, refused.reason) == (pb.OUTCOME_DECLINED, "CARD_UNKNOWN")
    assert refused.seq == before + 1
