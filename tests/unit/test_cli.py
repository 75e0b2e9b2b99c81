"""The command line without a server: help that teaches, errors that name the next step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from campuscard.v1 import merchant_service_pb2, terminal_service_pb2
from clients.admin.cli import app
from clients.admin.console import _language
from clients.admin.doctor import examine, file_system, sync_times_us
from clients.admin.findings import Health, Place
from clients.admin.plain import enum_number, enum_word, plain

NOWHERE = "127.0.0.1:1"


def run(*arguments, language="en", cwd=None):
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("CAMPUSCARD_")
    }
    return subprocess.run(
        [sys.executable, "-m", "clients.admin.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environment, "LC_ALL": "C.UTF-8", "LANG": language, "CAMPUSCARD_LANG": language},
    )


def commands(command, *names):
    """Every command with its path."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield names, command
        return
    for name, child in inner.items():
        yield from commands(child, *names, name)


ALL = dict(commands(typer.main.get_command(app)))


def test_the_commands_promised_are_there():
    top = {names[0] for names in ALL}
    assert top >= {
        "init",
        "serve",
        "demo",
        "pay",
        "balance",
        "history",
        "transaction",
        "terminal",
        "doctor",
        "config",
        "status",
        "bench",
        "verify",
        "dump",
        "follow",
        "restore",
    }
    assert ("terminal", "simulate") in ALL
    assert ("demo", "load") in ALL


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_command_says_what_it_is_for(names):
    assert ALL[names].help


NO_JSON = {
    ("serve",): "prints nothing; its log has a form of its own",
    ("dump",): "prints JSON lines and nothing else",
    ("bench",): "hands its arguments on; its own option is --json",
}


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_command_prints_json_for_scripts(names):
    has = any("--output" in parameter.opts for parameter in ALL[names].params)
    assert has is (names not in NO_JSON)


@pytest.mark.parametrize(("language", "word"), [("zh", "示例"), ("en", "Examples")])
def test_help_speaks_the_language_asked_for(language, word):
    assert word in run("--lang", language, "--help").stdout
    assert word in run("pay", "--help", language=language).stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "language"),
    [
        ([], {"LANG": "zh_CN.UTF-8"}, "zh"),
        ([], {"LANG": "de_DE.UTF-8"}, "en"),
        ([], {}, "en"),
        ([], {"LC_ALL": "C", "LANG": "zh_CN"}, "en"),
        (["--lang", "en", "pay"], {"LANG": "zh_CN"}, "en"),
        (["--lang=zh"], {}, "zh"),
    ],
)
def test_the_language_is_found(arguments, environment, language):
    assert _language(arguments, environment) == language


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["pay", "--account", "1", "--amount", "1"],
        ["history", "1"],
        ["account", "show", "1"],
        ["merchant", "list"],
        ["terminal", "heartbeat", "POS-1"],
        ["demo", "load"],
    ],
    ids=" ".join,
)
def test_no_server_names_the_next_command(arguments):
    done = run(*arguments, "--server", NOWHERE)
    assert done.returncode == 3, done.stderr
    assert "campuscard serve" in done.stderr
    assert done.stdout == ""


def test_errors_are_json_for_scripts():
    done = run("status", "--server", NOWHERE, "--output", "json")
    assert done.returncode == 3
    assert "campuscard demo" in json.loads(done.stdout)["error"]["next"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["pay", "--account", "1", "--amount", "12.505"],
        ["pay", "--amount", "12.50"],
        ["pay", "--card", "xy", "--amount", "1"],
        ["balance"],
        ["transaction"],
        ["account", "open", "1", "--name", "x", "--kind", "king"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(arguments):
    done = run(*arguments, *(["--server", NOWHERE] if len(arguments) > 1 else []))
    assert done.returncode == 2, (done.stdout, done.stderr)


def test_configuration_is_checked(tmp_path):
    path = tmp_path / "campuscard.toml"
    path.write_text('[server]\naddress = "0.0.0.0:50051"\n', encoding="utf-8")
    done = run("config", "check", "--config", str(path))
    assert done.returncode == 4
    assert "loopback" in done.stderr
    path.write_text("[limits]\nterminal_rate = 7\n", encoding="utf-8")
    assert run("config", "check", "--config", str(path)).returncode == 0
    shown = run("config", "show", "--output", "json", cwd=tmp_path)  # found in the directory
    values = {field["name"]: field["value"] for field in json.loads(shown.stdout)}
    assert values["limits.terminal_rate"] == 7


def test_serve_without_a_directory_says_how_to_make_one(tmp_path):
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 5
    assert "campuscard init" in done.stderr


def test_doctor_finds_what_is_wrong_and_says_what_to_do(tmp_path):
    key = tmp_path / "campuscard.key"
    key.write_bytes(b"x")
    key.chmod(0o644)
    (tmp_path / "data" / "journal").mkdir(parents=True)
    place = Place(data=tmp_path / "data", key_file=key, address=NOWHERE)
    findings = {finding.name: finding for finding in examine(place)}
    assert findings["python"].health is Health.OK
    assert findings["lmdb"].health is Health.OK
    assert findings["key file"].health is Health.FAILED
    assert findings["key file"].step == f"chmod 600 {key}"
    assert findings["data"].health is Health.OK
    assert "µs" in findings["disk sync"].found
    assert all(f.step for f in findings.values() if f.health is not Health.OK), findings


def test_doctor_measures_where_the_data_is(tmp_path):
    times = sync_times_us(tmp_path)
    assert len(times) == 40
    assert list(tmp_path.iterdir()) == []
    assert file_system(Path("/proc/self")) == "proc"


def test_messages_become_plain_values():
    decision = terminal_service_pb2.Decision(
        outcome=terminal_service_pb2.OUTCOME_PIN_REQUIRED,
        balance_fen=2**60,
        refusal=terminal_service_pb2.Refusal(numbers={"askedFen": 5}),
    )
    values = plain(decision)
    assert values["outcome"] == "pin_required"
    assert values["balance_fen"] == 2**60
    assert values["refusal"]["numbers"] == {"askedFen": 5}
    assert "refusal" not in plain(terminal_service_pb2.Decision())
    medium = terminal_service_pb2.Medium(type=1, token=b"\x04\xab")
    assert plain(medium) == {"type": "rfid_card", "token": "04AB"}


def test_enum_words_go_both_ways():
    enum = merchant_service_pb2.ServiceStatus.DESCRIPTOR
    assert enum_word(enum, 1) == "in_service"
    assert enum_number(enum, "In-Service") == 1
    with pytest.raises(ValueError, match="in_service, suspended, withdrawn"):
        enum_number(enum, "gone")
