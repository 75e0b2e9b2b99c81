"""Refused before the request has come: the rest may still be sent, so far and so long."""

import struct

import pytest

from tests.campus import CALL_S, Campus
from tests.conformance.frames import (
    AUTHORIZE,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    HEADERS,
    RST,
    WINDOW,
    Peer,
    frame,
    header_block,
    message,
)
from tests.conformance.test_taps import purchase

NO_ERROR = 0
DISCARDED = 1 << 20
WINDOW_BYTES, CHUNK = 65_535, 16_000
BOUNDED = {"handshake_ms": 2_000, "frames_burst": 1_000, "frames_rate": 4}
REFUSED = frame(HEADERS, END_HEADERS, 1, header_block("/campuscard.v1.TerminalService/Nothing"))


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        yield running


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A campus that is soon tired of frames without a call and of requests without end."""
    with Campus(tmp_path_factory.mktemp("strict"), settings={"front": BOUNDED}) as running:
        yield running


def is_refusal(kind, flags, stream):
    return (kind, stream) == (HEADERS, 1) and flags & END_STREAM


def test_the_rest_of_a_refused_request_is_taken_and_the_next_is_answered(campus):
    """No reset: some clients take one for an error even when it says that there was none."""
    with Peer(campus.front_address) as peer:
        peer.send(REFUSED)
        frames = peer.frames(CALL_S)
        assert any(is_refusal(*found[:3]) for found in frames)
        peer.send(frame(DATA, 0, 1, bytes(100)) + frame(DATA, END_STREAM, 1, bytes(100)))
        body = message(purchase(terminal_id="").SerializeToString())
        ask = frame(HEADERS, END_HEADERS, 3, header_block(AUTHORIZE))
        peer.send(ask + frame(DATA, END_STREAM, 3, body))
        for kind, _, stream, _ in frames:
            assert kind not in {RST, "closed"}
            if (kind, stream) == (HEADERS, 3):
                return
    pytest.fail("the next one was not answered")


def test_a_refused_request_without_end_is_reset_at_a_bound(campus):
    """It gets room again for what is thrown away, up to the bound and one window."""
    with Peer(campus.front_address) as peer:
        peer.send(REFUSED)
        room, whole, sent, told = WINDOW_BYTES, WINDOW_BYTES, 0, False
        frames = peer.frames(CALL_S)
        while True:
            while min(room, whole) >= CHUNK:
                peer.send(frame(DATA, 0, 1, bytes(CHUNK)))
                room, whole, sent = room - CHUNK, whole - CHUNK, sent + CHUNK
            kind, flags, stream, payload = next(frames)
            assert kind != "closed"
            told = told or is_refusal(kind, flags, stream)
            if kind == WINDOW:
                more = int.from_bytes(payload)
                room, whole = room + more * (stream == 1), whole + more * (stream == 0)
            if (kind, stream) == (RST, 1):
                break
        assert told
        assert int.from_bytes(payload) == NO_ERROR
        assert DISCARDED < sent <= DISCARDED + 2 * WINDOW_BYTES


def test_a_refused_request_of_tiny_frames_is_a_flood(strict):
    with Peer(strict.front_address) as peer:
        peer.send(REFUSED)
        for _ in range(2 * BOUNDED["frames_burst"] // 100):
            if not peer.send(frame(DATA, 0, 1, b"x") * 100):
                break
        error, closed = peer.farewell()
        assert closed
        assert error in {None, ENHANCE_YOUR_CALM}


def test_a_refused_request_that_stands_still_is_reset_in_time(strict):
    """It keeps a place among the connection's calls no longer than a request may take."""
    with Peer(strict.front_address) as peer:
        peer.send(REFUSED)
        ends = next(found for found in peer.frames(CALL_S) if found[0] in {RST, "closed"})
        assert ends == (RST, 0, 1, struct.pack(">I", NO_ERROR))
