"""One running campus per module, and a fresh one where a test breaks it."""

import pytest

from tests.campus import Campus


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    """A campus shared by a module's tests: each opens its own accounts."""
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        yield running
        running.stop()
        assert not running.anonymous_acts(), "every act says who, as what, by which way"


@pytest.fixture(scope="module")
def pos(campus):
    """A canteen terminal with a keypad, signed in."""
    return campus.terminal("POS-07")


@pytest.fixture
def own_campus(tmp_path):
    """A campus of this test alone, not started."""
    campus = Campus(tmp_path / "campus")
    yield campus
    if campus.process is not None:
        campus.kill9()
