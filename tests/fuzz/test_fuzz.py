"""Coverage-guided fuzzing for some seconds, on all that longer runs have found so far.

`make fuzz SECONDS=3600` runs longer and keeps what covers more.
"""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.serial]
ROOT = Path(__file__).resolve().parents[2]
SECONDS = {"decoder": 20, "front": 20, "control": 10}
BUILD_S = 900
LACKING = 3


def fuzz(subject):
    """Run one; returns its exit status and what it wrote."""
    done = subprocess.run(
        ["tools/fuzz.sh", subject, str(SECONDS[subject])],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "LD_PRELOAD"}},
        capture_output=True,
        check=False,
        timeout=SECONDS[subject] + BUILD_S,
    )
    text = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode == LACKING:
        pytest.skip(text.strip())
    return done.returncode, text


def executed(text):
    lines = (line.split() for line in text.splitlines())
    return next(int(words[1]) for words in lines if words and "executed_units" in words[0])


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(("subject", "runs"), [("decoder", 10_000), ("front", 500)])
def test_nothing_a_stranger_sends_does_harm(subject, runs):
    """Crash, hang, a read or write beyond what there is, undefined behaviour: each ends it."""
    status, text = fuzz(subject)
    assert status == 0, text[-6_000:]
    assert executed(text) > runs


@pytest.mark.timeout(1_200)
def test_a_fault_would_be_found():
    status, text = fuzz("control")
    assert status != 0
    assert "heap-buffer-overflow" in text
