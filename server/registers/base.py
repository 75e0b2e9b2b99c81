"""What a register is made of: tables, and one handler per kind of document that writes them.

A handler runs inside the projector's transaction, live and in a rebuild, and returns the facts of
the act's answer; they are kept with the request and given again for ever. It reads nothing but the
command, the document and the registry as of the act before: a rebuild has no clock and no files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.blocks import BlockError

if TYPE_CHECKING:
    import sqlite3

    from core.blocks import Block, Record, RecordType
    from core.documents import By, Document
    from core.ports import HolderKeys

Facts = dict[str, Any]
"""Fields of the answer beside ``act``, as JSON has them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a handler works on: the registry's connection, and what unseals persons."""

    sql: sqlite3.Connection
    keys: HolderKeys


@dataclass(frozen=True, slots=True)
class Command:
    """An act as it stands in the journal: its effects' records, its document's record, who acted."""

    block: Block
    effects: tuple[Record, ...]
    record: Record
    by: By

    @property
    def seq(self) -> int:
        """Position of the document: the act's name."""
        return self.record.seq

    @property
    def time_us(self) -> int:
        """The block's time, microseconds since 1970 UTC."""
        return self.block.header.time_us

    def effect(self, record_type: RecordType) -> Record:
        """Return the first effect of a type."""
        for record in self.effects:
            if record.type == record_type:
                return record
        raise BlockError(f"a document without its {record_type.name}", self.record.seq)

    def effects_of(self, record_type: RecordType) -> tuple[Record, ...]:
        """Return the effects of a type, in order."""
        return tuple(record for record in self.effects if record.type == record_type)


Handler = Callable[[Scope, Command, Any], Facts]


@dataclass(frozen=True, slots=True)
class Register:
    """One domain's part of the registry.

    Args:
        schema: SQL of its tables and indexes.
        handlers: per kind of document, what it writes and what its answer says.
    """

    schema: str
    handlers: Mapping[type[Document], Handler]
