"""Makes the demo campus: 5,000 students, 300 staff, their cards, 40 merchants, 305 terminals.

    python demo/generate.py [DIRECTORY]      default: this directory

The same seed gives the same bytes; the result is committed beside this file. Nobody in it exists:
names begin with 测试 or 示例, ID numbers carry the region 990000, which no authority issues, telephone
numbers begin with 000. Check characters, lengths and name forms are right, so that everything that
looks at them has something to look at.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.ids import check_character

SEED: Final = 20231207
REGION: Final = "990000"
GRADES: Final = (2023, 2024, 2025, 2026)
STUDENTS: Final = 5_000
STAFF: Final = 300
CLASS_SIZE: Final = 45
MAJORS: Final = (
    ("7101", "软件技术"),
    ("7102", "计算机应用"),
    ("7103", "电子信息"),
    ("7201", "机电一体化"),
    ("7202", "汽车检测"),
    ("7301", "会计"),
    ("7302", "电子商务"),
    ("7401", "学前教育"),
    ("7501", "护理"),
)
DEPARTMENTS: Final = (
    "教务处",
    "学生处",
    "财务室",
    "院务办公室",
    "后勤处",
    "图书馆",
    "信息中心",
    "各系教师",
)
STEMS: Final = "甲乙丙丁戊己庚辛壬癸"
BRANCHES: Final = "子丑寅卯辰巳午未申酉戌亥"
MARKS: Final = ("", "一", "二", "三", "四", "五", "六", "七", "八", "九")

# id, category, terminals' letters, merchants, terminals each, keypad, name, place
OTHER_MERCHANTS: Final = (
    ("shop", "SHOP", "SHOP", 4, 6, True, "校园超市{}店", "生活区{}号楼"),
    ("water", "WATER", "W", 4, 6, False, "{}栋热水", "学生宿舍{}栋"),
    ("bath", "BATH", "B", 3, 6, False, "{}区浴室", "{}区浴室"),
    ("power", "UTILITY", "U", 3, 4, True, "{}区宿舍水电", "{}区值班室"),
    ("gate", "ACCESS", "G", 1, 4, False, "校门出入口", "校门"),
    ("tryout", "CANTEEN", "COUNTER", 1, 1, True, "体验窗口", "5号楼2楼"),
)

ROSTER_COLUMNS: Final = (
    "序号",
    "学号",
    "姓名",
    "性别",
    "班级",
    "身份证号",
    "联系电话",
    "照片文件名",
    "备注",
)
STAFF_COLUMNS: Final = (
    "序号",
    "工号",
    "姓名",
    "性别",
    "部门",
    "身份证号",
    "联系电话",
    "照片文件名",
    "备注",
)
CARD_COLUMNS: Final = ("学工号", "卡片UID", "开户充值(元)")
MERCHANT_COLUMNS: Final = ("商户号", "名称", "类别")
TERMINAL_COLUMNS: Final = ("终端号", "商户号", "密码键盘", "单笔上限(元)", "位置")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """A merchant, the letters its terminals begin with, how many and where."""

    merchant_id: str
    name: str
    category: str
    prefix: str
    terminals: int
    keypad: bool = True
    place: str = ""


def merchants() -> list[Merchant]:
    """40 merchants in order of trade: the first sells most (Zipf), so it has most terminals."""
    canteens = (35, 24, 20, 16, 14, 12, 10, 9, 8, 8, 7, 7, 6, 6, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3)
    rows = []
    for number, terminals in enumerate(canteens, start=1):
        hall = f"第{'一二三'[(number - 1) % 3]}食堂"
        rows.append(
            Merchant(
                merchant_id=f"canteen-{number}",
                name=f"{hall}{number}号档口",
                category="CANTEEN",
                prefix="POS",
                terminals=terminals,
                place=hall,
            )
        )
    for word, category, prefix, count, terminals, keypad, title, place in OTHER_MERCHANTS:
        rows += [
            Merchant(
                merchant_id=f"{word}-{number}" if count > 1 else word,
                name=title.format(number),
                category=category,
                prefix=prefix,
                terminals=terminals,
                keypad=keypad,
                place=place.format(number),
            )
            for number in range(1, count + 1)
        ]
    return rows


def terminal_rows(rows: Iterable[Merchant]) -> Iterable[Sequence[str]]:
    """Number each merchant's terminals on, per kind: POS-001, W-001, COUNTER-001."""
    numbers: dict[str, int] = {}
    for merchant in rows:
        for place in range(1, merchant.terminals + 1):
            number = numbers[merchant.prefix] = numbers.get(merchant.prefix, 0) + 1
            yield (
                f"{merchant.prefix}-{number:03d}",
                merchant.merchant_id,
                "是" if merchant.keypad else "否",
                "500.00" if merchant.category in {"CANTEEN", "SHOP"} else "",
                f"{merchant.place}{place}号机",
            )


