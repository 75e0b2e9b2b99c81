"""Files of holders: content-addressed, sealed, gone with their key."""

import pytest

from server.files import SealedFiles
from server.keys import Keyring


@pytest.fixture
def keys(tmp_path):
    return Keyring(tmp_path / "keys")


@pytest.fixture
def files(tmp_path, keys):
    return SealedFiles(tmp_path / "files", keys)


def test_a_file_reads_back_and_is_kept_once(files, tmp_path):
    address = files.put(7, b"form")
    assert files.put(7, b"form") == address
    assert files.get(7, address) == b"form"
    kept = list(tmp_path.glob("files/*/*.sealed"))
    assert len(kept) == 1
    assert b"form" not in kept[0].read_bytes()


def test_a_file_that_lost_its_end_is_written_again(files, tmp_path):
    address = files.put(7, b"form")
    (path,) = tmp_path.glob("files/*/*.sealed")
    path.write_bytes(path.read_bytes()[:-1])
    assert files.put(7, b"form") == files.address(7, b"form") == address
    assert files.get(7, address) == b"form"


def test_another_holder_has_another_address_and_cannot_read_it(files):
    address = files.put(7, b"form")
    assert files.put(8, b"form") != address
    assert files.get(8, address) is None


def test_damaged_missing_and_erased_files_are_none(files, keys, tmp_path):
    address = files.put(7, b"form")
    assert files.get(7, bytes(32)) is None
    (path,) = tmp_path.glob("files/*/*.sealed")
    sealed = path.read_bytes()
    path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert files.get(7, address) is None
    path.write_bytes(sealed)
    keys.destroy(7)
    assert files.get(7, address) is None
    with pytest.raises(ValueError, match="32 bytes"):
        files.get(7, b"../../etc")
