"""Kill -9 at every boundary of every write, sync and change of a name: nothing promised is lost."""

import itertools

import pytest

from tests.crash import harness

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]


def kill_everywhere(subject, command, prepare, memory, tmp_path, *, numbers=None):
    """Kill at call 1, 2, 3 ... until the command gets through; (boundaries, what was wrong).

    `numbers`: only at these calls.
    """
    wrong = []
    with subject.recoverer() as recoverer:
        for number in numbers or itertools.count(1):
            root = memory / f"kill-{number}"
            root.mkdir()
            prepare(root)
            log = tmp_path / "strace.log"
            kill = f"{harness.CALLS}:signal=KILL:when={number}"
            result = subject.run(harness.traced(command(root), kill, log=log))
            if result.returncode == 0:
                assert ("made ahead" in result.stderr) == subject.ahead
                break
            assert "killed by SIGKILL" in log.read_text(), result.stderr
            acked = max(harness.acknowledged(result.stdout), default=0)
            found = recoverer.ask("recover", root)
            trouble = subject.complaint(acked, found)
            if trouble:
                wrong.append(f"killed at {number} ({harness.boundaries(log)[-1]}): {trouble}")
    return harness.boundaries(log), wrong


def made(subject):
    def prepare(root):
        result = subject.run(subject.init(root))
        assert result.returncode == 0, result.stderr

    return prepare


def test_init_killed_anywhere_can_be_repeated(memory, tmp_path):
    subject = harness.Subject()
    calls, wrong = kill_everywhere(subject, subject.init, lambda _root: None, memory, tmp_path)
    assert not wrong, wrong
    assert {"mkdir", "rename", "fsync", "fdatasync", "pwrite64"} <= set(calls)


def test_writing_killed_anywhere_loses_nothing_acknowledged(memory, tmp_path, seed):
    subject = harness.Subject(seed=seed, blocks=6)
    calls, wrong = kill_everywhere(subject, subject.write, made(subject), memory, tmp_path)
    assert not wrong, wrong
    assert calls.count("fdatasync") >= 6


@pytest.mark.parametrize("ahead", [False, True], ids=["made-late", "made-ahead"])
def test_a_new_segment_killed_anywhere_loses_nothing(memory, tmp_path, seed, ahead):
    subject = harness.Subject(seed=seed, blocks=14, shape="large", ahead=ahead)
    calls, wrong = kill_everywhere(subject, subject.write, made(subject), memory, tmp_path)
    assert not wrong, wrong
    assert "rename" in calls, "the run must cross a segment"


def test_a_block_of_one_record_costs_two_flushes(memory, tmp_path):
    """The data pages, then the meta page through an O_DSYNC descriptor: nothing else waits."""
    flushes = []
    for blocks in (4, 14):
        subject = harness.Subject(blocks=blocks, shape="one")
        root = memory / str(blocks)
        root.mkdir()
        made(subject)(root)
        log = tmp_path / "strace.log"
        assert subject.run(harness.traced(subject.write(root), log=log)).returncode == 0
        calls = harness.boundaries(log)
        meta = harness.sizes(log, "pwrite64").count(120)
        flushes.append(calls.count("fdatasync") + calls.count("fsync") + meta)
    assert flushes[1] - flushes[0] == 2 * 10
