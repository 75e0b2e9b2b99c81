"""Documents: what an act of the office says that no record has a place for.

A document's bytes are canonical JSON in UTF-8: one object, keys sorted, no white space, texts not
escaped beyond JSON's needs, bytes as base64 (RFC 4648, padded), always with ``"v"``, the version of
its kind, and ``"by"``, who acted, unless that was the system. What a record carries (status, limits,
balances) is not repeated here. The kind's number stands in the document record, is durable and never reused. An unknown kind
or version is refused: a reader that guessed would build another registry than its neighbour.

Fields that identify a person are sealed before they come here (``sealed``).

Numbers of kinds: 1-31 counter, 32-47 holders, 48-79 cards, 80-95 passwords, 96-111 staff,
112-127 parameters, 128-143 access.
"""

from __future__ import annotations

from typing import Final

from core.documents import access, cards, counter, holders, parameters, passwords, staff
from core.documents.base import SYSTEM, By, Document, DocumentError, read_document
from core.documents.counter import (
    AccountOpened,
    AccountStatusSet,
    HolderErased,
    LimitsSet,
    MediumBound,
    MediumUnbound,
    MerchantSet,
    SubsidyGranted,
    TerminalSet,
    ToppedUp,
)
from core.documents.holders import HoldersAdded, HoldersChanged, PhotosStored, RosterReceived

KINDS: Final[dict[int, type[Document]]] = {
    kind.KIND: kind
    for module in (counter, holders, cards, passwords, staff, parameters, access)
    for kind in module.DOCUMENTS
}


def decode(kind: int, payload: bytes) -> tuple[Document, By]:
    """Read a document and who acted.

    Args:
        kind: from the document record.
        payload: its bytes.

    Raises:
        DocumentError: unknown kind or version, or not the canonical bytes of one.
    """
    document_type = KINDS.get(kind)
    if document_type is None:
        raise DocumentError(f"unknown kind {kind}")
    return read_document(document_type, payload)


__all__ = [
    "KINDS",
    "SYSTEM",
    "AccountOpened",
    "AccountStatusSet",
    "By",
    "Document",
    "DocumentError",
    "HolderErased",
    "HoldersAdded",
    "HoldersChanged",
    "LimitsSet",
    "MediumBound",
    "MediumUnbound",
    "MerchantSet",
    "PhotosStored",
    "RosterReceived",
    "SubsidyGranted",
    "TerminalSet",
    "ToppedUp",
    "access",
    "cards",
    "decode",
    "parameters",
    "passwords",
    "staff",
]
