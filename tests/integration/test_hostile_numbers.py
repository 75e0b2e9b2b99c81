"""Every whole number of every paper at its extremes, with all other fields in order: never INTERNAL."""

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from campuscard.v1 import terminal_service_pb2 as terminal_pb
from core.catalogue import BY_NAME
from server.app import proto_files
from tests.campus import CALL_S, Campus, refusal

EXTREMES = {
    FieldDescriptor.TYPE_UINT64: (1, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), -1, 2**32, 2**53, 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (1, 65_536, 2**31, 2**32 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), -1, 2**31 - 1),
}
PAPERS = [
    method
    for file in proto_files()
    for service in file.services_by_name.values()
    for method in service.methods
    if service.name not in {"TerminalService", "OpsService"}
    and not method.client_streaming
    and method.name not in {"SignOut", "RevokeSessions", "ResetStaff", "DisableStaff"}
]
TEXTS = {
    "account_no": "200571020316",
    "reason": "x",
    "class_name": "2023级1班",
    "receipt_no": "R-1",
    "from_date": "2024-03-13",
    "to_date": "2024-03-13",
    "date": "2024-03-13",
    "source": "card",
    "key": "day_limit_fen",
    "value": "1",
    "zone": "gate",
    "group": "everybody",
    "merchant_id": "M1",
    "terminal_id": "POS-07",
}
ALONE = {"account_no", "medium", "uid", "uids", "page_token", "dry_run"}
"""Fields that some requests take in place of others: tried with and without them."""


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("numbers")) as running:
        running.terminal("POS-07")
        running.open_account("200571020316")
        yield running


def fill(campus, message, without=frozenset()):
    """Give every text and message of a request something in order."""
    for field in message.DESCRIPTOR.fields:
        if field.name in without or field.is_repeated:
            continue
        if field.name == "request_id":
            message.request_id = campus.request_id()
        elif field.type == FieldDescriptor.TYPE_STRING and field.name in TEXTS:
            setattr(message, field.name, TEXTS[field.name])
        elif field.type == FieldDescriptor.TYPE_BYTES:
            setattr(message, field.name, b"\x04\xa1\xa2\xa3")
        elif field.type == FieldDescriptor.TYPE_ENUM:
            setattr(message, field.name, field.enum_type.values[1].number)
        elif field.message_type is terminal_pb.Medium.DESCRIPTOR:
            message.medium.type = terminal_pb.MEDIUM_TYPE_RFID_CARD
            message.medium.token = b"\x04\xa1\xa2\xa3"
    return message


def numbers(method):
    fields = method.input_type.fields
    return [f for f in fields if f.type in EXTREMES and not f.is_repeated]


@pytest.mark.parametrize(
    "method",
    [m for m in PAPERS if numbers(m)],
    ids=lambda method: method.full_name.split(".", 2)[2],
)
def test_extremes_are_refused_by_name_or_answered(campus, method):
    path = f"/{method.containing_service.full_name}/{method.name}"
    for number in numbers(method):
        for value in EXTREMES[number.type]:
            for without in (frozenset(), ALONE):
                message = fill(campus, GetMessageClass(method.input_type)(), without)
                setattr(message, number.name, value)
                assert reason_of(campus, method, path, message) in {"", *BY_NAME} - {"INTERNAL"}, (
                    number.name,
                    value,
                )


def reason_of(campus, method, path, message):
    raw = message.SerializeToString()
    try:
        if method.server_streaming:
            list(campus.channel.unary_stream(path)(raw, timeout=CALL_S))
        else:
            campus.channel.unary_unary(path)(raw, timeout=CALL_S)
    except grpc.RpcError as error:
        return refusal(error)[0]
    return ""
