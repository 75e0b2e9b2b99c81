"""Builds that break a rule on purpose: each must be caught, or the harness sees nothing.

The faults are in ext/sabotage.h, compiled in for these tests only.
"""

import random

import pytest

from tests.crash import harness
from tests.crash.test_failures import complaint_about, prepared
from tests.crash.test_power_cut import recorded, violations

pytestmark = pytest.mark.slow


def broken(sabotaged, how, **options):
    return harness.Subject(modules=sabotaged, extra={"CC_SABOTAGE": how}, **options)


def found_by_images(sabotaged, how, recorder, tmp_path, memory, seed):
    subject = broken(sabotaged, how, seed=seed, blocks=20, shape="large")
    made, written = recorded(subject, recorder, tmp_path, memory)
    subject.extra = {}  # what recovers is sound
    return violations(subject, made + written, random.Random(seed), memory)[0]


def test_the_sabotaged_build_is_sound_without_a_fault_chosen(
    sabotaged, recorder, tmp_path, memory, seed
):
    assert found_by_images(sabotaged, "", recorder, tmp_path, memory, seed) == []


def test_acknowledging_before_the_sync_is_caught(sabotaged, recorder, tmp_path, memory, seed):
    wrong = found_by_images(sabotaged, "acknowledge-before-sync", recorder, tmp_path, memory, seed)
    assert any("acknowledged" in w for w in wrong), wrong[:3]


def test_skipping_the_directory_sync_is_caught(sabotaged, recorder, tmp_path, memory, seed):
    wrong = found_by_images(sabotaged, "skip-directory-sync", recorder, tmp_path, memory, seed)
    assert wrong


def test_going_on_after_a_failed_sync_is_caught(sabotaged, memory, tmp_path, seed):
    subject = broken(sabotaged, "retry-failed-sync", seed=seed, blocks=5)
    root = prepared(subject, memory / "root")
    fault = "fdatasync:error=EIO:when=4"
    log = tmp_path / "strace.log"
    result = subject.run(harness.traced(subject.write(root), fault, log=log))
    with subject.recoverer() as recoverer:
        found = recoverer.ask("recover", root)
    assert "went on" in complaint_about(subject, result, found)


def test_a_journal_opened_without_sync_is_refused(sabotaged, memory):
    subject = harness.Subject(blocks=1)
    root = prepared(subject, memory / "root")
    subject = broken(sabotaged, "open-without-sync", blocks=1)
    result = subject.run(subject.write(root))
    assert result.returncode != 0
    assert "may not be opened without sync" in result.stderr
    assert harness.acknowledged(result.stdout) == []