def id_number(rng: random.Random, birth: dt.date, *, used: set[str]) -> str:
    """Make an ID number that nobody can have, with the right check character, not used yet."""
    while True:
        first = f"{REGION}{birth:%Y%m%d}{rng.randrange(1000):03d}"
        number = first + check_character(first)
        if number not in used:
            used.add(number)
            return number


def birth_date(rng: random.Random, year: int) -> dt.date:
    """Choose a day of a year."""
    return dt.date(year, 1, 1) + dt.timedelta(days=rng.randrange(365))


def name(prefix: str, number: int) -> str:
    """Name the number-th person: 测试甲子, 测试甲丑 … 测试癸亥九; names repeat as real ones do."""
    stem = STEMS[number % len(STEMS)]
    branch = BRANCHES[number // len(STEMS) % len(BRANCHES)]
    mark = MARKS[number // (len(STEMS) * len(BRANCHES)) % len(MARKS)]
    return f"{prefix}{stem}{branch}{mark}"


def roster_rows(rng: random.Random, used: set[str]) -> Iterable[Sequence[str]]:
    """Fill classes of 45, grade by grade; every 40th lacks a photo, every 500th has a passport."""
    classes = [
        (grade, code, major, number)
        for number in (1, 2, 3, 4)
        for code, major in MAJORS
        for grade in GRADES
    ]
    classes = sorted(classes[: -(-STUDENTS // CLASS_SIZE)])
    index = 0
    for grade, code, major, number in classes:
        for seat in range(1, CLASS_SIZE + 1):
            if index == STUDENTS:
                return
            index += 1
            account_no = f"{grade}{code}{number:02d}{seat:02d}"
            person = name("测试", index)
            identity = id_number(rng, birth_date(rng, grade - 19 + rng.randrange(3)), used=used)
            note, photo = "", f"{person}{account_no}.jpg"
            if index % 500 == 0:
                identity, note = f"TEST{index:05d}", "护照"
            elif index % 40 == 0:
                photo, note = "", "照片待补"
            yield (
                str(index),
                account_no,
                person,
                rng.choice("男女"),
                f"{grade}级{major}{number}班",
                identity,
                f"000{index:08d}",
                photo,
                note,
            )


def staff_rows(rng: random.Random, used: set[str]) -> Iterable[Sequence[str]]:
    """Staff with numbers of eight digits: year of entry and running number."""
    for index in range(1, STAFF + 1):
        year = rng.randrange(1998, 2026)
        account_no = f"{year}{index:04d}"
        person = name("示例", index)
        yield (
            str(index),
            account_no,
            person,
            rng.choice("男女"),
            DEPARTMENTS[-1] if rng.random() < 0.7 else rng.choice(DEPARTMENTS[:-1]),
            id_number(rng, birth_date(rng, year - rng.randrange(23, 36)), used=used),
            f"000{90_000_000 + index}",
            f"{person}{account_no}.jpg",
            "",
        )


def card_rows(rng: random.Random, account_nos: Iterable[str]) -> Iterable[Sequence[str]]:
    """One card each: a UID of seven bytes that follows from the number, and the first top-up."""
    for account_no in account_nos:
        digest = hashlib.sha256(f"demo card {account_no}".encode()).hexdigest()
        yield account_no, f"04{digest[:12]}".upper(), f"{rng.randrange(10, 51) * 10}.00"


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file as committed: UTF-8, lines end in LF."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def generate(directory: Path) -> None:
    """Write all files."""
    rng = random.Random(SEED)
    used: set[str] = set()
    students = list(roster_rows(rng, used))
    staff = list(staff_rows(rng, used))
    sellers = merchants()
    write(directory / "roster.csv", ROSTER_COLUMNS, students)
    write(directory / "staff.csv", STAFF_COLUMNS, staff)
    numbers = [row[1] for row in (*students, *staff)]
    write(directory / "cards.csv", CARD_COLUMNS, card_rows(rng, numbers))
    rows = [(merchant.merchant_id, merchant.name, merchant.category) for merchant in sellers]
    write(directory / "merchants.csv", MERCHANT_COLUMNS, rows)
    write(directory / "terminals.csv", TERMINAL_COLUMNS, terminal_rows(sellers))


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
