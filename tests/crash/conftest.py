"""What the crash tests share: a place in memory for images, the recorder, the subjects."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.crash import harness, sabotage

SHM = Path("/dev/shm")


@pytest.fixture(scope="session", autouse=True)
def tools():
    missing = [tool for tool in ("strace", "gcc") if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"install what injects the faults: apt-get install {' '.join(missing)}")


@pytest.fixture
def memory(tmp_path):
    """A directory in memory if there is one: images are written by the hundred."""
    if not SHM.is_dir() or not os.access(SHM, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="campuscard-", dir=SHM) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def recorder(tmp_path_factory):
    return harness.build_recorder(tmp_path_factory.mktemp("recorder"))


@pytest.fixture(scope="session")
def sabotaged():
    """Modules built with the faults of ext/sabotage.h compiled in."""
    return sabotage.build()
