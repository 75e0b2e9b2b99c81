"""Rosters, holders and photos: the part of CardOfficeService that knows people.

The rules are in ``core/roster.py``, ``core/holders.py`` and ``core/photos.py``.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from campuscard.v1 import roster_pb2 as pb
from core import holders
from core.counter import refuse_other_class
from core.holders import HolderKind, HolderStatus, RowChange, WantedChange
from core.ids import InitialPassword
from core.passwords import KnownNumbers, forbidden_numbers, keyed_hash
from core.plans import Plan
from core.refusals import Fault, Refusal, invalid, missing
from core.roster import Column, Wanted, read_field
from server.registers import holders as register
from server.registers.parameters import values_at
from server.roster_files import FILE_BYTES_MAX, ReadRoster, read_roster
from server.services import card_acts, fields
from server.services.card_methods import CardMethods
from server.services.incoming import Incoming, file_name
from server.services.photo_archive import ARCHIVE_BYTES_MAX, PhotoArchive
from server.services.photo_upload import PhotoDesk, digest
from server.services.roster_import import Form, RosterImport
from server.services.roster_messages import holder_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio

    from core.facts import HolderFacts
    from core.parameters import Values
    from server.certificates import CertificateSigner
    from server.office_lane import Desk
    from server.registry import Registry
    from server.services.office import Office
    from server.workers import Workers

    Context = grpc.aio.ServicerContext[Any, Any]

FILES_MAX: Final = 2
"""Rosters, and archives, that come in at the same time."""
READ_S: Final = 300.0
"""How long the reading of one roster may take."""
PROGRESS_S: Final = 0.5
"""How often progress is told."""
ROSTER_KINDS: Final = (HolderKind.STUDENT, HolderKind.STAFF)
_BUFFER: Final = 1 << 20

_Message = TypeVar("_Message")


class RosterMethods(CardMethods):
    """Methods of CardOfficeService about holders.

    Args:
        office: decides the acts.
        signer: of certificates.
        workers: read files and decode photos.
    """

    def __init__(self, office: Office, *, signer: CertificateSigner, workers: Workers) -> None:
        super().__init__(office, signer=signer)
        self._workers = workers
        self._photos = PhotoDesk(office, workers)
        self._rosters_in = asyncio.Semaphore(FILES_MAX)
        self._archives_in = asyncio.Semaphore(FILES_MAX)

    # ---- rosters ----

    async def ImportHolders(
        self, request_iterator: AsyncIterator[pb.ImportHoldersRequest], context: Context
    ) -> AsyncIterator[pb.ImportHoldersResponse]:
        """Import a roster; see the proto."""
        del context
        async with _place(self._rosters_in):
            incoming = Incoming[pb.ImportHoldersHeader](request_iterator)
            header = await incoming.header()
            request_id = fields.request_id(header.request_id)
            name = file_name(header.file_name)
            wanted = await self._wanted(header)
            content = bytearray()
            async for piece in incoming.pieces(bytes_max=FILE_BYTES_MAX):
                content += piece
            form = Form(
                request_id=request_id,
                sha256=hashlib.sha256(content).digest(),
                file_name=name,
                dry_run=header.dry_run,
            )
            yield pb.ImportHoldersResponse(progress=pb.ImportProgress())
            roster = await self._read(bytes(content), wanted)
            del content
            async for response in self._import(form, wanted, roster):
                yield response

    async def _import(
        self, form: Form, wanted: Wanted, roster: ReadRoster
    ) -> AsyncIterator[pb.ImportHoldersResponse]:
        work = RosterImport(self._office, form, wanted, roster)
        first_seq = await self._office.projector.look(
            lambda r: register.first_roster(r.connection, form.sha256)
        )
        summary = pb.ImportSummary() if form.dry_run else await work.receive()
        done, told = 0, time.monotonic()
        async for results in work.chunks():
            yield pb.ImportHoldersResponse(rows=pb.RowResults(rows=results))
            done += len(results)
            if time.monotonic() - told >= PROGRESS_S:
                told = time.monotonic()
                progress = pb.ImportProgress(done=done, rows=roster.rows)
                yield pb.ImportHoldersResponse(progress=progress)
        summary.MergeFrom(
            pb.ImportSummary(
                sha256=form.sha256,
                rows=roster.rows,
                added=work.counts[RowChange.ADDED],
                changed=work.counts[RowChange.CHANGED],
                unchanged=work.counts[RowChange.UNCHANGED],
                refused=work.counts[RowChange.REFUSED],
                warned=work.warned,
                dry_run=form.dry_run,
                first_seq=first_seq,
            )
        )
        yield pb.ImportHoldersResponse(summary=summary)

    async def _wanted(self, header: pb.ImportHoldersHeader) -> Wanted:
        kind = HolderKind(fields.choice("kind", header.kind, HolderKind))
        if kind not in ROSTER_KINDS:
            raise invalid("kind", "STUDENT or STAFF")
        classes = card_acts.classes()
        if classes is not None and kind is not HolderKind.STUDENT:
            raise Refusal("NOT_YOUR_CLASS")
        class_name = header.class_name
        if class_name:
            class_name = read_field("class_name", Column.CLASS, class_name)
            refuse_other_class(class_name, classes)
        values = await self._values()
        return Wanted(
            kind=kind,
            class_name=class_name,
            classes=classes,
            rule=InitialPassword(values.text("initial_password_rule")),
            key=self._office.keys.derive("passwords"),
        )

    async def _read(self, content: bytes, wanted: Wanted) -> ReadRoster:
        rows_max = (await self._values()).number("import_rows_max")
        read = await self._workers.run(READ_S, read_roster, content, wanted, rows_max)
        if isinstance(read, ReadRoster):
            return read
        name, metadata = read
        refusal = Refusal(name)
        refusal.metadata |= metadata
        raise refusal

    async def _values(self) -> Values:
        now_us = self._office.clock.now_us()
        return await self._office.projector.look(lambda r: values_at(r.connection, now_us))

    # ---- holders ----

    async def GetHolder(
        self, request: pb.GetHolderRequest, context: Context
    ) -> pb.GetHolderResponse:
        """Read a holder; see the proto."""
        del context
        if bool(request.account_no) == request.HasField("medium"):
            raise invalid("account_no", "either account_no or medium")
        if request.account_no:
            holder = await self._holder(request.account_no)
        else:
            medium = fields.medium("medium", request.medium)

            def find(registry: Registry) -> HolderFacts | None:
                bound = registry.bound_medium(*medium)
                if bound is None:
                    return None
                return register.holder_by_number(registry.connection, bound.account_number)

            found = await self._office.projector.look(find)
            if found is None:
                raise missing("medium")
            holder = found
        refuse_other_class(holder.class_name, card_acts.classes())
        return pb.GetHolderResponse(holder=holder_message(holder))

    async def ListHolders(
        self, request: pb.ListHoldersRequest, context: Context
    ) -> pb.ListHoldersResponse:
        """List holders; see the proto."""
        del context
        if request.photo not in pb.PhotoFilter.values():
            raise invalid("photo", "a known value")
        class_name = request.class_name
        classes = card_acts.classes()
        if classes is not None and not class_name and len(classes) == 1:
            class_name = next(iter(classes))
        refuse_other_class(class_name, classes)
        wanted = register.HolderFilter(
            class_name=class_name,
            name_prefix=request.name_prefix,
            account_no_prefix=request.account_no_prefix,
            status=fields.optional_choice("status", request.status, HolderStatus),
            has_photo={pb.PHOTO_FILTER_WITH: True, pb.PHOTO_FILTER_WITHOUT: False}.get(
                request.photo
            ),
        )
        page = self._office.list_page(request)
        account_no, _, name = page.place.partition(" ")
        found, seq = await self._office.projector.read(
            lambda r: (
                register.list_holders(
                    r.connection, wanted, after=(name, account_no), limit=page.limit
                ),
                r.position().applied_seq,
            )
        )
        holders, token = page.cut(
            found, lambda h: f"{h.account_no} {h.name}" if wanted.name_prefix else h.account_no
        )
        return pb.ListHoldersResponse(
            holders=[holder_message(holder) for holder in holders],
            next_page_token=token,
            as_of_seq=seq,
        )

    async def ChangeHolder(
        self, request: pb.ChangeHolderRequest, context: Context
    ) -> pb.ChangeHolderResponse:
        """Change what is known of a holder; see the proto."""
        del context
        account_no = fields.account_no(request.account_no)
        wanted = _wanted_change(request)
        classes = card_acts.classes()
        key = self._office.keys.derive("passwords")
        numbers = forbidden_numbers(KnownNumbers(phone=wanted.phone or ""))
        hashes = tuple(sorted(keyed_hash(key, account_no, text) for text in numbers))

        async def decide(desk: Desk) -> Plan:
            known, kept = await desk.read(lambda r: _with_secrets(r, account_no))
            refuse_other_class(known.class_name, classes)
            if wanted.class_name is not None:
                refuse_other_class(wanted.class_name, classes)
            status = holders.check_change(known, wanted)
            person = holders.changed(register.person(known, kept), wanted, phone_hashes=hashes)
            sealed = desk.keys.seal(known.number, person)
            spending = (await desk.parameters()).text("leave_spending")
            return holders.change(known, status, sealed, spending=spending)

        return await self._office.act(request, decide, response=pb.ChangeHolderResponse)

    async def _holder(self, number: str) -> HolderFacts:
        account_no = fields.account_no(number)
        holder = await self._office.projector.look(
            lambda r: register.holder(r.connection, account_no)
        )
        if holder is None:
            raise missing("account")
        return holder

    # ---- photos ----

    async def UploadPhoto(
        self, request: pb.UploadPhotoRequest, context: Context
    ) -> pb.UploadPhotoResponse:
        """Take one photo in; see the proto."""
        del context
        request_id = fields.request_id(request.request_id)
        if not request.recent_frontal:
            raise Refusal("PHOTO_NOT_ATTESTED")
        holder = _or_raise(
            await self._photos.holder_of(request.file_name, classes=card_acts.classes())
        )
        ready = _or_raise(
            await self._photos.ready(holder, request.content, await self._values(), keep=True)
        )
        name = request.DESCRIPTOR.full_name
        body = request.file_name.encode() + b"\0" + digest(request.content)
        given = await self._photos.one(name, request_id, body, ready)
        response = pb.UploadPhotoResponse(
            account_no=holder.account_no,
            version=given.request.facts["versions"][0],
            width=ready.width,
            height=ready.height,
        )
        response.act.seq = given.request.seq
        response.act.time_us = given.request.time_us
        response.act.business_date = given.request.business_date
        response.act.replayed = given.replayed
        return response

    async def UploadPhotoArchive(
        self, request_iterator: AsyncIterator[pb.UploadPhotoArchiveRequest], context: Context
    ) -> AsyncIterator[pb.UploadPhotoArchiveResponse]:
        """Take an archive of photos in; see the proto."""
        del context
        async with _place(self._archives_in):
            incoming = Incoming[pb.UploadPhotoArchiveHeader](request_iterator)
            header = await incoming.header()
            request_id = fields.request_id(header.request_id)
            file_name(header.file_name)
            if not header.recent_frontal:
                raise Refusal("PHOTO_NOT_ATTESTED")
            self._office.files.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A file without a name: whatever happens, nothing of it stays.
            with tempfile.TemporaryFile(dir=self._office.files.directory) as stream:
                await _spool(incoming, stream)
                archive = PhotoArchive(
                    self._photos,
                    stream,
                    request_id=request_id,
                    classes=card_acts.classes(),
                    values=await self._values(),
                    dry_run=header.dry_run,
                    at_once=self._workers.count + 1,
                )
                async for response in _archive_responses(archive, dry_run=header.dry_run):
                    yield response

    async def GetPhoto(self, request: pb.GetPhotoRequest, context: Context) -> pb.GetPhotoResponse:
        """Read a photo; see the proto."""
        del context
        holder = await self._holder(request.account_no)
        refuse_other_class(holder.class_name, card_acts.classes())
        if holder.erased:
            raise Refusal("HOLDER_ERASED")
        version = fields.bounded("version", request.version, largest=1 << 31)
        photo = await self._office.projector.look(
            lambda r: register.photo(r.connection, holder.number, version)
        )
        if photo is None:
            raise missing("photo")
        content = await asyncio.to_thread(self._office.files.get, holder.number, photo.address)
        if content is None:
            raise Refusal("PHOTO_LOST")
        return pb.GetPhotoResponse(
            content=content,
            version=photo.version,
            width=photo.width,
            height=photo.height,
            time_us=photo.time_us,
        )


class _place:  # noqa: N801 - reads as the function it stands for
    """One of a few places, or QUEUE_FULL: nobody waits with a file in their hands."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places

    async def __aenter__(self) -> None:
        if self._places.locked():
            raise Refusal("QUEUE_FULL", retry_after_ms=5_000)
        await self._places.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._places.release()


