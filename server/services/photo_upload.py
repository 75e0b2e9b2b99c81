"""Photos on their way in: name to holder, content to pixels, pixels to the store, then the journal.

Everything slow happens before the lane: decoding in a worker, sealing and syncing in threads. The
document is journaled when the file is durable.

**Source:** regulation 三.1(3).
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core import documents, photos
from core.counter import refuse_other_class
from core.plans import Plan
from core.refusals import Fault, Refusal
from server.photo_files import upright
from server.registers import holders as register
from server.registry import AnsweredRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.facts import HolderFacts
    from core.parameters import Values
    from server.office_lane import ActAnswer, Desk
    from server.services.office import Office
    from server.workers import Workers

PHOTO_S: Final = 20.0
"""How long the decoding of one photo may take, waiting included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyPhoto:
    """A photo that is stored, or would be: what the journal is to say of it."""

    number: int
    account_no: str
    address: bytes
    width: int
    height: int
    size: int


class PhotoDesk:
    """Takes photos in.

    Args:
        office: decides the acts.
        workers: decode.
    """

    def __init__(self, office: Office, workers: Workers) -> None:
        self._office = office
        self._workers = workers

    async def holder_of(
        self, file_name: str, *, classes: frozenset[str] | None
    ) -> HolderFacts | Fault:
        """Find whose photo a file's name says it is.

        Args:
            file_name: as sent.
            classes: those the caller may touch; None: all.

        Returns:
            The holder; or PHOTO_NAME, NOT_YOUR_CLASS.
        """
        stem = photos.stem_of(file_name)
        numbers = photos.candidates(stem)
        if not numbers:
            return Fault("PHOTO_NAME", "file_name")
        known = await self._office.projector.look(
            lambda r: register.holders_of(r.connection, numbers)
        )
        for number in numbers:
            facts = known.get(number)
            if facts is None or facts.erased or photos.stem_for(facts.name, number) != stem:
                continue
            try:
                refuse_other_class(facts.class_name, classes)
            except Refusal as refusal:
                return Fault(refusal.reason.name, "file_name")
            return facts
        return Fault("PHOTO_NAME", "file_name")

    async def ready(
        self, holder: HolderFacts, content: bytes, values: Values, *, keep: bool
    ) -> ReadyPhoto | Fault:
        """Check and turn a photo, and store it; returns when the file is durable.

        Args:
            holder: whose.
            content: the file.
            values: the parameters in force.
            keep: False: check only.

        Raises:
            Refusal: QUEUE_FULL, HOLDER_ERASED.
        """
        fault = photos.check_content(content, bytes_max=values.number("photo_bytes_max"))
        if fault is not None:
            return fault
        side_max = values.number("photo_side_max_px")
        try:
            photo = await self._workers.run(PHOTO_S, upright, content, side_max)
        except Refusal as refusal:
            if refusal.reason.name != "FILE_REFUSED":
                raise
            return Fault("PHOTO_UNREADABLE", "content")
        if isinstance(photo, Fault):
            return photo
        put = self._office.files.put if keep else self._office.files.address
        try:
            address = await asyncio.to_thread(put, holder.number, photo.content)
        except ValueError:
            raise Refusal("HOLDER_ERASED") from None
        return ReadyPhoto(
            number=holder.number,
            account_no=holder.account_no,
            address=address,
            width=photo.width,
            height=photo.height,
            size=len(photo.content),
        )

    async def newest(self, numbers: Sequence[int]) -> dict[int, register.PhotoFacts]:
        """Return the newest photos of holders."""
        return await self._office.projector.look(
            lambda r: register.newest_photos(r.connection, numbers)
        )

    async def next_version(self, ready: ReadyPhoto) -> int:
        """Return the version a photo would get, or has where it is the newest already."""
        newest = (await self.newest([ready.number])).get(ready.number)
        if newest is None:
            return 1
        return newest.version + (newest.address != ready.address)

    async def one(self, name: str, request_id: bytes, body: bytes, ready: ReadyPhoto) -> ActAnswer:
        """Journal one photo; the newest version already answers with its act."""

        async def decide(desk: Desk) -> Plan | AnsweredRequest:
            newest = await desk.read(lambda r: register.photo(r.connection, ready.number))
            if newest is None or newest.address != ready.address:
                return plan_of([ready])
            header = desk.block_of(newest.seq).header
            return AnsweredRequest(
                seq=newest.seq,
                fingerprint=0,
                time_us=newest.time_us,
                business_date=header.business_date,
                reason=0,
                facts={"versions": [newest.version]},
            )

        return await self._office.decide(name, request_id, body, decide)

    async def many(self, name: str, request_id: bytes, ready: Sequence[ReadyPhoto]) -> list[int]:
        """Journal photos of different holders as one act; returns their versions."""

        async def decide(_: Desk) -> Plan:
            return plan_of(ready)

        body = b"".join(photo.address for photo in ready)
        given = await self._office.decide(name, request_id, body, decide)
        versions: list[int] = given.request.facts["versions"]
        return versions


def plan_of(ready: Sequence[ReadyPhoto]) -> Plan:
    """Return what the journal says of stored photos."""
    document = documents.PhotosStored(
        numbers=tuple(photo.number for photo in ready),
        addresses=tuple(photo.address for photo in ready),
        widths=tuple(photo.width for photo in ready),
        heights=tuple(photo.height for photo in ready),
        sizes=tuple(photo.size for photo in ready),
    )
    return Plan(document=document, effects=())


def digest(content: bytes) -> bytes:
    """Return what stands for a photo in the body that two requests under one id are compared by."""
    return hashlib.sha256(content).digest()
