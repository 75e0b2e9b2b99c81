"""TerminalService through grpcio: every hot method, the stream, the batch, what is asked later."""

import itertools
import time

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc
from tests.campus import CALL_S, refusal


def refused(reason, function, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        function(*args, **kwargs)
    name, metadata, details = refusal(caught.value)
    assert name == reason, (name, metadata, caught.value)
    return metadata, details


def test_a_purchase_and_its_retry(campus, pos):
    holder = campus.open_account(top_up_fen=20_000)
    decision = pos.pay(holder, 1_250, seq=50_001)
    assert (decision.outcome, decision.reason) == (pb.OUTCOME_APPROVED, "OK")
    assert (decision.approved_fen, decision.balance_fen) == (1_250, 18_750)
    assert (decision.day_used_fen, decision.meal_used_fen) == (1_250, 1_250)
    assert len(decision.auth_code) == 6
    assert decision.time_us == campus.now_us()
    again = pos.pay(holder, 1_250, seq=50_001)
    assert again.replayed
    again.replayed = False
    assert again == decision
    assert pos.pay(holder, 1_350, seq=50_001).reason == "DUPLICATE_MISMATCH"
    assert holder.online_fen == 18_750


def test_a_refusal_says_why_in_both_languages(campus, pos):
    holder = campus.open_account(top_up_fen=999)
    decision = pos.pay(holder, 1_000)
    assert (decision.outcome, decision.reason) == (pb.OUTCOME_DECLINED, "INSUFFICIENT")
    assert decision.refusal.clause == "五.3"
    assert "9.99" in decision.refusal.text_zh
    assert "9.99" in decision.refusal.text_en
    assert decision.refusal.numbers["availableFen"] == 999


def test_refusals_carry_the_figures_of_their_reason(campus):
    pos = campus.terminal("POS-FIGURES")
    bath = campus.terminal("BATH-FIGURES", merchant="M-BATH", category="BATH")
    holder = campus.open_account(top_up_fen=1_000)
    request = accounts_pb.GrantSubsidyRequest(
        request_id=campus.request_id(), account_no=holder.account_no, amount_fen=300
    )
    campus.accounts.GrantSubsidy(request, timeout=CALL_S)
    sold = pos.pay(holder, 800)
    assert (sold.approved_fen, sold.subsidy_fen) == (800, 300)
    first = pos.refund(sold.seq, 500)
    assert first.reason == "OK"
    second = pos.refund(sold.seq, 301)
    assert second.reason == "REFUND_EXCEEDS_ORIGINAL"
    assert dict(second.refusal.numbers) == {"askedFen": 301, "refundableFen": 300}
    assert second.refusal.text_en == "Refund exceeds the original: 3.00 left"
    pos.refund(sold.seq, 300)
    third = pos.refund(sold.seq, 1)
    assert third.refusal.numbers["refundableFen"] == 0
    assert third.refusal.text_zh == "退款超过原交易: 可退 0.00"
    wallets = holder.read().wallets
    assert (wallets.online_fen, wallets.subsidy_fen) == (1_000, 300)
    short = pos.pay(holder, 2_000)
    assert short.refusal.numbers["availableFen"] == 1_300
    hold = bath.hold(holder, 2_000)
    assert hold.reason == "INSUFFICIENT"
    assert hold.refusal.numbers["availableFen"] == 1_000, "a bath may not spend SUBSIDY"


@pytest.mark.clause("四.3e")
def test_over_a_limit_the_same_key_is_sent_again_with_the_password(campus, pos):
    holder = campus.open_account(id_number="44070320050812123X", top_up_fen=20_000)
    asked = pos.pay(holder, 5_001, seq=50_010)
    assert asked.outcome == pb.OUTCOME_PIN_REQUIRED
    assert asked.refusal.clause == "四.3"
    approved = pos.pay(holder, 5_001, pin="812123", seq=50_010)
    assert (approved.outcome, approved.approved_fen) == (pb.OUTCOME_APPROVED, 5_001)
    assert "OVER_MEAL" in approved.flags


def test_holds_are_captured_released_and_reversed(campus):
    bath = campus.terminal("BATH-1", merchant="BATH", category="BATH")
    holder = campus.open_account(top_up_fen=1_000)
    hold = bath.hold(holder, 600)
    assert (hold.reason, hold.held_fen) == ("OK", 600)
    capture = bath.capture(hold.seq, 346)
    assert (capture.reason, capture.approved_fen, capture.balance_fen) == ("OK", 346, 654)
    assert bath.capture(hold.seq, 346).reason == "HOLD_CLOSED"
    second = bath.hold(holder, 100)
    assert bath.release(second.seq).reason == "OK"
    assert holder.read().wallets.held_fen == 0
    third = next(bath.seqs)
    request = pb.HoldRequest(**bath.key(third), medium=holder.medium, amount_fen=50)
    response = campus.terminals.Hold(request, timeout=CALL_S)
    assert response.expire_time_s == campus.now_us() // 1_000_000 + 1_800
    assert bath.reverse(third, 50).reason == "OK"
    assert holder.read().wallets.held_fen == 0


def test_reversals_and_refunds(campus, pos):
    holder = campus.open_account(top_up_fen=5_000)
    pos.pay(holder, 2_500, seq=50_020)
    assert pos.reverse(50_020, 2_500).reason == "OK"
    assert pos.reverse(50_020, 2_500).reason == "ALREADY_REVERSED"
    assert pos.reverse(50_021, 100).reason == "OK", "an original never seen"
    assert pos.pay(holder, 100, seq=50_021).reason == "ORIGINAL_REVERSED"
    sale = pos.pay(holder, 1_000)
    assert pos.refund(sale.seq, 400).approved_fen == 400
    assert pos.refund(sale.seq, 601).reason == "REFUND_EXCEEDS_ORIGINAL"
    assert holder.online_fen == 4_400


def test_what_became_of_a_key(campus, pos):
    holder = campus.open_account(top_up_fen=5_000)
    decision = pos.pay(holder, 700, seq=50_030)
    found = pos.transaction(50_030)
    assert found.type == "PURCHASE"
    assert found.decision.replayed
    assert (found.decision.seq, found.decision.approved_fen) == (decision.seq, 700)
    assert found.key.terminal_id == "POS-07"
    by_seq = campus.terminals.GetTransaction(
        pb.GetTransactionRequest(seq=decision.seq), timeout=CALL_S
    )
    assert by_seq.decision == found.decision
    refused("TRANSACTION_NOT_FOUND", pos.transaction, 50_031)


def test_balances_are_as_of_a_seq(campus, pos):
    holder = campus.open_account(top_up_fen=5_000)
    decision = pos.pay(holder, 700)
    balance = pos.balance(holder)
    assert (balance.online_fen, balance.day_used_fen, balance.meal_used_fen) == (4_300, 700, 700)
    assert balance.as_of_seq >= decision.seq
    unknown = pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=b"nobody")
    with pytest.raises(grpc.RpcError) as caught:
        pos.balance(unknown)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.clause("五.4")
