"""HolderService: two passwords, the lock of self-service, and what holders see of their own."""

import itertools
import sqlite3
import statistics
import threading
import time

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import holder_service_pb2 as pb
from campuscard.v1 import staff_service_pb2 as staff_pb
from tests.campus import CALL_S, Campus, refusal
from tests.rosters import as_csv, id_number, import_roster, row
from tests.self_service import SelfService, reset_query

ID_NUMBER = "44070320050812123X"
INITIAL = "812123"
QUERY = "lantern-42"
PIN = "904617"
NUMBERS = itertools.count(200571030001)


def refused(reason, call, *arguments, **options):
    """Call what must be refused; returns the metadata."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    found, metadata, _ = refusal(caught.value)
    assert found == reason
    return metadata


def holder(campus, *, top_up_fen=0, id_text=ID_NUMBER):
    """Open an account; returns the Holder and the same at the phone."""
    opened = campus.open_account(str(next(NUMBERS)), id_number=id_text, top_up_fen=top_up_fen)
    return opened, SelfService(campus, opened.account_no)


def locked(campus, phone, *, times=5):
    for _ in range(times):
        refused("QUERY_PASSWORD_REFUSED", phone.sign_in, "000000")
    campus.pass_time(seconds=1)


# ---- signing in ----


@pytest.mark.clause("四.3a", "四.4", "五.2a")
def test_sign_in_and_what_a_holder_sees(campus, pos):
    opened, phone = holder(campus, top_up_fen=20_000)
    assert pos.pay(opened, 1_250).reason == "OK"
    signed_in = phone.sign_in(INITIAL)
    assert signed_in.until_us - campus.now_us() == 900_000_000
    assert signed_in.must_change == pb.MustChange(query_password=True, transaction_password=True)
    phone.enter(INITIAL)
    found = phone.show()
    assert found.account.account_no == opened.account_no
    assert found.account.name == "张三"
    assert (found.wallets.online_fen, found.wallets.day_used_fen) == (18_750, 1_250)
    assert (found.wallets.day_limit_fen, found.wallets.meal_limit_fen) == (10_000, 5_000)
    assert [card.account_no for card in found.cards] == [opened.account_no]
    assert found.must_change == pb.MustChange(transaction_password=True)
    types = [item.type for item in phone.transactions().transactions]
    assert types[:2] == ["PURCHASE", "TOP_UP"]
    phone.sign_out()
    refused("SESSION_REQUIRED", phone.show)


def test_a_session_ends_by_itself(campus):
    _, phone = holder(campus)
    phone.sign_in(INITIAL)
    campus.pass_time(seconds=901)
    refused("SESSION_REQUIRED", phone.show)


@pytest.mark.clause("五.2a")
def test_an_initial_password_changes_passwords_and_reports_a_loss_and_nothing_else(tmp_path):
    """Whoever knows an ID number could read on: the initial query password opens no account."""
    with Campus(tmp_path / "campus") as campus:
        _, phone = holder(campus)
        phone.sign_in(INITIAL)
        for call in (phone.show, phone.transactions, phone.acts, phone.unlose):
            refused("INITIAL_PASSWORD", call)
        refused("INITIAL_PASSWORD", phone.set_limits, day_limit_fen=1)
        refused("INITIAL_PASSWORD", phone.call, "IssueQr", pb.IssueQrRequest())
        assert phone.lose().media == 1
        phone.change_transaction(INITIAL, PIN)
        refused("INITIAL_PASSWORD", phone.show)
        phone.sign_out()
        phone.enter(INITIAL, QUERY)
        assert phone.show().must_change == pb.MustChange()
        reset_query(campus, phone.account_no, ID_NUMBER)
        phone.sign_in(INITIAL)
        refused("INITIAL_PASSWORD", phone.show)
        campus.change_parameter("initial_query_use", "ALL")
        phone.sign_in(INITIAL)
        assert phone.show().must_change.query_password


@pytest.mark.clause("七.3")
def test_nobody_reads_anothers_pages(campus, pos):
    one, phone = holder(campus, top_up_fen=10_000)
    _, other = holder(campus, top_up_fen=10_000)
    for _ in range(3):
        pos.pay(one, 100)
    phone.enter(INITIAL)
    other.enter(INITIAL)
    first = phone.transactions(page_size=2)
    assert first.next_page_token
    refused("PAGE_TOKEN_INVALID", other.transactions, page_size=2, page_token=first.next_page_token)
    acts = phone.acts(page_size=1)
    refused("PAGE_TOKEN_INVALID", other.acts, page_size=1, page_token=acts.next_page_token)
    refused("FIELD_INVALID", other.lose, account_no=one.account_no)
    assert not one.read().media[0].lost


@pytest.mark.parametrize("account_no", ["404404404404", "", "不是"])
def test_unknown_accounts_are_answered_like_wrong_passwords(campus, account_no):
    phone = SelfService(campus, account_no)
    reason = "QUERY_PASSWORD_REFUSED" if account_no.isascii() and account_no else "FIELD_INVALID"
    refused(reason, phone.sign_in, INITIAL)
    refused("FIELD_INVALID", SelfService(campus, "404").sign_in, "x" * 65)


def test_tries_are_rated_also_of_nobody(campus):
    phone = SelfService(campus, "505505505505")
    for _ in range(20):
        refused("QUERY_PASSWORD_REFUSED", phone.sign_in, INITIAL)
    refused("RATE_LIMITED", phone.sign_in, INITIAL)


def test_everybody_waits_as_long_for_a_refusal(tmp_path):
    """Unknown, wrong, initial, changed: the medians lie together."""
    settings = {"staff": {"argon2_memory_kib": 4_096, "refusal_ms": 150}}
    with Campus(tmp_path / "campus", settings=settings) as campus:
        _, known = holder(campus)
        _, changed = holder(campus)
        changed.sign_in(INITIAL)
        changed.change_query(INITIAL, QUERY)
        changed.token = ""
        took = {}
        for name, phone in (
            ("unknown", SelfService(campus, "404404")),
            ("initial", known),
            ("changed", changed),
        ):
            times = []
            for _ in range(4):
                began = time.perf_counter()
                refused("QUERY_PASSWORD_REFUSED", phone.sign_in, "wrong-one")
                times.append(time.perf_counter() - began)
            took[name] = statistics.median(times)
        assert min(took.values()) >= 0.15
        assert max(took.values()) - min(took.values()) < 0.2, took


# ---- the lock ----


@pytest.mark.clause("三.2c", "四.3a")
def test_the_lock_is_of_self_service_alone(campus, pos):
    """Regulation 三.2: the counter takes a loss report whatever somebody guessed."""
    opened, phone = holder(campus, top_up_fen=20_000)
    locked(campus, phone)
    refused("QUERY_PASSWORD_REFUSED", phone.sign_in, INITIAL)
    refused(
        "QUERY_PASSWORD_REFUSED",
        phone.lose,
        account_no=opened.account_no,
        query_password=INITIAL,
    )
    assert pos.pay(opened, 6_000, pin=INITIAL).reason == "OK", "the other password is not locked"
    assert opened.lose().media == 1
    assert pos.pay(opened, 100).reason == "CARD_LOST"


def test_the_lock_outlives_a_restart_and_ends_by_itself(tmp_path):
    with Campus(tmp_path / "campus") as campus:
        _, phone = holder(campus)
        locked(campus, phone, times=4)
        campus.kill9()
        campus.restart()
        locked(campus, phone, times=1)
        refused("QUERY_PASSWORD_REFUSED", phone.sign_in, INITIAL)
        campus.stop()
        for file in (campus.data / "registry").iterdir():
            file.unlink()
        campus.start()
        refused("QUERY_PASSWORD_REFUSED", phone.sign_in, INITIAL)
        campus.pass_time(seconds=86_400)
        phone.sign_in(INITIAL)
        locked(campus, SelfService(campus, phone.account_no), times=4)
        phone.sign_in(INITIAL)


def test_a_right_one_ends_the_count(campus):
    _, phone = holder(campus)
    for _ in range(2):
        locked(campus, phone, times=4)
        phone.sign_in(INITIAL)


def test_parallel_guesses_get_no_more_tries(campus):
    """Of eight at once five are evaluated, and the right one comes too late."""
    _, phone = holder(campus)
    reasons, barrier = [], threading.Barrier(8)

    def guess():
        mine = SelfService(campus, phone.account_no)
        barrier.wait()
        with pytest.raises(grpc.RpcError) as caught:
            mine.sign_in("000000")
        reasons.append(refusal(caught.value)[0])

    guessing = [threading.Thread(target=guess) for _ in range(8)]
    for thread in guessing:
        thread.start()
    for thread in guessing:
        thread.join()
    assert set(reasons) == {"QUERY_PASSWORD_REFUSED"}
    refused("QUERY_PASSWORD_REFUSED", phone.sign_in, INITIAL)
    failed = [act for act in acts_about(campus, phone) if act.kind == "QueryPasswordFailed"]
    assert len(failed) == 5


def acts_about(campus, phone):
    request = staff_pb.ListActsRequest(account_no=phone.account_no, page_size=1_000)
    return campus.stub("StaffService").ListActs(request, timeout=CALL_S).acts


@pytest.mark.clause("四.3b")
def test_the_counter_gives_a_new_beginning(campus):
    opened, phone = holder(campus)
    phone.sign_in(INITIAL)
    phone.change_query(INITIAL, QUERY)
    phone.sign_in(QUERY)
    still_in = SelfService(campus, opened.account_no)
    still_in.token = phone.token
    locked(campus, SelfService(campus, opened.account_no))
    refused("IDENTITY_MISMATCH", reset_query, campus, opened.account_no, id_number(9))
    refused("IDENTITY_MISMATCH", reset_query, campus, opened.account_no, "")
    reset_query(campus, opened.account_no, ID_NUMBER)
    refused("SESSION_REQUIRED", still_in.show)
    refused("QUERY_PASSWORD_REFUSED", phone.sign_in, QUERY)
    assert phone.sign_in(INITIAL).must_change.query_password
    refused("IDENTITY_MISMATCH", opened.reset_password, id_number(9))
    opened.reset_password(ID_NUMBER.lower())


def test_resets_keep_the_hours_of_the_counter_where_they_have_to(tmp_path):
    with Campus(tmp_path / "campus") as campus:
        opened, _ = holder(campus)
        campus.set_time("2024-03-14 10:00")
        reset_query(campus, opened.account_no, ID_NUMBER)
        campus.change_parameter("counter_operations", "PASSWORD_RESET")
        for reset in (
            lambda: reset_query(campus, opened.account_no, ID_NUMBER),
            lambda: opened.reset_password(ID_NUMBER),
        ):
            found = refused("OUTSIDE_SERVICE_HOURS", reset)
            assert found == {"operation": "PASSWORD_RESET", "opens": "2024-03-15 14:30"}
        campus.set_time("2024-03-15 14:30")
        reset_query(campus, opened.account_no, ID_NUMBER)
        opened.reset_password(ID_NUMBER)


def test_only_the_card_office_resets(campus):
    opened, _ = holder(campus)
    finance = campus.member("finance-e", "FINANCE")
    refused("FORBIDDEN", reset_query, campus, opened.account_no, ID_NUMBER, member=finance)


# ---- changing the query password ----


@pytest.mark.clause("四.4")
def test_a_new_query_password_ends_all_sessions(campus):
    """Regulation 四.4."""
    _, phone = holder(campus)
    other = SelfService(campus, phone.account_no)
    phone.sign_in(INITIAL)
    other.sign_in(INITIAL)
    changed = phone.change_query(INITIAL, QUERY)
    assert changed.must_change == pb.MustChange(query_password=False, transaction_password=True)
    for ended in (phone, other):
        refused("SESSION_REQUIRED", ended.show)
        refused("QUERY_PASSWORD_REFUSED", ended.sign_in, INITIAL)
    assert not phone.sign_in(QUERY).must_change.query_password


@pytest.mark.clause("四.4", "五.2b")
def test_each_fault_of_a_new_query_password_has_its_reason(campus):
    opened, phone = holder(campus)
    opened.set_password(INITIAL, PIN)
    phone.sign_in(INITIAL)
    refused("PASSWORD_MISMATCH", phone.change_query, INITIAL, QUERY, "lantern-43")
    assert refused("QUERY_PASSWORD_WRONG", phone.change_query, "wrong", QUERY) == {"triesLeft": "4"}
    refused("FIELD_INVALID", phone.change_query, INITIAL, "１２３４５６７８")
    refused("PASSWORDS_EQUAL", phone.change_query, INITIAL, PIN)
    weak = {
        "518903": "TOO_SHORT",
        "20050812": "PERSONAL",
        "12345678": "SEQUENCE",
        opened.account_no: "ACCOUNT_NO",
        "aaaaaaaaaa": "REPEATED",
    }
    for password, rule in weak.items():
        found = refused("WEAK_PASSWORD", phone.change_query, INITIAL, password)
        assert found["rule"] == rule


def test_wrong_old_passwords_lock_too(campus):
    _, phone = holder(campus)
    phone.sign_in(INITIAL)
    left = [
        refused("QUERY_PASSWORD_WRONG", phone.change_query, "wrong", QUERY)["triesLeft"]
        for _ in range(4)
    ]
    assert left == ["4", "3", "2", "1"]
    found = refused("SELF_SERVICE_LOCKED", phone.change_query, "wrong", QUERY)
    assert int(found["lockedUntilUs"]) > campus.now_us()
    refused("SELF_SERVICE_LOCKED", phone.change_query, INITIAL, QUERY)


@pytest.mark.clause("五.2b")
def test_the_last_three_do_not_come_back(campus):
    _, phone = holder(campus)
    present = INITIAL
    for new in ("lantern-1", "lantern-2", "lantern-3"):
        phone.sign_in(present)
        phone.change_query(present, new)
        present = new
    phone.sign_in(present)
    refused("PASSWORD_UNCHANGED", phone.change_query, present, "lantern-3")
    for old in ("lantern-1", "lantern-2"):
        found = refused("WEAK_PASSWORD", phone.change_query, present, old)
        assert found["rule"] == "RECENT"
    phone.change_query(present, "lantern-4")
    phone.sign_in("lantern-4")
    phone.change_query("lantern-4", "lantern-1")


# ---- changing the transaction password ----


@pytest.mark.clause("五.2a")
def test_the_transaction_password_of_ones_own(campus, pos):
    opened, phone = holder(campus, top_up_fen=20_000)
    signed_in = phone.sign_in(INITIAL)
    assert signed_in.must_change.transaction_password
    assert pos.pay(opened, 5_100, pin=INITIAL).must_change_pin
    refused("PASSWORD_MISMATCH", phone.change_transaction, INITIAL, PIN, "904618")
    refused("FIELD_INVALID", phone.change_transaction, INITIAL, "９０４６１７")
    for weak, rule in (
        ("888888", "DEFAULT"),
        ("050812", "PERSONAL"),
        ("123456", "SEQUENCE"),
        (opened.account_no[3:9], "ACCOUNT_NO"),
    ):
        assert refused("WEAK_PASSWORD", phone.change_transaction, INITIAL, weak)["rule"] == rule
    found = refused("PASSWORD_REFUSED", phone.change_transaction, "111112", PIN)
    assert found == {"reason": "PIN_WRONG", "triesLeft": "2"}
    changed = phone.change_transaction(INITIAL, PIN)
    assert changed.must_change == pb.MustChange(query_password=True, transaction_password=False)
    refused("INITIAL_PASSWORD", phone.show)  # and not SESSION_REQUIRED: the session stays
    assert pos.pay(opened, 5_100, pin=PIN).reason == "OK"
    refused("PASSWORD_UNCHANGED", phone.change_transaction, PIN, PIN)


def test_changes_are_rated(campus):
    """What a wanted password is refused for shall not tell all of them (the other password)."""
    _, phone = holder(campus)
    phone.sign_in(INITIAL)
    for _ in range(10):
        refused("WEAK_PASSWORD", phone.change_transaction, INITIAL, "123456")
    refused("RATE_LIMITED", phone.change_transaction, INITIAL, "123456")


def test_a_repeated_change_is_answered_the_same(campus):
    _, phone = holder(campus)
    phone.sign_in(INITIAL)
    request_id = campus.request_id()
    first = phone.change_transaction(INITIAL, PIN, request_id=request_id)
    again = phone.change_transaction(INITIAL, PIN, request_id=request_id)
    assert (again.act.seq, again.act.replayed) == (first.act.seq, True)


def test_imported_and_opened_holders_have_the_same_secrets(campus):
    number = str(next(NUMBERS))
    import_roster(campus, as_csv([row(number, "测试甲", id_text=ID_NUMBER, phone="13800138000")]))
    imported = SelfService(campus, number)
    imported.sign_in(INITIAL)
    found = refused("WEAK_PASSWORD", imported.change_transaction, INITIAL, "380013")
    assert found["rule"] == "PHONE"
    for phone in (imported, holder(campus)[1]):
        phone.sign_in(INITIAL)
        for weak in ("050812", "120805", "200508", "121230"):
            found = refused("WEAK_PASSWORD", phone.change_transaction, INITIAL, weak)
            assert found["rule"] == "PERSONAL"


def test_an_act_about_several_is_seen_by_each(campus):
    numbers = [str(next(NUMBERS)) for _ in range(3)]
    import_roster(campus, as_csv([row(number, id_text=ID_NUMBER) for number in numbers]))
    seen = set()
    for number in numbers:
        phone = SelfService(campus, number)
        phone.enter(INITIAL)
        (added,) = [act for act in phone.acts().acts if act.kind == "HoldersAdded"]
        assert added.account_no == number
        seen.add(added.seq)
    assert len(seen) == 1, "one act of the journal"


# ---- losses, limits, acts ----


@pytest.mark.clause("三.2a", "三.2c")
def test_a_loss_is_reported_at_any_hour(campus, pos):
    """Regulation 三.2: Sunday night, by number and query password, without a session."""
    opened, phone = holder(campus, top_up_fen=5_000)
    campus.set_time("2024-03-17 03:00")
    first = phone.lose(account_no=opened.account_no, query_password=INITIAL)
    assert (first.media, first.lost_time_us) == (1, campus.now_us())
    assert first.must_change.query_password
    assert pos.pay(opened, 100).reason == "CARD_LOST"
    campus.pass_time(minutes=5)
    phone.sign_in(INITIAL)
    again = phone.lose()
    assert (again.media, again.lost_time_us) == (0, first.lost_time_us)
    assert again.act.seq == first.act.seq
    phone.enter(INITIAL)
    refused("CHANNEL_NOT_ALLOWED", phone.unlose)
    (act,) = [act for act in phone.acts().acts if act.kind == "LossReported"]
    assert (act.actor, act.role, act.channel) == (
        f"holder:{opened.number}",
        "HOLDER",
        "SELF_SERVICE",
    )
    phone.token = ""
    refused("FIELD_INVALID", phone.lose)
    refused("QUERY_PASSWORD_REFUSED", phone.lose, account_no=opened.account_no)


@pytest.mark.clause("四.3f")
def test_limits_fall_freely_and_rise_with_the_password(campus):
    opened, phone = holder(campus)
    phone.enter(INITIAL)
    assert phone.set_limits(day_limit_fen=2_000).personal_day_limit_fen == 2_000
    found = refused("PASSWORD_REFUSED", phone.set_limits, day_limit_fen=3_000)
    assert found["reason"] == "PIN_REQUIRED"
    refused("FIELD_INVALID", phone.set_limits, day_limit_fen=3_000, transaction_password="12")
    raised = phone.set_limits(day_limit_fen=50_000, transaction_password=INITIAL)
    assert raised.personal_day_limit_fen == 50_000
    refused("LIMIT_OVER_CEILING", phone.set_limits, day_limit_fen=50_001)
    back = phone.set_limits(default_day_limit=True)
    assert not back.HasField("personal_day_limit_fen")
    assert opened.read().wallets.day_limit_fen == 10_000


@pytest.mark.clause("八.3")
def test_holders_see_who_did_what_about_them(campus):
    opened, phone = holder(campus, top_up_fen=1_000)
    refused("QUERY_PASSWORD_REFUSED", phone.sign_in, "000000")
    phone.enter(INITIAL)
    opened.suspend()
    refused("PASSWORD_REFUSED", phone.change_transaction, "111112", PIN)
    found = phone.acts().acts
    assert [act.kind for act in found] == [
        "TransactionPasswordSet",
        "UseSuspended",
        "HolderSignedIn",
        "QueryPasswordSet",
        "HolderSignedIn",
        "QueryPasswordFailed",
        "ToppedUp",
        "AccountOpened",
    ]
    assert found[0].refusal == "PIN_WRONG"
    assert found[1].actor.startswith("staff:")
    assert {act.account_no for act in found} == {opened.account_no}
    first = phone.acts(page_size=2)
    rest = phone.acts(page_size=1_000, page_token=first.next_page_token)
    assert [act.seq for act in (*first.acts, *rest.acts)] == [act.seq for act in found]


def test_the_erased_have_no_passwords(campus):
    opened, phone = holder(campus)
    phone.sign_in(INITIAL)
    phone.change_query(INITIAL, QUERY)
    phone.sign_in(QUERY)
    campus.set_time("2024-03-20 15:00")
    opened.set_status("CLOSING")
    opened.set_status("CLOSED")
    request = accounts_pb.EraseHolderRequest(
        request_id=campus.request_id(), account_no=opened.account_no, reason="asked for"
    )
    campus.accounts.EraseHolder(request, timeout=CALL_S)
    refused("SESSION_REQUIRED", phone.show)
    refused("QUERY_PASSWORD_REFUSED", phone.sign_in, QUERY)
    refused("HOLDER_ERASED", reset_query, campus, opened.account_no, ID_NUMBER)


def content_of(campus):
    """Return every row of the registry, table by table."""
    with sqlite3.connect(campus.data / "registry" / "registry.db") as connection:
        return sorted(connection.iterdump())


def test_a_rebuilt_registry_knows_the_same_passwords(tmp_path):
    with Campus(tmp_path / "campus") as campus:
        opened, phone = holder(campus)
        opened.set_password(INITIAL, PIN)
        phone.sign_in(INITIAL)
        phone.change_query(INITIAL, QUERY)
        _, other = holder(campus)
        locked(campus, other, times=3)
        campus.stop()
        before = content_of(campus)
        assert sum('INSERT INTO "passwords"' in row for row in before) == 2
        assert sum('INSERT INTO "query_tries"' in row for row in before) == 1
        for file in (campus.data / "registry").iterdir():
            file.unlink()
        campus.start()
        assert not phone.sign_in(QUERY).must_change.query_password
        other.sign_in(INITIAL)
        campus.stop()
        kept = [row for row in content_of(campus) if "passwords" in row]
        assert kept == [row for row in before if "passwords" in row]


def test_payments_are_answered_while_people_sign_in(tmp_path):
    """argon2id at full cost for twenty at once: payments do not wait for their turn among them.

    Were one hash in the payments' way, a payment would be answered after each at most.
    """
    full = {"argon2_memory_kib": 65_536, "argon2_passes": 3, "refusal_ms": 250}
    with Campus(tmp_path / "campus", settings={"staff": full}) as campus:
        till = campus.terminal("POS-LAT")
        payers = [
            campus.open_account(top_up_fen=5_000) for _ in range(40)
        ]  # whose meal limits last
        phones = [holder(campus)[1] for _ in range(20)]
        signing = [threading.Thread(target=phone.sign_in, args=(INITIAL,)) for phone in phones]
        for thread in signing:
            thread.start()
        paid = 0
        while any(thread.is_alive() for thread in signing):
            assert till.pay(payers[paid % len(payers)], 1).reason == "OK"
            paid += 1
        assert paid > len(phones)
        assert all(phone.token for phone in phones)
