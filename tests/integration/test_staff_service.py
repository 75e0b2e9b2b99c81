"""StaffService on a running server: signing in, roles, sessions, and what stands in the journal."""

import concurrent.futures
import json
import os
import subprocess
import sys

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import ops_service_pb2 as ops_pb
from campuscard.v1 import staff_service_pb2 as pb
from core import totp
from tests.campus import CALL_S, Campus, reason_of, refusal
from tests.staff import PASSWORD, Member, secret_of

LIMIT_S = 30 * 60


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    """A campus whose sign-ins are counted by these tests alone."""
    with Campus(tmp_path_factory.mktemp("staff")) as running:
        yield running


def whoami(member):
    return member.stub("StaffService").WhoAmI(pb.WhoAmIRequest(), timeout=CALL_S)


def act(campus, member, method, **fields):
    """Make an act of the administrator about a member."""
    message = getattr(pb, f"{method}Request")(
        request_id=campus.request_id(), name=member.name, reason="按文件", **fields
    )
    return getattr(campus.admin.stub("StaffService"), method)(message, timeout=CALL_S)


def shown(campus, member):
    request = pb.GetStaffRequest(name=member.name)
    return campus.admin.stub("StaffService").GetStaff(request, timeout=CALL_S).staff


def acts_of(campus, actor="", **fields):
    """Read the trail, newest first, page by page."""
    request, found = pb.ListActsRequest(actor=actor, page_size=7, **fields), []
    while True:
        page = campus.staff.stub("StaffService").ListActs(request, timeout=CALL_S)
        found += page.acts
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


