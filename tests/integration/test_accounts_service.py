"""AccountService on a real server: what each act does, refuses and answers again."""

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from tests.campus import CALL_S, refusal

ID_NUMBER = "44070320050812123X"


def refused(reason, function, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        function(*args, **kwargs)
    name, metadata, details = refusal(caught.value)
    assert name == reason, (name, metadata, caught.value.details())
    assert details["LocalizedMessage"].locale == "zh-CN"
    return metadata


def opening(campus, **changes):
    values = {
        "request_id": campus.request_id(),
        "account_no": f"N{next(campus.numbers)}",
        "kind": pb.HOLDER_KIND_STUDENT,
        "name": "李四",
        "class_name": "2023级2班",
        "id_number": "",
    }
    return pb.OpenAccountRequest(**{**values, **changes})


def test_an_account_opens_and_reads_back(campus):
    holder = campus.open_account(name="王五", class_name="2023级9班", id_number="")
    found = holder.read()
    assert found.account.name == "王五"
    assert found.account.class_name == "2023级9班"
    assert found.account.status == pb.ACCOUNT_STATUS_NORMAL
    assert found.account.must_change_pin
    assert not found.account.HasField("personal_day_limit_fen")
    assert found.account.open_time_us == campus.now_us()
    assert (found.wallets.online_fen, found.wallets.day_limit_fen) == (0, 10_000)
    assert found.wallets.meal_limit_fen == 5_000
    (medium,) = found.media
    assert medium.medium == holder.medium
    assert medium.state == pb.MEDIUM_STATE_ACTIVE
    by_medium = campus.accounts.GetAccount(
        pb.GetAccountRequest(medium=holder.medium), timeout=CALL_S
    )
    assert by_medium.account == found.account


def test_the_same_request_is_answered_again_and_changes_nothing(campus):
    request = opening(campus, id_number=ID_NUMBER)
    first = campus.accounts.OpenAccount(request, timeout=CALL_S)
    assert not first.act.replayed
    again = campus.accounts.OpenAccount(request, timeout=CALL_S)
    assert again.act.replayed
    again.act.replayed = False
    assert again == first


def test_the_same_id_with_another_body_is_refused(campus):
    request = opening(campus)
    campus.accounts.OpenAccount(request, timeout=CALL_S)
    request.name = "赵六"
    refused("REQUEST_ID_REUSED", campus.accounts.OpenAccount, request, timeout=CALL_S)


def test_names_are_taken_once(campus):
    holder = campus.open_account()
    again = opening(campus, account_no=holder.account_no)
    assert refused("ALREADY_EXISTS", campus.accounts.OpenAccount, again)["what"] == "account"
    bound = opening(campus, medium=holder.medium)
    assert refused("ALREADY_EXISTS", campus.accounts.OpenAccount, bound)["what"] == "medium"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"request_id": "1"}, "request_id"),
        ({"account_no": "２００"}, "account_no"),
        ({"kind": 0}, "kind"),
        ({"kind": 99}, "kind"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"class_name": "x" * 65}, "class_name"),
        ({"id_number": "440703200508121231"}, "id_number"),
        ({"id_number": ID_NUMBER, "account_no": ID_NUMBER}, "account_no"),
        ({"id_number": ID_NUMBER, "name": f"李四{ID_NUMBER.lower()}"}, "name"),
        ({"id_number": ID_NUMBER, "class_name": ID_NUMBER}, "class_name"),
        ({"medium": terminal_pb.Medium(type=1, token=b"1")}, "medium.token"),
        ({"medium": terminal_pb.Medium(token=b"1234")}, "medium.type"),
    ],
)
def test_fields_are_checked(campus, changes, field):
    metadata = refused("FIELD_INVALID", campus.accounts.OpenAccount, opening(campus, **changes))
    assert metadata["field"] == field


def test_the_id_number_gives_the_initial_password(campus, pos):
    """Regulation 四.3: over the meal limit the last six digits are asked for, X left out."""
    holder = campus.open_account(id_number=ID_NUMBER, top_up_fen=20_000)
    assert pos.pay(holder, 6_000, pin="121230").reason == "PIN_WRONG"
    decision = pos.pay(holder, 6_000, pin="812123")
    assert (decision.reason, decision.must_change_pin) == ("OK", True)
    passport = campus.open_account(id_number="E1234", top_up_fen=20_000)
    assert pos.pay(passport, 6_000, pin="888888").reason == "OK"


