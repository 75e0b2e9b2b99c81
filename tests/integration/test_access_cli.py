"""``campuscard access`` against a running campus: what the counter types, and what scripts read."""

import json
import os
import subprocess
import sys

import pytest

from tests.campus import ROOT, Campus


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        running.terminal("GATE-1", merchant="GATES", category="ACCESS", sign_in=False)
        yield running


@pytest.fixture
def access(campus, tmp_path):
    """Run a command as the default member; returns exit code and JSON, or the text."""

    def run(*arguments, text=False):
        environment = {
            **{name: value for name, value in os.environ.items() if "CAMPUSCARD" not in name},
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build' / 'stubs'}",
            "CAMPUSCARD_ADDRESS": campus.address,
            "CAMPUSCARD_TOKEN": campus.staff.token,
            "CAMPUSCARD_LANG": "en",
            "XDG_STATE_HOME": str(tmp_path),
            "TZ": "Asia/Shanghai",
        }
        more = [] if text else ["--output", "json"]
        done = subprocess.run(
            [sys.executable, "-m", "clients.admin.cli", "access", *arguments, *more],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        if text:
            return done.returncode, done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


@pytest.mark.slow
def test_a_gate_from_its_zone_to_its_passages(campus, access):
    holder = campus.open_account()
    uid = holder.medium.token.hex()
    zone = ("set-zone", "D1", "--name", "One", "--kind", "dormitory", "--gate", "GATE-1")
    assert access(*zone, "--passback", "enforce", "--passback-minutes", "5")[0] == 0
    windows = ("--window", "MON-FRI 06:00-23:00", "--window", "SAT/SUN 08:00-02:00")
    group = ("set-group", "g1", "--name", "All", "--zone", "D1", "--day", "2024-10-01")
    assert access(*group, *windows, "--day", "2024-10-02 08:00-12:00")[0] == 0
    code, refused = access("check", "GATE-1", "--card", uid)
    assert (code, refused["granted"], refused["reason"]) == (1, False, "NOT_ADMITTED")
    assert access("add-member", "g1", holder.account_no)[1]["added"] == 1
    code, text = access("check", "GATE-1", "--card", uid, text=True)
    assert (code, text.startswith("✓ Pass   seq ")) == (0, True)
    code, text = access("check", "GATE-1", "--card", uid, text=True)
    assert code == 1
    assert "Entered before" in text
    assert access("check", "GATE-1", "--card", uid, "--out")[0] == 0
    (listed,) = access("groups")[1]
    assert listed["members"] == 1
    assert len(listed["windows"]) == 7
    _, text = access("groups", text=True)
    for words in ("MON-FRI 06:00-23:00", "SAT-SUN 08:00-02:00", "2024-10-01 closed"):
        assert words in text
    _, text = access("zones", text=True)
    assert "enforce 5 min" in text
    passes = access("passes", "--account", holder.account_no, "--refused")[1]
    assert [each["reason"] for each in passes] == ["PASSBACK", "NOT_ADMITTED"]
    _, text = access("passes", "--zone", "D1", text=True)
    assert "rfid_card" in text
    assert access("remove-member", "g1", holder.account_no)[1]["removed"] == 1
    assert access("emergency", "D1", "open", "--reason", "drill")[1]["previous"] == "none"
    assert access("check", "GATE-1", "--card", uid)[1]["reason"] == "ZONE_OPEN"
    assert access("emergency", "D1", "none", "--reason", "over")[0] == 0


@pytest.mark.slow
def test_a_face_from_consent_to_withdrawal(campus, access):
    holder = campus.open_account()
    token = os.urandom(16).hex()
    enrol = ("enrol-face", holder.account_no, "--token", token, "--text-version", "2025-06")
    child = (*enrol, "--born", "2013-05-01", "--consented", "2024-03-01 09:00")
    assert access(*child)[1]["error"]["reason"] == "GUARDIAN_REQUIRED"
    assert access(*child, "--guardian", "李四")[0] == 0
    code, refused = access("check", "GATE-1", "--face", token, "--out")
    assert (code, refused["reason"]) == (0, "OK")
    assert access("withdraw-face", holder.account_no)[0] == 0
    assert access("check", "GATE-1", "--face", token, "--out")[1]["reason"] == "CARD_UNKNOWN"
