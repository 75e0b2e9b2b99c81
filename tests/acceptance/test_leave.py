"""D19 with its switch the other way: who is on leave spends nothing, and is back as before."""

import shutil

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import roster_pb2
from tests.campus import CALL_S, Campus, refusal


@pytest.fixture
def campus(tmp_path):
    with Campus(tmp_path) as campus:
        yield campus


def set_status(holder, status):
    campus = holder.campus
    request = roster_pb2.ChangeHolderRequest(
        request_id=campus.request_id(),
        account_no=holder.account_no,
        status=roster_pb2.HolderStatus.Value(f"HOLDER_STATUS_{status}"),
        reason="教务 2024-7",
    )
    return campus.cards.ChangeHolder(request, timeout=CALL_S)


def status_of(holder):
    return accounts_pb.AccountStatus.Name(holder.read().account.status)


@pytest.mark.clause("八.1")
def test_with_none_a_leave_suspends_the_account_and_its_end_resumes_it(campus):
    before, zhang, li = (campus.open_account(top_up_fen=1_000) for _ in range(3))
    pos = campus.terminal("POS-07")
    set_status(before, "ON_LEAVE")
    campus.change_parameter("leave_spending", "NONE")
    assert pos.pay(before, 100).reason == "OK", "the value at the beginning of a leave decides"
    set_status(before, "ENROLLED")
    assert pos.pay(before, 100).reason == "OK"

    set_status(zhang, "ON_LEAVE")
    assert pos.pay(zhang, 100).reason == "ACCOUNT_SUSPENDED"
    zhang.top_up(500)
    li.suspend()
    set_status(li, "ON_LEAVE")

    campus.stop()
    shutil.rmtree(campus.data / "registry")
    campus.start()

    set_status(zhang, "ENROLLED")
    assert pos.pay(zhang, 100).reason == "OK"
    set_status(li, "ENROLLED")
    assert status_of(li) == "ACCOUNT_STATUS_SUSPENDED", "a sanction is not the leave's to end"


def test_a_sanction_after_the_hold_was_lifted_is_a_sanction(campus):
    zhang = campus.open_account(top_up_fen=1_000)
    campus.change_parameter("leave_spending", "NONE")
    set_status(zhang, "ON_LEAVE")
    with pytest.raises(grpc.RpcError) as caught:
        zhang.suspend()
    assert refusal(caught.value)[0] in {"SUSPENDED", "STATE_TRANSITION"}
    zhang.resume()
    zhang.suspend()
    set_status(zhang, "ENROLLED")
    assert status_of(zhang) == "ACCOUNT_STATUS_SUSPENDED"
