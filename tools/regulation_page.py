"""docs/regulation.md: which code does what a clause asks for, and which test shows it."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from core.catalogue import ERRORS, OUTCOMES
from core.parameters import PARAMETERS
from tools.clauses import Choice, Clause, Place, marked_tests, mentions, named_in_code, read_table
from tools.markdown import BANNER, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INTRO: Final = """\
# The regulation, clause by clause

What each clause of 校园一卡通使用管理办法 asks for, the code whose docstring names it, and the tests
marked with it (`@pytest.mark.clause`). Numbers are the regulation's, chapter.article(item); a letter
counts what one article asks for, where that is several things. *All of* rows name what serves a whole
article, with its parameters and refusals. `tests/docs/test_regulation.py` fails when a clause the
system answers for has no code or no test, and when code or tests name a clause that is not here.
"""
CHOICES: Final = """\
The text leaves these open. The choice taken is the default of the parameter named; without a
parameter it is part of the rule.
"""
_CHAPTERS: Final = {
    "一": "总则 General",
    "二": "概述 Overview",
    "三": "校园卡的办理 Cards",
    "四": "校园卡使用 Use",
    "五": "使用规范 Conduct",
    "六": "管理职责与权限 Duties and rights",
    "七": "安全管理措施 Security",
    "八": "违规处理与责任追究 Sanctions",
    "九": "附则 Final provisions",
}
_DUTIES: Final = {"system": "", "partly": "To come: ", "later": "Later: ", "people": "No program: "}


def regulation_page() -> Iterator[str]:
    """Yield the lines of regulation.md."""
    clauses, choices = read_table()
    articles = list(dict.fromkeys(clause.article for clause in clauses))
    code, tests = named_in_code(articles), marked_tests()
    extra = settings_by_clause(articles)
    yield BANNER.format(source="docs/regulation.toml, docstrings and marks of tests")
    yield from INTRO.splitlines()
    for chapter, title in _CHAPTERS.items():
        yield from ("", f"## {chapter} {title}", "")
        rows = []
        for article in (each for each in articles if each[0] == chapter):
            own = [clause for clause in clauses if clause.article == article]
            if own[0].number != article and (article in code or article in extra):
                texts = (places(code.get(article, ())), extra.get(article, ""))
                rows.append((f"all of {article}", "", lines_of(texts), ""))
            for clause in own:
                texts = (places(code.get(clause.number, ())), extra.get(clause.number, ""))
                proof = places(tests.get(clause.number, ()))
                rows.append((clause.number, says(clause), lines_of(texts), proof))
        yield from table(("clause", "what it says and asks for", "code", "tests"), rows)
    yield from ("", "## Open questions", "", *CHOICES.splitlines(), "")
    yield from table(
        ("number", "question", "choice", "parameters"),
        [(c.number, c.question, c.default, parameters_of(c)) for c in choices],
    )


def says(clause: Clause) -> str:
    """Return the cell that says what a clause is about."""
    note = f"*{_DUTIES[clause.duty]}{clause.note}*" if clause.note else ""
    return lines_of((clause.gist, clause.asks, note))


def lines_of(texts: Iterable[str]) -> str:
    """Put texts one below the other in a cell."""
    return "<br>".join(text for text in texts if text)


def places(found: Iterable[Place]) -> str:
    """Return places as links, the names of one file together."""
    names: dict[str, list[str]] = defaultdict(list)
    for place in found:
        names[place.path].append(place.name)
    return "<br>".join(
        " ".join(
            [f"[{path}](../{path})", *(f"`{name}`" for name in sorted(set(names[path])) if name)]
        )
        for path in sorted(names)
    )


def settings_by_clause(articles: list[str]) -> dict[str, str]:
    """Return the parameters and refusals that name a clause, as text per clause."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for parameter in PARAMETERS:
        for number in mentions(parameter.clause, articles):
            found[number]["parameters"].append(parameter.key)
    for reason in (*OUTCOMES, *ERRORS):
        for number in mentions(reason.clause, articles):
            found[number]["refusals"].append(reason.name)
    return {
        number: "<br>".join(
            f"{kind}: " + ", ".join(f"`{name}`" for name in kinds[kind]) for kind in sorted(kinds)
        )
        for number, kinds in found.items()
    }


def parameters_of(choice: Choice) -> str:
    """Return the parameters that name an open question."""
    wanted = re.compile(rf"\b{choice.number}\b")
    return ", ".join(f"`{p.key}`" for p in PARAMETERS if wanted.search(p.clause))
