"""TerminalService: the door of taps.

The hot methods never see a protobuf object: the request's bytes go to the engine, the bytes the
engine answers go out. A caller that gives up leaves the decision in place; GetTransaction finds it.

**Source:** regulation 四.1b (one dwell, one key), 五.4 (terminals sign in).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from campuscard.v1 import terminal_service_pb2 as pb
from core.ids import is_short_name
from core.refusals import invalid
from ext.wire import METHODS
from server.interceptors.limits import STREAM_METHOD
from server.wire_peek import terminal_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from core.ports import Clock
    from ext.engine import Engine, Stream
    from server.interceptors.limits import TokenBuckets
    from server.projector import Projector

    Context = grpc.aio.ServicerContext[Any, Any]

SERVICE: Final = "campuscard.v1.TerminalService"
SKEW_US: Final = 600_000_000
"""A terminal's clock further off than this is flagged: ten minutes."""


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
        rates: TokenBuckets,
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

    async def authorize_stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Decide a pipeline of authorizations, answered in order; see the proto.

        While as many as allowed are under way, or the caller does not read, nothing more is taken.
        """
        stream = self._engine.stream(self._in_flight, deadline_ms(context))
        room = asyncio.Event()
        taking = asyncio.create_task(self._take(requests, stream, room))
        loop = asyncio.get_running_loop()
        try:
            while not stream.over:
                answer = stream.take()
                if answer is None:
                    waiting: asyncio.Future[None] = loop.create_future()
                    stream.wait(waiting)
                    await waiting
                    continue
                room.set()
                await context.write(answer)
            await taking
        finally:
            taking.cancel()

    async def _take(
        self, requests: AsyncIterator[bytes], stream: Stream, room: asyncio.Event
    ) -> None:
        """Queue a stream's messages; what is refused at once is answered in its place."""
        try:
            async for message in requests:
                wait_ms = self._rates.take(terminal_of(STREAM_METHOD, message))
                while not stream.put(message, wait_ms):
                    room.clear()
                    await room.wait()
        finally:
            stream.end()

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


def deadline_ms(context: Context) -> int:
    """Return the milliseconds a call still has, 0 without a deadline."""
    left: float | None = context.time_remaining()
    return 0 if left is None else max(1, int(left * 1_000))
