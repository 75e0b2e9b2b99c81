"""From the catalogue to gRPC: the only place that makes a status.

A status carries each kind of detail at most once: always one ``ErrorInfo`` (reason, domain,
metadata) and one ``LocalizedMessage`` in Chinese; ``BadRequest`` for a field, ``RetryInfo`` where
the same request may be sent again. The message is English, for developers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, LocalizedMessage, RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus
from grpc_status import rpc_status

from core.catalogue import DOMAIN, OUTCOMES, Reason, Status
from core.money import format_yuan
from core.refusals import Refusal
from ext.errors import Malformed, Refused
from server import zh_names

if TYPE_CHECKING:
    from google.protobuf.message import Message

RETRY_MS: Final = 100
"""When to send a retryable request again if nothing better is known."""

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_OUTCOME_NAMES: Final = frozenset(reason.name for reason in OUTCOMES)


def refusal_of(error: Malformed | Refused) -> Refusal:
    """Translate what the engine did not decide."""
    if isinstance(error, Malformed):
        return Refusal(error.reason, field=error.field, detail=error.detail)
    return Refusal(error.reason, retry_after_ms=error.retry_after_ms)


def retry_ms(refusal: Refusal) -> int:
    """Return when to send the same again, milliseconds; 0: not before something changed."""
    return (refusal.retry_after_ms or RETRY_MS) if refusal.reason.retryable else 0


def code_of(reason: Reason) -> grpc.StatusCode:
    """Return the gRPC code of a reason; an outcome that ends a call of staff or holders is
    FAILED_PRECONDITION.
    """
    status = Status.FAILED_PRECONDITION if reason.status is None else reason.status
    return grpc.StatusCode[status.value]


def status_of(refusal: Refusal, *, incident: str = "") -> grpc.Status:
    """Make the rich status of a refusal.

    Args:
        refusal: reason and numbers.
        incident: number of the incident in the log, for INTERNAL.
    """
    reason, metadata = refusal.reason, dict(refusal.metadata)
    if incident:
        metadata["incident"] = incident
    code = code_of(reason)
    text_zh, text_en = texts(reason, metadata)
    details: list[Message] = [
        ErrorInfo(
            reason=reason.name,
            domain=DOMAIN,
            metadata={name: str(value) for name, value in metadata.items()},
        ),
        LocalizedMessage(locale="zh-CN", message=text_zh),
    ]
    if code is grpc.StatusCode.INVALID_ARGUMENT and metadata.get("field"):
        violation = BadRequest.FieldViolation(
            field=str(metadata["field"]),
            description=str(metadata.get("detail", "")),
            reason=reason.name,
        )
        details.append(BadRequest(field_violations=[violation]))
    if reason.retryable:
        delay = Duration()
        delay.FromMilliseconds(retry_ms(refusal))
        details.append(RetryInfo(retry_delay=delay))
    status = RpcStatus(
        code=code.value[0],
        message=text_en,
        details=[_packed(detail) for detail in details],
    )
    converted: grpc.Status = rpc_status.to_status(status)
    return converted


def texts(reason: Reason, metadata: dict[str, str | int]) -> tuple[str, str]:
    """Return what a reason says to people, Chinese and English, with its numbers and names."""
    in_chinese = {name: zh_names.say(reason.name, value) for name, value in metadata.items()}
    return (
        fill(reason.zh, in_chinese, currency=" 元"),
        fill(reason.en, metadata, currency=" yuan"),
    )


def fill(template: str, metadata: dict[str, str | int], *, currency: str) -> str:
    """Fill a text of the catalogue.

    ``{name}`` takes ``name``, or ``nameFen`` as yuan; what is not known becomes ``?``.

    Args:
        template: of the catalogue.
        metadata: numbers and names.
        currency: written after yuan.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        fen = metadata.get(f"{name}Fen")
        if isinstance(fen, int):
            return format_yuan(fen) + currency
        return str(metadata.get(name, "?"))

    return _PLACEHOLDER.sub(value, template)


def is_outcome(name: str) -> bool:
    """Tell whether a reason is an outcome of the sequencer."""
    return name in _OUTCOME_NAMES


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
