"""Malformed, oversized and hostile requests to every method the server offers.

Whatever comes: either a reply, or a gRPC status that carries one reason of the catalogue. The
server lives, and what was refused changed nothing.
"""

import itertools
import random
import struct

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import ops_service_pb2 as ops_pb
from core.catalogue import BY_NAME
from core.permissions import PERMISSIONS
from server.app import proto_files
from server.interceptors.identity import permissions_of
from tests.campus import Campus, refusal
from tests.staff import BUSINESS

CALL_S = 10
STREAM_S = 0.3  # a follower waits for blocks as long as its caller likes
ROUNDS = 20
OVER_SIZE = 4 << 20  # above every bound of the settings, below where gRPC cuts off
OVER_TRANSPORT = 9 << 20  # cut off by gRPC before it is whole: there is no ErrorInfo then
NEVER = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
COUNTED = {"SIGN_IN_REFUSED": 1, "QUERY_PASSWORD_REFUSED": 1, "PASSWORD_REFUSED": 2}
"""Refusals that count a wrong password, and how many records say so at most."""
OURS = "campuscard."
HUGE = (0, 1, -1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("hostile")) as campus:
        furnish(campus)
        yield campus


def furnish(campus):
    campus.set_time("2024-03-13 11:40")
    campus.open_account("200571020316", top_up_fen=20_000, token=b"\1\2\3\4")
    campus.terminal("POS-07")
    campus.victim = campus.member("victim", "AUDITOR")


# ---- what the server says it offers ----


def offered(campus):
    """Read all methods from the server's own reflection: {path: (method, request class)}."""
    stub = reflection_pb2_grpc.ServerReflectionStub(campus.channel)

    def ask(**what):
        request = reflection_pb2.ServerReflectionRequest(**what)
        return next(iter(stub.ServerReflectionInfo(iter([request]), timeout=CALL_S)))

    pool = descriptor_pool.DescriptorPool()
    services = [
        service.name
        for service in ask(list_services="").list_services_response.service
        if service.name.startswith(OURS)
    ]
    files, wanted = {}, []
    for name in services:
        wanted += ask(file_containing_symbol=name).file_descriptor_response.file_descriptor_proto
    while wanted:
        proto = descriptor_pb2.FileDescriptorProto.FromString(wanted.pop())
        files[proto.name] = proto
        for name in set(proto.dependency) - set(files):
            answer = ask(file_by_filename=name).file_descriptor_response
            wanted += answer.file_descriptor_proto
    while files:
        name = next(n for n, proto in files.items() if not set(proto.dependency) & set(files))
        pool.Add(files.pop(name))
    methods = [m for name in services for m in pool.FindServiceByName(name).methods]
    return {
        f"/{m.containing_service.full_name}/{m.name}": (
            m,
            message_factory.GetMessageClass(m.input_type),
        )
        for m in methods
    }


# ---- requests ----


def varint(value):
    value &= 2**64 - 1
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def tag(number, wire):
    return varint(number << 3 | wire)


def sized(number, data):
    return tag(number, LENGTH) + varint(len(data)) + data


def malformed(chance):
    """Yield bytes that are no message of any schema, or hardly one."""
    yield b"\xff"
    yield b"\xff" * 11
    yield tag(1, LENGTH) + varint(2**31) + b"short"
    yield tag(1, LENGTH) + varint(2**64 - 1)
    yield tag(1, GROUP) * 200
    yield tag(4, LENGTH) + b"\x7f" + b"\x0a\x7d" * 60
    yield tag(2, GROUP_END)
    yield tag(0, VARINT) + b"\1"
    yield tag(1, 6) + b"\1"
    yield tag(3, VARINT) + b"\x80" * 12
    yield tag(5, FIXED64) + b"\1\2\3"
    yield tag(5, FIXED32)
    nested = b""
    for _ in range(400):
        nested = sized(1, nested)
    yield nested
    for _ in range(ROUNDS):
        yield chance.randbytes(chance.randrange(1, 200))


def invalid_text(descriptor):
    """Yield every string field with bytes that are not UTF-8."""
    for field in descriptor.fields:
        if field.type == Field.TYPE_STRING:
            yield sized(field.number, b"\xff\xfe\x80")
            yield sized(field.number, b"POS-07\0\n'; DROP TABLE--")
            yield sized(field.number, "\u202e\uff17".encode() * 50)
            yield sized(field.number, b"x" * 60_000)


def extreme_numbers(descriptor):
    """Yield every number field with every hostile number, alone and all together."""
    numbers = [f for f in descriptor.fields if f.type in INTEGERS and not f.is_repeated]
    for value in HUGE:
        yield b"".join(tag(f.number, VARINT) + varint(value) for f in numbers)
        for field in numbers:
            yield tag(field.number, VARINT) + varint(value)


