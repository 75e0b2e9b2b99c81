"""Idempotency keys, recomputed: a key stands for one decision, and never for two effects."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from server.offline import layout as at
from server.offline.checksums import key_mix
from server.offline.findings import Difference

if TYPE_CHECKING:
    from server.offline.layout import Entry
    from server.offline.rows import Terminal

SEQ_MAX: Final = 65_535
R_ORIGINAL_REVERSED: Final = 4


class Batch:
    """What became of the keys of one batch: seq << 2 | state, and fingerprints, by number."""

    __slots__ = ("prints", "sign_in_us", "states")

    def __init__(self, sign_in_us: int) -> None:
        self.sign_in_us = sign_in_us
        self.states = array("Q")
        self.prints = array("Q")

    def get(self, number: int) -> tuple[int, int]:
        """Return (seq << 2 | state, fingerprint), zeros for a number never used."""
        if number < len(self.states):
            return self.states[number], self.prints[number]
        return 0, 0

    def put(self, number: int, state: int, fingerprint: int) -> None:
        """Let a number stand for something."""
        missing = number + 1 - len(self.states)
        if missing > 0:
            self.states.extend([0] * missing)
            self.prints.extend([0] * missing)
        self.states[number] = state
        self.prints[number] = fingerprint


class Keys:
    """All keys of the last 64 days, by terminal and batch."""

    __slots__ = ("_batches", "time_us", "used")

    def __init__(self) -> None:
        self._batches: dict[int, dict[int, Batch]] = {}
        self.time_us = 0
        self.used = 0

    def sign_in(self, number: int, terminal: Terminal, batch_no: int) -> None:
        """Begin a batch; batches that left the window are forgotten, the last two never."""
        batches = self._batches.setdefault(number, {})
        batches[batch_no] = Batch(self.time_us)
        terminal.keys_sum[batch_no & 1] = 0
        oldest = self.time_us - at.KEY_WINDOW_US
        gone = [no for no, b in batches.items() if b.sign_in_us < oldest and no < batch_no - 1]
        for no in gone:
            del batches[no]

    def batch(self, seq: int, terminal: int, batch_no: int, newest: int) -> Batch:
        """Return a batch that may be used now."""
        found = self._batches.get(terminal, {}).get(batch_no)
        if found is None:
            raise Difference(seq, f"batch {batch_no} of terminal {terminal} was never issued")
        expired = found.sign_in_us < self.time_us - at.KEY_WINDOW_US
        if expired and batch_no < newest - 1:
            raise Difference(seq, f"batch {batch_no} of terminal {terminal} is past its window")
        return found

    def bind(self, e: Entry, terminal: Terminal) -> None:
        """Check what the record's key stood for, and let it stand for the record."""
        batch = self.batch(e.seq, e.terminal, e.batch_no, terminal.batch_no)
        if e.terminal_seq > SEQ_MAX or (e.terminal_seq == 0) != (e.type == at.SIGN_OFF):
            raise Difference(e.seq, f"terminal_seq {e.terminal_seq} is not of this kind of command")
        old, fingerprint = batch.get(e.terminal_seq)
        state = old & 3
        if e.reason == at.R_DUPLICATE_MISMATCH:
            if state not in (at.K_FINAL, at.K_PIN_REQUIRED) or fingerprint == e.fingerprint:
                raise Difference(e.seq, "DUPLICATE_MISMATCH, but no other body has this key")
            return
        if state == at.K_FINAL:
            raise Difference(e.seq, f"the key was decided before, at seq {old >> 2}")
        if state == at.K_PIN_REQUIRED and fingerprint != e.fingerprint:
            raise Difference(e.seq, f"another body than at seq {old >> 2} under the same key")
        if (state == at.K_TOMBSTONE) != (e.reason == R_ORIGINAL_REVERSED):
            raise Difference(e.seq, "a tombstone and ORIGINAL_REVERSED do not go together")
        if state != at.K_TOMBSTONE and not terminal.signed_in:
            raise Difference(e.seq, "decided although the terminal was not signed in")
        after = at.K_PIN_REQUIRED if e.outcome == at.PIN_REQUIRED else at.K_FINAL
        self.used += state == 0
        self._put(e, terminal, e.batch_no, e.terminal_seq, after, e.fingerprint)

    def tombstone(self, e: Entry, terminal: Terminal) -> None:
        """Check and set the original's key of a reversal that overtook it."""
        batch_no, number = e.original_seq >> 32, e.original_seq & 0xFFFF_FFFF
        batch = self.batch(e.seq, e.terminal, batch_no, terminal.batch_no)
        old, _ = batch.get(number)
        if not 1 <= number <= SEQ_MAX or old & 3 not in (0, at.K_PIN_REQUIRED):
            raise Difference(e.seq, "a tombstone for a key that was decided")
        self._put(e, terminal, batch_no, number, at.K_TOMBSTONE, 0)

    def _put(
        self, e: Entry, terminal: Terminal, batch_no: int, number: int, state: int, print_: int
    ) -> None:
        batch = self._batches[e.terminal][batch_no]
        if batch_no in (terminal.batch_no, terminal.prev_batch_no):
            slot = batch_no & 1
            change = key_mix(e.terminal, batch_no, number, e.seq << 2 | state, print_)
            old, old_print = batch.get(number)
            if old:
                change -= key_mix(e.terminal, batch_no, number, old, old_print)
            terminal.keys_sum[slot] = terminal.keys_sum[slot] + change & 0xFFFF_FFFF_FFFF_FFFF
        batch.put(number, e.seq << 2 | state, print_)
