"""CardOfficeService: what the scenarios leave out, and its registers after a rebuild."""

import sqlite3

import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from tests.campus import CALL_S, Campus
from tests.cards import JPEG, PDF, CardDesk, refused, rfid, state_of, uid

WEDNESDAY = "2024-03-13 14:30"
CLASS = "2023级1班"


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        running.set_time(WEDNESDAY)
        yield running


@pytest.fixture(scope="module")
def desk(campus):
    return CardDesk(campus)


@pytest.fixture(scope="module")
def pos(campus):
    return campus.terminal("POS-07")


def reasons_of(response):
    return [result.reason for result in response.results]


def bind(campus, holder, medium_type, token):
    medium = terminal_pb.Medium(type=medium_type, token=token)
    request = accounts_pb.BindMediumRequest(
        request_id=campus.request_id(), account_no=holder.account_no, medium=medium
    )
    campus.accounts.BindMedium(request, timeout=CALL_S)
    return medium


@pytest.mark.clause("三.1(1)", "五.1")
def test_a_batch_from_issue_to_use(campus, desk, pos):
    """Regulation 三.1(1): one bad item never stops the batch; a second card is refused (五.1)."""
    holders = [campus.open_account(card=False, top_up_fen=100) for _ in range(10)]
    has_one = campus.open_account()
    desk.photo("张三", holders[0].account_no)
    uids = [uid() for _ in holders]
    items = [(h.account_no, u) for h, u in zip(holders, uids, strict=True)]
    items[3:3] = [("NOBODY", uid()), (has_one.account_no, uid())]
    items += [(holders[0].account_no, uid()), (holders[1].account_no, uids[2])]
    dry = desk.issue(*items, dry_run=True)
    assert (dry.issued, dry.refused, dry.batch) == (10, 4, 0)
    made = [pb.IssueItem(account_no=a, uid=u) for a, u in items]
    request = desk.request("IssueCards", items=made)
    issued = desk.send("IssueCards", request)
    expected = ["", "", "", "NOT_FOUND", "CARD_EXISTS", *[""] * 7, "CARD_EXISTS", "CARD_EXISTS"]
    assert reasons_of(issued) == reasons_of(dry) == expected
    assert [result.index for result in issued.results] == list(range(14))
    assert issued.results[0].type == pb.CARD_TYPE_FORMAL
    assert issued.results[1].type == pb.CARD_TYPE_TEMPORARY
    again = desk.send("IssueCards", request)
    assert again.act.replayed
    again.act.replayed = False
    assert again == issued

    taken = desk.issue((campus.open_account(card=False).account_no, uids[0]), batch=issued.batch)
    assert reasons_of(taken) == ["ALREADY_EXISTS"]
    desk.refused("NOT_FOUND", "IssueCards", items=made[:1], batch=1)
    assert pos.pay(rfid(uids[0]), 1).reason == "CARD_NOT_ACTIVE"
    over = desk("HandOver", batch=issued.batch)
    assert (over.handed_over, over.remaining) == (10, 0)
    assert pos.pay(rfid(uids[0]), 1).reason == "CARD_NOT_ACTIVE"
    (batch,) = desk("ListBatches", page_size=1).batches
    assert (batch.batch, batch.cards, batch.in_transit) == (issued.batch, 10, 10)
    done = desk("ActivateCards", uids=[uids[0], uids[0], b"\x04none"])
    assert reasons_of(done) == ["", "CARD_STATE", "CARD_UNKNOWN"]
    assert pos.pay(rfid(uids[0]), 1).reason == "OK"
    rest = desk("ActivateCards", batch=issued.batch)
    assert (rest.activated, rest.remaining) == (9, 0)
    assert not desk("HandOver", batch=issued.batch).handed_over


