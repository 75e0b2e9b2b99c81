"""Dynamic QR codes: signed, a minute at most, of this server only (regulation 四.1a)."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import qr

KEY = bytes(range(32))
CODE = qr.Code(account=7, medium=9, issued_s=1_710_302_400, life_s=60, nonce=b"12345678")
U32 = st.integers(0, 2**32 - 1)
codes = st.builds(
    qr.Code,
    account=U32,
    medium=U32,
    issued_s=U32,
    life_s=st.integers(1, qr.LIFE_MAX_S),
    nonce=st.binary(min_size=8, max_size=8),
)


@given(code=codes)
def test_what_was_written_is_read(code):
    text = qr.write(code, KEY)
    assert len(text) == 51
    assert len(text) <= qr.TEXT_MAX
    assert qr.read(text, KEY) == code


def test_every_changed_character_is_noticed():
    text = qr.write(CODE, KEY)
    for place, letter in enumerate(text):
        for other in "A", "B", "-", "_", "=", "\u00e9":
            if other != letter:
                changed = text[:place] + other + text[place + 1 :]
                assert qr.read(changed, KEY) is None, (place, other)


def test_the_code_of_another_server():
    assert qr.read(qr.write(CODE, os.urandom(32)), KEY) is None


@given(text=st.text(max_size=120))
def test_any_text_is_read_or_not(text):
    assert qr.read(text, KEY) is None


def test_one_code_has_one_text():
    """Unused bits of the last character and padding do not make a second code."""
    text = qr.write(CODE, KEY)
    raw = base64.urlsafe_b64decode(text + "=")
    for other in (text + "=", text + " ", text[:-1], text + "A", text + "\n"):
        assert qr.read(other, KEY) is None
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twins = [text[:-1] + c for c in last if base64.urlsafe_b64decode(text[:-1] + c + "=") == raw]
    assert len(twins) == 4
    assert [twin for twin in twins if qr.read(twin, KEY)] == [text]


@pytest.mark.parametrize(
    ("second", "valid"), [(-1, False), (0, True), (59, True), (60, False), (61, False)]
)
def test_it_lives_a_minute(second, valid):
    time_us = (CODE.issued_s + second) * 1_000_000
    assert CODE.valid_at(time_us) is valid
    assert CODE.valid_at(time_us + 999_999) is valid
