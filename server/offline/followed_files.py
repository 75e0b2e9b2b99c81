"""The holders' files of a followed journal: photos and papers, sealed, fetched as documents name them.

A document names a file by the SHA-256 of its sealed bytes; whatever has another digest is not taken.
``DIRECTORY/files.seq`` says up to which seq every file that the source had is here, so that a copy that
was stopped, or was made before it took files, goes on from there.

**Source:** regulation 七.2; 三.1(3), 三.4(3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from campuscard.v1 import ops_service_pb2 as pb
from core.blocks import Block, RecordType
from core.documents import DocumentError, decode
from server.files import keep_sealed, make_folder, path_of
from server.keys import write_synced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from campuscard.v1 import ops_service_pb2_grpc as pb_grpc
    from server.offline.copies import Copy

    Stop = Callable[[], bool]

FILES: Final = "files"
MARK: Final = "files.seq"
AT_ONCE: Final = 64
"""Files asked for with one call."""
CALL_S: Final = 120.0


class FileDamaged(Exception):
    """The source sent other bytes than the file's name says."""


@dataclass(slots=True)
class FilesCopied:
    """Counts of one following; ``missing``: the source has them no more."""

    copied: int = 0
    size_bytes: int = 0
    missing: int = 0


class FollowedFiles:
    """Fetches the files a copy's documents name.

    Args:
        stub: of the source.
        directory: the copy.
    """

    def __init__(self, stub: pb_grpc.OpsServiceStub, directory: Path) -> None:
        self.counts = FilesCopied()
        self._stub = stub
        self.directory = directory / FILES
        self._mark = directory / MARK
        make_folder(self.directory)

    def catch_up(self, copy: Copy, stop: Stop | None = None) -> None:
        """Fetch what documents after the mark name, up to the end of the copy.

        Raises:
            grpc.RpcError: the source cannot be asked.
            FileDamaged: a file is not what its name says.
            BlockError, DocumentError: the copy cannot be read.
        """
        while (position := self._done_seq() + 1) <= copy.last_seq:
            if stop is not None and stop():
                return
            blocks = [Block(raw) for raw in copy.blocks(position)]
            wanted = list(dict.fromkeys(name for block in blocks for name in named_in(block)))
            missing = [name for name in wanted if not self._has(name)]
            for start in range(0, len(missing), AT_ONCE):
                self._fetch(missing[start : start + AT_ONCE])
            write_synced(self._mark, b"%d\n" % blocks[-1].header.last_seq)

    def _done_seq(self) -> int:
        try:
            return int(self._mark.read_bytes())
        except (FileNotFoundError, ValueError):
            return 0  # what is here already is not fetched again

    def _has(self, address: bytes) -> bool:
        try:
            return hashlib.sha256(path_of(self.directory, address).read_bytes()).digest() == address
        except FileNotFoundError:
            return False

    def _fetch(self, addresses: Sequence[bytes]) -> None:
        request = pb.FetchFilesRequest(addresses=addresses)
        left = set(addresses)
        for answer in self._stub.FetchFiles(request, timeout=CALL_S):
            if answer.address not in left:
                raise FileDamaged(f"{answer.address.hex()} was not asked for")
            left.discard(answer.address)
            if not answer.sealed:
                self.counts.missing += 1
                continue
            if hashlib.sha256(answer.sealed).digest() != answer.address:
                raise FileDamaged(f"{answer.address.hex()} arrived damaged")
            keep_sealed(self.directory, answer.address, answer.sealed)
            self.counts.copied += 1
            self.counts.size_bytes += len(answer.sealed)
        if left:
            raise FileDamaged(f"{len(left)} files asked for did not arrive")


def named_in(block: Block) -> Iterator[bytes]:
    """Yield the addresses of the files that a block's documents name.

    Raises:
        DocumentError: a document cannot be read.
    """
    types, index = block.types(), -1
    while (index := types.find(RecordType.DOCUMENT, index + 1)) >= 0:
        record = block.record(index)
        pointer = record.document()
        if not pointer.length:
            continue
        try:
            document, _ = decode(pointer.kind, block.payload(pointer))
        except DocumentError as error:
            raise DocumentError(f"seq {record.seq}: {error}") from error
        yield from document.files()
