"""The identity of a data directory and its key file: 256 and 64 bytes, read without the engine.

**Source:** docs/reference/journal-format.md, the directory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from server.offline.checksums import crc32c
from server.offline.files import DirectoryError

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "campuscard"
IDENTITY_MAGIC: Final = int.from_bytes(b"CAMPCID1", "little")
KEY_MAGIC: Final = int.from_bytes(b"CAMPKEY1", "little")
TEST: Final = 1
SEGMENT_BYTES: Final = 256 << 20

_IDENTITY: Final = struct.Struct("<QHHI16sqQ16sB7x56s56s68xI")
_KEY: Final = struct.Struct("<QB7x32s16s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which campus a directory is of, and which key goes with it."""

    format: int = 1
    min_reader: int = 1
    flags: int = 0
    uuid: bytes = bytes(16)
    created_us: int = 0
    segment_bytes: int = SEGMENT_BYTES
    key_check: bytes = bytes(16)
    key_id: int = 0
    rules: bytes = bytes(56)
    meals: bytes = bytes(56)

    @property
    def test(self) -> bool:
        """Whether it may run on a clock file."""
        return bool(self.flags & TEST)

    def pack(self) -> bytes:
        """Return the file's bytes."""
        head = _IDENTITY.pack(
            IDENTITY_MAGIC,
            self.format,
            self.min_reader,
            self.flags,
            self.uuid,
            self.created_us,
            self.segment_bytes,
            self.key_check,
            self.key_id,
            self.rules,
            self.meals,
            0,
        )
        return head[:-4] + crc32c(head[:-4]).to_bytes(4, "little")

    def check_key(self, key_file: Path) -> None:
        """See that a key file is the one that goes with it.

        Raises:
            DirectoryError: no key file, or the key of another directory.
        """
        if read_key(key_file) != (self.key_id, self.key_check):
            raise DirectoryError(f"{key_file} is the key of another data directory")


def read(path: Path) -> Identity:
    """Read an identity file.

    Args:
        path: the file, or the data directory it is in.

    Raises:
        DirectoryError: it is none, or damaged.
    """
    file = path / NAME if path.is_dir() else path
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DirectoryError(f"{file} cannot be read: {error.strerror}") from error
    return unpack(raw, str(file))


def unpack(raw: bytes, where: str) -> Identity:
    """Read an identity from its bytes.

    Raises:
        DirectoryError: it is none, or damaged.
    """
    if len(raw) != _IDENTITY.size:
        raise DirectoryError(f"{where} is not the identity of a data directory")
    magic, *values, crc = _IDENTITY.unpack(raw)
    if magic != IDENTITY_MAGIC:
        raise DirectoryError(f"{where} is not the identity of a data directory")
    if crc != crc32c(raw[:-4]):
        raise DirectoryError(f"{where} is damaged")
    return Identity(**dict(zip(Identity.__dataclass_fields__, values, strict=True)))


def read_key(path: Path) -> tuple[int, bytes]:
    """Return a key file's number and check value; the key itself is not looked at.

    Raises:
        DirectoryError: it is no key file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DirectoryError(f"the key file {path} cannot be read: {error.strerror}") from error
    if len(raw) != _KEY.size or int.from_bytes(raw[:8], "little") != KEY_MAGIC:
        raise DirectoryError(f"{path} is not a key file")
    _magic, key_id, _key, check = _KEY.unpack(raw)
    return key_id, check
