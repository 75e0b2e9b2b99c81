"""Parameters, proposals, categories and calendar days as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campuscard.v1 import parameter_service_pb2 as pb
from core.categories import Category, CategoryFlag
from core.parameter_kinds import Kind

if TYPE_CHECKING:
    import datetime as dt

    from core.parameter_kinds import Parameter
    from core.parameters import Values
    from server.registers.parameters import ProposalRow, VersionRow

_FLAGS = {
    "counts_toward_day": CategoryFlag.DAY,
    "counts_toward_meal": CategoryFlag.MEAL,
    "refundable": CategoryFlag.REFUNDABLE,
    "holds": CategoryFlag.HOLD,
    "purchases": CategoryFlag.SPEND,
    "subsidy": CategoryFlag.SUBSIDY,
}


def parameter_message(
    parameter: Parameter, values: Values, *, version: int, following: VersionRow | None
) -> pb.Parameter:
    """Write a parameter.

    Args:
        parameter: row of the table.
        values: in force.
        version: in force; 0: the default is.
        following: the next change, if any.
    """
    number = parameter.kind is Kind.NUMBER
    return pb.Parameter(
        key=parameter.key,
        kind=parameter.kind.value,
        value=str(values.value(parameter.key)),
        default_value=str(parameter.default),
        unit=parameter.unit,
        low=parameter.low if number else 0,
        high=parameter.high if number else 0,
        choices=parameter.choices,
        clause=parameter.clause,
        name_zh=parameter.zh,
        name_en=parameter.en,
        version=version,
        next=None if following is None else version_message(following),
    )


def version_message(row: VersionRow) -> pb.ParameterVersion:
    """Write a version."""
    change = row.change
    return pb.ParameterVersion(
        version=change.version,
        value=change.value,
        effective_us=change.effective_us,
        proposal=change.proposal,
        proposer=row.proposal.proposer,
        reason=row.proposal.reason,
        approver=row.proposal.decider,
        change=change.seq,
        in_force_seq=row.in_force_seq,
        cancelled_seq=row.cancelled_seq,
    )


def proposal_message(row: ProposalRow) -> pb.Proposal:
    """Write a proposal."""
    return pb.Proposal(
        proposal=row.number,
        key=row.key,
        value=row.value,
        effective_us=row.effective_us,
        cancels=row.cancels,
        state=pb.ProposalState.ValueType(row.state),
        proposer=row.proposer,
        reason=row.reason,
        time_us=row.time_us,
        decider=row.decider,
        decided_reason=row.decided_reason,
        decided_us=row.decided_us,
        decided_seq=row.decided_seq,
    )


def category_message(category: Category) -> pb.Category:
    """Write a category."""
    return pb.Category(
        number=category.number,
        code=category.code,
        name_zh=category.zh,
        name_en=category.en,
        **{name: flag in category.flags for name, flag in _FLAGS.items()},
    )


def category_of(message: pb.Category) -> Category:
    """Read a category, its form not checked."""
    flags = CategoryFlag(0)
    for name, flag in _FLAGS.items():
        if getattr(message, name):
            flags |= flag
    return Category(
        number=message.number,
        code=message.code,
        zh=message.name_zh,
        en=message.name_en,
        flags=flags,
    )


def day_message(
    day: dt.date, hours: tuple[tuple[int, int], ...], *, exception: bool
) -> pb.CalendarDay:
    """Write a day of the calendar."""
    return pb.CalendarDay(
        date=day.isoformat(),
        hours=[
            f"{start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d}"
            for start, end in hours
        ],
        exception=exception,
    )
