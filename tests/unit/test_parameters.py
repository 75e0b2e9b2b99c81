import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.change_subjects import rules_value
from core.parameter_kinds import Kind, format_hours, parse_hours
from core.parameters import BY_KEY, PARAMETERS, Values
from core.rows import RulesBody

ROOT = Path(__file__).resolve().parents[2]
DECIDING = ("decide", "limits", "pins", "taps", "reserve", "blocktime")
"""Modules of the engine that decide; others only carry rules from row to row."""


def sources(*paths):
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def test_names_are_unique_and_say_their_unit():
    assert len(BY_KEY) == len(PARAMETERS)
    for parameter in PARAMETERS:
        assert parameter.key.endswith("_fen") == (parameter.unit == "fen")
        assert parameter.clause
        assert parameter.zh
        assert parameter.en


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.key)
def test_defaults_are_values(parameter):
    assert parameter.parse(str(parameter.default)) == parameter.default


def test_defaults_of_the_engine_are_the_same():
    rules = RulesBody()
    for parameter in PARAMETERS:
        if parameter.rules_field:
            value = rules_value(parameter, str(parameter.default))
            assert getattr(rules, parameter.rules_field) == value


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.key)
@given(text=st.text(max_size=30))
def test_any_text_is_a_value_or_refused(parameter, text):
    try:
        value = parameter.parse(text)
    except ValueError:
        return
    assert parameter.parse(str(value)) == value
    if parameter.kind is Kind.NUMBER:
        assert parameter.low <= value <= parameter.high


@pytest.mark.parametrize(
    "text",
    ["WED 17:00-14:30", "WED 14:30", "FUN 14:30-17:00", "WED 14:60-17:00", "WED 08:00-25:00",
     "WED 08:00-12:00, WED 11:59-13:00"],
)  # fmt: skip
def test_hours_that_are_none(text):
    with pytest.raises(ValueError, match="hours"):
        parse_hours(text)


def test_hours_are_written_in_order():
    assert format_hours(parse_hours("FRI 14:30-17:00,WED 14:30-17:00 ")) == (
        "WED 14:30-17:00, FRI 14:30-17:00"
    )
    assert parse_hours("") == ()


def test_values_take_the_approved_ones():
    values = Values({"card_fee_fen": "2500", "counter_operations": "UNLOSS"})
    assert values.number("card_fee_fen") == 2500
    assert values.number("query_tries") == 5
    assert values.has("counter_operations", "UNLOSS")
    assert not values.has("counter_operations", "MAKE_CARD")
    with pytest.raises(TypeError):
        values.number("counter_operations")


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.key)
def test_every_parameter_is_read_by_what_decides(parameter):
    """A switch that nothing reads would be a lie."""
    if parameter.rules_field:
        engine = [path for name in DECIDING for path in ROOT.glob(f"ext/{name}.p*")]
        text = sources(*engine, ROOT / "core" / "accounts.py")
        wanted = rf"\brules\S*\.{parameter.rules_field}\b"
    else:
        text = sources(
            *(
                path
                for name in ("core", "server")
                for path in sorted((ROOT / name).rglob("*.py"))
                if path.name != "parameters.py" or path.parent.name != "core"
            )
        )
        wanted = rf"[(:] *\"{parameter.key}\"[,)]"
    assert re.search(wanted, text)
