"""D19 with its switch the other way, beside sanctions and the closing: each hold ends by itself."""

import shutil

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from campuscard.v1 import roster_pb2
from server.offline import verify
from tests.acceptance.conftest import wait_until
from tests.campus import CALL_S, Campus, refusal


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as campus:
        yield campus


@pytest.fixture(scope="module")
def pos(campus):
    return campus.terminal("POS-07")


@pytest.fixture
def strict(campus):
    if spending(campus) != "NONE":
        campus.change_parameter("leave_spending", "NONE")
    return campus


def spending(campus):
    request = parameters_pb.GetParameterRequest(key="leave_spending")
    return campus.parameters.GetParameter(request, timeout=CALL_S).parameter.value


def stand(holder, status):
    campus = holder.campus
    request = roster_pb2.ChangeHolderRequest(
        request_id=campus.request_id(),
        account_no=holder.account_no,
        status=roster_pb2.HolderStatus.Value(f"HOLDER_STATUS_{status}"),
        reason="教务 2024-7",
    )
    return campus.cards.ChangeHolder(request, timeout=CALL_S)


def status_of(holder):
    name = accounts_pb.AccountStatus.Name(holder.read().account.status)
    return name.removeprefix("ACCOUNT_STATUS_")


def refused(call, *arguments):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    return refusal(caught.value)


def holds_of(holder):
    """Names of what holds an account, as GetAccount has them."""
    account = holder.read().account
    names = [
        accounts_pb.AccountHold.Name(hold).removeprefix("ACCOUNT_HOLD_") for hold in account.holds
    ]
    until = " until a time" if account.sanction_until_us else ""
    return [name + until if name == "SANCTION" else name for name in names]


def rebuilt(campus):
    """Keep the books again from the journal alone, and make the registry anew."""
    campus.stop()
    verdict = verify.run(campus.data, state_hash="every")
    assert verdict.ok, f"seq {verdict.bad_seq}: {verdict.difference}"
    shutil.rmtree(campus.data / "registry")
    campus.start()


@pytest.mark.clause("八.1")
def test_with_none_a_leave_suspends_the_account_and_its_end_resumes_it(campus, pos):
    before, zhang, li = (campus.open_account(top_up_fen=1_000) for _ in range(3))
    if spending(campus) == "NONE":
        campus.change_parameter("leave_spending", "UNTIL_EXPIRY")
    stand(before, "ON_LEAVE")
    campus.change_parameter("leave_spending", "NONE")
    assert pos.pay(before, 100).reason == "OK", "the value at the beginning of a leave decides"
    stand(before, "ENROLLED")
    assert pos.pay(before, 100).reason == "OK"

    stand(zhang, "ON_LEAVE")
    assert pos.pay(zhang, 100).reason == "ACCOUNT_SUSPENDED"
    zhang.top_up(500)
    li.suspend()
    stand(li, "ON_LEAVE")
    rebuilt(campus)
    stand(zhang, "ENROLLED")
    assert pos.pay(zhang, 100).reason == "OK"
    stand(li, "ENROLLED")
    assert status_of(li) == "SUSPENDED", "a sanction is not the leave's to end"
    li.resume()
    assert pos.pay(li, 100).reason == "OK"


@pytest.mark.clause("八.1")
def test_a_sanction_may_begin_and_end_while_a_leave_holds(strict, pos):
    zhang = strict.open_account(top_up_fen=1_000)
    stand(zhang, "ON_LEAVE")
    assert refused(zhang.resume)[0] == "NOT_SUSPENDED", "a leave is not the officer's to lift"
    zhang.suspend()
    assert refused(zhang.suspend)[0] == "SUSPENDED"
    zhang.resume()
    assert pos.pay(zhang, 100).reason == "ACCOUNT_SUSPENDED", "the leave goes on"
    zhang.suspend(strict.now_us() + 3_600_000_000)
    assert holds_of(zhang) == ["LEAVE", "SANCTION until a time"]
    rebuilt(strict)
    stand(zhang, "ENROLLED")
    assert holds_of(zhang) == ["SANCTION until a time"]
    assert pos.pay(zhang, 100).reason == "ACCOUNT_SUSPENDED", "the sanction goes on"
    assert refused(zhang.suspend)[0] == "SUSPENDED"
    zhang.resume()
    assert holds_of(zhang) == []
    assert pos.pay(zhang, 100).reason == "OK"


