"""Names that say nothing, notes to oneself and one machine's paths stay out of the tree."""

import re

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
NOTES = re.compile(r"\b(?:" + "|".join(["FIX" + "ME", "TO" + "DO", "XX" + "X"]) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|" + "wo" + r"rk)/\w")
OUTSIDE = re.compile(r"\b(?:domain|design|style|trust)\.m" + r"d\b|\.\./sha" + "red")
CODE = {".py", ".pyi", ".pyx", ".pxd", ".h", ".c", ".proto"}


def test_modules_have_a_noun(files):
    vague = [
        str(path)
        for path in files
        if path.suffix in CODE and VAGUE & {*path.parent.parts, path.stem.lstrip("_")}
    ]
    assert not vague, "name what it is about"


def test_no_notes_to_oneself(files, read):
    assert not hits(files, read, NOTES), "do it, or open an issue"


def test_no_machine_paths(files, read):
    assert not hits(files, read, MACHINE_PATH), "this path exists on one machine only"


def test_nothing_points_outside_the_checkout(files, read):
    assert not hits(files, read, OUTSIDE), "say it, or name the clause: the reader has no such file"


def hits(files, read, pattern):
    return [
        f"{path}:{number} {line.strip()[:80]}"
        for path in files
        if path.name != "LICENSE"
        for number, line in enumerate(read(path).splitlines(), start=1)
        if pattern.search(line)
    ]
