"""Documents: what an act of the office says that no record has a place for.

A document's bytes are canonical JSON in UTF-8: one object, keys sorted, no white space, texts not
escaped beyond JSON's needs, bytes as base64 (RFC 4648, padded), always with ``"v"``, the version of
its kind. What a record carries (status, limits, balances) is not repeated here. The kind's number
stands in the document record, is durable and never reused. An unknown kind or version is refused:
a reader that guessed would build another registry than its neighbour.

Fields that identify a person are sealed before they come here (``sealed``).

**Source:** the journal's payload area; regulation 七.2, 七.3.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Self


class DocumentError(Exception):
    """Bytes that are no document of a known kind and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Base of all kinds. Fields are ``str``, ``int``, ``bytes`` or ``tuple[str, ...]``."""

    KIND: ClassVar[int] = 0
    VERSION: ClassVar[int] = 1

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        values: dict[str, object] = {"v": self.VERSION}
        for field in fields(self):
            value = getattr(self, field.name)
            values[field.name] = (
                base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
            )
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return text.encode("utf-8")

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Make a document from decoded JSON, with every field there and of its type."""
        wanted = {field.name: _READERS[str(field.type)] for field in fields(cls)}
        if values.keys() != wanted.keys():
            raise DocumentError(f"{cls.__name__}: fields {sorted(values)}")
        return cls(**{name: read(values[name]) for name, read in wanted.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened(Document):
    """An account was opened; with a medium when ``medium_type`` is not 0."""

    KIND: ClassVar[int] = 1
    account_no: str
    sealed: bytes
    medium_type: int = 0
    medium_token: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatusSet(Document):
    """An account's status was changed."""

    KIND: ClassVar[int] = 2
    previous: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsSet(Document):
    """Personal limits were set; the record carries them."""

    KIND: ClassVar[int] = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSet(Document):
    """The holder changed the transaction password."""

    KIND: ClassVar[int] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordReset(Document):
    """The counter gave back an initial transaction password."""

    KIND: ClassVar[int] = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumBound(Document):
    """A medium was bound to an account."""

    KIND: ClassVar[int] = 6
    medium_type: int
    medium_token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumStateSet(Document):
    """An event in the life of a medium; ``event`` as in the proto's MediumEvent."""

    KIND: ClassVar[int] = 7
    event: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumUnbound(Document):
    """A medium was taken off its account."""

    KIND: ClassVar[int] = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ToppedUp(Document):
    """Money came in; ``source`` as in the proto's TopUpSource."""

    KIND: ClassVar[int] = 9
    source: int
    channel_txn_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsidyGranted(Document):
    """A subsidy was credited."""

    KIND: ClassVar[int] = 10
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantSet(Document):
    """A merchant was created or changed: as it is afterwards."""

    KIND: ClassVar[int] = 16
    merchant_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalSet(Document):
    """A terminal was created or changed: as it is afterwards."""

    KIND: ClassVar[int] = 17
    merchant_id: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MealsSet(Document):
    """Meal periods were replaced; the record carries their minutes."""

    KIND: ClassVar[int] = 18
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesSet(Document):
    """Limit rules were changed; the record carries them."""

    KIND: ClassVar[int] = 19


KINDS: Final[dict[int, type[Document]]] = {
    kind.KIND: kind
    for kind in (
        AccountOpened,
        AccountStatusSet,
        LimitsSet,
        PasswordSet,
        PasswordReset,
        MediumBound,
        MediumStateSet,
        MediumUnbound,
        ToppedUp,
        SubsidyGranted,
        MerchantSet,
        TerminalSet,
        MealsSet,
        RulesSet,
    )
}


def decode(kind: int, payload: bytes) -> Document:
    """Read a document.

    Args:
        kind: from the document record.
        payload: its bytes.

    Raises:
        DocumentError: unknown kind or version, or not the canonical bytes of one.
    """
    document_type = KINDS.get(kind)
    if document_type is None:
        raise DocumentError(f"unknown kind {kind}")
    try:
        values = json.loads(payload)
        version = values.pop("v")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DocumentError(f"{document_type.__name__}: {error}") from error
    if version != document_type.VERSION:
        raise DocumentError(f"{document_type.__name__}: unknown version {version}")
    document = document_type.from_values(values)
    if document.encode() != payload:
        raise DocumentError(f"{document_type.__name__}: not canonical")
    return document


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


def _read_texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise DocumentError("a list of texts is needed")
    return tuple(_read_text(item) for item in value)


_READERS: Final = {
    "str": _read_text,
    "int": _read_number,
    "bytes": _read_bytes,
    "tuple[str, ...]": _read_texts,
}