async def _spool(incoming: Incoming[Any], stream: IO[bytes]) -> None:
    buffer = bytearray()
    async for piece in incoming.pieces(bytes_max=ARCHIVE_BYTES_MAX):
        buffer += piece
        if len(buffer) >= _BUFFER:
            await asyncio.to_thread(stream.write, bytes(buffer))
            buffer.clear()
    await asyncio.to_thread(stream.write, bytes(buffer))


async def _archive_responses(
    archive: PhotoArchive, *, dry_run: bool
) -> AsyncIterator[pb.UploadPhotoArchiveResponse]:
    done, told = 0, time.monotonic()
    async for results in archive.results():
        yield pb.UploadPhotoArchiveResponse(photos=pb.PhotoResults(photos=results))
        done += len(results)
        if time.monotonic() - told >= PROGRESS_S:
            told = time.monotonic()
            progress = pb.ImportProgress(done=done, rows=archive.total)
            yield pb.UploadPhotoArchiveResponse(progress=progress)
    yield pb.UploadPhotoArchiveResponse(
        summary=pb.PhotoSummary(
            photos=archive.total,
            added=archive.counts[pb.PHOTO_OUTCOME_ADDED],
            unchanged=archive.counts[pb.PHOTO_OUTCOME_UNCHANGED],
            refused=archive.counts[pb.PHOTO_OUTCOME_REFUSED],
            dry_run=dry_run,
        )
    )


def _or_raise(found: _Message | Fault) -> _Message:
    if isinstance(found, Fault):
        raise found.refusal()
    return found


def _with_secrets(
    registry: Registry, account_no: str
) -> tuple[HolderFacts, register.Secrets | None]:
    known = register.holder(registry.connection, account_no)
    if known is None:
        raise missing("account")
    return known, register.secrets(registry.connection, known.number)


def _wanted_change(request: pb.ChangeHolderRequest) -> WantedChange:
    def given(name: str, column: Column) -> str | None:
        if not request.HasField(name):  # type: ignore[arg-type] # one of three literal names
            return None
        return read_field(name, column, getattr(request, name))

    reason = fields.text("reason", request.reason, longest=holders.REASON_MAX)
    return WantedChange(
        name=given("name", Column.NAME),
        class_name=given("class_name", Column.CLASS),
        phone=given("phone", Column.PHONE),
        status=fields.optional_choice("status", request.status, HolderStatus),
        etag=request.etag,
        reason=reason,
    )
