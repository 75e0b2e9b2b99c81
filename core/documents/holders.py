"""Documents of holders: forms, who came in with them, changes, photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from core.documents.base import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterReceived(Document):
    """A roster came in: what is kept of the form itself.

    ``sha256`` is of the file; ``kind`` as in the proto's HolderKind; ``class_name`` is empty where
    all classes were asked for.
    """

    KIND: ClassVar[int] = 32
    sha256: bytes
    file_name: str
    kind: int
    class_name: str
    rows: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldersAdded(Document):
    """Up to eight holders of a roster, each with the account opened by the record in its place."""

    KIND: ClassVar[int] = 33
    roster: bytes
    account_nos: tuple[str, ...]
    sealed: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldersChanged(Document):
    """Holders as they are afterwards. ``statuses`` as in the proto's HolderStatus.

    ``roster`` is the SHA-256 of the form the change came with; empty: of none. ``held`` are the
    accounts that its effects suspend for a leave, until the holder is ENROLLED again.
    """

    KIND: ClassVar[int] = 34
    roster: bytes
    numbers: tuple[int, ...]
    sealed: tuple[bytes, ...]
    statuses: tuple[int, ...]
    held: tuple[int, ...] = ()

    def about(self) -> tuple[int, ...]:
        """Return the holders' accounts."""
        return self.numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotosStored(Document):
    """Photos, each the newest of its holder from now on.

    ``addresses`` are SHA-256 of the stored files, which are sealed under the holder's key.
    """

    KIND: ClassVar[int] = 35
    numbers: tuple[int, ...]
    addresses: tuple[bytes, ...]
    widths: tuple[int, ...]
    heights: tuple[int, ...]
    sizes: tuple[int, ...]

    def about(self) -> tuple[int, ...]:
        """Return the holders' accounts."""
        return self.numbers


DOCUMENTS: Final[tuple[type[Document], ...]] = (
    RosterReceived,
    HoldersAdded,
    HoldersChanged,
    PhotosStored,
)
