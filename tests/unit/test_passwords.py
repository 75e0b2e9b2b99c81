import datetime as dt

import pytest

from core.passwords import KnownNumbers, is_well_formed, weakness

KNOWN = KnownNumbers(
    account_no="200571020316",
    phone="13800138000",
    id_number="44070320050812123X",
    birth_date=dt.date(2005, 8, 12),
)


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
        ("812123", "ID_NUMBER"),
        ("050812", "BIRTH_DATE"),
        ("200508", "BIRTH_DATE"),
        ("120805", "BIRTH_DATE"),
        ("081205", "BIRTH_DATE"),
        ("082005", "BIRTH_DATE"),
        ("050811", ""),
        ("904617", ""),
        ("123457", ""),
        ("890123", ""),
    ],
)
def test_weak_passwords(password, rule):
    """Regulation 五.2: "勿使用出生年月日、电话号码、学号等易被他人猜测到的数字"."""
    assert weakness(password, KNOWN) == rule


def test_what_is_not_known_is_not_held_against_a_password():
    assert not weakness("050812", KnownNumbers(account_no="200571020316"))


@pytest.mark.parametrize("bad", ["", "12345", "1234567", "１２３４５６", "12a456", " 12345"])
def test_six_ascii_digits(bad):
    assert not is_well_formed(bad)
    assert is_well_formed("904617")
