"""What carries an account, as the engine's rows know it: keys, bodies, and the effects of events.

The table of states is ``core/cards.py``, for phones and faces too.

**Source:** regulation 三.1-三.5, 四.1a; docs/reference/decisions.md "Office commands".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core import documents
from core.cards import (
    ENGINE_STATE,
    PHYSICAL_CARD,
    CardEvent,
    CardState,
    legal_events,
    state_on,
    take,
)
from core.plans import EffectKind, EffectPlan, Expect, Plan
from core.refusals import Refusal, illegal
from core.rows import MediumBody, MediumFlag, MediumState, RowEvent

if TYPE_CHECKING:
    from core.card_facts import CardFacts
    from core.facts import MediumFacts

FACE: Final = 4
"""MediumType of a face: bound and taken off with a consent only (``core/faces.py``)."""

KEY_TOKEN_BYTES: Final = 14
"""Bytes of a token that fit into a medium's key."""

FIRST_STATES: Final = frozenset({MediumState.PRODUCED, MediumState.IN_TRANSIT, MediumState.ACTIVE})
"""States a medium may be bound in, and of one that is in use."""

LIVE_MAX: Final = 8
"""Media of one account in use at once: what one loss report can cover."""

_ROW_EVENTS: Final = {CardEvent.REPORT_LOSS: RowEvent.LOSS, CardEvent.UNLOSS: RowEvent.UNLOSS}
_OTHER_STATES: Final = {
    MediumState.PRODUCED: CardState.PRODUCED,
    MediumState.IN_TRANSIT: CardState.IN_TRANSIT,
    MediumState.ACTIVE: CardState.ACTIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A card or another medium as the table sees it on a day; ``card_no`` 0: no card."""

    state: CardState
    medium: MediumFacts
    card_no: int = 0

    @property
    def lost(self) -> bool:
        """Whether it is reported lost."""
        return MediumFlag.LOST in self.medium.flags


def carrier_of_card(card: CardFacts, today: int) -> Carrier:
    """Return a card as the table sees it on a local day."""
    state = state_on(card.state, expires_day=card.medium.expires_day, today=today)
    return Carrier(state=state, medium=card.medium, card_no=card.card_no)


def carrier_of_medium(medium: MediumFacts, today: int) -> Carrier | None:
    """Return a phone or a face as the table sees it on a local day; None: not in use."""
    state = _OTHER_STATES.get(medium.state)
    if state is None or medium.type == PHYSICAL_CARD:
        return None
    state = state_on(state, expires_day=medium.expires_day, today=today)
    return Carrier(state=state, medium=medium)


def happen(carrier: Carrier, event: CardEvent, *, expires_day: int | None = None) -> EffectPlan:
    """Let an event of the table happen.

    Args:
        carrier: what it happens to.
        event: of ``core.cards.TABLE``.
        expires_day: a new expiry; None: as it is.

    Raises:
        Refusal: CARD_STATE.
    """
    medium = carrier.medium
    state, flags = take(carrier.state, medium.flags, event)
    return _effect(
        medium,
        ENGINE_STATE[state],
        flags=flags,
        event=_ROW_EVENTS.get(event, RowEvent.STATE),
        expires_day=medium.expires_day if expires_day is None else expires_day,
    )


def unbind(medium: MediumFacts) -> Plan:
    """Take a medium off its account; of cards only one that was given back, to encode it anew.

    Raises:
        Refusal: STATE_TRANSITION; FACE_ENROLMENT_REQUIRED for a face, which is withdrawn.

    **Source:** docs/reference/card-states.md: RETURNED until it is encoded anew.
    """
    if medium.type == FACE:
        raise Refusal("FACE_ENROLMENT_REQUIRED")
    card = medium.type == PHYSICAL_CARD
    if medium.state in {MediumState.VOID, MediumState.UNBOUND} or (
        card and medium.state is not MediumState.RETURNED
    ):
        live = medium.state.name in CardState.__members__
        legal = legal_events(CardState[medium.state.name], medium.flags) if live else ()
        marks = "+".join(["", *(flag.name or "" for flag in MediumFlag if flag in medium.flags)])
        raise illegal(medium.state.name + marks, "UNBOUND", (event.name for event in legal))
    return Plan(document=documents.MediumUnbound(), effects=(unbind_effect(medium),))


def unbind_effect(medium: MediumFacts) -> EffectPlan:
    """Return the effect that takes a medium off its account."""
    return _effect(
        medium,
        MediumState.UNBOUND,
        flags=medium.flags,
        event=RowEvent.UNBIND,
        expires_day=medium.expires_day,
    )


def live_count(media: tuple[MediumFacts, ...]) -> int:
    """Count the media that are in use."""
    return sum(medium.state in FIRST_STATES for medium in media)


def medium_key(medium_type: int, token: bytes) -> bytes:
    """Return the 16 bytes the engine knows a medium by: type, length, token.

    Of a token above 14 bytes the start of its SHA-256, and the type's highest bit says so.

    Args:
        medium_type: 1 to 4.
        token: 1 to 64 bytes.
    """
    hashed = len(token) > KEY_TOKEN_BYTES
    start = hashlib.sha256(token).digest()[:KEY_TOKEN_BYTES] if hashed else token
    first = medium_type | (0x80 if hashed else 0)
    return bytes((first, len(token))) + start.ljust(KEY_TOKEN_BYTES, b"\0")


def medium_body(key: bytes, state: MediumState, *, expires_day: int = 0) -> bytes:
    """Return the after-image of a medium being bound.

    Args:
        key: 16 bytes as the engine keys media.
        state: one of ``FIRST_STATES``.
        expires_day: first local day it is no longer valid; 0 never.
    """
    body = MediumBody(key=key, state=state, event=RowEvent.BIND, expires_day=expires_day)
    return body.pack()


def bind_card(account_number: int, uid: bytes, *, expires_day: int) -> EffectPlan:
    """Return the effect that binds a new card, PRODUCED."""
    body = medium_body(
        medium_key(PHYSICAL_CARD, uid), MediumState.PRODUCED, expires_day=expires_day
    )
    return EffectPlan(
        kind=EffectKind.MEDIUM_BIND, link=account_number, event=RowEvent.BIND, body=body
    )


def _effect(
    medium: MediumFacts,
    state: MediumState,
    *,
    flags: MediumFlag,
    event: RowEvent,
    expires_day: int,
) -> EffectPlan:
    body = MediumBody(
        key=medium.key, state=state, flags=flags, event=event, expires_day=expires_day
    )
    return EffectPlan(
        kind=EffectKind.MEDIUM_STATE,
        row=medium.number,
        link=medium.account_number,
        event=event,
        expect=Expect.STATUS,
        expect_status=medium.state,
        expect_flags=medium.flags,
        body=body.pack(),
    )
