"""One-time codes against the vectors of RFC 6238 and RFC 4226."""

import pytest

from core.totp import code_of, key_uri, matching_step, step_at

RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ],
)
def test_rfc_6238_appendix_b(seconds, code):
    """The appendix has eight digits; six are its last six."""
    assert code_of(RFC_SECRET, step_at(seconds * 1_000_000)) == code[-6:]


def test_rfc_4226_appendix_d():
    codes = [
        "755224",
        "287082",
        "359152",
        "969429",
        "338314",
        "254676",
        "287922",
        "162583",
        "399871",
        "520489",
    ]
    assert [code_of(RFC_SECRET, step) for step in range(10)] == codes


def match(step, **changes):
    values = {"at": 1_000, "after": 0, "around": 1} | changes
    return matching_step(RFC_SECRET, code_of(RFC_SECRET, step), **values)


def test_one_step_either_way_is_good():
    assert [match(step) for step in (998, 999, 1_000, 1_001, 1_002)] == [0, 999, 1_000, 1_001, 0]


def test_a_code_and_all_before_it_are_good_once():
    assert match(1_000, after=999) == 1_000
    assert match(1_000, after=1_000) == 0
    assert match(999, after=1_000) == 0
    assert match(1_001, after=1_000) == 1_001


@pytest.mark.parametrize("code", ["", "000000", "75522", "7552244", "７５５２２４", "abcdef"])
def test_what_is_no_code_of_now_is_none(code):
    assert matching_step(RFC_SECRET, code, at=50, after=0, around=1) == 0


def test_the_key_uri_is_what_apps_read():
    assert key_uri(b"\x00" * 20, "2017001") == (
        "otpauth://totp/campuscard:2017001?secret="
        + "A" * 32
        + "&issuer=campuscard&algorithm=SHA1&digits=6&period=30"
    )
