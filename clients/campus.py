"""The files a campus is set up from: rosters, cards, merchants, terminals, rules.

CSV files are read as UTF-8 (with or without a byte order mark) or GBK, whichever fits. A row that
cannot be read becomes a ``Fault`` with its line, and the rows around it are read all the same.
Whether a value is allowed is for the server to say; here only the form is looked at.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from core.money import parse_yuan

YES: Final = frozenset({"是", "有", "yes", "y", "true", "1"})
KEYS: Final = ("学号", "工号", "学工号", "终端号", "商户号")
NO: Final = frozenset({"否", "无", "no", "n", "false", "0", ""})


class FileFormatError(Exception):
    """A file cannot be used at all: missing, unreadable, or without a column it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a row stands, for the person who has to correct it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row that was left out, and why."""

    source: Source
    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A row of a student or staff information sheet."""

    source: Source
    account_no: str
    name: str
    group: str  # class or department
    id_number: str
    staff: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A row of the card production list."""

    source: Source
    account_no: str
    uid: bytes
    opening_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantRow:
    """A merchant to create."""

    source: Source
    merchant_id: str
    name: str
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalRow:
    """A terminal to create."""

    source: Source
    terminal_id: str
    merchant_id: str
    keypad: bool
    max_amount_fen: int
    place: str


Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[Row]):
    """The rows of a file and the faults in it."""

    rows: list[Row]
    faults: list[Fault]


def read_roster(path: Path) -> Table[Person]:
    """Read a student sheet (学号, 姓名, 班级, 身份证号 …) or a staff sheet (工号, …, 部门 …)."""

    def person(cells: Mapping[str, str], source: Source) -> Person:
        staff = "工号" in cells
        return Person(
            source=source,
            account_no=_need(cells, "工号" if staff else "学号"),
            name=_need(cells, "姓名"),
            group=cells["部门" if staff else "班级"],
            id_number=cells["身份证号"],
            staff=staff,
        )

    return _read(
        path, ({"学号", "姓名", "班级", "身份证号"}, {"工号", "姓名", "部门", "身份证号"}), person
    )


def read_cards(path: Path) -> Table[Card]:
    """Read a card production list: 学工号, 卡片UID (hexadecimal), and if there 开户充值(元).

    A row that repeats the account or the UID of a row before it is a fault.
    """
    lines: dict[str | bytes, int] = {}

    def card(cells: Mapping[str, str], source: Source) -> Card:
        try:
            uid = bytes.fromhex(_need(cells, "卡片UID"))
        except ValueError as error:
            raise ValueError(f"卡片UID: {cells['卡片UID']!r} is not hexadecimal") from error
        account_no = _need(cells, "学工号")
        for column, key in (("学工号", account_no), ("卡片UID", uid)):
            if key in lines:
                raise ValueError(f"{column}: the same as in line {lines[key]}")
        lines.update({account_no: source.line, uid: source.line})
        return Card(
            source=source,
            account_no=account_no,
            uid=uid,
            opening_fen=_fen(cells.get("开户充值(元)", "")),
        )

    return _read(path, ({"学工号", "卡片UID"},), card)


def read_merchants(path: Path) -> Table[MerchantRow]:
    """Read merchants: 商户号, 名称, 类别 (CANTEEN, SHOP, WATER, BATH, UTILITY, ACCESS)."""
    return _read(
        path,
        ({"商户号", "名称", "类别"},),
        lambda cells, source: MerchantRow(
            source=source,
            merchant_id=_need(cells, "商户号"),
            name=_need(cells, "名称"),
            category=_need(cells, "类别").upper(),
        ),
    )


def read_terminals(path: Path) -> Table[TerminalRow]:
    """Read terminals: 终端号, 商户号, 密码键盘 (是/否), 单笔上限(元), 位置."""
    return _read(
        path,
        ({"终端号", "商户号", "密码键盘", "单笔上限(元)", "位置"},),
        lambda cells, source: TerminalRow(
            source=source,
            terminal_id=_need(cells, "终端号"),
            merchant_id=_need(cells, "商户号"),
            keypad=_yes(cells["密码键盘"]),
            max_amount_fen=_fen(cells["单笔上限(元)"]),
            place=cells["位置"],
        ),
    )


def read_rules(path: Path) -> dict[str, Any]:
    """Read rules.toml as it stands; amounts are text in yuan."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileFormatError(f"{path}: {error}") from error


def decode(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark, or else GBK.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030")


def _read(
    path: Path,
    columns: Sequence[set[str]],
    make: Callable[[Mapping[str, str], Source], Row],
) -> Table[Row]:
    try:
        text = decode(path.read_bytes())
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: neither UTF-8 nor GBK") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [cell.strip() for cell in next(reader, [])]
    if not any(wanted <= set(header) for wanted in columns):
        wanted_text = " / ".join("、".join(sorted(wanted)) for wanted in columns)
        raise FileFormatError(f"{path}: the first line must name the columns {wanted_text}")
    table: Table[Row] = Table(rows=[], faults=[])
    lines = iter(reader)
    while True:
        source = Source(file=path.name, line=reader.line_num + 1)
        try:
            cells = next(lines)
        except StopIteration:
            return table
        except csv.Error as error:
            table.faults.append(Fault(source=source, key="", reason=str(error)))
            continue
        if any(cell.strip() for cell in cells):
            _take(table, header, cells, source, make)


def _take(
    table: Table[Row],
    header: Sequence[str],
    cells: Sequence[str],
    source: Source,
    make: Callable[[Mapping[str, str], Source], Row],
) -> None:
    named = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    key = next((named[name] for name in KEYS if named.get(name)), "")
    if len(cells) != len(header):
        reason = f"{len(cells)} columns instead of {len(header)}"
        table.faults.append(Fault(source=source, key=key, reason=reason))
        return
    try:
        table.rows.append(make(named, source))
    except ValueError as error:
        table.faults.append(Fault(source=source, key=key, reason=str(error)))


def _need(cells: Mapping[str, str], column: str) -> str:
    if not cells[column]:
        raise ValueError(f"{column} is empty")
    return cells[column]


def _fen(text: str) -> int:
    return parse_yuan(text) if text else 0


def _yes(text: str) -> bool:
    word = text.lower()
    if word not in YES | NO:
        raise ValueError(f"{text!r} is neither 是 nor 否")
    return word in YES
