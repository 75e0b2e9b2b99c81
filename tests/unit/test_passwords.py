import datetime as dt

import pytest

from core.passwords import (
    KnownNumbers,
    forbidden_numbers,
    id_hash,
    is_well_formed,
    keyed_hash,
    query_tag,
    query_weakness,
    weakness,
)

KNOWN = KnownNumbers(
    account_no="200571020316",
    phone="13800138000",
    id_number="44070320050812123X",
    birth_date=dt.date(2005, 8, 12),
)

READ = KnownNumbers(account_no=KNOWN.account_no, phone=KNOWN.phone)
PERSONAL = forbidden_numbers(KnownNumbers(id_number=KNOWN.id_number, birth_date=KNOWN.birth_date))


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("888888", "DEFAULT"),
        ("111111", "REPEATED"),
        ("123456", "SEQUENCE"),
        ("654321", "SEQUENCE"),
        ("121212", "PATTERN"),
        ("123123", "PATTERN"),
        ("710203", "ACCOUNT_NO"),
        ("200571", "ACCOUNT_NO"),
        ("138001", "PHONE"),
        ("812123", "PERSONAL"),
        ("121230", "PERSONAL"),
        ("050812", "PERSONAL"),
        ("200508", "PERSONAL"),
        ("120805", "PERSONAL"),
        ("081205", "PERSONAL"),
        ("082005", "PERSONAL"),
        ("050811", ""),
        ("904617", ""),
        ("123457", ""),
        ("890123", ""),
    ],
)
@pytest.mark.clause("五.2b")
def test_weak_passwords(password, rule):
    """Regulation 五.2: "勿使用出生年月日、电话号码、学号等易被他人猜测到的数字"."""
    assert weakness(password, READ, is_personal=PERSONAL.__contains__) == rule


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("20050812", "PERSONAL"),
        ("13800138000", "PHONE"),
        ("200571020316", "ACCOUNT_NO"),
        ("12345678", "SEQUENCE"),
        ("11111111", "REPEATED"),
        ("12121212", "PATTERN"),
        ("~~~~~~~~", "REPEATED"),
        ("904617", ""),
        ("904617888888", ""),
        ("lantern-42", ""),
    ],
)
def test_weak_query_passwords(password, rule):
    """Of digits alone a query password is weak as a whole: all its windows are."""
    assert query_weakness(password, READ, is_personal=PERSONAL.__contains__) == rule


def test_an_account_number_with_letters_is_no_query_password():
    known = KnownNumbers(account_no="T12345678A")
    assert query_weakness("t12345678a", known, is_personal=PERSONAL.__contains__) == "ACCOUNT_NO"


def test_what_is_not_known_is_not_held_against_a_password():
    known = KnownNumbers(account_no="200571020316")
    assert not weakness("050812", known, is_personal=lambda _: False)


@pytest.mark.parametrize("bad", ["", "12345", "1234567", "１２３４５６", "12a456", " 12345"])
def test_six_ascii_digits(bad):
    assert not is_well_formed(bad)
    assert is_well_formed("904617")


def test_forbidden_numbers_of_a_holder():
    """Regulation 五.2, of the holder of the acceptance scenarios: every number written out."""
    numbers = forbidden_numbers(KNOWN)
    windows_of_account_no = {"200571", "005710", "057102", "571020", "710203", "102031", "020316"}
    windows_of_phone = {"138001", "380013", "800138", "001380", "013800", "138000"}
    of_the_id = {"812123", "121230"}
    of_the_birthday = {"200508", "005081", "050812", "081205", "120805", "082005"}
    assert numbers == windows_of_account_no | windows_of_phone | of_the_id | of_the_birthday
    assert not numbers & {"904617", "123457"}


def test_nothing_known_forbids_nothing():
    assert forbidden_numbers(KnownNumbers()) == set()
    assert forbidden_numbers(KnownNumbers(account_no="T12345", id_number="E1234")) == set()


def test_hashes_are_keyed_and_of_one_holder_and_one_purpose():
    key = bytes(range(32))
    known = keyed_hash(key, "200571020316", "710203")
    assert len(known) == 8
    assert known == keyed_hash(key, "200571020316", "710203")
    others = (
        keyed_hash(bytes(32), "200571020316", "710203"),
        keyed_hash(key, "200571020317", "710203"),
        keyed_hash(key, "200571020316", "710204"),
        query_tag(key, "200571020316", "710203")[:8],
        id_hash(key, "710203")[:8],
    )
    assert known not in others
    assert len(query_tag(key, "1", "888888")) == len(id_hash(key, "1")) == 16
