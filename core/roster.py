"""Rows of the 《信息收集汇总表》: what a row must be, and what is kept of it.

The ID number is looked at once: it is checked, makes the initial password, and leaves keyed hashes
behind (forbidden numbers, and one that tells that two holders gave the same). Then it is dropped.
All faults of a row are told at once, and a bad row never stops the others.

**Source:** regulation 三.1(2) (the form), 四.3b (initial passwords), 五.2b (forbidden numbers);
GB 11643-1999 (check character, date of birth).
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from core import photos
from core.holders import HolderKind
from core.ids import has_valid_check, initial_password, is_account_no, is_resident_id
from core.passwords import KnownNumbers, forbidden_numbers, id_hash, keyed_hash, query_tag
from core.ports import Person
from core.refusals import Fault, Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.ids import InitialPassword

TEXT_MAX: Final = 64
"""Characters of a name or a class at most."""
CELL_MAX: Final = 1_000
"""Characters of a cell that are looked at; a longer one is a fault of every column."""

_PHONE: Final = re.compile(r"\+?[0-9]{5,15}", re.ASCII)
_OTHER_ID: Final = re.compile(r"[0-9A-Z]{5,15}", re.ASCII)
_OLD_ID: Final = re.compile(r"[0-9]{15}", re.ASCII)
_OTHER_ID_DIGITS: Final = 12
_MOBILE_DIGITS: Final = 11


class Column(StrEnum):
    """Columns that are read; the sheet has more (序号, 性别, 备注), which are not kept."""

    NUMBER = "NUMBER"
    NAME = "NAME"
    CLASS = "CLASS"
    ID = "ID"
    PHONE = "PHONE"
    PHOTO = "PHOTO"


_KEPT: Final = (Column.NUMBER, Column.NAME, Column.CLASS)
HOLDS_ID: Final = "it holds the ID number, which is not kept"

_SHARED: Final = {
    Column.NAME: "姓名",
    Column.ID: "身份证号",
    Column.PHONE: "联系电话",
    Column.PHOTO: "照片文件名",
}
HEADINGS: Final = {
    HolderKind.STUDENT: {Column.NUMBER: "学号", Column.CLASS: "班级"} | _SHARED,
    HolderKind.STAFF: {Column.NUMBER: "工号", Column.CLASS: "部门"} | _SHARED,
}
"""What the columns are called, per kind of holder."""
REQUIRED: Final = (Column.NUMBER, Column.NAME, Column.CLASS)


class Odd(StrEnum):
    """A cell that is no text."""

    NUMBER = "NUMBER"
    FORMULA = "FORMULA"
    DATE = "DATE"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class OddCell:
    """A cell of a spreadsheet that is no text: what it is, as shown, and where, as ``B7``."""

    kind: Odd
    text: str
    place: str


Cell = str | OddCell


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an import is of.

    Attributes:
        kind: STUDENT or STAFF.
        class_name: only this class; empty: all.
        classes: classes the caller may bring; None: all.
        rule: initial password of an ID number ending in X.
        key: 32 bytes, the server's own for passwords.
    """

    kind: HolderKind
    class_name: str = ""
    classes: frozenset[str] | None = None
    rule: InitialPassword
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRow:
    """A row as checked: with faults it is refused; without it has a person and a password."""

    line: int
    account_no: str
    person: Person | None = None
    password: str = field(default="", repr=False)
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def find_columns(cells: Sequence[Cell], kind: HolderKind) -> dict[Column, int] | None:
    """Read a row as the heading.

    Returns:
        Where each column stands; None: it is no heading, it lacks one of ``REQUIRED``.

    Raises:
        Refusal: FILE_REFUSED, a heading stands there twice.
    """
    texts = [
        unicodedata.normalize("NFC", cell).strip() if isinstance(cell, str) else ""
        for cell in cells
    ]
    found = {}
    for column, heading in HEADINGS[kind].items():
        places = [place for place, text in enumerate(texts) if text == heading]
        if len(places) > 1:
            raise Refusal("FILE_REFUSED", rule="COLUMNS", detail=f"{heading} x{len(places)}")
        if places:
            found[column] = places[0]
    return found if all(column in found for column in REQUIRED) else None


def read_field(field_name: str, column: Column, text: str) -> str:
    """Read one value as a row's cell is read.

    Args:
        field_name: as in the proto.
        column: NAME, CLASS or PHONE.
        text: as sent.

    Raises:
        Refusal: FIELD_INVALID.
    """
    try:
        return _READERS[column](text.strip())
    except _BadCellError as bad:
        raise invalid(field_name, bad.detail or "not empty") from None


