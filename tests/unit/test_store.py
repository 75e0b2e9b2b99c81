"""The data directory: identity, key file, what init refuses."""

import os

import pytest

from ext import mirror, store
from ext.errors import EngineError, KeyMismatch

SEGMENT = 262144


@pytest.fixture
def made(tmp_path):
    store.init(tmp_path / "data", tmp_path / "keys/key", test=True, segment_bytes=SEGMENT)
    return tmp_path


def test_init_makes_directory_identity_and_key(made):
    identity = store.read_identity(made / "data")
    assert identity["test"] is True
    assert identity["format"] == 1
    assert identity["key_id"] == 1
    assert identity["segment_bytes"] == SEGMENT
    assert len(identity["raw"]) == 256
    assert sorted(p.name for p in (made / "data").iterdir()) == ["campuscard", "journal", "lock"]
    assert (made / "keys/key").stat().st_mode & 0o777 == 0o600
    assert (made / "data").stat().st_mode & 0o777 == 0o700
    store.check_key(made / "data", made / "keys/key")


def test_two_directories_have_their_own_uuid_and_key(made, tmp_path):
    store.init(tmp_path / "two", tmp_path / "keys/two", segment_bytes=SEGMENT)
    one, two = store.read_identity(made / "data"), store.read_identity(tmp_path / "two")
    assert one["uuid"] != two["uuid"]
    assert one["key_check"] != two["key_check"]
    assert two["test"] is False
    with pytest.raises(KeyMismatch, match="of another data directory"):
        store.check_key(made / "data", tmp_path / "keys/two")


def test_init_twice_is_refused_and_changes_nothing(made):
    before = {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}
    with pytest.raises(EngineError, match="already"):
        store.init(made / "data", made / "keys/other")
    assert {p: p.read_bytes() for p in made.rglob("*") if p.is_file()} == before


def test_the_key_must_be_outside(tmp_path):
    for inside in ("data/key", "data/keys/key", "data/../data/key"):
        with pytest.raises(KeyMismatch, match="must be outside"):
            store.init(tmp_path / "data", tmp_path / inside)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(KeyMismatch, match="must be outside"):
        store.init(tmp_path / "data", tmp_path / "link/key")


def test_a_key_that_others_may_read_is_refused(made):
    (made / "keys/key").chmod(0o640)
    with pytest.raises(KeyMismatch, match="chmod 600"):
        store.check_key(made / "data", made / "keys/key")


@pytest.mark.parametrize("content", [b"", b"x" * 64, b"CAMPKEY1" + bytes(56), bytes(65)])
def test_what_is_no_key_file_is_refused(made, content):
    (made / "keys/key").write_bytes(content)
    with pytest.raises(KeyMismatch, match=r"not a key file|damaged"):
        store.check_key(made / "data", made / "keys/key")


def test_a_missing_key_is_named(made):
    (made / "keys/key").unlink()
    with pytest.raises(KeyMismatch, match=r"keys/key cannot be opened: No such file"):
        store.check_key(made / "data", made / "keys/key")


def test_init_does_not_overwrite_a_file_that_is_no_key(tmp_path):
    (tmp_path / "key").write_text("my diary")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(KeyMismatch, match="not a key file"):
        store.init(tmp_path / "data", tmp_path / "key")
    assert (tmp_path / "key").read_text() == "my diary"


def test_a_directory_without_identity_is_none(tmp_path):
    with pytest.raises(EngineError, match="campuscard init"):
        mirror.Mirror(tmp_path)
    assert list(tmp_path.iterdir()) == [], "not even a lock is left behind"


@pytest.mark.parametrize("size", [0, 255, 257])
def test_an_identity_of_another_length_is_damaged(made, size):
    raw = store.read_identity(made / "data")["raw"]
    (made / "data/campuscard").write_bytes((raw + bytes(8))[:size])
    with pytest.raises(EngineError, match="damaged"):
        store.read_identity(made / "data")


def test_a_copy_has_the_same_identity(made, tmp_path):
    identity = store.read_identity(made / "data")
    store.init_copy(tmp_path / "mirror", identity["raw"])
    assert store.read_identity(tmp_path / "mirror") == identity
    store.check_key(tmp_path / "mirror", made / "keys/key")
    with pytest.raises(EngineError, match="not an identity"):
        store.init_copy(tmp_path / "other", b"short")


@pytest.mark.parametrize("rules", [b"x", bytes(55), bytes(57)])
def test_rules_and_meals_are_packed_structs(tmp_path, rules):
    with pytest.raises(ValueError, match="56 bytes"):
        store.init(tmp_path / "data", tmp_path / "key", rules=rules)
    with pytest.raises(ValueError, match="56 bytes"):
        store.init(tmp_path / "data", tmp_path / "key", meals=rules)


def test_relative_paths_and_bytes_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store.init("data", b"keys/deep/key", segment_bytes=SEGMENT)
    store.check_key("data", "keys/deep/key")
    with mirror.Mirror(os.fsencode("data")) as journal:
        assert journal.last_seq == 0
