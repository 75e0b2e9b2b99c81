"""The journal's files, read with plain py-lmdb: of a stopped or a copied directory, never live."""

from __future__ import annotations

import fcntl
import os
import re
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import lmdb

from server.offline import layout as at
from server.offline import trees
from server.offline.findings import Difference

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator
    from pathlib import Path

LMDB_0_9: Final = 0
"""py-lmdb's number for the 0.9 engine, whose file format the journal has."""
SEGMENT_NAME: Final = re.compile(r"\d{6}")
KEY_BYTES: Final = 8


class DirectoryError(Exception):
    """This is no data directory, or it cannot be read now."""


class DirectoryInUse(DirectoryError):
    """A process works on the directory."""


@contextmanager
def at_rest(directory: Path) -> Iterator[None]:
    """Keep engines out of a directory while it is read.

    A copy without a lock file, or on a medium that cannot be written, needs no lock.

    Raises:
        DirectoryInUse: a process holds the directory.
    """
    try:
        handle = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DirectoryInUse(
            f"{directory} is in use: stop the server, or take a copy of the directory"
        ) from None
    try:
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Segment:
    """One environment of the journal, open for reading."""

    name: str
    env: lmdb.Environment
    keys: array[int]
    """Last seq of every block, as the file's tree has them."""

    @property
    def last_key(self) -> int:
        """Last seq of its last block; 0 when it is empty."""
        return self.keys[-1] if self.keys else 0


class JournalFiles:
    """All segments of one journal."""

    def __init__(self, directory: Path) -> None:
        journal = directory / "journal"
        if not journal.is_dir():
            raise DirectoryError(f"{directory} is no data directory: it has no journal")
        names = sorted(p.name for p in journal.iterdir() if SEGMENT_NAME.fullmatch(p.name))
        if not names:
            raise DirectoryError(f"{journal} has no segments")
        self.segments: list[Segment] = []
        try:
            for name in names:
                self.segments.append(open_segment(journal / name))
        except BaseException:
            self.close()
            raise

    @property
    def last_seq(self) -> int:
        """The newest seq, as the trees say."""
        return max((s.last_key for s in self.segments), default=0)

    def close(self) -> None:
        """Let the files go."""
        for segment in self.segments:
            segment.env.close()
        self.segments.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def blocks(self, from_seq: int = 1) -> Iterator[tuple[int, bytes]]:
        """Yield (key, bytes) of every block from the one that holds a seq on.

        Raises:
            Difference: a tree of LMDB cannot be read.
        """
        expected = from_seq
        for segment in self.segments:
            if segment.last_key < from_seq:
                continue
            with reading(segment, expected) as cursor:
                start = max(from_seq, 1).to_bytes(KEY_BYTES, "little")
                more = cursor.set_range(start)
                # What the file's tree has and LMDB does not give would be a missing block.
                for wanted in segment.keys[bisect_left(segment.keys, from_seq) :]:
                    key = int.from_bytes(cursor.key(), "little") if more else 0
                    if key != wanted:
                        raise Difference(expected, f"segment {segment.name}: no block {wanted}")
                    yield key, bytes(cursor.value())
                    expected = key + 1
                    more = cursor.next()

    def record(self, seq: int) -> at.Entry:
        """Read one record, its body as money.

        Raises:
            Difference: there is no such record.
        """
        raw = self.raw_record(seq)
        return at.Entry._make(at.RECORD.unpack(raw))

    def raw_record(self, seq: int) -> bytes:
        """Return the 128 bytes of one record."""
        for segment in self.segments:
            if segment.last_key < seq:
                continue
            with reading(segment, seq) as cursor:
                if not cursor.set_range(seq.to_bytes(KEY_BYTES, "little")):
                    break
                block = bytes(cursor.value())
                first = int.from_bytes(block[24:32], "little")
                start = at.ROW_BYTES * (1 + seq - first)
                raw = block[start : start + at.ROW_BYTES]
                if seq >= first and int.from_bytes(raw[:8], "little") == seq:
                    return raw
            break
        raise Difference(seq, "the record cannot be found")


def open_segment(path: Path) -> Segment:
    """Look at one segment's file, then open it.

    Raises:
        Difference: the file is damaged.
        DirectoryError: it is none, or cannot be opened.
    """
    try:
        keys = trees.check(path / "data.mdb")
        size = (path / "data.mdb").stat().st_size
        env = lmdb.open(
            str(path),
            lib_version=LMDB_0_9,
            map_size=size,
            readonly=True,
            lock=False,
            create=False,
            max_readers=1,
        )
    except (OSError, ValueError, lmdb.Error) as error:
        raise DirectoryError(f"segment {path.name} cannot be opened: {error}") from error
    return Segment(path.name, env, keys)


@contextmanager
def reading(segment: Segment, seq: int) -> Iterator[lmdb.Cursor]:
    """Open a cursor; what LMDB cannot read is a difference at the seq that was expected."""
    try:
        with segment.env.begin() as txn, txn.cursor() as cursor:
            yield cursor
    except lmdb.Error as error:
        raise Difference(seq, f"segment {segment.name}: {error}") from error
