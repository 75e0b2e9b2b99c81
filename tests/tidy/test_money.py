"""Money is whole fen: nothing that decides or stores it may touch a float."""

import ast
import re

MONEY_LAYERS = {"core", "ext"}
C_FLOAT = re.compile(r"\b(?:float|double)\b|(?<![\w.])(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])")
C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
CYTHON_TEXT = re.compile(r'""".*?"""|\'\'\'.*?\'\'\'|"[^"\n]*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL)
C_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def test_python_has_no_float(files, read):
    found = []
    for path in files:
        if path.parts[0] in MONEY_LAYERS and path.suffix == ".py":
            found += [f"{path}:{line} {what}" for line, what in python_floats(read(path))]
    assert not found, "use whole fen and // with a stated rounding"


def test_cython_and_c_have_no_float(files, read):
    found = []
    for path in files:
        if path.parts[0] not in MONEY_LAYERS:
            continue
        if path.suffix in {".pyx", ".pxd"}:
            code = blank(CYTHON_TEXT, read(path))
        elif path.suffix in {".h", ".c"}:
            code = blank(C_TEXT, blank(C_COMMENT, read(path)))
        else:
            continue
        found += [
            f"{path}:{code.count(chr(10), 0, match.start()) + 1} {match.group()}"
            for match in C_FLOAT.finditer(code)
        ]
    assert not found, "use whole fen"


def python_floats(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, repr(node.value)
        elif isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno, "float"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "/"


def blank(pattern, text):
    """Replace what the pattern finds by as many line ends, so line numbers stay."""
    return pattern.sub(lambda match: "\n" * match.group().count("\n"), text)


def test_floats_are_found():
    code = "a = 1.5\nb = float(a)\nc = a / 2\nd = a // 2\n"
    assert sorted(python_floats(code)) == [(1, "1.5"), (2, "float"), (3, "/")]
    assert C_FLOAT.search("x = 0.5;")
    assert C_FLOAT.search("double x;")
    assert not C_FLOAT.search("v1.2.3 a.b 10 0x1F")
