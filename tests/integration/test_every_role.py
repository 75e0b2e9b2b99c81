"""Every RPC under every role, and under none: allowed exactly where the table says so."""

import grpc
import pytest

from campuscard.v1 import ops_service_pb2 as ops_pb
from core.permissions import PERMISSIONS, PUBLIC, SIGNED_IN, Role
from core.staff import NOT_FOR_STAFF
from server.app import method_shapes, proto_files
from server.identity import Principal
from server.interceptors.identity import IdentityGuard, permissions_of
from server.sessions import Sessions
from tests.campus import CALL_S, Campus, refusal

PERMISSION_OF = permissions_of(proto_files())
SHAPES = dict(method_shapes())
DENIALS = {"FORBIDDEN", "SESSION_REQUIRED", "ENROLMENT_REQUIRED"}
STAFF_ROLES = sorted(set(Role) - NOT_FOR_STAFF)
NOBODY = "nobody"
ENDS_THE_SESSION = "/SignOut"
SCOPES = {Role.CLASS_TEACHER: "高一(3)班", Role.MERCHANT: "M1"}


def expected(method, role):
    """Return what the table says: why a call is denied, empty when it is allowed."""
    permission = PERMISSION_OF[method]
    if role == NOBODY:
        allowed = permission in PUBLIC or Role.TERMINAL in PERMISSIONS[permission]
        return "" if allowed else "SESSION_REQUIRED"
    allowed = permission in PUBLIC | SIGNED_IN or role in PERMISSIONS[permission]
    return "" if allowed else "FORBIDDEN"


def denial(channel, method, token):
    """Call a method with an empty request; return why it was denied, empty when it was let in."""
    metadata = [("authorization", f"Bearer {token}")] if token else []
    options = {"timeout": CALL_S, "metadata": metadata}
    shape = SHAPES[method]
    try:
        if shape == "unary":
            channel.unary_unary(method)(b"", **options)
        elif shape == "server_stream":
            first(channel.unary_stream(method)(b"", **options))
        elif shape == "client_stream":
            channel.stream_unary(method)(iter([b""]), **options)
        else:
            first(channel.stream_stream(method)(iter([b""]), **options))
    except grpc.RpcError as error:
        return checked(method, error.code(), *refusal(error)[:2])
    return ""


def checked(method, code, reason, metadata):
    """Return a denial's reason once it says what it must; empty for every other refusal."""
    if reason == "FORBIDDEN":
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert metadata["permission"] == PERMISSION_OF[method]
        assert set(metadata["roles"].split(", ")) == set(PERMISSIONS[PERMISSION_OF[method]])
    if reason == "SESSION_REQUIRED":
        assert code is grpc.StatusCode.UNAUTHENTICATED
    return reason if reason in DENIALS else ""


def first(stream):
    next(iter(stream), None)
    stream.cancel()


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("roles")) as running:
        running.merchant("M1")
        yield running


@pytest.fixture(scope="module")
def tokens(campus):
    """A token per role, of a member who has this role alone."""
    found = {NOBODY: "", Role.SEC_ADMIN: campus.admin.token}
    for role in STAFF_ROLES:
        if role not in found:
            name = role.lower().replace("_", "-")
            found[role] = campus.member(name, (role.name, SCOPES.get(role, ""))).token
    return found


@pytest.mark.clause("五.4", "六.1", "六.2", "七.3")
def test_the_table_is_what_happens(campus, tokens):
    wrong = []
    for method in PERMISSION_OF:
        for role, token in tokens.items():
            if method.endswith(ENDS_THE_SESSION) and role != NOBODY:
                continue
            found = denial(campus.raw_channel, method, token)
            if found != expected(method, role):
                wrong.append((method, str(role), found))
    assert not wrong


@pytest.mark.clause("五.4")
def test_denied_calls_change_nothing(campus, tokens):
    def head():
        return campus.stub("OpsService").GetHead(ops_pb.GetHeadRequest()).acknowledged_seq

    before = head()
    denied = 0
    for method in PERMISSION_OF:
        for role, token in tokens.items():
            if expected(method, role):
                denied += 1
                assert denial(campus.raw_channel, method, token) == expected(method, role)
    assert denied > len(PERMISSION_OF), "most of the table is denials"
    assert head() == before


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic abc", "Bearer " + "x" * 43, "Bearer " + "x" * 500, ""]
)
def test_a_token_that_is_none_gives_no_more_than_none_at_all(campus, header):
    call = campus.raw_channel.unary_unary
    with pytest.raises(grpc.RpcError) as caught:
        call("/campuscard.v1.OpsService/GetHead")(
            b"", timeout=CALL_S, metadata=[("authorization", header)]
        )
    assert refusal(caught.value)[0] == "SESSION_REQUIRED"
    with pytest.raises(grpc.RpcError) as caught:
        call("/campuscard.v1.TerminalService/Heartbeat")(
            b"", timeout=CALL_S, metadata=[("authorization", header)]
        )
    assert refusal(caught.value)[0] not in DENIALS, "a terminal needs none"


# ---- roles nobody is granted: what somebody is ----


class Clock:
    def now_us(self):
        return 0


class Call:
    """A call's context, as far as the guard looks at it."""

    def __init__(self, token):
        self._metadata = (("authorization", f"Bearer {token}"),)

    def invocation_metadata(self):
        return self._metadata


@pytest.mark.parametrize("role", list(Role))
def test_the_guard_alone_says_the_same(role):
    nobody = Principal(actor="terminal:x", roles=frozenset({Role.TERMINAL}))
    sessions = Sessions(Clock())
    guard = IdentityGuard(sessions, PERMISSION_OF, nobody=nobody)
    token = sessions.open(Principal(actor="holder:1", roles=frozenset({role})), 60)
    for method in PERMISSION_OF:
        admit = guard.admission(method, signed=True)
        if expected(method, role):
            with pytest.raises(Exception, match="FORBIDDEN"):
                admit(Call(token))
        else:
            assert admit(Call(token)).principal.roles == {role}


def test_a_method_without_a_permission_is_closed_to_everybody():
    nobody = Principal(actor="terminal:x", roles=frozenset(Role))
    sessions = Sessions(Clock())
    guard = IdentityGuard(sessions, {}, nobody=nobody)
    token = sessions.open(Principal(actor="staff:1", roles=frozenset(Role)), 60)
    for signed in (False, True):
        with pytest.raises(Exception, match=r"SESSION_REQUIRED|FORBIDDEN"):
            guard.admission("/campuscard.v1.NewService/New", signed=signed)(Call(token))


def test_what_a_terminal_calls_costs_no_look_at_all():
    nobody = Principal(actor="terminal:x", roles=frozenset({Role.TERMINAL}))
    guard = IdentityGuard(Sessions(Clock()), PERMISSION_OF, nobody=nobody)
    taps = [name for name in PERMISSION_OF if PERMISSION_OF[name] in {"tap", "transaction.read"}]
    assert len(taps) > 10
    assert all(guard.admission(name, signed=False) is None for name in taps)
