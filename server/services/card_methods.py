"""What the parts of CardOfficeService have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.counter import refuse_other_class
from server.services import card_acts

if TYPE_CHECKING:
    import grpc.aio

    from server.certificates import CertificateSigner
    from server.registry import Registry
    from server.services.office import Office

    Context = grpc.aio.ServicerContext[Any, Any]


class CardMethods:
    """A part of the service.

    Args:
        office: what services of papers share.
        signer: of certificates.
    """

    def __init__(self, office: Office, *, signer: CertificateSigner) -> None:
        self._office = office
        self._signer = signer

    def _today(self, registry: Registry) -> int:
        """Return the local day now, days since 1970-01-01."""
        return card_acts.moment_at(registry, self._office.clock.now_us()).today

    def _classes(self, class_name: str) -> frozenset[str] | None:
        """Return the classes a list is about: the one asked for, and only the caller's own.

        Raises:
            Refusal: NOT_YOUR_CLASS.
        """
        bound_to = card_acts.classes()
        if not class_name:
            return bound_to
        refuse_other_class(class_name, bound_to)
        return frozenset({class_name})
