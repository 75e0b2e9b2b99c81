"""MerchantService on a real server."""

import grpc
import pytest

from campuscard.v1 import merchant_service_pb2 as pb
from tests.campus import CALL_S, refusal


def refused(reason, function, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        function(*args, **kwargs)
    name, metadata, _ = refusal(caught.value)
    assert name == reason, (name, metadata)
    return metadata


def create(campus, merchant_id, **changes):
    values = {
        "request_id": campus.request_id(),
        "merchant_id": merchant_id,
        "name": "一食堂",
        "category": pb.MERCHANT_CATEGORY_CANTEEN,
    }
    request = pb.CreateMerchantRequest(**{**values, **changes})
    return request, campus.merchants.CreateMerchant(request, timeout=CALL_S)


def update(campus, merchant_id, **changes):
    request = pb.UpdateMerchantRequest(
        request_id=campus.request_id(), merchant_id=merchant_id, reason="test", **changes
    )
    return campus.merchants.UpdateMerchant(request, timeout=CALL_S)


def update_terminal(campus, terminal_id, **changes):
    request = pb.UpdateTerminalRequest(
        request_id=campus.request_id(), terminal_id=terminal_id, reason="test", **changes
    )
    return campus.merchants.UpdateTerminal(request, timeout=CALL_S)


def test_a_merchant_is_created_read_and_changed(campus):
    request, created = create(campus, "CANTEEN-1")
    again = campus.merchants.CreateMerchant(request, timeout=CALL_S)
    assert again.act.replayed
    assert again.merchant == created.merchant
    read = campus.merchants.GetMerchant(
        pb.GetMerchantRequest(merchant_id="CANTEEN-1"), timeout=CALL_S
    )
    assert read.merchant == created.merchant
    changed = update(campus, "CANTEEN-1", name="第一食堂", etag=created.merchant.etag)
    assert changed.merchant.name == "第一食堂"
    assert changed.merchant.category == pb.MERCHANT_CATEGORY_CANTEEN
    assert changed.merchant.etag != created.merchant.etag
    refused("CONFLICT", update, campus, "CANTEEN-1", name="x", etag=created.merchant.etag)
    assert refused("ALREADY_EXISTS", create, campus, "CANTEEN-1")["what"] == "merchant"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"merchant_id": "食堂"}, "merchant_id"),
        ({"name": ""}, "name"),
        ({"category": 0}, "category"),
        ({"category": 77}, "category"),
    ],
)
def test_fields_are_checked(campus, changes, field):
    values = {"merchant_id": "BAD", **changes}
    assert refused("FIELD_INVALID", create, campus, **values)["field"] == field


def test_a_suspended_merchant_and_terminal_sell_nothing(campus):
    holder = campus.open_account(top_up_fen=1_000)
    pos = campus.terminal("POS-S1", merchant="SUSP")
    assert pos.pay(holder, 10).reason == "OK"
    update(campus, "SUSP", status=pb.SERVICE_STATUS_SUSPENDED)
    assert pos.pay(holder, 10).reason == "MERCHANT_INVALID"
    update(campus, "SUSP", status=pb.SERVICE_STATUS_IN_SERVICE)
    assert pos.pay(holder, 10).reason == "OK"
    update_terminal(campus, "POS-S1", status=pb.SERVICE_STATUS_SUSPENDED)
    assert pos.pay(holder, 10).reason == "TERMINAL_SUSPENDED"
    update_terminal(campus, "POS-S1", status=pb.SERVICE_STATUS_WITHDRAWN)
    metadata = refused(
        "STATE_TRANSITION",
        update_terminal,
        campus,
        "POS-S1",
        status=pb.SERVICE_STATUS_IN_SERVICE,
    )
    assert metadata["state"] == "WITHDRAWN"


