"""What is durable or watched stands on its page."""

import re
from dataclasses import fields
from pathlib import Path

from core.documents import KINDS

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"


def test_every_kind_of_document_is_described():
    text = (PAGES / "documents.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (\w+) \|", text, re.MULTILINE))
    assert {int(number): name for number, name in rows.items()} == {
        number: kind.__name__ for number, kind in KINDS.items()
    }
    for kind in KINDS.values():
        (row,) = re.findall(rf"^\| \d+ \| {kind.__name__} \|.*$", text, re.MULTILINE)
        for field in fields(kind):
            assert f"`{field.name}`" in row
