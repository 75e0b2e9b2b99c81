"""What an operator of merchants sees: their own and nobody else's.

**Source:** regulation 五.4, 七.3: a merchant reads its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.permissions import Role
from core.refusals import Refusal
from server.identity import caller, calling_as

if TYPE_CHECKING:
    from core.facts import MerchantFacts, TerminalFacts
    from server.registry import Registry


def own_merchants() -> frozenset[str] | None:
    """Return the merchant ids the caller is bound to; None: not bound to any."""
    return caller().merchants if calling_as() is Role.MERCHANT else None


def check_own(merchant_id: str) -> None:
    """See that the caller may read a merchant.

    Raises:
        Refusal: FORBIDDEN.
    """
    own = own_merchants()
    if own is not None and merchant_id not in own:
        raise Refusal("FORBIDDEN", permission="merchant.read", roles="the merchant's own operator")


def merchants_of(
    registry: Registry, own: frozenset[str] | None, category: int, *, after: str, limit: int
) -> list[MerchantFacts]:
    """List merchants as ``Registry.merchants`` does, those of ``own`` only."""
    if own is None:
        return registry.merchants(category, after=after, limit=limit)
    found = (registry.merchant(merchant_id) for merchant_id in sorted(own) if merchant_id > after)
    return [m for m in found if m is not None and category in {0, m.category}][:limit]


def terminals_of(
    registry: Registry, own: frozenset[str] | None, merchant_id: str, *, after: str, limit: int
) -> list[TerminalFacts]:
    """List terminals as ``Registry.terminals`` does, those of ``own`` only."""
    if own is None or merchant_id:
        return registry.terminals(merchant_id, after=after, limit=limit)
    pages = (registry.terminals(one, after=after, limit=limit) for one in own)
    return sorted((t for page in pages for t in page), key=lambda t: t.terminal_id)[:limit]
