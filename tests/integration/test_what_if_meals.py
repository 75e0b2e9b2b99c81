"""What other meals and categories would have changed, counted by hand: exact numbers."""

import grpc
import pytest

from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import parameter_service_pb2 as pb
from tests.campus import CALL_S, Campus, refusal

PIN = "812123"
ID = "44070320050812123X"
SHOP = "SHOP;商店;Shops;"


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        running.set_time("2024-03-13 12:00")
        yield running


class Day:
    """One holder, one till of a category, and what is asked about their day."""

    def __init__(self, campus, category, terminal, *, keypad=True):
        self.campus = campus
        self.person = campus.open_account(id_number=ID, top_up_fen=100_000)
        merchant = f"{terminal}-M"
        self.till = campus.terminal(terminal, merchant=merchant, category=category, keypad=keypad)

    def pay(self, when, yuan, wanted="OK"):
        """Pay at a moment, and again with the password where it is asked for."""
        self.campus.set_time(when)
        seq = next(self.till.seqs)
        given = self.till.pay(self.person, yuan * 100, seq=seq)
        assert given.reason == wanted
        if wanted == "PIN_REQUIRED":
            given = self.till.pay(self.person, yuan * 100, seq=seq, pin=PIN)
            assert given.reason == "OK"
        return given


def ask(campus, day, values=(), proposals=()):
    """Ask about one day; returns the last message."""
    request = pb.WhatIfRequest(
        values=[pb.WhatIfValue(key=key, value=value) for key, value in dict(values).items()],
        proposals=proposals,
        from_date=day,
        to_date=day,
    )
    campus.staff.sign_in()
    (*_, last) = campus.parameters.WhatIf(request, timeout=60)
    return last


def numbers(response, by="TOTAL"):
    """Return what was found: name, kind, how often, how many yuan."""
    return sorted(
        (count.name, pb.WhatIfKind.Name(count.kind)[13:], count.count, count.amount_fen / 100)
        for count in response.counts
        if count.by == by
    )


@pytest.mark.clause("四.3d", "六.3a")
def test_a_lunch_of_two_halves(campus):
    """Regulation 四.3d: above 50 yuan a meal the password is asked for. 30 and 40 are two meals then."""
    day = Day(campus, "CANTEEN", "HALF-1")
    day.pay("2024-03-18 11:00", 30)
    second = day.pay("2024-03-18 13:00", 40, "PIN_REQUIRED")
    day.pay("2024-03-18 18:00", 10)
    halves = "EARLY 10:00-12:00, LATE 12:00-14:30"
    found = ask(campus, "2024-03-18", {"meals": halves})
    assert found.scope == pb.WHAT_IF_SCOPE_REPLAYED
    assert found.decisions_count == 4
    assert numbers(found) == [("", "NOT_ASKED", 1, 40)]
    assert numbers(found, "MEAL") == [("2", "NOT_ASKED", 1, 40)]
    (meal,) = (count for count in found.counts if count.by == "MEAL")
    assert (meal.title_zh, meal.title_en) == ("LATE", "LATE")
    (category,) = (count for count in found.counts if count.by == "CATEGORY")
    assert (category.name, category.title_zh, category.title_en) == ("1", "餐饮", "Canteens")
    (example,) = found.examples
    assert (example.meal_used_fen, example.meal_used_then_fen) == (3_000, 0)
    assert (example.day_used_fen, example.day_used_then_fen) == (3_000, 3_000)
    assert second.seq > example.seq
    whole = ask(campus, "2024-03-18", {"meals": "DAY 06:00-20:00"})
    assert numbers(whole) == [("", "ASKED", 1, 10)], "30 + 40 + 10 of one meal"
    assert whole.examples[0].meal_used_then_fen == 7_000
    none = ask(campus, "2024-03-18", {"meals": "NIGHT 21:00-05:00"})
    assert numbers(none) == [("", "NOT_ASKED", 1, 40)]
    assert numbers(none, "MEAL") == [("0", "NOT_ASKED", 1, 40)]
    assert numbers(ask(campus, "2024-03-18", {"meals": halves, "meal_limit_fen": "3500"})) == []


@pytest.mark.clause("四.3d")
def test_a_meal_that_began_the_day_before_the_period(campus):
    """Of 40 before midnight and 20 after it only the second day is asked about."""
    day = Day(campus, "CANTEEN", "NIGHT-1")
    day.pay("2024-03-19 23:30", 40)
    day.pay("2024-03-20 00:30", 20, "PIN_REQUIRED")
    split = {"meals": "EARLY 00:00-05:00, LATE 21:00-00:00"}
    assert numbers(ask(campus, "2024-03-20", split)) == [("", "NOT_ASKED", 1, 20)]
    later = {"meals": "NIGHT 23:00-01:00"}
    assert numbers(ask(campus, "2024-03-20", later)) == []
    assert numbers(ask(campus, "2024-03-19", split)) == []


@pytest.mark.clause("四.2", "四.3c")
def test_a_shop_that_counts_otherwise(campus):
    day = Day(campus, "SHOP", "SHOP-1")
    first = day.pay("2024-03-21 09:00", 60)
    day.pay("2024-03-21 19:00", 70, "PIN_REQUIRED")
    day.till.refund(first.seq, 1_000)
    free = ask(campus, "2024-03-21", {"category.5": SHOP + "SPEND,REFUNDABLE"})
    assert numbers(free) == [("", "NOT_ASKED", 1, 70)]
    assert free.decisions_count == 4
    meal = ask(campus, "2024-03-21", {"category.5": SHOP + "MEAL,SPEND,REFUNDABLE"})
    assert numbers(meal) == [("", "ASKED", 1, 60)], "above 50 a meal; the second is asked anyway"
    closed = ask(campus, "2024-03-21", {"category.5": SHOP + "DAY,REFUNDABLE"})
    assert numbers(closed) == [("", "DECLINED", 2, 130)]
    kept = ask(campus, "2024-03-21", {"category.5": SHOP + "DAY,SPEND"})
    assert numbers(kept) == [("", "DECLINED", 1, 10)], "the refund"


