"""The one interceptor: stands around calls of every shape with all guards, outermost first.

``grpc.aio`` wants interceptors to replace handlers, handlers come in four shapes, and some are async
generators. Guards only say what happens around a call; this module builds each method's wrapped
handler once and keeps it. One interceptor for all guards, because a chain of them costs a tap more
than everything they do.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc
import grpc.aio

from core.refusals import Refusal
from server.interceptors.identity import is_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from server.interceptors.identity import Admission, IdentityGuard
    from server.sessions import Session

    Handler = grpc.RpcMethodHandler[Any, Any]
    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]
    Context = grpc.aio.ServicerContext[Any, Any]
    Decoder = Callable[[bytes], Any] | None

_SHAPES: Final = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


UNKNOWN: Final = "/unknown/unknown"
"""Stands for every method that is not offered."""


class Guard(Protocol):
    """Stands around every call of every method."""

    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[Any]:
        """Return what is entered before a call and left after it, with its exception if any.

        Args:
            method: full name, ``/package.Service/Method``.
            context: of the call.
        """
        ...


class Gate(Guard, Protocol):
    """The innermost guard: it also turns the bytes of a request into what the service gets."""

    def incoming(self, method: str, message: bytes, decode: Decoder) -> Any:
        """Measure one request message and decode it."""
        ...


class Guards(grpc.aio.ServerInterceptor):
    """All guards around all calls.

    Args:
        log: outermost.
        metrics: sees every end, and its code.
        errors: turns exceptions into codes.
        identity: lets callers in.
        limits: innermost.
    """

    def __init__(
        self, log: Guard, metrics: Guard, errors: Guard, identity: IdentityGuard, limits: Gate
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._errors = errors
        self._identity = identity
        self._limits = limits
        self._unsigned: dict[str, Handler] = {}
        self._signed: dict[str, Handler] = {}
        self._unknown: Handler = grpc.stream_stream_rpc_method_handler(self._not_offered)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return the wrapped handler of a method; of one that there is not, one that says so."""
        method = handler_call_details.method
        signed = is_signed(handler_call_details.invocation_metadata)
        handlers = self._signed if signed else self._unsigned
        known = handlers.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return self._unknown
        handlers[method] = wrapped = self._wrap(method, handler, signed=signed)
        return wrapped

    def admit(self, method: str, context: Context) -> None:
        """Let a signed-in call in whose messages are answered elsewhere.

        Args:
            method: full name.
            context: of the call.

        Raises:
            Refusal: the token is none, or is no good for this method.
        """
        admission = self._identity.admission(method, signed=True)
        if admission is not None:
            admission(context)

    def _wrap(self, method: str, handler: Handler, *, signed: bool) -> Handler:
        attribute, make = _SHAPES[handler.request_streaming, handler.response_streaming]
        inner = getattr(handler, attribute)
        coroutine: Any = self._pipeline if handler.request_streaming else self._coroutine
        build: Any = self._generator if inspect.isasyncgenfunction(inner) else coroutine
        decode = handler.request_deserializer
        if handler.request_streaming:

            def incoming(requests: Any, session: Session | None = None) -> Any:
                return self._each(method, requests, decode, session)
        else:

            def incoming(requests: Any, session: Session | None = None) -> Any:
                del session
                return self._limits.incoming(method, requests, decode)

        return make(
            build(method, inner, incoming, self._identity.admission(method, signed=signed)),
            request_deserializer=None,
            response_serializer=handler.response_serializer,
        )

    def _coroutine(
        self,
        method: str,
        inner: Callable[..., Awaitable[Any]],
        incoming: Callable[[Any], Any],
        admit: Admission | None,
    ) -> Callable[..., Awaitable[Any]]:
        log, metrics = self._log.around, self._metrics.around
        errors, limits = self._errors.around, self._limits.around
        if admit is not None:
            letting_in, around = admit, self._limits.around

            def limits(method: str, context: Context) -> AbstractAsyncContextManager[Any]:
                letting_in(context)
                return around(method, context)

        async def call(request: Any, context: Context) -> Any:
            async with (
                log(method, context),
                metrics(method, context),
                errors(method, context),
                limits(method, context),
            ):
                return await inner(incoming(request), context)

        return call

    def _generator(
        self,
        method: str,
        inner: Callable[..., AsyncIterator[Any]],
        incoming: Callable[[Any], Any],
        admit: Admission | None,
    ) -> Callable[..., AsyncIterator[Any]]:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            async with (
                self._log.around(method, context),
                self._metrics.around(method, context),
                self._errors.around(method, context),
            ):
                session = None if admit is None else admit(context)
                async with self._limits.around(method, context):
                    async for response in inner(incoming(request), context):
                        if session is not None and session.closed:
                            raise Refusal("SESSION_REQUIRED")
                        yield response

        return call

    def _pipeline(
        self,
        method: str,
        inner: Callable[..., Awaitable[Any]],
        incoming: Callable[[Any, Session | None], Any],
        admit: Admission | None,
    ) -> Callable[..., Awaitable[Any]]:
        async def call(requests: Any, context: Context) -> Any:
            async with (
                self._log.around(method, context),
                self._metrics.around(method, context),
                self._errors.around(method, context),
            ):
                session = None if admit is None else admit(context)
                async with self._limits.around(method, context):
                    return await inner(incoming(requests, session), context)

        return call

    async def _each(
        self,
        method: str,
        requests: AsyncIterator[bytes],
        decode: Decoder,
        session: Session | None,
    ) -> AsyncIterator[Any]:
        async for message in requests:
            if session is not None and session.closed:
                raise Refusal("SESSION_REQUIRED")
            yield self._limits.incoming(method, message, decode)

    async def _not_offered(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Refuse. All such methods are one to the log and the metrics: callers choose the names."""
        del requests
        async with (
            self._log.around(UNKNOWN, context),
            self._metrics.around(UNKNOWN, context),
            self._errors.around(UNKNOWN, context),
        ):
            raise Refusal("UNIMPLEMENTED")


def split_method(method: str) -> tuple[str, str]:
    """Split ``/package.Service/Method`` into service and method."""
    _, service, name = method.split("/", 2)
    return service, name
