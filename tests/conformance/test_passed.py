"""What is not hot, and whoever has a token: the same answers through both doors."""

import time

import grpc
import pytest
from hpack import Decoder

from campuscard.v1 import access_service_pb2, access_service_pb2_grpc
from campuscard.v1 import terminal_service_pb2 as pb
from server.app import front_methods
from tests.campus import CALL_S, refusal
from tests.conformance.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    Peer,
    frame,
    header_block,
    message,
)
from tests.conformance.test_taps import SERVICE, purchase, told
from tests.terminals import medium_of

DEADLINE_EXCEEDED = b"4"


def bearer(token):
    return [("authorization", f"Bearer {token}")]


def test_every_method_of_terminals_is_answered_at_their_door(doors):
    """None is UNIMPLEMENTED: a terminal needs one connection."""
    methods = [method for method in front_methods() if method != SERVICE + "AuthorizeStream"]
    assert SERVICE + "ChangePin" in methods
    assert "/campuscard.v1.AccessService/CheckAccess" in methods
    for method in methods:
        said = {
            name: told(door.channel.unary_unary(method), b"\xff", timeout=CALL_S)
            for name, door in doors.items()
        }
        assert said["native"] == said["grpcio"], method
        assert said["native"][0] == "INVALID_ARGUMENT", method


def test_what_terminals_may_not_call_is_not_at_their_door(doors):
    method = "/campuscard.v1.StaffService/SignIn"
    said = told(doors["native"].channel.unary_unary(method), b"", timeout=CALL_S)
    assert said[0] == "UNIMPLEMENTED"


def test_a_gate_asks_alike(campus, doors):
    said = {}
    for name, door in doors.items():
        stub = access_service_pb2_grpc.AccessServiceStub(door.channel)
        request = access_service_pb2.CheckAccessRequest(
            terminal_id="NO-GATE",
            request_id=campus.request_id(),
            carrier=access_service_pb2.Carrier(
                medium=pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=b"\x04abcdef")
            ),
            direction=access_service_pb2.PASS_DIRECTION_IN,
        )
        said[name] = told(stub.CheckAccess, request, timeout=CALL_S)
    assert said["native"] == said["grpcio"]


def test_a_password_is_changed_at_a_terminal_alike(campus, doors):
    """Refused alike by the act itself: this terminal has no keypad."""
    holder = campus.open_account(top_up_fen=100)
    pos = doors["native"].pos("PIN-1", keypad=False)
    said = {}
    for name, door in doors.items():
        request = pb.ChangePinRequest(
            request_id=campus.request_id(),
            terminal_id=pos.terminal_id,
            medium=medium_of(holder),
            old_pin="000001",
            new_pin="904617",
            confirm_pin="904617",
        )
        said[name] = told(door.terminals.ChangePin, request, timeout=CALL_S)
    assert said["native"] == said["grpcio"]
    assert said["native"][2] == "CHANNEL_NOT_ALLOWED"


def outcome(call, *args, **kwargs):
    """Return what is answered, or the status of who is not let in."""
    try:
        return call(*args, **kwargs)
    except grpc.RpcError as error:
        return error.code().name, error.details(), refusal(error)[:2]


def streamed(door, metadata):
    """Send three taps of a terminal that is not signed in, and an end."""

    def three():
        for seq in (1, 2, 3):
            yield pb.AuthorizeStreamRequest(authorization=purchase(terminal_seq=seq))

    call = door.terminals.AuthorizeStream(three(), timeout=CALL_S, metadata=metadata)
    return outcome(lambda: [answer.decision.reason for answer in call])


def test_a_stream_with_a_token_is_let_in_or_not_alike(campus, doors):
    """No role of staff may tap. A token that nobody has makes a terminal of a caller, as none does."""
    for token, expected in ((campus.staff.token, "FORBIDDEN"), ("no-token", None)):
        said = {name: streamed(door, bearer(token)) for name, door in doors.items()}
        assert said["native"] == said["grpcio"]
        if expected is None:
            assert len(said["native"]) == 3
        else:
            assert said["native"][2][0] == expected