@pytest.mark.clause("三.2a")
def test_a_loss_may_be_reported_before_the_card_arrives(campus, desk, pos):
    """Regulation 三.2: at any hour, from any state; the second report is the first."""
    holder = campus.open_account(card=False, top_up_fen=100)
    card = uid()
    refused("NO_CARD", holder.lose)
    desk.issue((holder.account_no, card))
    first = holder.lose()
    assert first.media == 1
    campus.pass_time(seconds=5)
    second = holder.lose()
    assert (second.act.seq, second.lost_time_us) == (first.act.seq, first.lost_time_us)
    assert (second.act.replayed, second.media) == (True, 0)
    assert reasons_of(desk("ActivateCards", uids=[card])) == ["CARD_STATE"]
    shown = desk("GetCard", uid=card)
    assert state_of(shown.card) == "PRODUCED+lost"
    assert list(shown.legal) == ["UNLOSS", "REPLACE", "COMPENSATE"]
    holder.unlose(medium=rfid(card))
    assert reasons_of(desk("ActivateCards", uids=[card])) == [""]


@pytest.mark.clause("三.2d", "四.1a")
def test_a_loss_of_everything_and_of_one_phone(campus, desk, pos):
    """D17: by default the card only; all media where it is asked for."""
    holder = campus.open_account(top_up_fen=1_000)
    phone = bind(campus, holder, terminal_pb.MEDIUM_TYPE_MOBILE_QR, b"phone-1")
    watch = bind(campus, holder, terminal_pb.MEDIUM_TYPE_MOBILE_NFC, b"watch-1")
    card = holder.lose()
    assert pos.pay(phone, 1).reason == "OK"
    everything = holder.lose(scope=pb.LOSS_SCOPE_ALL_MEDIA)
    assert everything.media == 2
    assert everything.act.seq > card.act.seq
    assert {pos.pay(m, 1).reason for m in (phone, watch, holder)} == {"CARD_LOST"}
    holder.unlose(medium=phone)
    assert pos.pay(phone, 1).reason == "OK"
    lost = desk("ReportLoss", medium=phone)
    assert lost.media == 1
    assert pos.pay(phone, 1).reason == "CARD_LOST"
    assert holder.top_up(100).online_fen == 1_098, "top-ups are taken"


@pytest.mark.clause("三.4(2)", "六.2")
def test_finance_confirms_and_an_officer_needs_the_receipt(campus, desk):
    """Regulation 三.4(2): the finance office, or the officer with the receipt before them."""
    officer = campus.member("officer", "CARD_OFFICER")
    holder = campus.open_account()
    holder.lose()
    case_no = desk("OpenReplacement", account_no=holder.account_no).case_no
    fee = {
        "case_no": case_no,
        "receipt_no": "OF-1",
        "amount_fen": 3_000,
        "paid_time_us": campus.now_us() - 3_600_000_000,
    }
    desk.refused("RECEIPT_IMAGE_REQUIRED", "ConfirmFee", officer, **fee)
    attach = {"case_no": case_no, "paper": pb.CASE_PAPER_RECEIPT}
    for content in (b"", b"GIF89a", JPEG + bytes(2_097_152)):
        desk.refused("FILE_REFUSED", "AttachDocument", officer, **attach, content=content)
    photo = {"case_no": case_no, "paper": pb.CASE_PAPER_PHOTO, "content": PDF}
    desk.refused("FILE_REFUSED", "AttachDocument", officer, **photo)
    large = PDF + bytes(2_000_000)
    desk("AttachDocument", officer, **attach, content=large)
    assert desk("GetDocument", officer, **attach).content == large
    desk.refused("FIELD_INVALID", "ConfirmFee", officer, **{**fee, "paid_time_us": 2**60})
    confirmed = desk("ConfirmFee", officer, **fee)
    assert confirmed.receipt_before_loss
    assert list(confirmed.missing) == ["FORM", "PHOTO"]
    desk.refused("CASE_STATE", "ConfirmFee", officer, **{**fee, "receipt_no": "OF-2"})


