"""The bytes on disk, kept: a change of one of them is a new format and needs a decision record.

golden/blocks.hex     three blocks, one a line     golden/identity.hex, golden/key.hex
golden/data.mdb.gz    the segment that holds them
golden/scheduled.hex  three blocks more, of effects that wait for their time

`python -m tests.contract.test_golden` writes them anew; do that for a new format only.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.blocks import DUE, Block
from core.rows import RulesBody, RulesField, ScheduledBody
from ext import audit, blocks, digest, mirror, store
from tests.contract import encoder

GOLDEN = Path(__file__).parent / "golden"
SEGMENT = 262144
KEY = bytes(range(32))
UUID = bytes(range(16, 32))
LAST_SEQ = 51


def golden_blocks():
    return [bytes.fromhex(line) for line in (GOLDEN / "blocks.hex").read_text().split()]


def golden_scheduled():
    return [bytes.fromhex(line) for line in (GOLDEN / "scheduled.hex").read_text().split()]


def golden_identity():
    return bytes.fromhex((GOLDEN / "identity.hex").read_text())


def golden_segment():
    return gzip.decompress((GOLDEN / "data.mdb.gz").read_bytes())


@pytest.fixture
def directory(tmp_path):
    """A data directory put together from the golden files."""
    segment = tmp_path / "data/journal/000001"
    segment.mkdir(parents=True)
    (segment / "data.mdb").write_bytes(golden_segment())
    (tmp_path / "data/campuscard").write_bytes(golden_identity())
    (tmp_path / "key").write_bytes(bytes.fromhex((GOLDEN / "key.hex").read_text()))
    (tmp_path / "key").chmod(0o600)
    return tmp_path


def made_from_scratch():
    """Identity and key file as the second implementation writes them."""
    check = digest.key_check(KEY)
    identity = encoder.identity(
        check, uuid=UUID, created_us=encoder.TIME_US, test=True, segment_bytes=SEGMENT
    )
    return identity, encoder.key_file(KEY, check)


def write_segment(folder):
    """Let the journal write the golden blocks; the segment's bytes."""
    store.init_copy(folder / "data", made_from_scratch()[0])
    with mirror.Mirror(folder / "data", write=True) as journal:
        for block in encoder.history():
            journal.append(block)
    return (folder / "data/journal/000001/data.mdb").read_bytes()


def test_the_second_implementation_writes_the_golden_blocks():
    assert encoder.history() == golden_blocks()


def test_sealing_gives_the_golden_blocks():
    previous = bytes(32)
    for golden in golden_blocks():
        head = encoder.HEADER.unpack_from(golden)
        count, first, payload = head[6], head[7], head[12]
        records = golden[128 : 128 + 128 * count]
        area = golden[128 + 128 * count :][:payload]
        lo, hi, chain, *_ = encoder.TRAILER.unpack(golden[-64:])
        unsealed = b"".join(records[i : i + 124] + bytes(4) for i in range(0, len(records), 128))
        sealed = blocks.seal(
            unsealed,
            area,
            first_seq=first,
            previous=previous,
            state=hi << 64 | lo,
            time_us=head[9],
            business_date=head[10],
            rule_version=head[11],
            epoch=head[5],
            debits_fen=head[14],
        )
        assert sealed == golden
        assert blocks.check(golden, first, previous) == ("", 0)
        previous = chain


def test_effects_that_wait_are_the_golden_ones():
    assert encoder.waiting() == golden_scheduled()
    first, previous = LAST_SEQ + 1, golden_blocks()[-1][-48:-16]
    for golden in golden_scheduled():
        assert blocks.check(golden, first, previous) == ("", 0)
        first += Block(golden).header.count
        previous = golden[-48:-16]


def test_effects_that_wait_read_as_written():
    records = [r for raw in golden_scheduled() for r in Block(raw).records()]
    rules, status, _, happened, lapsed = records
    waits = ScheduledBody.unpack(rules.body)
    assert (waits.due_s, waits.mask, waits.kind) == (encoder.MIDNIGHT_S, RulesField.DAY_LIMIT, 11)
    assert RulesBody.unpack(happened.body).day_limit == 20_000
    assert (happened.original_seq, happened.flags) == (rules.seq, DUE)
    end = ScheduledBody.unpack(status.body)
    assert (end.kind, end.expect_status, end.changes, end.values[0]) == (2, 2, 1, 1)
    assert (lapsed.original_seq, lapsed.body, lapsed.reason) == (status.seq, status.body, 213)


def test_identity_and_key_are_the_golden_ones(directory):
    identity, key = made_from_scratch()
    assert identity == golden_identity()
    assert key == (directory / "key").read_bytes()
    read = store.read_identity(directory / "data")
    assert read["uuid"] == UUID
    assert read["test"] is True
    assert read["created_us"] == encoder.TIME_US
    store.check_key(directory / "data", directory / "key")


def test_the_golden_journal_opens_and_reads(directory):
    with mirror.Mirror(directory / "data") as journal:
        assert journal.last_seq == LAST_SEQ
        assert journal.verify() == 3
        assert journal.blocks() == golden_blocks()
        assert journal.last_chain == golden_blocks()[-1][-48:-16]
        for seq in (1, 8, 9, 11, 12, 51):
            record = journal.record(seq)
            assert int.from_bytes(record[:8], "little") == seq
            assert record in b"".join(golden_blocks())
        assert journal.record(52) is None


def test_the_golden_journal_goes_on(directory):
    with mirror.Mirror(directory / "data", write=True) as journal:
        more = blocks.seal(
            (52).to_bytes(8, "little") + bytes(120), first_seq=52, previous=journal.last_chain
        )
        journal.append(more)
        assert journal.verify() == 4


def test_the_segment_is_the_golden_one_byte_for_byte(tmp_path):
    assert write_segment(tmp_path) == golden_segment()


def test_the_segment_passes_the_audit_and_lmdb_s_own():
    assert audit.audit(golden_segment()) == ("", 0, 1, LAST_SEQ)
    assert audit.audit(golden_segment(), tree=False)[0] == ""


def test_other_software_reads_the_segment(tmp_path):
    """The lmdb package in a process of its own: two copies of LMDB in one are asking for trouble."""
    (tmp_path / "data.mdb").write_bytes(golden_segment())
    script = """
import json, sys, lmdb, lmdb.verify
found = [str(f) for f in lmdb.verify.verify(sys.argv[1])]
env = lmdb.open(sys.argv[1], readonly=True, lock=False, lib_version=0)
with env.begin() as txn:
    items = [(int.from_bytes(k, "little"), v.hex()) for k, v in txn.cursor()]
print(json.dumps([found, items]))
"""
    output = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    findings, items = json.loads(output)
    assert findings == []
    assert [key for key, _ in items] == [8, 11, 51]
    assert [value for _, value in items] == [block.hex() for block in golden_blocks()]


def write_golden():
    import tempfile

    GOLDEN.mkdir(exist_ok=True)
    identity, key = made_from_scratch()
    (GOLDEN / "identity.hex").write_text(identity.hex() + "\n")
    (GOLDEN / "key.hex").write_text(key.hex() + "\n")
    lines = "".join(block.hex() + "\n" for block in encoder.history())
    (GOLDEN / "blocks.hex").write_text(lines)
    lines = "".join(block.hex() + "\n" for block in encoder.waiting())
    (GOLDEN / "scheduled.hex").write_text(lines)
    with tempfile.TemporaryDirectory() as folder:
        segment = write_segment(Path(folder))
    (GOLDEN / "data.mdb.gz").write_bytes(gzip.compress(segment, 9, mtime=0))


if __name__ == "__main__":
    write_golden()