INTEGERS = {
    Field.TYPE_INT64,
    Field.TYPE_UINT64,
    Field.TYPE_INT32,
    Field.TYPE_UINT32,
    Field.TYPE_BOOL,
    Field.TYPE_ENUM,
    Field.TYPE_SINT32,
    Field.TYPE_SINT64,
}


def filled(descriptor, chance, depth=0, names=None):
    """Return a message with a plausible value in every field; `names` knows some by name."""
    out = b""
    for field in descriptor.fields:
        if names and field.name in names:
            out += sized(field.number, names[field.name]())
        elif field.type == Field.TYPE_MESSAGE:
            inner = filled(field.message_type, chance, depth + 1, names) if depth < 3 else b""
            out += sized(field.number, inner)
        elif field.type in {Field.TYPE_STRING, Field.TYPE_BYTES}:
            out += sized(
                field.number, chance.choice((b"POS-07", b"x", b"\1\2\3\4", b"", b"888888"))
            )
        elif field.type in INTEGERS:
            out += tag(field.number, VARINT) + varint(chance.choice((*HUGE, 1, 1, 2, 100)))
    return out


def unknown_fields(chance):
    """Yield well-formed fields no schema has."""
    yield sized(15_000, b"later") + tag(536_870_911, VARINT) + varint(7)
    yield tag(99, FIXED64) + struct.pack("<d", 1.5) + tag(98, FIXED32) + bytes(4)
    yield sized(50, chance.randbytes(1_000))


def requests(method, chance):
    """Yield all hostile requests for a method."""
    descriptor = method.input_type
    yield b""
    yield from malformed(chance)
    yield from unknown_fields(chance)
    yield from invalid_text(descriptor)
    yield from extreme_numbers(descriptor)
    for _ in range(ROUNDS):
        whole = filled(descriptor, chance)
        yield whole
        if whole:
            yield whole[: chance.randrange(len(whole))]
            damaged = bytearray(whole)
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
            yield bytes(damaged)


# ---- calls ----


PERMISSION_OF = permissions_of(proto_files())
OWN = {
    f"/{OURS}v1.StaffService/{name}"
    for name in ("WhoAmI", "ChangePassword", "EnrolTotp", "ConfirmTotp")
}


def roles_of(path):
    return {role.name for role in PERMISSIONS[PERMISSION_OF[path]]}


def channel_for(campus, path):
    """Choose who calls: somebody who is let in, and whose own password may be guessed at."""
    if path not in PERMISSION_OF or path.endswith("/SignOut"):
        return campus.raw_channel
    if path in OWN:
        return campus.victim.channel
    roles = roles_of(path)
    if roles & set(BUSINESS):
        return campus.channel
    return campus.admin.channel if "SEC_ADMIN" in roles else campus.raw_channel


def is_holders_own(path):
    """Tell whether only holders are let in, who have a test of their own."""
    return path in PERMISSION_OF and roles_of(path) == {"HOLDER"}


def call(campus, path, method, data, *, patience_s=STREAM_S):
    """Send bytes as a request; returns the error, or None.

    A follower at the head hears nothing for `patience_s`: then its request was accepted.
    """
    kind = ("stream" if method.client_streaming else "unary") + "_"
    kind += "stream" if method.server_streaming else "unary"
    invoke = getattr(channel_for(campus, path), kind)(
        path, request_serializer=bytes, response_deserializer=bytes
    )
    argument = iter([data]) if method.client_streaming else data
    waits = method.server_streaming and not method.client_streaming
    try:
        answer = invoke(argument, timeout=patience_s if waits else CALL_S)
        if method.server_streaming:
            for _ in itertools.islice(answer, 3):
                pass
            answer.cancel()
    except grpc.RpcError as error:
        if waits and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return None  # accepted: it was waiting for the next block
        return error
    return None


def head(campus):
    return campus.ops.GetHead(ops_pb.GetHeadRequest(), timeout=CALL_S)


def money(campus):
    """Return all that must stay as it is."""
    request = accounts_pb.GetAccountRequest(account_no="200571020316")
    wallets = campus.accounts.GetAccount(request, timeout=CALL_S).wallets
    return wallets.online_fen, wallets.held_fen, wallets.subsidy_fen, wallets.water_fen


