"""docs/regulation.md leaves no clause without code and test, and names none that is not there."""

import ast
import re

import pytest

from core.cards import TABLE
from core.catalogue import ERRORS, OUTCOMES
from core.parameters import PARAMETERS
from tools.clauses import (
    DEMANDED,
    NOTED,
    ROOT,
    cython_docstrings,
    docstrings,
    marked_tests,
    marks,
    mentions,
    named_in_code,
    read_table,
)

CLAUSES, CHOICES = read_table()
NUMBERS = [clause.number for clause in CLAUSES]
ARTICLES = list(dict.fromkeys(clause.article for clause in CLAUSES))
KNOWN = {*NUMBERS, *ARTICLES}
CHOICE = re.compile(r"\bD\d+\b")


@pytest.fixture(scope="module")
def code():
    return named_in_code(ARTICLES)


@pytest.fixture(scope="module")
def tests():
    return marked_tests()


def test_every_clause_stands_once_with_its_duty():
    assert len(NUMBERS) == len(set(NUMBERS))
    for clause in CLAUSES:
        assert clause.duty in DEMANDED | NOTED, clause
        assert bool(clause.note) == (clause.duty in NOTED), clause
        assert clause.gist, clause
        assert clause.asks, clause


def test_clauses_the_system_answers_for_have_code_and_a_test(code, tests):
    demanded = [clause.number for clause in CLAUSES if clause.duty in DEMANDED]
    assert not [number for number in demanded if number not in code], "no docstring names these"
    assert not [number for number in demanded if number not in tests], (
        "no test is marked with these"
    )


def test_nothing_names_a_clause_that_is_not_there(code, tests):
    unknown = {number: found for number, found in code.items() if number not in KNOWN}
    assert not unknown, "docs/regulation.toml has no such clause"
    unknown = {number: found for number, found in tests.items() if number not in NUMBERS}
    assert not unknown, "a test is marked with clauses, not with articles"


def test_tables_name_clauses_and_open_questions_that_are_there():
    rows = [(p.key, p.clause) for p in PARAMETERS]
    rows += [(reason.name, reason.clause) for reason in (*OUTCOMES, *ERRORS)]
    rows += [(event.name, transition.clause) for event, transition in TABLE.items()]
    choices = {choice.number for choice in CHOICES}
    unknown = [
        (name, text)
        for name, text in rows
        if not (KNOWN | choices).issuperset({*mentions(text, ARTICLES), *CHOICE.findall(text)})
    ]
    assert not unknown


def test_every_open_question_has_a_test_that_is_there():
    for choice in CHOICES:
        places = list(choice.places())
        assert places, choice
        for place in places:
            assert f"\ndef {place.name}(" in (ROOT / place.path).read_text(encoding="utf-8"), place


def test_marked_tests_are_tests(tests):
    for places in tests.values():
        for place in places:
            assert not place.name or place.name.startswith(("test_", "Test")), place
            assert (ROOT / place.path).is_file()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("regulation 三.4(2), 三.5(1)(2);", ["三.4(2)", "三.5(1)", "三.5(2)"]),
        ("三.1(1)-(3)", ["三.1(1)", "三.1(2)", "三.1(3)"]),
        ("三.3-三.5, 四.3", ["三.3", "三.4", "三.5", "四.3"]),
        ("四.3c-e and 三.3b", ["四.3c", "四.3d", "四.3e", "三.3b"]),
        ("三.1-三.5(1)", ["三.1", "三.5(1)"]),
        ("三.2 遗失", ["三.2"]),
        ("一.2; 二维码, 3.5 px", ["一.2"]),
    ],
)
def test_mentions(text, numbers):
    assert list(mentions(text, ARTICLES)) == numbers


def test_docstrings_have_names():
    source = '''"""module"""
X: int = 1
"""constant"""
class A:
    """class"""
    def b(self):
        """method"""
    c = 2
    """field"""
def d():
    x = "no docstring"
'''
    assert list(docstrings(ast.parse(source))) == [
        ("", "module"),
        ("X", "constant"),
        ("A", "class"),
        ("A.b", "method"),
        ("A.c", "field"),
    ]


def test_docstrings_of_cython_have_names():
    source = '''"""module"""
cdef inline int f(
    int a,
) noexcept nogil:
    """function"""
cdef class C:
    """class"""
    def m(self):
        """method"""
'''
    assert list(cython_docstrings(source)) == [
        ("", "module"),
        ("f", "function"),
        ("C", "class"),
        ("m", "method"),
    ]


def test_marks_are_found_on_functions_classes_and_modules():
    source = """
import pytest
pytestmark = [pytest.mark.slow, pytest.mark.clause("一.2")]
@pytest.mark.clause("三.2a", "三.2b")
@pytest.mark.slow
def test_a(): ...
@pytest.mark.clause("三.3a")
class TestB: ...
def test_c(): ...
"""
    assert list(marks(ast.parse(source))) == [
        ("", ["一.2"]),
        ("test_a", ["三.2a", "三.2b"]),
        ("TestB", ["三.3a"]),
    ]
