"""The journal through its Python face: appending, rolling, reading, following."""

import random
import struct
import threading

import pytest

from ext import audit, blocks, mirror, store
from ext.errors import EngineError, JournalCorrupt

PAGE = 4096
SEGMENT = 262144


@pytest.fixture
def data(tmp_path):
    store.init(tmp_path / "data", tmp_path / "key", segment_bytes=SEGMENT)
    return tmp_path / "data"


def block_after(journal, count=1, filler=1, payload=b""):
    first = journal.last_seq + 1
    records = b"".join(struct.pack("<Q", first + i) + bytes([filler]) * 120 for i in range(count))
    return blocks.seal(records, payload, first_seq=first, previous=journal.last_chain)


def fill(journal, total, count=40):
    written = []
    for _ in range(total):
        written.append(block_after(journal, count))
        journal.append(written[-1])
    return written


def segments(data):
    return sorted(p.name for p in (data / "journal").iterdir())


def test_a_new_journal_is_empty(data):
    with mirror.Mirror(data) as journal:
        assert journal.last_seq == 0
        assert journal.last_chain == bytes(32)
        assert journal.blocks() == []
        assert journal.record(1) is None
        assert journal.verify() == 0


def test_what_is_appended_is_read_again_after_reopening(data):
    with mirror.Mirror(data, write=True) as journal:
        written = [block_after(journal)]
        journal.append(written[0])
        written += fill(journal, 3, count=17)
    with mirror.Mirror(data) as journal:
        assert journal.blocks() == written
        assert journal.verify() == 4
        assert journal.last_seq == 52
        assert [journal.record(seq)[:8] for seq in (1, 2, 52)] == [
            struct.pack("<Q", seq) for seq in (1, 2, 52)
        ]


@pytest.mark.parametrize("seed_offset", range(3))
def test_reading_from_any_seq_over_segments(data, seed, seed_offset):
    rng = random.Random(seed + seed_offset)
    with mirror.Mirror(data, write=True) as journal:
        written = []
        for _ in range(60):
            written.append(
                block_after(
                    journal, rng.choice((1, 2, 15, 16, 80)), payload=bytes(rng.choice((0, 5, 900)))
                )
            )
            journal.append(written[-1])
            if rng.random() < 1 / 3:
                journal.prepare()
        assert len(segments(data)) > 2
        lasts = [struct.unpack_from("<Q", b, 32)[0] for b in written]
        for _ in range(40):
            seq = rng.randint(1, journal.last_seq)
            index = next(i for i, last in enumerate(lasts) if last >= seq)
            got = journal.blocks(seq, max_bytes=rng.choice((1, 5000, 1 << 22)))
            assert got == written[index : index + len(got)]
            assert struct.unpack_from("<Q", journal.record(seq))[0] == seq
        limit = lasts[20]
        assert len(journal.blocks(1, to_seq=limit)) <= 21
        assert journal.blocks(lasts[19] + 1, to_seq=limit) == [written[20]]
        assert journal.blocks(lasts[20] + 1, to_seq=limit) == []
        if lasts[20] - lasts[19] > 1:
            assert journal.blocks(lasts[19] + 1, to_seq=limit - 1) == [], "a block is given whole"


def test_a_block_that_does_not_follow_is_refused_and_nothing_written(data):
    with mirror.Mirror(data, write=True) as journal:
        fill(journal, 2)
        good = block_after(journal)
        for bad, why in (
            (b"", "empty"),
            (good[:-1], "length differs"),
            (good[:200] + b"x" + good[201:], "record CRC"),
            (blocks.seal(bytes(128), first_seq=81), "does not follow"),
            (blocks.seal(bytes(128), first_seq=82, previous=journal.last_chain), "gap"),
        ):
            with pytest.raises(JournalCorrupt, match=why) as caught:
                journal.append(bad)
            assert caught.value.seq == 81
        assert journal.last_seq == 80
        journal.append(good)
        assert journal.verify() == 3


def test_a_segment_made_ahead_is_used_and_survives_reopening(data):
    with mirror.Mirror(data, write=True) as journal:
        while not journal.prepare():
            fill(journal, 1)
        assert segments(data) == ["000001", "000002"]
        assert not journal.prepare(), "one is enough"
    with mirror.Mirror(data, write=True) as journal:
        fill(journal, 20)
        assert "000002" in segments(data)
        assert journal.verify() > 20


def test_a_block_larger_than_a_segment_gets_one_of_its_size(data):
    with mirror.Mirror(data, write=True) as journal:
        fill(journal, 1)
        while not journal.prepare():
            fill(journal, 1)
        large = block_after(journal, 8192, payload=bytes(100_000))
        journal.append(large)
        fill(journal, 30)
        assert journal.verify() > 30
        assert large in journal.blocks(journal.last_seq - 30 * 40 - 8192, max_bytes=1 << 24)
    with mirror.Mirror(data) as journal:
        assert journal.verify() > 30


