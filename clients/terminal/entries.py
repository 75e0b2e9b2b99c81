"""What a terminal keeps: one entry for each key it ever used, and the states an entry can be in.

Everything that decides whether money may still move for a key is the table ``TRANSITIONS``.

::

    OPEN ──approved/declined──► DONE
      │ ──password asked──► PIN_NEEDED ──password given──► OPEN
      │ ──rejected────────► CLOSED ◄──abandoned── PIN_NEEDED
      └──given up─────────► REVERSING ──acknowledged──► REVERSED
                                └──────refused────────► DISPUTED
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from clients.terminal.errors import IllegalTransitionError

TERMINAL_SEQ_MAX: Final = 65_535


class Kind(StrEnum):
    """Which method an entry's body belongs to."""

    AUTHORIZE = "authorize"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    REVERSE = "reverse"
    REFUND = "refund"

    @property
    def must_land(self) -> bool:
        """Whether the entry is repeated until answered, instead of being given up and reversed.

        What reserves or takes money can be taken back; what reports something that has happened
        (water has run, a sale was voided) has to arrive.
        """
        return self not in {Kind.AUTHORIZE, Kind.HOLD}


class State(StrEnum):
    """Where an entry stands. The value is durable: never rename one."""

    OPEN = "open"  # saved, perhaps sent; the outcome is not known
    PIN_NEEDED = "pin_needed"  # the server asks for the password; nothing moved
    REVERSING = "reversing"  # given up: an approval that still comes is ignored
    DONE = "done"  # the final answer is saved
    CLOSED = "closed"  # nothing moved and nothing will
    REVERSED = "reversed"  # the reversal is acknowledged
    DISPUTED = "disputed"  # the server refused the reversal: a person has to look


class Event(StrEnum):
    """What can happen to an entry."""

    APPROVED = "approved"
    DECLINED = "declined"
    PIN_ASKED = "pin_asked"
    PIN_GIVEN = "pin_given"
    ABANDONED = "abandoned"
    REJECTED = "rejected"
    GIVEN_UP = "given_up"
    REVERSAL_ACKNOWLEDGED = "reversal_acknowledged"
    REVERSAL_REFUSED = "reversal_refused"


_ANSWERS: Final = (Event.APPROVED, Event.DECLINED, Event.PIN_ASKED, Event.REJECTED)
_SETTLED: Final = (State.DONE, State.CLOSED, State.REVERSED, State.DISPUTED)

TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    State.OPEN: {
        Event.APPROVED: State.DONE,
        Event.DECLINED: State.DONE,
        Event.PIN_ASKED: State.PIN_NEEDED,
        Event.REJECTED: State.CLOSED,
        Event.GIVEN_UP: State.REVERSING,
    },
    State.PIN_NEEDED: {
        Event.PIN_ASKED: State.PIN_NEEDED,
        Event.PIN_GIVEN: State.OPEN,
        Event.ABANDONED: State.CLOSED,
        Event.GIVEN_UP: State.REVERSING,
    },
    State.REVERSING: {
        **dict.fromkeys(_ANSWERS, State.REVERSING),
        Event.GIVEN_UP: State.REVERSING,
        Event.REVERSAL_ACKNOWLEDGED: State.REVERSED,
        Event.REVERSAL_REFUSED: State.DISPUTED,
    },
    # A late or repeated answer changes nothing once an entry is settled.
    **{state: dict.fromkeys(_ANSWERS, state) for state in _SETTLED},
}


def transition(state: State, event: Event) -> State:
    """Return the state after ``event``; raise IllegalTransitionError for a cell left out."""
    after = TRANSITIONS[state].get(event)
    if after is None:
        raise IllegalTransitionError(f"{event} cannot follow in state {state}")
    return after


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Key:
    """Names a decision for ever: chosen and saved before the first send."""

    terminal_id: str
    batch_no: int
    terminal_seq: int

    def __str__(self) -> str:
        return f"{self.terminal_id}/{self.batch_no}/{self.terminal_seq}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key with its request and what became of it.

    ``body`` is the encoded request without the password, so that a retry sends the same bytes.
    ``decision`` is the encoded ``Decision`` once there is one. ``original`` is what a reversal
    takes back. ``amount_fen`` repeats the body's amount for the reversal that may follow.
    """

    key: Key
    kind: Kind
    body: bytes
    amount_fen: int
    saved_us: int
    state: State = State.OPEN
    decision: bytes = b""
    original: Key | None = None

    def after(self, event: Event, *, decision: bytes = b"") -> Entry:
        """Return the entry after ``event``; a decision is kept once and not replaced by none."""
        return replace(
            self, state=transition(self.state, event), decision=decision or self.decision
        )

    @property
    def unsettled(self) -> bool:
        """Whether a restart has to look at this entry."""
        return self.state in {State.OPEN, State.PIN_NEEDED, State.REVERSING}
