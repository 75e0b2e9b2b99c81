"""Rows of the 《信息收集汇总表》, one by one (regulation 三.1(2), 四.3, 五.2)."""

import datetime as dt
import unicodedata

import pytest

from core.holders import HolderKind
from core.ids import InitialPassword, check_character
from core.passwords import KnownNumbers, forbidden_numbers, id_hash, keyed_hash, query_tag
from core.refusals import Refusal
from core.roster import Odd, OddCell, RosterCheck, Wanted, birth_date, find_columns
from tests.rosters import CLASS, STAFF, STUDENTS, id_number, row

KEY = bytes(range(32))
ZHANG = row(
    "200571020316", "张三", id_text="44070320050812123X", phone="138-0013 8000", group=CLASS
)


def checking(*, heading=STUDENTS, kind=HolderKind.STUDENT, **wanted):
    values = {"kind": kind, "rule": InitialPassword.SKIP, "key": KEY} | wanted
    return RosterCheck(Wanted(**values), find_columns(heading, kind))


def check(cells, **wanted):
    return checking(**wanted).check(2, cells)


def changed(**cells):
    """Return Zhang's row with other cells, by heading."""
    values = list(ZHANG)
    for heading, cell in cells.items():
        values[STUDENTS.index(heading)] = cell
    return values


def reasons(checked):
    return {fault.field: fault.reason for fault in checked.faults}


def test_a_good_row_leaves_hashes_and_passwords_and_no_id_number():
    checked = check(ZHANG)
    assert not checked.faults
    assert not checked.warnings
    person = checked.person
    assert (person.name, person.class_name, person.phone) == ("张三", CLASS, "13800138000")
    assert checked.password == "812123"
    assert person.query_tag == query_tag(KEY, "200571020316", "812123")
    assert person.id_hash == id_hash(KEY, "44070320050812123X")
    known = KnownNumbers(
        account_no="200571020316",
        phone="13800138000",
        id_number="44070320050812123X",
        birth_date=dt.date(2005, 8, 12),
    )
    hashes = {keyed_hash(KEY, "200571020316", number) for number in forbidden_numbers(known)}
    assert set(person.weak_hashes) == hashes
    for forbidden in ("710203", "050812", "200508", "120805", "812123", "138001"):
        assert keyed_hash(KEY, "200571020316", forbidden) in person.weak_hashes
    assert keyed_hash(KEY, "200571020316", "904617") not in person.weak_hashes
    assert "4407032005" not in repr(checked)
    assert "812123" not in repr(checked)


@pytest.mark.parametrize(
    ("rule", "password"), [("SKIP", "812123"), ("ZERO", "121230"), ("FIXED", "888888")]
)
def test_initial_password_of_an_id_that_ends_in_x(rule, password):
    assert check(ZHANG, rule=InitialPassword(rule)).password == password


@pytest.mark.parametrize(
    ("id_text", "password"),
    [
        ("44070320050812123x", "812123"),
        ("440703200603011215", "011215"),
        ("440703850812123", "812123"),
        ("E1234", "888888"),
        ("H12345678", "888888"),
        ("", "888888"),
        ("  44070320050812123X ", "812123"),
    ],
)
def test_kinds_of_id_numbers(id_text, password):
    checked = check(changed(身份证号=id_text))
    assert not checked.faults
    assert checked.password == password
    assert bool(checked.person.id_hash) == bool(id_text.strip())


@pytest.mark.parametrize(
    ("id_text", "reason"),
    [
        ("440703200508121231", "ROW_ID_CHECK"),
        ("44070320050812123", "ROW_FIELD_FORM"),
        ("4407032005081212３X", "ROW_FIELD_FORM"),
        ("44070320051312123" + check_character("44070320051312123"), "ROW_FIELD_FORM"),
        ("440703851312123", "ROW_FIELD_FORM"),
        ("1234", "ROW_FIELD_FORM"),
        ("E12-34", "ROW_FIELD_FORM"),
        ("1" * 2_000, "ROW_FIELD_FORM"),
    ],
)
def test_wrong_id_numbers(id_text, reason):
    assert reasons(check(changed(身份证号=id_text))) == {"身份证号": reason}


def test_all_faults_of_a_row_at_once():
    cells = changed(
        学号="2005 71", 姓名="", 班级="a\x07b", 身份证号="440703200508121231", 联系电话="x"
    )
    assert reasons(check(cells)) == {
        "学号": "ROW_FIELD_FORM",
        "姓名": "ROW_FIELD_MISSING",
        "班级": "ROW_FIELD_FORM",
        "身份证号": "ROW_ID_CHECK",
        "联系电话": "ROW_FIELD_FORM",
    }


