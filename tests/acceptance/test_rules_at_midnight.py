"""A change approved for midnight decides from its first microsecond on, and not one earlier."""

import asyncio
import os
import time
import uuid

import pytest

from core.ids import make_request_id
from core.plans import EffectKind
from core.rows import RulesBody, RulesField
from ext.engine import Effect, Engine
from tests.campus import Campus, microseconds

MIDNIGHT = "2024-03-14 00:00"
ANSWER_S = 10
AWAKE_S = 1.0


@pytest.fixture
def campus(tmp_path):
    """A campus whose day limit is 10.00 from the next midnight on."""
    with Campus(tmp_path) as campus:
        campus.stop()
        approve(campus, day_limit=1_000, due=MIDNIGHT)
        campus.start()
        yield campus


def approve(campus, *, day_limit, due):
    """Schedule a change of the rules, on a directory that no server has."""
    key = str(campus.directory / "campuscard.key")
    clock = str(campus.directory / "clock")
    engine = Engine(str(campus.data), key, {"clock_path": clock, "lock_memory": False})
    loop = asyncio.new_event_loop()
    engine.start()
    loop.add_reader(engine.eventfd, engine.answer)
    effect = Effect(
        EffectKind.RULES,
        due_s=microseconds(due) // 1_000_000,
        mask=RulesField.DAY_LIMIT,
        body=RulesBody(day_limit=day_limit).pack(),
    )
    future = loop.create_future()
    request_id = uuid.UUID(make_request_id(campus.now_us() // 1_000, os.urandom(10))).bytes
    engine.office(b"", [effect], future, request_id=request_id, fingerprint=1, document_kind=0)
    loop.run_until_complete(asyncio.wait_for(future, ANSWER_S))
    loop.remove_reader(engine.eventfd)
    engine.close()
    loop.close()


@pytest.mark.clause("六.3a", "九.2")
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
    from campuscard.v1 import merchant_service_pb2 as pb

    return campus.merchants.GetRules(pb.GetRulesRequest(), timeout=5).rules
