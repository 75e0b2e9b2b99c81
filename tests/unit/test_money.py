import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import AMOUNT_MAX, format_yuan, in_amount_range, parse_yuan


@pytest.mark.parametrize(
    ("text", "fen"),
    [("12.50", 1250), ("12.5", 1250), ("12", 1200), ("0.01", 1), ("-3.00", -300), ("-0.05", -5)],
)
def test_yuan_people_type(text, fen):
    assert parse_yuan(text) == fen


@pytest.mark.parametrize(
    "text", ["", ".", "1.", ".5", "1.234", "1e3", "1,000", "¥1", " 1", "１", "--1", "NaN", "1\n"]
)
def test_nothing_is_rounded_or_guessed(text):
    with pytest.raises(ValueError, match="yuan"):
        parse_yuan(text)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_what_is_written_reads_back(fen):
    assert parse_yuan(format_yuan(fen)) == fen


def test_the_range_of_one_transaction():
    assert [in_amount_range(fen) for fen in (-1, 0, 1, AMOUNT_MAX, AMOUNT_MAX + 1)] == [
        False,
        False,
        True,
        True,
        False,
    ]
