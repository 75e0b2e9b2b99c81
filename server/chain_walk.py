"""The walk along the chain of hashes, from the journal's first block on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.blocks import BlockError

if TYPE_CHECKING:
    from core.blocks import Block


class ChainWalk:
    """Follows the chain of hashes from seq 1."""

    def __init__(self) -> None:
        self.seq = 0
        self.blocks = 0
        self._chain = bytes(32)
        self._time_us = 0
        self._business_date = 0

    def take(self, block: Block) -> None:
        """Check the next block.

        Raises:
            BlockError: a gap, a broken chain, or time that runs backwards.
        """
        header = block.header
        if header.first_seq != self.seq + 1:
            raise BlockError("gap in the sequence", self.seq + 1)
        if header.prev_hash != self._chain:
            raise BlockError("the block before is another one", header.first_seq)
        if block.computed_chain() != block.chain():
            raise BlockError("the chain hash differs", header.first_seq)
        if header.time_us < self._time_us or header.business_date < self._business_date:
            raise BlockError("time runs backwards", header.first_seq)
        self.seq, self._chain = header.last_seq, block.chain()
        self._time_us, self._business_date = header.time_us, header.business_date
        self.blocks += 1
