"""Starting, draining, dying and coming back."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as pb
from campuscard.v1 import ops_service_pb2
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from server.keys import Keyring
from server.offline.identity import read as read_identity
from tests.campus import CALL_S, ROOT, SLOW, Campus, ServerFailedError, refusal

CANARY = "739184"


def registry_content(campus):
    """Return every row of the registry but its position's file order."""
    connection = sqlite3.connect(campus.data / "registry" / "registry.db")
    try:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in tables
        }
    finally:
        connection.close()


def lived_in(campus):
    """Let a bit of everything happen."""
    pos = campus.terminal("POS-07")
    holder = campus.open_account("200571020316", id_number="44070320050812123X", top_up_fen=9_000)
    assert pos.pay(holder, 100).reason == "OK"
    other = campus.open_account(name="李四")
    other.lose()
    with pytest.raises(grpc.RpcError):
        holder.set_password("000000", "904617")
    holder.set_password("812123", "904617")
    other.suspend()
    return pos, holder, other


def first_threads(campus):
    """Return how many threads of the server have a real-time priority, and what its log says of them."""
    policies = []
    for thread in Path(f"/proc/{campus.process.pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # one that has just ended
            policies.append(os.sched_getscheduler(int(thread.name)))
    told = [event["precedence"] for event in campus.log() if event["event"] == "payments_run"]
    return sum(policy & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR for policy in policies), told


def test_an_idle_server_needs_no_priority(own_campus):
    own_campus.start()
    end = time.monotonic() + 60 * SLOW
    count, (told,) = first_threads(own_campus)
    assert count in {"first": (0, 2), "equal": (0,), "inherited": (0,)}[told]
    while count != 0 and time.monotonic() < end:
        time.sleep(0.1)
        count, _ = first_threads(own_campus)
    assert count == 0


def test_nobody_goes_first_where_it_is_not_wanted(tmp_path):
    with Campus(tmp_path / "campus", settings={"server": {"payments_first": False}}) as campus:
        assert first_threads(campus) == (0, [])


def test_a_drained_server_ends_well_and_comes_back(own_campus):
    own_campus.start()
    pos, holder, _ = lived_in(own_campus)
    assert own_campus.stop() == 0
    own_campus.start()
    assert holder.online_fen == 8_900
    assert pos.pay(holder, 100).reason == "OK"


def test_a_killed_server_has_every_answer(own_campus):
    own_campus.start()
    pos, holder, other = lived_in(own_campus)
    decision = pos.pay(holder, 250, seq=900)
    own_campus.kill9()
    own_campus.start()
    again = pos.pay(holder, 250, seq=900)
    assert again.replayed
    assert again.seq == decision.seq
    assert holder.online_fen == 8_650
    assert other.read().account.status == pb.ACCOUNT_STATUS_SUSPENDED


def test_a_deleted_registry_is_rebuilt_to_the_same_content(own_campus):
    own_campus.start()
    lived_in(own_campus)
    request = pb.TopUpRequest(
        request_id=own_campus.request_id(),
        account_no="200571020316",
        source=pb.TOP_UP_SOURCE_CASH,
        channel_txn_id="R-1000",
        amount_fen=5,
    )
    first = own_campus.accounts.TopUp(request, timeout=CALL_S)
    own_campus.stop()
    before = registry_content(own_campus)
    for path in (own_campus.data / "registry").iterdir():
        path.unlink()
    own_campus.start()
    own_campus.stop()
    assert registry_content(own_campus) == before
    own_campus.start()
    again = own_campus.accounts.TopUp(request, timeout=CALL_S)
    assert again.act.replayed
    again.act.replayed = False
    assert again == first


def test_a_damaged_registry_is_made_anew(own_campus):
    own_campus.start()
    _, holder, _ = lived_in(own_campus)
    own_campus.stop()
    path = own_campus.data / "registry" / "registry.db"
    path.write_bytes(b"this is no registry" * 1_000)
    own_campus.start()
    assert holder.read().account.name == "张三"
    assert any(event.get("event") == "registry_discarded" for event in own_campus.log())


def test_a_registry_of_another_journal_is_made_anew(own_campus, tmp_path):
    own_campus.start()
    holder = own_campus.open_account(name="张三")
    with Campus(tmp_path / "other") as other:
        for _ in range(3):
            other.open_account(holder.account_no + str(next(other.numbers)), name="别人")
    own_campus.stop()
    foreign = tmp_path / "other" / "data" / "registry" / "registry.db"
    (own_campus.data / "registry" / "registry.db").write_bytes(foreign.read_bytes())
    own_campus.start()
    assert holder.read().account.name == "张三"


@pytest.mark.clause("七.2")
def test_a_destroyed_key_erases_its_holder_everywhere(own_campus):
    own_campus.start()
    holder = own_campus.open_account(name="王小明", class_name="2023级7班", top_up_fen=100)
    kept = own_campus.open_account(name="留下的人")
    own_campus.stop()
    Keyring(own_campus.data / "keys").destroy(holder.number)
    own_campus.start()
    found = holder.read()
    assert (found.account.name, found.account.class_name) == ("", "")
    assert found.account.erased
    assert found.wallets.online_fen == 100, "money is no person"
    assert kept.read().account.name == "留下的人"
    own_campus.stop()
    for path in (own_campus.data / "registry").iterdir():
        path.unlink()
    own_campus.start()
    assert holder.read().account.erased
    own_campus.stop()
    for path in own_campus.data.rglob("*"):
        if path.is_file():
            assert "王小明".encode() not in path.read_bytes(), path


def test_an_erased_holder_stays_erased(own_campus):
    own_campus.start()
    holder = own_campus.open_account(name="王小明", class_name="2023级7班")
    kept = own_campus.open_account(name="留下的人")
    erase = own_campus.accounts.EraseHolder
    request = pb.EraseHolderRequest(
        request_id=own_campus.request_id(), account_no=holder.account_no, reason="毕业"
    )
    with pytest.raises(grpc.RpcError) as caught:
        erase(request, timeout=CALL_S)
    assert refusal(caught.value)[0] == "STATE_TRANSITION", "a holder of an open account stays"
    assert holder.read().account.name == "王小明"
    holder.set_status("CLOSING")
    holder.set_status("CLOSED")
    act = erase(request, timeout=CALL_S).act
    assert holder.read().account.erased
    assert holder.history()[0].seq < act.seq, "its record stands in the account's history"
    assert erase(request, timeout=CALL_S).act.replayed
    again = pb.EraseHolderRequest(
        request_id=own_campus.request_id(), account_no=holder.account_no, reason="毕业"
    )
    with pytest.raises(grpc.RpcError) as caught:
        erase(again, timeout=CALL_S)
    assert refusal(caught.value)[1]["state"] == "ERASED"
    log = own_campus.data / "registry" / "registry.db-wal"
    ends = time.monotonic() + 10
    while "王小明".encode() in log.read_bytes() and time.monotonic() < ends:
        time.sleep(0.05)  # the registry commits a moment after the answer
    own_campus.kill9()
    for path in own_campus.directory.rglob("*"):
        if path.is_file():
            assert "王小明".encode() not in path.read_bytes(), path
    for path in (own_campus.data / "registry").iterdir():
        path.unlink()
    own_campus.start()
    found = holder.read().account
    assert (found.name, found.class_name, found.erased) == ("", "", True)
    assert kept.read().account.name == "留下的人"


def test_a_crash_between_journal_and_key_still_destroys_it(own_campus):
    own_campus.start()
    holder = own_campus.open_account(name="王小明")
    holder.set_status("CLOSING")
    holder.set_status("CLOSED")
    keys = own_campus.data / "keys" / "000000.keys"
    before = keys.read_bytes()
    request = pb.EraseHolderRequest(
        request_id=own_campus.request_id(), account_no=holder.account_no, reason="本人申请"
    )
    own_campus.accounts.EraseHolder(request, timeout=CALL_S)
    own_campus.kill9()
    # As after a crash before the key was overwritten: the registry had not committed then either.
    keys.write_bytes(before)
    for path in (own_campus.data / "registry").iterdir():
        path.unlink()
    own_campus.start()
    assert holder.read().account.erased
    assert keys.read_bytes() != before
    assert not Keyring(own_campus.data / "keys").has_key(holder.number)


def test_a_segment_that_cannot_be_made_is_told_before_it_is_needed(tmp_path):
    settings = {"engine": {"segment_bytes": 4 << 20, "journal_bytes_max": 5 << 20}}
    with Campus(tmp_path / "c", settings=settings) as campus:
        pos = campus.terminal("POS-07")
        nobody = terminal_pb.MEDIUM_TYPE_RFID_CARD
        ends = time.monotonic() + 30
        while campus.metrics()["campuscard_segment_error"] == 0:
            assert time.monotonic() < ends
            items = [
                terminal_pb.AuthorizeItem(
                    terminal_seq=next(pos.seqs),
                    medium_type=nobody,
                    medium_token=b"none",
                    amount_fen=1,
                )
                for _ in range(4_000)
            ]
            campus.terminals.AuthorizeBatch(
                terminal_pb.AuthorizeBatchRequest(
                    terminal_id=pos.terminal_id, batch_no=pos.batch_no, items=items
                ),
                timeout=CALL_S,
            )
        time.sleep(1.5)
        events = {event.get("event"): event for event in campus.log()}
        assert "space" in events["journal_segment_failed"]["error"]
        assert events["journal_segment_failed"]["level"] == "error"
        assert campus.open_account().number, "it is not needed yet"


def test_a_password_of_another_key_is_neither_right_nor_wrong(own_campus):
    own_campus.start()
    pos = own_campus.terminal("POS-07")
    holder = own_campus.open_account(id_number="44070320050812123X", top_up_fen=20_000)
    own_campus.stop()
    identity = own_campus.data / "campuscard"
    identity.write_bytes(replace(read_identity(identity), key_id=2).pack())
    key_file = own_campus.directory / "campuscard.key"
    raw = bytearray(key_file.read_bytes())
    raw[8] = 2
    key_file.write_bytes(raw)
    own_campus.start()
    for _ in range(4):
        assert pos.pay(holder, 6_000, pin="812123").reason == "PIN_UNVERIFIABLE"
    assert not holder.read().wallets.pin_locked, "a wrong key must not lock passwords"
    assert pos.pay(holder, 600).reason == "OK"
    with pytest.raises(grpc.RpcError) as caught:
        holder.set_password("812123", CANARY)
    assert refusal(caught.value)[1]["reason"] == "PIN_UNVERIFIABLE"
    holder.reset_password("44070320050812123X")
    assert pos.pay(holder, 6_000, pin="812123").reason == "OK"


@pytest.mark.clause("七.2")
def test_people_and_secrets_are_in_no_file_and_no_log(own_campus):
    own_campus.start()
    pos = own_campus.terminal("POS-07")
    holder = own_campus.open_account(
        name="欧阳不留痕", id_number="44070320050812123X", top_up_fen=20_000
    )
    holder.set_password("812123", CANARY)
    pos.pay(holder, 6_000, pin=CANARY)
    pos.pay(holder, 6_000, pin="739185")
    own_campus.stop()
    secrets = (CANARY.encode(), b"44070320050812123X", b"739185")
    for path in own_campus.directory.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        assert not [s for s in secrets if s in content], path
        if "registry" not in path.parts:
            assert "欧阳不留痕".encode() not in content, path


def test_a_second_server_on_the_same_directory_is_refused(own_campus):
    own_campus.start()
    config = own_campus.directory / "campuscard.toml"
    second = subprocess.run(
        [sys.executable, "-m", "server", "--config", str(config)],
        cwd=own_campus.directory,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'build' / 'stubs'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr
    assert "Traceback" not in second.stderr
    assert own_campus.open_account().number


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.0.0.1:0"])
def test_only_loopback_is_served(tmp_path, address):
    campus = Campus(tmp_path / "c", settings={"server": {"address": address}})
    with pytest.raises(ServerFailedError, match="loopback"):
        campus.start()


def test_a_test_clock_needs_a_test_directory(tmp_path):
    real = Campus(tmp_path / "c", test=False)
    real.init()
    real.test = True
    with pytest.raises(ServerFailedError):
        real.start()


def test_a_directory_with_the_wrong_key_is_refused(own_campus):
    own_campus.init()
    key_file = own_campus.directory / "campuscard.key"
    key_file.chmod(0o600)
    key_file.write_bytes(bytes(key_file.stat().st_size))
    with pytest.raises(ServerFailedError):
        own_campus.start()


def test_calls_under_way_finish_while_new_ones_are_refused(own_campus):
    own_campus.start()
    pos = own_campus.terminal("POS-07")
    holder = own_campus.open_account(top_up_fen=100_000)
    answered, refused = [], []

    def pay():
        while True:
            try:
                answered.append(pos.pay(holder, 1, pin="888888"))
            except grpc.RpcError as error:
                refused.append(error.code())
                return
            except ValueError:
                return

    threads = [threading.Thread(target=pay) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    process = own_campus.process
    process.terminate()
    assert process.wait(20) == 0
    for thread in threads:
        thread.join()
    assert set(refused) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    own_campus.process = None
    own_campus.start()
    paid = sum(decision.approved_fen for decision in answered)
    assert paid > 0
    left = holder.online_fen
    assert 100_000 - paid - len(threads) <= left <= 100_000 - paid


@pytest.mark.clause("五.4")
def test_terminals_have_a_rate_of_their_own(tmp_path):
    settings = {"limits": {"terminal_rate": 1, "terminal_burst": 5}}
    with Campus(tmp_path / "c", settings=settings) as campus:
        first = campus.terminal("POS-1")
        second = campus.terminal("POS-2")
        holder = campus.open_account(top_up_fen=1_000)
        reasons = []
        for _ in range(8):
            try:
                reasons.append(first.pay(holder, 1).reason)
            except grpc.RpcError as error:
                reason, _, details = refusal(error)
                reasons.append(reason)
                assert details["RetryInfo"].retry_delay.ToMilliseconds() > 0
        assert reasons.count("RATE_LIMITED") >= 3
        assert reasons[0] == "OK"
        assert second.pay(holder, 1).reason == "OK"
        items = [
            terminal_pb.AuthorizeStreamRequest(authorization=first.purchase(holder, 1))
            for _ in range(6)
        ]
        answers = list(campus.terminals.AuthorizeStream(iter(items), timeout=CALL_S))
        assert answers[-1].error.reason == "RATE_LIMITED"
        assert answers[-1].error.retry_after_ms > 0


def test_calls_are_logged_with_their_id_and_no_content(own_campus):
    own_campus.start()
    call = own_campus.ops.GetHead
    call(ops_service_pb2.GetHeadRequest(), metadata=(("x-request-id", "abc-1"),), timeout=CALL_S)
    holder = own_campus.open_account(name="某某某")
    own_campus.stop()
    ended = [event for event in own_campus.log() if event.get("event") == "call_ended"]
    assert [e["request_id"] for e in ended if e["method"] == "GetHead"] == ["abc-1"]
    assert {e["code"] for e in ended} == {"OK"}
    text = own_campus.log_text()
    assert "某某某" not in text
    assert holder.account_no not in json.dumps(ended)
