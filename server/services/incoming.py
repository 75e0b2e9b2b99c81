"""A file that comes in as a stream: its header, then pieces, all of it within bounds.

**Source:** regulation 七.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from core.refusals import Refusal, invalid
from server.services import fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE_MAX: Final = 61_440
"""Bytes of one piece at most."""
NAME_MAX: Final = 200
"""Characters of a file's name at most."""

_Header = TypeVar("_Header")


class Incoming(Generic[_Header]):
    """One file coming in.

    Args:
        requests: the stream.
    """

    def __init__(self, requests: AsyncIterator[Any]) -> None:
        self._requests = requests

    async def header(self) -> _Header:
        """Return the header: the first message."""
        async for request in self._requests:
            if request.WhichOneof("part") != "header":
                break
            header: _Header = request.header
            return header
        raise invalid("header", "the first message of the stream")

    async def pieces(self, *, bytes_max: int) -> AsyncIterator[bytes]:
        """Yield the pieces.

        Args:
            bytes_max: of all of them together.

        Raises:
            Refusal: FIELD_INVALID, FILE_TOO_LARGE.
        """
        total = 0
        async for request in self._requests:
            if request.WhichOneof("part") != "content":
                raise invalid("content", "nothing but pieces after the header")
            if not 1 <= len(request.content) <= PIECE_MAX:
                raise invalid("content", f"1 to {PIECE_MAX} bytes")
            total += len(request.content)
            if total > bytes_max:
                raise Refusal("FILE_TOO_LARGE", allowedBytes=bytes_max)
            yield request.content


def file_name(value: str) -> str:
    """Read the name of a file: for people only, it never becomes a path."""
    name = fields.text("file_name", value, shortest=1, longest=NAME_MAX)
    if "/" in name or "\\" in name:
        raise invalid("file_name", "a name without folders")
    return name
