"""Reading a roster's file: CSV in UTF-8 or GBK, or the first sheet of an .xlsx workbook.

Runs in a worker process (``server/workers.py``), never in the server's own: a hostile file can at
worst end its worker. The whole file is read and checked before anything of it is written.

**Source:** regulation 三.1(2); RFC 4180 (CSV), GB 18030, ECMA-376 (workbooks).
"""

from __future__ import annotations

import csv
import io
import itertools
import pickle
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.refusals import Refusal
from core.roster import HEADINGS, CheckedRow, Odd, OddCell, RosterCheck, Wanted, find_columns
from server.zip_files import Bounds, entry_fault, entry_name, open_zip, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.roster import Cell

FILE_BYTES_MAX: Final = 32 << 20
"""Bytes of a roster's file at most."""
CHUNK_ROWS: Final = 32
"""Rows of one chunk of the result."""
HEADING_ROWS: Final = 10
"""Rows in which the heading is looked for: sheets begin with a title."""
COLUMNS_MAX: Final = 40
"""Columns that are looked at."""
SHEET_ROWS_MAX: Final = 1_048_576
"""Rows of a sheet at most, ECMA-376; numbers of rows may skip, so that a small file has them all."""

_WORKBOOK: Final = Bounds(entries=1_000, directory_bytes=1 << 20)
_UNPACKED_MAX: Final = 192 << 20
_RATIO_MAX: Final = 200
_SMALL: Final = 1 << 20  # an entry this small is no bomb, whatever its ratio
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP: Final = b"PK\x03\x04"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_FORMULA: Final = (b"<f>", b"<f ", b"<f/")
_SCAN_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRoster:
    """A roster as read and checked.

    ``chunks`` are pickled lists of ``CheckedRow``, at most ``CHUNK_ROWS`` each, so that nobody has to
    unpack all of them at once.
    """

    rows: int
    refused: int
    chunks: tuple[bytes, ...]


def read_roster(
    content: bytes, wanted: Wanted, rows_max: int
) -> ReadRoster | tuple[str, dict[str, Any]]:
    """Read and check a whole file.

    Args:
        content: of the file.
        wanted: what the import is of.
        rows_max: parameter ``import_rows_max``.

    Returns:
        The rows; or the name and metadata of the refusal of the whole file, which has to travel
        between processes.
    """
    try:
        return _read(content, wanted, rows_max)
    except Refusal as refusal:
        return refusal.reason.name, refusal.metadata
    except MemoryError:
        return "FILE_REFUSED", {"detail": "too large to be read"}


def _read(content: bytes, wanted: Wanted, rows_max: int) -> ReadRoster:
    lines = _lines(content)
    check = _checker(lines, wanted)
    chunks: list[bytes] = []
    rows: list[CheckedRow] = []
    count = faulty = 0
    for line, cells in lines:
        row = check.check(line, cells)
        if row is None:
            continue
        count += 1
        faulty += bool(row.faults)
        if count > rows_max:
            raise Refusal("ROSTER_TOO_LONG", rows=rows_max)
        rows.append(row)
        if len(rows) == CHUNK_ROWS:
            chunks.append(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL))
            rows = []
    if rows:
        chunks.append(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL))
    if not count:
        raise refused("no row under the heading")
    return ReadRoster(rows=count, refused=faulty, chunks=tuple(chunks))


def _checker(lines: Iterator[tuple[int, Sequence[Cell]]], wanted: Wanted) -> RosterCheck:
    for _, (_, cells) in zip(range(HEADING_ROWS), lines, strict=False):
        columns = find_columns(cells, wanted.kind)
        if columns is not None:
            return RosterCheck(wanted, columns)
    names = "、".join(HEADINGS[wanted.kind].values())
    raise refused(f"no heading with {names} in the first {HEADING_ROWS} rows")


def _lines(content: bytes) -> Iterator[tuple[int, Sequence[Cell]]]:
    """Tell the kind of a file by its content, never by its name."""
    if content.startswith(_OLE):
        raise refused("an old or encrypted Excel file: save it as .xlsx without a password")
    if content.startswith(_ZIP):
        return _sheet_lines(content)
    if content.startswith(_UTF16):
        raise refused("UTF-16 text: save it as CSV UTF-8")
    if b"\0" in content:
        raise refused("neither CSV nor .xlsx")
    return _csv_lines(_decoded(content))


# ---- CSV ----


