"""Scenario 17's passwords, and what becomes of them on disk: self-service through the real calls."""

import sqlite3
import subprocess
import sys

import grpc
import pytest

from tests.campus import ROOT, Campus, refusal
from tests.rosters import as_csv, import_roster, row
from tests.self_service import SelfService, reset_query

X_CASE, PASSPORT, ZERO_CASE = "200571020316", "200571020317", "200571020318"
ID_NUMBER = "44070320050812123X"
PIN, QUERY = "904617", "Canary-query-739184"
WEAK = ("888888", "710203", "050812", "123456")


def reason_of(call, *arguments, **options):
    """Return why a call is refused; empty when it is not."""
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        return refusal(error)[0]
    return ""


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        lines = [
            row(X_CASE, "张三", id_text=ID_NUMBER, phone="13800138000"),
            row(PASSPORT, "李四", id_text="E1234567"),
        ]
        imported = import_roster(running, as_csv(lines))
        assert imported.counts[:1] == (2,)
        yield running


@pytest.mark.clause("四.3a", "四.3b", "四.4", "五.2a", "五.2b")
def test_initial_passwords_and_the_first_change(campus):
    zhang = SelfService(campus, X_CASE)
    assert reason_of(zhang.sign_in, "121230") == "QUERY_PASSWORD_REFUSED"
    signed_in = zhang.sign_in("812123")
    assert signed_in.must_change.query_password
    assert signed_in.must_change.transaction_password
    for weak in WEAK:
        assert reason_of(zhang.change_transaction, "812123", weak) == "WEAK_PASSWORD"
    zhang.change_transaction("812123", PIN)
    assert reason_of(zhang.change_query, "812123", PIN) == "PASSWORDS_EQUAL"
    zhang.change_query("812123", QUERY)
    found = zhang.sign_in(QUERY).must_change
    assert not found.query_password
    assert not found.transaction_password


@pytest.mark.clause("四.3b", "五.2b")
def test_a_passport_gives_888888(campus):
    li = SelfService(campus, PASSPORT)
    li.sign_in("888888")
    assert reason_of(li.change_transaction, "888888", "888888") == "WEAK_PASSWORD"
    li.change_transaction("888888", "640917")
    assert reason_of(li.change_transaction, "640917", "888888") == "WEAK_PASSWORD"


@pytest.mark.clause("四.3b")
def test_a_final_x_read_as_zero(campus):
    """D4: another rule from one moment on; who came before keeps what they have."""
    campus.change_parameter("initial_password_rule", "ZERO")
    import_roster(campus, as_csv([row(ZERO_CASE, "王五", id_text=ID_NUMBER)]))
    wang = SelfService(campus, ZERO_CASE)
    assert reason_of(wang.sign_in, "812123") == "QUERY_PASSWORD_REFUSED"
    wang.sign_in("121230")
    assert reason_of(wang.change_transaction, "812123", "530918") == "PASSWORD_REFUSED"
    wang.change_transaction("121230", "530918")
    reset_query(campus, PASSPORT, "E1234567")
    SelfService(campus, PASSPORT).sign_in("888888")
    campus.change_parameter("initial_password_rule", "SKIP")


@pytest.mark.clause("五.2b")
def test_weak_passwords_may_be_warned_of_alone(campus):
    campus.change_parameter("weak_password_mode", "WARN")
    wang = SelfService(campus, ZERO_CASE)
    wang.sign_in("121230")
    assert wang.change_transaction("530918", "123456").weak_rule == "SEQUENCE"
    assert wang.change_transaction("123456", "640917").weak_rule == ""
    campus.change_parameter("weak_password_mode", "ENFORCE")


@pytest.mark.clause("七.3")
def test_nothing_tells_a_password(campus):
    """Not in the clear: in no file of the directory, in no log, in no dump of the journal."""
    zhang = SelfService(campus, X_CASE)
    assert reason_of(zhang.sign_in, "Canary-wrong-739184") == "QUERY_PASSWORD_REFUSED"
    zhang.sign_in(QUERY)
    assert reason_of(zhang.change_query, "Canary-old-739184", "Canary-new-739184") == (
        "QUERY_PASSWORD_WRONG"
    )
    token = zhang.token
    campus.stop()
    dumped = subprocess.run(
        [sys.executable, "-m", "clients.admin.cli", "dump", str(campus.data)],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'build' / 'stubs'}", "PATH": "/usr/bin:/bin"},
    ).stdout
    assert b"QueryPasswordSet" in dumped
    with sqlite3.connect(campus.data / "registry" / "registry.db") as connection:
        text = "\n".join(connection.iterdump()).encode()
    assert b"query_tries" in text
    texts = {"dump": dumped, "registry": text}
    texts |= {
        str(path): path.read_bytes() for path in campus.directory.rglob("*") if path.is_file()
    }
    for name, content in texts.items():
        assert b"739184" not in content, name
        assert token.encode() not in content, name
        assert b"$argon2id$" not in content, f"{name}: hashes are sealed"
        assert ID_NUMBER.encode() not in content, name
    campus.start()
