"""rules.toml: every rule of the engine can stand in it, and nothing in it is passed over."""

import tomllib
from pathlib import Path

import pytest

from clients.admin.rules import FIELDS, wanted_values
from clients.campus import FileFormatError, read_rules
from core.parameters import BY_KEY, PARAMETERS

DEMO = Path(__file__).resolve().parents[2] / "demo"


def test_every_rule_of_the_engine_has_a_name_in_the_file():
    engine = {parameter.key for parameter in PARAMETERS if parameter.rules_field}
    assert {key for _, _, key, _ in FIELDS} == engine


def test_the_demo_names_them_all_with_values_that_a_parameter_takes():
    values = wanted_values(read_rules(DEMO / "rules.toml"))
    assert values.keys() == {key for _, _, key, _ in FIELDS} | {"meals"}
    for key in values.keys() - {"meals"}:
        BY_KEY[key].parse(values[key])


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ('day_scope = "calendar"', "limit_day", "CAL"),
        ('day_scope = "business"', "limit_day", "BIZ"),
        ("day_cut_minutes = 1410", "day_cut_minutes", "1410"),
        ("pin_session_seconds = 90", "pin_session_seconds", "90"),
        ('pin_reset = "next_day"', "pin_reset", "NEXT_DAY"),
        ('pin_reset = "counter"', "pin_reset", "COUNTER"),
        ('meal_scope = "purchase"', "meal_limit_scope", "TXN"),
        ('day = "15.50"', "day_limit_fen", "1550"),
    ],
)
def test_a_line_is_a_parameter(line, key, value):
    assert wanted_values(tomllib.loads(f"[limits]\n{line}\n")) == {key: value}
    BY_KEY[key].parse(value)


def test_choices_are_all_there():
    for section, name, key, read in FIELDS:
        for choice in BY_KEY[key].choices:
            words = ("calendar", "business", "period", "purchase", "next_day", "counter")
            assert choice in {read(word) for word in words if _reads(read, word)}, (section, name)


def _reads(read, word):
    try:
        read(word)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[limits]\npin_reset = 'week'\n", r"\[limits\] pin_reset: one of next_day, counter"),
        ("[limits]\npin_reset = ['counter']\n", r"\[limits\] pin_reset: one of"),
        ("[limits]\nday_scope = 'CAL'\n", r"\[limits\] day_scope: one of calendar, business"),
        ("[limits]\nday_cut_minutes = '0'\n", r"day_cut_minutes: '0' is no whole number"),
        ("[limits]\npin_session_seconds = 1.5\n", r"pin_session_seconds: 1.5 is no whole number"),
        ("[limits]\npin_tries = true\n", r"pin_tries: True is no whole number"),
        ("[limits]\nday = 100.0\n", r"\[limits\] day: an amount is text"),
        ("[limits]\nday = '1.234'\n", r"\[limits\] day: not an amount"),
        ("[limits]\ndya = '100.00'\n", r"\[limits\] has no dya"),
        ("[limit]\nday = '100.00'\n", r"has no \[limit\]"),
        ("water = 3\n", r"has no \[water\]"),
    ],
)
def test_what_is_wrong_is_named(text, words):
    with pytest.raises(FileFormatError, match=words):
        wanted_values(tomllib.loads(text))
