"""Resumed TLS sessions: whoever comes back with a ticket is who showed the certificate then."""

import signal
import ssl
import time

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from tests.campus import CALL_S, Campus
from tests.conformance.asking import Caller
from tests.conformance.authority import Authority
from tests.conformance.test_tls import Issuer

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.value[0]


@pytest.fixture
def issuer(tmp_path):
    return Issuer(tmp_path)


@pytest.fixture
def campus(tmp_path, issuer):
    """A campus whose terminals need certificates; ONE and TWO are signed in."""
    with Campus(tmp_path / "campus", settings={"front": issuer.front()}) as running:
        yield running


class Client:
    """A TLS client that keeps its session; `load` changes the certificate it would show."""

    def __init__(self, campus, issuer, version, name):
        self.address, self.issuer = campus.front_address, issuer
        self.context = issuer.context(name)
        self.context.minimum_version = self.context.maximum_version = version
        self.session = None

    def load(self, name):
        self.issuer.show(self.context, name)

    def connect(self):
        """Return a Caller; it resumes the session that was kept."""
        return Caller(
            self.address,
            lambda plain: self.context.wrap_socket(
                plain, server_hostname="localhost", session=self.session
            ),
        )

    def keep(self, caller):
        """Keep its session; of TLS 1.3 the ticket has come with an answer."""
        self.session = caller.peer.socket.session
        assert self.session.has_ticket


def resumed(caller):
    return caller.peer.socket.session_reused


def spoken_for(caller, pos, holder):
    """Return status and reason of a purchase and of a beat as that terminal."""
    answer = caller.ask("Authorize", pos.purchase(holder, 1).SerializeToString())
    decision = pb.AuthorizeResponse.FromString(answer.body[5:]).decision
    beat = pb.HeartbeatRequest(terminal_id=pos.terminal_id).SerializeToString()
    beaten = caller.ask("Heartbeat", beat)
    assert beaten.status == answer.status
    return answer.status, answer.reason or decision.reason


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_resumed_session_speaks_for_its_terminal_only(campus, issuer, version):
    """Also where the client holds another terminal's certificate by then: it shows none."""
    holder = campus.open_account(top_up_fen=10_000)
    one, two = campus.terminal("ONE"), campus.terminal("TWO")
    client = Client(campus, issuer, version, "ONE")
    with client.connect() as caller:
        assert spoken_for(caller, one, holder) == (0, "OK")
        client.keep(caller)
        assert not resumed(caller)
    for name in ("ONE", "TWO"):
        client.load(name)
        with client.connect() as caller:
            assert resumed(caller)
            assert spoken_for(caller, one, holder) == (0, "OK")
            assert spoken_for(caller, two, holder) == (INVALID_ARGUMENT, "FIELD_INVALID")
            assert spoken_for(caller, one, holder) == (0, "OK")
            client.keep(caller)
    assert holder.online_fen == 10_000 - 5


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_session_ends_with_the_authority_that_vouched_for_it(campus, issuer, version):
    """Another CA of terminals: tickets of before are worth nothing, and its certificate neither."""
    holder = campus.open_account(top_up_fen=10_000)
    one = campus.terminal("ONE")
    client = Client(campus, issuer, version, "ONE")
    with client.connect() as caller:
        assert spoken_for(caller, one, holder) == (0, "OK")
        client.keep(caller)
    issuer.authority = Authority("Other")
    (issuer.directory / "ca.pem").write_bytes(issuer.authority.pem)
    campus.process.send_signal(signal.SIGHUP)
    ends = time.monotonic() + CALL_S
    while is_let_in(client, one, holder):
        assert time.monotonic() < ends, "it is still let in"
    client.load("ONE")
    with client.connect() as caller:
        assert not resumed(caller)
        assert spoken_for(caller, one, holder) == (0, "OK")


def is_let_in(client, pos, holder):
    """Try with the session that was kept; TLS 1.3 tells a client late that it is not welcome."""
    try:
        with client.connect() as caller:
            return spoken_for(caller, pos, holder)[0] == 0
    except (ConnectionError, ssl.SSLError):
        return False
