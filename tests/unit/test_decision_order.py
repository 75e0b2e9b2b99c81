"""The model decides in the fixed order: the first failing row wins."""

import pytest

from tests.model.order import ORDERS, play
from tests.model.rig import Rig, furnish


@pytest.mark.parametrize("name", ORDERS)
def test_the_first_failing_row_wins(name):
    rig = Rig()
    furnish(rig)
    play(rig, ORDERS[name])