def test_terminals_change_merchant_bound_and_keypad(campus):
    holder = campus.open_account(top_up_fen=20_000)
    pos = campus.terminal("POS-T1", merchant="OLD", max_amount_fen=500, keypad=False)
    assert pos.pay(holder, 501).reason == "AMOUNT_INVALID"
    campus.merchant("NEW")
    changed = update_terminal(campus, "POS-T1", merchant_id="NEW", max_amount_fen=0, keypad=True)
    assert (changed.terminal.merchant_id, changed.terminal.keypad) == ("NEW", True)
    assert pos.pay(holder, 501).reason == "OK"
    read = campus.merchants.GetTerminal(pb.GetTerminalRequest(terminal_id="POS-T1"), timeout=CALL_S)
    assert read.terminal == changed.terminal
    assert read.batch_no == pos.batch_no
    pos.sign_off()
    read = campus.merchants.GetTerminal(pb.GetTerminalRequest(terminal_id="POS-T1"), timeout=CALL_S)
    assert read.batch_no == 0


def test_terminals_need_a_merchant(campus):
    request = pb.CreateTerminalRequest(
        request_id=campus.request_id(), terminal_id="POS-X", merchant_id="NOWHERE"
    )
    assert refused("NOT_FOUND", campus.merchants.CreateTerminal, request)["what"] == "merchant"


def test_lists(campus):
    for number in range(4):
        campus.terminal(f"LIST-{number}", merchant="LISTED", category="SHOP", sign_in=False)

    def pages():
        token = ""
        while True:
            request = pb.ListTerminalsRequest(page_size=3, page_token=token, merchant_id="LISTED")
            response = campus.merchants.ListTerminals(request, timeout=CALL_S)
            yield from (terminal.terminal_id for terminal in response.terminals)
            token = response.next_page_token
            if not token:
                return

    assert list(pages()) == ["LIST-0", "LIST-1", "LIST-2", "LIST-3"]
    request = pb.ListMerchantsRequest(category=pb.MERCHANT_CATEGORY_SHOP)
    listed = campus.merchants.ListMerchants(request, timeout=CALL_S).merchants
    assert [merchant.merchant_id for merchant in listed] == ["LISTED"]


def test_meal_periods_are_the_seeds_until_they_are_replaced(campus):
    before = campus.merchants.GetMealPeriods(pb.GetMealPeriodsRequest(), timeout=CALL_S)
    assert [period.name for period in before.periods] == ["BREAKFAST", "LUNCH", "DINNER", "NIGHT"]
    metadata = refused("PARAMETER_VALUE", campus.propose, "meals", "A 00:00-01:00, B 00:30-01:30")
    assert "overlaps" in metadata["allowed"]
    campus.change_parameter("meals", "早餐 05:00-10:00, 夜宵 21:00-01:00")
    after = campus.merchants.GetMealPeriods(pb.GetMealPeriodsRequest(), timeout=CALL_S)
    assert [(p.name, p.start_minute, p.end_minute) for p in after.periods] == [
        ("早餐", 300, 600),
        ("夜宵", 1_260, 60),
    ]
    assert after.version > before.version


def test_rules_change_by_version(campus, pos):
    before = rules_of(campus)
    assert (before.day_limit_fen, before.meal_limit_fen, before.pin_tries) == (10_000, 5_000, 3)
    assert before.meal_scope == pb.MEAL_SCOPE_PERIOD
    holder = campus.open_account(top_up_fen=50_000)
    assert pos.pay(holder, 5_001).reason in {"PIN_REQUIRED", "OK"}
    campus.change_parameter("day_limit_fen", 15_000)
    decision = pos.pay(holder, 1)
    changed = rules_of(campus)
    assert changed.day_limit_fen == holder.read().wallets.day_limit_fen == 15_000
    assert before.version < changed.version == decision.rule_version
    campus.change_parameter("day_limit_fen", 10_000)
    assert pos.pay(holder, 1).rule_version == changed.version + 1


def rules_of(campus):
    return campus.merchants.GetRules(pb.GetRulesRequest(), timeout=CALL_S).rules
