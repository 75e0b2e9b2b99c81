"""A power cut at some moment of the engine's life: journal, state and directories, all torn.

CC_SHARE=2/8 looks at the second of every eight moments.
"""

import random

import pytest

from tests.crash import harness
from tests.crash.disk import PAGE, Disk
from tests.crash.engine_subject import COMMITS, EngineSubject, brought
from tests.crash.recording import Kind
from tests.crash.test_power_cut import recorded, violations

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]

MOMENTS = 22
KILLS = 6 if harness.LONG else 2
MOMENTS_AFTER_KILL = 4
ATTEMPTS = 20


@pytest.mark.parametrize("commit", COMMITS)
def test_every_image_of_the_engine_recovers(recorder, tmp_path, memory, seed, commit):
    subject = EngineSubject(memory, commit=commit, seed=seed)
    made, written = recorded(subject, recorder, tmp_path, memory)
    paths = {event.path for event in written if event.kind == Kind.WRITE}
    assert "data/state/data.mdb" in paths, "checkpoints run meanwhile"
    assert "data/journal/000002/data.mdb" in paths, "the run must cross a segment"
    wrong, count = violations(subject, made + written, random.Random(seed), memory, moments=MOMENTS)
    assert not wrong, f"{len(wrong)} of {count}: {wrong[:3]}"
    assert count > 30


@pytest.mark.parametrize("commit", COMMITS)
def test_the_engine_after_kill_restart_and_power_cut(recorder, tmp_path, memory, seed, commit):
    """What a restart acknowledges must not rest on what a killed process left in memory."""
    rng = random.Random(seed)
    subject = EngineSubject(memory, commit=commit, seed=seed)
    made, written = recorded(subject, recorder, tmp_path, memory)
    events = made + written
    candidates = [i for i, e in enumerate(events) if e.kind == Kind.WRITE and i > len(made)]
    for kill in rng.sample(candidates, KILLS):
        disk = Disk()
        for event in events[: kill + 1]:
            disk.follow(event)
        live = memory / "live"
        harness.materialize(disk.image("all", rng), live)
        result, again = harness.record(
            subject, recorder, live, subject.write(live), log=tmp_path / "again"
        )
        assert result.returncode == 0, result.stderr
        wrong, count = violations(
            subject, again, rng, memory, disk=disk, moments=MOMENTS_AFTER_KILL
        )
        assert not wrong, f"killed at {kill} ({events[kill]}), {count}: {wrong[:3]}"


def test_the_next_commit_brings_the_sync(recorder, tmp_path, memory, seed):
    """Commands sent together fill blocks of which only the last waits for a sync of its own.

    Whether they arrive together is the machine's affair: it has some attempts.
    """
    subject = EngineSubject(memory, commit="pipelined", seed=seed, rounds=12)
    log = tmp_path / "log"
    for attempt in range(ATTEMPTS):
        root = memory / f"live-{attempt}"
        root.mkdir()
        made, _ = harness.record(subject, recorder, root, subject.init(root), log=log)
        assert made.returncode == 0, made.stderr
        result, events = harness.record(subject, recorder, root, subject.write(root), log=log)
        subject.finished(result)
        if brought(result) > 0:
            break
    assert brought(result) > 0
    live = [e for e in events if e.path.startswith("data/journal/0") and e.kind == Kind.WRITE]
    metas = [e for e in live if e.offset < 2 * PAGE]
    assert [bool(e.flags) for e in metas] == [True] + [False] * (len(metas) - 1), "but the first's"
