"""Changes under dual control: proposed by one person, approved by another, in force from a moment on.

Everything that can be changed has a key and a value that is text: parameters, ``meals``,
``category.N``, ``day.YYYY-MM-DD``. Approval writes one command: its document and the effects that
wait for the moment. Each makes a new rule version, also of what only papers read, so that every
decision names the version it was made under.

**Source:** regulation 六.3a "不得私自更改系统参数", 九.2; docs/adr/0008.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from core import documents
from core.change_subjects import canonical, check_code, effects_of
from core.parameters import BY_KEY, Values
from core.plans import EffectKind, EffectPlan, Plan
from core.refusals import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

AHEAD_DAYS: Final = 731
"""How far ahead a change may take effect."""
OPEN_MAX: Final = 500
"""Proposals that wait at once."""

_US_PER_S: Final = 1_000_000
_DAY_US: Final = 86_400 * _US_PER_S
_NOT_ABOVE: Final = (
    ("day_limit_fen", "day_ceiling_fen"),
    ("meal_limit_fen", "meal_ceiling_fen"),
)
"""At no time may the first be above the second."""


class ProposalState(IntEnum):
    """What became of a proposal; the proto's numbers."""

    OPEN = 1
    APPROVED = 2
    REJECTED = 3
    WITHDRAWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A change as asked for. ``effective_us`` 0: as soon as it is approved."""

    key: str
    value: str
    effective_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An approved change that was not cancelled.

    Attributes:
        seq: of its approval: its name.
        effective_us: from when on, microseconds since 1970 UTC.
        version: of its key, from 1.
        scheduled: seqs of what waits in the engine.
    """

    seq: int
    proposal: int
    key: str
    value: str
    effective_us: int
    version: int
    scheduled: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposal as the registry has it. ``cancels``: seq of a change's approval, or 0."""

    number: int
    key: str
    value: str
    effective_us: int
    cancels: int
    proposer: str
    state: ProposalState


def propose(wanted: Wanted, *, now_us: int, approved: Iterable[Change], waiting: int) -> Plan:
    """Propose a value.

    Args:
        wanted: key, value as typed, moment.
        now_us: the clock.
        approved: every approved change.
        waiting: proposals that are open.

    Raises:
        Refusal: NOT_FOUND, PARAMETER_VALUE, PARAMETER_ORDER, EFFECTIVE_PAST, FIELD_INVALID,
            PROPOSALS_FULL.
    """
    if waiting >= OPEN_MAX:
        raise Refusal("PROPOSALS_FULL", limit=OPEN_MAX)
    value = canonical(wanted.key, wanted.value)
    effective_us = wanted.effective_us
    if effective_us and effective_us < now_us:
        raise Refusal("EFFECTIVE_PAST")
    if effective_us % _US_PER_S:
        raise invalid("effective_us", "whole seconds")
    if effective_us > now_us + AHEAD_DAYS * _DAY_US:
        raise invalid("effective_us", f"at most {AHEAD_DAYS} days ahead")
    check_composition(wanted.key, value, effective_us or now_us, approved)
    document = documents.parameters.ChangeProposed(
        key=wanted.key, value=value, effective_us=effective_us
    )
    return Plan(document=document, effects=())


def propose_cancellation(change: Change, *, now_us: int, waiting: int) -> Plan:
    """Propose that an approved change does not take effect.

    Raises:
        Refusal: CHANGE_IN_FORCE, PROPOSALS_FULL.
    """
    if waiting >= OPEN_MAX:
        raise Refusal("PROPOSALS_FULL", limit=OPEN_MAX)
    _refuse_in_force(change, now_us)
    document = documents.parameters.CancellationProposed(change=change.seq)
    return Plan(document=document, effects=())


