"""Scenarios 12, 13 and 14: the hot-water purse, torn cards and bath meters."""

import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from tests.acceptance.conftest import same_answer, wait_until
from tests.cards import CardDesk


def tap(scene, holder, counter, seq=None):
    """One tap at W-1: hold, write the card, confirm."""
    hold = scene.w1.hold(holder, water=True, card_counter=counter, seq=seq)
    if hold.reason == "OK":
        assert scene.w1.capture(hold.seq, 1_000).reason == "OK"
    return hold


@pytest.mark.clause("四.6")
def test_hot_water(scene):
    holder = scene.poor(3_500)
    tap(scene, holder, 0)
    second = tap(scene, holder, 1, seq=901)
    again = scene.w1.hold(holder, water=True, card_counter=1, seq=901)
    assert again.replayed
    assert same_answer(second, again)
    tap(scene, holder, 2)
    now = scene.w1.balance(holder)
    assert (now.online_fen, now.water_fen, now.held_fen) == (500, 3_000, 0)
    fourth = tap(scene, holder, 3)
    assert (fourth.outcome, fourth.reason) == (pb.OUTCOME_DECLINED, "INSUFFICIENT")
    assert scene.w1.balance(holder).online_fen == 500


@pytest.mark.parametrize(("before", "reason"), [(9_500, "PIN_REQUIRED"), (9_000, "OK")])
@pytest.mark.clause("四.2", "四.6")
def test_water_counts_towards_the_day(scene, before, reason):
    assert scene.shop.pay(scene.a, before).reason == "OK"
    decision = tap(scene, scene.a, 0)
    outcome = pb.OUTCOME_APPROVED if reason == "OK" else pb.OUTCOME_DECLINED
    assert (decision.reason, decision.outcome) == (reason, outcome), "W-1 has no keypad"


@pytest.mark.parametrize("reboot", [False, True])
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.clause("四.6")
def test_torn_card(scene, written, reboot):
    a = scene.a
    scene.w1.hold(a, water=True, card_counter=7)
    torn = scene.w1.balance(a)
    assert (torn.online_fen, torn.held_fen, torn.water_fen) == (20_000, 1_000, 0)
    if reboot:
        scene.w1.sign_in()
        scene.crash()
    again = scene.w1.hold(a, water=True, card_counter=8 if written else 7)
    assert (again.reason, again.approved_fen) == ("OK", 1_000)
    assert scene.w1.capture(again.seq, 1_000).reason == "OK"
    now = scene.w1.balance(a)
    fen = 2_000 if written else 1_000
    assert (now.online_fen, now.held_fen) == (20_000 - fen, 0)
    assert (now.water_fen, now.day_used_fen) == (fen, fen)


def test_a_transfer_without_word_stays_held(scene):
    a = scene.a
    scene.w1.hold(a, water=True, card_counter=7)
    scene.campus.pass_time(seconds=301)
    wait_until(lambda: "HOLD_GREY" in {record.type for record in a.history()})
    assert scene.w1.balance(a).held_fen == 1_000
    regression = scene.w1.hold(a, water=True, card_counter=6)
    assert regression.reason == "CARD_COUNTER_REGRESSION"
    wait_until(lambda: scene.pos7.pay(a, 1).reason == "CARD_FROZEN")
    CardDesk(scene.campus)("Resume", medium=a.medium, reason="核实")
    assert scene.w1.hold(a, water=True, card_counter=8).reason == "OK"
    assert scene.w1.balance(a).water_fen == 1_000


@pytest.mark.clause("四.2")
def test_bath_meter(scene):
    a, meter = scene.a, scene.b1
    hold = meter.hold(a, 600)
    assert meter.balance(a).held_fen == 600
    done = meter.capture(hold.seq, 346, seq=900)
    assert (done.reason, done.approved_fen, done.balance_fen) == ("OK", 346, 19_654)
    assert same_answer(done, meter.capture(hold.seq, 346, seq=900))
    now = meter.balance(a)
    assert (now.online_fen, now.held_fen, now.day_used_fen) == (19_654, 0, 346)
    more = meter.capture(meter.hold(a, 600).seq, 650)
    assert (more.approved_fen, "EXCESS" in more.flags) == (600, True)
    assert meter.capture(hold.seq, 346).reason == "HOLD_CLOSED"


def test_a_dead_meter(scene):
    a, meter = scene.a, scene.b1
    hold = meter.hold(a, 600)
    scene.campus.pass_time(seconds=1_799)
    assert meter.balance(a).held_fen == 600
    scene.campus.pass_time(seconds=1)
    wait_until(lambda: meter.balance(a).held_fen == 0)
    assert meter.balance(a).day_used_fen == 0
    scene.campus.set_time("2024-03-14 09:00")
    late = meter.capture(hold.seq, 346)
    assert (late.reason, late.approved_fen) == ("OK", 346)
    assert {"LATE", "FORCED"} <= set(late.flags)
    now = meter.balance(a)
    assert (now.online_fen, now.day_used_fen) == (19_654, 0), "it counts to the day of the shower"


@pytest.mark.clause("五.3")
def test_a_late_capture_may_make_a_debt(scene):
    holder, meter = scene.poor(600), scene.b1
    hold = meter.hold(holder, 600)
    scene.campus.pass_time(minutes=30)
    wait_until(lambda: meter.balance(holder).held_fen == 0)
    assert scene.pos7.pay(holder, 500).reason == "OK"
    assert meter.capture(hold.seq, 346).balance_fen == -246
    assert scene.pos7.pay(holder, 1).reason == "ACCOUNT_DEBT"
    credit = holder.top_up(5_000)
    assert (credit.online_fen, credit.debt_settled_fen) == (4_754, 246)
    assert scene.pos7.pay(holder, 1).reason == "OK"


@pytest.mark.clause("三.2b")
def test_a_loss_during_the_shower(scene):
    a, meter = scene.a, scene.b1
    hold = meter.hold(a, 600)
    a.lose()
    assert meter.capture(hold.seq, 346).approved_fen == 346
    assert meter.hold(a, 600).reason == "CARD_LOST"
    a.unlose_late()
    assert meter.hold(a, 600).reason == "OK"
