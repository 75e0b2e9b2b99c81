"""One archive of photos: entry by entry, each taken or refused, none in the way of the others."""

from __future__ import annotations

import asyncio
import unicodedata
import zipfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from campuscard.v1 import roster_pb2 as pb
from core.ids import derived_request_id
from core.refusals import Fault, Refusal
from server.services.photo_upload import ReadyPhoto
from server.services.roster_messages import fault_message
from server.zip_files import Bounds, entry_fault, entry_name, open_zip, read_entry

if TYPE_CHECKING:
    from core.facts import HolderFacts
    from core.parameters import Values
    from server.services.photo_upload import PhotoDesk

ARCHIVE_BYTES_MAX: Final = 1 << 30
"""Bytes of an archive at most."""
ARCHIVE: Final = Bounds(entries=6_000, directory_bytes=2 << 20)
"""What is taken of an archive: a year's students, with names of 300 bytes each."""
RATIO_MAX: Final = 20
"""Unpacked bytes per packed byte of a photo; JPEG hardly packs at all."""
GROUP: Final = 16
"""Photos of one act."""


@dataclass(slots=True)
class _Entry:
    """One entry on its way: `fault`, or `ready`."""

    name: str
    holder: HolderFacts | None = None
    ready: ReadyPhoto | None = None
    fault: Fault | None = None
    unchanged: bool = False
    version: int = 0


class PhotoArchive:
    """One upload.

    Args:
        desk: takes the photos in.
        stream: the archive, whole.
        request_id: of the upload, 16 bytes.
        classes: those the caller may touch; None: all.
        values: the parameters in force.
        dry_run: check only.
        at_once: photos that are decoded at the same time.
    """

    def __init__(
        self,
        desk: PhotoDesk,
        stream: IO[bytes],
        *,
        request_id: bytes,
        classes: frozenset[str] | None,
        values: Values,
        dry_run: bool,
        at_once: int,
    ) -> None:
        self._desk = desk
        self._stream = stream
        self._request_id = request_id
        self._classes = classes
        self._values = values
        self._dry_run = dry_run
        self._at_once = at_once
        self._names: set[str] = set()
        self._holders: set[int] = set()
        self.total = 0
        self.counts: Counter[int] = Counter()

    async def results(self) -> AsyncIterator[list[pb.PhotoResult]]:
        """Take the entries in; yields results in the archive's order, a group at a time.

        Raises:
            Refusal: FILE_REFUSED: the archive as a whole.
        """
        archive = await asyncio.to_thread(open_zip, self._stream, ARCHIVE)
        with archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            self.total = len(infos)
            for first in range(0, len(infos), GROUP):
                group = await self._group(archive, infos[first : first + GROUP])
                results = [_message(entry) for entry in group]
                for result in results:
                    self.counts[result.outcome] += 1
                yield results

    async def _group(self, archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo]) -> list[_Entry]:
        entries = [await self._named(info) for info in infos]
        gate = asyncio.Semaphore(self._at_once)

        async def prepare(entry: _Entry, info: zipfile.ZipInfo) -> None:
            async with gate:
                await self._prepare(archive, entry, info)

        await asyncio.gather(*map(prepare, entries, infos))
        await self._journal([entry for entry in entries if entry.ready is not None])
        return entries

    async def _named(self, info: zipfile.ZipInfo) -> _Entry:
        """Read an entry's name, and whose photo it is."""
        entry = _Entry(entry_name(info))
        bytes_max = self._values.number("photo_bytes_max")
        if any(mark in entry.name for mark in ("/", "\\", "\0")):
            entry.fault = Fault("ENTRY_REFUSED", "file_name", {"detail": "a folder in its name"})
        elif info.file_size > bytes_max:
            entry.fault = Fault("PHOTO_TOO_LARGE", "content", {"allowedBytes": bytes_max})
        elif reason := entry_fault(info, bytes_max=bytes_max, ratio_max=RATIO_MAX):
            entry.fault = Fault("ENTRY_REFUSED", "content", {"detail": reason})
        else:
            await self._find(entry)
        return entry

    async def _find(self, entry: _Entry) -> None:
        holder = await self._desk.holder_of(entry.name, classes=self._classes)
        if isinstance(holder, Fault):
            entry.fault = holder
            return
        entry.holder = holder
        name = unicodedata.normalize("NFC", entry.name).casefold()
        if name in self._names or holder.number in self._holders:
            entry.fault = Fault("PHOTO_TWICE", "file_name")
        self._names.add(name)
        self._holders.add(holder.number)

    async def _prepare(
        self, archive: zipfile.ZipFile, entry: _Entry, info: zipfile.ZipInfo
    ) -> None:
        if entry.fault is not None or entry.holder is None:
            return
        bytes_max = self._values.number("photo_bytes_max")
        try:
            content = await asyncio.to_thread(read_entry, archive, info, bytes_max=bytes_max)
        except zipfile.BadZipFile:
            entry.fault = Fault("ENTRY_REFUSED", "content", {"detail": "damaged"})
            return
        try:
            ready = await self._desk.ready(
                entry.holder, content, self._values, keep=not self._dry_run
            )
        except Refusal as refusal:
            if refusal.reason.retryable:
                raise
            ready = Fault(refusal.reason.name)
        if isinstance(ready, Fault):
            entry.fault = ready
        else:
            entry.ready = ready

    async def _journal(self, entries: list[_Entry]) -> None:
        ready = [entry.ready for entry in entries if entry.ready is not None]
        newest = await self._desk.newest([photo.number for photo in ready])
        fresh = []
        for entry, photo in zip(entries, ready, strict=True):
            known = newest.get(photo.number)
            if known is not None and known.address == photo.address:
                entry.unchanged, entry.version = True, known.version
            else:
                fresh.append((entry, photo))
        if not fresh or self._dry_run:
            return
        photos = [photo for _, photo in fresh]
        body = b"".join(photo.address for photo in photos)
        made = derived_request_id(self._request_id, body)
        versions = await self._desk.many(pb.PhotoResult.DESCRIPTOR.full_name, made, photos)
        for (entry, _), version in zip(fresh, versions, strict=True):
            entry.version = version


def _message(entry: _Entry) -> pb.PhotoResult:
    # What is no text cannot travel in a message.
    name = entry.name.encode("utf-8", "replace").decode("utf-8")
    result = pb.PhotoResult(file_name=name[:1_000], version=entry.version)
    if entry.holder is not None:
        result.account_no = entry.holder.account_no
    if entry.fault is not None:
        result.outcome = pb.PHOTO_OUTCOME_REFUSED
        result.fault.CopyFrom(fault_message(entry.fault))
    else:
        unchanged = entry.unchanged
        result.outcome = pb.PHOTO_OUTCOME_UNCHANGED if unchanged else pb.PHOTO_OUTCOME_ADDED
    return result
