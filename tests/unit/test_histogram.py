"""The histogram of durations: exact to a thousandth, whatever is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext.histogram import Histogram

TOP = (1 << 40) - 1


def counted(values):
    made = Histogram()
    for value in values:
        made.add(value)
    return made


@given(st.lists(st.integers(0, TOP), min_size=1, max_size=200), st.integers(0, 1_000_000))
def test_a_percentile_is_exact_to_a_thousandth(values, parts):
    rank = max(1, -(-len(values) * parts // 1_000_000))
    exact = sorted(values)[rank - 1]
    found = counted(values).at(parts)
    assert exact <= found <= exact + exact // 1_000


@given(st.lists(st.integers(0, TOP)), st.lists(st.integers(0, TOP)))
def test_two_together_are_one(some, more):
    made = counted(some)
    made.add_all(counted(more))
    both = counted(some + more)
    assert (made.total, made.longest) == (both.total, both.longest)
    assert [made.at(parts) for parts in (0, 500_000, 999_999)] == [
        both.at(parts) for parts in (0, 500_000, 999_999)
    ]


def test_what_is_out_of_range_counts_at_its_end():
    made = counted([-5, 1 << 50])
    assert made.at(500_000) == 0
    assert made.longest == made.at(1_000_000) == TOP


def test_nothing_counted_is_nothing():
    assert Histogram().at(990_000) == 0
    with pytest.raises(ValueError, match="1,000,000"):
        Histogram().at(1_000_001)
