"""Reads the C headers of the durable format: every field's offset and size, nothing implied."""

import re
import struct
from pathlib import Path

EXT = Path(__file__).parents[2] / "ext"
CODES = {
    "uint8_t": "B",
    "uint16_t": "H",
    "uint32_t": "I",
    "int32_t": "i",
    "uint64_t": "Q",
    "int64_t": "q",
}


def source(name):
    return re.sub(r"/\*.*?\*/", "", (EXT / name).read_text(), flags=re.DOTALL)


def typedefs(name):
    """{struct: its text between the braces} in order."""
    text, found = source(name), {}
    for match in re.finditer(r"typedef struct \{", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        called = text[end : text.index(";", end)].strip()
        found[called] = text[match.end() : end - 1]
    return found


class Layout:
    """Structs as (field, offset, size, code) with their own rules: no padding anywhere."""

    def __init__(self, *headers):
        self.structs: dict[str, list[tuple[str, int, int, str]]] = {}
        for header in headers:
            for called, body in typedefs(header).items():
                self.structs[called] = self.read(body)

    def read(self, body):
        fields, at = [], 0
        body = re.sub(r"union \{(.*?)\} (\w+);", self.union, body, flags=re.DOTALL)
        for declaration in filter(None, (" ".join(d.split()) for d in body.split(";"))):
            kind, names = declaration.split(" ", 1)
            for name in names.split(","):
                called, _, count = name.strip().partition("[")
                code, size, align = self.kind(kind, count.rstrip("]"))
                assert at % align == 0, f"{called} needs padding before it"
                fields.append((called, at, size, code))
                at += size
        return fields

    def union(self, match):
        sizes = set()
        for declaration in filter(None, (d.strip() for d in match.group(1).split(";"))):
            kind, name = declaration.split(" ", 1)
            sizes.add(self.kind(kind, name.partition("[")[2].rstrip("]"))[1])
        assert len(sizes) == 1, "all shapes of a union are of one size"
        # Eight-byte members: the union is aligned as they are.
        return f"uint64_t {match.group(2)}[{sizes.pop() // 8}];"

    def kind(self, kind, count):
        n = int(count) if count else 1
        if kind in CODES:
            size = struct.calcsize(CODES[kind])
            text = kind == "uint8_t" and count
            code = f"{n}s" if text else f"{n if count else ''}{CODES[kind]}"
            return code, size * n, size
        size = self.size(kind)
        return f"{size * n}s", size * n, max(self.align(kind), 1)

    def size(self, called):
        last = self.structs[called][-1]
        return last[1] + last[2]

    def align(self, called):
        sizes = [struct.calcsize(code.lstrip("0123456789")) for *_, code in self.structs[called]]
        return max(sizes)

    def format(self, called):
        return "<" + "".join(code for *_, code in self.structs[called])
