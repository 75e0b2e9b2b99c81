"""Scenario 19: nobody changes a parameter alone, and every decision names the rules it was made under."""

import contextlib
import sqlite3

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import ops_service_pb2 as ops_pb
from campuscard.v1 import parameter_service_pb2 as pb
from tests.acceptance.conftest import A_PIN, wait_until
from tests.campus import CALL_S, Campus, microseconds, refusal

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
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


@pytest.mark.clause("四.3c", "六.3a", "九.2")
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


def flip(path, text):
    """Flip a bit of the first byte of a text wherever it stands in a file."""
    raw = path.read_bytes()
    at = raw.find(text)
    assert at >= 0
    while at >= 0:
        with path.open("r+b") as stream:
            stream.seek(at)
            stream.write(bytes([raw[at] ^ 1]))
        at = raw.find(text, at + 1)


def events(campus, name):
    return [event for event in campus.log() if event.get("event") == name]


@pytest.mark.clause("六.3a", "七.2")
def test_a_changed_byte_of_the_registry_is_found_and_undone(tmp_path):
    with Campus(tmp_path, settings={"integrity": {"rules_seconds": 0.2}}) as campus:
        campus.change_parameter("initial_password_rule", "ZERO")
        pos = campus.terminal("POS-07")
        holder = campus.open_account(top_up_fen=1_000)
        assert not events(campus, "registry_differs")
        campus.stop()
        registry = next(campus.data.rglob("registry.db"))
        with contextlib.closing(sqlite3.connect(registry)) as sql, sql:
            sql.execute("UPDATE parameter_versions SET value = 'FIXED'")
        campus.start()
        wait_until(lambda: events(campus, "registry_differs"))
        wait_until(lambda: listed(campus, "initial_password_rule").value == "ZERO")
        assert pos.pay(holder, 1).reason == "OK"
        assert not events(campus, "integrity_broken")


@pytest.mark.clause("六.3a", "七.2")
def test_verify_finds_a_changed_byte_of_the_registry(tmp_path):
    with Campus(tmp_path) as campus:
        campus.change_parameter("initial_password_rule", "ZERO")
        assert list(campus.ops.Verify(ops_pb.VerifyRequest(), timeout=CALL_S))[-1].done
        registry = next(campus.data.rglob("registry.db"))
        with contextlib.closing(sqlite3.connect(registry)) as sql, sql:
            sql.execute("UPDATE parameter_versions SET value = 'FIXED'")
        assert listed(campus, "initial_password_rule").value == "FIXED"
        reason, metadata = refused(list, campus.ops.Verify(ops_pb.VerifyRequest()))
        assert (reason, metadata["what"].split(":")[0]) == ("VERIFY_FAILED", "registry")
        wait_until(lambda: listed(campus, "initial_password_rule").value == "ZERO")
        assert list(campus.ops.Verify(ops_pb.VerifyRequest(), timeout=CALL_S))[-1].done


@pytest.mark.clause("六.3a", "七.2")
@pytest.mark.parametrize("found_by", ["the check", "Verify"])
def test_a_changed_byte_of_the_journal_stops_every_decision(tmp_path, found_by):
    seconds = 0.2 if found_by == "the check" else 3_600.0
    settings = {"integrity": {"rules_seconds": seconds, "journal_seconds": seconds}}
    with Campus(tmp_path, settings=settings) as campus:
        pos = campus.terminal("POS-07")
        holder = campus.open_account(top_up_fen=1_000)
        maker = campus.member("maker", "PARAM_MAKER")
        propose(campus, maker, "day_limit_fen", "15000", effective_date=TOMORROW)
        assert pos.pay(holder, 1).reason == "OK"
        for path in (campus.data / "journal").rglob("data.mdb"):
            if "学生处 2024-7".encode() in path.read_bytes():
                flip(path, "学生处 2024-7".encode())
        if found_by == "Verify":
            assert refused(list, campus.ops.Verify(ops_pb.VerifyRequest()))[0] == "VERIFY_FAILED"
        wait_until(lambda: events(campus, "integrity_broken"))
        assert refused(pos.pay, holder, 1)[0] == "INTEGRITY_BROKEN"
        assert refused(holder.top_up, 1)[0] == "INTEGRITY_BROKEN"
        status = campus.ops.GetStatus(ops_pb.GetStatusRequest(), timeout=CALL_S)
        assert "chain hash differs" in status.integrity_error
        assert campus.metrics()["campuscard_integrity_broken"] == 1
        health = health_pb2_grpc.HealthStub(campus.raw_channel)
        asked = health_pb2.HealthCheckRequest(service="campuscard.v1.TerminalService")
        assert health.Check(asked, timeout=CALL_S).status == NOT_SERVING
        assert refused(list, campus.ops.Verify(ops_pb.VerifyRequest()))[0] == "VERIFY_FAILED"
