"""A look at a segment's LMDB file before LMDB does, without trusting a byte of it.

LMDB 0.9 has no checksums. A flipped bit in a meta page can make an older tree the newest one, one
in a page can hide blocks or lead LMDB outside the file. Every commit of ours adds exactly one
block, so a sound file satisfies more than LMDB asks for: both meta pages are one commit apart,
there are as many blocks as commits after the first, and their keys ascend.

**Source:** LMDB 0.9's lmdb.h and mdb.c: MDB_meta, MDB_db, MDB_page, MDB_node, 64-bit little-endian.
"""

from __future__ import annotations

import mmap
import struct
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from server.offline.findings import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = 4096
HEADER: Final = struct.Struct("<QHHHH")
META: Final = struct.Struct("<IIQQ48sIHHQQQQQQQ")
NODE: Final = struct.Struct("<HHHH")
META_MAGIC: Final = 0xBEEF_C0DE
META_VERSION: Final = 1
NO_PAGE: Final = 0xFFFF_FFFF_FFFF_FFFF
P_BRANCH: Final = 1
P_LEAF: Final = 2
P_OVERFLOW: Final = 4
P_META: Final = 8
F_BIGDATA: Final = 1
KEY_BYTES: Final = 8
DEPTH_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Meta:
    """What a meta page says of the tree of blocks."""

    depth: int
    entries: int
    root: int
    last_page: int
    commit: int


def check(path: Path) -> array[int]:
    """Walk a segment's tree of blocks.

    Args:
        path: the segment's data.mdb.

    Returns:
        The keys of all blocks, ascending.

    Raises:
        Difference: the file is damaged; the seq is the one after the last block found sound.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as area:
        return Tree(area, path.parent.name).keys()


class Tree:
    """One segment's file."""

    def __init__(self, area: mmap.mmap | bytes, name: str) -> None:
        self._area = area
        self._name = name
        self._last = 0

    def _wrong(self, what: str) -> Difference:
        return Difference(self._last + 1, f"segment {self._name}: {what}")

    def keys(self) -> array[int]:
        """Return the keys of all blocks."""
        if len(self._area) < 2 * PAGE:
            raise self._wrong("the file is too short")
        one, other = self._meta(0), self._meta(1)
        if abs(one.commit - other.commit) != 1:
            raise self._wrong("the two meta pages are not one commit apart")
        before, newest = sorted((one, other), key=lambda meta: meta.commit)
        if before.entries == newest.entries + 1:
            # LMDB leaves the same when it cannot write a meta page.
            raise self._wrong(
                "a commit was cut short at its very end, or its number is damaged; "
                "the next start of the server settles which"
            )
        if newest.entries != newest.commit - 1:
            blocks, commits = newest.entries, newest.commit
            raise self._wrong(f"{blocks} blocks after {commits} commits: a meta page is damaged")
        found = array("Q")
        if newest.root != NO_PAGE:
            for key in self._walk(newest.root, newest, newest.depth):
                if key <= self._last:
                    raise self._wrong("keys do not ascend")
                self._last = key
                found.append(key)
        if len(found) != newest.entries:
            raise self._wrong(f"{len(found)} blocks of {newest.entries} can be found")
        return found

    def _meta(self, number: int) -> Meta:
        at = number * PAGE
        pgno, _, flags, _, _ = HEADER.unpack_from(self._area, at)
        magic, version, _, _, _, _, _, depth, *rest = META.unpack_from(self._area, at + HEADER.size)
        if (pgno, flags, magic, version) != (number, P_META, META_MAGIC, META_VERSION):
            raise self._wrong("a meta page is damaged")
        _branch, _leaf, _overflow, entries, root, last_page, commit = rest
        if depth > DEPTH_MAX or (last_page + 1) * PAGE > len(self._area):
            raise self._wrong("a meta page points outside the file")
        return Meta(depth, entries, root, last_page, commit)

    def _page(self, number: int, meta: Meta, flags: int) -> tuple[int, int, int]:
        """Return (offset, lower, upper) of a page of this kind."""
        if not 2 <= number <= meta.last_page:
            raise self._wrong("a page outside the tree")
        at = number * PAGE
        pgno, _, found, lower, upper = HEADER.unpack_from(self._area, at)
        if pgno != number or found != flags:
            raise self._wrong(f"page {number} is not the page it should be")
        return at, lower, upper

    def _nodes(self, at: int, lower: int, upper: int) -> Iterator[int]:
        """Yield the offset of every node of a page."""
        if lower % 2 or not HEADER.size < lower <= upper <= PAGE:
            raise self._wrong(f"page {at // PAGE} has impossible bounds")
        for place in range(at + HEADER.size, at + lower, 2):
            node = int.from_bytes(self._area[place : place + 2], "little")
            if node < upper or node + NODE.size > PAGE or node % 2:
                raise self._wrong(f"page {at // PAGE} has a node outside it")
            yield at + node

    def _walk(self, number: int, meta: Meta, depth: int) -> Iterator[int]:
        if depth < 1:
            raise self._wrong("the tree is deeper than it says")
        at, lower, upper = self._page(number, meta, P_LEAF if depth == 1 else P_BRANCH)
        end = at + PAGE
        for node in self._nodes(at, lower, upper):
            low, high, flags, key_bytes = NODE.unpack_from(self._area, node)
            if depth > 1:
                if node + NODE.size + key_bytes > end:
                    raise self._wrong("a node outside its page")
                yield from self._walk(low | high << 16 | flags << 32, meta, depth - 1)
                continue
            start = node + NODE.size
            if key_bytes != KEY_BYTES or flags & ~F_BIGDATA:
                raise self._wrong("a node that is no block")
            key = int.from_bytes(self._area[start : start + KEY_BYTES], "little")
            self._value(start + KEY_BYTES, end, low | high << 16, flags, meta)
            yield key

    def _value(self, start: int, end: int, length: int, flags: int, meta: Meta) -> None:
        """See that a block lies inside its page, or inside pages of its own."""
        if not flags & F_BIGDATA:
            if start + length > end:
                raise self._wrong("a block outside its page")
            return
        if start + KEY_BYTES > end:
            raise self._wrong("a node outside its page")
        number = int.from_bytes(self._area[start : start + KEY_BYTES], "little")
        at, low, high = self._page(number, meta, P_OVERFLOW)
        pages = low | high << 16
        fits = at + pages * PAGE <= (meta.last_page + 1) * PAGE
        if not fits or HEADER.size + length > pages * PAGE:
            raise self._wrong("a block outside its pages")
