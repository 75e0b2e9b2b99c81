"""What is no message: both doors refuse it alike, go on with the connection and record nothing."""

import random

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from campuscard.v1 import ops_service_pb2
from campuscard.v1 import terminal_service_pb2 as pb
from tests.campus import CALL_S
from tests.conformance.asking import Caller
from tests.terminals import medium_of

METHODS = {
    method.name: method.input_type
    for method in pb.DESCRIPTOR.services_by_name["TerminalService"].methods
}
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.value[0]
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
NO_TEXT = (b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\xe4\xbd")
# Lengths far beyond the message: of 31, 32, 63 and 64 bits, and one that never ends.
LENGTHS = (
    b"\xff\xff\xff\xff\x07",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff" * 11,
)


@pytest.fixture(scope="module")
def pos(campus):
    return campus.terminal("GARBAGE")


@pytest.fixture(scope="module")
def holder(campus):
    return campus.open_account(top_up_fen=1_000_000)


@pytest.fixture
def callers(doors):
    """One connection to each door."""
    with Caller(doors["grpcio"].address) as reference, Caller(doors["native"].address) as native:
        yield {"grpcio": reference, "native": native}


def whole(descriptor, pos, holder):
    """Encode a request that would be taken: what is refused is refused for its damage."""
    fields = {
        **pos.key(),
        "medium": medium_of(holder),
        "amount_fen": 1,
        "software": "1.0",
        "key": pb.TransactionKey(**pos.key(1)),
        "items": [
            pb.AuthorizeItem(
                terminal_seq=next(pos.seqs),
                medium_type=medium_of(holder).type,
                medium_token=medium_of(holder).token,
                amount_fen=1,
            )
        ],
        "authorization": pos.purchase(holder, 1),
    }
    names = {name for name in fields if name in descriptor.fields_by_name}
    made = GetMessageClass(descriptor)(**{name: fields[name] for name in names})
    return made.SerializeToString()


def paths(descriptor, kinds):
    """Yield the field numbers that lead to each field of such a kind, at any depth."""
    for field in descriptor.fields:
        if field.type in kinds:
            yield (field.number,)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for rest in paths(field.message_type, kinds):
                yield (field.number, *rest)


def field_at(path, raw):
    """Encode a field with a length, and the messages around it."""
    for number in reversed(path):
        assert number < 16
        assert len(raw) < 128
        raw = bytes((number << 3 | 2, len(raw))) + raw
    return raw


def endless(path, length):
    """Encode a field that says it is so long, in messages whose lengths are right."""
    return field_at(path[:-1], bytes((path[-1] << 3 | 2,)) + length + b"abc")


def head(campus):
    told = campus.ops.GetHead(ops_service_pb2.GetHeadRequest(), timeout=CALL_S)
    return told.acknowledged_seq, told.decided_seq


def refused_alike(campus, callers, method, damaged):
    """Ask both; neither records anything, and each answers as the other does."""
    before = head(campus)
    for raw in damaged:
        said = {name: caller.ask(method, raw) for name, caller in callers.items()}
        assert said["native"] == said["grpcio"], raw.hex()
        assert is_malformed(method, said["native"]), (raw.hex(), said["native"])
    assert head(campus) == before


def is_malformed(method, answer):
    if method == "AuthorizeStream" and answer.status == 0:
        told = pb.AuthorizeStreamResponse.FromString(answer.body[5:])
        return told.error.reason == "REQUEST_MALFORMED" and not told.HasField("decision")
    return (answer.status, answer.reason) == (INVALID_ARGUMENT, "REQUEST_MALFORMED")


@pytest.fixture(autouse=True)
def still_usable(callers, pos, holder):
    """After every test the connections that were abused carry a purchase."""
    yield
    for caller in callers.values():
        answer = caller.ask("Authorize", pos.purchase(holder, 1).SerializeToString())
        decision = pb.AuthorizeResponse.FromString(answer.body[5:]).decision
        assert (answer.status, decision.reason) == (0, "OK")


@pytest.mark.parametrize("method", METHODS)
def test_garbage(campus, callers, method, seed):
    rng = random.Random(seed)
    # Tag 7 is none of protobuf's: whatever follows it, this is no message.
    refused_alike(
        campus,
        callers,
        method,
        [b"\x07" + rng.randbytes(rng.randrange(300)) for _ in range(20)] + [b"\xff" * 100],
    )


@pytest.mark.parametrize("method", METHODS)
def test_what_ends_within_a_field(campus, callers, pos, holder, method):
    raw = whole(METHODS[method], pos, holder)
    cut = [raw[:-1], raw + b"\x0a", raw + b"\x0a\x05ab", raw + b"\x10", raw + b"\x10\xff\xff"]
    refused_alike(campus, callers, method, cut)


@pytest.mark.parametrize("method", METHODS)
def test_lengths_beyond_the_message(campus, callers, pos, holder, method):
    raw = whole(METHODS[method], pos, holder)
    kinds = {
        FieldDescriptor.TYPE_STRING,
        FieldDescriptor.TYPE_BYTES,
        FieldDescriptor.TYPE_MESSAGE,
    }
    found = list(paths(METHODS[method], kinds))
    assert found
    damaged = [raw + endless(path, length) for path in found for length in LENGTHS]
    refused_alike(campus, callers, method, damaged)


@pytest.mark.parametrize("method", METHODS)
def test_text_that_is_not_utf8(campus, callers, pos, holder, method):
    """In every text of every request, behind a request that is whole."""
    found = list(paths(METHODS[method], {FieldDescriptor.TYPE_STRING}))
    assert found
    raw = whole(METHODS[method], pos, holder)
    damaged = [raw + field_at(path, text) for path in found for text in NO_TEXT]
    refused_alike(campus, callers, method, damaged)


@pytest.mark.parametrize("method", METHODS)
def test_a_frame_that_says_it_is_huge(campus, callers, pos, holder, method):
    raw = whole(METHODS[method], pos, holder)
    before = head(campus)
    for length in (1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1):
        framed = b"\0" + length.to_bytes(4) + raw
        said = {name: caller.ask_framed(method, framed) for name, caller in callers.items()}
        assert said["native"].status == said["grpcio"].status == RESOURCE_EXHAUSTED, said
    assert head(campus) == before


@pytest.mark.parametrize("method", METHODS)
def test_a_frame_that_ends_too_soon(campus, callers, pos, holder, method):
    """Asked of the native door only: grpcio leaves such a call without an answer."""
    raw = whole(METHODS[method], pos, holder)
    before = head(campus)
    for framed in (b"\0", b"\0\0\0\0", b"\0" + (len(raw) + 1).to_bytes(4) + raw):
        told = callers["native"].ask_framed(method, framed)
        assert (told.status, told.reason) == (INVALID_ARGUMENT, "REQUEST_MALFORMED"), framed.hex()
    assert head(campus) == before
