"""Files and functions stay short enough to read in one go."""

import ast
import re

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 600
SIZED = {".py", ".pyi", ".pyx", ".pxd", ".h", ".c", ".sh"}  # a proto is a reference page: exempt
CYTHON_FUNCTION = re.compile(r"^(\s*)(?:cdef|cpdef|def)\s[^=]*\(.*$")


def test_files_are_short(files, read):
    long = {
        str(p): n for p in files if p.suffix in SIZED and (n := lines(read(p))) > MAX_FILE_LINES
    }
    assert not long, f"split these (limit {MAX_FILE_LINES} lines)"


def test_python_functions_are_short(files, read):
    long = []
    for path in files:
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    long.append(f"{path}:{node.lineno} {node.name} {length} lines")
    assert not long, f"split these (limit {MAX_FUNCTION_LINES} lines)"


def test_cython_functions_are_short(files, read):
    long = []
    for path in files:
        if path.suffix in {".pyx", ".pxd"}:
            for number, length in cython_functions(read(path)):
                if length > MAX_FUNCTION_LINES:
                    long.append(f"{path}:{number} {length} lines")
    assert not long, f"split these (limit {MAX_FUNCTION_LINES} lines)"


def lines(text):
    return text.count("\n")


def cython_functions(text):
    """Yield (first line, length) of each function: it ends before the next line as far left."""
    start = indent = last = None
    for number, line in enumerate([*text.splitlines(), "end"], start=1):
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if start is not None and depth <= indent and not line.lstrip().startswith((")", "#")):
            yield start, last - start + 1
            start = None
        match = CYTHON_FUNCTION.match(line)
        if start is None and match:
            start, indent = number, len(match.group(1))
        last = number


def test_cython_functions_are_found():
    text = "cdef int f(\n    int a,\n) noexcept:\n    return a\n\ncdef int x\ndef g():\n    pass\n"
    assert list(cython_functions(text)) == [(1, 4), (7, 2)]