@pytest.mark.parametrize("method", ["Authorize", "Heartbeat", "AuthorizeBatch"])
def test_a_call_with_a_token_is_let_in_or_not_alike(campus, doors, method):
    request = purchase(terminal_id="").SerializeToString()
    for token in (campus.staff.token, "no-token"):
        said = {
            name: told(
                door.channel.unary_unary(SERVICE + method),
                request,
                timeout=CALL_S,
                metadata=bearer(token),
            )
            for name, door in doors.items()
        }
        assert said["native"] == said["grpcio"]


def test_who_may_read_a_transaction_by_role_reads_it_alike(campus, doors):
    pos = doors["native"].pos("READ-1")
    sold = pos.pay(campus.open_account(top_up_fen=1_000), 100)
    request = pb.GetTransactionRequest(seq=sold.seq)
    answers = [
        door.terminals.GetTransaction(
            request, timeout=CALL_S, metadata=bearer(campus.staff.token)
        ).decision.seq
        for door in doors.values()
    ]
    assert answers == [sold.seq, sold.seq]


def test_a_passed_call_ends_at_its_deadline(campus):
    """It has passed when Python gets it, and the peer is still there to be told."""
    with Peer(campus.front_address) as peer:
        headers = header_block(SERVICE + "Heartbeat", extra=[("grpc-timeout", "5m")])
        peer.send(frame(HEADERS, END_HEADERS, 1, headers))
        time.sleep(0.05)
        body = pb.HeartbeatRequest(terminal_id="LATE").SerializeToString()
        peer.send(frame(DATA, END_STREAM, 1, message(body)))
        decoder = Decoder()
        for kind, _, stream, payload in peer.frames(CALL_S):
            if kind == HEADERS and stream == 1:
                found = dict(decoder.decode(payload, raw=True))
                assert found[b"grpc-status"] == DEADLINE_EXCEEDED
                return
    pytest.fail("it was never told")


def test_what_the_front_end_counts_adds_up(campus, doors):
    """By method, code and reason; bytes, calls handed to Python, and where the time went."""
    door = doors["native"]
    pos = door.pos("COUNT-1")
    holder = campus.open_account(top_up_fen=1_000)
    before = campus.metrics()
    for _ in range(3):
        pos.pay(holder, 10)
    for _ in range(2):
        told(door.terminals.Authorize, purchase(terminal_id=""), timeout=CALL_S)
    with pytest.raises(grpc.RpcError):
        door.channel.unary_unary(SERVICE + "Nothing")(b"", timeout=CALL_S)
    door.terminals.Heartbeat(pb.HeartbeatRequest(terminal_id="COUNT-1"), timeout=CALL_S)
    after = campus.metrics()
    grown = {
        name.removeprefix("campuscard_front_"): value - before.get(name, 0)
        for name, value in after.items()
        if name.startswith("campuscard_front_")
    }

    def ended(method, code, service="campuscard.v1.TerminalService"):
        labels = f'grpc_code="{code}",grpc_method="{method}",grpc_service="{service}"'
        return grown[f"ended_total{{{labels}}}"]

    assert ended("Authorize", "OK") == 3
    assert ended("Authorize", "InvalidArgument") == 2
    assert ended("unknown", "Unimplemented", "unknown") == 1
    assert ended("Heartbeat", "OK") == 1
    assert grown['refused_total{reason="FIELD_INVALID"}'] == 2
    assert grown["commands_total"] == 3
    assert grown["passed_total"] == 1
    assert grown["reads_total"] >= 7
    assert grown["writes_total"] >= 7
    assert 7 * 50 < grown["received_bytes_total"] < 7 * 2_000
    assert 7 * 30 < grown["sent_bytes_total"] < 7 * 2_000
    for part in ("read", "engine", "answer", "send"):
        assert 0 < grown[f"{part}_seconds_total"] < 7 * CALL_S
    assert after["campuscard_front_calls"] == 0
    assert after["campuscard_front_connections"] >= 1
