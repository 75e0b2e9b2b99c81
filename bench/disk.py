"""What the disk can do: the same bytes, written to a plain file and synced, and what went through.

The file is written full of zeros first, as a journal segment is, so that neither pays for
allocating blocks.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Final

PAGE: Final = 4_096
BLOCK_OVERHEAD: Final = 192
"""Header and trailer of a journal block, docs/reference/journal-format.md."""
RECORD: Final = 128
_SECTORS_FIELD: Final = 6  # of /sys/dev/block/*/stat: sectors written
_FLUSHES_FIELD: Final = 15  # flush requests completed
_SECTOR: Final = 512
_SEED: Final = 20_261_123
_MEMORY: Final = {"tmpfs", "ramfs", "devtmpfs"}


def block_bytes(size: int) -> int:
    """Return the bytes of a block of ``size`` authorizations, one record each."""
    return BLOCK_OVERHEAD + RECORD * size


class RawFile:
    """A preallocated file that takes blocks one after another: pwrite, fdatasync."""

    def __init__(self, directory: Path, size: int) -> None:
        self._size = size
        self._at = 0
        self._bytes = random.Random(_SEED).randbytes(block_bytes(8_192) + PAGE)
        self._fd = os.open(directory / "raw", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        zeros = bytes(1 << 20)
        for at in range(0, size, len(zeros)):
            os.pwrite(self._fd, zeros, at)
        os.fsync(self._fd)

    def close(self) -> None:
        """Let go of the file; who made the directory removes it."""
        os.close(self._fd)

    def write(self, blocks: int, length: int) -> list[int]:
        """Write blocks of ``length`` bytes, each durable before the next; nanoseconds of each."""
        block = memoryview(self._bytes)[:length]
        took = []
        for _ in range(blocks):
            if self._at + length > self._size:
                self._at = 0
            began = time.perf_counter_ns()
            os.pwrite(self._fd, block, self._at)
            os.fdatasync(self._fd)
            took.append(time.perf_counter_ns() - began)
            self._at += length
        return took

    def double_syncs(self, count: int, length: int) -> list[int]:
        """Write blocks, and a page after each, as LMDB's commit does; nanoseconds of both."""
        return [self.write(1, length)[0] + self.write(1, PAGE)[0] for _ in range(count)]


class Device:
    """What the disk below a directory has done so far: bytes written, caches flushed.

    The kernel counts for all processes together, so the least of several slices is what one's own
    work took. (It counts for each process too, but whole folios at the moment they become dirty:
    up to two MiB for a page.)
    """

    def __init__(self, directory: Path) -> None:
        device = directory.stat().st_dev
        at = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        if (at / "partition").exists():
            at = at.resolve().parent  # only the whole disk counts flushes
        self._path = at / "stat"

    def counts(self) -> tuple[int, int] | None:
        """Return bytes and flushes; None where there is no disk or the kernel counts neither."""
        try:
            fields = self._path.read_text(encoding="ascii").split()
        except OSError:
            return None
        if len(fields) <= _FLUSHES_FIELD:
            return None
        return int(fields[_SECTORS_FIELD]) * _SECTOR, int(fields[_FLUSHES_FIELD])

    def since(self, before: tuple[int, int] | None) -> tuple[int, int] | None:
        """Return what has come on top of ``before``."""
        now = self.counts()
        if now is None or before is None:
            return None
        return now[0] - before[0], now[1] - before[1]


def is_disk(directory: Path) -> bool:
    """Whether what is synced here survives a power cut: not a file system in memory."""
    best, kind = "", ""
    where = str(directory.resolve())
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, name, *_ = line.split()
        inside = where == mount or where.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, name
    return kind not in _MEMORY