@pytest.mark.parametrize("first", ["SANCTION", "LEAVE"])
@pytest.mark.clause("八.1")
def test_a_sanction_that_runs_out_on_leave_lifts_nothing(strict, pos, first):
    zhang = strict.open_account(top_up_fen=1_000)
    until_us = strict.now_us() + 3_600_000_000
    if first == "SANCTION":
        zhang.suspend(until_us)
        stand(zhang, "ON_LEAVE")
    else:
        stand(zhang, "ON_LEAVE")
        zhang.suspend(until_us)
    strict.pass_time(hours=2)
    assert pos.pay(zhang, 100).reason == "ACCOUNT_SUSPENDED", "the leave goes on"
    assert refused(zhang.resume)[0] == "NOT_SUSPENDED", "the sanction is over"
    rebuilt(strict)
    stand(zhang, "ENROLLED")
    assert pos.pay(zhang, 100).reason == "OK"


@pytest.mark.parametrize("first", ["SANCTION", "LEAVE"])
@pytest.mark.clause("八.1")
def test_a_sanction_that_outlasts_the_leave_ends_in_its_time(strict, pos, first):
    zhang = strict.open_account(top_up_fen=1_000)
    until_us = strict.now_us() + 7_200_000_000
    if first == "SANCTION":
        zhang.suspend(until_us)
        stand(zhang, "ON_LEAVE")
    else:
        stand(zhang, "ON_LEAVE")
        zhang.suspend(until_us)
    strict.pass_time(hours=1)
    stand(zhang, "ENROLLED")
    assert pos.pay(zhang, 100).reason == "ACCOUNT_SUSPENDED"
    rebuilt(strict)
    strict.pass_time(hours=1)
    wait_until(lambda: status_of(zhang) == "NORMAL")
    assert pos.pay(zhang, 100).reason == "OK"


@pytest.mark.clause("三.5(1)", "八.1")
def test_the_closing_taken_back_leaves_what_else_holds(strict, pos):
    zhang, li = (strict.open_account(top_up_fen=1_000) for _ in range(2))
    until_us = strict.now_us() + 3_600_000_000
    for holder in (zhang, li):
        holder.suspend(until_us)
        holder.set_status("CLOSING")
        assert pos.pay(holder, 100).reason == "ACCOUNT_CLOSED"
    zhang.set_status("NORMAL")
    assert status_of(zhang) == "SUSPENDED", "the sanction goes on"
    strict.pass_time(hours=1)
    wait_until(lambda: status_of(zhang) == "NORMAL")
    assert status_of(li) == "CLOSING", "the end of the sanction does not take the closing back"
    li.set_status("NORMAL")
    assert [pos.pay(holder, 100).reason for holder in (zhang, li)] == ["OK", "OK"]
    name, said, _ = refused(li.set_status, "SUSPENDED")
    assert (name, said["state"]) == ("STATE_TRANSITION", "NORMAL")
    assert "SUSPEND" in said["legal"].split(", ")


@pytest.mark.clause("三.5(1)", "八.1")
def test_a_closed_account_has_no_hold_but_that(strict):
    zhang = strict.open_account()
    stand(zhang, "ON_LEAVE")
    zhang.suspend(strict.now_us() + 3_600_000_000)
    zhang.set_status("CLOSING")
    zhang.set_status("CLOSED")
    strict.pass_time(hours=2)
    stand(zhang, "ENROLLED")
    for call in (zhang.suspend, lambda: zhang.set_status("NORMAL")):
        assert refused(call)[0] == "STATE_TRANSITION"
    assert refused(zhang.resume)[0] == "NOT_SUSPENDED"
    assert status_of(zhang) == "CLOSED"
