"""What must hold before the counter does something: the way, the hours, the class.

**Source:** regulation 三.3a, 三.4(3)(4); D9 of docs/regulation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import service_hours
from core.cards import TABLE
from core.permissions import Channel
from core.refusals import Refusal

if TYPE_CHECKING:
    import datetime as dt

    from core.cards import CardEvent
    from core.parameters import Values
    from core.service_hours import CalendarDays


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When and by which way an act is asked for, and what was in force then.

    Attributes:
        time_us: microseconds since 1970 UTC.
        utc_offset_s: seconds the local day is ahead of UTC.
        values: the parameters in force.
        channel: of the caller.
        calendar: days with hours of their own.
        override: seq of a supervisor's leave to do this one act at any hour; 0: none.
    """

    time_us: int
    utc_offset_s: int
    values: Values
    channel: str
    calendar: CalendarDays
    override: int = 0

    @property
    def local(self) -> dt.datetime:
        """The local time, naive."""
        return service_hours.local_time(self.time_us, self.utc_offset_s)

    @property
    def today(self) -> int:
        """The local day, days since 1970-01-01."""
        return (self.time_us // 1_000_000 + self.utc_offset_s) // 86_400


def admit(event: CardEvent, moment: Moment) -> int:
    """Check way and hours of an event.

    Returns:
        The override it uses up; 0 within the hours.

    Raises:
        Refusal: CHANNEL_NOT_ALLOWED; OUTSIDE_SERVICE_HOURS with ``opens``, the next opening.

    **Source:** regulation 三.3a (解挂 at the centre only), 三.4(4).
    """
    row = TABLE[event]
    if row.counter and moment.channel != Channel.COUNTER:
        raise Refusal("CHANNEL_NOT_ALLOWED", channel=moment.channel, allowed=Channel.COUNTER)
    return check_hours(row.operation, moment)


def check_hours(operation: str, moment: Moment) -> int:
    """Check that the counter does an operation now.

    Args:
        operation: as in ``core.parameters.COUNTER_OPERATIONS``; empty: at any hour.
        moment: now.

    Returns:
        The override it uses up; 0 within the hours.

    Raises:
        Refusal: OUTSIDE_SERVICE_HOURS with ``opens``, the next opening.

    **Source:** regulation 三.4(4); D9 of docs/regulation.md.
    """
    if not operation or not moment.values.has("counter_operations", operation):
        return 0
    if service_hours.is_open(moment.values, moment.calendar, moment.local):
        return 0
    if moment.override:
        return moment.override
    opens = service_hours.next_opening(moment.values, moment.calendar, moment.local)
    raise Refusal(
        "OUTSIDE_SERVICE_HOURS",
        operation=operation,
        opens=f"{opens:%Y-%m-%d %H:%M}" if opens else "-",
    )


def refuse_other_class(class_name: str, classes: frozenset[str] | None) -> None:
    """Let a class teacher act for their own classes only.

    Args:
        class_name: of the holder.
        classes: the teacher's; None: the caller is not bound to classes.

    Raises:
        Refusal: NOT_YOUR_CLASS.

    **Source:** regulation 三.1(2), 三.4(3).
    """
    if classes is not None and class_name not in classes:
        raise Refusal("NOT_YOUR_CLASS")
