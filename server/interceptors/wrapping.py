"""One way to stand around a call of any shape.

``grpc.aio`` wants interceptors to replace handlers, and handlers come in four shapes, some of them
as async generators. A ``Guard`` only writes what happens around a call; this module does the rest,
once per method: the wrapped handler is kept.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    Handler = grpc.RpcMethodHandler[Any, Any]
    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]

_SHAPES: Final = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


class Guard(grpc.aio.ServerInterceptor, ABC):
    """Stands around every call of every method.

    Subclasses implement ``around``; ``incoming`` may look at or replace each request message.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    @abstractmethod
    def around(
        self, method: str, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AbstractAsyncContextManager[object]:
        """Return what is entered before a call and left after it, with its exception if any.

        Args:
            method: full name, ``/package.Service/Method``.
            context: of the call.
        """

    def incoming(self, method: str, message: Any) -> Any:
        """Look at one request message; return what the handler gets."""
        del method
        return message

    def decoder(self, handler: Handler) -> Callable[[bytes], Any] | None:
        """Return what decodes requests before this guard sees them."""
        return handler.request_deserializer

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return the wrapped handler of a method; None when there is no such method."""
        method = handler_call_details.method
        known = self._handlers.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        wrapped = self._wrap(method, handler)
        self._handlers[method] = wrapped
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        attribute, make = _SHAPES[handler.request_streaming, handler.response_streaming]
        inner = getattr(handler, attribute)
        stands_around: Any = (
            self._generator if inspect.isasyncgenfunction(inner) else self._coroutine
        )
        behaviour = stands_around(method, inner, streams_in=handler.request_streaming)
        return make(
            behaviour,
            request_deserializer=self.decoder(handler),
            response_serializer=handler.response_serializer,
        )

    def _coroutine(
        self, method: str, inner: Callable[..., Awaitable[Any]], *, streams_in: bool
    ) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self.around(method, context):
                request = (
                    self._each(method, request) if streams_in else self.incoming(method, request)
                )
                return await inner(request, context)

        return call

    def _generator(
        self, method: str, inner: Callable[..., AsyncIterator[Any]], *, streams_in: bool
    ) -> Callable[..., AsyncIterator[Any]]:
        async def call(
            request: Any, context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            async with self.around(method, context):
                request = (
                    self._each(method, request) if streams_in else self.incoming(method, request)
                )
                async for response in inner(request, context):
                    yield response

        return call

    async def _each(self, method: str, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for message in requests:
            yield self.incoming(method, message)


def split_method(method: str) -> tuple[str, str]:
    """Split ``/package.Service/Method`` into service and method."""
    _, service, name = method.split("/", 2)
    return service, name
