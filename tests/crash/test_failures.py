"""A write or sync that fails, a full disk, a second process: stop at once, promise nothing."""

import contextlib
import os
import resource
import signal
import subprocess
import time

import pytest

from ext import mirror, store
from ext.errors import DirectoryBusy, EngineError
from tests.crash import content, harness

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]


def prepared(subject, root):
    root.mkdir()
    result = subject.run(subject.init(root))
    assert result.returncode == 0, result.stderr
    return root


def failed_run(subject, root, call, error, when, log):
    """Run the driver with one call failing; what it promised before and whether it stopped."""
    fault = f"{call}:error={error}:when={when}"
    return subject.run(harness.traced(subject.write(root), fault, log=log))


def complaint_about(subject, result, found):
    acked = max(harness.acknowledged(result.stdout), default=0)
    if result.returncode == 0:
        return f"went on to {acked} after a failed call"
    return subject.complaint(acked, found)


def fail_everywhere(subject, call, error, memory, tmp_path):
    """Let call 1, 2, 3 ... fail once each, the disk healing at once; what was wrong."""
    wrong, when = [], 0
    with subject.recoverer() as recoverer:
        while True:
            when += 1
            root = prepared(subject, memory / f"{call}-{when}")
            log = tmp_path / "strace.log"
            result = failed_run(subject, root, call, error, when, log)
            if "INJECTED" not in log.read_text():
                assert result.returncode == 0, result.stderr
                return when - 1, wrong
            trouble = complaint_about(subject, result, recoverer.ask("recover", root))
            if trouble:
                wrong.append(f"{call} {when} {error}: {trouble}")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("fdatasync", "EIO"),
        ("fsync", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("pwrite64", "EIO"),
        ("writev", "EIO"),
    ],
)
def test_a_call_that_fails_once_ends_the_process(memory, tmp_path, seed, call, error):
    subject = harness.Subject(seed=seed, blocks=5)
    times, wrong = fail_everywhere(subject, call, error, memory, tmp_path)
    assert not wrong, wrong
    assert times >= 1


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir", "pwrite64"])
def test_a_call_that_fails_at_a_new_segment_ends_the_process(memory, tmp_path, seed, call):
    subject = harness.Subject(seed=seed, blocks=14, shape="large")
    times, wrong = fail_everywhere(subject, call, "EIO", memory, tmp_path)
    assert not wrong, wrong
    assert times >= 1


def test_a_failed_commit_says_why_and_how_to_go_on(memory, tmp_path):
    subject = harness.Subject(blocks=5)
    root = prepared(subject, memory / "root")
    result = failed_run(subject, root, "fdatasync", "EIO", 3, tmp_path / "strace.log")
    assert result.returncode == harness.EXIT_FATAL
    assert result.stderr.startswith("campuscard: fatal: committing a block: Input/output error (5)")
    assert result.stderr.count("\n") == 1


def test_no_sync_follows_a_failed_one(memory, tmp_path):
    subject = harness.Subject(blocks=5)
    root = prepared(subject, memory / "root")
    log = tmp_path / "strace.log"
    failed_run(subject, root, "fdatasync", "EIO", 3, log)
    calls = log.read_text().split("INJECTED")[1]
    assert "sync" not in calls


# ---- a full disk ----


@pytest.mark.parametrize("part", [3, 5, 9, 15])
def test_a_file_that_may_not_grow_further_ends_the_process(memory, seed, part):
    """RLIMIT_FSIZE, which also binds root: writes behind so many sixteenths of a segment fail."""
    subject = harness.Subject(seed=seed, blocks=40, shape="large")
    root = prepared(subject, memory / "root")
    limit = 262144 // 16 * part

    def restrict():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = subject.run(subject.write(root), preexec_fn=restrict)
    assert result.returncode == harness.EXIT_FATAL
    acked = max(harness.acknowledged(result.stdout), default=0)
    with subject.recoverer() as recoverer:
        found = recoverer.ask("recover", root)
    assert subject.complaint(acked, found) == ""
    result = subject.run(subject.write(root))
    assert result.returncode == 0, "with space it goes on"


