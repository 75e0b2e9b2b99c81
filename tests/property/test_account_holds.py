"""Holds of an account: every cell decided, none ends another, the engine's status is their worst."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.account_holds import (
    NOT_HELD,
    TABLE,
    HeldAccount,
    Hold,
    HoldEvent,
    describe,
    happen,
    holds_at,
    legal_events,
    status_of,
    transition,
)
from core.plans import EffectKind, Expect
from core.refusals import Refusal
from core.rows import AccountBody, AccountStatus

OPEN_HOLDS = [Hold(value) for value in range(8)]
STATES = [*OPEN_HOLDS, Hold.CLOSED]
SECOND_US = 1_000_000
WORST = {
    "": "NORMAL",
    "LEAVE": "SUSPENDED",
    "SANCTION": "SUSPENDED",
    "LEAVE+SANCTION": "SUSPENDED",
    "CLOSING": "CLOSING",
    "LEAVE+CLOSING": "CLOSING",
    "SANCTION+CLOSING": "CLOSING",
    "LEAVE+SANCTION+CLOSING": "CLOSING",
    "CLOSED": "CLOSED",
}


def account_in(holds, end_seq=0):
    held = replace(NOT_HELD, leave=Hold.LEAVE in holds, sanction=Hold.SANCTION in holds)
    return HeldAccount(
        number=7, status=status_of(holds), held=replace(held, end_seq=end_seq), now_us=1
    )


@pytest.mark.parametrize("holds", STATES)
def test_the_worst_hold_is_the_status(holds):
    name = describe(holds) if holds else ""
    assert status_of(holds) is AccountStatus[WORST[name]]
    assert account_in(holds).holds == holds


@pytest.mark.clause("三.5(1)", "八.1")
@pytest.mark.parametrize(("holds", "event"), list(itertools.product(STATES, HoldEvent)))
def test_every_cell_is_decided(holds, event):
    after, row = transition(holds, event), TABLE[event]
    if after is None:
        with pytest.raises(Refusal) as caught:
            happen(account_in(holds), event)
        metadata = caught.value.metadata
        legal = {name for name in str(metadata["legal"]).split(", ") if name != "-"}
        assert legal == {found.name for found in legal_events(holds)}
        assert event.name not in legal
        assert metadata["state"] == describe(holds)
        return
    assert Hold.CLOSED not in holds, "CLOSED is for ever"
    assert (after ^ holds) & ~(row.sets | row.clears) == Hold(0), "nothing else begins or ends"
    cancel, effect = happen(account_in(holds, end_seq=5), event)
    assert (cancel.kind, cancel.scheduled_seq) == (EffectKind.CANCEL, 5)
    assert AccountBody.unpack(effect.body).status == status_of(after)
    assert (effect.expect, effect.expect_status) == (Expect.STATUS, status_of(holds))


def test_the_table_names_every_event():
    assert set(TABLE) == set(HoldEvent)
    for event in set(HoldEvent) - {HoldEvent.CLOSE}:
        changed = TABLE[event].sets | TABLE[event].clears
        assert changed in (Hold.LEAVE, Hold.SANCTION, Hold.CLOSING), "each event is of one hold"


class Life(RuleBasedStateMachine):
    """An account through random events, its engine and its registry kept by the effects alone.

    Beside it stand the holds as three dates that know nothing of each other.
    """

    def __init__(self):
        super().__init__()
        self.now_s = 1_000
        self.status, self.held = AccountStatus.NORMAL, NOT_HELD
        self.waits = {}  # seq: (second, changes when it was scheduled)
        self.changes, self.seqs = 0, itertools.count(1)
        self.leave = self.closing = False
        self.sanction_until = None  # 0: until it is resumed

    @property
    def now_us(self):
        return self.now_s * SECOND_US

    def take(self, event, until_s=0):
        account = HeldAccount(number=7, status=self.status, held=self.held, now_us=self.now_us)
        try:
            effects = happen(account, event, until_us=until_s * SECOND_US)
        except Refusal:
            return False
        for effect in effects:
            if effect.kind is EffectKind.CANCEL:
                del self.waits[effect.scheduled_seq]
            elif effect.due_s:
                assert effect.expect == Expect.STATUS | Expect.UNCHANGED
                assert AccountBody.unpack(effect.body).status == AccountStatus.NORMAL
                self.waits[next(self.seqs)] = (effect.due_s, self.changes)
            else:
                assert effect.expect_status is self.status
                self.set(AccountBody.unpack(effect.body).status)
        return True

    def set(self, status):
        self.status = AccountStatus(status)
        self.changes += 1
        if self.status in {AccountStatus.NORMAL, AccountStatus.CLOSED}:
            self.held = replace(self.held, leave=False)

    def keep(self, **held):
        self.held = replace(self.held, **held)

    @rule(seconds=st.integers(1, 50))
    def pass_time(self, seconds):
        self.now_s += seconds
        for seq, (due_s, changes) in sorted(self.waits.items()):
            if due_s <= self.now_s:
                del self.waits[seq]
                assert changes == self.changes, "no end is left that would do nothing"
                assert self.status is AccountStatus.SUSPENDED
                self.set(AccountStatus.NORMAL)
        if self.sanction_until and self.now_s >= self.sanction_until:
            self.sanction_until = None

    @rule(seconds=st.none() | st.integers(1, 60))
    def suspend(self, seconds):
        until_s = 0 if seconds is None else self.now_s + seconds
        possible = self.sanction_until is None and self.status is not AccountStatus.CLOSED
        assert self.take(HoldEvent.SUSPEND, until_s) == possible
        if possible:
            self.sanction_until = until_s
            self.keep(sanction=True, until_us=until_s * SECOND_US)

    @rule()
    def resume(self):
        possible = self.sanction_until is not None
        assert self.take(HoldEvent.RESUME) == possible
        if possible:
            self.sanction_until = None
            self.keep(sanction=False, until_us=0)

    @rule()
    def begin_leave(self):
        possible = not self.leave and self.status is not AccountStatus.CLOSED
        assert self.take(HoldEvent.LEAVE_BEGINS) == possible
        if possible:
            self.leave = True
            self.keep(leave=True)

    @rule()
    def end_leave(self):
        assert self.take(HoldEvent.LEAVE_ENDS) == self.leave
        self.leave = False
        self.keep(leave=False)

    @rule(closing=st.booleans())
    def change_closing(self, closing):
        event = HoldEvent.CLOSING_BEGINS if closing else HoldEvent.CLOSING_ENDS
        possible = self.closing != closing and self.status is not AccountStatus.CLOSED
        assert self.take(event) == possible
        self.closing = closing if possible else self.closing

    @precondition(lambda self: self.closing)
    @rule(really=st.integers(0, 9))
    def close(self, really):
        if really == 0:
            assert self.take(HoldEvent.CLOSE)
            self.leave = self.closing = False
            self.sanction_until = None

    @invariant()
    def the_engine_stands_at_the_worst(self):
        if self.status is AccountStatus.CLOSED:
            assert not self.waits
            return
        worst = AccountStatus.NORMAL
        if self.leave or self.sanction_until is not None:
            worst = AccountStatus.SUSPENDED
        if self.closing:
            worst = AccountStatus.CLOSING
        assert self.status is worst

    @invariant()
    def one_end_waits_where_a_timed_sanction_is_alone(self):
        self.keep(end_seq=max(self.waits, default=0))
        alone = not self.leave and not self.closing and bool(self.sanction_until)
        assert [due_s for due_s, _ in self.waits.values()] == [self.sanction_until] * alone
        if self.status is not AccountStatus.CLOSED:
            found = holds_at(self.status, self.held, self.now_us)
            assert (Hold.LEAVE in found) == self.leave
            assert (Hold.SANCTION in found) == (self.sanction_until is not None)


Life.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
