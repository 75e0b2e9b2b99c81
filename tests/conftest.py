"""Fixtures of all tests: one seed per run, printed, so that chance can be repeated."""

import os
import random
import shutil
import tempfile

import hypothesis
import pytest

hypothesis.settings.register_profile("campuscard", deadline=None, print_blob=True)
hypothesis.settings.load_profile("campuscard")


def pytest_configure(config):
    # Set before xdist starts its workers, so all of them inherit it.
    os.environ.setdefault("CC_SEED", str(random.SystemRandom().randrange(2**32)))
    # Commands under test keep sessions and terminals' keys: not among those of whoever runs them.
    os.environ.pop("CAMPUSCARD_TOKEN", None)
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="campuscard-state-")


def pytest_unconfigure(config):
    shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)


def pytest_report_header(config):
    return f"CC_SEED={os.environ['CC_SEED']} repeats this run's random numbers"


@pytest.fixture(scope="session")
def seed():
    """The run's seed: build generators as random.Random(seed)."""
    return int(os.environ["CC_SEED"])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and "seed" in getattr(item, "fixturenames", ()):
        report.sections.append(("seed", f"CC_SEED={os.environ['CC_SEED']}"))
    return report