@pytest.mark.clause("四.5")
def test_money_comes_in_once_per_channel_transaction(campus):
    holder = campus.open_account()
    first = holder.top_up(10_000, channel_txn_id="wx-1", source=pb.TOP_UP_SOURCE_WECHAT)
    assert (first.online_fen, first.debt_settled_fen) == (10_000, 0)
    metadata = refused(
        "CHANNEL_TXN_REUSED",
        holder.top_up,
        10_000,
        channel_txn_id="wx-1",
        source=pb.TOP_UP_SOURCE_WECHAT,
    )
    assert metadata["creditedSeq"] == str(first.act.seq)
    other = holder.top_up(5, channel_txn_id="wx-1", source=pb.TOP_UP_SOURCE_BANK)
    assert other.online_fen == 10_005, "another channel numbers its own"


def test_a_retried_top_up_answers_its_own_moment(campus, pos):
    holder = campus.open_account()
    request = pb.TopUpRequest(
        request_id=campus.request_id(),
        account_no=holder.account_no,
        source=pb.TOP_UP_SOURCE_CASH,
        channel_txn_id=f"cash-{holder.account_no}",
        amount_fen=1_000,
    )
    first = campus.accounts.TopUp(request, timeout=CALL_S)
    assert pos.pay(holder, 300).reason == "OK"
    again = campus.accounts.TopUp(request, timeout=CALL_S)
    assert (again.online_fen, again.act.seq) == (first.online_fen, first.act.seq)
    assert again.act.replayed
    assert holder.online_fen == 700


def test_subsidies_are_their_own_wallet(campus):
    holder = campus.open_account(top_up_fen=100)
    request = pb.GrantSubsidyRequest(
        request_id=campus.request_id(),
        account_no=holder.account_no,
        amount_fen=5_000,
        label="2024-03",
    )
    assert campus.accounts.GrantSubsidy(request, timeout=CALL_S).subsidy_fen == 5_000
    wallets = holder.read().wallets
    assert (wallets.online_fen, wallets.subsidy_fen) == (100, 5_000)


@pytest.mark.clause("四.3f")
def test_limits_fall_freely_and_rise_with_the_password(campus):
    holder = campus.open_account(id_number=ID_NUMBER)

    def limits(**changes):
        request = pb.SetPersonalLimitsRequest(
            request_id=campus.request_id(), account_no=holder.account_no, **changes
        )
        return campus.accounts.SetPersonalLimits(request, timeout=CALL_S)

    assert limits(day_limit_fen=5_000).personal_day_limit_fen == 5_000
    assert holder.read().wallets.day_limit_fen == 5_000
    assert refused("PASSWORD_REFUSED", limits, day_limit_fen=20_000) == {"reason": "PIN_REQUIRED"}
    wrong = refused("PASSWORD_REFUSED", limits, day_limit_fen=20_000, pin="000000")
    assert wrong == {"reason": "PIN_WRONG", "triesLeft": "2"}
    raised = limits(day_limit_fen=20_000, pin="812123")
    assert raised.personal_day_limit_fen == 20_000
    assert not raised.HasField("personal_meal_limit_fen")
    assert refused("LIMIT_OVER_CEILING", limits, day_limit_fen=100_000_000, pin="812123")
    back = limits(default_day_limit=True)
    assert not back.HasField("personal_day_limit_fen")
    assert holder.read().wallets.day_limit_fen == 10_000
    for changes in ({}, {"day_limit_fen": 1, "default_day_limit": True}, {"meal_limit_fen": -1}):
        refused("FIELD_INVALID", limits, **changes)


def test_the_password_changes_with_the_old_one(campus, pos):
    holder = campus.open_account("200571020399", id_number=ID_NUMBER, top_up_fen=20_000)
    assert refused("WEAK_PASSWORD", holder.set_password, "812123", "710203") == {
        "rule": "ACCOUNT_NO"
    }
    assert refused("PASSWORD_REFUSED", holder.set_password, "111111", "904617")["triesLeft"] == "2"
    holder.set_password("812123", "904617")
    assert not holder.read().account.must_change_pin
    assert pos.pay(holder, 6_000, pin="812123").reason == "PIN_WRONG"
    decision = pos.pay(holder, 6_000, pin="904617")
    assert (decision.reason, decision.must_change_pin) == ("OK", False)


def test_a_wrong_password_is_final_for_its_request(campus):
    holder = campus.open_account(id_number=ID_NUMBER)
    request = pb.SetTransactionPasswordRequest(
        request_id=campus.request_id(),
        account_no=holder.account_no,
        old_pin="000000",
        new_pin="904617",
    )
    for _ in range(5):
        metadata = refused("PASSWORD_REFUSED", campus.accounts.SetTransactionPassword, request)
        assert metadata == {"reason": "PIN_WRONG", "triesLeft": "2"}, "one try, however often sent"
    request.old_pin = "812123"
    refused("PASSWORD_REFUSED", campus.accounts.SetTransactionPassword, request)


