"""Second entries over random days: the decision against a list of everything that happened."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core.access import Direction, Emergency, Moment, Passback, Passer, Shown, Zone, decide
from core.facts import MediumFacts
from core.holders import HolderStatus
from core.rows import AccountStatus, MediumFlag, MediumState, ServiceStatus
from core.time_windows import Timetable, Window

MINUTE_US = 60_000_000
MINUTES = 10
CARD = MediumFacts(
    number=1,
    account_number=1,
    type=1,
    token=b"",
    key=bytes(16),
    state=MediumState.ACTIVE,
    flags=MediumFlag(0),
    expires_day=0,
    lost_seq=0,
    lost_time_us=0,
)
ALWAYS = Timetable(weekly={day: (Window(0, 1_440),) for day in range(7)}, days={})
PASSER = Passer(
    account_status=AccountStatus.NORMAL,
    holder_status=HolderStatus.ENROLLED,
    timetables=(ALWAYS,),
)
steps = st.lists(
    st.tuples(st.sampled_from(Direction), st.integers(0, 7), st.sampled_from(Passback)),
    max_size=40,
)


@given(steps=steps)
def test_second_entries_as_the_list_has_them(steps):
    """Each step: which way, minutes since the one before, and what the zone does then."""
    now, inside_since, history = MINUTE_US, 0, []
    for direction, minutes, mode in steps:
        now += minutes * MINUTE_US
        zone = Zone(
            zone="Z", emergency=Emergency.NONE, passback=mode, passback_minutes=MINUTES, exits=False
        )
        verdict = decide(
            zone,
            ServiceStatus.IN_SERVICE,
            direction,
            Shown(medium=CARD),
            replace(PASSER, inside_since_us=inside_since),
            Moment(time_us=now, utc_offset_s=28_800),
        )
        twice = direction is Direction.IN and entered_lately(history, now)
        expected = "PASSBACK" if twice and mode is not Passback.OFF else "OK"
        assert verdict.reason == expected
        assert verdict.granted == (expected == "OK" or mode is Passback.WARN)
        if verdict.granted:
            history.append((direction, now))
            inside_since = now if direction is Direction.IN else 0


def entered_lately(history, now):
    """Whether the newest passage is an entry of the last minutes."""
    if not history:
        return False
    direction, when = history[-1]
    return direction is Direction.IN and now - when < MINUTES * MINUTE_US
