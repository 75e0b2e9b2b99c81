"""The offline verification, the auditor and the model agree on whatever a campus does.

Three accounts of the same rules, written apart; no engine takes part.
"""

import os

from hypothesis import HealthCheck, settings

from tests.offline.model_journal import ModelJournal
from tests.offline.test_verify import walk
from tests.property.campus_life import CampusLife

EXAMPLES = int(os.environ.get("CC_EXAMPLES", "40"))
STEPS = int(os.environ.get("CC_STEPS", "40"))


class Paper(ModelJournal):
    """A campus whose journal is verified when its life ends."""

    def checkpoint(self):
        pass

    def send_all(self, taps):
        return [self.send(tap) for tap in taps]

    def settle(self):
        self.idle()

    def restart(self, *, without_state):
        pass

    def compare_rows(self):
        pass

    def close(self):
        walk(self.sealed)


class VerifyAndModel(CampusLife):
    """Every command becomes a block."""

    def make_rig(self, folder):
        return Paper()


VerifyAndModel.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class TestVerifyAgainstModel(VerifyAndModel.TestCase):
    """The machine above, as a test."""