def approve(
    proposal: Proposal,
    *,
    approver: str,
    now_us: int,
    approved: tuple[Change, ...],
    last_version: int,
) -> Plan:
    """Approve a proposal of somebody else.

    Args:
        proposal: open.
        approver: who acts, as ``By.actor``.
        now_us: the clock.
        approved: every approved change.
        last_version: of the key, cancelled ones counted; 0 before the first.

    Raises:
        Refusal: SELF_APPROVAL, also for one who holds both roles; PROPOSAL_STATE,
            PARAMETER_ORDER, CHANGE_IN_FORCE.

    **Source:** regulation 六.3a: parameters in force have two approvers.
    """
    _refuse_closed(proposal)
    if approver == proposal.proposer:
        raise Refusal("SELF_APPROVAL")
    if proposal.cancels:
        return _approve_cancellation(proposal, now_us=now_us, approved=approved)
    effective_us = proposal.effective_us if proposal.effective_us > now_us else 0
    check_composition(proposal.key, proposal.value, effective_us or now_us, approved)
    document = documents.parameters.ChangeApproved(
        proposal=proposal.number,
        key=proposal.key,
        value=proposal.value,
        effective_us=effective_us,
        version=last_version + 1,
    )
    due_s = (effective_us or now_us) // _US_PER_S
    return Plan(document=document, effects=effects_of(proposal.key, proposal.value, due_s))


def _approve_cancellation(proposal: Proposal, *, now_us: int, approved: tuple[Change, ...]) -> Plan:
    change = next((c for c in approved if c.seq == proposal.cancels), None)
    if change is None:
        raise Refusal("CHANGE_CANCELLED")
    _refuse_in_force(change, now_us)
    _check_order([c for c in approved if c is not change], from_us=now_us)
    effects = tuple(
        EffectPlan(kind=EffectKind.CANCEL, scheduled_seq=seq) for seq in change.scheduled
    )
    document = documents.parameters.CancellationApproved(
        proposal=proposal.number, change=change.seq
    )
    return Plan(document=document, effects=effects)


def reject(proposal: Proposal) -> Plan:
    """Refuse a proposal.

    Raises:
        Refusal: PROPOSAL_STATE.
    """
    _refuse_closed(proposal)
    document = documents.parameters.ProposalRejected(proposal=proposal.number)
    return Plan(document=document, effects=())


def withdraw(proposal: Proposal, *, actor: str) -> Plan:
    """Take back one's own proposal.

    Raises:
        Refusal: PROPOSAL_STATE, NOT_YOUR_PROPOSAL.
    """
    _refuse_closed(proposal)
    if actor != proposal.proposer:
        raise Refusal("NOT_YOUR_PROPOSAL")
    document = documents.parameters.ProposalWithdrawn(proposal=proposal.number)
    return Plan(document=document, effects=())


def values_of(changes: Iterable[Change], at_us: int) -> Values:
    """Return the values in force at a moment: the latest effective time, then the later approval."""
    chosen = sorted(
        (c for c in changes if c.effective_us <= at_us), key=lambda c: (c.effective_us, c.version)
    )
    return Values({change.key: change.value for change in chosen})


def check_composition(key: str, value: str, effective_us: int, approved: Iterable[Change]) -> None:
    """Refuse a value that with what is approved would not fit together at some time from then on.

    Raises:
        Refusal: PARAMETER_ORDER, PARAMETER_VALUE.
    """
    changes = list(approved)
    version = 1 + max((c.version for c in changes if c.key == key), default=0)
    new = Change(
        seq=0,
        proposal=0,
        key=key,
        value=value,
        effective_us=effective_us,
        version=version,
        scheduled=(),
    )
    _check_order([*changes, new], from_us=effective_us)
    check_code(key, value, values_of(changes, effective_us))


def _check_order(changes: list[Change], *, from_us: int) -> None:
    moments = {from_us, *(c.effective_us for c in changes if c.effective_us > from_us)}
    for moment in sorted(moments):
        values = values_of((c for c in changes if c.key in BY_KEY), moment)
        for low, high in _NOT_ABOVE:
            if values.number(low) > values.number(high):
                raise Refusal(
                    "PARAMETER_ORDER",
                    key=low,
                    other=high,
                    valueFen=values.number(low),
                    otherValueFen=values.number(high),
                )


def _refuse_closed(proposal: Proposal) -> None:
    if proposal.state is not ProposalState.OPEN:
        raise Refusal("PROPOSAL_STATE", state=proposal.state.name)


def _refuse_in_force(change: Change, now_us: int) -> None:
    if change.effective_us <= now_us:
        raise Refusal("CHANGE_IN_FORCE")