class RosterCheck:
    """Checks the rows of one file, in order; it remembers what may stand there once only.

    Args:
        wanted: what the import is of.
        columns: from ``find_columns``.
    """

    def __init__(self, wanted: Wanted, columns: dict[Column, int]) -> None:
        self._wanted = wanted
        self._columns = columns
        self._headings = HEADINGS[wanted.kind]
        self._lines: dict[str, int] = {}
        self._ids: dict[bytes, str] = {}

    def check(self, line: int, cells: Sequence[Cell]) -> CheckedRow | None:
        """Check one row.

        Args:
            line: of the file, for people.
            cells: as read; too few are as good as empty ones.

        Returns:
            The checked row; None: nothing stands in any column that is read.
        """
        raw = {column: self._cell(cells, column) for column in self._columns}
        if not any(isinstance(cell, OddCell) or cell for cell in raw.values()):
            return None
        values, faults = {}, []
        for column, cell in raw.items():
            try:
                values[column] = _READERS[column](self._text(column, cell))
            except _BadCellError as bad:
                faults.append(self._fault(column, bad))
        faults += self._take_id_out(values)
        account_no = values.get(Column.NUMBER, "")
        faults += self._place_faults(line, account_no, values.get(Column.CLASS))
        if faults:
            return CheckedRow(line=line, account_no=account_no, faults=tuple(faults))
        return self._row(line, values)

    def _cell(self, cells: Sequence[Cell], column: Column) -> Cell:
        place = self._columns[column]
        cell = cells[place] if place < len(cells) else ""
        return cell.strip() if isinstance(cell, str) else cell

    def _text(self, column: Column, cell: Cell) -> str:
        if isinstance(cell, OddCell):
            whole = cell.kind is Odd.NUMBER and cell.text.isascii() and cell.text.isdigit()
            if whole and (column not in _NUMBERED or _is_mobile(column, cell.text)):
                return cell.text
            raise _BadCellError("ROW_CELL", _ODD_HINTS[cell.kind], cell=cell.place)
        if len(cell) > CELL_MAX:
            raise _BadCellError("ROW_FIELD_FORM", f"at most {CELL_MAX} characters")
        return cell

    def _fault(self, column: Column, bad: _BadCellError) -> Fault:
        metadata: dict[str, str | int] = {"detail": bad.detail} if bad.detail else {}
        if bad.cell:
            metadata["cell"] = bad.cell
        return Fault(bad.reason, self._headings[column], metadata)

    def _take_id_out(self, values: dict[Column, str]) -> list[Fault]:
        """Refuse columns that hold the row's ID number: what they hold is kept, and it never is."""
        number = values.get(Column.ID, "")
        found = []
        for column in _KEPT:
            if holds_id(values.get(column, ""), number):
                del values[column]
                found.append(self._fault(column, _BadCellError("ROW_FIELD_FORM", HOLDS_ID)))
        return found

    def _place_faults(self, line: int, account_no: str, class_name: str | None) -> list[Fault]:
        """Refuse numbers that came before, and rows of classes that were not asked for."""
        faults = []
        if account_no:
            first = self._lines.setdefault(account_no, line)
            if first != line:
                heading = self._headings[Column.NUMBER]
                faults.append(Fault("ROW_DUPLICATE", heading, {"line": first}))
        heading = self._headings[Column.CLASS]
        wanted = self._wanted
        if class_name is not None and wanted.class_name and class_name != wanted.class_name:
            faults.append(Fault("ROW_CLASS_OTHER", heading, {"class": wanted.class_name}))
        if (
            class_name is not None
            and wanted.classes is not None
            and class_name not in wanted.classes
        ):
            faults.append(Fault("NOT_YOUR_CLASS", heading))
        return faults

    def _row(self, line: int, values: dict[Column, str]) -> CheckedRow:
        account_no, name = values[Column.NUMBER], values[Column.NAME]
        person, password = derive_person(
            account_no=account_no,
            name=name,
            class_name=values[Column.CLASS],
            phone=values.get(Column.PHONE, ""),
            id_number=values.get(Column.ID, ""),
            rule=self._wanted.rule,
            key=self._wanted.key,
        )
        return CheckedRow(
            line=line,
            account_no=account_no,
            person=person,
            password=password,
            warnings=(*self._shared_id(person, account_no), *self._photo(values, name, account_no)),
        )

    def _shared_id(self, person: Person, account_no: str) -> list[Fault]:
        if not person.id_hash:
            return []
        first = self._ids.setdefault(person.id_hash, account_no)
        return [] if first == account_no else [shared_id(self._wanted.kind, first)]

    def _photo(self, values: dict[Column, str], name: str, account_no: str) -> list[Fault]:
        if Column.PHOTO not in self._columns:
            return []
        given = values[Column.PHOTO]
        if given and photos.stem_of(given) == photos.stem_for(name, account_no):
            return []
        heading = self._headings[Column.PHOTO]
        return [Fault("ROW_PHOTO_NAME" if given else "ROW_PHOTO_MISSING", heading)]


def holds_id(text: str, id_number: str) -> bool:
    """Tell whether a text that will be kept holds an ID number, upper case, which never is."""
    return bool(id_number) and id_number in text.upper()