@pytest.mark.clause("四.3e")
def test_three_wrong_passwords_lock_and_the_counter_unlocks(campus):
    holder = campus.open_account(id_number=ID_NUMBER)
    left = [
        refused("PASSWORD_REFUSED", holder.set_password, "000000", "904617")["triesLeft"]
        for _ in range(3)
    ]
    assert left == ["2", "1", "0"]
    assert refused("PASSWORD_REFUSED", holder.set_password, "812123", "904617") == {
        "reason": "PIN_LOCKED"
    }
    assert holder.read().wallets.pin_locked
    holder.reset_password(ID_NUMBER)
    found = holder.read()
    assert not found.wallets.pin_locked
    assert found.account.must_change_pin
    holder.set_password("812123", "904617")


def test_cards_are_not_bound_beside_the_card_office(campus, pos):
    """Regulation 五.1: one card, and every card through its office."""
    holder = campus.open_account(top_up_fen=1_000)

    def bind(medium_type, token):
        medium = terminal_pb.Medium(type=medium_type, token=token)
        request = pb.BindMediumRequest(
            request_id=campus.request_id(), account_no=holder.account_no, medium=medium
        )
        campus.accounts.BindMedium(request, timeout=CALL_S)
        return medium

    def unbind(medium):
        request = pb.UnbindMediumRequest(request_id=campus.request_id(), medium=medium)
        campus.accounts.UnbindMedium(request, timeout=CALL_S)

    card = terminal_pb.MEDIUM_TYPE_RFID_CARD
    assert refused("FIELD_INVALID", bind, card, b"\x04new1")["field"] == "medium.type"
    assert refused("STATE_TRANSITION", unbind, holder.medium)["state"] == "ACTIVE"
    phone = bind(terminal_pb.MEDIUM_TYPE_MOBILE_NFC, b"phone")
    assert pos.pay(phone, 1).reason == "OK"
    unbind(phone)
    assert pos.pay(phone, 1).reason == "CARD_UNKNOWN"
    assert pos.pay(bind(terminal_pb.MEDIUM_TYPE_MOBILE_NFC, b"phone"), 1).reason == "OK"
    for number in range(6):
        bind(terminal_pb.MEDIUM_TYPE_MOBILE_QR, b"phone-%d" % number)
    refused("MEDIA_FULL", bind, terminal_pb.MEDIUM_TYPE_MOBILE_QR, b"phone-6")
    refused("FACE_ENROLMENT_REQUIRED", bind, terminal_pb.MEDIUM_TYPE_FACE, b"face")


@pytest.mark.clause("四.1a")
def test_long_tokens_are_media_too(campus, pos):
    holder = campus.open_account(top_up_fen=1_000)
    code = terminal_pb.Medium(type=terminal_pb.MEDIUM_TYPE_MOBILE_QR, token=bytes(range(64)))
    request = pb.BindMediumRequest(
        request_id=campus.request_id(), account_no=holder.account_no, medium=code
    )
    campus.accounts.BindMedium(request, timeout=CALL_S)
    assert pos.pay(code, 10).reason == "OK"
    assert holder.online_fen == 990