@pytest.mark.clause("四.2")
def test_what_a_category_did_not_allow(campus):
    day = Day(campus, "ACCESS", "GATE-SHOP-1")
    day.pay("2024-03-22 10:00", 60, "CATEGORY_NOT_ALLOWED")
    day.pay("2024-03-22 11:00", 70, "CATEGORY_NOT_ALLOWED")
    gates = "ACCESS;出入管控;Gates;"
    allowed = ask(campus, "2024-03-22", {"category.6": gates + "DAY,SPEND"})
    assert numbers(allowed) == [("", "ASKED", 1, 70), ("", "PASSED", 1, 60)]
    assert numbers(ask(campus, "2024-03-22", {"category.6": gates + "DAY,HOLD"})) == []
    change = pb.ProposeCategoryRequest(
        request_id=campus.request_id(),
        category=pb.Category(
            number=6, code="ACCESS", name_zh="出入管控", name_en="Gates", purchases=True
        ),
        reason="coffee at the gate",
    )
    proposal = campus.parameters.ProposeCategory(change, timeout=CALL_S).proposal
    proposed = ask(campus, "2024-03-22", proposals=[proposal])
    assert numbers(proposed) == [("", "PASSED", 2, 130)]
    both = ask(campus, "2024-03-22", {"day_limit_fen": "1"}, [proposal])
    assert numbers(both) == numbers(proposed), "nothing counts there"


@pytest.mark.clause("四.3d", "六.3a")
def test_a_proposal_of_meals_is_tried_as_it_stands(campus):
    day = Day(campus, "CANTEEN", "PROP-1")
    day.pay("2024-03-25 11:00", 30)
    day.pay("2024-03-25 13:00", 40, "PIN_REQUIRED")
    periods = [
        merchants_pb.MealPeriod(name="A", start_minute=600, end_minute=720),
        merchants_pb.MealPeriod(name="B", start_minute=720, end_minute=870),
    ]
    campus.staff.sign_in()
    request = pb.ProposeMealsRequest(
        request_id=campus.request_id(), periods=periods, reason="two lunches"
    )
    number = campus.parameters.ProposeMeals(request, timeout=CALL_S).proposal
    found = ask(campus, "2024-03-25", proposals=[number])
    assert numbers(found, "MEAL") == [("2", "NOT_ASKED", 1, 40)]
    typed = ask(campus, "2024-03-25", {"meals": "A 10:00-12:00, B 12:00-14:30"})
    assert (typed.counts, typed.examples) == (found.counts, found.examples)
    for values, proposals, reason in (
        ({"meals": "A 10:00-12:00"}, [number], "FIELD_INVALID"),
        ({}, [number, number], "FIELD_INVALID"),
        ({}, [number + 100_000], "NOT_FOUND"),
        ({}, range(1, 10), "FIELD_INVALID"),
        ({"category.5": "OTHER;商店;Shops;SPEND"}, [], "PARAMETER_VALUE"),
        ({"category.16": SHOP + "SPEND"}, [], "PARAMETER_VALUE"),
        ({"meals": "A 10:00-12:00, B 11:00-13:00"}, [], "PARAMETER_VALUE"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            ask(campus, "2024-03-25", values, proposals)
        assert refusal(caught.value)[0] == reason


def test_another_purse_is_what_nobody_can_say(campus):
    day = Day(campus, "SHOP", "PURSE-1")
    day.pay("2024-03-26 10:00", 5)
    subsidy = {"category.5": SHOP + "DAY,SPEND,REFUNDABLE,SUBSIDY"}
    found = ask(campus, "2024-03-26", subsidy)
    assert (found.scope, list(found.unknowable_keys)) == (
        pb.WHAT_IF_SCOPE_UNKNOWABLE,
        ["category.5"],
    )
    assert found.done
    assert not found.counts
    quiet = ask(campus, "2024-03-16", subsidy)
    assert (quiet.scope, quiet.decisions_count) == (pb.WHAT_IF_SCOPE_REPLAYED, 0)
    rules = ask(campus, "2024-03-26", {"water_tap_fen": "2000", "meals": "A 10:00-12:00"})
    assert list(rules.unknowable_keys) == ["water_tap_fen"]
    papers = ask(campus, "2024-03-26", {"day.2024-03-27": "CLOSED"})
    assert papers.scope == pb.WHAT_IF_SCOPE_PAPERS


def test_a_password_that_served_for_a_while_is_what_nobody_can_say(campus):
    campus.set_time("2024-03-27 09:00")
    campus.staff.sign_in()
    campus.change_parameter("pin_session_seconds", 60)
    day = Day(campus, "SHOP", "SESSION-1")
    day.pay("2024-03-27 10:00", 5)
    found = ask(campus, "2024-03-27", {"day_limit_fen": "100"})
    assert (found.scope, list(found.unknowable_keys)) == (
        pb.WHAT_IF_SCOPE_UNKNOWABLE,
        ["pin_session_seconds"],
    )
    campus.set_time("2024-03-28 09:00")
    campus.staff.sign_in()
    campus.change_parameter("pin_session_seconds", 0)
    day.pay("2024-03-28 10:00", 5)
    assert ask(campus, "2024-03-28", {"day_limit_fen": "100"}).scope == pb.WHAT_IF_SCOPE_REPLAYED