def test_a_terminal_must_sign_in(campus):
    holder = campus.open_account(top_up_fen=100)
    pos = campus.terminal("POS-OUT", sign_in=False)
    pos.batch_no = 1
    assert pos.pay(holder, 1).reason == "TERMINAL_NOT_SIGNED_IN"
    first = pos.sign_in()
    assert first.reason == "OK"
    assert pos.pay(holder, 1).reason == "OK"
    batch_no = pos.batch_no
    assert pos.sign_off().reason == "OK"
    assert pos.pay(holder, 1).reason == "TERMINAL_NOT_SIGNED_IN"
    pos.sign_in()
    assert pos.batch_no == batch_no + 1


def test_heartbeats_tell_time_rules_and_batch(campus, pos):
    request = pb.HeartbeatRequest(terminal_id="POS-07", terminal_time_us=campus.now_us())
    beat = campus.terminals.Heartbeat(request, timeout=CALL_S)
    assert beat.server_time_us == campus.now_us()
    assert (beat.batch_no, beat.clock_skew) == (pos.batch_no, False)
    assert beat.rule_version > 0
    request.terminal_time_us += 601_000_000
    assert campus.terminals.Heartbeat(request, timeout=CALL_S).clock_skew
    unknown = pb.HeartbeatRequest(terminal_id="NOWHERE")
    assert campus.terminals.Heartbeat(unknown, timeout=CALL_S).batch_no == 0
    refused("FIELD_INVALID", campus.terminals.Heartbeat, pb.HeartbeatRequest(), timeout=CALL_S)


def test_a_stream_answers_in_request_order(campus):
    pos = campus.terminal("POS-STREAM")
    holder = campus.open_account(top_up_fen=4_000)
    requests = [
        pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 3)) for _ in range(1_500)
    ]
    requests[700].authorization.amount_fen = 999_999
    answers = list(campus.terminals.AuthorizeStream(iter(requests), timeout=30))
    assert [a.terminal_seq for a in answers] == [r.authorization.terminal_seq for r in requests]
    seqs = [a.decision.seq for a in answers]
    assert seqs == sorted(seqs)
    reasons = {a.decision.reason for a in answers}
    assert reasons == {"OK", "INSUFFICIENT"}
    assert answers[700].decision.reason == "INSUFFICIENT"
    assert not any(a.decision.HasField("refusal") for a in answers)
    paid = sum(a.decision.approved_fen for a in answers)
    assert holder.online_fen == 4_000 - paid