def _decoded(content: bytes) -> str:
    """Decode as UTF-8, else as GB 18030, which GBK and GB 2312 are part of; both strictly."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise refused("neither UTF-8 nor GBK text")


def _csv_lines(text: str) -> Iterator[tuple[int, Sequence[Cell]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    first = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise refused(f"line {first}: no CSV ({error})") from error
        yield first, cells[:COLUMNS_MAX]
        first = reader.line_num + 1


# ---- workbooks ----


def _sheet_lines(content: bytes) -> Iterator[tuple[int, Sequence[Cell]]]:
    with open_zip(io.BytesIO(content), _WORKBOOK) as archive:
        _check_workbook(archive)
        try:
            formulas = _has_formulas(archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
            raise refused("a damaged workbook") from error
    return _cells(content, formulas=formulas)


def _check_workbook(archive: zipfile.ZipFile) -> None:
    """Refuse what is no plain workbook, before a parser sees it."""
    total, names = 0, set[str]()
    for info in archive.infolist():
        name = entry_name(info)
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise refused(f"a path that leads out of the file: {name[:40]!r}")
        if name.lower() in names:
            raise refused(f"{name[:40]!r} twice")
        names.add(name.lower())
        ratio = _RATIO_MAX if info.file_size > _SMALL else _SMALL
        fault = entry_fault(info, bytes_max=_UNPACKED_MAX, ratio_max=ratio)
        total += info.file_size
        if fault or total > _UNPACKED_MAX:
            raise refused(f"a workbook that is too large or packed: {fault or 'all together'}")
    if any(name.endswith("vbaproject.bin") for name in names):
        raise refused("a workbook with macros: save it as .xlsx")
    if "xl/workbook.xml" not in names or "[content_types].xml" not in names:
        raise refused("no Excel workbook (.xlsx)")


def _has_formulas(archive: zipfile.ZipFile) -> bool:
    """Tell whether any sheet has a formula: only then it is worth to read the file twice.

    Macros are refused here too, by the type the workbook gives itself.
    """
    for info in archive.infolist():
        if info.filename.lower() == "[content_types].xml":
            if b"macroenabled" in archive.read(info).lower():
                raise refused("a workbook with macros: save it as .xlsx")
            continue
        if not info.filename.startswith("xl/worksheets/"):
            continue
        tail = b""
        with archive.open(info) as sheet:
            while piece := sheet.read(_SCAN_BYTES):
                if any(mark in tail + piece for mark in _FORMULA):
                    return True
                tail = piece[-3:]
    return False


def _cells(content: bytes, *, formulas: bool) -> Iterator[tuple[int, Sequence[Cell]]]:
    # Only workers read workbooks: the server does not carry their reader in memory.
    from openpyxl import load_workbook  # noqa: PLC0415
    from openpyxl.cell.read_only import EmptyCell  # noqa: PLC0415
    from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415

    def sheet(*, values: bool) -> Any:
        workbook = load_workbook(
            io.BytesIO(content), read_only=True, data_only=values, keep_links=False
        )
        first = workbook.worksheets[0]
        first.reset_dimensions()
        return first.iter_rows(max_col=COLUMNS_MAX)

    nothing = {EmptyCell}  # rows that are not there, maybe a million of them
    try:
        shown = sheet(values=True)
        written = sheet(values=False) if formulas else None
        for line, row in enumerate(itertools.islice(shown, SHEET_ROWS_MAX), start=1):
            formula_row = next(written) if written is not None else ()
            if set(map(type, row)) == nothing:
                continue
            yield line, [_cell(cell, line, place, formula_row) for place, cell in enumerate(row)]
    except (Refusal, MemoryError):
        raise
    except InvalidFileException as error:
        raise refused("no Excel workbook (.xlsx)") from error
    except Exception as error:
        # Whatever a parser of XML and workbooks trips over is the file's fault.
        raise refused(f"a damaged workbook ({type(error).__name__})") from error


def _cell(cell: Any, line: int, place: int, formula_row: Sequence[Any]) -> Cell:
    value = cell.value
    if value is None:
        written = formula_row[place] if place < len(formula_row) else None
        if written is not None and written.data_type == "f":
            return OddCell(Odd.FORMULA, "", _place(line, place))
        return ""
    if isinstance(value, str):
        return OddCell(Odd.ERROR, value, _place(line, place)) if cell.data_type == "e" else value
    if isinstance(value, bool):
        return OddCell(Odd.ERROR, str(value), _place(line, place))
    if isinstance(value, int | float):
        whole = isinstance(value, int) or value.is_integer()
        text = str(int(value)) if whole else repr(value)
        return OddCell(Odd.NUMBER, text, _place(line, place))
    return OddCell(Odd.DATE, str(value), _place(line, place))


def _place(line: int, column: int) -> str:
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(65 + letter) + letters
    return f"{letters}{line}"
