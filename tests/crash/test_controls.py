"""Builds that break a rule on purpose: each must be caught, or the harness sees nothing.

The faults are in ext/sabotage.h, compiled in for these tests only.
"""

import random

import pytest

from tests.crash import harness
from tests.crash.engine_subject import EngineSubject
from tests.crash.test_failures import complaint_about, prepared
from tests.crash.test_power_cut import recorded, violations

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]


def journal_alone(memory, seed, **how):
    return harness.Subject(seed=seed, blocks=20, shape="large", **how), None


def whole_engine(memory, seed, **how):
    return EngineSubject(memory, seed=seed, **how), 12


@pytest.fixture(params=[journal_alone, whole_engine], ids=["journal", "engine"])
def broken(request, sabotaged, memory, seed):
    """A subject of the sabotaged build, and at how many moments its power is cut."""
    return lambda how: request.param(memory, seed, modules=sabotaged, extra={"CC_SABOTAGE": how})


def found_by_images(broken, recorder, tmp_path, memory, seed):
    subject, moments = broken
    made, written = recorded(subject, recorder, tmp_path, memory)
    subject.extra = {}  # what recovers is sound
    rng = random.Random(seed)
    return violations(subject, made + written, rng, memory, moments=moments)[0]


def test_the_sabotaged_build_is_sound_without_a_fault_chosen(
    broken, recorder, tmp_path, memory, seed
):
    assert found_by_images(broken(""), recorder, tmp_path, memory, seed) == []


def test_acknowledging_before_the_sync_is_caught(broken, recorder, tmp_path, memory, seed):
    how = "acknowledge-before-sync"
    wrong = found_by_images(broken(how), recorder, tmp_path, memory, seed)
    assert any("acknowledged" in w for w in wrong), wrong[:3]


def test_pipelined_without_a_fault_chosen_is_sound(sabotaged, recorder, tmp_path, memory, seed):
    broken = whole_engine(memory, seed, modules=sabotaged, commit="pipelined")
    assert found_by_images(broken, recorder, tmp_path, memory, seed) == []


def test_acknowledging_at_its_own_return_is_caught(sabotaged, recorder, tmp_path, memory, seed):
    """Pipelined, a commit that has returned has not synced the page that leads to its block."""
    extra = {"CC_SABOTAGE": "acknowledge-at-its-own-return"}
    broken = whole_engine(memory, seed, modules=sabotaged, extra=extra, commit="pipelined")
    wrong = found_by_images(broken, recorder, tmp_path, memory, seed)
    assert any("acknowledged" in w for w in wrong), wrong[:3]


def test_answering_before_the_commit_is_caught(sabotaged, recorder, tmp_path, memory, seed):
    extra = {"CC_SABOTAGE": "answer-before-commit"}
    broken = whole_engine(memory, seed, modules=sabotaged, extra=extra)
    wrong = found_by_images(broken, recorder, tmp_path, memory, seed)
    assert any("acknowledged" in w for w in wrong), wrong[:3]


def test_skipping_the_directory_sync_is_caught(broken, recorder, tmp_path, memory, seed):
    wrong = found_by_images(broken("skip-directory-sync"), recorder, tmp_path, memory, seed)
    assert wrong


def test_going_on_after_a_failed_sync_is_caught(broken, memory, tmp_path):
    subject, _moments = broken("retry-failed-sync")
    root = prepared(subject, memory / "root")
    log = tmp_path / "strace.log"
    fault = "fdatasync:error=EIO:when=4"
    paths = [root / "data/journal/000001/data.mdb"]
    result = subject.run(harness.traced(subject.write(root), fault, log=log, paths=paths))
    with subject.recoverer() as recoverer:
        found = recoverer.ask("recover", root)
    assert "went on" in complaint_about(subject, result, found)


def test_a_journal_opened_without_sync_is_refused(broken, memory):
    subject, _moments = broken("open-without-sync")
    root = prepared(broken("")[0], memory / "root")
    result = subject.run(subject.write(root))
    assert result.returncode != 0
    assert "may not be opened without sync" in result.stderr
    assert harness.acknowledged(result.stdout) == []
