"""campuscard follow: copies a running server's journal, block by block, into a directory.

Every block is checked against the chain before it is written, and is durable before the next one is
asked for, so that the copy is right whenever it is looked at and goes on where it stopped. Only a
first copy is made otherwise: under a hidden name, without a sync per block, up to the head the source
had then; it is synced whole before it gets its name, and before that nobody has been told of it.
The files of holders that its documents name are fetched after the blocks that name them. The same
command is the backup, the mirror on another machine and the auditor's copy.

**Source:** regulation 七.2, 八.2.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc

from campuscard.v1 import ops_service_pb2 as pb
from campuscard.v1 import ops_service_pb2_grpc as pb_grpc
from core.blocks import BlockError
from core.documents import DocumentError
from server.offline.copies import make_copy, open_copy
from server.offline.files import at_rest
from server.offline.followed_files import FileDamaged, FollowedFiles
from server.offline.identity import NAME, read, unpack
from server.offline.restore import refuse_occupied, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from server.offline.copies import Copy
    from server.offline.followed_files import FilesCopied

    Interceptor = grpc.UnaryUnaryClientInterceptor | grpc.UnaryStreamClientInterceptor
    Progress = Callable[[int, int], None]
    """Called with (seq copied, head of the source)."""
    Stop = Callable[[], bool]
    """Asked after every message and now and then, in any thread: True ends the following."""

MESSAGE_BYTES_MAX: Final = 8 << 20
CONNECT_S: Final = 10
LOOK_S: Final = 0.2
"""How often `stop` is asked while nothing comes."""
RETRY_FIRST_S: Final = 1
RETRY_LAST_S: Final = 30
FLEETING: Final = frozenset((grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED))
WAITED_FOR: Final = FLEETING | {grpc.StatusCode.UNAUTHENTICATED}
"""What a following that began well comes back after: sessions end with the source's process, and
somebody will sign in again."""


class FollowError(Exception):
    """The source cannot be followed: another journal, or a call that fails for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowResult:
    """What was copied."""

    directory: str
    from_seq: int
    """Newest seq the copy had before."""
    last_seq: int
    head_seq: int
    """Newest seq of the source when it was last heard."""
    blocks: int
    size_bytes: int
    seconds: float
    chain: bytes
    files: FilesCopied

    @property
    def complete(self) -> bool:
        """Whether the copy has all the source had."""
        return self.last_seq >= self.head_seq


@dataclass(slots=True)
class Copied:
    """Counts while following."""

    blocks: int = 0
    size_bytes: int = 0
    head_seq: int = 0


