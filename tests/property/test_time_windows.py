"""Windows of gates against a model that walks every minute of a fortnight."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.time_windows import (
    DAY_WINDOWS_MAX,
    DAYS_MAX,
    WINDOWS_MAX,
    Timetable,
    Window,
    timetable_fault,
    weekday_of,
)

FIRST_DAY = (dt.date(2024, 3, 11) - dt.date(1970, 1, 1)).days
DAYS = 14
DAY = 1_440


@st.composite
def window(draw):
    start = draw(st.integers(0, DAY - 1))
    return Window(start, draw(st.integers(1, DAY).filter(lambda end: end != start)))


windows = st.lists(window(), max_size=3).map(tuple)
timetables = st.builds(
    Timetable,
    weekly=st.dictionaries(st.integers(0, 6), windows, max_size=7),
    days=st.dictionaries(st.integers(FIRST_DAY, FIRST_DAY + DAYS - 1), windows, max_size=4),
)


def open_minutes(timetable):
    """Return every open minute of the fortnight, from each day's own windows, minute by minute."""
    found = set()
    for day in range(FIRST_DAY - 1, FIRST_DAY + DAYS):
        date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
        own = timetable.days.get(day, timetable.weekly.get(date.weekday(), ()))
        for each in own:
            minute = each.start
            while True:
                found.add(day * DAY + minute)
                minute += 1
                if minute % DAY == each.end % DAY:
                    break
    return found


@given(timetable=timetables, data=st.data())
def test_a_minute_is_open_as_the_model_has_it(timetable, data):
    found = open_minutes(timetable)
    edges = sorted({m + d for m in found for d in (-1, 0, 1)}) or [FIRST_DAY * DAY]
    minutes = data.draw(st.lists(st.sampled_from(edges), min_size=1, max_size=40))
    for minute in minutes:
        day, of_day = divmod(minute, DAY)
        if FIRST_DAY <= day < FIRST_DAY + DAYS:
            assert timetable.is_open(day, of_day) == (minute in found), (day, of_day)


def every_night(days=()):
    """22:00 to 06:00 of each night."""
    weekly = {day: (Window(1_320, 360),) for day in range(7)}
    return Timetable(weekly=weekly, days=dict(days))


def test_weekdays():
    assert [weekday_of(FIRST_DAY + day) for day in range(8)] == [0, 1, 2, 3, 4, 5, 6, 0]
    assert weekday_of(0) == dt.date(1970, 1, 1).weekday()


def test_over_midnight_half_open():
    table = every_night()
    day = FIRST_DAY + 2
    inside = [(day, 1_320), (day, 1_439), (day + 1, 0), (day + 1, 359)]
    outside = [(day, 1_319), (day + 1, 360), (day, 720)]
    assert all(table.is_open(*each) for each in inside)
    assert not any(table.is_open(*each) for each in outside)


def test_an_exception_day_is_closed_but_for_the_rest_of_the_night_before():
    day = FIRST_DAY + 2
    table = every_night({day: ()})
    assert table.is_open(day, 0)
    assert table.is_open(day, 359)
    assert not table.is_open(day, 1_320)
    assert not table.is_open(day + 1, 0)
    assert table.is_open(day + 1, 1_320)


def test_the_end_of_a_day_is_not_the_next():
    table = Timetable(weekly={0: (Window(0, DAY),)}, days={})
    assert table.is_open(FIRST_DAY, DAY - 1)
    assert not table.is_open(FIRST_DAY + 1, 0)


MANY = {FIRST_DAY + day: () for day in range(DAYS_MAX + 1)}
FAULTS = [
    ({}, {}, f"1 to {WINDOWS_MAX} weekly windows"),
    ({0: ()}, {}, f"1 to {WINDOWS_MAX} weekly windows"),
    ({7: (Window(0, 1),)}, {}, "weekdays"),
    ({0: (Window(0, 1),)}, MANY, "exception days"),
    ({0: (Window(0, 1),)}, {1: (Window(0, 1),) * (DAY_WINDOWS_MAX + 1)}, "on an exception day"),
    ({0: (Window(-1, 5),)}, {}, "a window"),
    ({0: (Window(5, 5),)}, {}, "a window"),
    ({0: (Window(5, 0),)}, {}, "a window"),
    ({0: (Window(1_440, 5),)}, {}, "a window"),
    ({0: (Window(0, 1_441),)}, {}, "a window"),
    ({0: (Window(60, 120), Window(119, 180))}, {}, "overlap"),
    ({0: (Window(1_320, 360),), 1: (Window(359, 400),)}, {}, "overlap"),
    ({6: (Window(1_320, 360),), 0: (Window(0, 10),)}, {}, "overlap"),
    ({0: (Window(0, 1),)}, {1: (Window(0, 60), Window(30, 90))}, "overlap"),
]


@pytest.mark.parametrize(("weekly", "days", "fault"), FAULTS)
def test_timetables_that_are_none(weekly, days, fault):
    assert fault in timetable_fault(Timetable(weekly=weekly, days=days))


def test_windows_may_touch():
    weekly = {
        0: (Window(60, 120), Window(120, 180)),
        1: (Window(1_320, 360),),
        2: (Window(360, 400),),
    }
    assert (
        timetable_fault(Timetable(weekly=weekly, days={5: (Window(0, 60), Window(60, 1_440))}))
        == ""
    )
