"""A write or sync of the engine that fails, a full disk, a second process."""

import random
import re
import resource
import time

import pytest

from ext.errors import DirectoryBusy
from tests.crash import harness
from tests.crash.engine_subject import (
    COMMITS,
    EngineSubject,
    journal_files,
    state_files,
)
from tests.crash.player import Player
from tests.crash.test_failures import complaint_about, prepared

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]

FAILURES = 2


@pytest.fixture(params=COMMITS)
def subject(request, memory, seed):
    return EngineSubject(memory, commit=request.param, seed=seed)


def failing(subject, root, fault, files, log):
    return subject.run(harness.traced(subject.write(root), fault, log=log, paths=files(root)))


@pytest.mark.parametrize(
    ("call", "error"),
    [("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("writev", "EIO"), ("fsync", "EIO")],
)
def test_a_call_on_the_journal_that_fails_ends_the_engine(
    subject, memory, tmp_path, seed, call, error
):
    log = tmp_path / "strace.log"
    root = prepared(subject, memory / "all")
    result = failing(subject, root, f"{call}:delay_enter=0", journal_files, log)
    subject.finished(result)
    calls = harness.boundaries(log).count(call)
    assert calls > 0
    with subject.recoverer() as recoverer:
        for when in harness.some(range(1, calls + 1), FAILURES, random.Random(f"{seed}{call}")):
            root = prepared(subject, memory / f"{call}-{when}")
            result = failing(subject, root, f"{call}:error={error}:when={when}", journal_files, log)
            found = recoverer.ask("recover", root)
            if "INJECTED" in log.read_text() or result.returncode:
                assert complaint_about(subject, result, found) == "", (call, when)
            else:
                assert subject.complaint(len(subject.plan.records), found) == ""


def test_no_answer_follows_a_failed_sync(subject, memory, tmp_path):
    root = prepared(subject, memory / "root")
    log = tmp_path / "strace.log"
    result = failing(subject, root, "fdatasync:error=EIO:when=9", journal_files, log)
    assert result.returncode == harness.EXIT_FATAL
    said = r"campuscard: fatal: (committing|syncing) a block: Input/output error \(5\)"
    assert re.match(said, result.stderr)
    assert "sync" not in log.read_text().split("INJECTED")[1]


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_checkpoint_that_fails_costs_no_payment(subject, memory, tmp_path, seed, error):
    """The journal has everything: the engine goes on, and the next start does without."""
    rng = random.Random(f"{seed}{error}")
    call = rng.choice(("pwrite64", "fdatasync"))
    root = prepared(subject, memory / "root")
    fault = f"{call}:error={error}:when={rng.randint(2, 6)}"
    result = failing(subject, root, fault, state_files, tmp_path / "strace.log")
    assert "INJECTED" in (tmp_path / "strace.log").read_text()
    subject.finished(result)
    assert "checkpoint was not completed" in result.stderr
    with subject.recoverer() as recoverer:
        found = recoverer.ask("recover", root)
    assert subject.complaint(len(subject.plan.records), found) == ""


def test_a_disk_that_is_full_ends_the_engine_and_space_lets_it_go_on(subject, memory):
    """RLIMIT_FSIZE, which also binds root: no further segment can be made whole."""
    root = prepared(subject, memory / "root")
    limit = 262144 // 16 * 12

    def restrict():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = subject.run(subject.write(root), preexec_fn=restrict)
    assert result.returncode == harness.EXIT_FATAL, result.stderr
    acked = max(harness.acknowledged(result.stdout), default=0)
    with subject.recoverer() as recoverer:
        assert subject.complaint(acked, recoverer.ask("look", root)) == ""
        subject.finished(subject.run(subject.write(root)))
        assert subject.complaint(acked, recoverer.ask("recover", root)) == ""


def test_a_journal_at_its_limit_refuses_before_it_fails(subject, memory):
    root = prepared(subject, memory / "root")
    result = subject.run(subject.write(root, "--room", "262144"))
    assert result.returncode != 0
    assert "STORAGE_FULL" in result.stderr or result.returncode == harness.EXIT_FATAL
    acked = max(harness.acknowledged(result.stdout))
    with subject.recoverer() as recoverer:
        assert subject.complaint(acked, recoverer.ask("recover", root)) == ""


def test_a_second_engine_is_refused_within_a_second(subject, memory):
    root = prepared(subject, memory / "root")
    with Player(root / "data", root / "keys/key") as player:
        result = subject.run(subject.write(root))
        assert result.returncode != 0
        assert "in use by process" in result.stderr
        started = time.monotonic()
        with pytest.raises(DirectoryBusy, match="in use"):
            Player(root / "data", root / "keys/key")
        assert time.monotonic() - started < 1
        assert player.play(subject.plan) == [], "the first one does not notice"
