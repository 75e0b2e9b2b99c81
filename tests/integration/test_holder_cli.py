"""``campuscard holder`` against a running campus: what a holder types, and what scripts read."""

import json
import os
import subprocess
import sys

import pytest

from tests.campus import ROOT, Campus

ID_NUMBER = "44070320050812123X"
INITIAL = "812123"


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        yield running


@pytest.fixture
def phone(campus, tmp_path):
    """Run a command with a state directory of its own; returns exit code, output and errors."""

    def run(*arguments, text=False, group="holder", **secrets):
        environment = {
            **{name: value for name, value in os.environ.items() if "CAMPUSCARD" not in name},
            **{f"CAMPUSCARD_{name.upper()}": value for name, value in secrets.items()},
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build' / 'stubs'}",
            "CAMPUSCARD_ADDRESS": campus.address,
            "CAMPUSCARD_LANG": "en",
            "XDG_STATE_HOME": str(tmp_path),
            "TZ": "Asia/Shanghai",
        }
        more = [] if text else ["--output", "json"]
        done = subprocess.run(
            [sys.executable, "-m", "clients.admin.cli", group, *arguments, *more],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        if text:
            return done.returncode, done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def test_a_holder_at_the_command_line(campus, phone, tmp_path):
    holder = campus.open_account("200571020316", id_number=ID_NUMBER, top_up_fen=12_345)
    code, text = phone("show", text=True)
    assert code == 1
    assert "campuscard holder sign-in" in text
    code, found = phone("sign-in", holder.account_no, query_password="000000")
    assert (code, found["error"]["reason"]) == (1, "QUERY_PASSWORD_REFUSED")
    code, found = phone("sign-in", holder.account_no, query_password=INITIAL)
    assert (code, found["must_change"]) == (
        0,
        {"query_password": True, "transaction_password": True},
    )
    file = tmp_path / "campuscard" / "session.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert INITIAL not in file.read_text()
    code, text = phone("show", text=True)
    assert code == 1
    assert "change-query-password" in text
    code, text = phone("change-transaction-password", text=True, pin=INITIAL, new_pin="904617")
    assert code == 0
    assert "change-query-password" in text
    secrets = {"query_password": INITIAL, "new_query_password": "lantern-42"}
    code, _ = phone("change-query-password", **secrets)
    assert code == 0
    assert "holder@" not in file.read_text(), "the session ended with the password"
    code, found = phone("sign-in", holder.account_no, query_password="lantern-42")
    assert (code, found["must_change"]["query_password"]) == (0, False)
    code, text = phone("show", text=True)
    assert code == 0
    assert "123.45" in text
    assert "change-query-password" not in text
    code, rows = phone("transactions", "--limit", "3")
    assert (code, [row["type"] for row in rows]) == (0, ["ACCOUNT", "PIN_CHECK", "TOP_UP"])
    code, text = phone("transactions", text=True)
    assert "123.45" in text
    code, _ = phone("limits", "--day", "50")
    assert code == 0
    code, found = phone("limits", "--day", "60", pin="904617")
    assert (code, found["personal_day_limit_fen"]) == (0, 6_000)
    code, found = phone("change-transaction-password", pin="904617", new_pin="123456")
    assert (code, found["error"]["reason"]) == (1, "WEAK_PASSWORD")
    code, _ = phone("change-transaction-password", text=True, pin="904617", new_pin="640917")
    assert code == 0
    code, found = phone("acts", "--limit", "2")
    assert [act["kind"] for act in found] == ["TransactionPasswordSet", "LimitsSet"]
    code, text = phone("acts", text=True)
    assert "HolderSignedIn" in text
    code, _ = phone("sign-out")
    assert code == 0
    code, found = phone("lose", "--account", holder.account_no, query_password="lantern-42")
    assert (code, found["media"]) == (0, 1)
    phone("sign-in", holder.account_no, query_password="lantern-42")
    code, text = phone("lose", text=True)
    assert "Reported lost since" in text
    code, found = phone("sign-out")
    assert (code, found) == (0, {"signed_out": True})


def test_without_a_terminal_passwords_come_from_the_environment_alone(phone):
    code, text = phone("sign-in", "1", text=True)
    assert code == 2
    assert "CAMPUSCARD_QUERY_PASSWORD" in text
    code, text = phone("sign-in", "--help", text=True)
    assert "password " not in text.lower().replace("query password", "")


def test_the_counter_resets_a_query_password(campus, phone):
    holder = campus.open_account(id_number=ID_NUMBER)
    arguments = ("reset-query-password", holder.account_no, "--id-number", ID_NUMBER)
    code, found = phone(*arguments, group="account", token=campus.staff.token)
    assert code == 0
    assert found["act"]["seq"] > 0


def test_a_transaction_password_at_a_terminal(campus, phone):
    holder = campus.open_account(id_number=ID_NUMBER)
    campus.terminal("POS-PIN")
    arguments = ("change-pin", "POS-PIN", "--card", holder.medium.token.hex())
    code, found = phone(*arguments, group="terminal", pin=INITIAL, new_pin="123456")
    assert (code, found["error"]["reason"]) == (1, "WEAK_PASSWORD")
    code, found = phone(*arguments, group="terminal", pin=INITIAL, new_pin="904617")
    assert (code, found["act"]["replayed"]) == (0, False)
    assert not holder.read().account.must_change_pin