def dumped(campus):
    """Return the journal of a stopped campus as plain records."""
    command = [sys.executable, "-m", "clients.admin.cli", "dump", str(campus.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- the first start ----


def test_the_first_secret_is_printed_once_and_nowhere_else(own_campus):
    own_campus.start()
    console = own_campus.console()
    assert console.count("One-time secret of admin: ") == 1
    secret = console.split()[4]
    own_campus.restart()
    assert own_campus.console() == console
    assert secret not in own_campus.log_text()
    assert secret.replace("-", "") not in own_campus.log_text()
    created = acts_of(own_campus, actor="system")
    assert [(one.kind, one.role, one.channel) for one in created] == [("StaffCreated", "", "")]
    own_campus.stop()
    assert secret.encode() not in b"".join(
        path.read_bytes() for path in own_campus.data.rglob("*") if path.is_file()
    )


def test_an_administrator_who_lost_everything_is_reset_at_a_start(own_campus):
    own_campus.start()
    before = own_campus.console()
    own_campus.stop()
    serve = (sys.executable, "-m", "clients.admin.cli", "serve")
    own_campus._command = (*serve, "--reset-admin", "staff")
    own_campus.start()
    assert own_campus.console() == before, "who is no SEC_ADMIN is reset by one"
    own_campus.stop()
    own_campus._command = (*serve, "--reset-admin", "admin")
    own_campus.start()
    secret = own_campus.console().removeprefix(before).split()[4]
    assert reason_of(own_campus.admin.sign_in) == "SIGN_IN_REFUSED"
    own_campus.admin.enrol(secret)
    one = next(one for one in acts_of(own_campus) if one.kind == "StaffReset")
    assert (one.actor, one.reason) == ("system", "serve --reset-admin")


def test_before_enrolment_nothing_else_is_allowed(campus):
    secret = campus.create_staff("fresh", "AUDITOR").one_time_secret
    member = Member(campus, "fresh")
    staff = campus.stubs["StaffService"](campus.raw_channel)
    first = staff.SignIn(member.request(password=secret), timeout=CALL_S)
    assert first.enrolment_required
    assert not first.password_set
    member._keep(first.token)
    signed = member.stub("StaffService")
    assert reason_of(signed.ListActs, pb.ListActsRequest()) == "ENROLMENT_REQUIRED"
    stub = member.stub("MerchantService")
    listing = merchants_pb.ListMerchantsRequest()
    assert reason_of(stub.ListMerchants, listing) == "ENROLMENT_REQUIRED"
    confirm = pb.ConfirmTotpRequest(request_id=campus.request_id(), code="123456")
    assert reason_of(signed.ConfirmTotp, confirm) == "ENROLMENT_REQUIRED"
    assert whoami(member).enrolment_required
    short = pb.ChangePasswordRequest(request_id=campus.request_id(), new_password="fresh1234")
    assert reason_of(signed.ChangePassword, short) == "STAFF_PASSWORD_WEAK"
    changed = pb.ChangePasswordRequest(request_id=campus.request_id(), new_password=PASSWORD)
    signed.ChangePassword(changed, timeout=CALL_S)
    used = reason_of(staff.SignIn, member.request(password=secret), timeout=CALL_S)
    assert used == "SIGN_IN_REFUSED", "the secret is good until a password is set"
    again = staff.SignIn(member.request(), timeout=CALL_S)
    assert again.enrolment_required
    assert again.password_set
    assert reason_of(signed.ConfirmTotp, confirm) == "TOTP_REFUSED"
    offered = signed.EnrolTotp(pb.EnrolTotpRequest(), timeout=CALL_S)
    member.secret = secret_of(offered.otpauth_uri)
    confirm.code = member.code()
    done = signed.ConfirmTotp(confirm, timeout=CALL_S)
    for old in (first.token, again.token):
        assert reason_of(whoami, holding(campus, "fresh", old)) == "SESSION_REQUIRED"
    assert not whoami(holding(campus, "fresh", done.token)).enrolment_required


def holding(campus, name, token):
    """Return a member who has this token and no other."""
    member = Member(campus, name)
    member._keep(token)
    return member


def test_a_one_time_secret_runs_out(own_campus):
    own_campus.start()
    secret = own_campus.create_staff("late").one_time_secret
    own_campus.pass_time(hours=72)
    staff = own_campus.stubs["StaffService"](own_campus.raw_channel)
    request = Member(own_campus, "late").request(password=secret)
    assert reason_of(staff.SignIn, request, timeout=CALL_S) == "SIGN_IN_REFUSED"
    again = own_campus.admin.stub("StaffService").ResetStaff(
        pb.ResetStaffRequest(request_id=own_campus.request_id(), name="late", reason="late"),
        timeout=CALL_S,
    )
    request.password = again.one_time_secret
    assert staff.SignIn(request, timeout=CALL_S).enrolment_required


# ---- signing in ----


def test_every_refusal_is_the_same(campus):
    member = campus.member("same", "AUDITOR")
    off = campus.member("off", "AUDITOR")
    act(campus, off, "DisableStaff")
    staff = campus.stubs["StaffService"](campus.raw_channel)
    wrong = [
        member.request(name="nobody"),
        member.request(name="没有\x00", code="１２３４５６"),
        member.request(password="wrong", code=member.code()),
        member.request(password=""),
        member.request(code=""),
        member.request(code="000000"),
        off.request(),
    ]
    answers = []
    for request in wrong:
        with pytest.raises(grpc.RpcError) as caught:
            staff.SignIn(request, timeout=CALL_S)
        found = refusal(caught.value)
        answers.append((caught.value.code(), caught.value.details(), found[0], found[1]))
    assert len(set(map(str, answers))) == 1
    assert answers[0][0] is grpc.StatusCode.UNAUTHENTICATED


def test_a_code_is_good_once_and_none_before_it(campus):
    member = campus.member("codes", "AUDITOR")
    member.sign_in()
    staff = campus.stubs["StaffService"](campus.raw_channel)
    used = totp.code_of(member.secret, member.step)
    before = totp.code_of(member.secret, member.step - 1)
    for code in (used, before):
        request = member.request(code=code)
        assert reason_of(staff.SignIn, request, timeout=CALL_S) == "SIGN_IN_REFUSED"
    member.sign_in()


@pytest.mark.clause("七.3")
def test_five_wrong_tries_lock_and_a_restart_gives_no_more(own_campus):
    own_campus.start()
    member = own_campus.member("locked", "AUDITOR")

    def wrong():
        staff = own_campus.stubs["StaffService"](own_campus.raw_channel)
        request = member.request(password="not this one")
        return reason_of(staff.SignIn, request, timeout=CALL_S)

    for _ in range(4):
        assert wrong() == "SIGN_IN_REFUSED"
    own_campus.kill9()
    own_campus.restart()
    wrong()
    assert reason_of(member.sign_in) == "SIGN_IN_REFUSED", "the fifth wrong one locked"
    own_campus.pass_time(seconds=15 * 60 - 1)
    assert reason_of(member.sign_in) == "SIGN_IN_REFUSED"
    failed = [one for one in acts_of(own_campus) if one.kind == "StaffSignInFailed"]
    assert len(failed) == 5, "tries while it is locked are not looked at"
    own_campus.pass_time(seconds=1)
    member.sign_in()
    assert shown(own_campus, member).locked_until_us == 0


def test_guesses_in_parallel_are_not_more_than_five(campus):
    member = campus.member("parallel", "AUDITOR")
    staff = campus.stubs["StaffService"](campus.raw_channel)
    requests = [member.request(password=f"guess number {n}") for n in range(24)]
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        reasons = pool.map(lambda r: reason_of(staff.SignIn, r, timeout=CALL_S), requests)
        assert set(reasons) <= {"SIGN_IN_REFUSED", "QUEUE_FULL"}
    number = shown(campus, member).number
    failed = [one for one in acts_of(campus, f"staff:{number}") if one.kind == "StaffSignInFailed"]
    assert len(failed) == 5
    assert shown(campus, member).locked_until_us


# ---- sessions ----


def test_sessions_end_by_disuse_and_by_age(own_campus):
    own_campus.start()
    member = own_campus.member("tired", "AUDITOR")
    member.sign_in()
    held = holding(own_campus, "tired", member._token)
    call = lambda: held.stub("StaffService").WhoAmI(pb.WhoAmIRequest(), timeout=CALL_S)  # noqa: E731

    def after(seconds):
        own_campus.pass_time(seconds=seconds)
        held._keep(member._token)
        return call()

    for _ in range(15):
        after(LIMIT_S - 1)
    with pytest.raises(grpc.RpcError) as caught:
        after(LIMIT_S)
    assert refusal(caught.value)[0] == "SESSION_REQUIRED"
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    member.sign_in()
    for _ in range(16):
        own_campus.pass_time(seconds=LIMIT_S - 1)
        held._keep(member._token)
        call()
    own_campus.pass_time(seconds=16)
    held._keep(member._token)
    assert reason_of(call) == "SESSION_REQUIRED"


def test_a_session_ends_when_something_about_it_changes(campus):
    member = campus.member("changing", "AUDITOR")
    changes = [
        ("GrantRole", {"grant": pb.RoleGrant(role="OPS")}),
        ("RevokeRole", {"grant": pb.RoleGrant(role="OPS")}),
        ("RevokeSessions", {}),
        ("DisableStaff", {}),
    ]
    for method, fields in changes:
        member.sign_in()
        held = holding(campus, "changing", member._token)
        whoami(held)
        act(campus, member, method, **fields)
        assert reason_of(whoami, held) == "SESSION_REQUIRED", method
    assert reason_of(member.sign_in) == "SIGN_IN_REFUSED"
    act(campus, member, "EnableStaff")
    member.sign_in()
    held = holding(campus, "changing", member._token)
    changed = pb.ChangePasswordRequest(
        request_id=campus.request_id(), old_password=PASSWORD, new_password="another long one"
    )
    held.stub("StaffService").ChangePassword(changed, timeout=CALL_S)
    assert reason_of(whoami, held) == "SESSION_REQUIRED"
    assert reason_of(member.sign_in) == "SIGN_IN_REFUSED"
    member.password = "another long one"
    member.sign_in()
    held = holding(campus, "changing", member._token)
    member.enrol(act(campus, member, "ResetStaff").one_time_secret)
    assert reason_of(whoami, held) == "SESSION_REQUIRED"
    held = holding(campus, "changing", member._token)
    held.stub("StaffService").SignOut(pb.SignOutRequest(), timeout=CALL_S)
    held = holding(campus, "changing", member._token)
    assert reason_of(whoami, held) == "SESSION_REQUIRED"


def test_one_session_can_be_ended_by_its_name(campus):
    member = campus.member("named", "AUDITOR")
    member.sign_in()
    first = holding(campus, "named", member._token)
    member.sign_in()
    request = pb.ListSessionsRequest(name="named")
    listed = campus.admin.stub("StaffService").ListSessions(request, timeout=CALL_S).sessions
    assert len(listed) == 3, "enrolled, and signed in twice"
    assert {session.channel for session in listed} == {pb.STAFF_CHANNEL_COUNTER}
    assert act(campus, member, "RevokeSessions", session=listed[1].session).ended_count == 1
    assert reason_of(whoami, first) == "SESSION_REQUIRED"
    whoami(holding(campus, "named", member._token))


def test_a_stream_under_way_ends_with_its_session(campus):
    operator = campus.member("operator", "OPS")
    stream = operator.stub("OpsService").Follow(ops_pb.FollowRequest(from_seq=1), timeout=CALL_S)
    assert next(stream).blocks
    act(campus, operator, "RevokeSessions")
    with pytest.raises(grpc.RpcError) as caught:
        for _ in stream:
            pass
    assert refusal(caught.value)[0] == "SESSION_REQUIRED"


# ---- roles ----


@pytest.mark.clause("六.3a")
def test_nobody_decides_about_their_own_roles(campus):
    grant = pb.RoleGrant(role="AUDITOR")
    for method, fields in (
        ("GrantRole", {"grant": grant}),
        ("ResetStaff", {}),
        ("EnableStaff", {}),
    ):
        assert reason_of(act, campus, campus.admin, method, **fields) == "NOT_ABOUT_ONESELF"
    assert reason_of(act, campus, campus.admin, "DisableStaff") == "LAST_ADMIN"
    second = campus.member("second", "SEC_ADMIN")
    assert reason_of(act, campus, campus.admin, "DisableStaff") == "NOT_ABOUT_ONESELF"
    assert reason_of(act, campus, second, "GrantRole", grant=grant) == "ROLE_EXCLUSIVE"
    act(campus, second, "DisableStaff")
    whoami(campus.admin)


def test_a_role_for_a_merchant_is_given_for_one_that_exists(campus):
    campus.merchant("OWN")
    campus.merchant("OTHER")
    wrong = pb.RoleGrant(role="MERCHANT", scope="NONE")
    member = campus.member("keeper", ("MERCHANT", "OWN"))
    assert reason_of(act, campus, member, "GrantRole", grant=wrong) == "NOT_FOUND"
    stub = member.stub("MerchantService")
    listed = stub.ListMerchants(merchants_pb.ListMerchantsRequest(), timeout=CALL_S).merchants
    assert [merchant.merchant_id for merchant in listed] == ["OWN"]
    stub.GetMerchant(merchants_pb.GetMerchantRequest(merchant_id="OWN"), timeout=CALL_S)
    other = merchants_pb.GetMerchantRequest(merchant_id="OTHER")
    assert reason_of(stub.GetMerchant, other, timeout=CALL_S) == "FORBIDDEN"


def test_finance_sees_no_balance(campus):
    """Source: regulation 六.2."""
    holder = campus.open_account(top_up_fen=1_000)
    cashier = campus.member("cashier", "FINANCE")
    accounts = cashier.stub("AccountService")
    request = accounts_pb.TopUpRequest(
        request_id=campus.request_id(),
        account_no=holder.account_no,
        source=accounts_pb.TOP_UP_SOURCE_CASH,
        channel_txn_id="F-1",
        amount_fen=500,
    )
    assert accounts.TopUp(request, timeout=CALL_S).online_fen == 0
    assert holder.online_fen == 1_500
    grant = accounts_pb.GrantSubsidyRequest(
        request_id=campus.request_id(), account_no=holder.account_no, amount_fen=700, label="补助"
    )
    assert accounts.GrantSubsidy(grant, timeout=CALL_S).subsidy_fen == 0
    assert holder.read().wallets.subsidy_fen == 700
    reading = accounts_pb.GetAccountRequest(account_no=holder.account_no)
    assert reason_of(accounts.GetAccount, reading, timeout=CALL_S) == "FORBIDDEN"


def test_an_answer_given_again_has_no_secret(campus):
    request = pb.CreateStaffRequest(request_id=campus.request_id(), name="twice", reason="x")
    staff = campus.admin.stub("StaffService")
    first = staff.CreateStaff(request, timeout=CALL_S)
    again = staff.CreateStaff(request, timeout=CALL_S)
    assert first.one_time_secret
    assert (again.one_time_secret, again.act.replayed) == ("", True)
    assert (again.number, again.secret_until_us) == (first.number, first.secret_until_us)


@pytest.mark.parametrize("method", ["CreateStaff", "GrantRole", "DisableStaff", "ResetStaff"])
@pytest.mark.clause("八.3")
def test_acts_about_staff_say_why(campus, method):
    request = getattr(pb, f"{method}Request")(request_id=campus.request_id(), name="staff")
    if method == "GrantRole":
        request.grant.role = "OPS"
    call = getattr(campus.admin.stub("StaffService"), method)
    assert reason_of(call, request, timeout=CALL_S) == "REASON_REQUIRED"


# ---- the journal ----


@pytest.mark.clause("七.5", "八.3")
def test_the_trail_and_a_rebuilt_registry_say_the_same(own_campus):
    """Source: regulation 六.3: no act without who, as what, by which way and why."""
    own_campus.start()
    member = own_campus.member("clerk", "CARD_OFFICER", ("CLASS_TEACHER", "高一(3)班"))
    holder = own_campus.open_account("20230001")
    act(own_campus, member, "GrantRole", grant=pb.RoleGrant(role="AUDITOR"))
    act(own_campus, member, "RevokeRole", grant=pb.RoleGrant(role="CARD_OFFICER"))
    staff = own_campus.stubs["StaffService"](own_campus.raw_channel)
    for _ in range(2):
        assert reason_of(staff.SignIn, member.request(password="no")) == "SIGN_IN_REFUSED"
    act(own_campus, member, "DisableStaff")

    def content():
        listing = own_campus.admin.stub("StaffService").ListStaff(pb.ListStaffRequest())
        members = {one.name: one for one in listing.staff}
        for name in ("admin", "staff"):
            members[name].sign_in_time_us = 0
        own = {"StaffSignedIn"}
        return members, [one for one in acts_of(own_campus) if one.kind not in own]

    before = content()
    about = acts_of(own_campus, account_no=holder.account_no)
    assert [(one.kind, one.actor, one.role) for one in about] == [
        ("AccountOpened", "staff:2", "CARD_OFFICER")
    ]
    own_campus.stop()
    for path in own_campus.data.joinpath("registry").iterdir():
        path.unlink()
    own_campus.restart()
    assert content() == before
    own_campus.stop()

    trail = {one.seq: one for one in before[1]}
    documents = [record for record in dumped(own_campus) if record.get("document")]
    changed = [one for one in trail.values() if one.reason == "按文件"]
    assert {one.kind for one in changed} == {
        "StaffRoleGranted",
        "StaffRoleRevoked",
        "StaffDisabled",
    }
    assert {(one.actor, one.role, one.channel) for one in changed} == {
        ("staff:1", "SEC_ADMIN", "COUNTER")
    }
    by_seq = {record["seq"]: record for record in documents}
    for one in changed:
        text = json.dumps(by_seq[one.seq], ensure_ascii=False)
        assert all(f'"{word}"' in text for word in (one.actor, one.role, one.channel, one.reason))


def test_no_secret_of_staff_stands_anywhere(own_campus):
    own_campus.start()
    member = own_campus.member("secretive", "AUDITOR")
    one_time = act(own_campus, member, "ResetStaff").one_time_secret
    uri_secret = member.secret
    token = own_campus.admin.token
    own_campus.stop()
    secrets = [
        *(PASSWORD.encode(), one_time.encode(), one_time.replace("-", "").encode()),
        *(uri_secret, uri_secret.hex().encode(), token.encode()),
        totp.key_uri(uri_secret, "x").split("secret=")[1].split("&")[0].encode(),
        b"$argon2id$",
    ]
    files = [path for path in own_campus.directory.rglob("*") if path.is_file()]
    assert any("journal" in str(path) for path in files)
    for path in files:
        raw = path.read_bytes()
        for secret in secrets:
            assert secret not in raw, (path, secret)


# ---- the command line ----


class Shell:
    """Commands against a campus, with a state directory of their own."""

    def __init__(self, campus, directory):
        self._campus = campus
        self.state = directory / "state"

    def __call__(self, *arguments, code=0, typed="", **environment):
        command = [sys.executable, "-m", "clients.admin.cli", "--lang", "en", *arguments]
        done = subprocess.run(
            [*command, "--server", self._campus.address],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "XDG_STATE_HOME": str(self.state), **environment},
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done


def test_the_first_sign_in_and_what_follows_on_the_command_line(campus, tmp_path):
    run = Shell(campus, tmp_path)
    secret = campus.create_staff("typist", "AUDITOR").one_time_secret
    refused = run("staff", "whoami", code=1)
    assert "SESSION_REQUIRED" in refused.stderr
    assert "campuscard staff sign-in" in refused.stderr

    member = Member(campus, "typist")
    command = [sys.executable, "-m", "clients.admin.cli", "staff", "sign-in", "typist"]
    environment = {"XDG_STATE_HOME": str(run.state), "CAMPUSCARD_PASSWORD": secret}
    process = subprocess.Popen(
        [*command, "--server", campus.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment, "CAMPUSCARD_NEW_PASSWORD": PASSWORD},
    )
    process.stdin.write("\n")  # no code yet
    process.stdin.flush()
    uri = next(line for line in process.stderr if line.startswith("otpauth://"))
    member.secret = secret_of(uri.strip())
    out, err = process.communicate(f"{member.code()}\n", timeout=60)
    assert process.returncode == 0, (out, err)

    session = run.state / "campuscard" / "session.json"
    assert session.stat().st_mode & 0o777 == 0o600
    assert session.parent.stat().st_mode & 0o777 == 0o700
    token = json.loads(session.read_text(encoding="utf-8"))[campus.address]["token"]
    me = json.loads(run("staff", "whoami", "-o", "json").stdout)
    assert (me["name"], me["channel"]) == ("typist", "OFFICE")
    acts = json.loads(run("staff", "acts", "--limit", "3", "-o", "json").stdout)
    assert acts[0]["kind"] == "StaffTotpSet"
    denied = run("staff", "create", "x", "--reason", "y", "-o", "json", code=1)
    assert json.loads(denied.stdout)["error"]["reason"] == "FORBIDDEN"
    assert token not in run("staff", "list").stdout

    run("staff", "sign-out")
    assert token not in session.read_text(encoding="utf-8")
    run("staff", "whoami", code=1, CAMPUSCARD_TOKEN=token)
    code = member.code()
    signed = ("staff", "sign-in", "typist", "--code", code, "--channel", "counter")
    run(*signed, CAMPUSCARD_PASSWORD=PASSWORD)
    assert json.loads(run("staff", "whoami", "-o", "json").stdout)["channel"] == "COUNTER"
    run(*signed, code=1, CAMPUSCARD_PASSWORD=PASSWORD)
    changed = {"CAMPUSCARD_PASSWORD": PASSWORD, "CAMPUSCARD_NEW_PASSWORD": "yet another one"}
    run("staff", "change-password", **changed)
    run("staff", "whoami", code=1)


def test_every_act_about_staff_on_the_command_line(campus, tmp_path):
    run = Shell(campus, tmp_path)
    token = {"CAMPUSCARD_TOKEN": campus.admin.token}
    created = run("staff", "create", "clerk-7", "--role", "OPS", "--reason", "new", **token)
    assert created.stdout.split()[-1].count("-") == 5
    for arguments, shown in (
        (
            ("grant", "clerk-7", "CLASS_TEACHER", "--scope", "高一(3)班"),
            "+ CLASS_TEACHER 高一(3)班",
        ),
        (("revoke", "clerk-7", "OPS"), "- OPS"),
        (("revoke-sessions", "clerk-7"), "Ended 0 sessions"),
        (("disable", "clerk-7"), "Disabled clerk-7"),
        (("enable", "clerk-7"), "Enabled clerk-7"),
        (("reset", "clerk-7"), "One-time secret of clerk-7"),
    ):
        assert shown in run("staff", *arguments, "--reason", "order 7", **token).stdout
    assert "CLASS_TEACHER:高一(3)班" in run("staff", "show", "clerk-7", **token).stdout
    assert "clerk-7" in run("staff", "list", "--role", "CLASS_TEACHER", **token).stdout
    assert json.loads(run("staff", "sessions", "clerk-7", "-o", "json", **token).stdout) == []


def test_a_reason_may_come_with_any_call(campus):
    merchant = merchants_pb.CreateMerchantRequest(
        request_id=campus.request_id(),
        merchant_id="WHY",
        name="缘由",
        category=merchants_pb.MERCHANT_CATEGORY_SHOP,
    )
    for wrong in (b"\xff", b"x" * 201, b"a\nb"):
        with pytest.raises(grpc.RpcError) as refused:
            campus.merchants.CreateMerchant(
                merchant, timeout=CALL_S, metadata=(("x-reason-bin", wrong),)
            )
        assert refusal(refused.value)[0] == "FIELD_INVALID"
    why = (("x-reason-bin", "新开商户, 院务会 3 月 13 日".encode()),)
    done = campus.merchants.CreateMerchant(merchant, timeout=CALL_S, metadata=why)
    (act,) = (one for one in acts_of(campus) if one.seq == done.act.seq)
    assert (act.kind, act.reason) == ("MerchantSet", "新开商户, 院务会 3 月 13 日")
