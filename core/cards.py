"""The life of cards and other media: states, marks and the events between them, as ONE table.

A card's state says more than the engine's row: which kind of void, whether it has expired. Marks
(LOST, FROZEN) stand beside the state; spending needs exactly ACTIVE without a mark. An event the
table does not allow changes nothing, and the refusal says which events would be legal.

**Source:** regulation 三.1-三.5, 五.1, 八.1; docs/reference/card-states.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from core.refusals import Refusal
from core.rows import MediumFlag, MediumState

if TYPE_CHECKING:
    from collections.abc import Mapping

PHYSICAL_CARD: Final = 1
"""MediumType of the contactless card."""


class CardState(IntEnum):
    """Where a card stands; numbers as in the proto, durable in the registry."""

    PRODUCED = 1
    IN_TRANSIT = 2
    ACTIVE = 3
    EXPIRED = 4
    RETURNED = 5
    VOID_REPLACED = 6
    VOID_COMPENSATED = 7
    VOID_UPGRADED = 8


class CardType(IntEnum):
    """Kind of a card; numbers as in the proto, durable in documents."""

    FORMAL = 1
    TEMPORARY = 2


class CardEvent(IntEnum):
    """What may happen to a card; numbers as in the proto."""

    HAND_OVER = 1
    ACTIVATE = 2
    PICK_UP = 3
    REPORT_LOSS = 4
    UNLOSS = 5
    REPLACE = 6
    COMPENSATE = 7
    SUSPEND = 8
    RESUME = 9
    UPGRADE = 10
    RETURN = 11
    EXPIRE = 12
    RENEW = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One event of the table.

    Attributes:
        after: state before to state after; a state that is not there forbids the event.
        needs: marks it needs.
        forbids: marks that forbid it.
        sets: marks it sets.
        clears: marks it takes away.
        actor: who lets it happen.
        counter: only at the counter, the holder and the card before the officer.
        operation: name in the parameter ``counter_operations`` that binds it to the hours of the
            counter; empty: at any hour.
        guard: what else must hold, English.
        does: what happens beside the state, English.
        zh: name for people.
        clause: of the regulation.
        cards_only: phones and faces do not have it.
    """

    after: Mapping[CardState, CardState]
    actor: str
    zh: str
    clause: str
    needs: MediumFlag = MediumFlag(0)
    forbids: MediumFlag = MediumFlag(0)
    sets: MediumFlag = MediumFlag(0)
    clears: MediumFlag = MediumFlag(0)
    counter: bool = False
    operation: str = ""
    guard: str = ""
    does: str = ""
    cards_only: bool = True


_LOST: Final = MediumFlag.LOST
_FROZEN: Final = MediumFlag.FROZEN
_NEW: Final = (CardState.PRODUCED, CardState.IN_TRANSIT)
LIVE: Final = frozenset({*_NEW, CardState.ACTIVE, CardState.EXPIRED})
"""States of a card that is or may be used one day."""
VOID: Final = frozenset(
    {CardState.VOID_REPLACED, CardState.VOID_COMPENSATED, CardState.VOID_UPGRADED}
)
"""States for ever."""


def _same(*states: CardState) -> dict[CardState, CardState]:
    return {state: state for state in states}


def _into(after: CardState, *states: CardState) -> dict[CardState, CardState]:
    return dict.fromkeys(states, after)