def test_a_medium_expires(campus, pos):
    holder = campus.open_account(top_up_fen=1_000)
    today = (campus.now_us() // 1_000_000 + 28_800) // 86_400
    for token, expires_day, reason in ((b"a", today, "CARD_EXPIRED"), (b"b", today + 1, "OK")):
        medium = terminal_pb.Medium(type=terminal_pb.MEDIUM_TYPE_MOBILE_NFC, token=token)
        request = pb.BindMediumRequest(
            request_id=campus.request_id(),
            account_no=holder.account_no,
            medium=medium,
            expires_day=expires_day,
        )
        campus.accounts.BindMedium(request, timeout=CALL_S)
        assert pos.pay(medium, 1).reason == reason


def test_an_account_closes_only_when_it_is_empty(campus, pos):
    holder = campus.open_account(top_up_fen=500)
    refused("STATE_TRANSITION", holder.set_status, "SUSPENDED")
    holder.suspend()
    refused("STATE_TRANSITION", holder.set_status, "NORMAL")
    refused("STATE_TRANSITION", holder.set_status, "CLOSED")
    holder.resume()
    refused("STATE_TRANSITION", holder.set_status, "CLOSED")
    assert holder.set_status("CLOSING").previous_status == pb.ACCOUNT_STATUS_NORMAL
    assert refused("BALANCE_NOT_ZERO", holder.set_status, "CLOSED")["onlineFen"] == "500"
    holder.set_status("NORMAL")
    assert pos.pay(holder, 500).reason == "OK"
    holder.set_status("CLOSING")
    holder.set_status("CLOSED")
    assert pos.pay(holder, 1).reason == "ACCOUNT_CLOSED"
    refused("ACCOUNT_CLOSED", holder.top_up, 100)
    refused("STATE_TRANSITION", holder.set_status, "NORMAL")


@pytest.mark.parametrize(
    ("method", "request_type"),
    [
        ("SetAccountStatus", pb.SetAccountStatusRequest),
        ("TopUp", pb.TopUpRequest),
        ("GrantSubsidy", pb.GrantSubsidyRequest),
        ("ResetTransactionPassword", pb.ResetTransactionPasswordRequest),
    ],
)
def test_acts_on_unknown_accounts(campus, method, request_type):
    known = request_type.DESCRIPTOR.fields_by_name.keys()
    values = {
        "request_id": campus.request_id(),
        "account_no": "NOBODY",
        "amount_fen": 1,
        "source": pb.TOP_UP_SOURCE_CASH,
        "channel_txn_id": "x",
        "status": pb.ACCOUNT_STATUS_SUSPENDED,
        "note": "x",
    }
    request = request_type(**{name: value for name, value in values.items() if name in known})
    metadata = refused("NOT_FOUND", getattr(campus.accounts, method), request, timeout=CALL_S)
    assert metadata["what"] == "account"


def test_lists_by_pages_and_filters(campus):
    holders = [
        campus.open_account(f"LIST{number:02d}", name=f"周{number}", class_name="名单班")
        for number in range(7)
    ]
    holders[3].suspend()

    def pages(**filters):
        token, seen = "", []
        while True:
            request = pb.ListAccountsRequest(page_size=3, page_token=token, **filters)
            response = campus.accounts.ListAccounts(request, timeout=CALL_S)
            assert len(response.accounts) <= 3
            assert response.as_of_seq > 0
            seen += [account.account_no for account in response.accounts]
            token = response.next_page_token
            if not token:
                return seen

    everyone = [holder.account_no for holder in holders]
    assert pages(class_name="名单班") == everyone
    assert pages(account_no_prefix="LIST") == everyone
    assert pages(name_prefix="周3") == ["LIST03"]
    assert pages(class_name="名单班", status=pb.ACCOUNT_STATUS_SUSPENDED) == ["LIST03"]
    assert pages(class_name="没有这个班") == []
    first = campus.accounts.ListAccounts(
        pb.ListAccountsRequest(page_size=3, class_name="名单班"), timeout=CALL_S
    )
    other = pb.ListAccountsRequest(page_token=first.next_page_token, class_name="别班")
    refused("PAGE_TOKEN_INVALID", campus.accounts.ListAccounts, other, timeout=CALL_S)


def test_history_is_newest_first_and_its_pages_are_stable(campus, pos):
    holder = campus.open_account(top_up_fen=20_000)
    for fen in range(1, 8):
        assert pos.pay(holder, fen).reason == "OK"
    assert pos.pay(holder, 19_000).reason == "PIN_REQUIRED"

    def page(token=""):
        request = pb.ListTransactionsRequest(
            account_no=holder.account_no, page_size=3, page_token=token
        )
        return campus.accounts.ListTransactions(request, timeout=CALL_S)

    first = page()
    second = page(first.next_page_token)
    pos.pay(holder, 50)
    assert page(first.next_page_token).transactions == second.transactions
    token, seen = first.next_page_token, list(first.transactions)
    while token:
        response = page(token)
        seen += response.transactions
        token = response.next_page_token
    assert [t.seq for t in seen] == sorted((t.seq for t in seen), reverse=True)
    refusal_row, newest = seen[0], seen[1]
    assert (refusal_row.reason, refusal_row.asked_fen) == ("PIN_REQUIRED", 19_000)
    assert newest.type == "PURCHASE"
    assert (newest.amount_fen, newest.from_balance_fen) == (7, 20_000 - 28)
    assert newest.from_wallet == terminal_pb.WALLET_ONLINE
    assert newest.key.terminal_id == "POS-07"
    assert (newest.merchant_id, newest.merchant_name) == ("M1", "M1")
    assert newest.time_us == campus.now_us()
    top_up = next(t for t in seen if t.type == "TOP_UP")
    assert (top_up.to_wallet, top_up.to_balance_fen) == (terminal_pb.WALLET_ONLINE, 20_000)
    assert not top_up.HasField("key")
    assert seen[-1].type in {"ACCOUNT", "MEDIUM"}


def test_a_request_id_that_is_too_old_is_never_acted_on(campus):
    from core.ids import make_request_id

    old = make_request_id(campus.now_us() // 1_000 - 65 * 86_400_000, bytes(10))
    refused("KEY_EXPIRED", campus.accounts.OpenAccount, opening(campus, request_id=old))
