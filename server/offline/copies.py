"""Writing a copy: the engine's own journal writer, with types.

Reading shares nothing with the engine; writing must be exactly its: segments, commits, syncs.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The engine's modules have no stubs but for its one face.
_mirrors: Final[Any] = import_module("ext.mirror")
_stores: Final[Any] = import_module("ext.store")


class Copy(Protocol):
    """An open journal that blocks can be appended to."""

    @property
    def last_seq(self) -> int:
        """The newest seq, 0 for an empty journal."""

    @property
    def last_chain(self) -> bytes:
        """The chain hash of the newest block."""

    def append(self, block: bytes) -> None:
        """Check a block that follows the newest one and write it, durably unless unsynced.

        Raises:
            JournalCorrupt: it does not follow, or fails a check.
        """

    def sync(self) -> None:
        """Make everything written durable."""

    def prepare(self) -> bool:
        """Make the next segment when it is time."""

    def blocks(self, from_seq: int = 1) -> list[bytes]:
        """Return whole blocks from the one holding from_seq on."""


@contextmanager
def open_copy(directory: Path, *, unsynced: bool = False) -> Iterator[Copy]:
    """Open a data directory for appending; its lock is held meanwhile.

    Args:
        directory: the copy.
        unsynced: nobody relies on it yet: nothing is durable before ``sync``.

    Raises:
        DirectoryBusy: another process works on it.
    """
    with _mirrors.Mirror(str(directory), write=True, unsynced=unsynced) as copy:
        yield copy


def make_copy(directory: Path, identity: bytes) -> None:
    """Make an empty data directory with the identity of another one.

    Raises:
        EngineError: the directory holds something.
    """
    _stores.init_copy(str(directory), identity)
