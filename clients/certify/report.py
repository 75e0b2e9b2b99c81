"""What came of a certification: for the eye, for a program, for the file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from clients.admin.console import tr
from clients.certify.run import Case


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case's end; ``trouble`` is what kept it from its end."""

    name: str
    words: str
    verdict: Verdict
    seconds: float
    case: Case
    trouble: str = ""

    def faults(self) -> Iterator[str]:
        """Yield what was not as it had to be."""
        for check in self.case.checks:
            if not check.good:
                yield f"{check.what}: {check.expected} ≠ {check.got}"
        if self.trouble:
            yield self.trouble


@dataclass(slots=True, kw_only=True)
class Report:
    """A whole run."""

    terminal: str  # the program, or "by hand"
    software: str
    server: str
    began: dt.datetime
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no case failed."""
        return all(outcome.verdict is not Verdict.FAILED for outcome in self.outcomes)

    def count(self, verdict: Verdict) -> int:
        """Return how many cases ended so."""
        return sum(outcome.verdict is verdict for outcome in self.outcomes)

    def rows(self) -> list[list[str]]:
        """Return the table: case, what it is, verdict, and expected ≠ got."""
        return [
            [outcome.name, outcome.words, outcome.verdict.value, "\n".join(outcome.faults())]
            for outcome in self.outcomes
        ]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "passed": self.passed,
            "terminal": self.terminal,
            "software": self.software,
            "server": self.server,
            "began": self.began.isoformat(timespec="seconds"),
            "counts": {verdict.value: self.count(verdict) for verdict in Verdict},
            "cases": [
                {
                    "name": outcome.name,
                    "verdict": outcome.verdict.value,
                    "seconds": round(outcome.seconds, 1),
                    "checks": [
                        {"what": c.what, "expected": c.expected, "got": c.got, "good": c.good}
                        for c in outcome.case.checks
                    ],
                    "trouble": outcome.trouble,
                    "journal": outcome.case.records,
                }
                for outcome in self.outcomes
            ],
        }

    def write(self, directory: Path) -> Path:
        """Write it as a dated page; returns the file.

        Raises:
            OSError: it cannot be written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"certificate-{self.began:%Y%m%d-%H%M%S}.md"
        path.write_text("\n".join(self._page()) + "\n", encoding="utf-8")
        return path

    def _page(self) -> Iterator[str]:
        verdict = tr("通过", "passed") if self.passed else tr("未通过", "not passed")
        yield tr(f"# 终端认证: {verdict}", f"# Certification of a terminal: {verdict}")
        yield ""
        yield f"- {tr('终端', 'terminal')}: `{self.terminal}`"
        yield f"- {tr('软件', 'software')}: {self.software or '-'}"
        yield f"- {tr('服务器', 'server')}: campuscard {self.server}"
        yield f"- {tr('时间', 'time')}: {self.began.isoformat(timespec='seconds')}"
        counts = ", ".join(f"{self.count(verdict)} {verdict.value}" for verdict in Verdict)
        yield f"- {tr('结果', 'result')}: {counts}"
        for outcome in self.outcomes:
            yield f"\n## {outcome.name}: {outcome.verdict.value}\n\n{outcome.words}\n"
            if outcome.case.checks:
                yield f"| {tr('检查', 'check')} | {tr('应为', 'expected')} | {tr('实为', 'got')} | |"
                yield "|---|---|---|---|"
            for check in outcome.case.checks:
                mark = "✓" if check.good else "✗"
                yield f"| {check.what} | {check.expected} | {_cell(check.got)} | {mark} |"
            if outcome.trouble:
                yield f"\n✗ {_cell(outcome.trouble)}"
            if outcome.case.records:
                yield "\n```"
                yield from outcome.case.records
                yield "```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