def run(
    address: str,
    directory: Path,
    *,
    stop_at_head: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
    interceptors: Sequence[Interceptor] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> FollowResult:
    """Copy the journal of a running server.

    Args:
        address: HOST:PORT of the server.
        directory: the copy; made when it is new, continued when it is one.
        stop_at_head: end at the head as it stands now; else go on, and come back after breaks.
        progress: called after every message.
        stop: asked after every message, and while nothing comes.
        interceptors: of the calls; what sends the token of whoever follows.
        sleep: how to wait between two tries.

    Raises:
        FollowError: the source is another campus or cannot be followed.
        DirectoryBusy: another process works on the copy.
        JournalCorrupt: what came, or what the copy holds, fails a check.
    """
    began = time.monotonic()
    with grpc.insecure_channel(
        address, options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
    ) as channel:
        stub = pb_grpc.OpsServiceStub(grpc.intercept_channel(channel, *interceptors))
        head = first_head(stub, address)
        copied = Copied(head_seq=head.acknowledged_seq)
        start = known_seq(directory, head, address)
        if start is None:
            first_copy(stub, directory, head, copied, progress=progress, stop=stop)
            head = first_head(stub, address)  # it went on meanwhile, and the copy with it
        with open_copy(directory) as copy:
            start = start or 0
            check_same_journal(stub, copy, head)
            files = FollowedFiles(stub, directory)
            keep_following(
                stub, copy, copied, files=files, stop_at_head=stop_at_head, progress=progress,
                stop=stop, sleep=sleep,
            )  # fmt: skip
            return FollowResult(
                directory=str(directory),
                from_seq=start,
                last_seq=copy.last_seq,
                head_seq=copied.head_seq,
                blocks=copied.blocks,
                size_bytes=copied.size_bytes,
                seconds=time.monotonic() - began,
                chain=copy.last_chain,
                files=files.counts,
            )


def first_head(stub: pb_grpc.OpsServiceStub, address: str) -> pb.GetHeadResponse:
    """Ask where the source stands.

    Raises:
        FollowError: it does not answer.
    """
    try:
        return stub.GetHead(pb.GetHeadRequest(), timeout=CONNECT_S, wait_for_ready=True)
    except grpc.RpcError as error:
        raise FollowError(f"{address}: {words(error)}") from error


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """Return a failed call's status; the types do not say that every one has it."""
    code: Callable[[], grpc.StatusCode] | None = getattr(error, "code", None)
    return code() if code is not None else grpc.StatusCode.UNKNOWN


def words(error: grpc.RpcError) -> str:
    """Return a call's failure for a person."""
    details: Callable[[], str] | None = getattr(error, "details", None)
    return f"{code_of(error).name}: {details() if details is not None else error}"


def known_seq(directory: Path, head: pb.GetHeadResponse, address: str) -> int | None:
    """See that a directory is a copy of the source's journal; None when it is none yet.

    Raises:
        FollowError: it is a copy of another journal.
        DirectoryError: it holds something else, or the source sends no identity.
    """
    source = unpack(head.identity, f"the answer of {address}")
    if not (directory / NAME).exists():
        refuse_occupied(directory)
        return None
    mine = read(directory)
    if mine.uuid != source.uuid:
        raise FollowError(
            f"{directory} is a copy of another journal ({mine.uuid.hex()}) than that of {address} "
            f"({source.uuid.hex()}): follow into another directory"
        )
    with open_copy(directory) as copy:
        return copy.last_seq


def first_copy(
    stub: pb_grpc.OpsServiceStub,
    directory: Path,
    head: pb.GetHeadResponse,
    copied: Copied,
    *,
    progress: Progress | None,
    stop: Stop | None,
) -> None:
    """Copy up to the source's head under a hidden name; what came before a failure is kept.

    Raises:
        FollowError: the call failed for good.
        JournalCorrupt: what came fails a check.
    """
    making = directory.parent / f".{directory.name}.following"
    with at_rest(making):
        shutil.rmtree(making, ignore_errors=True)
    make_copy(making, head.identity)
    with open_copy(making, unsynced=True) as copy:
        try:
            for answer in answers(stub, 1, stop_at_head=True, stop=stop):
                take(copy, copied, answer)
                if progress is not None:
                    progress(copy.last_seq, copied.head_seq)
        except grpc.RpcError as error:
            stopped = stop is not None and stop()
            if not stopped and code_of(error) not in FLEETING:
                raise FollowError(words(error)) from error
        finally:
            copy.sync()
            making.rename(directory)
            sync(directory.parent)


def check_same_journal(stub: pb_grpc.OpsServiceStub, copy: Copy, head: pb.GetHeadResponse) -> None:
    """See that the source's journal is the copy's, by the chain hash where the copy ends.

    Raises:
        FollowError: it is another one, or older than the copy.
    """
    last = copy.last_seq
    if last == 0:
        return
    if last > head.acknowledged_seq:
        raise FollowError(
            f"the copy is at seq {last}, the source only at {head.acknowledged_seq}: "
            "it was restored from something older, or is another campus"
        )
    try:
        answer = next(iter(stub.Follow(pb.FollowRequest(from_seq=last, stop_at_head=True))))
    except grpc.RpcError as error:
        raise FollowError(words(error)) from error
    mine = copy.blocks(last)[0]
    if answer.blocks[0] != mine:
        raise FollowError(f"the source has another block at seq {last}: it is another journal")


def keep_following(
    stub: pb_grpc.OpsServiceStub,
    copy: Copy,
    copied: Copied,
    *,
    files: FollowedFiles,
    stop_at_head: bool,
    progress: Progress | None,
    stop: Stop | None,
    sleep: Callable[[float], None],
) -> None:
    """Follow, and come back after breaks unless it ends at the head."""
    wait_s = RETRY_FIRST_S
    while True:
        before = copied.blocks
        try:
            files.catch_up(copy, stop)
            for answer in answers(stub, copy.last_seq + 1, stop_at_head=stop_at_head, stop=stop):
                take(copy, copied, answer)
                files.catch_up(copy, stop)
                if progress is not None:
                    progress(copy.last_seq, copied.head_seq)
                if stop is not None and stop():
                    return
        except grpc.RpcError as error:
            if stop is not None and stop():
                return
            if stop_at_head or code_of(error) not in WAITED_FOR:
                raise FollowError(words(error)) from error
        except (FileDamaged, BlockError, DocumentError) as error:
            raise FollowError(f"{files.directory}: {error}") from error
        if stop_at_head or (stop is not None and stop()):
            return
        wait_s = RETRY_FIRST_S if copied.blocks > before else min(2 * wait_s, RETRY_LAST_S)
        pause(wait_s, stop, sleep)


def pause(seconds: float, stop: Stop | None, sleep: Callable[[float], None]) -> None:
    """Wait, but not when it shall end."""
    while seconds > 0 and not (stop is not None and stop()):
        sleep(min(seconds, LOOK_S))
        seconds -= LOOK_S


def answers(
    stub: pb_grpc.OpsServiceStub, from_seq: int, *, stop_at_head: bool, stop: Stop | None
) -> Iterator[pb.FollowResponse]:
    """Open a stream; leaving it early, or `stop` while nothing comes, ends the call."""
    call = stub.Follow(pb.FollowRequest(from_seq=from_seq, stop_at_head=stop_at_head))
    over = threading.Event()

    def look() -> None:
        while stop is not None and not over.wait(LOOK_S):
            if stop():
                call.cancel()
                return

    watcher = threading.Thread(target=look, name="follow-stop", daemon=True)
    watcher.start()
    try:
        yield from call
    finally:
        over.set()
        call.cancel()
        watcher.join()


def take(copy: Copy, copied: Copied, answer: pb.FollowResponse) -> None:
    """Check and write the blocks of one message."""
    for block in answer.blocks:
        copy.append(block)
        copied.blocks += 1
        copied.size_bytes += len(block)
    copied.head_seq = max(copied.head_seq, answer.head_seq)
    copy.prepare()
