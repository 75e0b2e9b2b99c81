"""Scenarios 9 and 10: unloss, and a replacement from loss to pick-up."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from campuscard.v1 import card_office_service_pb2 as pb
from tests.acceptance.conftest import A_PIN, A
from tests.campus import refusal
from tests.cards import JPEG, CardDesk, refused, rfid, state_of, uid

CLASS = "2023级1班"
RACES = 1_000


@pytest.fixture
def desk(scene):
    return CardDesk(scene.campus)


@pytest.mark.clause("三.3a", "三.4(4)")
def test_unloss_is_at_the_counter_in_its_hours_with_the_card(scene, desk):
    """Regulation 三.3: only the centre takes a loss back, the card before it."""
    campus, a = scene.campus, scene.a
    a.lose()
    online = campus.member("online", "CARD_OFFICER", channel_kind=2)
    unloss = {"account_no": A, "medium": a.medium}
    metadata = desk.refused("CHANNEL_NOT_ALLOWED", "Unloss", online, **unloss)
    assert metadata == {"channel": "OFFICE", "allowed": "COUNTER"}
    campus.set_time("2024-03-14 15:00:00")
    metadata = desk.refused("OUTSIDE_SERVICE_HOURS", "Unloss", **unloss)
    assert metadata["opens"] == "2024-03-15 14:30"
    campus.set_time("2024-03-15 14:29:59")
    desk.refused("OUTSIDE_SERVICE_HOURS", "Unloss", **unloss)
    campus.set_time("2024-03-15 14:30:00")
    desk.refused("CARD_MISMATCH", "Unloss", account_no=A, medium=rfid(b"\x04other"))
    other = campus.open_account()
    desk.refused("CARD_MISMATCH", "Unloss", account_no=A, medium=other.medium)
    assert scene.pos7.pay(a, 1).reason == "CARD_LOST"
    a.unlose()
    assert state_of(desk.card(A)) == "ACTIVE"
    assert scene.pos7.pay(a, 1).reason == "OK"
    desk.refused("NOT_LOST", "Unloss", **unloss)


@pytest.mark.clause("八.1")
def test_a_frozen_card_is_resumed_before_its_loss_is_taken_back(scene, desk):
    """FROZEN is not LOST; both may be set."""
    scene.campus.set_time("2024-03-15 14:30:00")
    scene.a.lose()
    desk("Suspend", medium=scene.a.medium, reason="复核")
    metadata = desk.refused("CARD_STATE", "Unloss", account_no=A, medium=scene.a.medium)
    assert metadata["state"] == "ACTIVE+LOST+FROZEN"
    assert metadata["legal"] == "REPLACE, COMPENSATE, RESUME"
    desk("Resume", medium=scene.a.medium, reason="复核完毕")
    scene.a.unlose()


@pytest.mark.clause("三.3b", "三.4(1)", "三.4(2)", "三.4(3)", "三.4(4)", "五.5")
def test_full_replacement(scene, desk):
    """Scenario 10, with every number."""
    campus, a, pos = scene.campus, scene.a, scene.pos7
    assert pos.pay(a, 2_000).reason == "OK"
    campus.set_time("2024-03-14 09:00")
    lost = a.lose()
    campus.set_time("2024-03-14 20:00")
    own = campus.member("own", ("CLASS_TEACHER", CLASS))
    other = campus.member("other", ("CLASS_TEACHER", "2023级2班"))
    desk.refused("NOT_YOUR_CLASS", "OpenReplacement", other, account_no=A)
    case_no = desk("OpenReplacement", own, account_no=A).case_no
    form = {"case_no": case_no, "paper": pb.CASE_PAPER_FORM, "content": JPEG}
    desk.refused("NOT_YOUR_CLASS", "AttachDocument", other, **form)
    assert list(desk("AttachDocument", own, **form).missing) == ["PHOTO", "RECEIPT"]
    photo = {**form, "paper": pb.CASE_PAPER_PHOTO}
    assert list(desk("AttachDocument", own, **photo).missing) == ["RECEIPT"]
    desk.refused("CASE_EXISTS", "OpenReplacement", own, account_no=A)

    new_uid = uid()
    make = {"case_no": case_no, "uid": new_uid}
    desk.refused("OUTSIDE_SERVICE_HOURS", "MakeCard", **make)
    campus.set_time("2024-03-15 14:35")
    assert desk.refused("DOCS_INCOMPLETE", "MakeCard", **make)["missing"] == "RECEIPT"
    metadata = refused("FEE_AMOUNT_MISMATCH", desk.pay, case_no, "R-778", 2_500)
    assert metadata == {"feeFen": "3000", "paidFen": "2500"}
    for fen in (2_999, 3_001):
        refused("FEE_AMOUNT_MISMATCH", desk.pay, case_no, "R-778", fen)
    assert desk.pay(case_no, "R-778").state == pb.CASE_STATE_READY
    second = campus.open_account()
    second.lose()
    second_case = desk("OpenReplacement", account_no=second.account_no).case_no
    refused("RECEIPT_ALREADY_USED", desk.pay, second_case, "R-778")

    before = a.read()
    campus.set_time("2024-03-15 14:50")
    made = desk("MakeCard", **make)
    old, new = (desk("GetCard", card_no=n).card for n in (made.old_card_no, made.card_no))
    assert (state_of(old), old.successor) == ("VOID_REPLACED+lost", new.card_no)
    assert (state_of(new), new.card_seq) == ("PRODUCED", 2)
    (notice,) = desk("ListNotices", own).notices
    assert (notice.kind, notice.case_no) == (pb.NOTICE_KIND_CARD_READY, case_no)
    assert not desk("ListNotices", other).notices
    desk.refused("NOT_YOUR_CLASS", "ListNotices", other, class_name=CLASS)
    desk("AcknowledgeNotice", own, seq=notice.seq)
    assert desk("GetCase", own, case_no=case_no).case.state == pb.CASE_STATE_NOTIFIED
    desk.refused("REPLACED", "Unloss", account_no=A, medium=a.medium)
    desk.refused("CASE_STATE", "MakeCard", case_no=case_no, uid=uid())
    assert pos.pay(rfid(new_uid), 1).reason == "CARD_NOT_ACTIVE"
    activated = desk("ActivateCards", uids=[new_uid])
    assert [result.reason for result in activated.results] == ["CASE_CARD"]

    desk.refused("CARD_MISMATCH", "PickUp", case_no=case_no, uid=a.medium.token)
    campus.set_time("2024-03-15 16:59:59")
    desk("PickUp", case_no=case_no, uid=new_uid)
    assert pos.pay(a, 1).reason == "CARD_VOID"
    after = a.read()
    assert after.wallets.online_fen == before.wallets.online_fen == 18_000
    assert after.wallets.day_used_fen == before.wallets.day_used_fen
    assert after.account.must_change_pin == before.account.must_change_pin
    card = rfid(new_uid)
    assert pos.pay(card, 5_001).reason == "PIN_REQUIRED"
    assert pos.pay(card, 5_001, pin=A_PIN).reason == "OK", "the password is the account's"
    assert desk("GetCase", case_no=case_no).case.state == pb.CASE_STATE_PICKED_UP
    assert lost.act.seq < made.act.seq
    fees = [t for t in a.history() if t.type == "ADJUST"]
    assert [fee.amount_fen for fee in fees] == [3_000], "booked, and not from the purse"


@pytest.mark.clause("三.4(4)")
def test_pick_up_ends_with_the_hour(scene, desk):
    """Regulation 三.4(4): 16:59:59 is in time, 17:00:00 is not."""
    campus = scene.campus
    scene.a.lose()
    campus.set_time("2024-03-15 16:30")
    case_no = desk.ready_case(A, "R-1")
    new_uid = uid()
    desk("MakeCard", case_no=case_no, uid=new_uid)
    campus.set_time("2024-03-15 17:00:00")
    desk.refused("OUTSIDE_SERVICE_HOURS", "PickUp", case_no=case_no, uid=new_uid)
    leave = {"account_no": A, "operation": pb.COUNTER_OPERATION_PICK_UP, "reason": "离校前领卡"}
    officer = campus.member("officer", "CARD_OFFICER")
    desk.refused("FORBIDDEN", "OverrideHours", officer, **leave)
    desk("OverrideHours", **leave)
    desk("PickUp", case_no=case_no, uid=new_uid)
    assert scene.pos7.pay(rfid(new_uid), 1).reason == "OK"


@pytest.mark.clause("三.3a", "三.4(2)")
def test_an_unloss_cancels_the_case_and_the_fee_is_paid_back_once(scene, desk):
    """D8: found again after the fee was paid, before the card was made."""
    scene.a.lose()
    case_no = desk.ready_case(A, "R-2")
    scene.campus.set_time("2024-03-13 14:30")
    found = scene.a.unlose()
    assert (found.case_no, found.fee_refundable) == (case_no, True)
    assert scene.pos7.pay(scene.a, 1).reason == "OK"
    metadata = desk.refused("CASE_STATE", "MakeCard", case_no=case_no, uid=uid())
    assert (metadata["state"], metadata["legal"]) == ("CANCELLED", "REFUND_FEE")
    assert desk("RefundFee", case_no=case_no, reason="现金退还").amount_fen == 3_000
    desk.refused("CASE_STATE", "RefundFee", case_no=case_no, reason="再退一次")


def test_a_card_that_cannot_be_encoded_burns_its_number(scene, desk):
    """FAIL_MAKE: the case stays READY, the old card lost."""
    scene.a.lose()
    scene.campus.set_time("2024-03-13 14:30")
    case_no = desk.ready_case(A, "R-3")
    burnt = desk("FailMake", case_no=case_no, reason="写卡失败").burnt_card_no
    assert desk("GetCase", case_no=case_no).case.state == pb.CASE_STATE_READY
    assert state_of(desk.card(A)) == "ACTIVE+lost"
    assert desk("MakeCard", case_no=case_no, uid=uid()).card_no == burnt + 1
    desk.refused("NOT_FOUND", "GetCard", card_no=burnt)


@pytest.mark.slow
@pytest.mark.clause("三.3b")
def test_make_card_and_unloss_race(scene, desk):
    """Exactly one of both wins, a thousand times over, whichever comes first."""
    campus = scene.campus
    campus.set_time("2024-03-15 14:30")
    campus.staff.sign_in()

    def prepared(number):
        holder = campus.open_account()
        holder.lose()
        return holder, desk.ready_case(holder.account_no, f"RACE-{number}")

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(prepared, range(RACES)))

    def outcome(method, request):
        try:
            desk.send(method, request)
        except grpc.RpcError as error:
            return refusal(error)[0]
        return "OK"

    seen = set()
    with ThreadPoolExecutor(2) as pool:
        for (holder, case_no), first in zip(runs, itertools.cycle((0, 1)), strict=False):
            acts = [
                ("MakeCard", desk.request("MakeCard", case_no=case_no, uid=uid())),
                (
                    "Unloss",
                    desk.request("Unloss", account_no=holder.account_no, medium=holder.medium),
                ),
            ]
            futures = {acts[i][0]: pool.submit(outcome, *acts[i]) for i in (first, 1 - first)}
            results = {name: future.result() for name, future in futures.items()}
            assert results in (
                {"MakeCard": "OK", "Unloss": "REPLACED"},
                {"MakeCard": "CASE_STATE", "Unloss": "OK"},
            )
            seen.add(results["Unloss"])
            card = desk.card(holder.account_no)
            replaced = results["MakeCard"] == "OK"
            assert state_of(card) == ("PRODUCED" if replaced else "ACTIVE")
            assert card.card_seq == (2 if replaced else 1)
    assert seen == {"OK", "REPLACED"}, "both happened"
