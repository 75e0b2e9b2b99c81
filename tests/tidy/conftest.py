"""What the tidy tests look at: the files of this checkout, tracked or about to be."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {Path("ext/reasons.h"), Path("ext/reasons.pxd")}


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def files():
    """Paths relative to the root, without what .gitignore hides or a generator makes."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: an unpacked archive has nothing to keep tidy")
    paths = {Path(name) for name in listed.stdout.split("\0") if name}
    return sorted(p for p in paths - GENERATED if (ROOT / p).is_file())


@pytest.fixture(scope="session")
def read():
    """Read one listed file as text; binary test data reads as nothing."""

    def read_text(path):
        try:
            return (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return ""

    return read_text
