"""The demo as a newcomer runs it, with fewer people: made, loaded, paid at, crashed, verified."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.few_people import write_few

pytestmark = [pytest.mark.serial, pytest.mark.slow]
STUDENTS, STAFF = 120, 10


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    """A small campus of files, and the directory its demo lives in."""
    base = tmp_path_factory.mktemp("demo")
    write_few(base / "files", students=STUDENTS, staff=STAFF)
    return base


def command(*arguments):
    return [sys.executable, "-m", "clients.admin.cli", "--lang", "en", *map(str, arguments)]


def run(*arguments, code=0):
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def demo(base, *arguments, action=()):
    where = ["--directory", base / "var", "--files", base / "files", "--output", "json"]
    return run("demo", *action, *where, "--terminals", 40, *arguments)


def start(base, *arguments):
    """Start a demo in the background; return it and the address it serves at."""
    process = subprocess.Popen(
        command(
            *("demo", "--directory", base / "var", "--files", base / "files"),
            *("--address", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--terminals", 40),
            *arguments,
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.strip().startswith("gRPC"):
            return process, line.split()[1]
    raise AssertionError(process.communicate())


@pytest.fixture(scope="module")
def loaded(campus):
    done = demo(campus, "--address", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--seconds", 3)
    return campus, done


def test_the_first_start_makes_loads_and_pays(loaded):
    _, done = loaded
    summary = json.loads(done.stdout)
    assert "0 failed" in done.stderr
    assert f"{STUDENTS + STAFF + 40 + 305} created" in done.stderr
    assert "drained" in done.stderr
    assert summary["answers"] > 150
    assert summary["results"]["approved"] > 0.8 * summary["answers"]
    assert summary["replays"] >= 1
    assert (summary["replay_mismatches"], summary["unsettled"], summary["shed"]) == (0, 0, 0)


def test_the_second_start_is_quick_and_loads_nothing(loaded):
    base, _ = loaded
    began = time.monotonic()
    process, address = start(base)
    took_s = time.monotonic() - began
    try:
        status = json.loads(run("status", "--server", address, "--output", "json").stdout)
        assert status["status"]["ledger_sum_fen"] == 0
        assert took_s < 5
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    assert "Loaded" not in err
    assert "drained" in err


def test_commands_against_a_running_demo(loaded, tmp_path):
    base, _ = loaded
    process, address = start(base, "--rate", 20)
    account = "209912310001"  # nobody of the traffic
    store = tmp_path / "counter.db"
    try:

        def ask(*arguments, code=0):
            return json.loads(
                run(*arguments, "--server", address, "--output", "json", code=code).stdout
            )

        ask(*("account", "open", account, "--name", "示例访客", "--card", "04AABBCCDDEEFF"))
        assert ask("account", "topup", account, "--amount", "200")["online_fen"] == 20_000
        paid = ask(
            *("pay", "--account", account, "--amount", "12.50", "--send-twice"),
            *("--store", store),
        )
        assert [receipt["decision"]["replayed"] for receipt in paid] == [False, True]
        assert paid[0]["decision"]["seq"] == paid[1]["decision"]["seq"]
        refused = ask(*("pay", "--account", account, "--amount", "60", "--store", store), code=1)
        assert refused["reason"] == "PIN_REQUIRED"
        assert refused["decision"]["refusal"]["clause"] == "四.3"
        history = ask("history", account, "--limit", "50")
        assert [record["reason"] for record in history[:3]] == ["PIN_REQUIRED", "OK", "OK"]
        assert [record["type"] for record in history[1:3]] == ["PURCHASE", "TOP_UP"]
        found = ask("transaction", paid[0]["decision"]["seq"])
        assert found["decision"]["auth_code"] == paid[0]["decision"]["auth_code"]
        assert ask("balance", "--card", "04AABBCCDDEEFF")["online_fen"] == 18_750
        again = ask("demo", "load", "--files", base / "files")
        assert {name for counts in again["files"].values() for name in counts} == {"unchanged"}
        mirror = ask("follow", "--to", tmp_path / "mirror", "--stop-at-head")
        assert mirror["last_seq"] >= paid[0]["decision"]["seq"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    held = run("verify", base / "var" / "data", "--output", "json")
    verdict = json.loads(held.stdout)
    assert verdict["ok"]
    assert verdict["sum_fen"] == 0
    key = base / "var" / "campuscard.key"
    restored = run("restore", tmp_path / "mirror", tmp_path / "new", "--key-file", key)
    assert f"Restored to {tmp_path / 'new'}" in restored.stdout
    assert "keys/ is missing" in restored.stderr
    lines = run("dump", base / "var" / "data", "--from", 10, "--to", 14).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [10, 11, 12, 13, 14]


def test_pulling_the_plug_loses_no_answer(loaded):
    base, _ = loaded
    done = demo(base, "--seconds", 4, "--rate", 100, action=("crash",))
    found = json.loads(done.stdout)
    assert found["lost"] == 0
    assert found["answers"] > 200
    assert found["traffic"]["unsettled"] == 0
    assert found["verdict"]["ok"]


def test_a_killed_demo_leaves_no_server_behind(loaded):
    base, _ = loaded
    process, address = start(base)
    process.kill()
    process.communicate()
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        if run_code("status", "--server", address) == 3:
            return
        time.sleep(0.2)
    raise AssertionError("the server outlived its demo")


def run_code(*arguments):
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command(*arguments), capture_output=True, check=False, timeout=60, env=environment
    ).returncode


def test_a_taken_port_is_said_kindly(loaded):
    base, _ = loaded
    process, address = start(base)
    try:
        where = ["--directory", base / "var", "--files", base / "files"]
        done = run("demo", *where, "--address", address, code=5)
        assert "taken" in done.stderr
        assert "127.0.0.1:0" in done.stderr
        twice = run("demo", *where, "--address", "127.0.0.1:0", code=5)
        assert "does not run" in twice.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_reset_removes_only_a_demo(loaded, tmp_path):
    base, _ = loaded
    (tmp_path / "precious").write_text("x", encoding="utf-8")
    run("demo", "reset", "--directory", tmp_path, code=5)
    assert (tmp_path / "precious").exists()
    run("demo", "reset", "--directory", base / "var")
    assert not (base / "var").exists()
