"""A flipped bit anywhere in the directory is found and its seq named, or changes nothing visible.

`CC_FLIPS` says how many bits of the journal's files are tried beside those of the meta pages
(default 1,500).
"""

import contextlib
import os
import random

import pytest

from tests.crash import harness, pages

FLIPS = int(os.environ.get("CC_FLIPS", "1500"))
META_BITS = 152 * 8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(harness.TIMEOUT_S)]


@pytest.fixture
def written(memory, seed):
    """A closed directory: one sealed segment, one with blocks of all sizes."""
    subject = harness.Subject(seed=seed, blocks=26, shape="large", ahead=True)
    root = memory / "root"
    root.mkdir()
    for command in (subject.init(root), subject.write(root)):
        result = subject.run(command)
        assert result.returncode == 0, result.stderr
    assert len(harness.acknowledged(result.stdout)) == 26
    assert "made ahead" in result.stderr
    return subject, root


class Flipper:
    """Flips one bit, looks, flips it back."""

    def __init__(self, subject, root, recoverer):
        self.subject, self.root, self.recoverer = subject, root, recoverer
        self.outcomes = {"same": 0, "corrupt": 0}

    def try_bit(self, path, bit, *, write=False):
        """Return "" when the flip was found or harmless, else what happened."""
        before = path.read_bytes() if write else None
        self.flip(path, bit)
        found = self.recoverer.ask("look", self.root, write=write)
        if write:
            path.write_bytes(before)
        else:
            self.flip(path, bit)
        where = f"{path.relative_to(self.root)} byte {bit // 8} bit {bit % 8}: {found}"
        return f"{where}: {self.judge(found)}" if self.judge(found) else ""

    def flip(self, path, bit):
        with path.open("r+b") as file:
            file.seek(bit // 8)
            byte = file.read(1)[0]
            file.seek(bit // 8)
            file.write(bytes([byte ^ 1 << bit % 8]))

    def judge(self, found):
        last = self.subject.sequence[-1][0]
        if found["state"] == "corrupt":
            self.outcomes["corrupt"] += 1
            return "" if 1 <= found["seq"] <= last + 1 else "seq out of range"
        self.outcomes["same"] += 1
        return self.subject.complaint(last, found)


def used_bits(root, rng):
    """Bits of the journal's files, four in five of them in pages that hold something."""
    while True:
        path = rng.choice(sorted(root.glob("data/journal/*/data.mdb")))
        content = path.read_bytes()
        bit = rng.randrange(len(content) * 8)
        page = content[bit // 8 // 4096 * 4096 :][:4096]
        if any(page) or rng.random() < 1 / 5:
            yield path, bit


def test_flips_in_the_journal_are_found_or_harmless(written, seed):
    subject, root = written
    bits = used_bits(root, random.Random(f"{seed} {harness.SHARE}"))
    with subject.recoverer() as recoverer:
        flipper = Flipper(subject, root, recoverer)
        wrong = [w for _ in range(FLIPS) if (w := flipper.try_bit(*next(bits)))]
    assert not wrong, f"{len(wrong)} of {FLIPS}: {wrong[:3]}"
    assert flipper.outcomes["corrupt"] > FLIPS // 10


@pytest.mark.parametrize("write", [False, True], ids=["reading", "writing"])
def test_flips_in_the_meta_pages_are_found_or_harmless(written, seed, write):
    """LMDB has no checksum here: the newest tree must not turn into yesterday's."""
    subject, root = written
    rng = random.Random(seed)
    with subject.recoverer() as recoverer:
        flipper = Flipper(subject, root, recoverer)
        wrong = []
        for path in sorted(root.glob("data/journal/*/data.mdb")):
            for page in (0, 4096 * 8):
                bits = range(page, page + META_BITS)
                chosen = rng.sample(bits, META_BITS // (4 if write else 2))
                wrong += [w for bit in chosen if (w := flipper.try_bit(path, bit, write=write))]
    assert not wrong, f"{len(wrong)}: {wrong[:3]}"
    assert flipper.outcomes["corrupt"] > 100


def test_the_commit_number_of_the_newest_meta_page(written):
    """Every bit of it, writing: the one whose flip makes it older than the other loses nothing."""
    subject, root = written
    files = sorted(root.glob("data/journal/*/data.mdb"))
    path = [p for p in files if any(p.read_bytes()[8192:])][-1]
    with subject.recoverer() as recoverer:
        flipper = Flipper(subject, root, recoverer)
        for page in (0, 4096):
            for bit in range(64):
                assert flipper.try_bit(path, (page + 144) * 8 + bit, write=True) == ""


def test_flips_in_the_identity_and_the_key_are_found(written, seed):
    subject, root = written
    rng = random.Random(seed)
    with subject.recoverer() as recoverer:
        for path, length in ((root / "data/campuscard", 256), (root / "keys/key", 64)):
            sound = path.read_bytes()
            for bit in rng.sample(range(length * 8), 100):
                damaged = bytearray(sound)
                damaged[bit // 8] ^= 1 << bit % 8
                path.write_bytes(damaged)
                found = recoverer.ask("recover", root)
                assert found["state"] in {"refused", "corrupt"} or harmless(path, bit), (bit, found)
            path.write_bytes(sound)


def harmless(path, bit):
    """Bytes of the key file that are not in use."""
    return path.name == "key" and 9 <= bit // 8 < 16


def copy_of_yesterday(subject, folder, blocks):
    """The same journal when it had fewer blocks."""
    early = harness.Subject(seed=subject.seed, blocks=blocks, shape="large", ahead=True)
    folder.mkdir()
    for command in (early.init(folder), early.write(folder)):
        assert early.run(command).returncode == 0
    return folder


def stale_pages(older, root):
    """(file, its content, the older content, number) of each page that has changed since."""
    for path in sorted(older.glob("data/journal/*/data.mdb")):
        target = root / path.relative_to(older)
        sound, stale = target.read_bytes(), path.read_bytes()
        for number in range(len(sound) // pages.PAGE):
            if pages.page(sound, number) != pages.page(stale, number):
                yield target, sound, stale, number


def expected(sound, stale, number, *, live):
    """What a start must say of one page of yesterday: by LMDB's rules, not by our engine's."""
    says = pages.counting(sound, live=live).get(number)
    if says and says(pages.page(sound, number)) != says(pages.page(stale, number)):
        return "corrupt"
    return "recovered"


def test_a_page_of_yesterday_is_found(written, memory, seed):
    """A stale page, as after a misdirected or lost write: swapped in from an earlier copy.

    Where no byte that counts has changed there is nothing to find.
    """
    subject, root = written
    rng = random.Random(seed)
    older = copy_of_yesterday(subject, memory / "older", 22)
    changed = list(stale_pages(older, root))
    wrong = []
    with subject.recoverer() as recoverer:
        flipper = Flipper(subject, root, recoverer)
        for target, sound, stale, number in rng.sample(changed, min(len(changed), 80)):
            with swapped(target, sound, stale, number):
                found = recoverer.ask("look", root)
            must = expected(sound, stale, number, live=target == live(root))
            if found["state"] != must or flipper.judge(found):
                wrong.append(f"{target.parent.name} page {number}: {found}")
    assert not wrong, [w[:200] for w in wrong[:6]]


@pytest.mark.parametrize("behind", [1, 2, 3])
def test_the_meta_pages_of_some_commits_ago(written, memory, behind):
    """The newest of them lost by the disk: its block is found without it and appended again."""
    subject, root = written
    older = copy_of_yesterday(subject, memory / "older", 26 - behind)
    with subject.recoverer() as recoverer:
        for target, sound, stale, number in stale_pages(older, root):
            if number > 1:
                continue
            last = pages.commits(sound)[number] == pages.commits(stale)[number] + 2
            last = last and number == pages.newest(sound) and target == live(root)
            with swapped(target, sound, stale, number):
                assert recoverer.ask("look", root)["state"] == "corrupt"
                found = recoverer.ask("look", root, write=True)
            assert found["state"] == ("recovered" if last else "corrupt")
            if last:
                assert subject.complaint(subject.sequence[-1][0], found) == ""


def live(root):
    """The segment written to: the last one with a block."""
    files = sorted(root.glob("data/journal/*/data.mdb"))
    return [path for path in files if max(pages.commits(path.read_bytes())) > 1][-1]


@contextlib.contextmanager
def swapped(target, sound, stale, number):
    start = number * pages.PAGE
    target.write_bytes(sound[:start] + pages.page(stale, number) + sound[start + pages.PAGE :])
    yield
    target.write_bytes(sound)
