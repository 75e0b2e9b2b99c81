"""Engine and model take the same commands in the same order and must agree on every number.

`CC_EXAMPLES=500 CC_STEPS=100` makes a long run of it; CC_SEED repeats one.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.model.numbers import EffectKind, Outcome
from tests.model.order import ORDERS, play
from tests.model.rig import fund, furnish
from tests.property.campus_life import CampusLife
from tests.property.engine_rig import EngineRig

EXAMPLES = int(os.environ.get("CC_EXAMPLES", "120"))
STEPS = int(os.environ.get("CC_STEPS", "60"))


class EngineAndModel(CampusLife):
    """Every command goes to both."""

    def make_rig(self, folder):
        return EngineRig(folder)


EngineAndModel.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestEngineAgainstModel(EngineAndModel.TestCase):
    """The machine above, as a test."""


@pytest.mark.parametrize("name", ORDERS)
def test_the_first_failing_row_wins(name, tmp_path):
    rig = EngineRig(tmp_path)
    try:
        furnish(rig)
        play(rig, ORDERS[name])
        rig.compare_rows()
        rig.restart(without_state=True)
        rig.compare_rows()
    finally:
        rig.close()


def test_hard_bounds(tmp_path):
    """A counter that would not fit refuses the purchase before limits are looked at."""
    rig = EngineRig(tmp_path)
    try:
        furnish(rig)
        rig.do([fund(EffectKind.TOP_UP, 1, 100_000_000)] * 8)
        replies = []
        for _ in range(6):
            rig.do([fund(EffectKind.TOP_UP, 1, 100_000_000)] * 8)
            replies += [rig.buy(100_000_000, pin=rig.account().pin) for _ in range(8)]
        assert [reply.outcome for reply in replies[:42]] == [Outcome.APPROVED] * 42
        assert {reply.reason.name for reply in replies[42:]} == {"LIMIT_HARD"}
        rig.compare_rows()
    finally:
        rig.close()
