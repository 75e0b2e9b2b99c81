"""The session of the person at this machine: kept in a file, sent with every call but a terminal's.

``$XDG_STATE_HOME/campuscard/session.json`` (or below ``~/.local/state``), readable by nobody else,
holds one session per server. ``CAMPUSCARD_TOKEN`` wins over it.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

from clients.terminal.link import CHANNEL_OPTIONS

TOKEN_VARIABLE: Final = "CAMPUSCARD_TOKEN"  # noqa: S105 - the name of a variable
REASON_VARIABLE: Final = "CAMPUSCARD_REASON"
REASON_HEADER: Final = "x-reason-bin"
FILE_NAME: Final = "session.json"
_PACKAGE: Final = "/campuscard."
_TERMINALS: Final = (
    "/campuscard.v1.TerminalService/",
    "/campuscard.v1.AccessService/CheckAccess",
    "/campuscard.v1.AccessService/PresentCarrier",
)

TokenSource = Callable[[], str]


def state_directory() -> Path:
    """Return where this person's state lies."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "campuscard"


def token_for(address: str) -> str:
    """Return the token to send to a server; empty: nobody is signed in there."""
    return os.environ.get(TOKEN_VARIABLE, "") or str(_read().get(address, {}).get("token", ""))


def keep_session(address: str, *, name: str, token: str, until_us: int) -> Path:
    """Keep the session of a server; returns the file."""
    return _write({**_read(), address: {"name": name, "token": token, "until_us": until_us}})


def forget_session(address: str) -> None:
    """Forget the session of a server."""
    sessions = _read()
    if sessions.pop(address, None) is not None:
        _write(sessions)


def signed_metadata(token: str) -> tuple[tuple[str, str | bytes], ...]:
    """Return what a call carries: nothing without a token.

    The reason in ``CAMPUSCARD_REASON`` goes along, for acts whose request has no field for one.
    """
    if not token:
        return ()
    reason = os.environ.get(REASON_VARIABLE, "")
    why = ((REASON_HEADER, reason.encode("utf-8")),) if reason else ()
    return (("authorization", f"Bearer {token}"), *why)


def _read() -> dict[str, dict[str, Any]]:
    try:
        value = json.loads((state_directory() / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(sessions: dict[str, dict[str, Any]]) -> Path:
    directory = state_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{FILE_NAME}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(sessions, stream, indent=2)
        path = directory / FILE_NAME
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    return path


# -- sending it -----------------------------------------------------------------------------------

_Details = namedtuple(  # noqa: PYI024 - grpc's own has no public class either
    "_Details", "method timeout metadata credentials wait_for_ready compression"
)


class Bearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends a token with every call of ours that is no terminal's."""

    def __init__(self, token: TokenSource) -> None:
        self._token = token

    def _intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        if not _is_signed(details.method, details.metadata):
            return continuation(details, request)
        metadata = _with_signature(details.metadata, self._token())
        changed = _Details(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
        return continuation(changed, request)

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept
    intercept_stream_unary: Any = _intercept
    intercept_stream_stream: Any = _intercept


def signed_channel(
    address: str, *, options: list[tuple[str, Any]], token: TokenSource | None = None
) -> grpc.Channel:
    """Open a channel whose calls carry the person's token."""
    source = token or (lambda: token_for(address))
    return grpc.intercept_channel(grpc.insecure_channel(address, options=options), Bearer(source))


class _AioUnary(grpc.aio.UnaryUnaryClientInterceptor):
    """The same for ``grpc.aio``, which wants a class for each shape."""

    def __init__(self, token: TokenSource) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(_aio_details(client_call_details, self._token), request)


class _AioStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, token: TokenSource) -> None:
        self._token = token

    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(_aio_details(client_call_details, self._token), request)


def connect_signed(address: str, *, token: TokenSource | None = None) -> grpc.aio.Channel:
    """Open a channel of asyncio whose calls carry the person's token."""
    source = token or (lambda: token_for(address))
    return grpc.aio.insecure_channel(
        address,
        options=list(CHANNEL_OPTIONS),
        interceptors=[_AioUnary(source), _AioStream(source)],
    )


def _aio_details(details: Any, token: TokenSource) -> Any:
    method = details.method
    name = method.decode() if isinstance(method, bytes) else method
    if not _is_signed(name, details.metadata):
        return details
    metadata = grpc.aio.Metadata(*_with_signature(details.metadata, token()))
    return grpc.aio.ClientCallDetails(
        method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


def _with_signature(metadata: Any, token: str) -> list[tuple[str, str | bytes]]:
    """Add what the call does not carry already: its own reason comes first."""
    given = list(metadata or ())
    named = {key for key, _ in given}
    return given + [pair for pair in signed_metadata(token) if pair[0] not in named]


def _is_signed(method: str, metadata: Any) -> bool:
    """Whether a call takes the kept token: no terminal's, and not with another token already."""
    if not method.startswith(_PACKAGE) or method.startswith(_TERMINALS):
        return False
    return all(key != "authorization" for key, _ in metadata or ())
