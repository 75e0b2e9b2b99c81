"""follow, restore, dump and verify on directories with real segments."""

import fcntl
import io
import json
import random
import shutil
import time
from dataclasses import replace

import pytest

from ext.errors import JournalCorrupt
from server.offline import dump, follow, restore, verify
from server.offline.copies import make_copy
from server.offline.files import DirectoryError, DirectoryInUse
from server.offline.findings import Difference
from server.offline.follow import FollowError
from server.offline.identity import NAME, read
from tests.model.rig import furnish
from tests.offline.directories import (
    IDENTITY,
    BlockServer,
    write_directory,
    write_key,
)
from tests.offline.model_journal import ModelJournal
from tests.offline.scenario import play_day


@pytest.fixture(scope="module")
def sealed():
    return play_day(ModelJournal()).sealed


@pytest.fixture(scope="module")
def original(sealed, tmp_path_factory):
    return write_directory(tmp_path_factory.mktemp("source") / "data", sealed)


def check(directory, **options):
    return verify.run(directory, state_hash="off", **options)


def restored(*arguments, **options):
    return restore.run(*arguments, state_hash="off", **options)


def flipped(block, place):
    """Old versions of LMDB's pages hold a block too: replace it wherever it stands."""
    return block[:place] + bytes([block[place] ^ 1]) + block[place + 1 :]


# ---- verify on files ----


def test_verify_says_what_it_checked(original, sealed):
    told = []
    verdict = check(original, progress=lambda done, total: told.append((done, total)))
    assert verdict.ok, verdict.difference
    assert verdict.blocks == len(sealed)
    assert verdict.records == verdict.head_seq == told[-1][0] == told[-1][1]
    assert verdict.sum_fen == 0
    assert verdict.chain == sealed[-1][-48:-16]
    assert verdict.types["PURCHASE"] > 5
    assert verdict.checked["movements"] > 10
    assert verdict.records_per_second > 0


def test_verify_goes_over_segments(tmp_path):
    journal = ModelJournal()
    furnish(journal)
    for _ in range(700):
        journal.buy(1, "SHOP-1")
    directory = write_directory(tmp_path / "data", journal.sealed)
    verdict = check(directory)
    assert verdict.ok, verdict.difference
    assert verdict.segments > 1
    shutil.rmtree(min((directory / "journal").iterdir()))
    verdict = check(directory)
    assert not verdict.ok
    assert verdict.bad_seq == 1


