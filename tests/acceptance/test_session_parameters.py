"""Numbers of sign-ins, sessions and gates: changed by two people, obeyed at once by the running server."""

import itertools

import grpc
import pytest

from campuscard.v1 import staff_service_pb2 as staff_pb
from tests.access import Gates
from tests.campus import CALL_S, Campus, reason_of, refusal
from tests.self_service import SelfService
from tests.staff import Member

ID_NUMBER = "44070320050812123X"
INITIAL, QUERY = "812123", "lantern-42"
NUMBERS = itertools.count(200571070001)


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("numbers")) as running:
        yield running


def whoami(member):
    return member.stub("StaffService").WhoAmI(staff_pb.WhoAmIRequest(), timeout=CALL_S)


def wrong(campus, member):
    """Try a wrong password."""
    staff = campus.stubs["StaffService"](campus.raw_channel)
    return reason_of(staff.SignIn, member.request(password="wrong"), timeout=CALL_S)


def phone(campus):
    return SelfService(
        campus, campus.open_account(str(next(NUMBERS)), id_number=ID_NUMBER).account_no
    )


def locked_until(campus, member):
    request = staff_pb.GetStaffRequest(name=member.name)
    staff = campus.admin.stub("StaffService").GetStaff(request, timeout=CALL_S).staff
    return staff.locked_until_us


@pytest.mark.clause("六.3a", "七.3")
def test_how_many_wrong_sign_ins_lock_staff(campus):
    """staff_tries: 5, then 2."""
    before, after = campus.member("tries5", "AUDITOR"), campus.member("tries2", "AUDITOR")
    for _ in range(4):
        assert wrong(campus, before) == "SIGN_IN_REFUSED"
    assert not locked_until(campus, before)
    before.sign_in()
    campus.change_parameter("staff_tries", 2)
    assert wrong(campus, after) == "SIGN_IN_REFUSED"
    assert not locked_until(campus, after)
    assert wrong(campus, after) == "SIGN_IN_REFUSED"
    assert locked_until(campus, after)
    assert reason_of(after.sign_in) == "SIGN_IN_REFUSED"
    campus.change_parameter("staff_tries", 5)


@pytest.mark.clause("六.3a", "七.3")
@pytest.mark.parametrize("seconds", [120, 3_600])
def test_how_long_staff_are_locked(campus, seconds):
    """staff_lock_seconds: shorter and longer than the 900 it is by default."""
    campus.change_parameter("staff_lock_seconds", seconds)
    member = campus.member(f"lock{seconds}", "AUDITOR")
    for _ in range(5):
        wrong(campus, member)
    assert locked_until(campus, member) == campus.now_us() + seconds * 1_000_000
    campus.pass_time(seconds=seconds - 1)
    assert reason_of(member.sign_in) == "SIGN_IN_REFUSED"
    campus.pass_time(seconds=1)
    assert member.sign_in().token


@pytest.mark.clause("六.3a", "七.3")
def test_how_long_a_session_of_staff_is(campus):
    """staff_session_seconds: sessions opened from the change on."""
    old = campus.member("old", "AUDITOR")
    assert old.sign_in().until_us == campus.now_us() + 28_800_000_000
    campus.change_parameter("staff_session_seconds", 300)
    new = campus.member("new", "AUDITOR")
    assert new.sign_in().until_us == campus.now_us() + 300_000_000
    campus.pass_time(seconds=299)
    assert whoami(new).name == "new"
    campus.pass_time(seconds=1)
    assert reason_of(whoami, new) == "SESSION_REQUIRED"
    assert whoami(old).name == "old"
    campus.change_parameter("staff_session_seconds", 28_800)


@pytest.mark.clause("六.3a", "七.3")
def test_how_long_a_one_time_secret_is_good(campus):
    """staff_secret_hours: 72, then 2."""
    campus.change_parameter("staff_secret_hours", 2)
    staff = campus.stubs["StaffService"](campus.raw_channel)
    used = campus.create_staff("used").one_time_secret
    unused = campus.create_staff("unused")
    assert unused.secret_until_us == campus.now_us() + 7_200_000_000
    campus.pass_time(hours=2, seconds=-1)
    first = Member(campus, "used").request(password=used)
    assert staff.SignIn(first, timeout=CALL_S).enrolment_required
    campus.pass_time(seconds=1)
    late = Member(campus, "unused").request(password=unused.one_time_secret)
    assert reason_of(staff.SignIn, late, timeout=CALL_S) == "SIGN_IN_REFUSED"


@pytest.mark.clause("六.3a", "七.3")
def test_how_short_a_password_of_staff_may_be(campus):
    """staff_password_min: 10, then 17."""
    member = campus.member("short", "AUDITOR")
    first, second, third = "lantern 42", "lantern 42 tower", "a lantern 42 tower"

    def change(old, new):
        request = staff_pb.ChangePasswordRequest(
            request_id=campus.request_id(), old_password=old, new_password=new
        )
        member.stub("StaffService").ChangePassword(request, timeout=CALL_S)
        member.password = new
        member.forget_token()

    change(member.password, first)
    campus.change_parameter("staff_password_min", 17)
    with pytest.raises(grpc.RpcError) as refused:
        change(first, second)
    reason, metadata, _ = refusal(refused.value)
    assert (reason, metadata["shortest"]) == ("STAFF_PASSWORD_WEAK", "17")
    change(first, third)
    assert whoami(member).name == "short"


@pytest.mark.clause("六.3a", "四.4")
def test_how_long_a_session_of_a_holder_is(campus):
    """holder_session_seconds: 900, then 60; the one that is open stays as it was opened."""
    zhang, li = phone(campus), phone(campus)
    zhang.enter(INITIAL, QUERY)
    campus.change_parameter("holder_session_seconds", 60)
    assert li.enter(INITIAL, QUERY).until_us == campus.now_us() + 60_000_000
    campus.pass_time(seconds=59)
    assert li.show().account.account_no == li.account_no
    campus.pass_time(seconds=1)
    assert reason_of(li.show) == "SESSION_REQUIRED"
    assert zhang.show().account.account_no == zhang.account_no


@pytest.mark.clause("六.3a", "三.2c")
@pytest.mark.parametrize("seconds", [60, 172_800])
def test_how_long_self_service_is_locked(campus, seconds):
    """query_lock_seconds: shorter and longer than the day it is by default; cards are lost meanwhile too."""
    campus.change_parameter("query_lock_seconds", seconds)
    zhang = phone(campus)
    for _ in range(5):
        assert reason_of(zhang.sign_in, "000000") == "QUERY_PASSWORD_REFUSED"
    campus.pass_time(seconds=seconds - 1)
    assert reason_of(zhang.sign_in, INITIAL) == "QUERY_PASSWORD_REFUSED"
    campus.pass_time(seconds=1)
    assert zhang.sign_in(INITIAL).token


@pytest.mark.clause("六.3a", "四.2", "七.2")
def test_how_long_decisions_at_gates_are_shown(campus):
    """passage_days: 90, then 65, then 120."""
    gates = Gates(campus)
    gates.zone("D1", "GATE-1")
    gates.group("all", "D1", kinds=["STUDENT"])
    assert gates.check("GATE-1", campus.open_account().medium).granted
    campus.pass_time(days=80)
    assert len(gates.passes(zone_id="D1")) == 1
    campus.change_parameter("passage_days", 65)
    assert not gates.passes(zone_id="D1")
    campus.change_parameter("passage_days", 120)
    assert len(gates.passes(zone_id="D1")) == 1, "the journal keeps them"
    campus.pass_time(days=41)
    assert not gates.passes(zone_id="D1")