def test_a_journal_at_its_limit_ends_the_process_before_it_writes(memory, seed):
    subject = harness.Subject(seed=seed, blocks=40, shape="large")
    root = prepared(subject, memory / "root")
    result = subject.run(subject.write(root, "--room", "524288"))
    assert result.returncode == harness.EXIT_FATAL
    assert "no space for another segment" in result.stderr
    acked = harness.acknowledged(result.stdout)[-1]
    with mirror.Mirror(root / "data") as journal:
        assert journal.last_seq == acked, "nothing was written that was not promised"
        assert len(list((root / "data/journal").iterdir())) == 2


def test_space_is_told_before_it_is_gone(memory, seed):
    """The owner asks before it accepts: the figure reaches 95 % while blocks still fit."""
    subject = harness.Subject(seed=seed, blocks=1000)
    root = prepared(subject, memory / "root")
    room = 16 * 262144
    with mirror.Mirror(root / "data", write=True, journal_bytes_max=room) as journal:
        seen = [journal.space()]
        while seen[-1]["permille"] < 950:
            more = content.block(seed, len(seen), journal.last_seq + 1, journal.last_chain, "large")
            journal.append(more)
            with contextlib.suppress(EngineError):  # at the end there is no space for another
                journal.prepare()
            seen.append(journal.space())
        for index in range(3):
            journal.append(content.block(-1, index, journal.last_seq + 1, journal.last_chain))
    assert all(space["room"] == room for space in seen)
    assert [s["used"] for s in seen] == sorted(s["used"] for s in seen)
    assert seen[0]["permille"] < 5
    assert any(700 <= space["permille"] < 950 for space in seen), "the alarm comes first"


# ---- a second process ----


def test_a_second_process_is_refused_within_a_second(memory):
    subject = harness.Subject()
    root = prepared(subject, memory / "root")
    with mirror.Mirror(root / "data", write=True):
        started = time.monotonic()
        result = subject.run(subject.write(root))
        took = time.monotonic() - started
    assert result.returncode != 0
    assert f"in use by process {os.getpid()}" in result.stderr
    assert took < 1
    assert subject.run(subject.write(root)).returncode == 0, "free again"


def test_the_same_process_is_refused_as_well(memory):
    root = prepared(harness.Subject(), memory / "root")
    with mirror.Mirror(root / "data"), pytest.raises(DirectoryBusy):
        mirror.Mirror(root / "data")


def test_the_lock_ends_with_its_process_and_not_before(memory):
    subject = harness.Subject()
    root = prepared(subject, memory / "root")
    holder = subprocess.Popen(
        ["flock", "--no-fork", str(root / "data/lock"), "sleep", "60"],
        start_new_session=True,
    )
    try:
        for _ in range(100):
            time.sleep(1 / 50)
            if subject.run(["flock", "-n", str(root / "data/lock"), "true"]).returncode:
                break
        with pytest.raises(DirectoryBusy):
            mirror.Mirror(root / "data")
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
    mirror.Mirror(root / "data").close()


def test_init_leaves_foreign_directories_alone(memory):
    (memory / "data").mkdir()
    (memory / "data/thesis.txt").write_text("three years of work")
    with pytest.raises(EngineError, match=r"not empty: thesis\.txt"):
        store.init(memory / "data", memory / "key")
    assert [p.name for p in (memory / "data").iterdir()] == ["thesis.txt"]


def test_init_does_not_replace_a_journal_whose_identity_is_missing(memory):
    subject = harness.Subject()
    root = prepared(subject, memory / "root")
    assert subject.run(subject.write(root)).returncode == 0
    (root / "data/campuscard").unlink()
    with pytest.raises(EngineError, match="holds blocks"):
        store.init(root / "data", root / "keys/key")
    assert (root / "data/journal/000001/data.mdb").exists()
