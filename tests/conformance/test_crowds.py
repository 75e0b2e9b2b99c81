"""Many at once who want nothing: idle connections, and handshakes that are never finished."""

import pathlib
import resource
import time

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2_grpc
from tests.campus import CALL_S, Campus
from tests.conformance.authority import Authority
from tests.conformance.frames import SETTINGS, Peer
from tests.terminals import Pos

pytestmark = [pytest.mark.slow, pytest.mark.serial]
IDLE = 10_000
IDLE_BYTES = 150 << 20
HALF_OPEN = 2_000
HALF_OPEN_MS = 1_500
SPARE = 500
# A client's first flight that is cut short: a record of 512 bytes, of which 100 come.
HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(89)


@pytest.fixture(scope="module", autouse=True)
def room():
    """Allow this process and the server as many descriptors as they need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + SPARE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"lacking: {wanted} descriptors, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident_bytes(campus):
    text = pathlib.Path(f"/proc/{campus.process.pid}/status").read_text(encoding="ascii")
    return 1024 * next(int(line.split()[1]) for line in text.splitlines() if "VmRSS" in line)


def test_ten_thousand_idle_connections_are_cheap(tmp_path):
    """Each has greeted and been greeted; a terminal among them is served as if it were alone."""
    front = {"address": "127.0.0.1:0", "handshake_ms": 60_000}
    with Campus(tmp_path / "campus", settings={"front": front}) as campus:
        with grpc.insecure_channel(campus.front_address) as channel:
            campus.terminal("HONEST", sign_in=False)
            stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
            pos = Pos(type("Plain", (), {"terminals": stub}), "HONEST")
            assert pos.sign_in().reason == "OK"
            holder = campus.open_account(top_up_fen=1_000)
            before = resident_bytes(campus)
            peers = []
            try:
                for number in range(IDLE):
                    peers.append(Peer(campus.front_address))
                    if number % 100 == 0:
                        assert SETTINGS in {kind for kind, *_ in greeting(peers[-1])}
                assert SETTINGS in {kind for kind, *_ in greeting(peers[-1])}
                grown = resident_bytes(campus) - before
                assert pos.pay(holder, 1).reason == "OK"
            finally:
                for peer in peers:
                    peer.close()
        assert grown < IDLE_BYTES, f"{grown / IDLE:.0f} bytes a connection"


def greeting(peer):
    """Read until its settings are acknowledged."""
    for found in peer.frames(CALL_S):
        yield found
        if found[0] == SETTINGS and found[1]:
            return


def test_handshakes_that_are_never_finished_are_closed(tmp_path):
    authority = Authority()
    leaf = authority.server()
    (tmp_path / "chain.pem").write_bytes(leaf.chain)
    (tmp_path / "key.pem").write_bytes(leaf.key)
    front = {
        "address": "127.0.0.1:0",
        "certificate": str(tmp_path / "chain.pem"),
        "key": str(tmp_path / "key.pem"),
        "handshake_ms": HALF_OPEN_MS,
    }
    with Campus(tmp_path / "campus", settings={"front": front}) as campus:
        campus.terminal("HONEST", sign_in=False)
        holder = campus.open_account(top_up_fen=1_000)
        before = resident_bytes(campus)
        peers = [Peer(campus.front_address, greet=False) for _ in range(HALF_OPEN)]
        try:
            for number, peer in enumerate(peers):
                if number % 2:
                    peer.send(HALF_HELLO)
            grown = resident_bytes(campus) - before
            credentials = grpc.ssl_channel_credentials(authority.pem)
            with grpc.secure_channel(campus.front_address, credentials) as channel:
                stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
                pos = Pos(type("Plain", (), {"terminals": stub}), "HONEST")
                assert pos.sign_in().reason == "OK"
                assert pos.pay(holder, 1).reason == "OK"
            time.sleep(HALF_OPEN_MS / 1_000)
            assert all(peer.farewell(CALL_S)[1] for peer in peers)
        finally:
            for peer in peers:
                peer.close()
    assert grown / HALF_OPEN < 64 << 10, f"{grown / HALF_OPEN:.0f} bytes a handshake"
