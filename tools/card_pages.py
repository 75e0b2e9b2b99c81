"""The page of the card's and the case's states, from their tables."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeVar

from core import cards, replacement
from core.cards import CardEvent, CardState
from core.replacement import CaseState
from core.rows import MediumFlag
from tools.markdown import BANNER, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_State = TypeVar("_State", bound=IntEnum)

CARDS_INTRO: Final = """\
# States of cards and replacement cases

## Cards

A card has one state and may carry the marks LOST and FROZEN beside it. It spends only when it is
ACTIVE without a mark. An event that is not in the table changes nothing: `CARD_STATE` says which
events would be legal. Phones and faces follow the same rows where *media* is yes.
"""

CASES_INTRO: Final = """\
## Replacement cases

A case has its papers when FORM and PHOTO are attached and the fee is settled (paid, waived, or none);
then it is READY in the same act. What is not in the table is refused as `CASE_STATE` with what is.
"""


def card_states_page() -> Iterator[str]:
    """Yield the lines of card-states.md."""
    yield BANNER.format(source="core/cards.py and core/replacement.py")
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


def event_row(event: CardEvent) -> tuple[str, ...]:
    """Return an event's row."""
    row = cards.TABLE[event]
    marks = [f"needs {names(row.needs)}"] if row.needs else []
    marks += [f"not {names(row.forbids)}"] if row.forbids else []
    marks += [f"+{names(row.sets)}"] if row.sets else []
    marks += [f"−{names(row.clears)}"] if row.clears else []
    hours = "counter only" if row.counter else ""
    if row.operation:
        hours = ", ".join(filter(None, (hours, f"`{row.operation}`")))
    return (
        event.name,
        row.zh,
        arrows(row.after),
        ", ".join(marks),
        row.actor,
        hours,
        row.guard,
        row.does,
        "" if row.cards_only else "yes",
        row.clause,
    )


def names(flags: MediumFlag) -> str:
    """Name marks."""
    return "/".join(flag.name or "" for flag in MediumFlag if flag in flags)


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
