"""Rows, names and files nobody thought of: always a result or a reason, never an exception."""

import pickle
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from core import photos
from core.catalogue import BY_NAME
from core.holders import HolderKind
from core.ids import InitialPassword, check_character, has_valid_check, is_account_no
from core.roster import CheckedRow, Odd, OddCell, RosterCheck, Wanted, find_columns
from server.roster_files import ReadRoster, read_roster
from tests.rosters import STUDENTS, as_csv, as_xlsx, rows

WANTED = Wanted(kind=HolderKind.STUDENT, rule=InitialPassword.SKIP, key=bytes(32))
TEXTS = st.text(max_size=80) | st.sampled_from(["", "200571020316", "张三", "44070320050812123X"])
CELLS = TEXTS | st.builds(OddCell, st.sampled_from(list(Odd)), TEXTS, st.just("B2"))
FILES = (as_csv(rows(5)), as_csv(rows(5), encoding="gbk"), as_xlsx(rows(5)))


def checked(cells):
    columns = find_columns(STUDENTS, HolderKind.STUDENT)
    return RosterCheck(WANTED, columns).check(7, cells)


@given(st.lists(CELLS, max_size=12))
def test_every_row_is_taken_or_refused_with_reasons(cells):
    found = checked(cells)
    if found is None:
        read = [cells[at] for at in (1, 2, 4, 5, 6, 7) if at < len(cells)]
        assert not any(isinstance(cell, OddCell) or cell.strip() for cell in read)
        return
    assert isinstance(found, CheckedRow)
    assert found.line == 7
    assert bool(found.faults) == (found.person is None)
    assert all(fault.reason in BY_NAME for fault in (*found.faults, *found.warnings))
    fields = [fault.field for fault in found.faults]
    assert len(fields) == len(set(fields)), "one fault a column"
    if found.person is None:
        return
    person = found.person
    assert is_account_no(found.account_no)
    assert len(found.password) == 6
    assert found.password.isascii()
    assert found.password.isdigit()
    for text in (person.name, person.class_name):
        assert 1 <= len(text) <= 64
        assert text == unicodedata.normalize("NFC", text)
        assert text.isprintable()
    assert pickle.loads(pickle.dumps(found)) == found
    id_cell = cells[5] if len(cells) > 5 and isinstance(cells[5], str) else ""
    if len(id_cell.strip()) >= 15:
        assert id_cell.strip() not in repr(found)


@given(st.sampled_from((1, 2, 4)), st.sampled_from(("{}", "{} ", "x{}", "{}b")))
def test_an_id_number_in_a_column_that_is_kept_is_refused(at, form):
    cells = ["1", "2005", "张三", "女", "A班", "44070300050810103x", "", "x"]
    cells[at] = form.format("44070300050810103X")
    found = checked(cells)
    assert found.person is None
    assert [fault.field for fault in found.faults] == [STUDENTS[at]]
    assert "44070300050810103X" not in repr(found)


@given(st.from_regex(r"[0-9]{17}", fullmatch=True), st.sampled_from("0123456789Xx"))
def test_a_check_character_is_right_or_refused(first_17, last):
    cells = ["1", "2005", "张三", "女", "A班", first_17 + last, "", "x"]
    found = checked(cells)
    names = {fault.reason for fault in found.faults}
    if has_valid_check(first_17 + last):
        assert last.upper() == check_character(first_17)
        assert "ROW_ID_CHECK" not in names
    else:
        assert names == {"ROW_ID_CHECK"}


@given(
    st.text(st.characters(categories=["L", "M", "Nd", "Zs"]), min_size=1, max_size=30),
    st.from_regex(r"[0-9A-Za-z]{1,20}", fullmatch=True),
    st.sampled_from([".jpg", ".JPG", ".Jpeg"]),
    st.sampled_from(["NFC", "NFD"]),
)
def test_a_holders_photo_is_found_by_its_name(name, account_no, ending, form):
    wanted = photos.stem_for(name, account_no)
    stem = photos.stem_of(unicodedata.normalize(form, wanted + ending))
    if not wanted.isprintable() or wanted == account_no:
        return
    assert stem == wanted
    assert account_no in photos.candidates(stem)


@given(st.text(max_size=150))
def test_no_name_of_a_file_is_a_path(name):
    stem = photos.stem_of(name)
    assert not set(stem) & set("/\\:\0\n")
    for account_no in photos.candidates(stem):
        assert is_account_no(account_no)
        assert stem.endswith(account_no)
        assert len(account_no) < len(stem)


@given(
    st.sampled_from(FILES),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6)), min_size=1, max_size=4
    ),
    st.floats(0.3, 1),
)
@settings(deadline=None)
def test_a_file_is_read_whole_or_refused_whole(content, changes, kept):
    """Bytes changed and cut anywhere: what is read is all of it, or nothing with a reason."""
    body = bytearray(content[: int(len(content) * kept)])
    for place, new in changes:
        at = int(place * len(body))
        body[at : at + len(new)] = new
    found = read_roster(bytes(body), WANTED, 100)
    if isinstance(found, ReadRoster):
        read = [row for chunk in found.chunks for row in pickle.loads(chunk)]
        assert len(read) == found.rows > 0
        assert sum(bool(row.faults) for row in read) == found.refused
    else:
        name, metadata = found
        assert name in {"FILE_REFUSED", "ROSTER_TOO_LONG"}
        assert metadata
