"""Coverage-guided fuzzing for some seconds, on all that longer runs have found so far.

`make fuzz SECONDS=3600` runs longer and keeps what covers more.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.serial]
ROOT = Path(__file__).resolve().parents[2]
# At most, for the fault that must be found: it takes a second or so.
SECONDS = {"control": 120, "decoder": 8, "front": 12, "reading": 8, "tls": 8, "writing": 8}
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


def number(text, before):
    """The number that libFuzzer wrote behind some words."""
    return int(re.findall(rf"{before}:? +(\d+)", text)[-1])


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("subject", ["decoder", "reading", "writing", "front", "tls"])
def test_nothing_a_stranger_sends_does_harm(subject):
    """Crash, hang, a read or write beyond what there is, undefined behaviour: each ends it.

    So does a message that the official library reads or writes otherwise.
    """
    status, text = fuzz(subject)
    assert status == 0, text[-6_000:]
    assert number(text, "number_of_executed_units") >= number(text, "seed corpus: files") > 10


@pytest.mark.timeout(1_200)
def test_a_fault_would_be_found():
    status, text = fuzz("control")
    assert status != 0
    assert "heap-buffer-overflow" in text
