"""What the journal says of rules: bodies in force, flags of categories, every approved change.

Read from the journal's first block on, it is the measure for the engine's tables and the registry.

**Source:** regulation 六.3a "不得私自更改系统参数": checked at the start and while it runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core import documents
from core.blocks import Outcome, RecordType
from core.rows import CategoryBody

if TYPE_CHECKING:
    from core.blocks import Block, Record

CATEGORIES: Final = 16
_KINDS: Final = {
    documents.parameters.ChangeApproved.KIND,
    documents.parameters.CancellationApproved.KIND,
}
_WANTED: Final = bytes(
    1
    if number in {RecordType.RULES, RecordType.MEALS, RecordType.CATEGORY, RecordType.DOCUMENT}
    else 0
    for number in range(256)
)


@dataclass(frozen=True, slots=True)
class ApprovedChange:
    """An approved change as both the journal and the registry have it."""

    seq: int
    key: str
    value: str
    effective_us: int
    version: int
    cancelled_seq: int = 0


class RuleLedger:
    """Follows the journal and keeps its rules."""

    def __init__(self) -> None:
        self.rules = b""
        self.meals = b""
        self.changes: dict[int, ApprovedChange] = {}
        self._categories = bytearray(CATEGORIES)

    @property
    def tables(self) -> bytes:
        """The engine's table of rules as it must be: rules, meals, flags of categories."""
        return self.rules + self.meals + bytes(self._categories)

    def take(self, block: Block) -> None:
        """Read the next block.

        Raises:
            DocumentError: an approval that cannot be read.
        """
        wanted = block.types().translate(_WANTED)
        index = wanted.find(1)
        while index >= 0:
            self._take(block, block.record(index))
            index = wanted.find(1, index + 1)

    def _take(self, block: Block, record: Record) -> None:
        if record.type == RecordType.RULES:
            self.rules = record.body
        elif record.type == RecordType.MEALS:
            self.meals = record.body
        elif record.type == RecordType.CATEGORY:
            body = CategoryBody.unpack(record.body)
            self._categories[body.category % CATEGORIES] = body.flags
        elif record.outcome != Outcome.DECLINED:
            self._document(block, record)

    def _document(self, block: Block, record: Record) -> None:
        pointer = record.document()
        if pointer.kind not in _KINDS:
            return
        document, _ = documents.decode(pointer.kind, block.payload(pointer))
        if isinstance(document, documents.parameters.ChangeApproved):
            self.changes[record.seq] = ApprovedChange(
                record.seq,
                document.key,
                document.value,
                document.effective_us or block.header.time_us,
                document.version,
            )
        elif isinstance(document, documents.parameters.CancellationApproved):
            was = self.changes[document.change]
            self.changes[document.change] = ApprovedChange(
                was.seq, was.key, was.value, was.effective_us, was.version, record.seq
            )
