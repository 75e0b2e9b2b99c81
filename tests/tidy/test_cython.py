"""Every cdef function says what happens to an exception in it.

A bare `cdef int f() nogil` compiles to a check that takes the GIL whenever -1 comes back;
`noexcept` and `except -1` do not, and tell the reader which it is.
"""

import re

SPEC = re.compile(r"\)\s*(?:noexcept\b|except\b)")
FUNCTION = re.compile(
    r"^\s*(?:cdef|cpdef|ctypedef)\s+"
    r"(?!class\b|struct\b|enum\b|union\b|extern\b|packed\b|cppclass\b|fused\b)"
    r"(?P<before>[^=(#]*)\("
)
NEEDS_NONE = re.compile(  # functions that return a Python object report NULL by themselves
    r"^(?:inline\s+|public\s+|api\s+)*(?:object|bytes|bytearray|str|list|dict|tuple|set|type|"
    r"memoryview|[A-Z]\w*)\s+\w+\s*$|^(?:inline\s+)*\w+\s*$"
)
EXTERN = re.compile(r"^(\s*)cdef\s+extern\s+from\b")


def test_cdef_functions_state_their_exceptions(files, read):
    silent = []
    for path in files:
        if path.suffix in {".pyx", ".pxd"}:
            silent += [f"{path}:{number} {line}" for number, line in bare_functions(read(path))]
    assert not silent, "write noexcept or except VALUE"


def bare_functions(text):
    extern_indent = None
    for number, line in logical_lines(text):
        depth = len(line) - len(line.lstrip())
        if extern_indent is not None and depth > extern_indent:
            continue  # declarations of C functions are noexcept by the language
        extern = EXTERN.match(line)
        extern_indent = len(extern.group(1)) if extern else None
        function = FUNCTION.match(line)
        if not function or SPEC.search(line):
            continue
        pointer = line[function.end() :].lstrip().startswith("*")
        if pointer and "(" not in line[function.end() :]:
            continue  # a parenthesis that is no call: cdef int (*rows)[4]
        if pointer or not NEEDS_NONE.match(function.group("before")):
            yield number, line.strip()


def logical_lines(text):
    """Yield (number, text) with what stands in brackets joined to one line, comments dropped."""
    parts, start, depth = [], 0, 0
    quoted = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count('"""') % 2:
            quoted = not quoted
            continue
        if quoted:
            continue
        code = line.split("#")[0].rstrip()
        if not code:
            continue
        start = start if parts else number
        parts.append(code if not parts else code.strip())
        depth += sum(code.count(c) for c in "([{") - sum(code.count(c) for c in ")]}")
        if depth <= 0:
            yield start, " ".join(parts)
            parts, depth = [], 0


def test_bare_functions_are_found():
    text = """
cdef int bad(int x) nogil:
cdef int good(int x) noexcept nogil:
cdef int also_good(
    int x,
) except -1:
cdef object made(int x):
cdef bytes text(int x):
cdef plain(int x):
cdef Row* pointer(int x):
cdef int count = len(x)
ctypedef int (*callback)(int) nogil
cdef extern from "x.h" nogil:
    int c_function(int x)
    ctypedef int (*c_callback)(int)
cdef class Engine:
    cdef int method(self):
    cdef inline Row made_row(self):
"""
    assert [line.split("(")[0].split()[-1] for _, line in bare_functions(text)] == [
        "bad",
        "pointer",
        "int",
        "method",
    ]
