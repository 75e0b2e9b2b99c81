"""Days, categories and transaction passwords under the other choices the regulation leaves open."""

import pytest

from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import terminal_service_pb2 as pb
from server.offline import verify
from tests.acceptance.conftest import A_ID, A_PIN, WRONG
from tests.campus import CALL_S


def rules_of(scene):
    request = merchants_pb.GetRulesRequest()
    return scene.campus.merchants.GetRules(request, timeout=CALL_S).rules


def verified(scene):
    """Stop the server and keep its books again from the journal alone."""
    scene.campus.stop()
    verdict = verify.run(scene.campus.data, state_hash="every")
    assert verdict.ok, f"seq {verdict.bad_seq}: {verdict.difference}"


@pytest.mark.clause("四.3c")
def test_the_limits_of_a_business_day(scene):
    a, pos, campus = scene.a, scene.pos7, scene.campus
    campus.change_parameter("day_cut_minutes", 1_410)
    campus.set_time("2024-03-13 23:31")
    calendar = pos.pay(a, 4_000)
    assert (calendar.day_used_fen, calendar.meal_used_fen) == (4_000, 4_000)
    assert calendar.business_date == 19_796, "the cut is of the books: 2024-03-14 from 23:30 on"
    campus.change_parameter("limit_day", "BIZ")
    assert rules_of(scene).limit_day == merchants_pb.LIMIT_DAY_BIZ
    business = pos.pay(a, 1_000)
    assert (business.day_used_fen, business.meal_used_fen) == (1_000, 5_000), "the meal goes on"
    campus.set_time("2024-03-14 00:30")
    later = pos.pay(a, 1)
    assert list(later.flags) == ["OVER_MEAL"]
    assert later.day_used_fen == 1_000, "midnight changes nothing"
    assert scene.shop.pay(a, 9_000).reason == "OK"
    asked = scene.shop.pay(a, 1)
    assert (asked.reason, list(asked.flags)) == ("PIN_REQUIRED", ["OVER_DAY"])
    campus.set_time("2024-03-14 23:30")
    assert scene.shop.pay(a, 1).day_used_fen == 1
    verified(scene)


@pytest.mark.clause("四.3e")
def test_a_password_that_serves_for_a_while(scene):
    a, pos, campus = scene.a, scene.pos7, scene.campus
    over = 5_001
    assert pos.pay(a, over, pin=A_PIN).reason == "OK"
    assert pos.pay(a, 1).reason == "PIN_REQUIRED", "by default it is asked each time"
    campus.change_parameter("pin_session_seconds", 60)
    assert pos.pay(a, 1).reason == "PIN_REQUIRED", "an approval of before opens nothing"
    assert pos.pay(a, 1, pin=A_PIN).reason == "OK"
    campus.pass_time(seconds=59)
    served = pos.pay(a, 100)
    assert (served.outcome, list(served.flags)) == (pb.OUTCOME_APPROVED, ["OVER_MEAL"])
    assert scene.pos8.pay(a, 1).reason == "PIN_REQUIRED", "at the same terminal only"
    scene.crash()
    assert pos.pay(a, 100).reason == "OK", "a crash forgets nothing"
    campus.pass_time(seconds=1)
    assert pos.pay(a, 1).reason == "PIN_REQUIRED", "60 seconds from the password, however used"
    verified(scene)


@pytest.mark.clause("三.2a", "四.3e", "八.1")
def test_what_ends_a_password_session(scene):
    a, pos, campus = scene.a, scene.pos7, scene.campus
    campus.change_parameter("meal_limit_fen", 0)
    campus.change_parameter("pin_session_seconds", 3_600)

    def lose_and_find():
        a.lose()
        a.unlose_late()

    def suspend_and_resume():
        a.suspend()
        a.resume()

    for end in (
        lambda: pos.pay(a, 1, pin=WRONG),
        lambda: a.reset_password(A_ID),
        suspend_and_resume,
        lose_and_find,
        lambda: campus.change_parameter("pin_session_seconds", 0),
    ):
        assert pos.pay(a, 1, pin=A_PIN).reason == "OK"
        assert pos.pay(a, 1).reason == "OK"
        end()
        assert pos.pay(a, 1).reason == "PIN_REQUIRED"
    verified(scene)


@pytest.mark.clause("四.3e")
def test_a_lock_ends_with_its_day_or_at_the_counter(scene):
    a, pos, campus = scene.a, scene.pos7, scene.campus
    campus.change_parameter("pin_tries", 2)
    campus.set_time("2024-03-13 23:50")

    def lock():
        wrong = [pos.pay(a, 6_000, pin=WRONG) for _ in range(2)]
        assert [each.reason for each in wrong] == ["PIN_WRONG"] * 2
        assert [each.refusal.numbers["triesLeft"] for each in wrong] == [1, 0]
        assert pos.pay(a, 6_000, pin=A_PIN).reason == "PIN_LOCKED"
        assert a.read().wallets.pin_locked

    lock()
    campus.set_time("2024-03-14 00:00")
    assert not a.read().wallets.pin_locked
    lock()
    campus.change_parameter("pin_reset", "COUNTER")
    campus.set_time("2024-03-15 00:00")
    assert pos.pay(a, 6_000, pin=A_PIN).reason == "PIN_LOCKED"
    scene.crash()
    assert pos.pay(a, 6_000, pin=A_PIN).reason == "PIN_LOCKED"
    a.reset_password(A_ID)
    assert pos.pay(a, 6_000, pin=A_PIN).reason == "OK"
    verified(scene)


@pytest.mark.clause("四.2", "四.3c")
def test_what_a_category_counts(scene):
    a, power = scene.a, scene.campus.terminal("U-1", merchant="M9", category="UTILITY")
    assert power.pay(a, 1_000).day_used_fen == 1_000
    scene.campus.change_parameter("category.2", "UTILITY;宿舍水电;Utilities;SPEND")
    assert power.pay(a, 1_000).day_used_fen == 1_000
    assert power.pay(a, 10_001).reason == "OK", "above the limit of a day it is no part of"
    scene.campus.change_parameter("category.2", "UTILITY;宿舍水电;Utilities;DAY,MEAL,SPEND")
    counted = power.pay(a, 500)
    assert (counted.day_used_fen, counted.meal_used_fen) == (1_500, 500)
    verified(scene)
