"""What is shown at gates and tills, resolved: a card, a phone, a dynamic QR, a face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core import qr
from core.access import MediumType, Shown
from core.faces import TOKEN_BYTES, token_hash
from core.refusals import invalid
from server.registers import passes
from server.services import fields
from server.services.qr import signing_key

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from campuscard.v1 import access_service_pb2 as pb
    from core.facts import MediumFacts
    from core.ports import HolderKeys
    from server.registry import Registry

_BY_ITSELF: Final = frozenset({MediumType.RFID_CARD, MediumType.MOBILE_NFC})


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a reader sent.

    Attributes:
        type: of the carrier.
        token: of the medium; of a face its keyed hash; empty for a QR.
        code: of a QR; None: not one of this server, or no QR.
    """

    type: MediumType
    token: bytes = b""
    code: qr.Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A carrier as the registry knows it. ``nonce`` of a QR that is used up by this; else empty."""

    type: MediumType
    shown: Shown
    account: int
    nonce: bytes

    @property
    def medium(self) -> int:
        """Number of the medium; 0: it did not resolve."""
        return self.shown.medium.number if self.shown.medium else 0


class Carriers:
    """Reads and resolves carriers.

    Args:
        keys: for the codes' signature and the faces' hashes.
    """

    def __init__(self, keys: HolderKeys) -> None:
        self._code_key = signing_key(keys)
        self._face_key = keys.derive("face-tokens")

    def read(self, carrier: pb.Carrier) -> Presented:
        """Read what a reader sent.

        Raises:
            Refusal: FIELD_INVALID.
        """
        which = carrier.WhichOneof("shown")
        if which == "medium":
            kind, token = fields.medium("carrier.medium", carrier.medium)
            if kind not in _BY_ITSELF:
                raise invalid("carrier.medium.type", "a card or NFC; of others their code or token")
            return Presented(type=MediumType(kind), token=token)
        if which == "qr":
            if not 1 <= len(carrier.qr) <= qr.TEXT_MAX:
                raise invalid("carrier.qr", f"1 to {qr.TEXT_MAX} characters")
            code = qr.read(carrier.qr, self._code_key)
            return Presented(type=MediumType.MOBILE_QR, code=code)
        if which == "face_token":
            return Presented(type=MediumType.FACE, token=self.face_hash(carrier.face_token))
        raise invalid("carrier", "a medium, a qr or a face_token")

    def face_hash(self, token: bytes) -> bytes:
        """Return what is kept of a device's token of a face.

        Raises:
            Refusal: FIELD_INVALID.
        """
        least, largest = TOKEN_BYTES
        if not least <= len(token) <= largest:
            raise invalid("face_token", f"{least} to {largest} bytes")
        return token_hash(self._face_key, token)


def resolve(
    registry: Registry,
    presented: Presented,
    *,
    now_us: int,
    used: AbstractSet[bytes] = frozenset(),
) -> Resolved:
    """Find out whose a carrier is.

    Args:
        registry: to read.
        presented: from ``Carriers.read``.
        now_us: the clock.
        used: codes used up by decisions the registry does not show yet.
    """
    if presented.type is MediumType.MOBILE_QR:
        return _resolve_code(registry, presented.code, now_us=now_us, used=used)
    medium = registry.bound_medium(presented.type, presented.token)
    account = medium.account_number if medium else 0
    others: tuple[MediumFacts, ...] = ()
    if medium and presented.type is MediumType.FACE:
        others = registry.media_of(account)
    shown = Shown(medium=medium, others=others)
    return Resolved(type=presented.type, shown=shown, account=account, nonce=b"")


def _resolve_code(
    registry: Registry, code: qr.Code | None, *, now_us: int, used: AbstractSet[bytes]
) -> Resolved:
    kind = MediumType.MOBILE_QR
    if code is None:
        shown = Shown(medium=None, fault="QR_INVALID")
        return Resolved(type=kind, shown=shown, account=0, nonce=b"")
    sql = registry.connection
    medium = passes.medium_by_number(sql, code.medium)
    if medium is None or medium.type != kind or medium.account_number != code.account:
        shown = Shown(medium=None, fault="QR_INVALID")
        return Resolved(type=kind, shown=shown, account=0, nonce=b"")
    fault = ""
    if not code.valid_at(now_us):
        fault = "QR_EXPIRED"
    elif code.nonce in used or passes.is_used(sql, code.nonce):
        fault = "QR_USED"
    return Resolved(
        type=kind,
        shown=Shown(medium=medium, fault=fault),
        account=code.account,
        nonce=b"" if fault else code.nonce,
    )
