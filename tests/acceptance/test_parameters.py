"""Scenario 19: nobody changes a parameter alone, and every decision names the rules it was made under."""

import grpc
import pytest

from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import parameter_service_pb2 as pb
from tests.acceptance.conftest import A_PIN
from tests.campus import CALL_S, microseconds, refusal

TOMORROW = "2024-03-14"
MIDNIGHT = "2024-03-14 00:00"


def refused(function, *args, **kwargs):
    """Return why a call is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        function(*args, **kwargs)
    return refusal(caught.value)[:2]


def propose(campus, by, key, value, **fields):
    request = pb.ProposeChangeRequest(
        request_id=campus.request_id(), key=key, value=value, reason="学生处 2024-7", **fields
    )
    return by.stub("ParameterService").ProposeChange(request, timeout=CALL_S)


def approve(campus, by, proposal):
    request = pb.ApproveChangeRequest(request_id=campus.request_id(), proposal=proposal)
    return by.stub("ParameterService").ApproveChange(request, timeout=CALL_S)


def listed(campus, key):
    response = campus.parameters.ListParameters(pb.ListParametersRequest(), timeout=CALL_S)
    (found,) = (parameter for parameter in response.parameters if parameter.key == key)
    return found


@pytest.mark.clause("六.3", "四.3")
def test_a_limit_proposed_by_one_and_approved_by_another(scene):
    campus = scene.campus
    scene.a.top_up(40_000)
    officer = campus.member("officer", "CARD_OFFICER")
    vendor = campus.member("vendor", ("MERCHANT", "M1"))
    maker = campus.member("maker", "PARAM_MAKER")
    both = campus.member("both", "PARAM_MAKER", "PARAM_CHECKER")
    checker = campus.member("checker-2", "PARAM_CHECKER")
    for somebody in (officer, vendor, checker):
        reason, metadata = refused(propose, campus, somebody, "day_limit_fen", "15000")
        assert (reason, metadata["permission"]) == ("FORBIDDEN", "parameter.propose")
    reason, metadata = refused(propose, campus, maker, "day_limit_fen", "-1")
    assert (reason, metadata["allowed"]) == (
        "PARAMETER_VALUE",
        "a whole number from 0 to 10000000",
    )
    reason, _ = refused(
        propose, campus, maker, "day_limit_fen", "15000", effective_date="2024-03-13"
    )
    assert reason == "EFFECTIVE_PAST"

    own = propose(campus, both, "day_limit_fen", "15000", effective_date=TOMORROW)
    assert refused(approve, campus, both, own.proposal)[0] == "SELF_APPROVAL"
    proposed = propose(campus, maker, "day_limit_fen", "15000", effective_date=TOMORROW)
    assert proposed.effective_us == microseconds(MIDNIGHT)
    assert refused(approve, campus, maker, proposed.proposal)[0] == "FORBIDDEN"
    assert listed(campus, "day_limit_fen").value == "10000"
    approved = approve(campus, checker, proposed.proposal)
    assert (approved.version, approved.effective_us) == (1, microseconds(MIDNIGHT))
    assert refused(approve, campus, checker, proposed.proposal)[0] == "PROPOSAL_STATE"
    today = listed(campus, "day_limit_fen")
    assert (today.value, today.version, today.next.value) == ("10000", 0, "15000")
    assert today.next.proposer != today.next.approver

    asked = scene.shop.pay(scene.a, 10_001)
    assert (asked.reason, list(asked.flags)) == ("PIN_REQUIRED", ["OVER_DAY"])
    campus.set_time("2024-03-13 23:59:59.999")
    last = scene.shop.pay(scene.a, 10_001, pin=A_PIN)
    assert last.reason == "OK"
    campus.set_time(MIDNIGHT)
    first = scene.shop.pay(scene.a, 15_000)
    assert first.reason == "OK"
    assert scene.shop.pay(scene.a, 1).reason == "PIN_REQUIRED"
    assert (asked.rule_version, last.rule_version, first.rule_version) == (1, 1, 2)
    versions = {item.seq: item.rule_version for item in scene.a.history()}
    assert versions[last.seq] == 1
    assert versions[first.seq] == 2
    tomorrow = listed(campus, "day_limit_fen")
    assert (tomorrow.value, tomorrow.version, tomorrow.HasField("next")) == ("15000", 1, False)
    rules = campus.merchants.GetRules(merchants_pb.GetRulesRequest(), timeout=CALL_S).rules
    assert (rules.version, rules.day_limit_fen) == (2, 15_000)