def test_names_are_nfc_and_bounded():
    decomposed = unicodedata.normalize("NFD", "Zoë Müller")
    checked = check(changed(姓名=decomposed, 照片文件名="ZoëMüller200571020316.jpg"))
    assert checked.person.name == "Zoë Müller"
    assert not checked.warnings
    assert not check(changed(姓名="阿卜杜拉·买买提")).faults
    assert not check(changed(姓名="张" * 64)).faults
    for bad in ("张" * 65, "张\u0000三", "张\u202e三", "=1+1", "@x", "-", "1张"):
        assert reasons(check(changed(姓名=bad))) == {"姓名": "ROW_FIELD_FORM"}, bad


def test_a_row_without_anything_is_no_row():
    assert check(["7", "", " ", "女", "", "", "", "", "x"]) is None
    assert check([]) is None
    assert reasons(check(["7", "2005"])) == {
        "姓名": "ROW_FIELD_MISSING",
        "班级": "ROW_FIELD_MISSING",
    }


def test_a_number_stands_in_a_file_once():
    rows = checking()
    assert not rows.check(2, ZHANG).faults
    again = rows.check(9, ZHANG)
    (fault,) = again.faults
    assert (fault.reason, fault.field, fault.metadata) == ("ROW_DUPLICATE", "学号", {"line": 2})


def test_the_same_id_number_under_two_accounts_is_a_warning():
    rows = checking()
    rows.check(2, ZHANG)
    other = rows.check(3, changed(学号="200571020317", 照片文件名="张三200571020317.jpg"))
    assert not other.faults
    assert [(w.reason, w.metadata) for w in other.warnings] == [
        ("ROW_ID_SHARED", {"account": "200571020316"})
    ]


def test_photo_names_are_looked_at():
    assert [w.reason for w in check(changed(照片文件名="")).warnings] == ["ROW_PHOTO_MISSING"]
    for bad in ("200571020316张三.jpg", "张三200571020316.png", "李四200571020316.jpg"):
        assert [w.reason for w in check(changed(照片文件名=bad)).warnings] == ["ROW_PHOTO_NAME"]
    assert not check(changed(照片文件名="张三200571020316.JPEG")).warnings


def test_only_the_class_asked_for_and_the_callers_own():
    assert not check(ZHANG, class_name=CLASS, classes=frozenset({CLASS})).faults
    assert reasons(check(ZHANG, class_name="B班")) == {"班级": "ROW_CLASS_OTHER"}
    assert reasons(check(ZHANG, classes=frozenset({"B班"}))) == {"班级": "NOT_YOUR_CLASS"}
    assert reasons(check(ZHANG, classes=frozenset())) == {"班级": "NOT_YOUR_CLASS"}


def test_staff_have_their_own_headings():
    kind = HolderKind.STAFF
    checked = check(row("20030001", "示例乙", group="教务处"), heading=STAFF, kind=kind)
    assert not checked.faults
    assert find_columns(STUDENTS, kind) is None
    assert find_columns(STAFF, HolderKind.STUDENT) is None


@pytest.mark.parametrize(
    ("heading", "cell", "text"),
    [
        ("学号", OddCell(Odd.NUMBER, "200571020316", "B2"), None),
        ("身份证号", OddCell(Odd.NUMBER, "440703200508121000", "F2"), None),
        ("联系电话", OddCell(Odd.NUMBER, "7508766866", "G2"), None),
        ("联系电话", OddCell(Odd.NUMBER, "13800138000", "G2"), "13800138000"),
        ("班级", OddCell(Odd.NUMBER, "2301", "E2"), "2301"),
        ("班级", OddCell(Odd.NUMBER, "2301.5", "E2"), None),
        ("姓名", OddCell(Odd.FORMULA, "", "C2"), None),
        ("姓名", OddCell(Odd.ERROR, "#REF!", "C2"), None),
        ("班级", OddCell(Odd.DATE, "2023-01-01", "E2"), None),
    ],
)
def test_cells_that_are_no_text(heading, cell, text):
    """A number has lost its leading zeros, and digits after the 15th; nobody can tell."""
    checked = check(changed(**{heading: cell}))
    if text is None:
        (fault,) = checked.faults
        assert (fault.field, fault.reason) == (heading, "ROW_CELL")
        assert fault.metadata["cell"] == cell.place
    else:
        assert not checked.faults
        assert text in {checked.person.phone, checked.person.class_name}


def test_headings():
    assert find_columns(["标题", "", ""], HolderKind.STUDENT) is None
    assert find_columns([" 学号 ", "姓名", "班级"], HolderKind.STUDENT) is not None
    with pytest.raises(Refusal) as refused:
        find_columns(["学号", "姓名", "班级", "学号"], HolderKind.STUDENT)
    assert refused.value.reason.name == "FILE_REFUSED"


def test_dates_of_birth():
    assert birth_date("44070320050812123X") == dt.date(2005, 8, 12)
    assert birth_date("440703850812123") == dt.date(1985, 8, 12)
    assert birth_date("44070320050230123X") is None
    assert birth_date("E1234") is None
    assert birth_date(id_number(1, "20040229")) == dt.date(2004, 2, 29)
