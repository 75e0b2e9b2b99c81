"""The in-process driver of bench/: the engine without queue and futures."""

from array import array
from typing import Self, TypedDict, type_check_only

from typing_extensions import disjoint_base

@type_check_only
class Phases(TypedDict):
    """Nanoseconds of each block in each phase."""

    decide_ns: array[int]  # decide and apply, state hash included
    seal_ns: array[int]  # CRCs and chain
    append_ns: array[int]  # the commit
    block_ns: array[int]  # from the first decision to the acknowledgement
    wall_ns: int  # of all blocks: phases of neighbouring blocks overlap
    approved: int

@disjoint_base
class Campus:
    """An open directory whose engine is driven by hand; of its threads only the committer runs.

    `options` are those of ext.engine.Options. Raises EngineError as Engine does.
    """

    def __new__(
        cls, data_dir: str, key_file: str, options: dict[str, object] | None = None
    ) -> Self: ...
    def populate(self, accounts: int, *, merchants: int, terminals: int, online_fen: int) -> None:
        """Write accounts with a card each, merchants, and terminals of the merchants in turn.

        Raises ValueError when there are accounts already, or more rows than the options allow.
        """
    def pipeline(self, pipelined: bool) -> None:
        """Choose how blocks are committed from now on: one flush each, or two."""
    def authorize(
        self,
        blocks: int,
        size: int,
        accounts: array[int],
        terminals: array[int],
        amounts: array[int],
    ) -> Phases:
        """Decide and commit `blocks` blocks of `size` (1 to 8192) authorizations.

        Draw i takes accounts[i], terminals[i], amounts[i] (fen), round and round. Raises ValueError
        when a terminal is not there or cannot sign in, or a size is out of range.
        """
    def close(self) -> None:
        """Let go of the directory."""
