"""What a person or a script sees: two languages, tables or JSON, documented exit codes.

Exit codes::

    0    done (a payment: approved)
    1    refused: the server said no, and nothing changed
    2    the command line was wrong
    3    the server could not be reached, or did not answer in time
    4    a check found something wrong (verify, doctor, config check)
    5    something on this machine prevents it: a file, a port, a directory
    130  interrupted
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.money import format_yuan


class Exit(IntEnum):
    """Exit codes, see the module."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    CHECK_FAILED = 4
    LOCAL = 5
    INTERRUPTED = 130


class Output(StrEnum):
    """Form of what a command prints."""

    TEXT = "text"
    JSON = "json"


class Failure(Exception):
    """A command ends here: what happened, what to do next, and the exit code.

    ``told``: the JSON that was printed says it already, and there is only one to print.
    """

    def __init__(
        self,
        text: str,
        *,
        code: Exit = Exit.REFUSED,
        step: str = "",
        reason: str = "",
        told: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.step = step
        self.reason = reason
        self.told = told


def _language(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Choose zh or en: ``--lang`` before everything, then LC_ALL, LC_MESSAGES, LANG."""
    for index, argument in enumerate(arguments):
        if argument == "--lang" and index + 1 < len(arguments):
            return "zh" if arguments[index + 1].startswith("zh") else "en"
        if argument.startswith("--lang="):
            return "zh" if argument.removeprefix("--lang=").startswith("zh") else "en"
    for name in ("CAMPUSCARD_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return "zh" if environment[name].startswith("zh") else "en"
    return "en"


# Help texts are built when modules are imported, so the language has to be known before.
LANGUAGE: Final = _language(sys.argv[1:], os.environ)

# Where nobody looks, nothing has to be cut to fit a window.
screen: Final = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
notes: Final = Console(stderr=True, highlight=False, soft_wrap=True)


def tr(zh: str, en: str) -> str:
    """Return the text in the language of the person."""
    return zh if LANGUAGE == "zh" else en


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help=tr("text 或 json。", "text or json."))
]


def yuan(fen: int) -> str:
    """Write an amount for people: ``¥12.50``."""
    return f"-¥{format_yuan(-fen)}" if fen < 0 else f"¥{format_yuan(fen)}"


def print_json(value: Any) -> None:
    """Print one JSON value on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table; cells are plain text, never markup."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    screen.print(table)


def print_fields(fields: Mapping[str, str], *, title: str = "") -> None:
    """Print name and value pairs, aligned."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in fields.items():
        table.add_row(Text(name), Text(value))
    if title:
        screen.print(Text(title, style="bold"))
    screen.print(table)


def done(text: str) -> None:
    """Print one line of success."""
    screen.print(Text.assemble(("✓ ", "green"), text))


def note(text: str) -> None:
    """Print one line beside the result, on standard error."""
    notes.print(Text(text))


def show_failure(failure: Failure) -> None:
    """Print why a command ended, and the next step, on standard error."""
    notes.print(Text.assemble(("✗ ", "red"), failure.text))
    if failure.step:
        notes.print(Text(f"  {failure.step}"))