def test_making_a_segment_beside_appending(data):
    """The owner makes segments in another thread: none is lost, none made twice."""
    with mirror.Mirror(data, write=True) as journal:
        stop = threading.Event()
        made = []

        def prepare():
            while not stop.is_set():
                made.append(journal.prepare())

        thread = threading.Thread(target=prepare)
        thread.start()
        written = fill(journal, 150)
        stop.set()
        thread.join()
        assert journal.verify() == 150
        assert any(made)
    with mirror.Mirror(data) as journal:
        assert journal.blocks(1, max_bytes=1 << 26) == written
        assert len(segments(data)) > 5


def test_every_state_of_a_growing_segment_passes_the_audit(data, seed):
    rng = random.Random(seed)
    with mirror.Mirror(data, write=True) as journal:
        for _ in range(60):
            journal.append(block_after(journal, rng.choice((1, 1, 2, 14, 15, 16, 17, 60))))
            for path in (data / "journal").glob("*/data.mdb"):
                finding, *_ = audit.audit(path.read_bytes())
                assert finding == "", path


@pytest.mark.parametrize("counts", [(1, 1), (1, 40), (40, 1), (60, 60)])
def test_two_commits_without_their_meta_pages_are_found_by_one_start(data, counts):
    """What a power cut may leave of pipelined commits; no later start finds more."""
    path = data / "journal/000001/data.mdb"
    with mirror.Mirror(data, write=True) as journal:
        written = fill(journal, 6, count=3)
    metas = path.read_bytes()[: 2 * PAGE]
    with mirror.Mirror(data, write=True) as journal:
        for count in counts:
            written += fill(journal, 1, count=count)
        last_seq = journal.last_seq
    path.write_bytes(metas + path.read_bytes()[2 * PAGE :])
    assert audit.audit(path.read_bytes())[3] == 18
    for _start in range(2):
        with mirror.Mirror(data, write=True) as journal:
            assert journal.last_seq == last_seq
            assert journal.blocks(1, max_bytes=1 << 26) == written


def test_a_missing_segment_is_named(data):
    with mirror.Mirror(data, write=True) as journal:
        fill(journal, 100)
    for path in (data / "journal/000002").iterdir():
        path.unlink()
    (data / "journal/000002").rmdir()
    with pytest.raises(EngineError, match="segments missing"):
        mirror.Mirror(data)


def test_a_segment_of_another_journal_is_found(data, tmp_path):
    store.init(tmp_path / "other", tmp_path / "key", segment_bytes=SEGMENT)
    for folder, filler in ((data, 1), (tmp_path / "other", 2)):
        with mirror.Mirror(folder, write=True) as journal:
            for _ in range(100):
                journal.append(block_after(journal, 40, filler))
    theirs = (tmp_path / "other/journal/000002/data.mdb").read_bytes()
    (data / "journal/000002/data.mdb").write_bytes(theirs)
    with mirror.Mirror(data) as journal:
        first = struct.unpack_from("<Q", journal.blocks(1)[0], 24)[0]
        with pytest.raises(JournalCorrupt, match="does not follow") as caught:
            journal.verify()
        assert caught.value.seq > first


def test_an_older_copy_of_the_last_segment_is_an_older_journal(data):
    """Nothing in the journal can tell: state, registry and terminals hold the newer seq."""
    with mirror.Mirror(data, write=True) as journal:
        fill(journal, 2)
        before = (data / "journal/000001/data.mdb").read_bytes()
        fill(journal, 1)
    (data / "journal/000001/data.mdb").write_bytes(before)
    with mirror.Mirror(data) as journal:
        assert journal.last_seq == 80


def test_strangers_in_the_journal_are_named(data):
    (data / "journal/notes.txt").write_text("hello")
    with pytest.raises(EngineError, match=r"notes\.txt is not part of a journal"):
        mirror.Mirror(data)


def test_what_an_interrupted_making_left_is_removed(data):
    left = data / "journal/.new-000002"
    left.mkdir()
    (left / "data.mdb").write_bytes(b"half")
    with mirror.Mirror(data):
        assert left.exists(), "reading changes nothing"
    with mirror.Mirror(data, write=True):
        assert not left.exists()


def test_a_closed_mirror_says_so(data):
    journal = mirror.Mirror(data)
    journal.close()
    journal.close()
    with pytest.raises(EngineError, match="closed"):
        journal.blocks()


def test_a_journal_opened_for_reading_takes_no_block(data):
    """The process would end: so it is tried in one of its own."""
    import subprocess
    import sys

    script = (
        "import sys; from ext import blocks, mirror\n"
        "m = mirror.Mirror(sys.argv[1])\n"
        "m.append(blocks.seal((1).to_bytes(8, 'little') + bytes(120), first_seq=1))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(data)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 70
    with mirror.Mirror(data) as journal:
        assert journal.last_seq == 0
