"""Files of rosters as they come: encodings, workbooks, and files made to do harm."""

import datetime as dt
import io
import pickle
import re
import struct
import zipfile

import pytest

from core.holders import HolderKind
from core.ids import InitialPassword
from core.roster import Wanted
from server.roster_files import ReadRoster, read_roster
from tests.rosters import STAFF, STUDENTS, as_csv, as_xlsx, row, rows

KEY = bytes(range(32))
ROWS_MAX = 1_000


def read(content, *, rows_max=ROWS_MAX, kind=HolderKind.STUDENT):
    wanted = Wanted(kind=kind, rule=InitialPassword.SKIP, key=KEY)
    return read_roster(content, wanted, rows_max)


def read_rows(content, **options):
    roster = read(content, **options)
    assert isinstance(roster, ReadRoster), roster
    found = [row for chunk in roster.chunks for row in pickle.loads(chunk)]
    assert len(found) == roster.rows
    assert sum(bool(row.faults) for row in found) == roster.refused
    return found


def detail(content, **options):
    """Return why a whole file is refused."""
    refusal = read(content, **options)
    assert not isinstance(refusal, ReadRoster)
    return refusal[0], refusal[1].get("detail", "")


def rewritten(content, change, *, extra=()):
    """Return a workbook with its parts changed: `change` gets name and body, None drops it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", 8) as new:
        for info in old.infolist():
            body = change(info.filename, old.read(info))
            if body is not None:
                new.writestr(info.filename, body)
        for name, body in extra:
            new.writestr(name, body)
    return out.getvalue()


def in_sheet(content, old, new):
    def change(name, body):
        return body.replace(old, new) if name == "xl/worksheets/sheet1.xml" else body

    assert rewritten(content, change) != content
    return rewritten(content, change)


# ---- CSV ----


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_encodings(encoding):
    found = read_rows(as_csv(rows(3), encoding=encoding))
    assert [row.line for row in found] == [2, 3, 4]
    assert found[0].person.name == "测试001"
    assert not any(row.faults or row.warnings for row in found)


def test_rare_characters_need_gb18030():
    found = read_rows(as_csv([row("2005", "㐀𠀀")], encoding="gb18030"))
    assert found[0].person.name == "㐀𠀀"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (as_csv(rows(1), encoding="utf-16"), "UTF-16"),
        (as_csv(rows(1), encoding="utf-8") + b"\xff", "neither UTF-8 nor GBK"),
        (as_csv(rows(1), encoding="utf-8") + b"\0", "neither CSV nor"),
        (b"", "no heading"),
        (b"\xef\xbb\xbf", "no heading"),
        (as_csv([]), "no row"),
        (as_csv(rows(2), heading=STAFF), "no heading with 学号"),
        (as_csv(rows(2)).replace(b",", b";"), "no heading"),
        (as_csv(rows(1)) + b'2,"2005\n', "no CSV"),
        (as_csv(rows(1)) + b'2,"20"05,x\n', "line 3: no CSV"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 9, "neither CSV nor"),
        (b"%PDF-1.7 " + bytes(range(128, 255)), "neither UTF-8 nor GBK"),
        (b"a" * 200_000 + b"\n", "field larger"),
    ],
)
def test_text_that_is_no_roster(content, why):
    name, text = detail(content)
    assert name == "FILE_REFUSED"
    assert why in text


def test_lines_are_those_of_the_file():
    lines = rows(2)
    lines[0][8] = "备注\n两行"
    assert [row.line for row in read_rows(as_csv(lines))] == [2, 4]


def test_titles_above_the_heading_and_empty_rows_below():
    content = as_csv([[], STUDENTS, *rows(2), [], ["", "", "", "", ""], row("9")], heading=["表"])
    assert [row.line for row in read_rows(content)] == [4, 5, 8]
    far = as_csv([*([["x"]] * 10), STUDENTS, *rows(1)], heading=["表"])
    assert "no heading" in detail(far)[1]


def test_too_many_rows_are_refused_as_soon_as_they_are_too_many():
    assert read(as_csv(rows(20)), rows_max=20).rows == 20
    assert read(as_csv(rows(21)), rows_max=20) == ("ROSTER_TOO_LONG", {"rows": 20})


def test_a_million_rows_cost_what_the_bound_allows():
    """Lines behind the bound are never looked at: the last one is no CSV at all."""
    line = ",".join(row("2005")).encode() + b"\n"
    content = ",".join(STUDENTS).encode() + b"\n" + line * 100_000 + b'"'
    assert read(content, rows_max=50) == ("ROSTER_TOO_LONG", {"rows": 50})


# ---- workbooks ----


def test_a_workbook_reads_like_the_same_csv():
    lines = rows(130)
    from_book, from_csv = read_rows(as_xlsx(lines)), read_rows(as_csv(lines))
    assert from_book == from_csv
    assert len(from_book) == 130


def test_merged_titles_and_headings():
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.append(["信息收集汇总表"])
    sheet.merge_cells("A1:I1")
    sheet.append(STUDENTS)
    sheet.append([None] * 9)
    for column in "ABCDEFGHI":
        sheet.merge_cells(f"{column}2:{column}3")
    sheet.append(rows(1)[0])
    content = io.BytesIO()
    book.save(content)
    (found,) = read_rows(content.getvalue())
    assert found.line == 4
    assert not found.faults


def test_numbers_dates_and_formulas_name_their_cell():
    line = rows(1)[0]
    line[1], line[5] = 200571020316, 440703200508121234
    cells = [line, [*rows(2)[1][:4], dt.date(2023, 9, 1), "", "", "", ""]]
    cells.append([*rows(3)[2][:2], "=CONCAT(A1,B1)", *rows(3)[2][3:]])
    found = read_rows(as_xlsx(cells))
    faults = [[(f.field, f.reason, f.metadata["cell"]) for f in row.faults] for row in found]
    assert faults == [
        [("学号", "ROW_CELL", "B2"), ("身份证号", "ROW_CELL", "F2")],
        [("班级", "ROW_CELL", "E3")],
        [("姓名", "ROW_CELL", "C4")],
    ]
    assert "leading zeros" in found[0].faults[0].metadata["detail"]
    assert "formula" in found[2].faults[0].metadata["detail"]


def test_formulas_with_their_value_are_read():
    content = as_xlsx([[*rows(1)[0][:2], '="张"&"三"', *rows(1)[0][3:]]])
    content = in_sheet(content, b"<v></v>", b"<v>\xe5\xbc\xa0\xe4\xb8\x89</v>")
    content = in_sheet(content, b'<c r="C2"><f>', b'<c r="C2" t="str"><f>')
    if b"<v />" in zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml"):
        content = in_sheet(content, b"<v />", b"<v>\xe5\xbc\xa0\xe4\xb8\x89</v>")
    (found,) = read_rows(content)
    assert found.person.name == "张三"


def test_rows_that_skip_are_bounded():
    """A sheet of two rows whose second says it is the billionth."""
    content = in_sheet(as_xlsx(rows(1)), b'<row r="2">', b'<row r="1000000000">')
    content = in_sheet(content, b'r="A2"', b'r="A1000000000"')
    assert detail(content)[0] == "FILE_REFUSED"


def test_wide_rows_are_cut():
    wide = [*rows(1)[0], *([""] * 16_000), "x"]
    assert len(read_rows(as_xlsx([wide]))) == 1


def bomb(size):
    return [("xl/media/image1.png", b"\0" * size)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old or encrypted"),
        (b"PK\x03\x04" + b"\0" * 100, "no zip archive"),
        (as_xlsx(rows(3))[:-40], "archive"),
        (as_xlsx(rows(300))[:200] + as_xlsx(rows(300))[700:], "directory"),
        (rewritten(as_xlsx(rows(1)), lambda n, b: None if "workbook.xml" in n else b), "no Excel"),
        (rewritten(as_xlsx(rows(1)), lambda _, b: b, extra=bomb(193 << 20)), "too large"),
        (rewritten(as_xlsx(rows(1)), lambda _, b: b, extra=bomb(40 << 20)), "times its size"),
        (
            rewritten(as_xlsx(rows(1)), lambda _, b: b, extra=[("xl/vbaProject.bin", b"x")]),
            "macros",
        ),
        (
            rewritten(
                as_xlsx(rows(1)),
                lambda n, b: (
                    b.replace(b"spreadsheetml.sheet.main", b"sheet.macroEnabled.main")
                    if n == "[Content_Types].xml"
                    else b
                ),
            ),
            "macros",
        ),
        (rewritten(as_xlsx(rows(1)), lambda _, b: b, extra=[("../../etc/x", b"")]), "leads out"),
        (rewritten(as_xlsx(rows(1)), lambda _, b: b, extra=[("/etc/x", b"")]), "leads out"),
        (rewritten(as_xlsx(rows(1)), lambda _, b: b, extra=[("XL/Workbook.xml", b"")]), "twice"),
        (
            rewritten(
                as_xlsx(rows(1)), lambda _, b: b, extra=[(f"xl/{n}", b"") for n in range(1_000)]
            ),
            "entries",
        ),
        (
            rewritten(as_xlsx(rows(1)), lambda n, b: b"<x" if n.endswith("sheet1.xml") else b),
            "damaged",
        ),
    ],
)
def test_workbooks_that_are_none_or_made_to_harm(content, why):
    name, text = detail(content)
    assert name == "FILE_REFUSED"
    assert why in text


def test_entities_do_not_expand():
    """A billion laughs: the parser refuses a document type with entities."""
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'

    def change(name, body):
        if name != "xl/worksheets/sheet1.xml":
            return body
        body = re.sub(rb"^(<\?xml[^>]*>)?", lambda m: m[0] + laughs, body, count=1)
        return body.replace(b"<sheetData>", b"<sheetData><row><c t='str'><v>&b;</v></c></row>")

    assert detail(rewritten(as_xlsx(rows(1)), change))[0] == "FILE_REFUSED"


def test_a_directory_that_lies_is_caught():
    """The sizes in the directory bound what is read; the checksum tells the rest."""
    content = bytearray(as_xlsx(rows(5)))
    at = content.rindex(b"xl/worksheets/sheet1.xml") - 46 + 24
    (size,) = struct.unpack_from("<I", content, at)
    struct.pack_into("<I", content, at, size // 2)
    assert detail(bytes(content))[0] == "FILE_REFUSED"
