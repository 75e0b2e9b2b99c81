"""The weak rules of 五.2, for any holder, against a slow and obvious reading of them."""

import datetime as dt

from hypothesis import example, given
from hypothesis import strategies as st

from core.ids import InitialPassword, check_character
from core.parameters import Values
from core.password_changes import KnownPasswords, PasswordKind, judge_transaction
from core.passwords import KnownNumbers
from core.refusals import Refusal
from core.roster import derive_person

KEY = bytes(range(32))
DIGITS = "0123456789"


def obviously_weak(password, *, account_no, phone, id_number, born):
    """Say whether six digits are weak, by trying everything the regulation names."""
    if password in {"888888", *(digit * 6 for digit in DIGITS)}:
        return True
    if password in DIGITS or password in DIGITS[::-1]:
        return True
    pairs = [a + b for a in DIGITS for b in DIGITS]
    threes = [a + b for a in pairs for b in DIGITS]
    if password in {pair * 3 for pair in pairs} | {three * 2 for three in threes}:
        return True
    year, month, day = born.strftime("%Y"), born.strftime("%m"), born.strftime("%d")
    written = [
        year + month + day,
        year[2:] + month + day,
        month + day + year[2:],
        day + month + year[2:],
        month + year,
    ]
    if any(password in text for text in written):
        return True
    endings = {id_number[:-1][-6:] if id_number[-1] == "X" else id_number[-6:]}
    endings.add(id_number.replace("X", "0")[-6:])
    if password in endings:
        return True
    numbers = "".join(char for char in account_no if char in DIGITS)
    return password in numbers or password in phone


@st.composite
def holders(draw):
    """Any holder: account number with or without letters, telephone, date of birth, ID number."""
    born = draw(st.dates(dt.date(1930, 1, 1), dt.date(2015, 12, 31)))
    serial = draw(st.integers(0, 999))
    first_17 = f"440703{born:%Y%m%d}{serial:03d}"
    return {
        "account_no": draw(st.text("0123456789T", min_size=1, max_size=20)),
        "phone": draw(st.text(DIGITS, max_size=13)),
        "id_number": first_17 + check_character(first_17),
        "born": born,
    }


@st.composite
def cases(draw):
    """A holder and six digits: any, or such as people take."""
    holder = draw(holders())
    sources = [
        holder["account_no"],
        holder["phone"],
        holder["id_number"],
        f"{holder['born']:%Y%m%d}",
        f"{holder['born']:%d%m%y}{holder['born']:%m%d%y}{holder['born']:%m%Y}",
        "01234567899876543210888888121212123123",
    ]
    windows = [
        digits[i : i + 6]
        for text in sources
        for digits in ["".join(char for char in text if char in DIGITS)]
        for i in range(len(digits) - 5)
    ]
    password = draw(st.one_of(st.text(DIGITS, min_size=6, max_size=6), st.sampled_from(windows)))
    return holder, password


def judged(holder, password):
    """Return the reason the server refuses six digits by; empty: it takes them."""
    person, initial = derive_person(
        account_no=holder["account_no"],
        name="张三",
        class_name="",
        phone=holder["phone"],
        id_number=holder["id_number"],
        rule=InitialPassword.SKIP,
        key=KEY,
    )
    known = KnownPasswords(
        key=KEY,
        numbers=KnownNumbers(account_no=holder["account_no"], phone=holder["phone"]),
        personal=frozenset(person.weak_hashes),
        initial_tag=person.query_tag,
        id_hash=person.id_hash,
        used={PasswordKind.TRANSACTION: (), PasswordKind.QUERY: ()},
    )
    old = "904617" if password != "904617" else "904618"
    assert initial == holder["id_number"].removesuffix("X")[-6:]
    try:
        judge_transaction(old, password, known, Values({}))
    except Refusal as refusal:
        return refusal.reason.name
    return ""


ZHANG = {
    "account_no": "200571020316",
    "phone": "13800138000",
    "id_number": "44070320050812123X",
    "born": dt.date(2005, 8, 12),
}


@given(cases())
@example((ZHANG, "812123"))
@example((ZHANG, "121230"))
@example((ZHANG, "710203"))
@example((ZHANG, "050812"))
@example((ZHANG, "904617"))
def test_weak_is_what_the_regulation_says(case):
    holder, password = case
    expected = "WEAK_PASSWORD" if obviously_weak(password, **holder) else ""
    assert judged(holder, password) == expected
