"""ParameterService on a real server: what two people decide, and what becomes of it."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import parameter_service_pb2 as pb
from core.parameters import PARAMETERS
from tests.campus import CALL_S, REASON, Campus, Pos, microseconds, refusal


@pytest.fixture
def campus(tmp_path):
    with Campus(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """A campus whose clock stands, shared by tests that change different keys."""
    with Campus(tmp_path_factory.mktemp("steady")) as running:
        yield running


def refused(reason, function, /, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        function(*args, **kwargs)
    name, metadata, _ = refusal(caught.value)
    assert name == reason, (name, metadata)
    return metadata


def call(campus, name, by=None, **fields):
    """Call an act of the service with a new request_id."""
    request_type = getattr(pb, f"{name}Request")
    if "request_id" in request_type.DESCRIPTOR.fields_by_name:
        fields["request_id"] = campus.request_id()
    stub = (by or campus.staff).stub("ParameterService")
    return getattr(stub, name)(request_type(**fields), timeout=CALL_S)


def values(campus, **fields):
    response = call(campus, "ListParameters", **fields)
    return {parameter.key: parameter for parameter in response.parameters}


def test_a_new_campus_has_the_defaults_of_the_table(campus):
    listed = values(campus)
    assert list(listed) == [parameter.key for parameter in PARAMETERS]
    assert all(p.value == p.default_value and p.version == 0 for p in listed.values())
    rules = campus.merchants.GetRules(merchants_pb.GetRulesRequest(), timeout=CALL_S).rules
    assert rules.day_limit_fen == int(listed["day_limit_fen"].value)
    assert rules.meal_ceiling_fen == int(listed["meal_ceiling_fen"].value)
    assert rules.day_ceiling_fen == int(listed["day_ceiling_fen"].value)
    assert rules.late_capture_seconds == int(listed["late_capture_seconds"].value)
    assert "LUNCH 10:00-14:30" in call(campus, "ListParameters").meals


def test_a_parameter_of_papers_makes_a_version_too(steady):
    pos = steady.terminal("POS-07")
    holder = steady.open_account(top_up_fen=1_000)
    before = pos.pay(holder, 1).rule_version
    steady.change_parameter("photo_side_max_px", 900)
    assert pos.pay(holder, 1).rule_version == before + 1
    assert values(steady)["photo_side_max_px"].value == "900"
    at_us = microseconds("2024-03-13 00:00")
    assert values(steady, at_us=at_us)["photo_side_max_px"].value == "800"


@pytest.mark.clause("六.3a", "八.3")
def test_history_names_who_and_where(steady):
    approved = steady.change_parameter("card_fee_fen", 2_500)
    later = steady.change_parameter("card_fee_fen", 2_600, "2024-03-14 00:00")
    (second, first) = call(steady, "GetParameter", key="card_fee_fen").versions
    assert (first.version, first.value, first.change) == (1, "2500", approved.change)
    assert (second.version, second.value, second.in_force_seq) == (2, "2600", 0)
    assert later.change == second.change > first.in_force_seq > first.change > first.proposal
    assert first.proposer.startswith("staff:")
    assert first.approver.startswith("staff:")
    assert first.proposer != first.approver
    assert first.reason == REASON
    page = call(steady, "GetParameter", key="card_fee_fen", page_size=1)
    assert [version.version for version in page.versions] == [2]
    rest = call(
        steady,
        "GetParameter",
        key="card_fee_fen",
        page_size=1,
        page_token=page.next_page_token,
    )
    assert [version.version for version in rest.versions] == [1]
    assert rest.next_page_token == ""
    refused("NOT_FOUND", call, steady, "GetParameter", key="nothing")


def test_of_two_for_the_same_moment_the_later_approval_wins(campus):
    when = "2024-03-14 00:00"
    first = campus.propose("card_fee_fen", 2_000, when)
    second = campus.propose("card_fee_fen", 2_200, when)
    assert campus.approve(second.proposal).overridden_version == 0
    assert campus.approve(first.proposal).overridden_version == 1
    campus.set_time(when)
    assert values(campus)["card_fee_fen"].value == "2000"


@pytest.mark.clause("六.3a")
def test_cancelling_needs_two_people_as_well(campus):
    change = campus.change_parameter("day_limit_fen", 15_000, "2024-03-14 00:00").change
    proposal = call(campus, "ProposeCancellation", change=change, reason=REASON).proposal
    both = campus.member("both", "PARAM_MAKER", "PARAM_CHECKER")
    own = call(campus, "ProposeCancellation", both, change=change, reason=REASON).proposal
    refused("SELF_APPROVAL", campus.approve, own, by=both)
    cancelled = campus.approve(proposal)
    assert (cancelled.change, cancelled.version) == (change, 0)
    refused("CHANGE_CANCELLED", campus.approve, own)
    refused("NOT_FOUND", call, campus, "ProposeCancellation", change=change, reason=REASON)
    campus.set_time("2024-03-14 00:00")
    assert values(campus)["day_limit_fen"].value == "10000"
    rules = campus.merchants.GetRules(merchants_pb.GetRulesRequest(), timeout=CALL_S).rules
    assert (rules.version, rules.day_limit_fen) == (1, 10_000)
    (version,) = call(campus, "GetParameter", key="day_limit_fen").versions
    assert version.cancelled_seq > version.change
    again = campus.change_parameter("day_limit_fen", 16_000)
    assert again.version == 2
    refused(
        "CHANGE_IN_FORCE", call, campus, "ProposeCancellation", change=again.change, reason=REASON
    )


def test_proposals_are_rejected_and_withdrawn(steady):
    first, second = (steady.propose("qr_seconds", s).proposal for s in (20, 30))
    maker = steady.member("maker", "PARAM_MAKER")
    refused("NOT_YOUR_PROPOSAL", call, steady, "WithdrawChange", maker, proposal=first)
    call(steady, "WithdrawChange", proposal=first)
    refused("FIELD_INVALID", call, steady, "RejectChange", steady.checker, proposal=second)
    call(steady, "RejectChange", steady.checker, proposal=second, reason="未附文件")
    for proposal in (first, second):
        refused("PROPOSAL_STATE", steady.approve, proposal)
    refused("NOT_FOUND", steady.approve, 999_999)
    decided = call(steady, "ListProposals").proposals
    states = [row.state for row in decided if row.key == "qr_seconds"]
    assert states == [pb.PROPOSAL_STATE_REJECTED, pb.PROPOSAL_STATE_WITHDRAWN]
    waiting = call(steady, "ListProposals", state=pb.PROPOSAL_STATE_OPEN)
    assert not waiting.proposals
    assert values(steady)["qr_seconds"].value == "60"


def test_of_many_who_approve_at_once_one_does(steady):
    proposal = steady.propose("staff_idle_seconds", 1_200).proposal
    stub = steady.checker.stub("ParameterService")
    requests = [
        pb.ApproveChangeRequest(request_id=steady.request_id(), proposal=proposal)
        for _ in range(16)
    ]

    def approve(request):
        try:
            return stub.ApproveChange(request, timeout=CALL_S).version
        except grpc.RpcError as error:
            return refusal(error)[0]

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(approve, requests))
    assert sorted(map(str, outcomes)) == ["1"] + ["PROPOSAL_STATE"] * 15
    assert call(steady, "GetParameter", key="staff_idle_seconds").parameter.version == 1


def test_limits_and_ceilings_stay_in_order_at_every_moment(campus):
    refused("PARAMETER_ORDER", campus.propose, "day_ceiling_fen", 9_999)
    lower = campus.propose("day_ceiling_fen", 12_000, "2024-03-15 00:00").proposal
    raise_it = campus.propose("day_limit_fen", 15_000, "2024-03-14 00:00").proposal
    campus.approve(lower)
    metadata = refused("PARAMETER_ORDER", campus.approve, raise_it)
    assert metadata["valueFen"] == "15000"


@pytest.mark.clause("四.2")
def test_a_category_is_added_without_a_change_of_the_code(steady):
    gym = pb.Category(
        number=7,
        code="GYM",
        name_zh="健身",
        name_en="Gym",
        counts_toward_day=True,
        purchases=True,
    )
    merchant = merchants_pb.CreateMerchantRequest(
        request_id=steady.request_id(), merchant_id="GYM-1", name="健身房", category=7
    )
    refused("FIELD_INVALID", steady.merchants.CreateMerchant, merchant, timeout=CALL_S)
    proposed = call(steady, "ProposeCategory", category=gym, reason=REASON)
    assert proposed.value == "GYM;健身;Gym;DAY,SPEND"
    steady.approve(proposed.proposal)
    (*_, last) = call(steady, "ListCategories").categories
    assert last == gym
    merchant.request_id = steady.request_id()
    steady.merchants.CreateMerchant(merchant, timeout=CALL_S)
    request = merchants_pb.CreateTerminalRequest(
        request_id=steady.request_id(), terminal_id="GYM-01", merchant_id="GYM-1", keypad=True
    )
    steady.merchants.CreateTerminal(request, timeout=CALL_S)
    pos = Pos(steady, "GYM-01")
    pos.sign_in()
    holder = steady.open_account(top_up_fen=20_000)
    paid = pos.pay(holder, 10_000)
    assert (paid.reason, paid.day_used_fen, paid.meal_used_fen) == ("OK", 10_000, 0)
    assert pos.pay(holder, 1).reason == "PIN_REQUIRED"
    gym.code = "SHOP"
    proposal = {"category": gym, "reason": REASON}
    assert (
        "SHOP" in refused("PARAMETER_VALUE", call, steady, "ProposeCategory", **proposal)["allowed"]
    )


@pytest.mark.clause("三.4(4)")
def test_the_counter_is_closed_on_a_holiday(campus):
    holder = campus.open_account()
    campus.set_time("2024-03-15 14:00")  # a Friday
    holder.lose()
    proposed = call(campus, "ProposeCalendarDay", date="2024-03-15", hours="CLOSED", reason="停电")
    campus.approve(proposed.proposal)
    call_days = call(campus, "GetCalendar", from_date="2024-03-13", days=3).days
    assert [(list(day.hours), day.exception) for day in call_days] == [
        (["14:30-17:00"], False),
        ([], False),
        ([], True),
    ]
    campus.set_time("2024-03-15 14:30")
    metadata = refused("OUTSIDE_SERVICE_HOURS", holder.unlose)
    assert metadata["opens"].startswith("2024-03-20")
    again = call(campus, "ProposeCalendarDay", date="2024-03-15", hours="WEEKLY", reason=REASON)
    campus.approve(again.proposal)
    assert holder.unlose().act.seq


@pytest.mark.clause("九.2")
def test_meals_change_at_their_moment(campus):
    proposed = call(
        campus,
        "ProposeMeals",
        periods=[merchants_pb.MealPeriod(name="全天", start_minute=0, end_minute=1_439)],
        effective_date="2024-03-14",
        reason=REASON,
    )
    assert proposed.effective_us == microseconds("2024-03-14 00:00")
    campus.approve(proposed.proposal)
    pos = campus.terminal("POS-07")
    holder = campus.open_account(top_up_fen=30_000)
    campus.set_time("2024-03-14 08:00")
    assert pos.pay(holder, 3_000).reason == "OK"
    campus.set_time("2024-03-14 12:00")
    assert list(pos.pay(holder, 2_001).flags) == ["OVER_MEAL"]


def test_bad_input_names_its_field(steady):
    wrong = [
        {"key": ""},
        {"key": "x" * 65},
        {"reason": ""},
        {"reason": "x" * 201},
        {"effective_us": -1},
        {"effective_us": microseconds("2024-03-14 00:00") + 1},
        {"effective_us": microseconds("2034-03-14 00:00")},
        {"effective_date": "2024-3-14"},
        {"effective_date": "2024-03-14", "effective_us": 1},
    ]
    good = {"key": "card_fee_fen", "value": "2500", "reason": REASON}
    for change in wrong:
        refused("FIELD_INVALID", call, steady, "ProposeChange", **(good | change))
    for key in ("nothing", "category.16", "category.0", "day.2024-02-30", "day.20240301"):
        with pytest.raises(grpc.RpcError) as caught:
            call(steady, "ProposeChange", **(good | {"key": key}))
        assert refusal(caught.value)[0] in {"NOT_FOUND", "PARAMETER_VALUE"}, key
    for value in ("", "x", "1.5", "-1", "100001", "9" * 401):
        refused("PARAMETER_VALUE", call, steady, "ProposeChange", **(good | {"value": value}))
    refused("FIELD_INVALID", call, steady, "GetCalendar", days=401)


def test_a_rebuilt_registry_shows_the_same(campus):
    campus.change_parameter("card_fee_fen", 2_500)
    campus.change_parameter("meals", "早餐 05:00-10:00")
    change = campus.change_parameter("day_limit_fen", 15_000, "2024-03-14 00:00").change
    campus.approve(call(campus, "ProposeCancellation", change=change, reason=REASON).proposal)
    call(campus, "WithdrawChange", proposal=campus.propose("pin_tries", 4).proposal)
    keys = ("card_fee_fen", "meals", "day_limit_fen")

    def shown():
        return [
            call(campus, "ListParameters"),
            call(campus, "ListProposals"),
            *(call(campus, "GetParameter", key=key) for key in keys),
        ]

    before = shown()
    campus.stop()
    for path in campus.data.rglob("registry.db*"):
        path.unlink()
    campus.start()
    assert shown() == before
    with contextlib.closing(sqlite3.connect(next(campus.data.rglob("registry.db")))) as registry:
        assert registry.execute("SELECT count(*) FROM parameter_versions").fetchone() == (3,)