def checked(error, path, data):
    """A refusal says which: one ErrorInfo with a reason of the catalogue and its status.

    Returns how many records it may leave: only a wrong password is counted.
    """
    what = f"{path} with {data[:80]!r}: {error.code()} {error.details()!r}"
    assert error.code() not in NEVER, what
    reason, _metadata, details = refusal(error)
    assert reason in BY_NAME, what
    status = BY_NAME[reason].status or "FAILED_PRECONDITION"  # a refusal of taps, met in the office
    assert status == error.code().name, what
    assert details["ErrorInfo"].domain == "campuscard"
    return COUNTED.get(reason, 0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.clause("七.4")
def test_every_method_survives_everything(campus, seed):
    methods = offered(campus)
    assert len(methods) >= 40, "all four services are offered by reflection"
    opening = money(campus)
    for path, (method, _request) in methods.items():
        chance = random.Random(f"{seed} {path}")
        for data in requests(method, chance):
            before = head(campus).acknowledged_seq
            error = call(campus, path, method, data)
            if error is not None:
                counted = checked(error, path, data)
                written = head(campus).acknowledged_seq - before
                assert written <= counted, f"{path} refused {data!r} but wrote"
        assert campus.process.poll() is None, f"{path} ended the server"
    assert money(campus) == opening
    assert head(campus).decided_seq == head(campus).acknowledged_seq


@pytest.mark.slow
def test_nearly_right_requests(tmp_path, seed):
    """Names that exist, numbers that are absurd: some pass, and the books still balance."""
    with Campus(tmp_path) as campus:
        furnish(campus)
        names = {
            "request_id": lambda: campus.request_id().encode(),
            "account_no": lambda: b"200571020316",
            "terminal_id": lambda: b"POS-07",
            "merchant_id": lambda: b"M1",
            "token": lambda: b"\1\2\3\4",
        }
        for path, (method, _request) in offered(campus).items():
            chance = random.Random(f"{seed} nearly {path}")
            for _ in range(3 * ROUNDS):
                data = filled(method.input_type, chance, names=names)
                before = head(campus).acknowledged_seq
                error = call(campus, path, method, data)
                if error is not None:
                    counted = checked(error, path, data)
                    written = head(campus).acknowledged_seq - before
                    assert written <= counted, f"{path} {data!r} wrote"
            assert campus.process.poll() is None, f"{path} ended the server"
        status = campus.ops.GetStatus(ops_pb.GetStatusRequest(), timeout=CALL_S)
        assert status.ledger_sum_fen == 0
        assert list(campus.ops.Verify(ops_pb.VerifyRequest(), timeout=CALL_S))[-1].done
        campus.restart()
        assert head(campus).acknowledged_seq


@pytest.mark.clause("七.4")
def test_oversized(campus):
    before = head(campus)
    for path, (method, _request) in offered(campus).items():
        if is_holders_own(path) or path.endswith("/SignOut"):
            continue
        # A request that is taken is answered at once, Follow from the first block on: only a server
        # that is not heard in time says nothing, so the deadline is a long one.
        error = call(campus, path, method, sized(15_000, bytes(OVER_SIZE)), patience_s=CALL_S)
        assert error is not None, f"{path} took {OVER_SIZE} bytes"
        reason, metadata, _details = refusal(error)
        assert reason == "MESSAGE_TOO_LARGE", f"{path}: {error.code()}"
        assert int(metadata["allowedBytes"]) < OVER_SIZE
        error = call(campus, path, method, bytes(OVER_TRANSPORT), patience_s=CALL_S)
        assert error is not None, f"{path} took {OVER_TRANSPORT} bytes"
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, f"{path}: {error.code()}"
    assert head(campus).state_hash == before.state_hash


def refused_call(invoke, kind):
    """Return the error of a call that must have one, whichever shape the caller gives it."""
    data = b"\1" * 100
    try:
        answer = invoke(iter([data]) if kind.startswith("stream") else data, timeout=CALL_S)
        list(answer)
    except grpc.RpcError as error:
        return error
    raise AssertionError(kind)


def test_methods_that_are_not_there(campus):
    paths = ("/campuscard.v1.TerminalService/Nothing", "/x.Y/Z", "/campuscard.v1.Nobody/Pay")
    for path in paths:
        for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            error = refused_call(getattr(campus.channel, kind)(path), kind)
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            checked(error, path, b"")
    # Callers choose these names: they make neither series nor handlers.
    values = campus.metrics()
    assert not [name for name in values if "Nobody" in name or "x.Y" in name]
    unknown = [value for name, value in values.items() if 'grpc_code="Unimplemented"' in name]
    assert sum(unknown) >= 4 * len(paths)
    assert head(campus).acknowledged_seq


def test_calls_that_are_given_up(campus):
    """Cancelled and expired calls leave nothing half done."""
    pay = campus.channel.unary_unary("/campuscard.v1.TerminalService/Authorize")
    for _ in range(200):
        pay.future(b"\x0a\x06POS-07\x10\x01\x18\x01", timeout=CALL_S).cancel()
        with pytest.raises(grpc.RpcError):
            pay(b"", timeout=0.000_001)
    assert campus.process.poll() is None
    assert head(campus).decided_seq == head(campus).acknowledged_seq
