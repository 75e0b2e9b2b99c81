"""The hot methods: what one front end answers, the other answers too."""

import random

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from tests.campus import CALL_S, refusal
from tests.terminals import medium_of

MALFORMED = (
    b"\xff",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\x05ab",
    b"\x08",
    b"\x0b" * 200,
    b"\x0a\x02\xff\xfe",
)
UNARY = (
    "Authorize",
    "Hold",
    "Capture",
    "Release",
    "Reverse",
    "Refund",
    "GetBalance",
    "GetTransaction",
    "SignIn",
    "SignOff",
    "Heartbeat",
    "AuthorizeBatch",
)
SERVICE = "/campuscard.v1.TerminalService/"


def told(call, *args, **kwargs):
    """Return the status of a call that is refused: code, text, reason, metadata, details."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kwargs)
    reason, metadata, details = refusal(caught.value)
    return (
        caught.value.code().name,
        caught.value.details(),
        reason,
        metadata,
        {name: str(detail) for name, detail in details.items()},
    )


def without_place(message):
    """Return it without what no two commands share: position, code for the slip."""
    return blanked(type(message).FromString(message.SerializeToString()))


def blanked(message):
    for name in ("seq", "auth_code", "as_of_seq"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None and not field.is_repeated:
            blanked(value)
    return message


def life(door, pos):
    """Walk through every hot method once; yield what is answered, and its kind."""
    holder = door.campus.open_account(top_up_fen=50_000)
    sold = pos.pay(holder, 1_250)
    yield "sale", sold
    yield "replay", pos.pay(holder, 1_250, seq=1)
    yield "other body", pos.pay(holder, 1_350, seq=1)
    yield "refund", pos.refund(sold.seq, 250)
    yield "short", pos.pay(holder, 5_000_000)
    again = pos.pay(holder, 700)
    yield "reversal", pos.reverse(5, 700)
    yield "reversed twice", pos.reverse(5, 700)
    yield "of nothing", pos.refund(again.seq + 100_000, 1)
    held = pos.hold(holder, 3_000)
    yield "capture", pos.capture(held.seq, 1_000)
    held = pos.hold(holder, 2_000)
    yield "release", pos.release(held.seq)
    yield "transaction", pos.transaction(1)
    yield "balance", pos.balance(holder)
    yield (
        "beat",
        pos.campus.terminals.Heartbeat(
            pb.HeartbeatRequest(terminal_id=pos.terminal_id), timeout=CALL_S
        ),
    )
    yield "sign-off", pos.sign_off()
    yield "signed off", pos.pay(holder, 100)


def test_a_terminals_day_is_answered_alike(campus, doors):
    days = {}
    for name, door in doors.items():
        pos = door.pos(f"DAY-{name}")
        days[name] = [(kind, without_place(message)) for kind, message in life(door, pos)]
    kinds = [kind for kind, _ in days["grpcio"]]
    for kind, ours, theirs in zip(
        kinds,
        (message for _, message in days["native"]),
        (message for _, message in days["grpcio"]),
        strict=True,
    ):
        for message in (ours, theirs):
            for own in ("key", "head_seq", "batch_no", "original_seq"):
                if own in message.DESCRIPTOR.fields_by_name:
                    message.ClearField(own)
        assert ours == theirs, kind


def test_the_same_key_through_the_other_door_is_a_replay(campus, doors):
    holder = campus.open_account(top_up_fen=10_000)
    native = doors["native"].pos("BOTH-1")
    first = native.pay(holder, 900, seq=7)
    native.campus = doors["grpcio"]
    again = native.pay(holder, 900, seq=7)
    assert again.replayed
    assert (again.seq, again.auth_code, again.reason) == (first.seq, first.auth_code, "OK")
    assert holder.online_fen == 9_100


@pytest.mark.parametrize("method", UNARY)
@pytest.mark.parametrize("raw", MALFORMED, ids=lambda raw: raw[:6].hex())
def test_what_is_no_message_is_refused_alike(doors, method, raw):
    said = {
        name: told(door.channel.unary_unary(SERVICE + method), raw, timeout=CALL_S)
        for name, door in doors.items()
    }
    assert said["native"] == said["grpcio"]
    assert said["native"][0] == "INVALID_ARGUMENT"


def test_damaged_messages_are_told_alike(doors, seed):
    """Bytes of real requests with some changed: decoded the same, or refused the same."""
    rng = random.Random(seed)
    whole = purchase(pin="123456", partial_ok=True).SerializeToString()
    for _ in range(200):
        raw = bytearray(whole[: rng.randrange(1, len(whole) + 1)])
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        said = {name: answer_to(door, bytes(raw)) for name, door in doors.items()}
        assert said["native"] == said["grpcio"], bytes(raw).hex()


def answer_to(door, raw):
    """Return the decision without its place, or the status."""
    try:
        answer = door.channel.unary_unary(SERVICE + "Authorize")(raw, timeout=CALL_S)
    except grpc.RpcError as error:
        return error.code().name, error.details(), refusal(error)[:2]
    decision = without_place(pb.AuthorizeResponse.FromString(answer).decision)
    decision.ClearField("replayed")
    return decision


def purchase(**changes):
    fields = {
        "terminal_id": "DAY-x",
        "batch_no": 1,
        "terminal_seq": 1,
        "medium": pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=b"\x04abcdef"),
        "amount_fen": 100,
    }
    return pb.AuthorizeRequest(**{**fields, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"terminal_id": ""},
        {"terminal_id": "终端"},
        {"batch_no": 0},
        {"terminal_seq": 0},
        {"terminal_seq": 65_536},
        {"medium": pb.Medium(type=9, token=b"\x04abc")},
        {"medium": pb.Medium(type=1, token=b"ab")},
        {"pin": "12345"},
        {"pin": "abcdef"},
    ],
    ids=str,
)
def test_a_field_out_of_range_is_named_alike(doors, changes):
    said = {
        name: told(door.terminals.Authorize, purchase(**changes), timeout=CALL_S)
        for name, door in doors.items()
    }
    assert said["native"] == said["grpcio"]
    assert "BadRequest" in said["native"][4]


def test_what_was_never_decided_is_not_found_alike(doors):
    request = pb.GetTransactionRequest(seq=1 << 40)
    said = {
        name: told(door.terminals.GetTransaction, request, timeout=CALL_S)
        for name, door in doors.items()
    }
    assert said["native"] == said["grpcio"]
    assert said["native"][0] == "NOT_FOUND"


def test_a_method_that_is_not_there_is_refused_alike(doors):
    said = {
        name: told(door.channel.unary_unary(SERVICE + "Nothing"), b"", timeout=CALL_S)
        for name, door in doors.items()
    }
    assert said["native"] == said["grpcio"]
    assert said["native"][0] == "UNIMPLEMENTED"


def test_a_request_above_the_bound_is_refused_alike(doors):
    said = {
        name: told(door.channel.unary_unary(SERVICE + "Authorize"), b"\0" * 70_000, timeout=CALL_S)
        for name, door in doors.items()
    }
    assert said["native"] == said["grpcio"]
    assert said["native"][2] == "MESSAGE_TOO_LARGE"


def test_a_batch_is_answered_item_by_item_alike(campus, doors):
    answers = {}
    for name, door in doors.items():
        pos = door.pos(f"BATCH-{name}")
        holder = campus.open_account(top_up_fen=100_000)
        medium = medium_of(holder)
        items = [
            pb.AuthorizeItem(
                terminal_seq=seq,
                medium_type=medium.type,
                medium_token=medium.token if seq % 5 else b"x",
                amount_fen=seq,
            )
            for seq in range(1, 101)
        ]
        request = pb.AuthorizeBatchRequest(
            terminal_id=pos.terminal_id, batch_no=pos.batch_no, items=items
        )
        results = door.terminals.AuthorizeBatch(request, timeout=CALL_S).results
        answers[name] = [without_place(result) for result in results]
    assert answers["native"] == answers["grpcio"]
    assert len(answers["native"]) == 100
    assert sum(result.outcome == pb.OUTCOME_APPROVED for result in answers["native"]) == 80


def test_an_empty_batch_and_one_too_many_are_refused_alike(doors):
    item = pb.AuthorizeItem(terminal_seq=1, medium_type=1, medium_token=b"abcd", amount_fen=1)
    for count in (0, 8_193):
        request = pb.AuthorizeBatchRequest(terminal_id="A", batch_no=1, items=[item] * count)
        said = {
            name: told(door.terminals.AuthorizeBatch, request, timeout=CALL_S)
            for name, door in doors.items()
        }
        assert said["native"] == said["grpcio"]


def messages(pos, holder, count):
    for number in range(1, count + 1):
        request = pos.purchase(holder, 1, seq=number if number % 7 else 70_000 + number)
        yield pb.AuthorizeStreamRequest(authorization=request)


def test_a_stream_answers_in_order_alike(campus, doors):
    answers = {}
    for name, door in doors.items():
        pos = door.pos(f"STREAM-{name}")
        holder = campus.open_account(top_up_fen=100_000)
        stream = door.terminals.AuthorizeStream(messages(pos, holder, 1_000), timeout=CALL_S)
        answers[name] = list(stream)
        assert stream.code() is grpc.StatusCode.OK
        assert holder.online_fen == 100_000 - (1_000 - 142)
    assert [a.terminal_seq for a in answers["native"]] == [
        a.terminal_seq for a in answers["grpcio"]
    ]
    assert [a.error for a in answers["native"]] == [a.error for a in answers["grpcio"]]
    assert sum(a.decision.reason == "OK" for a in answers["native"]) == 1_000 - 142


async def test_the_asyncio_client_pays_through_each_door(campus, door):
    pos = door.pos(f"AIO-{door.name}")
    holder = campus.open_account(top_up_fen=100_000)
    from campuscard.v1 import terminal_service_pb2_grpc

    async with grpc.aio.insecure_channel(door.address) as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        calls = [stub.Authorize(pos.purchase(holder, 10), timeout=CALL_S) for _ in range(200)]
        answers = [await call for call in calls]
    assert [a.decision.reason for a in answers] == ["OK"] * 200
    assert sorted(a.decision.balance_fen for a in answers) == list(range(98_000, 100_000, 10))
