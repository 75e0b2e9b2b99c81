"""Scenarios 1, 2 and 3: limits are password thresholds, and passwords cannot be guessed."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from tests.acceptance.conftest import A_ID, A_PIN, NEW_PIN, WRONG, reasons


@pytest.mark.clause("四.3d", "四.3e")
def test_exactly_at_the_meal_limit(scene):
    a, pos = scene.a, scene.pos7
    a.set_password(A_PIN, NEW_PIN)
    assert pos.pay(a, 3_000).reason == "OK"
    second = pos.pay(a, 2_000)
    assert (second.reason, second.meal_used_fen) == ("OK", 5_000)
    asked = pos.pay(a, 1, seq=900)
    assert (asked.outcome, list(asked.flags)) == (pb.OUTCOME_PIN_REQUIRED, ["OVER_MEAL"])
    assert asked.refusal.clause == "四.3"
    assert asked.refusal.numbers["mealUsedFen"] == 5_000
    assert asked.refusal.numbers["mealLimitFen"] == 5_000
    assert pos.balance(a).online_fen == 15_000
    approved = pos.pay(a, 1, seq=900, pin=NEW_PIN)
    assert (approved.reason, approved.balance_fen) == ("OK", 14_999)
    assert pos.pay(a, 1).reason == "PIN_REQUIRED"


@pytest.mark.clause("四.2", "四.3c")
def test_exactly_at_the_day_limit(scene):
    a, pos = scene.a, scene.pos7
    a.set_password(A_PIN, NEW_PIN)
    for fen, pin in ((3_000, ""), (2_000, ""), (1, NEW_PIN)):
        assert pos.pay(a, fen, pin=pin).reason == "OK"
    scene.campus.set_time("2024-03-13 17:30")
    dinner = pos.pay(a, 4_999)
    assert (dinner.reason, dinner.balance_fen) == ("OK", 10_000)
    assert (dinner.meal_used_fen, dinner.day_used_fen) == (4_999, 10_000)
    asked = pos.pay(a, 1)
    assert (asked.reason, list(asked.flags)) == ("PIN_REQUIRED", ["OVER_DAY"])
    scene.campus.set_time("2024-03-13 23:59:59.999999")
    assert pos.pay(a, 1).reason == "PIN_REQUIRED"
    scene.campus.set_time("2024-03-14 00:00:00")
    night = pos.pay(a, 1_000)
    assert night.reason == "OK"
    assert (night.day_used_fen, night.meal_used_fen) == (1_000, 1_000)


@pytest.mark.clause("四.3e")
def test_guessing_in_parallel(scene):
    a, pos = scene.a, scene.pos7
    terminals = scene.canteen(50)
    with ThreadPoolExecutor(50) as pool:
        tries = [pool.submit(each.pay, a, 6_000, pin=WRONG) for _ in range(2) for each in terminals]
        found = reasons(each.result() for each in tries)
    assert found == {"PIN_WRONG": 3, "PIN_LOCKED": 97}
    assert pos.balance(a).online_fen == 20_000
    assert pos.pay(a, 6_000, pin=A_PIN).reason == "PIN_LOCKED"
    assert pos.pay(a, 1_200).reason == "OK"
    a.reset_password(A_ID)
    right = pos.pay(a, 6_000, pin=A_PIN)
    assert (right.reason, right.must_change_pin) == ("OK", True)


@pytest.mark.clause("四.3e")
def test_a_crash_gives_no_extra_tries(scene):
    a, pos = scene.a, scene.pos7
    assert [pos.pay(a, 6_000, pin=WRONG).reason for _ in range(2)] == ["PIN_WRONG"] * 2
    scene.crash()
    assert pos.pay(a, 6_000, pin=WRONG).reason == "PIN_WRONG"
    scene.crash()
    assert pos.pay(a, 6_000, pin=A_PIN).reason == "PIN_LOCKED"
