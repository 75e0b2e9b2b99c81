"""Calls over gRPC from the command line, and what a person is told when one fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Self, TypeVar

import grpc
import typer
from google.protobuf.message import Message

from campuscard.v1 import (
    access_service_pb2_grpc,
    account_service_pb2_grpc,
    card_office_service_pb2_grpc,
    holder_service_pb2_grpc,
    merchant_service_pb2_grpc,
    ops_service_pb2_grpc,
    parameter_service_pb2_grpc,
    staff_service_pb2_grpc,
    terminal_service_pb2_grpc,
)
from clients.admin.console import Exit, Failure, tr
from clients.session import REASON_HEADER, signed_channel
from clients.terminal.link import details
from core.catalogue import BY_NAME
from core.ids import make_request_id

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
DEFAULT_FRONT: Final = "127.0.0.1:50052"
TIMEOUT_S: Final = 10.0
PAGE: Final = 1_000
"""Items of a page, the most a server gives."""
_RECEIVE_MAX: Final = 8 << 20  # a message of Follow

AddressOption = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="CAMPUSCARD_ADDRESS",
        metavar="HOST:PORT",
        help=tr("服务器地址。", "Where the server listens."),
    ),
]

ReasonOption = Annotated[str, typer.Option(help=tr("原因, 记入日志。", "Why; it is journaled."))]

FrontOption = Annotated[
    str,
    typer.Option(
        "--front",
        envvar="CAMPUSCARD_FRONT",
        metavar="HOST:PORT",
        show_default=DEFAULT_FRONT,
        help=tr(
            "终端连接的地址; 给了 --server 而没给它时, 也用 --server。",
            "Where terminals call; where only --server is given, there too.",
        ),
    ),
]

_UNREACHABLE: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
Response = TypeVar("Response", bound=Message)


def front_of(address: str, front: str) -> str:
    """Return where terminals call: the server's gRPC answers them too."""
    return front or (DEFAULT_FRONT if address == DEFAULT_ADDRESS else address)


class Services:
    """Stubs of all services over one channel; use it with ``with``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = signed_channel(
            address, options=[("grpc.max_receive_message_length", _RECEIVE_MAX)]
        )
        self.access = access_service_pb2_grpc.AccessServiceStub(self._channel)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(self._channel)
        self.holders = holder_service_pb2_grpc.HolderServiceStub(self._channel)
        self.merchants = merchant_service_pb2_grpc.MerchantServiceStub(self._channel)
        self.office = card_office_service_pb2_grpc.CardOfficeServiceStub(self._channel)
        self.ops = ops_service_pb2_grpc.OpsServiceStub(self._channel)
        self.parameters = parameter_service_pb2_grpc.ParameterServiceStub(self._channel)
        self.staff = staff_service_pb2_grpc.StaffServiceStub(self._channel)
        self.terminals = terminal_service_pb2_grpc.TerminalServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(
        self,
        method: Callable[..., Response],
        request: Message,
        *,
        timeout_s: float = TIMEOUT_S,
        metadata: tuple[tuple[str, str | bytes], ...] = (),
    ) -> Response:
        """Call; where the server says that it may help, again. For reads and for acts with an id.

        Raises:
            Failure: what went wrong and the next step.
        """
        ends = time.monotonic() + timeout_s
        pause_s = 0.05
        while True:
            try:
                return method(request, timeout=timeout_s, metadata=metadata)
            except grpc.RpcError as error:
                pause_s = max(2 * pause_s, details(error).wait_s or 0.0)
                if not _may_repeat(error) or time.monotonic() + pause_s >= ends:
                    raise failure_of(error, self.address) from error
                time.sleep(pause_s)

    def pages(
        self,
        method: Callable[..., Any],
        request: Any,
        field: str,
        *,
        limit: int = 0,
        timeout_s: float = TIMEOUT_S,
        metadata: tuple[tuple[str, str | bytes], ...] = (),
    ) -> list[Any]:
        """Read a list page by page.

        Args:
            method: that lists.
            request: its filters.
            field: of the response, with the items.
            limit: items at most; 0: all of them.
            timeout_s: for one page.
            metadata: sent with each call.

        Raises:
            Failure: what went wrong and the next step.
        """
        found: list[Any] = []
        while True:
            request.page_size = min(PAGE, limit - len(found)) if limit else PAGE
            page = self.call(method, request, timeout_s=timeout_s, metadata=metadata)
            found += getattr(page, field)
            request.page_token = page.next_page_token
            if not page.next_page_token or len(found) == limit:
                return found

    def act(
        self,
        method: Callable[..., Response],
        request: Any,
        *,
        timeout_s: float = TIMEOUT_S,
        reason: str = "",
    ) -> Response:
        """Call an act of the office under one new request_id.

        Args:
            method: that acts.
            request: without an id.
            timeout_s: for all tries.
            reason: why, where the request has no field for it.

        Raises:
            Failure: what went wrong and the next step.
        """
        request.request_id = new_request_id()
        why = ((REASON_HEADER, reason.encode("utf-8")),) if reason else ()
        return self.call(method, request, timeout_s=timeout_s, metadata=why)


def new_request_id() -> str:
    """Make the id an act is named by: a UUID of version 7."""
    return make_request_id(time.time_ns() // 1_000_000, os.urandom(10))


def failure_of(error: grpc.RpcError, address: str) -> Failure:
    """Say what a gRPC error means and what to do next."""
    found = details(error)
    code = _code(error)
    if code in _UNREACHABLE and not found.reason:
        return Failure(
            tr(f"连接不上 {address} 的服务器。", f"No server answers at {address}."),
            code=Exit.UNREACHABLE,
            step=tr(
                "启动: campuscard serve   或演示: campuscard demo   其他地址: --server HOST:PORT",
                "Start one: campuscard serve   or: campuscard demo   Elsewhere: --server HOST:PORT",
            ),
        )
    english = _text(error) or str(code)
    words = tr(found.text_zh or english, english)
    known = BY_NAME.get(found.reason)
    return Failure(
        f"{words} ({found.reason})" if found.reason else words,
        code=Exit.UNREACHABLE if code in _UNREACHABLE else Exit.REFUSED,
        step=known.action if known is not None else "",
        reason=found.reason,
    )


def _may_repeat(error: grpc.RpcError) -> bool:
    """Whether the same request_id may help: busy, conflicting, or a torn connection."""
    known = BY_NAME.get(details(error).reason)
    if known is not None:
        return known.retryable
    return _code(error) == grpc.StatusCode.UNAVAILABLE and "connect" not in _text(error).lower()


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    code = getattr(error, "code", None)
    return code() if callable(code) else None


def _text(error: grpc.RpcError) -> str:
    text = getattr(error, "details", None)
    return (text() if callable(text) else "") or ""
