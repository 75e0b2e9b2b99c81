"""Documents of accounts, media, money and merchants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from core.documents.base import Document


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
class MediumBound(Document):
    """A medium was bound to an account."""

    KIND: ClassVar[int] = 6
    medium_type: int
    medium_token: bytes


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
class HolderErased(Document):
    """A holder's key was destroyed: name and class can be read nowhere any more."""

    KIND: ClassVar[int] = 11


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


DOCUMENTS: Final[tuple[type[Document], ...]] = (
    AccountOpened,
    AccountStatusSet,
    LimitsSet,
    MediumBound,
    MediumUnbound,
    ToppedUp,
    SubsidyGranted,
    HolderErased,
    MerchantSet,
    TerminalSet,
)
