"""Pages that are tables of the code say what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *("reference/card-states.md", "reference/commands.md", "reference/configuration.md"),
    *("reference/errors.md", "reference/metrics.md", "reference/parameters.md"),
    "reference/permissions.md",
    "regulation.md",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pages")
    subprocess.run([sys.executable, "-m", "tools.gen_pages", directory], cwd=ROOT, check=True)
    return directory


def test_every_page_made_is_compared(made):
    found = [str(path.relative_to(made)) for path in made.rglob("*.md")]
    assert sorted(found) == sorted(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_what_the_code_says(made, name):
    kept = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert kept == (made / name).read_text(encoding="utf-8"), "run `make pages`"
