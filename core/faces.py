"""The face as a carrier: an opaque token with a consent, never the only carrier, given up at will.

Templates and pictures stay in the device. What is kept of its token is a keyed hash.

**Source:** regulation 四.1a; PIPL articles 28-31; the rules on face recognition in force since
2025-06-01 (consent of its own, a guardian's under fourteen, another way beside it).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.access import MediumType, has_other_carrier, medium_fault
from core.accounts import refuse_closed
from core.documents import access as documents
from core.media import FIRST_STATES, LIVE_MAX, live_count, medium_body, medium_key, unbind_effect
from core.plans import EffectKind, EffectPlan, Plan
from core.refusals import Refusal, invalid, missing, taken
from core.rows import MediumState, RowEvent

if TYPE_CHECKING:
    import datetime as dt

    from core.facts import AccountFacts, MediumFacts

TOKEN_BYTES: Final = (16, 64)
"""Bytes of a device's token: too many to guess."""
OF_AGE: Final = 14
"""Years from which a holder consents alone (PIPL article 31)."""
_HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Who consented, when, to which text.

    Attributes:
        given_us: microseconds since 1970 UTC.
        text_version: of the text, as ``2025-06``.
        minor: the holder is under fourteen.
        guardian: sealed; empty: none consents.
    """

    given_us: int
    text_version: str
    minor: bool
    guardian: bytes


def token_hash(key: bytes, token: bytes) -> bytes:
    """Return what is kept of a device's token: 16 bytes that tell nothing without the key."""
    return hmac.digest(key, token, "sha256")[:_HASH_BYTES]


def is_minor(born: dt.date, today: dt.date) -> bool:
    """Tell whether somebody is under fourteen on a day.

    Raises:
        Refusal: FIELD_INVALID for a birthday in the future.
    """
    if born > today:
        raise invalid("birth_date", "not after today")
    had_birthday = (today.month, today.day) >= (born.month, born.day)
    return today.year - born.year - (not had_birthday) < OF_AGE


def face_of(media: tuple[MediumFacts, ...]) -> MediumFacts | None:
    """Return the face of an account that is in use."""
    return next((m for m in media if m.type == MediumType.FACE and m.state in FIRST_STATES), None)


def enrol(
    account: AccountFacts,
    token: bytes,
    consent: Consent,
    *,
    media: tuple[MediumFacts, ...],
    bound: MediumFacts | None,
    now_us: int,
    today: int,
) -> Plan:
    """Bind a face.

    Args:
        account: as it stands.
        token: from ``token_hash``.
        consent: to it.
        media: of the account.
        bound: the medium bound under the token already.
        now_us: the clock.
        today: local day.

    Raises:
        Refusal: ACCOUNT_CLOSED, HOLDER_ERASED, CONSENT_INVALID, GUARDIAN_REQUIRED, FACE_ONLY,
            ALREADY_EXISTS, MEDIA_FULL.
    """
    refuse_closed(account)
    if account.erased:
        raise Refusal("HOLDER_ERASED")
    if not 0 < consent.given_us <= now_us:
        raise Refusal("CONSENT_INVALID", field="consent.given_time_us")
    if consent.minor and not consent.guardian:
        raise Refusal("GUARDIAN_REQUIRED")
    if not has_other_carrier(media, today):
        raise Refusal("FACE_ONLY")
    if bound is not None or face_of(media) is not None:
        raise taken("face")
    if live_count(media) >= LIVE_MAX:
        raise Refusal("MEDIA_FULL")
    body = medium_body(medium_key(MediumType.FACE, token), MediumState.ACTIVE)
    effect = EffectPlan(
        kind=EffectKind.MEDIUM_BIND, link=account.number, event=RowEvent.BIND, body=body
    )
    document = documents.FaceEnrolled(
        account=account.number,
        token=token,
        consent_us=consent.given_us,
        text_version=consent.text_version,
        minor=int(consent.minor),
        guardian=consent.guardian,
    )
    return Plan(document=document, effects=(effect,))


def withdraw(account: AccountFacts, media: tuple[MediumFacts, ...]) -> Plan:
    """Take a face off for good, in whatever state it is.

    Raises:
        Refusal: NOT_FOUND: there is none.
    """
    face = face_of(media)
    if face is None:
        raise missing("face")
    document = documents.FaceWithdrawn(account=account.number)
    return Plan(document=document, effects=(unbind_effect(face),))


def usable_phone(media: tuple[MediumFacts, ...], today: int) -> MediumFacts:
    """Return the phone a dynamic QR is made for: the newest that works.

    Raises:
        Refusal: PHONE_REQUIRED, or what is wrong with the newest one, as CARD_LOST.
    """
    phones = [m for m in media if m.type == MediumType.MOBILE_QR and m.state in FIRST_STATES]
    for phone in phones:
        if not medium_fault(phone, today):
            return phone
    raise Refusal(medium_fault(phones[0], today) if phones else "PHONE_REQUIRED")
