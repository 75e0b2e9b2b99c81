import grpc
import pytest
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status as RpcStatus

from core.catalogue import REASONS
from core.refusals import Refusal, invalid, missing
from ext.errors import Malformed, Refused
from server.errors_map import fill, refusal_of, status_of


def unpacked(refusal, **options):
    status = status_of(refusal, **options)
    (raw,) = [value for key, value in status.trailing_metadata if key == "grpc-status-details-bin"]
    rich = RpcStatus.FromString(raw)
    details = {}
    for packed in rich.details:
        name = packed.type_url.rsplit(".", 1)[-1]
        assert name not in details, "each kind at most once"
        details[name] = getattr(error_details_pb2, name)()
        packed.Unpack(details[name])
    return status.code, rich.message, details


@pytest.mark.parametrize("reason", REASONS, ids=lambda r: r.name)
def test_every_reason_has_a_status_with_one_error_info(reason):
    code, message, details = unpacked(Refusal(reason.name))
    assert code is not grpc.StatusCode.OK
    assert message
    assert details["ErrorInfo"].reason == reason.name
    assert details["ErrorInfo"].domain == "campuscard"
    assert details["LocalizedMessage"].locale == "zh-CN"
    assert ("RetryInfo" in details) is reason.retryable
    if reason.status is None:
        assert code is grpc.StatusCode.FAILED_PRECONDITION
    else:
        assert code.name == reason.status


def test_a_field_is_named():
    code, message, details = unpacked(invalid("amount_fen", "1 to 5"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == "Field amount_fen is invalid: 1 to 5"
    (violation,) = details["BadRequest"].field_violations
    assert (violation.field, violation.description) == ("amount_fen", "1 to 5")


def test_numbers_fill_the_texts_in_both_languages():
    _, english, details = unpacked(Refusal("ACCOUNT_DEBT", balanceFen=-300))
    assert english == "Account is in debt: -3.00 yuan"
    assert details["LocalizedMessage"].message == "账户欠款 -3.00 元"
    assert dict(details["ErrorInfo"].metadata) == {"balanceFen": "-300"}
    _, english, details = unpacked(missing("account"))
    assert english == "account not found"
    assert details["LocalizedMessage"].message == "账户 不存在"


def test_retry_info_is_the_refusals_own():
    _, _, details = unpacked(Refusal("RATE_LIMITED", retry_after_ms=1_250))
    assert details["RetryInfo"].retry_delay.ToMilliseconds() == 1_250


def test_what_the_engine_did_not_decide():
    malformed = refusal_of(Malformed("FIELD_INVALID", "medium.token", "4 to 14 bytes"))
    assert malformed.metadata == {"field": "medium.token", "detail": "4 to 14 bytes"}
    refused = refusal_of(Refused("QUEUE_FULL", 50))
    assert (refused.reason.name, refused.retry_after_ms) == ("QUEUE_FULL", 50)


def test_an_incident_is_named():
    code, message, _ = unpacked(Refusal("INTERNAL"), incident="abc123")
    assert code is grpc.StatusCode.INTERNAL
    assert "abc123" in message


def test_what_is_not_known_is_a_question_mark():
    assert fill("{a} {b}", {"aFen": 5}, currency=" 元") == "0.05 元 ?"
