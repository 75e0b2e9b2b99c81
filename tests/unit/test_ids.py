import pytest

from core.ids import (
    InitialPassword,
    check_character,
    has_valid_check,
    initial_password,
    is_account_no,
    is_short_name,
    make_request_id,
    parse_request_id,
    request_time_ms,
)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("200571020316", True),
        ("000000000001", True),
        ("T1024", True),
        ("1" * 20, True),
        ("1" * 21, False),
        ("", False),
        ("2005-71", False),
        ("２００５", False),
        ("2005 ", False),
        ("2005\n", False),
        ("张三", False),
    ],
)
def test_account_numbers(text, good):
    """Regulation 三.4(1): the student or staff number, kept as a string."""
    assert is_account_no(text) is good


@pytest.mark.parametrize(
    ("text", "good"),
    [("POS-07", True), ("a_1", True), ("x" * 17, False), ("", False), ("POS 7", False)],
)
def test_short_names(text, good):
    assert is_short_name(text) is good


@pytest.mark.parametrize(
    ("first_17", "check"),
    [("11010519491231002", "X"), ("44010619990101001", None), ("34052419800101001", "X")],
)
def test_check_characters(first_17, check):
    """GB 11643-1999, its own examples end in X."""
    computed = check_character(first_17)
    assert computed in "0123456789X"
    assert check in {None, computed}
    assert has_valid_check(first_17 + computed.lower())
    wrong = "1" if computed != "1" else "2"
    assert not has_valid_check(first_17 + wrong)


def test_a_single_wrong_digit_is_always_found():
    base = "44070320050812123"
    good = base + check_character(base)
    for place in range(17):
        for digit in "0123456789":
            changed = good[:place] + digit + good[place + 1 :]
            assert has_valid_check(changed) is (changed == good)


@pytest.mark.parametrize(
    ("id_number", "rule", "password"),
    [
        ("44070320050812123X", InitialPassword.SKIP, "812123"),
        ("44070320050812123x", InitialPassword.SKIP, "812123"),
        ("44070320050812123X", InitialPassword.ZERO, "121230"),
        ("44070320050812123X", InitialPassword.FIXED, "888888"),
        ("440703200603011215", InitialPassword.SKIP, "011215"),
        ("440703200603011215", InitialPassword.ZERO, "011215"),
        ("440703800301121", InitialPassword.SKIP, "301121"),
        ("E1234", InitialPassword.SKIP, "888888"),
        ("", InitialPassword.SKIP, "888888"),
        ("４４0703200603011215", InitialPassword.SKIP, "888888"),
    ],
)
@pytest.mark.clause("四.3b")
def test_initial_passwords(id_number, rule, password):
    """Regulation 四.3: "初始值均为自己身份证的后六位或 888888"."""
    assert initial_password(id_number, rule) == password


def test_request_ids():
    text = make_request_id(1_700_000_000_123, bytes(range(10)))
    raw = parse_request_id(text)
    assert raw is not None
    assert request_time_ms(raw) == 1_700_000_000_123
    assert parse_request_id(text.upper()) == raw
    for bad in ("", "x", text[:-1], text.replace("-", ""), "{" + text + "}"):
        assert parse_request_id(bad) is None
    assert parse_request_id("9f0e1c8e-4b7a-4c1d-8f00-000000000000") is None, "version 4"
