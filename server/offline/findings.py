"""What a check may find: the first difference, with the record it stands at."""

from __future__ import annotations


class Difference(Exception):
    """The journal says something that cannot be.

    Attributes:
        seq: the record, or the first of the block; 0: before any record.
        what: what is wrong, for a person.
    """

    def __init__(self, seq: int, what: str) -> None:
        self.seq = seq
        self.what = what
        super().__init__(f"seq {seq}: {what}")


def demand_equal(seq: int, what: str, found: object, right: object) -> None:
    """Raise unless what the journal says is what was recomputed."""
    if found != right:
        raise Difference(seq, f"{what} is {found}, recomputed {right}")