def derive_person(
    *,
    account_no: str,
    name: str,
    class_name: str,
    phone: str = "",
    id_number: str,
    rule: InitialPassword,
    key: bytes,
) -> tuple[Person, str]:
    """Derive everything an ID number is needed for; then it is to be dropped.

    Args:
        account_no: as printed.
        name: of the holder.
        class_name: or department.
        phone: digits; empty where not known.
        id_number: checked, upper case; empty where there is none.
        rule: initial password of an ID number ending in X.
        key: 32 bytes, the server's own for passwords.

    Returns:
        The person with keyed hashes, and the initial password of both kinds.

    **Source:** regulation 四.3b, 五.2b; D4.
    """
    password = initial_password(id_number, rule)
    known = KnownNumbers(
        account_no=account_no,
        phone=phone,
        id_number=id_number if _is_id_card(id_number) else "",
        birth_date=birth_date(id_number),
    )
    hashes = sorted(keyed_hash(key, account_no, text) for text in forbidden_numbers(known))
    person = Person(
        name=name,
        class_name=class_name,
        phone=phone,
        id_hash=id_hash(key, id_number) if id_number else b"",
        weak_hashes=tuple(hashes),
        query_tag=query_tag(key, account_no, password),
    )
    return person, password


def shared_id(kind: HolderKind, account_no: str) -> Fault:
    """Return the warning that another holder gave the same ID number."""
    return Fault("ROW_ID_SHARED", HEADINGS[kind][Column.ID], {"account": account_no})


def birth_date(id_number: str) -> dt.date | None:
    """Return the date of birth inside a resident ID number of 18 or 15 characters."""
    if is_resident_id(id_number):
        digits = id_number[6:14]
    elif _OLD_ID.fullmatch(id_number):
        digits = "19" + id_number[6:12]
    else:
        return None
    try:
        return dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


class _BadCellError(Exception):
    def __init__(self, reason: str, detail: str = "", *, cell: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail, self.cell = reason, detail, cell


_NUMBERED: Final = frozenset({Column.NUMBER, Column.ID, Column.PHONE})
_ODD_HINTS: Final = {
    Odd.NUMBER: "a number: format the column as text and enter it again, leading zeros and digits"
    " after the 15th are lost",
    Odd.FORMULA: "a formula without a value: open and save the file, or paste values",
    Odd.DATE: "a date: format the column as text",
    Odd.ERROR: "an error value",
}


def _is_mobile(column: Column, digits: str) -> bool:
    """A mobile number cannot have lost a zero."""
    return column is Column.PHONE and len(digits) == _MOBILE_DIGITS and digits[0] == "1"


def _is_id_card(text: str) -> bool:
    return is_resident_id(text) or _OLD_ID.fullmatch(text) is not None


def _account_no(text: str) -> str:
    if not text:
        raise _BadCellError("ROW_FIELD_MISSING")
    if not is_account_no(text):
        raise _BadCellError("ROW_FIELD_FORM", "1 to 20 ASCII letters and digits")
    return text


def _name(text: str) -> str:
    text = _printable(text)
    if not unicodedata.category(text[0]).startswith("L"):
        raise _BadCellError("ROW_FIELD_FORM", "begins with a letter")
    return text


def _class(text: str) -> str:
    return _printable(text)


def _printable(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if not text:
        raise _BadCellError("ROW_FIELD_MISSING")
    if len(text) > TEXT_MAX:
        raise _BadCellError("ROW_FIELD_FORM", f"at most {TEXT_MAX} characters")
    if not text.isprintable():
        raise _BadCellError("ROW_FIELD_FORM", "no control characters")
    return text


def _id_number(text: str) -> str:
    """Read an ID number of any kind; what looks like a resident's must be a right one."""
    text = text.upper()
    if not text:
        return ""
    if is_resident_id(text):
        if not has_valid_check(text):
            raise _BadCellError("ROW_ID_CHECK")
    elif not _OTHER_ID.fullmatch(text) or (
        text.isdigit() and len(text) > _OTHER_ID_DIGITS and not _OLD_ID.fullmatch(text)
    ):
        raise _BadCellError("ROW_FIELD_FORM", "18 or 15 characters of an ID card, or a passport")
    if _is_id_card(text) and birth_date(text) is None:
        raise _BadCellError("ROW_FIELD_FORM", "no date of birth in it")
    return text


def _phone(text: str) -> str:
    text = text.replace("-", "").replace(" ", "")
    if text and not _PHONE.fullmatch(text):
        raise _BadCellError("ROW_FIELD_FORM", "5 to 15 digits")
    return text.removeprefix("+")


def _photo(text: str) -> str:
    return text


_READERS: Final[dict[Column, Callable[[str], str]]] = {
    Column.NUMBER: _account_no,
    Column.NAME: _name,
    Column.CLASS: _class,
    Column.ID: _id_number,
    Column.PHONE: _phone,
    Column.PHOTO: _photo,
}