TABLE: Final[Mapping[CardEvent, Transition]] = {
    CardEvent.HAND_OVER: Transition(
        after={CardState.PRODUCED: CardState.IN_TRANSIT},
        forbids=_LOST | _FROZEN,
        actor="CARD_OFFICER",
        guard="a batch of issued cards",
        zh="移交",
        clause="三.1(1)",
        does="the batch is on its way to the student affairs office",
    ),
    CardEvent.ACTIVATE: Transition(
        after=_into(CardState.ACTIVE, *_NEW),
        forbids=_LOST | _FROZEN,
        actor="CARD_OFFICER, STUDENT_AFFAIRS",
        guard="no replacement case that waits for the card",
        zh="启用",
        clause="三.1(1)",
        does="the card may be used",
        cards_only=False,
    ),
    CardEvent.PICK_UP: Transition(
        after=_into(CardState.ACTIVE, *_NEW),
        forbids=_LOST | _FROZEN,
        actor="CARD_OFFICER",
        counter=True,
        operation="PICK_UP",
        guard="the UID read is the new card's",
        zh="领卡",
        clause="三.4(3)",
        does="the replacement case ends",
    ),
    CardEvent.REPORT_LOSS: Transition(
        after=_same(*sorted(LIVE)),
        forbids=_LOST,
        sets=_LOST,
        actor="HOLDER, CARD_OFFICER",
        operation="REPORT_LOSS",
        zh="挂失",
        clause="三.2, 五.5",
        does="nothing is approved after it; the holder's liability ends",
        cards_only=False,
    ),
    CardEvent.UNLOSS: Transition(
        after=_same(*sorted(LIVE)),
        needs=_LOST,
        forbids=_FROZEN,
        clears=_LOST,
        actor="CARD_OFFICER",
        counter=True,
        operation="UNLOSS",
        guard="the UID read is the lost card's; no new card made",
        zh="解挂",
        clause="三.3",
        does="an open replacement case is cancelled, its fee refundable",
        cards_only=False,
    ),
    CardEvent.REPLACE: Transition(
        after=_into(CardState.VOID_REPLACED, *sorted(LIVE)),
        needs=_LOST,
        actor="CARD_OFFICER",
        operation="MAKE_CARD",
        guard="the case's checklist is complete",
        zh="补卡作废",
        clause="三.3, 三.4",
        does="the successor is PRODUCED in the same act",
    ),
    CardEvent.COMPENSATE: Transition(
        after=_into(CardState.VOID_COMPENSATED, *sorted(LIVE)),
        needs=_LOST,
        actor="FINANCE, CARD_OFFICER",
        guard="the fee of exactly one card",
        zh="赔偿作废",
        clause="三.5(1)(2)",
        does="the card counts as given back",
    ),
    CardEvent.SUSPEND: Transition(
        after=_same(CardState.ACTIVE),
        forbids=_FROZEN,
        sets=_FROZEN,
        actor="CARD_OFFICER, CARD_SUPERVISOR",
        guard="a reason",
        zh="暂停使用",
        clause="八.1",
        does="no spending; top-ups and loss reports go on",
        cards_only=False,
    ),
    CardEvent.RESUME: Transition(
        after=_same(CardState.ACTIVE, CardState.EXPIRED),
        needs=_FROZEN,
        clears=_FROZEN,
        actor="CARD_OFFICER, CARD_SUPERVISOR",
        guard="a reason",
        zh="恢复使用",
        clause="八.1",
        cards_only=False,
    ),
    CardEvent.UPGRADE: Transition(
        after=_into(CardState.VOID_UPGRADED, CardState.ACTIVE, CardState.EXPIRED),
        forbids=_LOST | _FROZEN,
        actor="CARD_OFFICER",
        operation="UPGRADE",
        guard="a temporary card; a valid photo",
        zh="临时卡换正式卡",
        clause="三.1(4)",
        does="the formal successor is PRODUCED in the same act, without fee",
    ),
    CardEvent.RETURN: Transition(
        after=_into(CardState.RETURNED, CardState.ACTIVE, CardState.EXPIRED),
        forbids=_LOST,
        actor="CARD_OFFICER, STUDENT_AFFAIRS",
        operation="RETURN",
        zh="退卡",
        clause="三.5",
        does="the card may be encoded anew for another holder once it is unbound",
    ),
    CardEvent.EXPIRE: Transition(
        after={CardState.ACTIVE: CardState.EXPIRED},
        actor="the date",
        guard="the local day has reached expires_day",
        zh="过期",
        clause="三.1(4)",
        does="no spending until it is renewed; a card not yet active expires when it becomes so",
        cards_only=False,
    ),
    CardEvent.RENEW: Transition(
        after={**_same(*_NEW, CardState.ACTIVE), CardState.EXPIRED: CardState.ACTIVE},
        forbids=_LOST | _FROZEN,
        actor="CARD_OFFICER",
        zh="延期",
        clause="三.1(4)",
        does="expires_day is set anew",
    ),
}
"""Every event; numbers, states and marks of everything that may happen to a card."""

ENGINE_STATE: Final[Mapping[CardState, MediumState]] = {
    CardState.PRODUCED: MediumState.PRODUCED,
    CardState.IN_TRANSIT: MediumState.IN_TRANSIT,
    CardState.ACTIVE: MediumState.ACTIVE,
    CardState.EXPIRED: MediumState.ACTIVE,
    CardState.RETURNED: MediumState.RETURNED,
    CardState.VOID_REPLACED: MediumState.VOID,
    CardState.VOID_COMPENSATED: MediumState.VOID,
    CardState.VOID_UPGRADED: MediumState.VOID,
}
"""How the engine's row stands for each state; it finds out by itself that a card has expired."""


def transition(
    state: CardState, flags: MediumFlag, event: CardEvent
) -> tuple[CardState, MediumFlag] | None:
    """Return state and marks after an event, or None where the table forbids it."""
    row = TABLE[event]
    after = row.after.get(state)
    if after is None or flags & row.needs != row.needs or flags & row.forbids:
        return None
    return after, (flags | row.sets) & ~row.clears


def legal_events(state: CardState, flags: MediumFlag) -> tuple[CardEvent, ...]:
    """List what somebody may let happen to a card next; that it expires is not for anybody to do."""
    return tuple(
        event
        for event in CardEvent
        if event is not CardEvent.EXPIRE and transition(state, flags, event) is not None
    )


def take(state: CardState, flags: MediumFlag, event: CardEvent) -> tuple[CardState, MediumFlag]:
    """Return state and marks after an event.

    Raises:
        Refusal: CARD_STATE with ``state``, ``wanted`` and ``legal``, what would be allowed.
    """
    after = transition(state, flags, event)
    if after is None:
        legal = ", ".join(found.name for found in legal_events(state, flags))
        raise Refusal(
            "CARD_STATE", state=describe(state, flags), wanted=event.name, legal=legal or "-"
        )
    return after


def describe(state: CardState, flags: MediumFlag) -> str:
    """Name a state and its marks, as ``ACTIVE+LOST``."""
    marks = (flag.name or "" for flag in MediumFlag if flag in flags)
    return "+".join([state.name, *marks])


def state_on(state: CardState, *, expires_day: int, today: int) -> CardState:
    """Return the state on a day: what is ACTIVE expires by date.

    Args:
        state: as the last act left it.
        expires_day: first local day it is no longer valid, days since 1970-01-01; 0 never.
        today: local day.
    """
    expired = expires_day != 0 and today >= expires_day
    return CardState.EXPIRED if state is CardState.ACTIVE and expired else state
