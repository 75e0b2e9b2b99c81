"""The engine as a whole, in this process: what is answered stands, and stands again after a start."""

import struct
import threading
import time
from pathlib import Path

import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from ext.engine import (
    DirectoryBusy,
    Effect,
    Engine,
    EngineError,
    JournalCorrupt,
    Malformed,
    Refused,
)
from tests.integration.engine_desk import (
    ACCOUNT_OPEN,
    BATH,
    LOST,
    MEDIUM,
    MEDIUM_STATE,
    MINUTE_US,
    START_US,
    TOP_UP,
    Desk,
    card,
)

DAY_US = 86_400_000_000
ROUNDS_MAX = 500  # of 100 payments: a disk that others use takes its time for a checkpoint


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path) as desk:
        yield desk


@pytest.fixture
def paid(desk):
    """A desk with one account, one terminal and three payments."""
    desk.account_number = desk.open_account(50_000)
    desk.open_terminal("POS-1")
    desk.payments = [desk.pay(desk.account_number, fen) for fen in (100, 250, 70)]
    assert [payment.reason for payment in desk.payments] == ["OK"] * 3
    return desk


def until(question):
    """Ask until there is an answer."""
    deadline = time.monotonic() + 10
    while (answer := question()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return answer


def answer_of(desk, not_yet, **key):
    """Pay again under a key of the first batch; None while refused for the reason given."""
    try:
        return desk.pay(desk.account_number, 100, batch=1, **key)
    except Refused as refused:
        if refused.reason != not_yet:
            raise
        return None


# ---- restart ----


def test_the_first_block_holds_the_rules(desk):
    first = desk.engine.read_blocks(1, 1)[0]
    count = struct.unpack_from("<I", first, 20)[0]
    types = [first[128 + 128 * i + 8] for i in range(count)]
    assert types == [69, 70, 68, 68, 68, 68, 68, 68, 96]
    assert desk.engine.head()["rule_version"] == 1


def test_a_restart_replays_to_the_same_state(paid):
    before = paid.picture()
    done = paid.restart()
    assert (done["state_seq"], done["discarded"]) == (0, "")
    assert done["records"] == before["acknowledged_seq"]
    assert paid.picture() == before
    assert paid.account(paid.account_number)["online_fen"] == 50_000 - 420


def test_a_checkpoint_shortens_the_replay(paid):
    paid.engine.checkpoint()
    paid.pay(paid.account_number, 30)
    before = paid.picture()
    done = paid.restart()
    assert done["state_seq"] == before["acknowledged_seq"] - 1
    assert (done["records"], done["discarded"]) == (1, "")
    assert paid.picture() == before


def test_a_deleted_state_is_rebuilt_from_the_journal(paid):
    paid.engine.checkpoint()
    before = paid.picture()
    done = paid.restart(without_state=True)
    assert (done["state_seq"], done["records"]) == (0, before["acknowledged_seq"])
    assert paid.picture() == before


def test_a_damaged_state_is_discarded_and_rebuilt(paid):
    paid.engine.checkpoint()
    before = paid.picture()
    paid.shut()
    file = Path(paid.data) / "state" / "data.mdb"
    key = card(paid.account_number)  # also in pages that LMDB has freed since
    file.write_bytes(file.read_bytes().replace(key, key[:3] + b"\x07" + key[4:]))
    paid.open()
    assert "checksum" in paid.engine.recovered["discarded"]
    assert paid.picture() == before


def test_a_state_of_another_journal_is_discarded(paid, tmp_path):
    with Desk(tmp_path / "other") as other:
        for _ in range(20):
            other.open_account(100)
        before = other.picture()
        paid.engine.checkpoint()
        paid.shut()
        other.shut()
        (Path(paid.data) / "state").rename(Path(other.data) / "state-of-paid")
        (Path(other.data) / "state").rename(Path(other.data) / "state-own")
        (Path(other.data) / "state-of-paid").rename(Path(other.data) / "state")
        other.open()
        assert "another journal" in other.engine.recovered["discarded"]
        assert other.picture() == before


def test_a_journal_behind_its_state_is_refused(paid):
    paid.shut()
    journal = Path(paid.data) / "journal" / "000001" / "data.mdb"
    old = journal.read_bytes()
    paid.open()
    paid.pay(paid.account_number, 30)
    paid.engine.checkpoint()
    paid.shut()
    journal.write_bytes(old)
    with pytest.raises(JournalCorrupt, match="state/ has seen"):
        paid.open()
    journal.unlink()  # nothing to close


def test_checkpoints_under_load_lead_to_the_same_state(desk):
    """Rows copied at different seqs: the replay from the start evens them out."""
    accounts = [desk.open_account(1_000_000) for _ in range(30)]
    desk.open_terminal("POS-1")
    desk.open_terminal("BATH-1", BATH)
    batch = desk.sign_in("POS-1")
    stop = threading.Event()
    taken = []

    def checkpoints():
        while not stop.is_set():
            taken.append(desk.engine.checkpoint())

    thread = threading.Thread(target=checkpoints)
    thread.start()
    try:
        for round_ in range(ROUNDS_MAX):
            if round_ >= 60 and len(taken) > 3:
                break
            seqs = range(round_ * 100 + 1, round_ * 100 + 101)
            futures = [
                desk.submit(
                    "Authorize",
                    desk.payment(accounts[seq % 30], 1 + seq % 7, batch=batch, seq=seq),
                )
                for seq in seqs
            ]
            desk.wait(*futures)
    finally:
        stop.set()
        thread.join()
    assert len(taken) > 3
    before = desk.picture()
    done = desk.restart()
    assert done["discarded"] == ""
    assert desk.picture() == before


def test_block_time_and_keys_survive(paid):
    again = paid.payment(paid.account_number, 100, seq=1)
    paid.set_time(START_US - DAY_US)  # a clock set back
    paid.restart()
    decision = paid.ask("Authorize", again).decision
    assert decision.replayed
    decision.replayed = False
    assert decision == paid.payments[0]
    later = paid.pay(paid.account_number, 10)
    assert later.time_us >= paid.payments[-1].time_us


# ---- reading ----


def test_a_transaction_is_found_by_seq_and_by_key(paid):
    payment = paid.payments[1]
    by_seq = paid.ask("GetTransaction", pb.GetTransactionRequest(seq=payment.seq))
    key = pb.TransactionKey(terminal_id="POS-1", batch_no=1, terminal_seq=2)
    by_key = paid.ask("GetTransaction", pb.GetTransactionRequest(key=key))
    assert by_seq == by_key
    assert by_seq.key == key
    assert by_seq.type == "PURCHASE"
    by_seq.decision.replayed = False
    assert by_seq.decision == payment
    with pytest.raises(Refused, match="TRANSACTION_NOT_FOUND"):
        paid.ask("GetTransaction", pb.GetTransactionRequest(seq=payment.seq + 1_000))
    future = paid.future()
    paid.engine.transaction(payment.seq, future)
    assert paid.wait(future)["amount_fen"] == 250
    with pytest.raises(Refused, match="TRANSACTION_NOT_FOUND"):
        paid.engine.transaction(payment.seq + 1_000, paid.future())


def test_pages_of_history_are_stable(paid):
    whole = paid.history(paid.account_number)
    seqs = [item["seq"] for item in whole["items"]]
    assert seqs == sorted(seqs, reverse=True)
    assert whole["next_seq"] == 0
    first = paid.history(paid.account_number, limit=2)
    paid.pay(paid.account_number, 5)
    second = paid.history(paid.account_number, first["next_seq"], limit=100)
    assert [item["seq"] for item in first["items"] + second["items"]] == seqs
    assert second["as_of_seq"] > first["as_of_seq"]


def test_history_of_another_account_is_not_given(paid):
    other = paid.open_account()
    page = paid.history(paid.account_number)
    with pytest.raises(Refused, match="NOT_FOUND"):
        paid.history(other, page["items"][0]["seq"])


def test_an_older_batch_is_loaded_once_and_answers_again(paid):
    for _ in range(3):
        paid.sign_in("POS-1")
    with pytest.raises(Refused, match="KEY_LOADING") as caught:
        paid.pay(paid.account_number, 100, batch=1, seq=1)
    assert caught.value.retry_after_ms > 0
    decision = until(lambda: answer_of(paid, "KEY_LOADING", seq=1))
    assert decision.replayed
    decision.replayed = False
    assert decision == paid.payments[0]
    assert paid.pay(paid.account_number, 7, batch=1, seq=900).reason == "OK"


def test_a_refund_reads_its_original(paid):
    request = pb.RefundRequest(
        terminal_id="POS-1",
        batch_no=1,
        terminal_seq=500,
        original=pb.Original(batch_no=1, terminal_seq=2),
        amount_fen=50,
    )
    assert paid.ask("Refund", request).decision.reason == "OK"
    assert paid.account(paid.account_number)["online_fen"] == 50_000 - 420 + 50


# ---- limits of the machine ----


def test_a_batch_is_queued_whole_and_answered_in_order(paid):
    request = pb.AuthorizeBatchRequest(terminal_id="POS-1", batch_no=1)
    for seq in range(1_000, 1_200):
        request.items.add(
            terminal_seq=seq,
            medium_type=1,
            medium_token=struct.pack("<I", paid.account_number),
            amount_fen=1,
        )
    request.items[7].amount_fen = -1
    future = paid.future()
    paid.engine.submit_batch(request.SerializeToString(), future)
    results = pb.AuthorizeBatchResponse.FromString(paid.wait(future)).results
    assert [result.terminal_seq for result in results] == list(range(1_000, 1_200))
    approved = [result.terminal_seq for result in results if result.outcome == 1]
    assert approved == [*range(1_000, 1_007), *range(1_008, 1_200)]


def authorize_batch(desk, part, count):
    """Take one fen `count` times from an account of its own; a future of the response's bytes."""
    request = pb.AuthorizeBatchRequest(terminal_id="POS-1", batch_no=1)
    token = struct.pack("<I", desk.accounts[part])
    for seq in range(1 + count * part, 1 + count * (part + 1)):
        request.items.add(terminal_seq=seq, medium_type=1, medium_token=token, amount_fen=1)
    future = desk.future()
    desk.engine.submit_batch(request.SerializeToString(), future)
    return future


def pay_in_batches(desk, count):
    """Six batches at once: the seqs, and how far past each batch the journal was at its answer."""
    durable = []

    def landed(future):
        last = pb.AuthorizeBatchResponse.FromString(future.result()).results[-1].seq
        durable.append(desk.engine.head()["acknowledged_seq"] - last)

    futures = [authorize_batch(desk, part, count) for part in range(6)]
    for future in futures:
        future.add_done_callback(landed)
    assert desk.engine.stats()["ledger_sum"] == 0, "stands still with nothing under way"
    seqs = []
    for data in desk.wait(*futures):
        results = pb.AuthorizeBatchResponse.FromString(data).results
        assert [result.outcome for result in results] == [1] * count
        seqs += [result.seq for result in results]
    return seqs, durable


@pytest.mark.parametrize("commit", ["full", "pipelined"])
def test_blocks_decided_ahead_are_answered_in_order_when_durable(tmp_path, commit):
    """Many blocks, one committed while the next is decided, checkpoints and a sum meanwhile."""
    with Desk(tmp_path, block_max=64, checkpoint_records=500, commit=commit) as desk:
        desk.accounts = [desk.open_account(50_000) for _ in range(6)]
        desk.open_terminal("POS-1")
        before = desk.engine.stats()["blocks"]
        seqs, durable = pay_in_batches(desk, 2_000)
        assert seqs == list(range(seqs[0], seqs[0] + 12_000))
        assert min(durable) >= 0, "answered before it was durable"
        assert desk.engine.stats()["blocks"] - before >= 12_000 // 64
        for account in desk.accounts:
            assert desk.account(account)["online_fen"] == 50_000 - 2_000
        assert desk.engine.checkpoint() == desk.engine.head()["acknowledged_seq"] == seqs[-1]
        picture = desk.picture()
        desk.restart()
        assert desk.picture() == picture
        desk.restart(without_state=True)
        assert desk.picture() == picture


@pytest.mark.parametrize("commit", ["full", "pipelined"])
def test_draining_waits_for_what_is_being_committed(tmp_path, commit):
    with Desk(tmp_path, block_max=64, overlap_from=1, commit=commit) as desk:
        desk.accounts = [desk.open_account(50_000) for _ in range(3)]
        desk.open_terminal("POS-1")
        futures = [authorize_batch(desk, part, 4_000) for part in range(3)]
        assert desk.engine.drain(10)
        head = desk.engine.head()
        assert head["checkpoint_seq"] == head["acknowledged_seq"]
        answers = [pb.AuthorizeBatchResponse.FromString(data) for data in desk.wait(*futures)]
        assert answers[-1].results[-1].seq == head["acknowledged_seq"]


def streamed(desk, amount=1, **key):
    message = pb.AuthorizeStreamRequest(authorization=desk.payment(desk.account_number, amount))
    for name, value in key.items():
        setattr(message.authorization, name, value)
    return message.SerializeToString()


def next_answer(desk, stream):
    while (answer := stream.take()) is None:
        future = desk.future()
        stream.wait(future)
        desk.wait(future)
    return pb.AuthorizeStreamResponse.FromString(answer)


def test_a_stream_takes_so_many_at_once_and_answers_in_order(paid):
    stream = paid.engine.stream(4)
    assert stream.take() is None
    assert stream.put(streamed(paid, terminal_seq=2_001))
    assert stream.put(b"\xff", 0), "what is wrong is answered in its place"
    assert stream.put(streamed(paid, terminal_seq=2_003), 250)
    assert stream.put(streamed(paid, terminal_seq=2_004))
    assert not stream.put(streamed(paid, terminal_seq=2_005)), "its bound"
    first = next_answer(paid, stream)
    assert (first.terminal_seq, first.decision.reason) == (2_001, "OK")
    assert next_answer(paid, stream).error.reason == "REQUEST_MALFORMED"
    third = next_answer(paid, stream)
    assert (third.error.reason, third.error.retry_after_ms) == ("RATE_LIMITED", 250)
    assert third.terminal_seq == 2_003
    assert stream.put(streamed(paid, terminal_seq=2_003))
    stream.end()
    assert not stream.over
    assert [next_answer(paid, stream).terminal_seq for _ in range(2)] == [2_004, 2_003]
    assert stream.over
    assert stream.take() is None


def test_a_stream_that_is_given_up_leaves_its_decisions(paid):
    stream = paid.engine.stream(64)
    before = paid.engine.head()["decided_seq"]
    for seq in range(2_100, 2_164):
        assert stream.put(streamed(paid, terminal_seq=seq))
    del stream
    paid.ask("Authorize", paid.payment(paid.account_number, 1))
    assert paid.engine.head()["acknowledged_seq"] >= before + 65
    last = paid.engine.stream(1)
    assert paid.engine.drain(10)
    assert last.put(streamed(paid, terminal_seq=2_200))
    refused = next_answer(paid, last)
    assert (refused.error.reason, refused.terminal_seq) == ("SHUTTING_DOWN", 2_200)
    assert refused.error.retry_after_ms > 0


def test_a_batch_larger_than_the_queue_is_refused_whole(tmp_path):
    with Desk(tmp_path, queue=64) as desk:
        account = desk.open_account(1_000)
        desk.open_terminal("POS-1")
        request = pb.AuthorizeBatchRequest(terminal_id="POS-1", batch_no=1)
        for seq in range(1, 100):
            request.items.add(
                terminal_seq=seq,
                medium_type=1,
                medium_token=struct.pack("<I", account),
                amount_fen=1,
            )
        with pytest.raises(Refused, match="QUEUE_FULL"):
            desk.engine.submit_batch(request.SerializeToString(), desk.future())
        assert desk.account(account)["online_fen"] == 1_000


def test_a_full_journal_refuses_debits_and_still_takes_loss_reports(tmp_path):
    with Desk(tmp_path, journal_bytes_max=8 << 20, segment_bytes=8 << 20) as desk:
        account = desk.open_account(1_000_000)
        desk.open_terminal("POS-1")
        while desk.engine.stats()["space_used_permille"] < 950:
            desk.act(payload=bytes(30_000))
            time.sleep(0.002)
        assert desk.engine.stats()["space_alarm"]
        with pytest.raises(Refused, match="STORAGE_NEARLY_FULL"):
            desk.pay(account, 1)
        body = MEDIUM.pack(card(account), 3, LOST, 9, 0)
        desk.act(Effect(MEDIUM_STATE, row=1, event=9, body=body))
        assert desk.account(account)["online_fen"] <= 1_000_000
        before = desk.picture()
        desk.restart()
        assert desk.picture() == before


def test_the_password_is_wiped_from_the_queue(paid):
    request = paid.payment(paid.account_number, 40_000)
    request.pin = "904617"
    paid.ask("Authorize", request)
    with Path("/proc/self/maps").open() as maps, Path("/proc/self/mem").open("rb") as memory:
        for line in maps:
            span, mode, *_rest, name = [*line.split(), ""]
            if mode.startswith("rw") and "locked" not in name and not line.rstrip().endswith("]"):
                low, high = (int(part, 16) for part in span.split("-"))
                if high - low == paid.engine.stats()["queue_bytes"]:
                    memory.seek(low)
                    assert b"904617" not in memory.read(high - low)


# ---- life ----


def test_draining_decides_what_is_queued_and_refuses_the_rest(paid):
    futures = [paid.submit("Authorize", paid.payment(paid.account_number, 1)) for _ in range(50)]
    assert paid.engine.drain(10)
    with pytest.raises(Refused, match="SHUTTING_DOWN"):
        paid.submit("Authorize", paid.payment(paid.account_number, 1))
    answers = [pb.AuthorizeResponse.FromString(data).decision for data in paid.wait(*futures)]
    assert [answer.reason for answer in answers] == ["OK"] * 50
    head = paid.engine.head()
    assert head["checkpoint_seq"] == head["acknowledged_seq"] == answers[-1].seq
    before = paid.picture()
    assert paid.restart()["records"] == 0
    assert paid.picture() == before


def test_closing_twice_does_no_harm_and_an_engine_starts_once(paid):
    with pytest.raises(EngineError):
        paid.engine.start()
    engine = paid.engine
    paid.shut()
    engine.close()
    with pytest.raises(Refused, match="SHUTTING_DOWN"):
        engine.account(1, paid.future())
    paid.open()


def test_a_cancelled_caller_disturbs_nobody(paid):
    futures = [paid.submit("Authorize", paid.payment(paid.account_number, 1)) for _ in range(10)]
    futures[4].cancel()
    answers = paid.wait(*(future for future in futures if not future.cancelled()))
    assert len(answers) == 9
    assert paid.account(paid.account_number)["online_fen"] == 50_000 - 420 - 10


def test_one_process_holds_the_directory(desk):
    with pytest.raises(DirectoryBusy):
        Engine(desk.data, desk.key, desk.options)


def test_a_test_clock_needs_a_test_directory(tmp_path):
    from ext.engine import init

    (tmp_path / "clock").write_bytes(struct.pack("<q", START_US))
    init(str(tmp_path / "data"), str(tmp_path / "key"))
    with pytest.raises(EngineError, match="--test"):
        Engine(
            str(tmp_path / "data"), str(tmp_path / "key"), {"clock_path": str(tmp_path / "clock")}
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [("accounts_max", 0), ("queue", "many"), ("block_max", 1 << 20), ("colour", 3)],
)
def test_options_are_checked(desk, name, value):
    with pytest.raises(EngineError, match=name if name != "colour" else "no such option"):
        Engine(desk.data, desk.key, {name: value})


def test_what_cannot_be_decoded_is_refused_at_once(desk):
    with pytest.raises(Malformed) as caught:
        desk.submit("Authorize", pb.AuthorizeRequest(terminal_id="POS-1", terminal_seq=70_000))
    assert caught.value.reason == "FIELD_INVALID"
    with pytest.raises(Malformed):
        desk.engine.submit(1, b"\xff\xff\xff", desk.future())
    until(lambda: desk.engine.stats()["queue_depth"] == 0 or None)
    assert desk.open_account(100) == 1


def test_office_acts_are_answered_again(desk):
    request_id = desk.request_id()
    first = desk.act(Effect(ACCOUNT_OPEN, event=1), request_id=request_id)
    again = desk.act(Effect(ACCOUNT_OPEN, event=1), request_id=request_id)
    assert again == first | {"replayed": True, "as_of_seq": again["as_of_seq"]}
    with pytest.raises(Refused, match="REQUEST_ID_REUSED"):
        desk.act(Effect(ACCOUNT_OPEN, event=1), request_id=request_id, fingerprint=2)
    with pytest.raises(Refused, match="CONFLICT"):
        desk.act(
            Effect(
                TOP_UP,
                row=1,
                expect=2,
                expect_last_seq=999,
                amount_fen=5,
                debit_wallet=16,
                credit_wallet=1,
            )
        )


def test_due_holds_expire_without_a_command(paid):
    paid.open_terminal("BATH-1", BATH)
    request = pb.HoldRequest(
        terminal_id="BATH-1",
        batch_no=1,
        terminal_seq=1,
        medium=pb.Medium(type=1, token=struct.pack("<I", paid.account_number)),
        amount_fen=500,
    )
    assert paid.ask("Hold", request).decision.reason == "OK"
    assert paid.account(paid.account_number)["held_fen"] == 500
    before = paid.engine.head()["acknowledged_seq"]
    paid.set_time(START_US + 31 * MINUTE_US)
    until(lambda: paid.engine.head()["acknowledged_seq"] > before or None)
    assert paid.account(paid.account_number)["held_fen"] == 0


def test_the_books_are_even_and_counted(paid):
    stats = paid.engine.stats()
    assert stats["ledger_sum"] == 0
    assert stats["records"] > 3
    assert sum(stats["block_sizes"]) == stats["blocks"] == sum(stats["commit_us"])
    # The first block was made before this start: nobody asked for it.
    assert stats["taken"] == stats["released"] == stats["commands"] > 3
    parts = ("queue_ns", "in_decide_ns", "in_hash_ns", "in_commit_ns")
    assert all(stats[part] > 0 for part in parts)
    # Each command was alone in its block.
    assert stats["in_hash_ns"] == stats["hash_ns"]
    assert stats["in_decide_ns"] <= stats["decide_ns"]
    assert stats["in_commit_ns"] >= stats["commit_ns"]
