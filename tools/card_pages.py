"""The page of the states of cards, accounts and cases, from their tables."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final, TypeVar

from core import account_holds, cards, replacement
from core.account_holds import Hold, HoldEvent
from core.cards import CardEvent, CardState
from core.replacement import CaseState
from tools.markdown import BANNER, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from core.account_holds import HoldTransition
    from core.cards import Transition

_State = TypeVar("_State", bound=IntEnum)

CARDS_INTRO: Final = """\
# States of cards, accounts and replacement cases

## Cards

A card has one state and may carry the marks LOST and FROZEN beside it. It spends only when it is
ACTIVE without a mark. An event that is not in the table changes nothing: `CARD_STATE` says which
events would be legal. Phones and faces follow the same rows where *media* is yes.
"""

HOLDS_INTRO: Final = """\
## Holds of an account

A leave, a sanction and the closing hold an account each by itself; its status is that of the worst.
An event begins or ends the holds it names and leaves the others: what ends first lifts nothing that
goes on. The end of a sanction waits in the engine while the sanction is alone, and waits again when
what stood beside it ends first. What is not in the table is refused as `STATE_TRANSITION` with what is.
"""

CASES_INTRO: Final = """\
## Replacement cases

A case has its papers when FORM and PHOTO are attached and the fee is settled (paid, waived, or none);
then it is READY in the same act. What is not in the table is refused as `CASE_STATE` with what is.
"""


def card_states_page() -> Iterator[str]:
    """Yield the lines of card-states.md."""
    yield BANNER.format(source="core/cards.py, core/account_holds.py and core/replacement.py")
    yield from CARDS_INTRO.splitlines()
    yield ""
    yield from diagram(
        (
            (before, after, event)
            for event, row in cards.TABLE.items()
            for before, after in row.after.items()
            if before is not after
        ),
        "[*] --> PRODUCED: issue",
    )
    yield from table(
        (
            "event",
            "中文",
            "from → to",
            "marks",
            "actor",
            "hours",
            "guard",
            "what happens",
            "media",
            "clause",
        ),
        (event_row(event) for event in CardEvent),
    )
    yield from ("Each cell is the state after the event, with the marks it had; — is refused.", "")
    yield from table(
        ("state", *(event.name for event in CardEvent)),
        ((state.name, *(cell(state, event) for event in CardEvent)) for state in CardState),
    )
    yield from holds_lines()
    yield from CASES_INTRO.splitlines()
    yield ""
    yield from diagram(
        (
            (before, after, event)
            for event, row in replacement.TABLE.items()
            for before, after in row.items()
            if before is not after
        ),
        "[*] --> OPEN: card LOST",
        "DOCS --> READY: nothing missing",
    )
    yield from table(
        ("event", "from → to", "what it asks for and does"),
        (
            (event.name, arrows(row), replacement.EVENT_NOTES[event])
            for event, row in replacement.TABLE.items()
        ),
    )
    yield from ("Legal events per state:", "")
    yield from table(
        ("state", "legal"),
        (
            (state.name, ", ".join(e.name for e in replacement.legal_events(state)) or "—")
            for state in CaseState
        ),
    )


def holds_lines() -> Iterator[str]:
    """Yield the tables of what holds an account."""
    yield from HOLDS_INTRO.splitlines()
    yield ""
    yield from table(
        ("event", "中文", "holds", "actor", "what happens", "clause"),
        (
            (event.name, row.zh, marks(row), row.actor, row.does, row.clause)
            for event, row in account_holds.TABLE.items()
        ),
    )
    states = (*map(Hold, range(Hold.CLOSED)), Hold.CLOSED)
    yield from table(
        ("holds", "status", *(event.name for event in HoldEvent)),
        (
            (
                account_holds.describe(holds) if holds else "—",
                account_holds.status_of(holds).name,
                *(holds_cell(holds, event) for event in HoldEvent),
            )
            for holds in states
        ),
    )


def holds_cell(holds: Hold, event: HoldEvent) -> str:
    """Return the status after an event; — where the table forbids it."""
    after = account_holds.transition(holds, event)
    return "—" if after is None else account_holds.status_of(after).name


def event_row(event: CardEvent) -> tuple[str, ...]:
    """Return an event's row."""
    row = cards.TABLE[event]
    hours = "counter only" if row.counter else ""
    if row.operation:
        hours = ", ".join(filter(None, (hours, f"`{row.operation}`")))
    return (
        event.name,
        row.zh,
        arrows(row.after),
        marks(row),
        row.actor,
        hours,
        row.guard,
        row.does,
        "" if row.cards_only else "yes",
        row.clause,
    )


def marks(row: Transition | HoldTransition) -> str:
    """Write which marks or holds an event needs, forbids, sets and takes away."""
    parts = (("needs ", row.needs), ("not ", row.forbids), ("+", row.sets), ("−", row.clears))
    return ", ".join(f"{word}{names(flags)}" for word, flags in parts if flags)


def names(flags: IntFlag) -> str:
    """Name marks or holds."""
    return "/".join(flag.name or "" for flag in type(flags) if flag in flags)


def arrows(after: Mapping[_State, _State]) -> str:
    """Write where an event leads, states that go to the same one together."""
    same = [before.name for before, to in after.items() if before is to]
    lines = [f"{', '.join(same)} (stays)"] if same else []
    for to in dict.fromkeys(to for before, to in after.items() if before is not to):
        sources = [before.name for before, goal in after.items() if goal is to is not before]
        lines.append(f"{', '.join(sources)} → {to.name}")
    return "; ".join(lines)


def cell(state: CardState, event: CardEvent) -> str:
    """Return the state after an event; — where the table forbids it in every case."""
    after = cards.TABLE[event].after.get(state)
    return "—" if after is None else after.name


def diagram(edges: Iterable[tuple[IntEnum, IntEnum, IntEnum]], *more: str) -> Iterator[str]:
    """Yield a Mermaid state diagram; ``more`` are lines before those of the edges."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield from (f"  {line}" for line in more)
    for before, after, event in edges:
        yield f"  {before.name} --> {after.name}: {event.name}"
    yield from ("```", "")
