"""The one exception of papers: an act is refused with a reason of the catalogue."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.catalogue import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.catalogue import Reason


class Refusal(Exception):
    """An act is refused; nothing was changed.

    Attributes:
        reason: row of the catalogue.
        metadata: numbers and names behind it, lowerCamel with the unit in the key
            (``balanceFen``); they fill the texts' placeholders and travel in ``ErrorInfo``.
        retry_after_ms: when to send the same again; 0: not before something changed.
    """

    def __init__(self, name: str, *, retry_after_ms: int = 0, **metadata: str | int) -> None:
        self.reason: Reason = BY_NAME[name]
        self.metadata: dict[str, str | int] = metadata
        self.retry_after_ms = retry_after_ms
        super().__init__(name, metadata)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one of many: a row, a file of an archive. The others go on.

    Attributes:
        reason: name of a row of the catalogue.
        field: column or field; empty: the whole.
        metadata: as of ``Refusal``.
    """

    reason: str
    field: str = ""
    metadata: dict[str, str | int] = dataclasses.field(default_factory=dict)

    def refusal(self) -> Refusal:
        """Return the same as the refusal of an act."""
        refusal = Refusal(self.reason)
        refusal.metadata |= {"field": self.field} | self.metadata
        return refusal


def invalid(field: str, detail: str) -> Refusal:
    """Return the refusal of one field of a request.

    Args:
        field: name as in the proto.
        detail: what it must be, for developers, English.
    """
    return Refusal("FIELD_INVALID", field=field, detail=detail)


def missing(what: str) -> Refusal:
    """Return the refusal of an identifier that names nothing.

    Args:
        what: kind of thing, lower case, as ``account``.
    """
    return Refusal("NOT_FOUND", what=what)


def taken(what: str) -> Refusal:
    """Return the refusal of an identifier that is in use already."""
    return Refusal("ALREADY_EXISTS", what=what)


def illegal(state: str, wanted: str, legal: Iterable[str]) -> Refusal:
    """Return the refusal of what a state does not allow.

    Args:
        state: as it stands.
        wanted: status or act that was asked for.
        legal: what would be allowed.
    """
    names = ", ".join(sorted(legal))
    return Refusal("STATE_TRANSITION", state=state, wanted=wanted, legal=names or "-")
