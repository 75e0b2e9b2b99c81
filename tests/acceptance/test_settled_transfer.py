"""A hot-water tap nobody has told the end of, on a card that never comes back: the office settles it.

Wednesday 11:40: A has 200.00, the tap of 10.00 at W-1 is torn. D11 with its numbers; d.4.
"""

import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import staff_service_pb2 as staff_pb
from tests.acceptance.conftest import wait_until
from tests.campus import CALL_S
from tests.cards import CardDesk, refused, rfid, uid

WRITTEN, NOT_WRITTEN = pb.TRANSFER_END_WRITTEN, pb.TRANSFER_END_NOT_WRITTEN
REASON = "Log of W-1"


@pytest.fixture
def desk(scene):
    return CardDesk(scene.campus)


@pytest.fixture
def torn(scene):
    """Return the seq of a transfer of which no word comes."""
    hold = scene.w1.hold(scene.a, water=True, card_counter=0)
    assert hold.reason == "OK"
    return hold.seq


def settlement(scene, seq, end, **values):
    return {"account_no": scene.a.account_no, "hold_seq": seq, "end": end, **values}


def settle(scene, desk, seq, end, **values):
    return desk("SettleTransfer", **settlement(scene, seq, end, reason=REASON, **values))


def money(scene):
    """Return ONLINE, held, WATER."""
    wallets = scene.a.read().wallets
    return wallets.online_fen, wallets.held_fen, wallets.water_fen


def acts(scene, kind):
    request = staff_pb.ListActsRequest(account_no=scene.a.account_no)
    service = scene.campus.staff.stub("StaffService")
    return [act for act in service.ListActs(request, timeout=CALL_S).acts if act.kind == kind]


def replaced(scene, desk):
    """Lose the card on Thursday at 9, pick the new one up on Friday; its purse is counted."""
    scene.campus.set_time("2024-03-14 09:00")
    scene.a.lose()
    scene.campus.set_time("2024-03-15 14:50")
    case_no = desk.ready_case(scene.a.account_no, "R-1")
    card = uid()
    desk("MakeCard", case_no=case_no, uid=card)
    desk("PickUp", case_no=case_no, uid=card)
    wait_until(lambda: acts(scene, "PurseCounted"))
    return rfid(card)


def load(scene, medium, counter):
    """Load 10.00 at the machine."""
    hold = scene.w1.hold(medium, water=True, card_counter=counter)
    assert hold.reason == "OK"
    assert scene.w1.capture(hold.seq, 1_000).reason == "OK"


@pytest.mark.parametrize("end", [WRITTEN, NOT_WRITTEN])
@pytest.mark.clause("四.6", "三.3b")
def test_the_new_card_loads_its_purse_again(scene, desk, torn, end):
    card = replaced(scene, desk)
    assert scene.w1.hold(card, water=True).reason == "HOLD_PENDING"
    assert money(scene) == (20_000, 1_000, 0)
    found = scene.a.read().open_transfer
    assert (found.seq, found.amount_fen, found.grey) == (torn, 1_000, True)
    assert (found.terminal_id, found.medium_number) == ("W-1", scene.a.read().media[-1].number)

    dry = settle(scene, desk, torn, end, dry_run=True)
    assert not dry.HasField("act")
    request = desk.request("SettleTransfer", **settlement(scene, torn, end, reason=REASON))
    done = desk.send("SettleTransfer", request)
    said = (19_000, 0) if end == WRITTEN else (20_000, 0)
    assert (done.amount_fen, done.online_fen, done.held_fen) == (1_000, *said)
    assert (dry.amount_fen, dry.online_fen, dry.held_fen) == (1_000, *said)
    (act,) = acts(scene, "TransferSettled")
    assert (act.seq, act.role, act.reason) == (done.act.seq, "CARD_OFFICER", REASON)
    assert not scene.a.read().HasField("open_transfer")
    again = desk.send("SettleTransfer", request)
    assert again.act.replayed
    again.act.replayed = False
    assert again == done, "the same request, the same answer"
    desk.refused("HOLD_CLOSED", "SettleTransfer", **settlement(scene, torn, end, reason=REASON))
    assert scene.w1.capture(torn, 1_000).reason == "HOLD_CLOSED", "its machine comes too late"

    load(scene, card, 0)
    written = end == WRITTEN
    assert money(scene) == ((18_000, 0, 2_000) if written else (19_000, 0, 1_000))
    scene.campus.set_time("2024-03-17 09:00:00")
    wait_until(lambda: acts(scene, "PurseSettled"))
    assert money(scene) == (19_000, 0, 1_000), "the old card's purse went back, the new one's stays"


@pytest.mark.parametrize(("parameter", "online"), [("RESTORE", 20_000), ("FORFEIT", 19_000)])
@pytest.mark.clause("四.6", "六.3a")
def test_what_comes_after_its_purse_was_settled_follows_it_at_once(
    scene, desk, torn, parameter, online
):
    """D11: whichever is first, the office or the day, the old card's 10.00 end where its purse does."""
    scene.campus.change_parameter("water_purse_on_loss", parameter)
    card = replaced(scene, desk)
    scene.campus.set_time("2024-03-17 09:00:00")
    wait_until(lambda: acts(scene, "PurseSettled"))
    assert money(scene) == (20_000, 1_000, 0), "nothing of it was known then"
    assert settle(scene, desk, torn, WRITTEN, dry_run=True).online_fen == online
    assert settle(scene, desk, torn, WRITTEN).online_fen == online
    assert money(scene) == (online, 0, 0)
    load(scene, card, 0)
    assert money(scene) == (online - 1_000, 0, 1_000)


