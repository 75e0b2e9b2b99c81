import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.ports import Person
from server.keys import KEY_BYTES, KEYS_PER_FILE, Keyring

ZHANG = Person(name="张三", class_name="2023级1班")


@pytest.fixture
def keyring(tmp_path):
    return Keyring(tmp_path / "keys")


def test_what_is_sealed_opens_again(keyring, tmp_path):
    sealed = keyring.seal(7, ZHANG)
    assert keyring.unseal(7, sealed) == ZHANG
    assert Keyring(tmp_path / "keys").unseal(7, sealed) == ZHANG, "after a restart"
    assert "张三".encode() not in sealed
    assert keyring.seal(7, ZHANG) != sealed, "never the same bytes twice"


def test_secrets_of_a_person_are_sealed_with_it(keyring):
    whole = Person(
        name="张三",
        class_name="2023级1班",
        phone="13800138000",
        id_hash=bytes(range(16)),
        weak_hashes=(b"12345678", b"abcdefgh"),
        query_tag=bytes(range(16, 32)),
    )
    assert keyring.unseal(7, keyring.seal(7, whole)) == whole


def test_texts_sealed_with_name_and_class_only_still_open(keyring):
    """The first version wrote exactly these bytes."""
    plain = '{"class":"2023级1班","name":"张三"}'.encode()
    assert keyring.unseal(7, keyring.seal(7, ZHANG)) == ZHANG
    key = keyring._key(7, make=False)
    nonce = bytes(12)
    sealed = nonce + AESGCM(key).encrypt(nonce, plain.ljust(64), b"campuscard/holder/1/7")
    assert keyring.unseal(7, sealed) == ZHANG


def test_sealed_texts_belong_to_one_holder(keyring):
    assert keyring.unseal(8, keyring.seal(7, ZHANG)) is None


@pytest.mark.parametrize("name", ["李", "欧阳某某", "A. N. Other"])
def test_lengths_say_little(keyring, name):
    assert len(keyring.seal(1, Person(name=name, class_name=""))) == len(keyring.seal(1, ZHANG))


def test_files_are_sealed_to_the_same_bytes_for_their_holder_only(keyring):
    sealed = keyring.seal_file(7, b"photo")
    assert keyring.seal_file(7, b"photo") == sealed
    assert keyring.seal_file(7, b"other")[:12] != sealed[:12], "another nonce for another content"
    assert keyring.seal_file(8, b"photo") != sealed
    assert keyring.unseal_file(7, sealed) == b"photo"
    assert keyring.unseal_file(8, sealed) is None
    assert keyring.unseal_file(7, sealed[:-1] + b"x") is None
    assert keyring.unseal_file(7, b"") is None
    keyring.destroy(7)
    assert keyring.unseal_file(7, sealed) is None
    with pytest.raises(ValueError, match="destroyed"):
        keyring.seal_file(7, b"photo")


def test_a_destroyed_key_opens_nothing(keyring, tmp_path):
    sealed = {number: keyring.seal(number, ZHANG) for number in (6, 7, KEYS_PER_FILE)}
    keyring.destroy(7)
    for ring in (keyring, Keyring(tmp_path / "keys")):
        assert ring.unseal(7, sealed[7]) is None
        assert not ring.has_key(7)
        assert ring.unseal(6, sealed[6]) == ZHANG
        assert ring.unseal(KEYS_PER_FILE, sealed[KEYS_PER_FILE]) == ZHANG
    with pytest.raises(ValueError, match="destroyed"):
        keyring.seal(7, ZHANG)


def test_lost_keys_open_nothing(keyring, tmp_path):
    sealed = keyring.seal(7, ZHANG)
    (tmp_path / "keys" / "000000.keys").unlink()
    other = Keyring(tmp_path / "keys")
    assert other.unseal(7, sealed) is None
    other.seal(8, ZHANG)
    assert other.unseal(7, sealed) is None, "new keys are not the old ones"


def test_a_damaged_key_file_is_refused(tmp_path):
    keyring = Keyring(tmp_path / "keys")
    keyring.seal(7, ZHANG)
    path = tmp_path / "keys" / "000000.keys"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="bytes"):
        Keyring(tmp_path / "keys").has_key(7)


def test_sizes_and_rights(keyring, tmp_path):
    keyring.seal(7, ZHANG)
    path = tmp_path / "keys" / "000000.keys"
    assert path.stat().st_size == KEY_BYTES * KEYS_PER_FILE
    assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
    assert not list((tmp_path / "keys").glob(".*")), "no temporary file is left"


def test_derived_keys_differ_by_purpose_and_last(keyring, tmp_path):
    assert keyring.derive("a") != keyring.derive("b")
    assert Keyring(tmp_path / "keys").derive("a") == keyring.derive("a")


def test_people_do_not_show_in_a_repr():
    assert "张三" not in repr(ZHANG)
