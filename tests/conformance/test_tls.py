"""TLS on the native front end: who may connect, and as which terminal."""

import signal
import socket
import ssl
import time

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc
from tests.campus import CALL_S, Campus, refusal
from tests.conformance.authority import NAMED, Authority
from tests.conformance.frames import Peer
from tests.terminals import Pos


def credentials(authority, leaf=None):
    """Return a client's credentials: whom it trusts, and who it says it is."""
    own = {"private_key": leaf.key, "certificate_chain": leaf.chain} if leaf else {}
    return grpc.ssl_channel_credentials(root_certificates=authority.pem, **own)


class Issuer:
    """A private CA, and the files the server reads."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = Authority()
        (directory / "ca.pem").write_bytes(self.authority.pem)
        self.serve()

    def serve(self):
        """Write a new certificate of the server; returns it."""
        made = self.authority.server()
        (self.directory / "key.pem").write_bytes(made.key)
        (self.directory / "chain.pem").write_bytes(made.chain)
        return made.der

    def front(self, **more):
        """Return the settings of a front end whose terminals need certificates."""
        return {
            "address": "127.0.0.1:0",
            "certificate": str(self.directory / "chain.pem"),
            "key": str(self.directory / "key.pem"),
            "terminal_ca": str(self.directory / "ca.pem"),
            **more,
        }

    def show(self, context, name):
        """Have a client's context show a new certificate of a terminal."""
        leaf = self.authority.terminal(name)
        path = self.directory / "own.pem"
        path.write_bytes(leaf.key + leaf.chain)
        context.load_cert_chain(path)

    def context(self, name, alpn=("h2",)):
        """Return the context of a client that is a terminal."""
        made = ssl.create_default_context(cadata=self.authority.pem.decode())
        self.show(made, name)
        made.set_alpn_protocols(list(alpn))
        return made


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def campus(tmp_path_factory, issuer):
    """A campus whose terminals need certificates."""
    front = issuer.front(handshake_ms=500)
    with Campus(tmp_path_factory.mktemp("campus"), settings={"front": front}) as running:
        yield running


class Secured:
    """What a Pos asks, over a channel with a certificate."""

    def __init__(self, campus, issuer, name):
        self.campus = campus
        self.channel = grpc.secure_channel(
            campus.front_address, credentials(issuer.authority, issuer.authority.terminal(name))
        )
        self.terminals = terminal_service_pb2_grpc.TerminalServiceStub(self.channel)


def greeted(campus, issuer, *, versions=None, alpn=("h2",)):
    """Shake hands; returns the TLS socket."""
    context = issuer.context("HANDSHAKE", alpn)
    if versions:
        context.minimum_version, context.maximum_version = versions
    host, port = campus.front_address.rsplit(":", 1)
    plain = socket.create_connection((host, int(port)), timeout=CALL_S)
    return context.wrap_socket(plain, server_hostname="localhost")


def test_a_terminal_pays_under_its_own_name_only(campus, issuer):
    campus.terminal("TLS-1", sign_in=False)
    campus.terminal("TLS-2", sign_in=False)
    holder = campus.open_account(top_up_fen=10_000)
    own = Secured(campus, issuer, "TLS-1")
    with own.channel:
        pos = Pos(own, "TLS-1")
        assert pos.sign_in().reason == "OK"
        assert pos.pay(holder, 100).reason == "OK"
        with pytest.raises(grpc.RpcError) as caught:
            Pos(own, "TLS-2").sign_in()
        reason, metadata, _ = refusal(caught.value)
        assert (reason, metadata["field"]) == ("FIELD_INVALID", "terminal_id")
        beat = pb.HeartbeatRequest(terminal_id="TLS-1")
        assert own.terminals.Heartbeat(beat, timeout=CALL_S).batch_no == pos.batch_no
        beat.terminal_id = "TLS-2"
        with pytest.raises(grpc.RpcError) as caught:
            own.terminals.Heartbeat(beat, timeout=CALL_S)
        assert refusal(caught.value)[0] == "FIELD_INVALID"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_agree_on_http2(campus, issuer, version):
    with greeted(campus, issuer, versions=(version, version)) as made:
        assert made.selected_alpn_protocol() == "h2"
        assert made.version() in {"TLSv1.2", "TLSv1.3"}


def test_who_speaks_no_http2_is_refused(campus, issuer):
    with pytest.raises(ssl.SSLError):
        greeted(campus, issuer, alpn=("http/1.1",))


@pytest.mark.parametrize("certificate", ["none", "of another CA", "of no terminal"])
def test_without_a_terminals_certificate_nobody_calls(campus, issuer, certificate):
    own = {
        "none": lambda: None,
        "of another CA": lambda: Authority("Other").terminal("TLS-1"),
        "of no terminal": lambda: issuer.authority.uri(NAMED.replace("terminal", "staff") + "1"),
    }[certificate]()
    with grpc.secure_channel(campus.front_address, credentials(issuer.authority, own)) as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            Pos(type("Plain", (), {"terminals": stub}), "TLS-1").sign_in()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_handshake_that_does_not_end_is_closed(campus):
    with Peer(campus.front_address, greet=False) as peer:
        peer.send(b"\x16\x03\x01\x02\x00\x01")
        _, closed = peer.farewell(4)
        assert closed


def test_a_renewed_certificate_is_used_and_old_connections_go_on(campus, issuer):
    campus.terminal("TLS-3", sign_in=False)
    holder = campus.open_account(top_up_fen=10_000)
    own = Secured(campus, issuer, "TLS-3")
    with own.channel:
        pos = Pos(own, "TLS-3")
        assert pos.sign_in().reason == "OK"
        renewed = issuer.serve()
        campus.process.send_signal(signal.SIGHUP)
        ends = time.monotonic() + CALL_S
        while True:
            with greeted(campus, issuer) as made:
                if made.getpeercert(binary_form=True) == renewed:
                    break
            assert time.monotonic() < ends, "the old certificate is still used"
        assert pos.pay(holder, 100).reason == "OK"
