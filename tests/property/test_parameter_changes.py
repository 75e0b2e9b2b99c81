"""Any history of proposals: what the engine would make of it is what the rules say is in force."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from core import documents
from core.change_subjects import rules_value
from core.parameter_changes import (
    Change,
    Proposal,
    ProposalState,
    Wanted,
    approve,
    propose,
    propose_cancellation,
    values_of,
)
from core.parameters import BY_KEY, PARAMETERS
from core.plans import EffectKind
from core.refusals import Refusal
from core.rows import RulesBody, RulesField

S = 1_000_000
START = 1_710_000_000 * S
ENGINE = [parameter for parameter in PARAMETERS if parameter.rules_field]
STEP_S = 100

MONEY = st.integers(0, 60_000)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([parameter.key for parameter in ENGINE] + ["card_fee_fen"]),
        MONEY,
        st.integers(0, 5),  # steps ahead; 0: at once
        st.sampled_from(["approve", "approve", "approve", "own", "cancel", "leave"]),
        st.integers(0, 3),  # which pending change is cancelled
    ),
    max_size=40,
)


class Office:
    """Registry and due list in a few lines, on the real rules; time moves a step an act."""

    def __init__(self):
        self.now_us, self.seq = START, 100
        self.changes, self.due, self.versions = [], [], {}
        self.rules, self.approvals = RulesBody(version=1), []

    def move(self):
        """Let a step pass: what is due takes effect in order of its time, then of its seq."""
        self.now_us += STEP_S * S
        for due_s, seq, mask, body in sorted(self.due):
            if due_s * S <= self.now_us:
                self.carry_out(mask, body)
                self.due.remove((due_s, seq, mask, body))

    def carry_out(self, mask, body):
        wanted = RulesBody.unpack(body)
        fields = {
            field.name.lower(): getattr(wanted, field.name.lower())
            for field in RulesField
            if field in RulesField(mask)
        }
        self.rules = dataclasses.replace(self.rules, version=self.rules.version + 1, **fields)

    def decide(self, proposal, approver):
        plan = approve(
            proposal,
            approver=approver,
            now_us=self.now_us,
            approved=tuple(self.changes),
            last_version=self.versions.get(proposal.key, 0),
        )
        scheduled = []
        for effect in plan.effects:
            self.seq += 1
            if effect.kind is EffectKind.CANCEL:
                self.due = [row for row in self.due if row[1] != effect.scheduled_seq]
            else:
                scheduled.append(self.seq)
                self.due.append((effect.due_s, self.seq, int(effect.mask), effect.body))
        self.seq += 1
        document = plan.document
        if isinstance(document, documents.parameters.CancellationApproved):
            self.changes = [c for c in self.changes if c.seq != document.change]
            return
        self.approvals.append((proposal.proposer, approver))
        self.versions[document.key] = document.version
        self.changes.append(
            Change(
                seq=self.seq,
                proposal=proposal.number,
                key=document.key,
                value=document.value,
                effective_us=document.effective_us or self.now_us,
                version=document.version,
                scheduled=tuple(scheduled),
            )
        )

    def proposed(self, key, value, effective_us, cancels=0):
        self.seq += 1
        return Proposal(
            number=self.seq,
            key=key,
            value=value,
            effective_us=effective_us,
            cancels=cancels,
            proposer="staff:1",
            state=ProposalState.OPEN,
        )


def value_of(key, number):
    parameter = BY_KEY[key]
    if parameter.choices:
        return parameter.choices[number % len(parameter.choices)]
    return str(parameter.low + number % (parameter.high - parameter.low + 1))


def act(office, key, number, ahead, what, which):
    if what == "cancel":
        waiting = [c for c in office.changes if c.effective_us > office.now_us]
        if not waiting:
            return
        change = waiting[which % len(waiting)]
        propose_cancellation(change, now_us=office.now_us, waiting=0)
        cancels = office.proposed(change.key, change.value, change.effective_us, change.seq)
        office.decide(cancels, "staff:2")
        return
    effective_us = office.now_us + ahead * STEP_S * S if ahead else 0
    wanted = Wanted(key=key, value=value_of(key, number), effective_us=effective_us)
    document = propose(wanted, now_us=office.now_us, approved=office.changes, waiting=0).document
    if what != "leave":
        proposal = office.proposed(document.key, document.value, document.effective_us)
        office.decide(proposal, "staff:1" if what == "own" else "staff:2")


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_the_engine_has_what_the_rules_say(steps):
    office = Office()
    refusals = set()
    for step in [*steps, *[("card_fee_fen", 0, 0, "leave", 0)] * 6]:
        try:
            act(office, *step)
        except Refusal as refusal:
            refusals.add(refusal.reason.name)
        office.move()
        values = values_of(office.changes, office.now_us)
        for parameter in ENGINE:
            text = str(values.value(parameter.key))
            field = getattr(office.rules, parameter.rules_field)
            assert field == rules_value(parameter, text), parameter.key
        assert values.number("day_limit_fen") <= values.number("day_ceiling_fen")
        assert values.number("meal_limit_fen") <= values.number("meal_ceiling_fen")
    assert not office.due
    assert office.rules.version == 1 + len(office.changes)
    assert all(proposer != approver for proposer, approver in office.approvals)
    assert refusals <= {"SELF_APPROVAL", "PARAMETER_ORDER"}
    for key in {change.key for change in office.changes}:
        numbers = [change.version for change in office.changes if change.key == key]
        assert numbers == sorted(set(numbers))
