"""Kill -9 of the whole engine at the boundaries of its writes and syncs, checkpoints included.

CC_SHARE=2/8 kills at the second of every eight.
"""

import random

import pytest

from tests.crash import harness
from tests.crash.engine_subject import COMMITS, EngineSubject, journal_files, state_files
from tests.crash.test_failures import prepared
from tests.crash.test_kill import kill_everywhere

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]

KILLS = 6


def counted(subject, root, log, paths):
    """How many calls the busiest thread makes: strace counts for each thread."""
    result = subject.run(harness.traced(subject.write(root), log=log, paths=paths))
    subject.finished(result)
    return max(harness.boundaries_of_threads(log).values())


@pytest.mark.parametrize("commit", COMMITS)
@pytest.mark.parametrize("where", [journal_files, state_files], ids=["journal", "state"])
def test_the_engine_killed_anywhere_keeps_its_word(memory, tmp_path, seed, where, commit):
    subject = EngineSubject(memory, commit=commit, seed=seed)
    log = tmp_path / "strace.log"
    root = prepared(subject, memory / "all")
    most = counted(subject, root, log, where(root))
    killed, wrong = 0, []
    with subject.recoverer() as recoverer:
        for number in harness.some(range(1, most + 1), KILLS, random.Random(seed)):
            root = prepared(subject, memory / f"kill-{number}")
            kill = f"{harness.CALLS}:signal=KILL:when={number}"
            run = harness.traced(subject.write(root), kill, log=log, paths=where(root))
            result = subject.run(run)
            killed += "killed by SIGKILL" in log.read_text()
            acked = max(harness.acknowledged(result.stdout), default=0)
            trouble = subject.complaint(acked, recoverer.ask("recover", root))
            if trouble:
                wrong.append(f"killed at {number}: {trouble}")
    assert not wrong, wrong
    assert killed > 0


def test_the_making_of_a_directory_killed_anywhere_can_be_repeated(memory, tmp_path, seed):
    subject = EngineSubject(memory, seed=seed, rounds=1)
    root = memory / "all"
    root.mkdir()
    log = tmp_path / "strace.log"
    assert subject.run(harness.traced(subject.init(root), log=log)).returncode == 0
    numbers = harness.some(range(1, len(harness.boundaries(log)) + 1), KILLS, random.Random(seed))
    wrong = kill_everywhere(
        subject, subject.init, lambda _root: None, memory, tmp_path, numbers=numbers
    )[1]
    assert not wrong, wrong


@pytest.mark.parametrize("commit", COMMITS)
def test_killed_again_and_again(memory, tmp_path, seed, commit):
    """One directory, a kill in every life: replay, the orphan and the state of many starts."""
    rng = random.Random(seed)
    subject = EngineSubject(memory, commit=commit, seed=seed)
    root = prepared(subject, memory / "root")
    log = tmp_path / "strace.log"
    acked = 0
    with subject.recoverer() as recoverer:
        for _life in range(8):
            kill = f"pwrite64,writev,fdatasync:signal=KILL:when={rng.randint(4, 30)}"
            paths = journal_files(root) + state_files(root)
            result = subject.run(harness.traced(subject.write(root), kill, log=log, paths=paths))
            acked = max([acked, *harness.acknowledged(result.stdout)])
            found = recoverer.ask("look", root)
            assert subject.complaint(acked, found) == ""
        assert subject.complaint(acked, recoverer.ask("recover", root)) == ""