@pytest.mark.clause("四.6", "七.1")
def test_it_is_the_same_after_a_crash_and_without_the_registry(scene, desk, torn):
    campus = scene.campus
    card = replaced(scene, desk)
    request = desk.request("SettleTransfer", **settlement(scene, torn, WRITTEN, reason=REASON))
    done = desk.send("SettleTransfer", request)
    campus.kill9()
    for path in (campus.data / "registry").iterdir():
        path.unlink()
    campus.start()
    again = desk.send("SettleTransfer", request)
    assert again.act.replayed
    assert (again.act.seq, again.online_fen) == (done.act.seq, 19_000)
    scene.w1.sign_in()
    load(scene, card, 0)
    campus.set_time("2024-03-17 09:00:00")
    wait_until(lambda: money(scene) == (19_000, 0, 1_000))


@pytest.mark.clause("四.6")
def test_who_may_still_tell_is_waited_for(scene, desk, torn):
    """300 s for the machine; three days for a card that may come back to one."""
    campus = scene.campus
    whose = settlement(scene, torn, NOT_WRITTEN, reason=REASON)
    campus.set_time("2024-03-13 11:44:59")
    waits = desk.refused("TRANSFER_WAITS", "SettleTransfer", **whose)
    assert waits["until"] == "2024-03-13 11:45:00"
    campus.set_time("2024-03-13 11:45:00")
    tells = desk.refused("TRANSFER_CARD_TELLS", "SettleTransfer", **whose)
    assert tells["until"] == "2024-03-16 11:40:00"
    scene.a.lose()
    desk.refused("TRANSFER_CARD_TELLS", "SettleTransfer", dry_run=True, **whose)
    assert money(scene) == (20_000, 1_000, 0)
    campus.set_time("2024-03-16 11:40:00")
    assert desk("SettleTransfer", **whose).held_fen == 0
    assert money(scene) == (20_000, 0, 0)


@pytest.mark.clause("四.6", "六.3a", "八.3")
def test_what_is_no_open_transfer_of_the_account_is_refused(scene, desk, torn):
    campus = scene.campus
    replaced(scene, desk)
    whose = settlement(scene, torn, WRITTEN, reason=REASON)
    other = campus.open_account(top_up_fen=1_000)
    bath = scene.b1.hold(other, 300)
    lunch = scene.pos7.pay(other, 100)
    for values in (
        {"account_no": other.account_no},
        {"account_no": other.account_no, "hold_seq": bath.seq},
        {"account_no": other.account_no, "hold_seq": lunch.seq},
        {"hold_seq": lunch.seq + 1_000_000},
    ):
        desk.refused("HOLD_NOT_FOUND", "SettleTransfer", **{**whose, **values})
    desk.refused("NOT_FOUND", "SettleTransfer", **{**whose, "account_no": "0"})
    desk.refused("FIELD_INVALID", "SettleTransfer", **{**whose, "end": 0})
    desk.refused("FIELD_INVALID", "SettleTransfer", **{**whose, "hold_seq": 0})
    desk.refused("REASON_REQUIRED", "SettleTransfer", **{**whose, "reason": ""})
    for role in ("AUDITOR", "FINANCE", "STUDENT_AFFAIRS"):
        member = campus.member(f"m-{role.lower()}", role)
        desk.refused("FORBIDDEN", "SettleTransfer", member, **whose)
    assert money(scene) == (20_000, 1_000, 0)
    assert not acts(scene, "TransferSettled")


@pytest.mark.clause("三.5(3)", "四.6")
def test_nobody_leaves_with_an_open_transfer(scene, desk, torn):
    campus, a = scene.campus, scene.a
    campus.set_time("2024-03-15 14:50")
    desk("ReturnCard", account_no=a.account_no, uid=a.medium.token)
    found = desk("GetClearance", account_no=a.account_no)
    assert (list(found.reasons), found.transfer_seq) == (["TRANSFER_OPEN"], torn)
    assert (found.refund_fen, found.refund_from_us) == (20_000, 0)
    told = desk.refused("NOT_CLEARED", "IssueCertificate", account_no=a.account_no)
    assert told["reasons"] == "TRANSFER_OPEN"
    a.set_status("CLOSING")
    closed = accounts_pb.SetAccountStatusRequest(
        request_id=campus.request_id(),
        account_no=a.account_no,
        status=accounts_pb.ACCOUNT_STATUS_CLOSED,
        note="left",
    )
    told = refused("TRANSFER_OPEN", campus.accounts.SetAccountStatus, closed, timeout=CALL_S)
    assert told["seq"] == str(torn)
    campus.set_time("2024-03-19 09:00")
    assert not desk("ListRefunds", campus.member("f", "FINANCE")).refunds

    assert settle(scene, desk, torn, NOT_WRITTEN).online_fen == 20_000
    assert desk("GetClearance", account_no=a.account_no).cleared
    (refund,) = desk("ListRefunds", campus.member("f2", "FINANCE")).refunds
    assert refund.amount_fen == 20_000
    assert desk("IssueCertificate", account_no=a.account_no).certificate_no
    refused("BALANCE_NOT_ZERO", campus.accounts.SetAccountStatus, closed, timeout=CALL_S)


@pytest.mark.clause("三.5(1)")
def test_a_closed_account_is_closed_for_this_too(scene, desk):
    holder = scene.campus.open_account()
    holder.set_status("CLOSING")
    holder.set_status("CLOSED")
    whose = {"account_no": holder.account_no, "hold_seq": 1, "end": WRITTEN, "reason": REASON}
    desk.refused("ACCOUNT_CLOSED", "SettleTransfer", **whose)