def test_a_stream_whose_caller_does_not_read_is_not_decided(campus):
    """What is decided and not taken is bounded: HTTP/2's window, then `stream_in_flight`."""
    pos = campus.terminal("POS-DEAF")
    holder = campus.open_account(top_up_fen=100_000)
    count = 20_000
    requests = [
        pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1, pin="888888"))
        for _ in range(count)
    ]
    before = campus.metrics()["campuscard_commands_total"]
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16_384)]
    with grpc.insecure_channel(campus.address, options=narrow) as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        call = stub.AuthorizeStream(iter(requests), timeout=60)
        assert next(iter(call)).decision.reason == "OK"
        decided, last = campus.metrics()["campuscard_commands_total"], -1
        while decided != last:
            time.sleep(1)
            decided, last = campus.metrics()["campuscard_commands_total"], decided
        assert decided - before < count // 2
        call.cancel()
    assert pos.pay(holder, 1, pin="888888", seq=60_000).reason == "OK"


def test_a_stream_goes_on_after_a_message_that_is_wrong(campus):
    pos = campus.terminal("POS-STREAM-2")
    holder = campus.open_account(top_up_fen=100)
    good = [pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1)) for _ in range(2)]
    wrong = pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1, seq=70_000))
    empty = pb.AuthorizeStreamRequest()
    answers = list(
        campus.terminals.AuthorizeStream(iter([good[0], wrong, empty, good[1]]), timeout=CALL_S)
    )
    assert [a.decision.reason for a in answers] == ["OK", "", "", "OK"]
    assert [a.error.reason for a in answers] == ["", "FIELD_INVALID", "FIELD_INVALID", ""]


def test_a_batch_has_its_results_in_order(campus):
    pos = campus.terminal("POS-BATCH")
    holders = [campus.open_account(top_up_fen=1_000) for _ in range(3)]
    items = [
        pb.AuthorizeItem(
            terminal_seq=number,
            medium_type=pb.MEDIUM_TYPE_RFID_CARD,
            medium_token=holder.medium.token,
            amount_fen=400,
        )
        for number, holder in zip(range(1, 13), itertools.cycle(holders), strict=False)
    ]
    request = pb.AuthorizeBatchRequest(terminal_id="POS-BATCH", batch_no=pos.batch_no, items=items)
    results = campus.terminals.AuthorizeBatch(request, timeout=CALL_S).results
    assert [r.terminal_seq for r in results] == list(range(1, 13))
    approved = [r for r in results if r.outcome == pb.OUTCOME_APPROVED]
    assert len(approved) == 6, "two of four each"
    assert {r.reason for r in results} == {0, 18}
    again = campus.terminals.AuthorizeBatch(request, timeout=CALL_S).results
    assert all(r.replayed for r in again)
    for result in again:
        result.replayed = False
    assert list(again) == list(results)
    assert [holder.online_fen for holder in holders] == [200, 200, 200]


def test_a_batch_of_8192_is_taken_and_one_more_is_not(campus):
    pos = campus.terminal("POS-BIG")
    holder = campus.open_account(top_up_fen=10_000)
    items = [
        pb.AuthorizeItem(
            terminal_seq=number,
            medium_type=pb.MEDIUM_TYPE_RFID_CARD,
            medium_token=holder.medium.token,
            amount_fen=1,
        )
        for number in range(1, 8_194)
    ]
    request = pb.AuthorizeBatchRequest(terminal_id="POS-BIG", batch_no=pos.batch_no)
    request.items.extend(items[:8_192])
    results = campus.terminals.AuthorizeBatch(request, timeout=30).results
    assert len(results) == 8_192
    approved = sum(r.approved_fen for r in results)
    assert holder.online_fen == 10_000 - approved
    request.items.append(items[8_192])
    refused("FIELD_INVALID", campus.terminals.AuthorizeBatch, request, timeout=30)


def test_a_caller_that_gives_up_finds_the_decision_later(campus, pos):
    holder = campus.open_account(top_up_fen=1_000)
    call = campus.terminals.Authorize.future(pos.purchase(holder, 250, seq=50_040))
    call.cancel()
    first = pos.pay(holder, 250, seq=50_040)
    assert first.reason == "OK"
    assert holder.online_fen == 750
    assert pos.transaction(50_040).decision.seq == first.seq
