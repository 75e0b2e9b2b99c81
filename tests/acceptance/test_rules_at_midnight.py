"""A change approved for midnight decides from its first microsecond on, and not one earlier."""

import time

import pytest

from campuscard.v1 import merchant_service_pb2 as pb
from tests.campus import CALL_S, Campus

MIDNIGHT = "2024-03-14 00:00"
AWAKE_S = 1.0


@pytest.fixture
def campus(tmp_path):
    """A campus whose day limit is 10.00 from the next midnight on, after a crash."""
    with Campus(tmp_path) as campus:
        campus.change_parameter("day_limit_fen", 1_000, MIDNIGHT)
        campus.kill9()
        campus.start()
        yield campus


def test_the_last_payment_of_the_day_and_the_first_of_the_next(campus):
    zhang = campus.open_account(top_up_fen=50_000)
    pos = campus.terminal("POS-07")
    assert pos.pay(zhang, 1_001).reason == "OK"
    campus.set_time("2024-03-13 23:59:59.999")
    before = pos.pay(zhang, 1_001)
    assert before.reason == "OK"
    campus.set_time(MIDNIGHT)
    after = pos.pay(zhang, 1_001)
    assert (after.reason, list(after.flags)) == ("PIN_REQUIRED", ["OVER_DAY"])
    assert (before.rule_version, after.rule_version) == (1, 2)
    assert pos.pay(zhang, 1_000).reason == "OK"


def test_without_traffic_the_new_rules_are_there(campus):
    campus.set_time(MIDNIGHT)
    ends = time.monotonic() + AWAKE_S
    while rules_of(campus).version != 2:
        assert time.monotonic() < ends, "nobody woke"
        time.sleep(0.01)
    assert rules_of(campus).day_limit_fen == 1_000


def rules_of(campus):
    return campus.merchants.GetRules(pb.GetRulesRequest(), timeout=CALL_S).rules
