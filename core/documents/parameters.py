"""Documents of changes under dual control: parameters, meals, categories, days of the calendar.

A key is a parameter's name, ``meals``, ``category.N`` or ``day.YYYY-MM-DD``; ``value`` is the text
people read, in its one canonical form. ``proposal`` is the seq of the document that proposed.

**Source:** regulation 六.3a.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from core.documents.base import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeProposed(Document):
    """Somebody proposed a value; ``effective_us`` 0: as soon as it is approved."""

    KIND: ClassVar[int] = 112
    key: str
    value: str
    effective_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationProposed(Document):
    """Somebody proposed to take back an approved change; ``change`` is the seq of its approval."""

    KIND: ClassVar[int] = 113
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeApproved(Document):
    """Another person approved it; ``effective_us`` 0: it takes effect at once."""

    KIND: ClassVar[int] = 114
    proposal: int
    key: str
    value: str
    effective_us: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationApproved(Document):
    """Another person approved that a change does not take effect."""

    KIND: ClassVar[int] = 115
    proposal: int
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRejected(Document):
    """A proposal was refused."""

    KIND: ClassVar[int] = 116
    proposal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalWithdrawn(Document):
    """A proposal was taken back by who made it."""

    KIND: ClassVar[int] = 117
    proposal: int


DOCUMENTS: Final[tuple[type[Document], ...]] = (
    ChangeProposed,
    CancellationProposed,
    ChangeApproved,
    CancellationApproved,
    ProposalRejected,
    ProposalWithdrawn,
)
