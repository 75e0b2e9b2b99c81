"""The reference model: what every command does, written from the regulation.

One method per command; each takes plain values, writes the records the journal must hold and
returns the answer. `begin_block` sets the time all commands up to the next one share.
The other files of this folder hold the rules by subject:

- `payments.py`: the decision order of AUTHORIZE and HOLD
- `holds.py`: what becomes of a hold
- `undo.py`: reversals and refunds
- `office.py`: papers and funds
- `schedule.py`: papers that wait for their time, and what falls due
- `audit.py`: the invariants, recomputed from records alone
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.model import holds, office, payments, schedule, undo
from tests.model.books import Books, answer
from tests.model.numbers import (
    IN_SERVICE,
    KEY_WINDOW_US,
    KIND_OF,
    NO_FLAG,
    Flag,
    Kind,
    Op,
    Outcome,
    Reason,
)
from tests.model.office import Effect, OfficeReply
from tests.model.state import Key, Record, Reply, Tap, Terminal

Decide = Callable[[Books, Tap, Terminal], Reply]


def not_signed_in() -> Reply:
    """Nothing is recorded under a key the server never issued."""
    return Reply(outcome=Outcome.DECLINED, reason=Reason.TERMINAL_NOT_SIGNED_IN)


class Model:
    """A campus on paper."""

    def __init__(self, books: Books | None = None) -> None:
        self.books = books or Books()

    # ---- blocks ----

    def begin_block(self, time_us: int) -> list[Record]:
        """Start a block: time never goes back, and what was due by now happens first."""
        self.books.set_time(time_us)
        return schedule.process_due(self.books)

    @property
    def block_is_over(self) -> bool:
        """Whether what happened first leaves the commands to the next block."""
        return self.books.rules_change or bool(schedule.overdue(self.books))

    # ---- terminals ----

    def sign_in(self, name: str) -> Reply | None:
        """Open a new batch. None: no such terminal, and nothing is recorded."""
        terminal = self.books.terminal_by_name(name)
        if terminal is None:
            return None
        record = Record(type=Kind.SIGN_IN, merchant=terminal.merchant)
        if terminal.status != IN_SERVICE:
            record.outcome, record.reason = Outcome.DECLINED, Reason.TERMINAL_SUSPENDED
            return answer([self.books.write(record, terminal=terminal)])
        terminal.batch_no += 1
        terminal.signed_in = True
        record.outcome = Outcome.APPROVED
        record.batch_no = terminal.batch_no
        record.original_seq = terminal.sign_in_seq
        self.books.write(record, terminal=terminal)
        terminal.sign_in_seq = record.seq
        terminal.sign_ins[terminal.batch_no] = self.books.time_us
        return answer([record])

    def tap(self, tap: Tap) -> Reply:
        """Decide any other command of a terminal: first its key, then the rules of its kind."""
        terminal = self.books.terminal_by_name(tap.terminal)
        if terminal is None or not 1 <= tap.batch_no <= terminal.batch_no:
            return not_signed_in()
        if self.key_expired(terminal, tap.batch_no):
            return Reply(outcome=Outcome.DECLINED, reason=Reason.KEY_EXPIRED)
        name = (tap.batch_no, tap.terminal_seq)
        known = terminal.keys.get(name)
        if known and known.state == "TOMBSTONE":
            reply = self.refuse_key(tap, terminal, Reason.ORIGINAL_REVERSED)
            terminal.keys[name] = Key(state="FINAL", body=tap.body, reply=reply)
            return reply
        if known and known.body != tap.body:
            return self.refuse_key(tap, terminal, Reason.DUPLICATE_MISMATCH)
        if known and known.state == "FINAL":
            first = known.reply
            return Reply(
                outcome=first.outcome, reason=first.reason, records=first.records, replayed=True
            )
        closed = tap.op is Op.SIGN_OFF and tap.batch_no != terminal.batch_no
        if not terminal.signed_in or closed:
            return not_signed_in()
        reply = self.decide(tap, terminal)
        state = "PIN_REQUIRED" if reply.outcome is Outcome.PIN_REQUIRED else "FINAL"
        terminal.keys[name] = Key(state=state, body=tap.body, reply=reply)
        return reply

    def key_expired(self, terminal: Terminal, batch_no: int) -> bool:
        """A batch is kept 64 days from its sign-in, the last two for ever."""
        if batch_no >= terminal.batch_no - 1:
            return False
        return terminal.sign_ins[batch_no] + KEY_WINDOW_US < self.books.time_us

    def refuse_key(self, tap: Tap, terminal: Terminal, reason: Reason) -> Reply:
        """Refuse for the key's sake: neither card nor account is looked at."""
        flags = Flag.WATER if tap.water else NO_FLAG
        flags |= Flag.VOID if tap.void else NO_FLAG
        kind, asked = KIND_OF[tap.op], self.asked(tap)
        record = self.books.refuse(tap, terminal, kind, reason, flags=flags, asked=asked)
        return answer([record])

    def asked(self, tap: Tap) -> int:
        """Return the fen a command asks for; a water transfer always asks for one tap."""
        if tap.op in {Op.RELEASE, Op.SIGN_OFF}:
            return 0
        return self.books.rules.water_tap if tap.water else tap.amount

    def decide(self, tap: Tap, terminal: Terminal) -> Reply:
        """Decide a command whose key is new."""
        books = self.books
        if tap.op is Op.SIGN_OFF:
            terminal.signed_in = False
            record = Record(type=Kind.SIGN_OFF, outcome=Outcome.APPROVED)
            return answer([books.tap_record(tap, terminal, record)])
        if tap.op in {Op.CAPTURE, Op.RELEASE}:
            hold = undo.find_hold(books, tap, terminal)
            end = holds.capture if tap.op is Op.CAPTURE else holds.release
            return end(books, tap, terminal, hold)
        by_op: dict[Op, Decide] = {
            Op.AUTHORIZE: payments.pay,
            Op.HOLD: payments.pay,
            Op.REVERSE: undo.reverse,
            Op.REFUND: undo.refund,
        }
        return by_op[tap.op](books, tap, terminal)

    # ---- office ----

    def office(
        self,
        effects: Sequence[Effect],
        *,
        request_id: bytes,
        document_kind: int = 0,
        actor: int = 0,
        pin_account: int = 0,
        pin: str | bool | None = None,
    ) -> OfficeReply:
        """Papers and funds: all effects or none, under one request_id."""
        act = office.Act(
            effects=tuple(effects),
            request_id=request_id,
            document_kind=document_kind,
            actor=actor,
            pin_account=pin_account,
            pin=pin,
        )
        return office.perform(self.books, act)
