"""Scenario 8's gate: a loss report among payments and passages, one order for both."""

import contextlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.acceptance.conftest import DEADLINE_S, wait_until
from tests.access import Gates
from tests.campus import CALL_S
from tests.cards import CardDesk

READERS = 4
TILLS = 8
PAYMENTS = 2_000
PASSAGES = 1_000


@pytest.mark.clause("二.1", "三.2a")
def test_a_lost_card_is_refused_at_till_and_gate_from_the_same_moment(scene):
    a, tills = scene.a, scene.canteen(TILLS)
    gates = Gates(scene.campus)
    readers = [f"GATE-{number}" for number in range(READERS)]
    gates.zone("CAMPUS", *readers, kind="GATE")
    gates.group("everybody", "CAMPUS", kinds=["STUDENT"])
    phone, _ = gates.phone(a)
    done, started = itertools.count(), threading.Event()

    def note(answer):
        if next(done) == 300:
            started.set()
        return answer

    def pay(till):
        return [note(till.pay(a, 1)) for _ in range(PAYMENTS // TILLS)]

    def enter(reader):
        requests = (gates.request(reader, a.medium) for _ in range(PASSAGES // READERS))
        return [note(gates.send(request)) for request in requests]

    with ThreadPoolExecutor(TILLS + READERS + 1) as pool:
        paying = [pool.submit(pay, till) for till in tills]
        entering = [pool.submit(enter, reader) for reader in readers]
        assert started.wait(DEADLINE_S)
        loss_seq = pool.submit(a.lose).result().act.seq
        paid = [answer for each in paying for answer in each.result()]
        entered = [answer for each in entering for answer in each.result()]

    approved = [d.seq for d in paid if d.reason == "OK"]
    granted = [p.act.seq for p in entered if p.granted]
    declined = [d for d in paid if d.reason != "OK"]
    refused = [p for p in entered if not p.granted]
    assert (len(paid), len(entered)) == (PAYMENTS, PASSAGES)
    assert {d.reason for d in declined} == {p.reason for p in refused} == {"CARD_LOST"}
    assert max(*approved, *granted) < loss_seq
    assert loss_seq < min(*(d.seq for d in declined), *(p.act.seq for p in refused))
    assert a.lose().act.seq == loss_seq, "the second report is the first loss"
    assert a.online_fen == 20_000 - len(approved)

    at_gate, at_till = gates.code(a, phone), gates.code(a, phone)
    assert gates.check(readers[0], at_gate).granted, "the phone of the same holder still works"
    assert scene.pos7.pay(gates.present("POS-07", at_till).medium, 1).reason == "OK"
    assert gates.check(readers[0], a.medium).reason == "CARD_LOST"
    listed = gates.passes(account_no=a.account_no, refused=True, page_size=1_000)
    assert len(listed) == len(refused) + 1
    alerts = CardDesk(scene.campus)("ListAlerts", account_no=a.account_no, page_size=1_000).alerts
    assert {alert.reason for alert in alerts} == {"CARD_LOST"}
    assert sum(alert.taps for alert in alerts) == len(declined) + len(refused) + 1
    assert len({alert.terminal_id for alert in alerts}) == len(alerts), "one alert a terminal"


@pytest.mark.parametrize("after", [1, 20, 90])
@pytest.mark.clause("七.1")
def test_passages_answered_before_a_crash_are_answered_so_after_it(scene, after):
    """Regulation 七.1: nothing is answered before it is durable; a retry finds it."""
    gates = Gates(scene.campus)
    gates.zone("CAMPUS", "GATE-1", kind="GATE", passback="ENFORCE", passback_minutes=60)
    gates.group("everybody", "CAMPUS", kinds=["STUDENT"])
    requests = [gates.request("GATE-1", scene.a.medium, way) for way in ("IN", "OUT", "IN") * 40]
    answered = {}

    door = gates.terminal()

    def enter(share):
        with contextlib.suppress(grpc.RpcError, ValueError):  # ValueError: the channel is closed
            for request in share:
                answered[request.request_id] = door.CheckAccess(request, timeout=CALL_S)

    with ThreadPoolExecutor(4) as pool:
        entering = [pool.submit(enter, requests[n::4]) for n in range(4)]
        wait_until(lambda: len(answered) >= after)
        scene.campus.kill9()
        for each in entering:
            each.result()
    scene.campus.restart()
    for request in requests:
        again = gates.send(request)
        first = answered.get(request.request_id)
        if first is not None:
            assert again.act.replayed
            first.act.replayed = True
            assert again == first
    listed = gates.passes(account_no=scene.a.account_no, page_size=1_000)
    assert len(listed) == len(requests), "each was decided once"
