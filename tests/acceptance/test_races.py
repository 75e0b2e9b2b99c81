"""Scenarios 7 and 8: one balance under many terminals, and a loss report among payments."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import terminal_service_pb2 as pb
from tests.acceptance.conftest import DEADLINE_S, reasons


@pytest.mark.clause("五.3")
def test_two_terminals_one_balance(scene):
    holder = scene.poor(5_000)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(each.pay, holder, 3_000) for each in (scene.pos7, scene.pos8)]
        decisions = [each.result() for each in both]
    assert reasons(decisions) == {"OK": 1, "INSUFFICIENT": 1}
    assert scene.pos7.balance(holder).online_fen == 2_000
    refused = next(d for d in decisions if d.reason != "OK")
    assert refused.refusal.numbers["availableFen"] == 2_000


@pytest.mark.clause("五.3")
def test_a_thousand_purchases_of_ten_fen(scene):
    holder, terminals = scene.poor(5_000), scene.canteen(50)
    requests = [each.purchase(holder, 10) for _ in range(20) for each in terminals]
    authorize = scene.campus.terminals.Authorize
    futures = [authorize.future(request, timeout=DEADLINE_S) for request in requests]
    decisions = [future.result().decision for future in futures]
    assert reasons(decisions) == {"OK": 500, "INSUFFICIENT": 500}
    assert scene.pos7.balance(holder).online_fen == 0
    approved = sorted(d.seq for d in decisions if d.reason == "OK")
    refused = sorted(d.seq for d in decisions if d.reason != "OK")
    assert approved[-1] < refused[0], "commit order decides, and money only goes down"
    balances = {d.seq: d.balance_fen for d in decisions if d.reason == "OK"}
    assert [balances[seq] for seq in approved] == list(range(4_990, -10, -10))


@pytest.mark.clause("二.1", "三.2a", "三.2b", "三.2d")
def test_loss_during_payment(scene):
    a, terminals = scene.a, scene.canteen(8)
    qr = pb.Medium(type=pb.MEDIUM_TYPE_MOBILE_QR, token=b"qr-of-zhang-san")
    bind = accounts_pb.BindMediumRequest(
        request_id=scene.campus.request_id(), account_no=a.account_no, medium=qr
    )
    scene.campus.accounts.BindMedium(bind, timeout=DEADLINE_S)
    paid, started = itertools.count(), threading.Event()

    def pay(pos):
        decisions = []
        for _ in range(250):
            decisions.append(pos.pay(a, 1))
            if next(paid) == 200:
                started.set()
        return decisions

    with ThreadPoolExecutor(9) as pool:
        paying = [pool.submit(pay, pos) for pos in terminals]
        assert started.wait(DEADLINE_S)
        loss = pool.submit(a.lose).result()
        decisions = [d for each in paying for d in each.result()]
    approved = [d.seq for d in decisions if d.reason == "OK"]
    refused = [d for d in decisions if d.reason != "OK"]
    assert len(decisions) == 2_000
    assert {d.reason for d in refused} == {"CARD_LOST"}
    assert max(approved) < loss.act.seq < min(d.seq for d in refused)
    assert scene.pos7.balance(qr).online_fen == 20_000 - len(approved)
    assert a.lose().act.seq == loss.act.seq, "the second report is the first loss"
    lost = next(m for m in a.read().media if m.medium == a.medium)
    assert (lost.lost, lost.lost_seq, lost.lost_time_us) == (True, loss.act.seq, loss.act.time_us)
    assert scene.pos7.pay(qr, 1).reason == "OK"
    assert scene.pos7.pay(a, 1).reason == "CARD_LOST"
