"""Floods that go on: while one is under way others are served, and memory stays in its bounds."""

import itertools
import pathlib
import struct
import threading
import time

import grpc
import pytest

from tests.campus import SLOW, Campus
from tests.conformance.conftest import Door
from tests.conformance.frames import (
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    RST,
    SETTINGS,
    WINDOW,
    Peer,
    frame,
    header_block,
)
from tests.conformance.test_tls import Issuer, Secured
from tests.terminals import Pos

ROUNDS = 40  # connections of an attack that the server ends, at least
SENT = 32 << 20  # bytes of an attack, at least
PAYMENTS = 20  # while it goes on, at least
# Bytes by which the process may grow, whatever was sent. A sanitizer keeps what is freed for a while.
GROWN_MAX = 16 << 20 if SLOW == 1 else 512 << 20
BOUNDED_S = 300 * SLOW
CANCEL = struct.pack(">I", 8)

pytestmark = pytest.mark.timeout(2 * BOUNDED_S)


def resets():
    """Open streams and reset each at once."""
    for stream in itertools.count(1, 500):
        yield b"".join(
            frame(HEADERS, END_HEADERS, on, header_block()) + frame(RST, 0, on, CANCEL)
            for on in range(stream, stream + 500, 2)
        )


def continuations():
    """Send headers that never end."""
    yield frame(HEADERS, 0, 1, header_block())
    yield from itertools.repeat(
        frame(CONTINUATION, 0, 1, b"\x00\x01a" + b"\x7f\x81\x7d" + b"v" * 16_256)
    )


def endless(one):
    return lambda: itertools.repeat(one * 1_000)


FLOODS = {
    "rapid reset": resets,
    "continuation": continuations,
    "ping": endless(frame(PING, payload=b"12345678")),
    "settings": endless(frame(SETTINGS, payload=struct.pack(">HI", 3, 100))),
    "window update": endless(frame(WINDOW, payload=struct.pack(">I", 1))),
}


class Flood:
    """A thread that sends without pause; sent away, it connects again."""

    def __init__(self, address, chunks, secure=None):
        self.address, self.chunks, self.secure = address, chunks, secure
        self.rounds, self.sent, self.error = 0, 0, None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.attack)

    def attack(self):
        try:
            while not self.stopped.is_set():
                self.attack_once()
        except Exception as error:  # noqa: BLE001 - the test's own thread reports it
            self.error = error

    def attack_once(self):
        with Peer(self.address, greet=False) as peer:
            if self.secure is not None:
                peer.socket = self.secure(peer.socket)
            peer.send(PREFACE + frame(SETTINGS))
            for chunk in self.chunks():
                if self.stopped.is_set():
                    return
                if not peer.send(chunk):
                    self.rounds += 1
                    return
                self.sent += len(chunk)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


def own_bytes(campus):
    """Memory of the server's process that is no file's."""
    text = pathlib.Path(f"/proc/{campus.process.pid}/status").read_text(encoding="ascii")
    return 1024 * next(int(line.split()[1]) for line in text.splitlines() if "RssAnon" in line)


def served_through(campus, flood, pos, holder):
    """Pay until the flood has sent enough and was sent away often enough, and goes on still.

    Returns by how many bytes the process grew at most.
    """
    assert pos.pay(holder, 1).reason == "OK"
    process, before, most = campus.process.pid, own_bytes(campus), 0
    ends = time.monotonic() + BOUNDED_S
    paid = last = 0
    with flood:
        while last in {0, flood.rounds}:
            assert flood.error is None
            assert pos.pay(holder, 1).reason == "OK"
            paid += 1
            most = max(most, own_bytes(campus))
            assert time.monotonic() < ends, "the server does not end what floods it"
            if flood.rounds >= ROUNDS and flood.sent >= SENT and paid >= PAYMENTS:
                last = last or flood.rounds
    assert flood.error is None
    assert (campus.process.pid, campus.process.poll()) == (process, None)
    return most - before


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        yield running


@pytest.mark.parametrize("kind", FLOODS)
def test_others_are_served_during_a_flood(campus, kind):
    holder = campus.open_account(top_up_fen=10_000_000)
    flood = Flood(campus.front_address, FLOODS[kind])
    with grpc.insecure_channel(campus.front_address) as channel:
        pos = Door(campus, "native", channel).pos(f"HONEST-{list(FLOODS).index(kind)}")
        grown = served_through(campus, flood, pos, holder)
    assert grown < GROWN_MAX


@pytest.mark.parametrize("kind", ["rapid reset", "ping"])
def test_others_are_served_during_a_flood_through_tls(tmp_path, kind):
    """The attacker has a certificate: it is a terminal that somebody took over."""
    issuer = Issuer(tmp_path)
    context = issuer.context("TAKEN")

    def secure(plain):
        return context.wrap_socket(plain, server_hostname="localhost")

    with Campus(tmp_path / "campus", settings={"front": issuer.front()}) as campus:
        campus.terminal("HONEST", sign_in=False)
        holder = campus.open_account(top_up_fen=10_000_000)
        honest = Secured(campus, issuer, "HONEST")
        with honest.channel:
            pos = Pos(honest, "HONEST")
            assert pos.sign_in().reason == "OK"
            flood = Flood(campus.front_address, FLOODS[kind], secure)
            grown = served_through(campus, flood, pos, holder)
    assert grown < GROWN_MAX
