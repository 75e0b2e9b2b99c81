"""The rules of merchants and terminals.

**Source:** regulation 四.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import documents
from core.plans import EffectKind, EffectPlan, Expect, Plan
from core.refusals import Refusal, illegal, missing, taken
from core.rows import KEYPAD, MerchantBody, ServiceStatus, TerminalBody

if TYPE_CHECKING:
    from core.facts import MerchantFacts, TerminalFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedMerchant:
    """Fields of a merchant to change; None: as it is."""

    name: str | None = None
    category: int | None = None
    status: ServiceStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTerminal:
    """Fields of a terminal to change; None: as it is. ``max_amount`` in fen."""

    merchant: MerchantFacts | None = None
    keypad: bool | None = None
    max_amount: int | None = None
    place: str | None = None
    status: ServiceStatus | None = None


def create_merchant(
    merchant_id: str, *, number: int, name: str, category: int, known: MerchantFacts | None
) -> Plan:
    """Create a merchant in service under the next free row ``number``.

    Raises:
        Refusal: ALREADY_EXISTS.
    """
    if known is not None:
        raise taken("merchant")
    effect = EffectPlan(
        kind=EffectKind.MERCHANT,
        row=number,
        expect=Expect.ROW_FREE,
        body=MerchantBody(category=category).pack(),
    )
    return Plan(
        document=documents.MerchantSet(merchant_id=merchant_id, name=name), effects=(effect,)
    )


def update_merchant(merchant: MerchantFacts, wanted: WantedMerchant) -> Plan:
    """Change a merchant; WITHDRAWN is for ever.

    Raises:
        Refusal: STATE_TRANSITION.
    """
    _refuse_withdrawn(merchant.status)
    body = MerchantBody(
        category=merchant.category if wanted.category is None else wanted.category,
        status=merchant.status if wanted.status is None else wanted.status,
    )
    effect = EffectPlan(
        kind=EffectKind.MERCHANT,
        row=merchant.number,
        expect=Expect.STATUS,
        expect_status=merchant.status,
        body=body.pack(),
    )
    name = merchant.name if wanted.name is None else wanted.name
    document = documents.MerchantSet(merchant_id=merchant.merchant_id, name=name)
    return Plan(document=document, effects=(effect,))


def create_terminal(
    terminal_id: str, wanted: WantedTerminal, *, number: int, known: TerminalFacts | None
) -> Plan:
    """Create a terminal in service under the next free row ``number``.

    Raises:
        Refusal: ALREADY_EXISTS, NOT_FOUND without a merchant.
    """
    merchant = wanted.merchant
    if merchant is None:
        raise missing("merchant")
    if known is not None:
        raise taken("terminal")
    body = TerminalBody(
        name=terminal_id,
        max_amount=wanted.max_amount or 0,
        flags=KEYPAD if wanted.keypad else 0,
    )
    effect = EffectPlan(
        kind=EffectKind.TERMINAL,
        row=number,
        link=merchant.number,
        expect=Expect.ROW_FREE,
        body=body.pack(),
    )
    document = documents.TerminalSet(merchant_id=merchant.merchant_id, place=wanted.place or "")
    return Plan(document=document, effects=(effect,))


def update_terminal(terminal: TerminalFacts, wanted: WantedTerminal) -> Plan:
    """Change a terminal; WITHDRAWN is for ever.

    Raises:
        Refusal: STATE_TRANSITION.
    """
    _refuse_withdrawn(terminal.status)
    flags = terminal.flags
    if wanted.keypad is not None:
        flags = flags | KEYPAD if wanted.keypad else flags & ~KEYPAD
    body = TerminalBody(
        name=terminal.terminal_id,
        max_amount=terminal.max_amount if wanted.max_amount is None else wanted.max_amount,
        status=terminal.status if wanted.status is None else wanted.status,
        flags=flags,
    )
    merchant = wanted.merchant
    effect = EffectPlan(
        kind=EffectKind.TERMINAL,
        row=terminal.number,
        link=terminal.merchant_number if merchant is None else merchant.number,
        expect=Expect.STATUS,
        expect_status=terminal.status,
        body=body.pack(),
    )
    document = documents.TerminalSet(
        merchant_id=terminal.merchant_id if merchant is None else merchant.merchant_id,
        place=terminal.place if wanted.place is None else wanted.place,
    )
    return Plan(document=document, effects=(effect,))


def check_etag(etag: str, *, changed_seq: int) -> None:
    """Refuse an edit that was made on an older version.

    Raises:
        Refusal: CONFLICT.
    """
    if etag and etag != format_etag(changed_seq):
        raise Refusal("CONFLICT")


def format_etag(changed_seq: int) -> str:
    """Return the etag of a thing last changed at a seq."""
    return f"{changed_seq:x}"


def _refuse_withdrawn(status: ServiceStatus) -> None:
    if status is ServiceStatus.WITHDRAWN:
        raise illegal(status.name, "CHANGE", ())
