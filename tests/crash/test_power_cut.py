"""After a power cut at any moment every acknowledged block is there, whatever the disk kept.

`CC_IMAGES` says how many random images each moment gets beside the two extremes (default 1).
"""

import hashlib
import os
import random

import pytest

from tests.crash import harness
from tests.crash.disk import Disk
from tests.crash.recording import Kind

RANDOM = int(os.environ.get("CC_IMAGES", "1"))
STYLES = ("one", "lost", "writes", "torn")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]


def images(events, rng, *, moments=None, disk=None):
    """(moment, style, acknowledged seq, image) after each event, and while it is under way.

    `moments`: at so many of them, picked at random, or at a share; None: at all.
    """
    disk = disk or Disk()
    places = [i for i, event in enumerate(events) if event.kind != Kind.OUTPUT]
    chosen = set(places if moments is None else harness.some(places, moments, rng))
    for moment, event in enumerate(events):
        disk.follow(event)
        if moment not in chosen:
            continue
        acked = max(disk.acknowledged, default=0)
        styles = ["none", "all", *(rng.choice(STYLES) for _ in range(RANDOM))]
        for style in styles:
            yield moment, style, acked, disk.image(style, rng)


def violations(subject, events, rng, memory, **more):
    """Recover every image; what was wrong, and how many different ones there were."""
    wrong, seen = [], set()
    with subject.recoverer() as recoverer:
        for moment, style, acked, image in images(events, rng, **more):
            mark = hashlib.sha256(repr((acked, sorted(image.items()))).encode()).digest()
            if mark in seen:
                continue
            seen.add(mark)
            harness.materialize(image, memory / "image")
            found = recoverer.ask("recover", memory / "image")
            trouble = subject.complaint(acked, found)
            if trouble:
                wrong.append(f"moment {moment} ({events[moment]}), {style}: {trouble}")
    return wrong, len(seen)


def recorded(subject, recorder, tmp_path, memory):
    """The events of one init and one run of the driver."""
    root = memory / "live"
    root.mkdir()
    result, made = harness.record(
        subject, recorder, root, subject.init(root), log=tmp_path / "init.log"
    )
    assert result.returncode == 0, result.stderr
    result, written = harness.record(
        subject, recorder, root, subject.write(root), log=tmp_path / "write.log"
    )
    subject.finished(result)
    return made, written


@pytest.mark.parametrize(
    ("shape", "blocks", "ahead"),
    [("small", 14, False), ("large", 20, False), ("large", 20, True)],
    ids=["small-blocks", "segments-made-late", "segments-made-ahead"],
)
def test_every_image_after_a_power_cut_recovers(
    recorder, tmp_path, memory, seed, shape, blocks, ahead
):
    subject = harness.Subject(seed=seed, shape=shape, blocks=blocks, ahead=ahead)
    made, written = recorded(subject, recorder, tmp_path, memory)
    if shape == "large":
        assert (memory / "live/data/journal/000002").is_dir(), "the run must cross a segment"
    wrong, count = violations(subject, made + written, random.Random(seed), memory)
    assert not wrong, f"{len(wrong)} of {count}: {wrong[:3]}"
    assert count > 100


def test_a_power_cut_after_kill_and_restart(recorder, tmp_path, memory, seed):
    """What a restart acknowledges must not rest on what a killed process left in memory."""
    rng = random.Random(seed)
    subject = harness.Subject(seed=seed, shape="large", blocks=20)
    made, written = recorded(subject, recorder, tmp_path, memory)
    events = made + written
    candidates = [i for i, e in enumerate(events) if e.kind in {Kind.WRITE, Kind.RENAME}]
    total = 0
    for kill in rng.sample(candidates, 8):
        disk = Disk()
        for event in events[: kill + 1]:
            disk.follow(event)
        harness.materialize(disk.image("all", rng), memory / "live")
        result, first = harness.record(
            subject, recorder, memory / "live", subject.init(memory / "live"), log=tmp_path / "a"
        )
        assert result.returncode == 0 or "already" in result.stderr, result.stderr
        result, again = harness.record(
            subject, recorder, memory / "live", subject.write(memory / "live"), log=tmp_path / "b"
        )
        assert result.returncode == 0, result.stderr
        wrong, count = violations(subject, first + again, rng, memory, disk=disk)
        total += count
        assert not wrong, f"killed at {kill} ({events[kill]}): {wrong[:3]}"
    assert total > 100