def test_verify_names_what_a_flipped_byte_in_the_file_hits(original, sealed, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(original, copy)
    path = copy / "journal" / "000001" / "data.mdb"
    content = path.read_bytes()
    for block in sealed[10::10]:
        path.write_bytes(content.replace(block, flipped(block, 128 + 40)))
        verdict = check(copy)
        assert not verdict.ok
        assert verdict.bad_seq == int.from_bytes(block[24:32], "little")
        assert verdict.difference == "record CRC"
    path.write_bytes(content)
    assert check(copy).ok


@pytest.mark.parametrize("bit", range(64))
def test_no_bit_of_a_commits_number_hides_the_newest_block(original, tmp_path, bit):
    """A lower number for the newest tree makes the one before it the newest."""
    copy = tmp_path / "data"
    shutil.copytree(original, copy)
    path = copy / "journal" / "000001" / "data.mdb"
    content = path.read_bytes()
    chain = check(original).chain
    for number_at in (144, 4096 + 144):
        broken = bytearray(content)
        broken[number_at + bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        verdict = check(copy)
        assert not verdict.ok or verdict.chain == chain


def test_a_bit_flipped_anywhere_in_the_file_is_noticed_or_harmless(original, tmp_path, seed):
    # LMDB itself would hide blocks, show yesterday's tree or leave the file's bounds.
    rng = random.Random(seed)
    copy = tmp_path / "data"
    shutil.copytree(original, copy)
    path = copy / "journal" / "000001" / "data.mdb"
    content = path.read_bytes()
    chain = check(original).chain
    pages = [at for at in range(0, len(content), 4096) if any(content[at : at + 4096])]
    noticed = 0
    for _ in range(150):
        place = rng.choice(pages[:3] + pages) + rng.choice(
            (rng.randrange(4096), rng.randrange(150))
        )
        broken = bytearray(content)
        broken[place] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        try:
            verdict = check(copy)
        except DirectoryError:
            noticed += 1
            continue
        assert not verdict.ok or verdict.chain == chain, f"byte {place}"
        noticed += not verdict.ok
    assert noticed > 10


def test_a_live_directory_is_refused_and_its_copy_is_not(original, tmp_path):
    with (original / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DirectoryInUse):
            check(original)
        with pytest.raises(DirectoryInUse):
            dump.run(original, io.StringIO())
        shutil.copytree(original, tmp_path / "copy")
        assert check(tmp_path / "copy").ok
    assert check(original).ok


def test_what_is_no_directory_is_refused(tmp_path):
    with pytest.raises(DirectoryError):
        check(tmp_path)
    with pytest.raises(DirectoryError):
        read(tmp_path / "nothing")


# ---- dump ----


def lines(directory, **options):
    out = io.StringIO()
    result = dump.run(directory, out, **options)
    return result, [json.loads(text) for text in out.getvalue().splitlines()]


def test_dump_has_every_record_by_name(original):
    result, found = lines(original)
    assert [line["seq"] for line in found] == list(range(1, result.records + 1))
    sale = next(line for line in found if line["type"] == "PURCHASE")
    assert sale["outcome"] == "APPROVED"
    assert sale["amount_fen"] == 2_500
    assert sale["debit"] == {"wallet": "SUBSIDY", "after_fen": 0}
    assert sale["credit"]["wallet"] == "MERCHANT"
    assert sale["asked_fen"] == 3_000
    assert sale["flags"] == ["COUNTS_DAY", "COUNTS_MEAL", "MUST_CHANGE"]
    assert sale["day"] == sale["business_date"] == "2024-03-13"
    assert sale["time"] == "2024-03-13T03:40:00Z"
    asked = next(line for line in found if line["outcome"] == "PIN_REQUIRED")
    assert asked["reason"] == "PIN_REQUIRED"
    assert asked["meal_limit_fen"] == 5_000
    opened = next(line for line in found if line["type"] == "ACCOUNT")
    assert opened["row"]["status"] == "NORMAL"
    assert "tag" not in str(opened)
    card = next(line for line in found if line["type"] == "MEDIUM")
    assert card["row"]["token"] == "00000001"
    assert next(line for line in found if line["type"] == "TOMBSTONE")["original_key"]
    assert not any("#" in str(line["type"]) for line in found)


def test_dump_filters_by_account_and_range(original):
    _, everything = lines(original)
    result, found = lines(original, account=2)
    assert found == [line for line in everything if line.get("account") == 2]
    assert result.read == len(everything)
    assert (result.first_seq, result.last_seq) == (found[0]["seq"], found[-1]["seq"])
    _, some = lines(original, from_seq=20, to_seq=31)
    assert some == everything[19:31]
    result, none = lines(original, from_seq=10_000)
    assert (none, result.records, result.first_seq) == ([], 0, 0)


def test_dump_shows_documents_and_leaves_seals(tmp_path):
    from ext import blocks
    from server.offline import layout as at

    words = json.dumps({"v": 1, "sealed": "AAAA", "account_no": "200571020316"}).encode()
    body = at.DOCUMENT_BODY.pack(0, len(words), 1, 0, 7, bytes(range(16)), bytes(24))
    record = at.RECORD.pack(1, at.DOCUMENT, at.EFFECT, *[0] * 29)
    record = record[:14] + b"\1\1" + record[16:64] + body + record[120:]
    block = blocks.seal(record, words, first_seq=1)
    _, (line,) = lines(write_directory(tmp_path / "data", [block]))
    assert line["document"]["kind"] == "AccountOpened"
    assert line["document"]["actor"] == 7
    assert line["document"]["body"]["sealed"] == "AAAA"
    assert line["document"]["request_id"] == "00010203-0405-0607-0809-0a0b0c0d0e0f"


def test_dump_stops_at_damage(original, sealed, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(original, copy)
    path = copy / "journal" / "000001" / "data.mdb"
    path.write_bytes(path.read_bytes().replace(sealed[5], flipped(sealed[5], 140)))
    with pytest.raises(Difference):
        dump.run(copy, io.StringIO())


# ---- follow ----


def test_follow_copies_everything_and_goes_on(sealed, tmp_path):
    copy = tmp_path / "copy"
    told = []
    with BlockServer(sealed[:40]) as source:
        first = follow.run(
            source.address, copy, stop_at_head=True, progress=lambda *p: told.append(p)
        )
        assert (first.from_seq, first.blocks, first.complete) == (0, 40, True)
        assert told[-1] == (source.head, source.head)
        source.sealed = list(sealed)
        second = follow.run(source.address, copy, stop_at_head=True)
        assert (second.from_seq, second.blocks) == (first.last_seq, len(sealed) - 40)
        third = follow.run(source.address, copy, stop_at_head=True)
        assert third.blocks == 0
    assert third.chain == sealed[-1][-48:-16]
    assert check(copy).ok


def test_follow_comes_back_after_a_break(sealed, tmp_path):
    waits = []
    with BlockServer(sealed) as source:
        source.break_after = 2
        result = follow.run(
            source.address, tmp_path / "copy", stop=lambda: bool(waits), sleep=waits.append
        )
    assert waits == [0.2]
    assert result.blocks > 14
    assert check(tmp_path / "copy").ok


def test_follow_ends_when_told_though_nothing_comes(sealed, tmp_path):
    with BlockServer(sealed[:9]) as source:
        source.hang = True
        heard = []
        result = follow.run(
            source.address,
            tmp_path / "copy",
            progress=lambda *p: heard.append(time.monotonic()),
            stop=lambda: bool(heard) and time.monotonic() > heard[-1] + 0.3,
        )
    assert result.blocks == 9


def test_follow_refuses_another_journal(sealed, tmp_path):
    other = ModelJournal()
    other.after(60)
    furnish(other)
    for _ in range(80):
        other.buy(1, "SHOP-1")
    with BlockServer(sealed) as source:
        follow.run(source.address, tmp_path / "copy", stop_at_head=True)
        source.sealed = sealed[:10]
        with pytest.raises(FollowError, match="only at"):
            follow.run(source.address, tmp_path / "copy", stop_at_head=True)
        source.sealed = other.sealed
        with pytest.raises(FollowError, match="another"):
            follow.run(source.address, tmp_path / "copy", stop_at_head=True)
        source.sealed, source.identity = list(sealed), replace(IDENTITY, uuid=b"another journal!")
        with pytest.raises(FollowError, match="copy of another journal"):
            follow.run(source.address, tmp_path / "copy", stop_at_head=True)
        # Even before it has a block: whose it is stands in the directory.
        make_copy(tmp_path / "empty", IDENTITY.pack())
        with pytest.raises(FollowError, match="copy of another journal"):
            follow.run(source.address, tmp_path / "empty", stop_at_head=True)
        assert read(tmp_path / "empty") == IDENTITY


def test_follow_writes_nothing_that_fails_a_check(sealed, tmp_path):
    broken = bytearray(sealed[12])
    broken[200] ^= 1
    with (
        BlockServer([*sealed[:12], bytes(broken), *sealed[13:]]) as source,
        pytest.raises(JournalCorrupt),
    ):
        follow.run(source.address, tmp_path / "copy", stop_at_head=True)
    verdict = check(tmp_path / "copy")
    assert verdict.ok
    assert verdict.blocks == 12


def test_a_first_copy_cut_short_is_begun_again(sealed, tmp_path):
    """What a crash leaves stands under a hidden name, and nobody was told of it."""
    hidden = tmp_path / ".copy.following"
    write_directory(hidden, sealed[:3])
    (hidden / "journal" / "000001" / "data.mdb").write_bytes(b"torn")
    with BlockServer(sealed) as source:
        with (hidden / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(DirectoryInUse):
                follow.run(source.address, tmp_path / "copy", stop_at_head=True)
        result = follow.run(source.address, tmp_path / "copy", stop_at_head=True)
        assert result.blocks == len(sealed)
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "thesis.txt").write_text("mine")
        with pytest.raises(DirectoryError, match="not empty"):
            follow.run(source.address, tmp_path / "other", stop_at_head=True)
    assert not hidden.exists()
    assert check(tmp_path / "copy").ok


def test_follow_says_when_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "CONNECT_S", 0.2)
    with pytest.raises(FollowError, match=r"DEADLINE|UNAVAILABLE"):
        follow.run("127.0.0.1:1", tmp_path / "copy", stop_at_head=True)
    assert not (tmp_path / "copy").exists()


# ---- restore ----


def test_restore_makes_a_directory_to_serve_from(sealed, tmp_path):
    key = write_key(tmp_path / "campus.key")
    with BlockServer(sealed) as source:
        follow.run(source.address, tmp_path / "copy", stop_at_head=True)
    (tmp_path / "copy" / "keys").mkdir()
    (tmp_path / "copy" / "keys" / "000000.keys").write_bytes(b"holders")
    result = restored(tmp_path / "copy", tmp_path / "new", key_file=key)
    assert result.ok
    assert result.blocks == len(sealed)
    assert result.missing == ()
    assert (tmp_path / "new" / NAME).read_bytes() == IDENTITY.pack()
    assert (tmp_path / "new" / "keys" / "000000.keys").read_bytes() == b"holders"
    assert check(tmp_path / "new").chain == sealed[-1][-48:-16]


def test_a_copy_knows_its_key(sealed, tmp_path):
    with BlockServer(sealed) as source:
        follow.run(source.address, tmp_path / "copy", stop_at_head=True)
    other = write_key(tmp_path / "other.key", check=b"another-campuses")
    with pytest.raises(DirectoryError, match="another data directory"):
        restored(tmp_path / "copy", tmp_path / "new", key_file=other)
    assert not (tmp_path / "new").exists()


def test_restore_without_a_target_only_checks(original):
    result = restored(original)
    assert result.ok
    assert result.directory == ""


def test_restore_refuses_wrong_keys_and_occupied_targets(original, tmp_path):
    other = write_key(tmp_path / "other.key", check=bytes(16))
    with pytest.raises(DirectoryError, match="another data directory"):
        restored(original, tmp_path / "new", key_file=other)
    with pytest.raises(DirectoryError, match="key file"):
        restored(original, tmp_path / "new")
    with pytest.raises(DirectoryError, match="not a key file"):
        restored(original, tmp_path / "new", key_file=original / NAME)
    key = write_key(tmp_path / "campus.key")
    with pytest.raises(DirectoryError, match="not empty"):
        restored(original, tmp_path, key_file=key)
    assert not (tmp_path / "new").exists()


def test_restore_copies_nothing_that_is_wrong(original, sealed, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(original, copy)
    path = copy / "journal" / "000001" / "data.mdb"
    path.write_bytes(path.read_bytes().replace(sealed[-1], flipped(sealed[-1], 140)))
    key = write_key(tmp_path / "campus.key")
    result = restored(copy, tmp_path / "new", key_file=key)
    assert not result.ok
    assert result.verdict.bad_seq == int.from_bytes(sealed[-1][24:32], "little")
    assert not (tmp_path / "new").exists()


def test_identities_are_read_strictly(original, tmp_path):
    raw = (original / NAME).read_bytes()
    assert read(original) == IDENTITY
    assert IDENTITY.pack() == raw
    for place in range(len(raw)):
        broken = bytearray(raw)
        broken[place] ^= 1
        (tmp_path / "broken").write_bytes(broken)
        with pytest.raises(DirectoryError):
            read(tmp_path / "broken")
