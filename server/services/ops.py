"""OpsService: the operator's door.

**Source:** regulation 二.1: other systems follow the journal.
"""

from __future__ import annotations

import asyncio
import time
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import ops_service_pb2 as pb
from campuscard.v1 import ops_service_pb2_grpc as pb_grpc
from core.blocks import Block, BlockError
from core.documents import DocumentError
from core.refusals import Refusal, invalid
from core.rule_ledger import RuleLedger
from server.chain_walk import ChainWalk
from server.files import ADDRESS_BYTES
from server.integrity import registry_rules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio

    from ext.engine import Engine
    from server.files import SealedFiles
    from server.office_lane import OfficeLane
    from server.projector import Projector
    from server.trust import Trust

    Context = grpc.aio.ServicerContext[Any, Any]

MESSAGE_BYTES: Final = 1 << 20
"""Blocks of one Follow message, bytes; one larger block goes alone."""
FILES_MAX: Final = 256
"""Files of one FetchFiles request."""
POLL_S: Final = 0.02
"""How often a follower at the head looks for more."""


class OpsService(pb_grpc.OpsServiceServicer):
    """Watches and copies the journal.

    Args:
        engine: started.
        projector: started.
        lane: started.
        trust: lost when verification fails.
        files: of the holders.
    """

    def __init__(
        self,
        engine: Engine,
        projector: Projector,
        *,
        lane: OfficeLane,
        trust: Trust,
        files: SealedFiles,
    ) -> None:
        self._engine = engine
        self._projector = projector
        self._lane = lane
        self._trust = trust
        self._files = files
        self._started = time.monotonic()
        self._stopping = False

    def stop(self) -> None:
        """End all streams at their next message."""
        self._stopping = True

    async def GetHead(self, request: pb.GetHeadRequest, context: Context) -> pb.GetHeadResponse:
        """Read where the journal stands; see the proto."""
        del request, context
        head = self._engine.head()
        return pb.GetHeadResponse(
            acknowledged_seq=head["acknowledged_seq"],
            decided_seq=head["decided_seq"],
            checkpoint_seq=head["checkpoint_seq"],
            registry_seq=self._projector.applied_seq,
            time_us=head["time_us"],
            business_date=head["business_date"],
            rule_version=head["rule_version"],
            chain=head["chain"],
            state_hash=head["state_hash"],
            test=head["test"],
            identity=self._engine.identity,
        )

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        """Read the server's condition; see the proto."""
        del request, context
        stats = await asyncio.to_thread(self._engine.stats)
        return pb.GetStatusResponse(
            version=software_version(),
            uptime_seconds=int(time.monotonic() - self._started),
            queue_depth=stats["queue_depth"],
            office_queue_depth=self._lane.depth,
            blocks_count=stats["blocks"],
            records_count=stats["records"],
            replays_count=stats["replays"],
            space_used_permille=stats["space_used_permille"],
            checkpoint_age_records=stats["checkpoint_age_records"],
            ledger_sum_fen=stats["ledger_sum"],
            registry_seq=self._projector.applied_seq,
            registry_error=self._projector.error,
            integrity_error=self._trust.broken,
            journal_commit=stats["commit"],
            test=self._engine.head()["test"],
        )

    async def Checkpoint(
        self, request: pb.CheckpointRequest, context: Context
    ) -> pb.CheckpointResponse:
        """Write a checkpoint; see the proto."""
        del request, context
        return pb.CheckpointResponse(seq=await asyncio.to_thread(self._engine.checkpoint))

    async def Follow(
        self, request: pb.FollowRequest, context: Context
    ) -> AsyncIterator[pb.FollowResponse]:
        """Stream acknowledged blocks; see the proto."""
        del context
        end = self._engine.head()["acknowledged_seq"]
        position = request.from_seq or 1
        if position > end + 1:
            raise invalid("from_seq", f"at most {end + 1}")
        while not self._stopping:
            head = self._engine.head()["acknowledged_seq"]
            if request.stop_at_head and position > end:
                return
            if position > head:
                await asyncio.sleep(POLL_S)
                continue
            blocks = await asyncio.to_thread(self._engine.read_blocks, position, MESSAGE_BYTES)
            position = Block(blocks[-1]).header.last_seq + 1
            yield pb.FollowResponse(blocks=blocks, head_seq=head)
        raise Refusal("SHUTTING_DOWN", retry_after_ms=1_000)

    async def FetchFiles(
        self, request: pb.FetchFilesRequest, context: Context
    ) -> AsyncIterator[pb.FetchFilesResponse]:
        """Send sealed files; see the proto."""
        del context
        if not 1 <= len(request.addresses) <= FILES_MAX:
            raise invalid("addresses", f"1 to {FILES_MAX}")
        if any(len(address) != ADDRESS_BYTES for address in request.addresses):
            raise invalid("addresses", f"{ADDRESS_BYTES} bytes each")
        for address in request.addresses:
            if self._stopping:
                raise Refusal("SHUTTING_DOWN", retry_after_ms=1_000)
            sealed = await asyncio.to_thread(self._files.sealed, address)
            yield pb.FetchFilesResponse(address=address, sealed=sealed or b"")

    async def Verify(
        self, request: pb.VerifyRequest, context: Context
    ) -> AsyncIterator[pb.VerifyResponse]:
        """Walk the journal; see the proto."""
        del request, context
        head = self._engine.head()
        walk, rules = ChainWalk(), RuleLedger()
        while walk.seq < head["acknowledged_seq"]:
            if self._stopping:
                raise Refusal("SHUTTING_DOWN", retry_after_ms=1_000)
            blocks = await asyncio.to_thread(
                self._engine.read_blocks, walk.seq + 1, 4 * MESSAGE_BYTES
            )
            try:
                await asyncio.to_thread(_walk, blocks, walk, rules)
            except (BlockError, DocumentError) as error:
                seq = getattr(error, "seq", walk.seq)
                self._trust.lose(f"journal: {error}", seq=seq)
                raise Refusal("VERIFY_FAILED", seq=seq, what=str(error)) from error
            yield pb.VerifyResponse(
                verified_seq=walk.seq, head_seq=head["acknowledged_seq"], blocks_count=walk.blocks
            )
        ledger_sum = (await asyncio.to_thread(self._engine.stats))["ledger_sum"]
        if ledger_sum:
            self._trust.lose(f"ledger: the balances add up to {ledger_sum} fen")
            raise Refusal("VERIFY_FAILED", seq=walk.seq, what="ledger", ledgerSumFen=ledger_sum)
        found = await self._projector.look(registry_rules, after_seq=walk.seq)
        fault = found.fault(rules, seq=walk.seq)
        if fault:
            self._projector.discard(fault)
            raise Refusal("VERIFY_FAILED", seq=walk.seq, what=f"registry: {fault}")
        yield pb.VerifyResponse(
            verified_seq=walk.seq,
            head_seq=head["acknowledged_seq"],
            blocks_count=walk.blocks,
            done=True,
        )


def _walk(blocks: list[bytes], walk: ChainWalk, rules: RuleLedger) -> None:
    for raw in blocks:
        block = Block(raw)
        walk.take(block)
        rules.take(block)


def software_version() -> str:
    """Return the version of the installed software; ``0`` in a bare checkout."""
    try:
        return metadata.version("campuscard")
    except metadata.PackageNotFoundError:
        return "0"
