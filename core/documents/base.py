"""What all documents have in common: their bytes, and who acted.

**Source:** the journal's payload area; regulation 七.2, 七.3.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class DocumentError(Exception):
    """Bytes that are no document of a known kind and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who acted, as what, by which way, and why.

    ``actor`` is ``system``, ``staff:N``, ``holder:N`` (N the number of the account) or
    ``terminal:NAME``; never a person's name. ``reason`` is what the caller stated, at most
    200 characters, or the permission's ground (``core.permissions``).

    **Source:** regulation 八.3: who did it, and why, can be asked.
    """

    actor: str
    role: str = ""
    channel: str = ""
    reason: str = ""


SYSTEM: Final = By(actor="system")
"""Acts nobody asked for: the first ones of a directory and those that fall due."""

_BY_FIELDS: Final = {field.name for field in fields(By)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Base of all kinds. Fields are ``str``, ``int``, ``bytes``, or tuples of one of these."""

    KIND: ClassVar[int] = 0
    VERSION: ClassVar[int] = 1

    def encode(self, by: By = SYSTEM) -> bytes:
        """Return the canonical bytes."""
        values: dict[str, object] = {"v": self.VERSION}
        if by != SYSTEM:
            values["by"] = {name: getattr(by, name) for name in _BY_FIELDS if getattr(by, name)}
        for field in fields(self):
            values[field.name] = _written(getattr(self, field.name))
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return text.encode("utf-8")

    def about(self) -> tuple[int, ...]:
        """Return the numbers of accounts it names itself; others stand in its command's records."""
        number: int = getattr(self, "account", 0)
        return (number,) if number else ()

    def files(self) -> tuple[bytes, ...]:
        """Return the addresses of the sealed files it names, 32 bytes each."""
        return ()

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Make a document from decoded JSON, with every field there and of its type."""
        wanted = {field.name: _READERS[str(field.type)] for field in fields(cls)}
        if values.keys() != wanted.keys():
            raise DocumentError(f"{cls.__name__}: fields {sorted(values)}")
        return cls(**{name: read(values[name]) for name, read in wanted.items()})


def read_document(document_type: type[Document], payload: bytes) -> tuple[Document, By]:
    """Read the bytes of a document of one kind.

    Raises:
        DocumentError: another version, or not the canonical bytes of one.
    """
    try:
        values = json.loads(payload)
        version = values.pop("v")
        by = _read_by(values.pop("by")) if "by" in values else SYSTEM
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DocumentError(f"{document_type.__name__}: {error}") from error
    if version != document_type.VERSION:
        raise DocumentError(f"{document_type.__name__}: unknown version {version}")
    document = document_type.from_values(values)
    if document.encode(by) != payload:
        raise DocumentError(f"{document_type.__name__}: not canonical")
    return document, by


def _read_by(values: dict[str, Any]) -> By:
    if not values.keys() <= _BY_FIELDS:
        raise DocumentError(f"by: fields {sorted(values)}")
    return By(**{name: _read_text(value) for name, value in values.items()})


def _written(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return [_written(item) for item in value] if isinstance(value, tuple) else value


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise DocumentError("a text is needed")
    return value


def _read_number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise DocumentError("a whole number is needed")
    return value


def _read_bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_read_text(value), validate=True)
    except binascii.Error as error:
        raise DocumentError("base64 is needed") from error


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise DocumentError("a list is needed")
    return value


def _read_texts(value: object) -> tuple[str, ...]:
    return tuple(map(_read_text, _items(value)))


def _read_numbers(value: object) -> tuple[int, ...]:
    return tuple(map(_read_number, _items(value)))


def _read_many_bytes(value: object) -> tuple[bytes, ...]:
    return tuple(map(_read_bytes, _items(value)))


_READERS: Final[dict[str, Callable[[object], Any]]] = {
    "str": _read_text,
    "int": _read_number,
    "bytes": _read_bytes,
    "tuple[str, ...]": _read_texts,
    "tuple[int, ...]": _read_numbers,
    "tuple[bytes, ...]": _read_many_bytes,
}
