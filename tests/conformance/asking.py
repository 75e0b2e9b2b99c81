"""Calls made by hand on one connection, so that what a call says stands byte by byte in the test."""

import base64
import itertools
from dataclasses import dataclass
from typing import Any

from google.rpc import error_details_pb2, status_pb2
from hpack import Decoder

from tests.campus import CALL_S
from tests.conformance.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    Peer,
    frame,
    header_block,
    message,
)

SERVICE = "/campuscard.v1.TerminalService/"


@dataclass
class Answer:
    """How one call ended: gRPC's status as a number, reason of the catalogue, message's bytes."""

    status: int
    reason: str
    body: bytes


class Caller:
    """One connection; `secure` makes a TLS socket of a plain one."""

    def __init__(self, address, secure=None):
        self.peer = Peer(address, greet=False)
        if secure is not None:
            self.peer.socket = secure(self.peer.socket)
        self._decoder = Decoder()
        self._streams = itertools.count(1, 2)
        self.peer.send(PREFACE + frame(SETTINGS) + frame(SETTINGS, ACK))

    def ask(self, method, request):
        """Send a request's bytes as one message."""
        return self.ask_framed(method, message(request))

    def ask_framed(self, method, framed):
        """Send bytes that need not be a message; ConnectionError: it was closed without an answer."""
        stream = next(self._streams)
        self.peer.send(
            frame(HEADERS, END_HEADERS, stream, header_block(SERVICE + method))
            + frame(DATA, END_STREAM, stream, framed)
        )
        told: dict[bytes, Any] = {}
        body = b""
        for kind, flags, on, payload in self.peer.frames(CALL_S):
            if kind == "closed":
                raise ConnectionResetError
            if kind == PING and not flags & ACK:
                self.peer.send(frame(PING, ACK, 0, payload))
            elif kind == HEADERS:
                headers = dict(self._decoder.decode(payload, raw=True))
                told.update(headers if on == stream else {})
            elif (kind, on) == (DATA, stream):
                body += payload
            if kind in {HEADERS, DATA} and on == stream and flags & END_STREAM:
                return Answer(int(told[b"grpc-status"]), reason_in(told), body)
        raise AssertionError("no answer in time")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.close()


def reason_in(told):
    """Return the ErrorInfo's reason in trailers, "" where there is none."""
    packed = told.get(b"grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(base64.b64decode(packed + b"=" * (-len(packed) % 4)))
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return ""
