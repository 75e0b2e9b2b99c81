"""Flipped bits, lost and old files of the engine's directory: found, or without any effect.

`CC_FLIPS` says how many bits of journal and state are tried (default 120 each).
"""

import os
import random
import shutil

import pytest

from tests.crash import harness
from tests.crash.engine_subject import EngineSubject
from tests.crash.test_failures import prepared

FLIPS = int(os.environ.get("CC_FLIPS", "120"))
PAGE = 4096

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]


class Directory:
    """A finished directory that can be damaged and put back."""

    def __init__(self, subject, root):
        self.subject, self.root = subject, root
        paths = [path for path in (root / "data").rglob("*") if path.is_file()]
        self.sound = {path: path.read_bytes() for path in paths}

    def put_back(self):
        shutil.rmtree(self.root / "data/state", ignore_errors=True)
        (self.root / "data/state").mkdir()
        for path, content in self.sound.items():
            path.write_bytes(content)

    def used_bit(self, path, rng):
        """A bit of a page that holds something."""
        content = self.sound[path]
        while True:
            bit = rng.randrange(len(content) * 8)
            if any(content[bit // 8 // PAGE * PAGE :][:PAGE]):
                return bit

    def flip(self, path, bit):
        content = bytearray(self.sound[path])
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)


@pytest.fixture
def directory(memory, seed):
    subject = EngineSubject(memory, seed=seed)
    root = prepared(subject, memory / "root")
    subject.finished(subject.run(subject.write(root)))
    return Directory(subject, root)


def test_flips_in_the_engines_journal_are_found_or_harmless(directory, seed):
    rng = random.Random(f"{seed} {harness.SHARE}")
    last = len(directory.subject.plan.records)
    journal = sorted(path for path in directory.sound if path.parts[-3] == "journal")
    journal = [path for path in journal if path.name == "data.mdb"]
    wrong, corrupt = [], 0
    with directory.subject.recoverer() as recoverer:
        sound = recoverer.ask("look", directory.root)
        for _ in range(FLIPS):
            shutil.rmtree(directory.root / "data/state")  # so that every record is read
            path = rng.choice(journal)
            bit = directory.used_bit(path, rng)
            directory.flip(path, bit)
            found = recoverer.ask("look", directory.root)
            directory.put_back()
            if found["state"] == "corrupt" and 1 <= found["seq"] <= last + 1:
                corrupt += 1
            elif found != sound | {"discarded": ""}:
                wrong.append(f"{path.parent.name} bit {bit}: {found}")
    assert not wrong, wrong[:3]
    assert corrupt > FLIPS // 10


def test_flips_in_state_change_nothing(directory, seed):
    """The state is a copy: a damaged one is seen and made again from the journal."""
    rng = random.Random(f"{seed} {harness.SHARE}")
    state = directory.root / "data/state/data.mdb"
    wrong, discarded = [], 0
    with directory.subject.recoverer() as recoverer:
        sound = recoverer.ask("look", directory.root)
        for _ in range(FLIPS):
            bit = directory.used_bit(state, rng)
            directory.flip(state, bit)
            found = recoverer.ask("look", directory.root)
            directory.put_back()
            discarded += found.pop("discarded", "") != ""
            if found != {name: sound[name] for name in sound if name != "discarded"}:
                wrong.append(f"bit {bit} (page {bit // 8 // PAGE}): {found}")
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"
    assert discarded > FLIPS // 20


def ruined(content, rng):
    """Ways in which a state/data.mdb may be anything but what was written."""
    pages = len(content) // PAGE
    one, other = rng.randrange(pages) * PAGE, rng.randrange(pages) * PAGE
    yield b""
    yield content[: rng.randrange(len(content))]
    yield content[: 2 * PAGE]
    yield bytes(len(content))
    yield rng.randbytes(len(content))
    yield content[:one] + bytes(PAGE) + content[one + PAGE :]
    yield content[:one] + content[other : other + PAGE] + content[one + PAGE :]
    yield content[:one] + rng.randbytes(PAGE) + content[one + PAGE :]
    yield content[PAGE : 2 * PAGE] + content[:PAGE] + content[2 * PAGE :]


def test_a_state_that_is_anything_changes_nothing(directory, seed):
    rng = random.Random(seed)
    state = directory.root / "data/state/data.mdb"
    wrong = []
    with directory.subject.recoverer() as recoverer:
        sound = recoverer.ask("look", directory.root)
        for turn in range(4):
            for kind, content in enumerate(ruined(directory.sound[state], rng)):
                state.write_bytes(content)
                found = recoverer.ask("look", directory.root)
                directory.put_back()
                if found | {"discarded": ""} != sound | {"discarded": ""}:
                    wrong.append(f"kind {kind}, turn {turn}: {found}")
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"


def test_a_state_of_any_earlier_moment_will_do(memory, seed):
    """Put back from yesterday's backup, it is only further to replay."""
    subject = EngineSubject(memory, seed=seed)
    root = prepared(subject, memory / "root")
    whole = list(subject.plan.steps)
    with subject.recoverer() as recoverer:
        kept = []
        for cut in (len(whole) // 3, 2 * len(whole) // 3, len(whole)):
            subject.play_until(root, cut)
            shutil.copytree(root / "data/state", memory / f"state-{cut}")
            kept.append(memory / f"state-{cut}")
        for old in kept:
            shutil.rmtree(root / "data/state")
            shutil.copytree(old, root / "data/state")
            found = recoverer.ask("recover", root)
            assert subject.complaint(len(subject.plan.records), found) == ""
            assert found["discarded"] == ""
