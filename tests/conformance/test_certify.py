"""`campuscard terminal certify`: the sample terminal passes, and terminals that break a rule do not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.authority import Authority
from tests.conformance.real import need

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "examples" / "terminal" / "terminal.js"
CARELESS = Path(__file__).with_name("careless.py")
CERTIFY_S = 300


def certify(directory, *command, code, cases=(), settle=3, options=(), more=None, said=None):
    """Run it; returns the report as plain values."""
    chosen = [part for case in cases for part in ("--case", case)]
    paths = [str(ROOT), str(ROOT / "build" / "stubs"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "clients.admin.cli", "--lang", "en", "terminal", "certify"),
            *("--output", "json", "--report", str(directory), "--settle", str(settle)),
            *chosen,
            *map(str, options),
            *("--", *map(str, command)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **(more or {})},
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=CERTIFY_S,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_the_sample_terminal_passes_every_case(tmp_path):
    need("node", "npm")
    report = certify(tmp_path, "node", SAMPLE, code=0, settle=30)
    verdicts = {case["name"]: case["verdict"] for case in report["cases"]}
    assert set(verdicts.values()) == {"passed"}
    assert len(verdicts) > 25
    page = Path(report["report"]).read_text(encoding="utf-8")
    assert page.startswith("# Certification of a terminal: passed")
    assert "PURCHASE APPROVED OK ¥12.50" in page


def test_the_line_may_have_tls(tmp_path):
    need("node", "npm")
    authority = Authority()
    leaf = authority.server()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "chain.pem").write_bytes(leaf.chain)
    (tmp_path / "key.pem").write_bytes(leaf.key)
    options = ("--certificate", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
    trusted = {"CAMPUSCARD_CA": str(tmp_path / "ca.pem")}
    cases = ("purchase", "answer lost")
    report = certify(
        tmp_path, "node", SAMPLE, code=0, cases=cases, options=options, more=trusted, settle=30
    )
    assert report["passed"]


def test_a_person_at_a_device_types_what_it_shows(tmp_path):
    said = "ACME 4.2\nbeep\ndeclined\n"
    report = certify(tmp_path, code=0, cases=("unknown card",), said=said)
    assert (report["software"], report["counts"]["passed"]) == ("ACME 4.2", 2)
    said = "ACME 4.2\napproved\n\nACME 4.2\n"
    report = certify(tmp_path, code=4, cases=("unknown card",), said=said)
    assert report["counts"]["failed"] == 1


@pytest.mark.parametrize(
    ("mode", "case", "finding"),
    [
        ("new key for a retry", "answer lost", "charged"),
        ("delivers in doubt", "request lost", "charged"),
        ("forgets", "answer lost", "charged"),
        ("wrong amount", "purchase", "balance shown"),
        ("same keys again", "plug pulled after", "display"),
        ("waits for ever", "deadlines", "methods without grpc-timeout"),
    ],
)
def test_a_terminal_that_breaks_a_rule_is_found(tmp_path, mode, case, finding):
    cases = ("purchase", case) if case != "purchase" else (case,)
    report = certify(tmp_path, sys.executable, CARELESS, mode, code=4, cases=cases)
    failed = next(found for found in report["cases"] if found["name"] == case)
    assert failed["verdict"] == "failed"
    assert finding in {check["what"] for check in failed["checks"] if not check["good"]}
    assert not report["passed"]


def test_a_terminal_that_is_none_is_told_so(tmp_path):
    report = certify(tmp_path, sys.executable, CARELESS, "is noisy", code=4, cases=("purchase",))
    assert "not a line with id and shown: 'beep" in report["cases"][0]["trouble"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--case", "sunrise", "--", "true"], "--case sunrise"),
        (["--card", "MAIN", "--", "true"], "NAME=UID"),
        (["--", "/nonexistent/terminal"], "No such file or directory"),
        (["--", "true"], "it has ended"),
    ],
    ids=["case", "card", "no program", "ends at once"],
)
def test_what_cannot_be_certified_is_said(tmp_path, arguments, said):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "clients.admin.cli", "--lang", "en", "terminal", "certify"),
            *("--report", str(tmp_path), *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=CERTIFY_S,
    )
    assert done.returncode in {2, 4, 5}
    assert said in done.stderr
