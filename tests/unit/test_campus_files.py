"""Reading the files a campus is set up from: what is wrong is named, the rest is read."""

from pathlib import Path

import pytest

from clients.campus import (
    FileFormatError,
    read_cards,
    read_merchants,
    read_roster,
    read_rules,
    read_terminals,
)

DEMO = Path(__file__).resolve().parents[2] / "demo"
ROSTER = "序号,学号,姓名,性别,班级,身份证号,联系电话,照片文件名,备注\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_a_roster_reads_the_same_in_every_encoding(tmp_path, encoding):
    path = tmp_path / "roster.csv"
    path.write_bytes((DEMO / "roster.csv").read_text(encoding="utf-8").encode(encoding))
    table = read_roster(path)
    assert table.faults == []
    assert len(table.rows) == 5000
    assert table.rows[0].name == "测试乙子"
    assert table.rows == read_roster(DEMO / "roster.csv").rows


def test_staff_sheets_are_recognised_by_their_columns():
    table = read_roster(DEMO / "staff.csv")
    assert len(table.rows) == 300
    assert all(person.staff for person in table.rows)


def test_the_other_files_read_whole():
    assert len(read_cards(DEMO / "cards.csv").rows) == 5300
    assert len(read_merchants(DEMO / "merchants.csv").rows) == 40
    terminals = read_terminals(DEMO / "terminals.csv")
    assert len(terminals.rows) == 305
    assert {row.keypad for row in terminals.rows} == {True, False}
    assert read_rules(DEMO / "rules.toml")["limits"]["day"] == "100.00"


def test_a_bad_row_is_named_and_the_rest_is_read(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text(
        ROSTER
        + "1,200571020316,测试甲,男,1班,,,,\n"
        + "2,,测试乙,男,1班,,,,\n"
        + "\n"
        + "3,200571020318,测试丙\n"
        + "4,200571020319,测试丁,女,1班,,,,\n",
        encoding="utf-8",
    )
    table = read_roster(path)
    assert [person.account_no for person in table.rows] == ["200571020316", "200571020319"]
    assert [(fault.source.line, fault.reason) for fault in table.faults] == [
        (3, "学号 is empty"),
        (5, "3 columns instead of 9"),
    ]


def test_amounts_are_text_and_never_rounded(tmp_path):
    path = tmp_path / "cards.csv"
    path.write_text(
        "学工号,卡片UID,开户充值(元)\n1,04AA,10.5\n2,04AB,10.505\n3,04AC,\n4,XY,1\n",
        encoding="utf-8",
    )
    table = read_cards(path)
    assert [(card.account_no, card.opening_fen) for card in table.rows] == [("1", 1050), ("3", 0)]
    assert [fault.source.line for fault in table.faults] == [3, 5]


def test_a_card_list_names_an_account_or_uid_once(tmp_path):
    path = tmp_path / "cards.csv"
    path.write_text("学工号,卡片UID\n1,04AA\n2,04AB\n1,04AC\n3,04ab\n", encoding="utf-8")
    table = read_cards(path)
    assert [card.account_no for card in table.rows] == ["1", "2"]
    assert [(fault.source.line, fault.reason) for fault in table.faults] == [
        (4, "学工号: the same as in line 2"),
        (5, "卡片UID: the same as in line 3"),
    ]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xff\xff\xff,\x81\n"])
def test_a_file_without_its_columns_is_refused(tmp_path, content):
    path = tmp_path / "roster.csv"
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        read_roster(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"none\.csv"):
        read_roster(tmp_path / "none.csv")
