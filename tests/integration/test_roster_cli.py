"""``campuscard office`` with rosters, photos and holders: what people type, and what scripts read."""

import csv
import json
import os
import subprocess
import sys

import pytest

from tests.campus import ROOT
from tests.rosters import CLASS, archive, as_csv, as_xlsx, jpeg, row, rows


@pytest.fixture(scope="module")
def office(campus):
    """Run a command as the default member; returns exit code, and JSON or text."""

    def run(*arguments, text=False, token=None):
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build' / 'stubs'}",
            "CAMPUSCARD_ADDRESS": campus.address,
            "CAMPUSCARD_TOKEN": campus.staff.token if token is None else token,
            "CAMPUSCARD_LANG": "en",
            "TZ": "Asia/Shanghai",
        }
        more = [] if text else ["--output", "json"]
        done = subprocess.run(
            [sys.executable, "-m", "clients.admin.cli", "office", *map(str, arguments), *more],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        if text:
            return done.returncode, done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def test_a_roster_with_a_dry_run_and_a_report(office, tmp_path):
    lines = rows(9, first=202500000001)
    lines[4][2] = "=1+1"
    lines[6][7] = ""
    file, report = tmp_path / "名册.xlsx", tmp_path / "report.csv"
    file.write_bytes(as_csv(lines))
    code, dry = office("import", file, "--dry-run")
    assert (code, dry["summary"]["dry_run"], dry["summary"]["added"]) == (1, True, 8)
    code, wet = office("import", file, "--report", report, "--class", CLASS)
    assert code == 1, "a row was refused"
    assert {name: wet["summary"][name] for name in ("added", "refused", "warned")} == {
        "added": 8,
        "refused": 1,
        "warned": 1,
    }
    assert [found["line"] for found in wet["rows"]] == [6, 8]
    with report.open(encoding="utf-8-sig", newline="") as stream:
        told = list(csv.reader(stream))
    assert told[0] == ["line", "account_no", "outcome", "field", "reason", "text"]
    assert [line[:5] for line in told[1:]] == [
        ["6", "202500000005", "refused", "姓名", "ROW_FIELD_FORM"],
        ["8", "202500000007", "added", "照片文件名", "ROW_PHOTO_MISSING"],
    ]
    lines[4][2] = "测试005"
    file.write_bytes(as_xlsx(lines))
    code, text = office("import", file, text=True)
    assert code == 0
    assert "Imported 9: 1 new, 0 changed, 8 unchanged, 0 refused" in text


def test_a_file_that_is_none(office, tmp_path):
    file = tmp_path / "x.xlsx"
    file.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99))
    code, text = office("import", file, text=True)
    assert code == 1
    assert "save it as .xlsx" in text
    assert "FILE_REFUSED" in text
    assert office("import", tmp_path / "nothing.csv", text=True)[0] == 2
    assert office("import", file, "--kind", "visitor", text=True)[0] == 2
    assert office("import", file, text=True, token="x")[0] == 1, "nobody is signed in"


def test_a_report_holds_no_formula(office, tmp_path):
    """Names in an archive are its maker's words."""
    file, report = tmp_path / "p.zip", tmp_path / "report.csv"
    file.write_bytes(archive([("=1+1.jpg", jpeg()), ("@x.jpg", jpeg())]))
    assert office("photos", file, "--recent-frontal", "--report", report)[0] == 1
    with report.open(encoding="utf-8-sig", newline="") as stream:
        names = [line[0] for line in csv.reader(stream)]
    assert names == ["file", "'=1+1.jpg", "'@x.jpg"]


def test_photos_singly_and_in_an_archive(office, tmp_path):
    lines = rows(4, first=202500000101)
    file = tmp_path / "r.csv"
    file.write_bytes(as_csv(lines))
    assert office("import", file)[0] == 0
    packed = tmp_path / "photos.zip"
    packed.write_bytes(archive([(lines[0][7], jpeg()), (lines[1][7], jpeg(801, 600))]))
    code, refused = office("photos", packed, text=True)
    assert code == 1
    assert "PHOTO_NOT_ATTESTED" in refused
    code, dry = office("photos", packed, "--recent-frontal", "--dry-run")
    assert (code, [photo["version"] for photo in dry]) == (1, [0, 0])
    code, found = office("photos", packed, "--recent-frontal")
    assert code == 1, "one was refused"
    assert [(p["outcome"], p["account_no"]) for p in found] == [
        ("added", lines[0][1]),
        ("refused", lines[1][1]),
    ]
    singles = [tmp_path / lines[at][7] for at in (2, 3)]
    for single in singles:
        single.write_bytes(jpeg())
    bad = tmp_path / "谁.jpg"
    bad.write_bytes(jpeg())
    code, found = office("photos", *singles, bad, "--recent-frontal")
    assert (code, [p["outcome"] for p in found]) == (1, ["added", "added", "refused"])
    assert office("photos", packed, bad, "--recent-frontal", text=True)[0] == 2
    kept = tmp_path / "kept.jpg"
    code, got = office("photo", lines[2][1], "--to", kept)
    assert (code, got["file"], got["version"]) == (0, str(kept), 1)
    assert "content" not in got
    assert kept.read_bytes().startswith(b"\xff\xd8\xff")


def test_holders_are_listed_shown_and_changed(office, tmp_path):
    group = "2025级命令班"
    file = tmp_path / "r.csv"
    file.write_bytes(as_csv([row(f"20250000020{at}", group=group) for at in range(5)]))
    assert office("import", file)[0] == 0
    code, found = office("holders", "--class", group, "--photo", "without", "--limit", 3)
    assert (code, len(found)) == (0, 3)
    code, answer = office("holder", "202500000200", "--status", "on_leave")
    assert (code, answer["status"]) == (0, "on_leave")
    assert office("holder", "202500000201", "--status", "graduated", text=True)[0] == 1
    assert office("holder", "202500000201", "--status", "graduated", "--reason", "2025届")[0] == 0
    code, text = office("holder", "202500000201", text=True)
    assert code == 0
    assert "graduated" in text
    assert len(office("holders", "--class", group, "--status", "enrolled")[1]) == 3
    assert office("holders", "--status", "gone", text=True)[0] == 2
    assert office("holder", "nobody", text=True)[0] == 1
