"""The life of a medium: states, marks and the events between them, as one table.

**Source:** regulation 三.1-三.5, 八.1; domain card state machine. Spending needs exactly ACTIVE
without a mark; VOID, RETURNED and UNBOUND are for ever.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from core import documents
from core.plans import EffectKind, EffectPlan, Expect, Plan
from core.refusals import Refusal
from core.rows import MediumBody, MediumFlag, MediumState, RowEvent

if TYPE_CHECKING:
    from core.facts import MediumFacts

PHYSICAL_CARD: Final = 1
"""MediumType of the contactless card."""

KEY_TOKEN_BYTES: Final = 14
"""Bytes of a token that fit into a medium's key."""

FIRST_STATES: Final = frozenset({MediumState.PRODUCED, MediumState.IN_TRANSIT, MediumState.ACTIVE})
"""States a medium may be bound in."""


class MediumEvent(IntEnum):
    """What may happen to a medium; numbers as in the proto."""

    HAND_OVER = 1
    ACTIVATE = 2
    REPORT_LOSS = 3
    CANCEL_LOSS = 4
    FREEZE = 5
    UNFREEZE = 6
    MAKE_VOID = 7
    RETURN = 8


_ALIVE: Final = FIRST_STATES
_LOST: Final = MediumFlag.LOST
_FROZEN: Final = MediumFlag.FROZEN
_NO_FLAG: Final = MediumFlag(0)

STATES: Final[dict[MediumEvent, dict[MediumState, MediumState]]] = {
    MediumEvent.HAND_OVER: {MediumState.PRODUCED: MediumState.IN_TRANSIT},
    MediumEvent.ACTIVATE: {
        MediumState.PRODUCED: MediumState.ACTIVE,
        MediumState.IN_TRANSIT: MediumState.ACTIVE,
    },
    MediumEvent.REPORT_LOSS: {state: state for state in _ALIVE},
    MediumEvent.CANCEL_LOSS: {state: state for state in _ALIVE},
    MediumEvent.FREEZE: {MediumState.ACTIVE: MediumState.ACTIVE},
    MediumEvent.UNFREEZE: {MediumState.ACTIVE: MediumState.ACTIVE},
    MediumEvent.MAKE_VOID: dict.fromkeys(_ALIVE, MediumState.VOID),
    MediumEvent.RETURN: {MediumState.ACTIVE: MediumState.RETURNED},
}
"""Per event: state before to state after; a state that is not there forbids the event."""

FLAGS: Final[dict[MediumEvent, tuple[MediumFlag, MediumFlag, MediumFlag, MediumFlag]]] = {
    MediumEvent.HAND_OVER: (_NO_FLAG, _LOST | _FROZEN, _NO_FLAG, _NO_FLAG),
    MediumEvent.ACTIVATE: (_NO_FLAG, _LOST | _FROZEN, _NO_FLAG, _NO_FLAG),
    MediumEvent.REPORT_LOSS: (_NO_FLAG, _LOST, _LOST, _NO_FLAG),
    MediumEvent.CANCEL_LOSS: (_LOST, _FROZEN, _NO_FLAG, _LOST),
    MediumEvent.FREEZE: (_NO_FLAG, _FROZEN, _FROZEN, _NO_FLAG),
    MediumEvent.UNFREEZE: (_FROZEN, _NO_FLAG, _NO_FLAG, _FROZEN),
    MediumEvent.MAKE_VOID: (_NO_FLAG, _NO_FLAG, _NO_FLAG, _NO_FLAG),
    MediumEvent.RETURN: (_NO_FLAG, _LOST, _NO_FLAG, _NO_FLAG),
}
"""Per event: marks needed, marks forbidden, marks set, marks taken away."""


def transition(
    state: MediumState, flags: MediumFlag, event: MediumEvent
) -> tuple[MediumState, MediumFlag] | None:
    """Return state and marks after an event, or None where the table forbids it."""
    after = STATES[event].get(state)
    needed, forbidden, added, removed = FLAGS[event]
    if after is None or flags & needed != needed or flags & forbidden:
        return None
    return after, (flags | added) & ~removed


def set_state(medium: MediumFacts, event: MediumEvent) -> Plan:
    """Let an event happen to a medium.

    Raises:
        Refusal: STATE_TRANSITION with the state and marks it stands in.
    """
    after = transition(medium.state, medium.flags, event)
    if after is None:
        raise Refusal("STATE_TRANSITION", state=describe(medium), wanted=event.name)
    state, flags = after
    row_event = {
        MediumEvent.REPORT_LOSS: RowEvent.LOSS,
        MediumEvent.CANCEL_LOSS: RowEvent.UNLOSS,
    }.get(event, RowEvent.STATE)
    return Plan(
        document=documents.MediumStateSet(event=event),
        effects=(_effect(medium, state, flags=flags, event=row_event),),
    )


def unbind(medium: MediumFacts) -> Plan:
    """Take a medium off its account.

    Raises:
        Refusal: STATE_TRANSITION when it is void already.
    """
    if medium.state in {MediumState.VOID, MediumState.UNBOUND}:
        raise Refusal("STATE_TRANSITION", state=describe(medium), wanted="UNBOUND")
    effect = _effect(medium, MediumState.UNBOUND, flags=medium.flags, event=RowEvent.UNBIND)
    return Plan(document=documents.MediumUnbound(), effects=(effect,))


def describe(medium: MediumFacts) -> str:
    """Name a medium's state and marks, as ``ACTIVE+LOST``."""
    marks = (flag.name or "" for flag in MediumFlag if flag in medium.flags)
    return "+".join([medium.state.name, *marks])


def has_live_card(media: tuple[MediumFacts, ...]) -> bool:
    """Tell whether one of these is a card that may still be used one day."""
    return any(m.type == PHYSICAL_CARD and m.state in _ALIVE for m in media)


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


def _effect(
    medium: MediumFacts, state: MediumState, *, flags: MediumFlag, event: RowEvent
) -> EffectPlan:
    body = MediumBody(
        key=medium.key, state=state, flags=flags, event=event, expires_day=medium.expires_day
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
