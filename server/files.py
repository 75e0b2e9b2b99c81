"""Files of holders beside the journal: photos and papers, sealed, named by what they are.

``files/AB/CD….sealed`` holds one file sealed under its holder's key; its address is the SHA-256 of the
sealed bytes, which a document in the journal names. A file is whole and synced before it is named, so
a document never names one that is not there; one that no document names is left over from an act
that was refused, and does no harm. With the key of the holder all of its files are unreadable.

**Source:** regulation 三.1(3), 三.4(3), 七.2; PIPL art. 47 (erasure), 51 (encryption).
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from server.keys import sync_directory, write_synced

if TYPE_CHECKING:
    from pathlib import Path

    from server.keys import Keyring

ADDRESS_BYTES: Final = 32


class SealedFiles:
    """The files of one data directory. Safe to use from several threads.

    Args:
        directory: made when the first file comes, mode 0700.
        keys: of the holders.
    """

    def __init__(self, directory: Path, keys: Keyring) -> None:
        self.directory = directory
        self._keys = keys

    def put(self, number: int, content: bytes) -> bytes:
        """Seal and keep a file of holder ``number``; returns its address when it is durable.

        The same content of the same holder has the same address and is kept once.

        Raises:
            ValueError: the holder's key was destroyed.
            OSError: it cannot be written.
        """
        sealed = self._keys.seal_file(number, content)
        address = hashlib.sha256(sealed).digest()
        path = path_of(self.directory, address)
        if not path.exists() or path.stat().st_size != len(sealed):
            keep_sealed(self.directory, address, sealed)
        return address

    def address(self, number: int, content: bytes) -> bytes:
        """Return the address a file of holder ``number`` would have; writes nothing.

        Raises:
            ValueError: the holder's key was destroyed.
        """
        return hashlib.sha256(self._keys.seal_file(number, content)).digest()

    def get(self, number: int, address: bytes) -> bytes | None:
        """Return a file's content; None when it is gone, damaged, or its key is destroyed."""
        sealed = self.sealed(address)
        return None if sealed is None else self._keys.unseal_file(number, sealed)

    def sealed(self, address: bytes) -> bytes | None:
        """Return a file as it is kept; None when it is gone or damaged."""
        try:
            sealed = path_of(self.directory, address).read_bytes()
        except FileNotFoundError:
            return None
        return sealed if hashlib.sha256(sealed).digest() == address else None


def path_of(directory: Path, address: bytes) -> Path:
    """Return where a file of this address is kept."""
    if len(address) != ADDRESS_BYTES:
        raise ValueError(f"an address has {ADDRESS_BYTES} bytes")
    name = address.hex()
    return directory / name[:2] / f"{name[2:]}.sealed"


def keep_sealed(directory: Path, address: bytes, sealed: bytes) -> None:
    """Keep sealed bytes under their address; they are durable when it returns.

    Raises:
        OSError: they cannot be written.
    """
    path = path_of(directory, address)
    if not path.parent.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        sync_directory(directory)
    write_synced(path, sealed)


def make_folder(folder: Path) -> None:
    """Make a folder that is there after any crash, mode 0700, unless it is there."""
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
