"""Malformed, oversized and senseless requests to every method: a typed answer, nothing changed."""

import random

import grpc
import pytest

from campuscard.v1 import (
    account_service_pb2,
    holder_service_pb2,
    merchant_service_pb2,
    ops_service_pb2,
    terminal_service_pb2,
)
from core.catalogue import BY_NAME
from tests.campus import CALL_S, Campus, refusal
from tests.self_service import SelfService
from tests.staff import Bearer

FILES = (
    account_service_pb2,
    holder_service_pb2,
    merchant_service_pb2,
    ops_service_pb2,
    terminal_service_pb2,
)
NOT_ASKED = {
    "campuscard.v1.HolderService.SignOut": "ends the session of the others",
    "campuscard.v1.HolderService.IssueQr": "has no fields",
}
METHODS = [
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.full_name not in NOT_ASKED
]
MALFORMED = [
    b"\xff",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\x05ab",
    b"\x08",
    b"\x0b" * 200,
    b"\x0a\x02\xff\xfe",
]
UNKNOWN_FIELDS = {b"\x0a\x02\xff\xfe"}
TAKES_ANYTHING = {
    "Checkpoint",
    "Follow",
    "GetHead",
    "GetMealPeriods",
    "GetMyAccount",
    "GetRules",
    "GetStatus",
    "ListAccounts",
    "ListMerchants",
    "ListMyActs",
    "ListMyTransactions",
    "ListTerminals",
    "Verify",
}


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    """A campus with somebody who is signed in to self-service."""
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        phone = SelfService(running, running.open_account().account_no)
        phone.enter("888888")
        running.phone = phone
        yield running


def channel_of(campus, method):
    """Return the channel of who may call a method."""
    own = method.containing_service.name == "HolderService"
    return (
        grpc.intercept_channel(campus.raw_channel, Bearer(campus.phone)) if own else campus.channel
    )


def send(campus, method, raw):
    """Send bytes to a method; return its answers as bytes."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        return list(channel_of(campus, method).stream_stream(path)(iter([raw]), timeout=CALL_S))
    if method.server_streaming:
        call = channel_of(campus, method).unary_stream(path)(raw, timeout=CALL_S)
        return [next(iter(call))]
    return [channel_of(campus, method).unary_unary(path)(raw, timeout=CALL_S)]


def typed_error(error):
    reason, _, details = refusal(error)
    assert reason in BY_NAME, (error.code(), error.details())
    assert "LocalizedMessage" in details
    assert "Traceback" not in error.details()
    assert reason != "INTERNAL", error.details()
    return reason


@pytest.fixture(scope="module")
def head(campus):
    def read():
        request = ops_service_pb2.GetHeadRequest()
        return campus.ops.GetHead(request, timeout=CALL_S).decided_seq

    return read


def refusal_of(campus, method, raw):
    """Return the reason a message is refused with, from the status or from a stream's item."""
    try:
        answers = send(campus, method, raw)
    except grpc.RpcError as error:
        return typed_error(error)
    if method.name != "AuthorizeStream":
        return "ACCEPTED"
    response = terminal_service_pb2.AuthorizeStreamResponse.FromString(answers[0])
    return response.error.reason


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("raw", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_bytes(campus, head, method, raw):
    before = head()
    expected = {"REQUEST_MALFORMED", "FIELD_INVALID"}
    if method.name in TAKES_ANYTHING and raw in UNKNOWN_FIELDS:
        expected = {"ACCEPTED"}  # unknown fields are skipped, as protobuf has it
    assert refusal_of(campus, method, raw) in expected
    assert head() == before


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_an_empty_message_is_no_request(campus, head, method):
    before = head()
    if method.name in TAKES_ANYTHING:
        assert send(campus, method, b"")
    else:
        assert refusal_of(campus, method, b"") == "FIELD_INVALID"
    assert head() == before


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_oversized_messages(campus, head, method):
    before = head()
    with pytest.raises(grpc.RpcError) as caught:
        send(campus, method, b"\x7a" + b"\xff\xff\x07" + bytes(131_071))
    if method.name == "AuthorizeBatch":
        assert typed_error(caught.value) == "FIELD_INVALID", "within its own bound"
    else:
        assert typed_error(caught.value) == "MESSAGE_TOO_LARGE"
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as caught:
        send(campus, method, bytes(9 << 20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert head() == before


def test_random_bytes_never_hurt(campus, head, seed):
    chance = random.Random(seed)
    for _ in range(400):
        method = chance.choice([m for m in METHODS if m.name not in TAKES_ANYTHING])
        raw = chance.randbytes(chance.choice((1, 3, 10, 60, 300)))
        try:
            send(campus, method, raw)
        except grpc.RpcError as error:
            typed_error(error)
    assert head() > 0


def test_unknown_methods_and_services(campus):
    for path in ("/campuscard.v1.TerminalService/Nothing", "/no.Such/Thing"):
        with pytest.raises(grpc.RpcError) as caught:
            campus.channel.unary_unary(path)(b"", timeout=CALL_S)
        assert typed_error(caught.value) == "UNIMPLEMENTED"


def test_large_metadata_is_refused(campus):
    call = campus.channel.unary_unary("/campuscard.v1.OpsService/GetHead")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=CALL_S, metadata=(("x-large", "x" * 40_000),))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call(b"", timeout=CALL_S)
