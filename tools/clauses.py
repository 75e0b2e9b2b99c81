"""The regulation's clauses, and where code and tests name them."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
TABLE: Final = ROOT / "docs" / "regulation.toml"
CODE: Final = ("core", "ext", "server", "clients")
DEMANDED: Final = frozenset({"system", "partly"})
NOTED: Final = frozenset({"partly", "later", "people"})

_MENTION: Final = re.compile(
    r"(?P<article>[一二三四五六七八九]\.\d)"
    r"(?:(?P<letter>[a-z])\b(?:-(?P<last>[a-z])\b)?)?"
    r"(?P<items>(?:\(\d\))*)(?:-\((?P<until>\d)\))?"
    r"(?:\s?[-–—]\s?(?P<to>[一二三四五六七八九]\.\d)(?![(\da-z]))?"
)
_DEFINITION: Final = re.compile(
    r"^(?P<indent>[ ]*)(?:cdef\s+class|class|async\s+def|def|cpdef|cdef)\s[^(:=]*?(?P<name>\w+)\s*[(:]",
    re.MULTILINE,
)
_TEXT: Final = re.compile(r'"""(.*?)"""', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Clause:
    """One row of the table; see its head for what the duties mean."""

    number: str
    gist: str
    asks: str
    duty: str
    note: str = ""

    @property
    def article(self) -> str:
        """The article it is a part of: 三.4(2) is of 三.4, 四.3c of 四.3."""
        return self.number[:3]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the regulation leaves open, and what was chosen; tests as ``file::function``."""

    number: str
    question: str
    default: str
    tests: tuple[str, ...]

    def places(self) -> Iterator[Place]:
        """Yield the tests that show it."""
        for test in self.tests:
            path, _, name = test.partition("::")
            yield Place(path, name)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a clause is named; ``name`` is empty for a whole module."""

    path: str
    name: str


Places = dict[str, list[Place]]


def read_table() -> tuple[list[Clause], list[Choice]]:
    """Read the table."""
    content = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    clauses = [Clause(**row) for row in content["clause"]]
    choices = [Choice(**row | {"tests": tuple(row["tests"])}) for row in content["choice"]]
    return clauses, choices


def mentions(text: str, articles: list[str]) -> Iterator[str]:
    """Yield the clauses a text names, ranges written out.

    Args:
        text: such as ``三.1(1)-(2), 三.4(3)(4), 四.3c-d, 六.1-六.3``.
        articles: of the regulation in its order, for ranges of them.
    """
    for found in _MENTION.finditer(text):
        article, letter, to = found["article"], found["letter"], found["to"]
        if to and to in articles and article in articles:
            yield from articles[articles.index(article) : articles.index(to) + 1]
        elif letter:
            for code in range(ord(letter), ord(found["last"] or letter) + 1):
                yield f"{article}{chr(code)}"
        elif found["items"]:
            items = [int(number) for number in re.findall(r"\d", found["items"])]
            if found["until"]:
                items = list(range(items[0], int(found["until"]) + 1))
            yield from (f"{article}({item})" for item in items)
        else:
            yield article


def named_in_code(articles: list[str]) -> Places:
    """Find the clauses that docstrings of the product name."""
    found: Places = defaultdict(list)
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py*")):
            if path.suffix == ".py":
                texts = docstrings(ast.parse(path.read_text(encoding="utf-8")))
            elif path.suffix == ".pyx":
                texts = cython_docstrings(path.read_text(encoding="utf-8"))
            else:
                continue
            where = path.relative_to(ROOT).as_posix()
            for name, text in texts:
                for number in mentions(text, articles):
                    place = Place(where, name)
                    if place not in found[number]:
                        found[number].append(place)
    return dict(found)


def docstrings(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, str]]:
    """Yield (name, text) of docstrings, those below a constant included; "" names the module."""
    body: list[ast.stmt] = getattr(tree, "body", [])
    for at, node in enumerate(body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from docstrings(node, f"{inside}.{node.name}".lstrip("."))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            yield (
                _target(body[at - 1] if at else None, inside),
                text if isinstance(text, str) else "",
            )


def _target(before: ast.stmt | None, inside: str) -> str:
    """Name what a string stands below: an assignment, or the definition it begins."""
    if isinstance(before, ast.Assign):
        target: ast.expr = before.targets[0]
    elif isinstance(before, ast.AnnAssign):
        target = before.target
    else:
        return inside
    return f"{inside}.{ast.unparse(target)}".lstrip(".")


def cython_docstrings(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of a Cython module: each docstring belongs to the definition before it."""
    heads = [(match.start(), match["name"]) for match in _DEFINITION.finditer(text)]
    for found in _TEXT.finditer(text):
        above = [name for start, name in heads if start < found.start()]
        yield (above[-1] if above else ""), found[1]


def marked_tests() -> Places:
    """Find the tests marked ``@pytest.mark.clause(...)``, single, per class or per module."""
    found: Places = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.clause" not in text:
            continue
        where = path.relative_to(ROOT).as_posix()
        for name, numbers in marks(ast.parse(text)):
            for number in numbers:
                found[number].append(Place(where, name))
    return dict(found)


def marks(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield (name, clauses) of what a test module marks; "" names the module."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield "", _clauses_of(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            numbers = [each for call in node.decorator_list for each in _clauses_of(call)]
            if numbers:
                yield node.name, numbers


def _clauses_of(expression: ast.expr) -> list[str]:
    return [
        ast.literal_eval(argument)
        for call in ast.walk(expression)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.clause"
        for argument in call.args
    ]