@pytest.mark.clause("三.4(2)", "六.3a")
def test_a_fee_is_waived_by_two(campus, desk):
    """Regulation 六.3: nobody alone."""
    holder = campus.open_account()
    holder.lose()
    case_no = desk("OpenReplacement", account_no=holder.account_no).case_no
    waive = {"case_no": case_no, "reason": "困难补助"}
    desk.refused("FIELD_INVALID", "WaiveFee", case_no=case_no)
    assert desk("WaiveFee", **waive).fee_state == pb.FEE_STATE_WAIVER_PROPOSED
    desk.refused("SELF_APPROVAL", "WaiveFee", **waive)
    head = campus.member("head", "CARD_SUPERVISOR")
    assert desk("WaiveFee", head, **waive).fee_state == pb.FEE_STATE_WAIVED
    assert "RECEIPT" not in desk("GetCase", case_no=case_no).case.missing
    desk("CancelCase", case_no=case_no, reason="不再需要")
    desk.refused("CASE_STATE", "RefundFee", case_no=case_no, reason="无款可退")


@pytest.mark.clause("八.1")
def test_sanctions(campus, desk, pos):
    """Regulation 八.1: warned, suspended with an end, resumed; money in goes on."""
    holder = campus.open_account(top_up_fen=1_000, name="王五")
    named = {"account_no": holder.account_no}
    desk.refused("FIELD_INVALID", "Warn", **named)
    assert desk("Warn", **named, reason="转借他人").warnings == 1
    assert desk("Warn", **named, reason="再次转借").warnings == 2
    desk.refused("FIELD_INVALID", "Suspend", **named, reason="x", until_time_us=1)
    until = campus.now_us() + 600_000_000
    desk("Suspend", **named, reason="核查", until_time_us=until)
    desk.refused("SUSPENDED", "Suspend", **named, reason="核查")
    assert pos.pay(holder, 1).reason == "ACCOUNT_SUSPENDED"
    assert holder.top_up(100).online_fen == 1_100
    campus.pass_time(seconds=599)
    assert pos.pay(holder, 1).reason == "ACCOUNT_SUSPENDED"
    campus.pass_time(seconds=1)
    assert pos.pay(holder, 1).reason == "OK", "it ended by itself"
    desk.refused("NOT_SUSPENDED", "Resume", **named, reason="到期")

    until = campus.now_us() + 600_000_000
    desk("Suspend", medium=holder.medium, reason="疑似复制", until_time_us=until)
    assert pos.pay(holder, 1).reason == "CARD_FROZEN"
    holder.lose()
    desk("Resume", medium=holder.medium, reason="核实")
    desk("Suspend", medium=holder.medium, reason="再查")
    campus.pass_time(seconds=601)
    assert state_of(desk.card(holder.account_no)) == "ACTIVE+lost+frozen", "another suspension"
    notices = desk("ListNotices", unread=True, class_name=CLASS).notices
    mine = [n for n in notices if n.account_no == holder.account_no]
    assert [n.text for n in mine] == ["再查", "疑似复制", "核查", "再次转借", "转借他人"]
    assert {n.name for n in mine} == {"王五"}


