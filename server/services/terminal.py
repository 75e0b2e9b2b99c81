"""TerminalService: the door of taps.

The hot methods never see a protobuf object: the request's bytes go to the engine, the bytes the
engine answers go out. A caller that gives up leaves the decision in place; GetTransaction finds it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from campuscard.v1 import terminal_service_pb2 as pb
from core.ids import is_short_name
from core.refusals import Refusal, invalid
from ext.errors import Malformed, Refused
from ext.wire import METHODS
from server.errors_map import refusal_of, retry_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from core.ports import Clock
    from ext.engine import Engine
    from server.interceptors.limits import TerminalRates
    from server.projector import Projector

    Context = grpc.aio.ServicerContext[Any, Any]

SERVICE: Final = "campuscard.v1.TerminalService"
SKEW_US: Final = 600_000_000
"""A terminal's clock further off than this is flagged: ten minutes."""
_AUTHORIZE: Final = METHODS["Authorize"]
_DECISION: Final = 0x0A
_APPROVED: Final = b"\x08\x01"
_TERMINAL_SEQ: Final = b"\x18"


class TerminalService:
    """Hands taps to the engine.

    Args:
        engine: started.
        projector: knows the terminals' batches.
        clock: the server's.
        rates: of the terminals; streams are counted by message.
        in_flight: authorizations of one stream under way at once.
    """

    def __init__(
        self,
        engine: Engine,
        projector: Projector,
        *,
        clock: Clock,
        rates: TerminalRates,
        in_flight: int,
    ) -> None:
        self._engine = engine
        self._projector = projector
        self._clock = clock
        self._rates = rates
        self._in_flight = in_flight

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of all methods: bytes in, bytes out, but for Heartbeat."""
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(self._tap(number))
            for name, number in METHODS.items()
        }
        methods["AuthorizeBatch"] = grpc.unary_unary_rpc_method_handler(self.authorize_batch)
        methods["AuthorizeStream"] = grpc.stream_stream_rpc_method_handler(self.authorize_stream)
        methods["Heartbeat"] = grpc.unary_unary_rpc_method_handler(
            self.heartbeat,
            request_deserializer=pb.HeartbeatRequest.FromString,
            response_serializer=pb.HeartbeatResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _tap(self, number: int) -> Callable[[bytes, Context], Awaitable[bytes]]:
        engine = self._engine

        async def tap(request: bytes, context: Context) -> bytes:
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            engine.submit(number, request, future, deadline_ms(context))
            return await future

        return tap

    async def authorize_batch(self, request: bytes, context: Context) -> bytes:
        """Decide the items of a batch; see the proto."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._engine.submit_batch(request, future, deadline_ms(context))
        return await future

    async def authorize_stream(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Decide a pipeline of authorizations, answered in order; see the proto."""
        del context
        answers: asyncio.Queue[_Streamed | None] = asyncio.Queue(self._in_flight)

        async def take() -> None:
            try:
                async for message in requests:
                    await answers.put(self._submit_streamed(message))
            finally:
                await answers.put(None)

        taking = asyncio.create_task(take())
        try:
            while (streamed := await answers.get()) is not None:
                yield await streamed.answer()
            await taking
        finally:
            taking.cancel()

    def _submit_streamed(self, message: bytes) -> _Streamed:
        """Submit one message of a stream; what is refused at once is answered in its place."""
        try:
            request = pb.AuthorizeStreamRequest.FromString(message).authorization
        except DecodeError:
            return _Streamed(0, Refusal("REQUEST_MALFORMED"))
        seq = request.terminal_seq
        wait_ms = self._rates.take(request.terminal_id.encode("utf-8"))
        if wait_ms:
            return _Streamed(seq, Refusal("RATE_LIMITED", retry_after_ms=wait_ms))
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        try:
            self._engine.submit(_AUTHORIZE, request.SerializeToString(), future)
        except (Refused, Malformed) as error:
            return _Streamed(seq, refusal_of(error))
        return _Streamed(seq, future)

    async def heartbeat(
        self, request: pb.HeartbeatRequest, context: Context
    ) -> pb.HeartbeatResponse:
        """Tell time, rules and head; see the proto."""
        del context
        terminal_id = request.terminal_id
        if not is_short_name(terminal_id):
            raise invalid("terminal_id", "1 to 16 ASCII letters, digits, '-' and '_'")
        head = self._engine.head()
        now = self._clock.now_us()
        terminal = await self._projector.look(
            lambda r: r.terminal(terminal_id), after_seq=head["acknowledged_seq"]
        )
        skew = abs(request.terminal_time_us - now) if request.terminal_time_us else 0
        return pb.HeartbeatResponse(
            server_time_us=now,
            rule_version=head["rule_version"],
            head_seq=head["acknowledged_seq"],
            clock_skew=skew > SKEW_US,
            batch_no=0 if terminal is None else terminal.batch_no,
        )


class _Streamed:
    """One message of a stream on its way to its answer."""

    __slots__ = ("_outcome", "_terminal_seq")

    def __init__(self, terminal_seq: int, outcome: asyncio.Future[bytes] | Refusal) -> None:
        self._terminal_seq = terminal_seq
        self._outcome = outcome

    async def answer(self) -> bytes:
        """Wait for the decision and write it as the stream's response."""
        refusal = self._outcome
        if isinstance(refusal, asyncio.Future):
            try:
                return streamed_answer(await refusal, self._terminal_seq)
            except (Refused, Malformed) as error:
                refusal = refusal_of(error)
        error_message = pb.ItemError(
            reason=refusal.reason.name,
            retry_after_ms=retry_ms(refusal),
        )
        response = pb.AuthorizeStreamResponse(error=error_message, terminal_seq=self._terminal_seq)
        return response.SerializeToString()


def streamed_answer(response: bytes, terminal_seq: int) -> bytes:
    """Turn an encoded AuthorizeResponse into the AuthorizeStreamResponse of the same decision.

    Field 1 is the decision in both, so an approval only gets the echo behind it; a refusal loses
    its texts.

    Args:
        response: from the engine.
        terminal_seq: to echo, 1 to 65535.
    """
    start = 2 if response[1] < 0x80 else 3
    if response[0] == _DECISION and response[start : start + 2] == _APPROVED:
        return response + _TERMINAL_SEQ + _varint(terminal_seq)
    decision = pb.AuthorizeResponse.FromString(response).decision
    decision.ClearField("refusal")
    message = pb.AuthorizeStreamResponse(decision=decision, terminal_seq=terminal_seq)
    return message.SerializeToString()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def deadline_ms(context: Context) -> int:
    """Return the milliseconds a call still has, 0 without a deadline."""
    left: float | None = context.time_remaining()
    return 0 if left is None else max(1, int(left * 1_000))
