import datetime as dt

import pytest

from core.calendar import BEGAN_DAY_BEFORE, DEFAULT_MEALS, MealPeriod, day_key, meal_fault, meal_key

OFFSET = 28_800
CHINA = dt.timezone(dt.timedelta(hours=8))


def us(text):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("moment", "index", "before"),
    [
        ("2024-03-13 04:59:59", 4, True),
        ("2024-03-13 05:00:00", 1, False),
        ("2024-03-13 09:59:59", 1, False),
        ("2024-03-13 10:00:00", 2, False),
        ("2024-03-13 14:29:59", 2, False),
        ("2024-03-13 14:30:00", 3, False),
        ("2024-03-13 21:00:00", 4, False),
        ("2024-03-13 23:59:59", 4, False),
        ("2024-03-14 00:00:00", 4, True),
    ],
)
def test_meals_are_half_open(moment, index, before):
    key = meal_key(us(moment), OFFSET, DEFAULT_MEALS)
    assert key == index | (BEGAN_DAY_BEFORE if before else 0)


def test_the_day_is_local():
    midnight = us("2024-03-14 00:00:00")
    assert day_key(midnight, OFFSET) == (dt.date(2024, 3, 14) - dt.date(1970, 1, 1)).days
    assert day_key(midnight - 1, OFFSET) == day_key(midnight, OFFSET) - 1


def test_between_meals_there_is_none():
    assert meal_key(us("2024-03-13 09:00:00"), OFFSET, (MealPeriod("LUNCH", 660, 720),)) == 0


@pytest.mark.parametrize(
    ("meals", "fault"),
    [
        (DEFAULT_MEALS, ""),
        ((), ""),
        ((MealPeriod("A", 0, 60), MealPeriod("A", 60, 90)), "names"),
        ((MealPeriod("A", 0, 60), MealPeriod("B", 59, 90)), "overlaps"),
        ((MealPeriod("A", 0, 1440),), "minutes"),
        ((MealPeriod("A", 5, 5),), "same"),
        ((MealPeriod("A", 60, 90), MealPeriod("B", 0, 60)), "order"),
        (tuple(MealPeriod(str(i), i, i + 1) for i in range(9)), "at most"),
        ((MealPeriod("A", 10, 60), MealPeriod("B", 1300, 20)), "overlaps"),
    ],
)
def test_meal_faults(meals, fault):
    found = meal_fault(meals)
    assert found if fault else not found
    assert fault in found
