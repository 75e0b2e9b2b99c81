"""Documents of holders' two passwords and of self-service.

``account`` is the account's number. ``sealed`` holds, under the holder's key, what a password is
known by later: the hash of a query password, and the keyed hash no other password may have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from core.documents.base import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionPasswordSet(Document):
    """The transaction password was changed."""

    KIND: ClassVar[int] = 80
    account: int
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionPasswordReset(Document):
    """The counter gave back an initial transaction password."""

    KIND: ClassVar[int] = 81
    account: int
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPasswordSet(Document):
    """The holder changed the query password."""

    KIND: ClassVar[int] = 82
    account: int
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPasswordReset(Document):
    """The counter gave back an initial query password and ended the lock of self-service."""

    KIND: ClassVar[int] = 83
    account: int
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPasswordFailed(Document):
    """A wrong query password was counted; ``locked_until_us`` 0: not locked."""

    KIND: ClassVar[int] = 84
    account: int
    fails: int
    locked_until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderSignedIn(Document):
    """A holder signed in to self-service; the session ends at ``until_us`` at the latest."""

    KIND: ClassVar[int] = 85
    account: int
    until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderSignedOut(Document):
    """A holder ended the session."""

    KIND: ClassVar[int] = 86
    account: int


DOCUMENTS: Final[tuple[type[Document], ...]] = (
    TransactionPasswordSet,
    TransactionPasswordReset,
    QueryPasswordSet,
    QueryPasswordReset,
    QueryPasswordFailed,
    HolderSignedIn,
    HolderSignedOut,
)
