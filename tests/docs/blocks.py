"""Fenced blocks of Markdown pages, and whether what a command prints is what its page shows."""

import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^```(\w*)\s*$")
NOTE = re.compile(r"^<!-- (.+?) -->$")
NOT_RUN = "not run: "
AFTER_CTRL_C = "after Ctrl-C"


@dataclass
class Block:
    """One fenced block; ``note`` is the comment in the line before it."""

    path: str
    line: int
    language: str
    note: str
    lines: list = field(default_factory=list)

    def __str__(self):
        return f"{self.path}:{self.line}"

    @property
    def reason_not_run(self):
        return self.note.removeprefix(NOT_RUN) if self.note.startswith(NOT_RUN) else ""

    @property
    def commands(self):
        """Pairs of a command and the lines shown below it; in ``sh`` every line is a command."""
        if self.language == "sh":
            return [(line, []) for line in self.lines if line and not line.startswith("#")]
        found = []
        for line in self.lines:
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def blocks_of(path, text):
    """Yield the fenced blocks of one page."""
    block = None
    before = ""
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line)
        if block is None and fence:
            note = NOTE.match(before)
            block = Block(str(path), number, fence[1], note[1] if note else "")
        elif block is not None and line == "```":
            yield block
            block = None
        elif block is not None:
            block.lines.append(line)
        if line.strip():
            before = line
    assert block is None, f"{block} has no end"


def missing_line(shown, printed):
    """Return the first shown line that was not printed in its order, or None.

    A number stands for any number and … for any text; a line of only … is not looked at, and
    spaces count as one.
    """
    lines = [_squeezed(line) for line in printed.splitlines()]
    at = 0
    for line in shown:
        if line.strip() in {"", "…"}:
            continue
        pattern = re.compile(_pattern(_squeezed(line)))
        while at < len(lines) and not pattern.fullmatch(lines[at]):
            at += 1
        if at == len(lines):
            return line
        at += 1
    return None


def _squeezed(line):
    return " ".join(line.split())


def _pattern(line):
    """An authorization code is six digits or capitals, a hash is hexadecimal: both are numbers."""
    parts = re.split(r"(…|\b[0-9a-f]{64}\b|\b[0-9A-Z]{6}\b|\d[\d,.:-]*)", line)
    return "".join(_part(part) for part in parts)


def _part(text):
    if text == "…":
        return ".*"
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return "[0-9a-f]{64}"
    if re.fullmatch(r"[0-9A-Z]{6}", text):
        return "[0-9A-Z]{6}"
    return r"\d[\d,.:-]*" if text[:1].isdigit() else re.escape(text)