def test_expiry_and_renewal(campus, desk, pos):
    """Regulation 三.1(4): a temporary card has an end, and an officer may move it."""
    holder = campus.open_account(card=False, top_up_fen=100)
    card = uid()
    desk.issue((holder.account_no, card))
    desk("ActivateCards", uids=[card])
    today = (campus.now_us() // 1_000_000 + 28_800) // 86_400
    assert desk.card(holder.account_no).expires_day == today + 90
    near = {"account_no": holder.account_no, "expires_day": today + 1, "reason": "短期"}
    desk("RenewCard", **near)
    listed = desk("ListCards", expires_before=today + 2, class_name=CLASS).cards
    assert [c.account_no for c in listed] == [holder.account_no]
    campus.pass_time(days=1)
    assert pos.pay(rfid(card), 1).reason == "CARD_EXPIRED"
    assert state_of(desk.card(holder.account_no)) == "EXPIRED"
    desk.refused("FIELD_INVALID", "RenewCard", **near)
    assert desk("RenewCard", account_no=holder.account_no).expires_day == today + 91
    assert pos.pay(rfid(card), 1).reason == "OK"


@pytest.mark.clause("三.5(1)")
def test_a_returned_card_is_encoded_anew(campus, desk, pos):
    """RETURNED until it is re-encoded."""
    first, second = campus.open_account(), campus.open_account(card=False, top_up_fen=10)
    card = first.medium.token
    desk.refused("CARD_MISMATCH", "ReturnCard", account_no=second.account_no, uid=card)
    desk("ReturnCard", account_no=first.account_no, uid=card, reason="退学")
    desk.refused("CARD_VOID", "ReturnCard", account_no=first.account_no, uid=card)
    assert reasons_of(desk.issue((second.account_no, card))) == ["ALREADY_EXISTS"]
    request = accounts_pb.UnbindMediumRequest(request_id=campus.request_id(), medium=first.medium)
    campus.accounts.UnbindMedium(request, timeout=CALL_S)
    assert reasons_of(desk.issue((second.account_no, card))) == [""]
    desk("ActivateCards", uids=[card])
    assert pos.pay(rfid(card), 1).reason == "OK"
    assert second.online_fen == 9
    assert state_of(desk.card(first.account_no)) == "RETURNED"


def test_lists_are_paged_and_narrowed(campus, desk):
    holders = [campus.open_account(class_name="列表班") for _ in range(5)]
    holders[4].lose()
    desk("OpenReplacement", account_no=holders[4].account_no)
    seen, token = [], ""
    while True:
        page = desk("ListCards", class_name="列表班", page_size=2, page_token=token)
        seen += [card.account_no for card in page.cards]
        token = page.next_page_token
        if not token:
            break
    assert seen == [holder.account_no for holder in holders]
    lost = desk("ListCards", class_name="列表班", lost=True).cards
    assert [card.account_no for card in lost] == [holders[4].account_no]
    assert not desk("ListCards", class_name="列表班", state=pb.CARD_STATE_RETURNED).cards
    (case,) = desk("ListCases", class_name="列表班", state=pb.CASE_STATE_OPEN).cases
    assert case.account_no == holders[4].account_no
    assert list(case.missing) == ["FORM", "PHOTO", "RECEIPT"]
    desk.refused("PAGE_TOKEN_INVALID", "ListCards", class_name="别班", page_token="AAAA")
    teacher = campus.member("list-teacher", ("CLASS_TEACHER", "列表班"))
    assert len(desk("ListCards", teacher).cards) == 5, "their own classes only"
    desk.refused("NOT_YOUR_CLASS", "GetCard", teacher, card_no=1)
    desk.refused("NOT_YOUR_CLASS", "GetClearance", teacher, account_no=holder_of(campus))


def holder_of(campus):
    return campus.open_account(class_name="另一班").account_no


def test_the_registers_are_rebuilt_to_the_same_content(campus, desk):
    """The journal is the only truth: without the registry every read says the same."""
    holder = campus.open_account()
    holder.lose()
    case_no = desk.ready_case(holder.account_no, "RB-1")
    desk("FailMake", case_no=case_no, reason="写卡失败")

    def reads():
        return [
            desk("ListCards", page_size=1_000),
            desk("ListBatches"),
            desk("ListCases", page_size=1_000),
            desk("ListNotices", page_size=1_000),
            desk("GetClearanceKey").revoked,
        ]

    before = reads()
    campus.stop()
    kept = tables(campus)
    for path in (campus.data / "registry").iterdir():
        path.unlink()
    campus.start()
    assert reads() == before
    campus.stop()
    assert tables(campus) == kept
    campus.start()


def tables(campus):
    """Read the cards' and cases' tables as they stand in the file."""
    names = "cards batches burnt_cards leavers hour_overrides cases receipts notices certificates"
    path = campus.data / "registry" / "registry.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()
            for name in [*names.split(), "sanctions", "alerts", "purses"]
        }
