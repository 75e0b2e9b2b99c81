"""The wire: sends one request once and says what can be concluded from what came back.

The only question that matters for money is whether the server may have decided. ``Reply`` has one
case for each answer; retrying is decided one level up, in ``terminal.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, cast

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc as pb_grpc
from clients.terminal.entries import Entry, Key, Kind

Request: TypeAlias = (
    pb.AuthorizeRequest
    | pb.HoldRequest
    | pb.CaptureRequest
    | pb.ReleaseRequest
    | pb.ReverseRequest
    | pb.RefundRequest
)

REQUESTS: Final[dict[Kind, type[Request]]] = {
    Kind.AUTHORIZE: pb.AuthorizeRequest,
    Kind.HOLD: pb.HoldRequest,
    Kind.CAPTURE: pb.CaptureRequest,
    Kind.RELEASE: pb.ReleaseRequest,
    Kind.REVERSE: pb.ReverseRequest,
    Kind.REFUND: pb.RefundRequest,
}

# Statuses that the server sends before anything reaches the sequencer. All others leave doubt.
_REJECTIONS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
# A terminal that lost its server must not wait for gRPC's default of two minutes.
CHANNEL_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_retries", 0),  # the SDK retries; a second retrier below it would hide doubt
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The server decided, durably. ``expire_time_s`` is set by holds."""

    decision: pb.Decision
    expire_time_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """This send was not decided; the same key may be sent again after ``wait_s``."""

    reason: str
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody can say whether it was decided: ask with the key."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """This send was not decided and will not be, however often it is repeated."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverDecided:
    """Answer to a question: the key is not in the journal. It may be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Rich details of a gRPC error: ErrorInfo's reason, RetryInfo's seconds, the Chinese text."""

    reason: str = ""
    wait_s: float | None = None
    text_zh: str = ""


Reply: TypeAlias = Decided | NotYet | Unknown | Rejected
Answer: TypeAlias = Reply | NeverDecided


def connect(address: str) -> grpc.aio.Channel:
    """Open a channel to ``address`` (``host:port``) with the options a terminal needs."""
    return grpc.aio.insecure_channel(address, options=list(CHANNEL_OPTIONS))


class Link:
    """One terminal's calls over a channel that many may share."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stub = pb_grpc.TerminalServiceStub(channel)
        self._stub = stub
        self._methods: dict[Kind, Any] = {
            Kind.AUTHORIZE: stub.Authorize,
            Kind.HOLD: stub.Hold,
            Kind.CAPTURE: stub.Capture,
            Kind.RELEASE: stub.Release,
            Kind.REVERSE: stub.Reverse,
            Kind.REFUND: stub.Refund,
        }

    async def send(self, entry: Entry, *, pin: str, timeout_s: float) -> Reply:
        """Send an entry's bytes once, with the password when there is one."""
        request = REQUESTS[entry.kind].FromString(entry.body)
        if pin and isinstance(request, pb.AuthorizeRequest | pb.HoldRequest):
            request.pin = pin
        try:
            response = await self._methods[entry.kind](request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return conclude(error)
        if response.decision.outcome == pb.OUTCOME_UNSPECIFIED:
            return Unknown(detail="the answer has no outcome")
        expire_time_s = response.expire_time_s if entry.kind is Kind.HOLD else 0
        return Decided(decision=response.decision, expire_time_s=expire_time_s)

    async def ask(self, key: Key, *, timeout_s: float) -> Answer:
        """Ask what became of a key. Moves nothing."""
        request = pb.GetTransactionRequest(
            key=pb.TransactionKey(
                terminal_id=key.terminal_id, batch_no=key.batch_no, terminal_seq=key.terminal_seq
            )
        )
        try:
            response = await self._stub.GetTransaction(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return NeverDecided()
            return conclude(error)
        return Decided(decision=response.decision)

    async def call(self, method: str, request: Message, *, timeout_s: float) -> Any:
        """Call a method that moves no money: the response, or a Reply that says why there is none."""
        call: Awaitable[Any] = getattr(self._stub, method)(request, timeout=timeout_s)
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            return conclude(error)


def conclude(error: grpc.aio.AioRpcError) -> NotYet | Unknown | Rejected:
    """Say what a gRPC status means for the key it was the answer to."""
    found = details(error)
    reason, wait_s = found.reason, found.wait_s
    detail = error.details() or ""
    if error.code() in _REJECTIONS:
        return Rejected(reason=reason or error.code().name, detail=detail)
    refused_early = error.code() in {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    }
    # Without the server's ErrorInfo an UNAVAILABLE is a torn connection: the request may be inside.
    if refused_early and reason and wait_s is not None:
        return NotYet(reason=reason, wait_s=wait_s)
    if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and reason:
        return Rejected(reason=reason, detail=detail)
    return Unknown(detail=f"{error.code().name} {detail}".rstrip())


def details(error: grpc.RpcError) -> Details:
    """Read the rich details of a gRPC error; what is absent is empty or None."""
    try:
        # An RpcError of a finished call is the call; grpcio's types do not say so.
        status = rpc_status.from_call(cast(grpc.Call, error))
    except ValueError:  # the details do not belong to this status
        return Details()
    found = Details()
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    words = error_details_pb2.LocalizedMessage()
    for detail in status.details if status is not None else ():
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info):
            found = replace(found, reason=info.reason)
        elif detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            wait_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            found = replace(found, wait_s=wait_s)
        elif detail.Is(words.DESCRIPTOR) and detail.Unpack(words):
            found = replace(found, text_zh=words.message)
    return found
