"""What becomes of the hot-water purse of a lost card: D11, with its numbers."""

import pytest

from campuscard.v1 import staff_service_pb2 as staff_pb
from tests.acceptance.conftest import wait_until
from tests.campus import CALL_S
from tests.cards import CardDesk, rfid, uid


@pytest.fixture
def desk(scene):
    return CardDesk(scene.campus)


def load(scene, medium, counter):
    """Load 10.00 at the hot-water machine."""
    hold = scene.w1.hold(medium, water=True, card_counter=counter)
    assert hold.reason == "OK"
    assert scene.w1.capture(hold.seq, 1_000).reason == "OK"


def money(scene):
    wallets = scene.a.read().wallets
    return wallets.online_fen, wallets.water_fen


def replaced(scene, desk):
    """Lose the card on Thursday with 20.00 of water on it, pick the new one up on Friday."""
    campus, a = scene.campus, scene.a
    load(scene, a, 0)
    load(scene, a, 1)
    campus.set_time("2024-03-14 09:00")
    a.lose()
    campus.set_time("2024-03-15 14:50")
    case_no = desk.ready_case(a.account_no, "R-1")
    card = uid()
    desk("MakeCard", case_no=case_no, uid=card)
    desk("PickUp", case_no=case_no, uid=card)
    wait_until(lambda: kinds(scene, "PurseCounted") == 1)
    assert money(scene) == (18_000, 2_000), "late payments may still come"
    return rfid(card)


def kinds(scene, kind):
    """Count acts of a kind about the holder."""
    request = staff_pb.ListActsRequest(account_no=scene.a.account_no)
    service = scene.campus.staff.stub("StaffService")
    return sum(act.kind == kind for act in service.ListActs(request, timeout=CALL_S).acts)


@pytest.mark.clause("四.6")
def test_it_goes_back_three_days_after_the_loss(scene, desk):
    """RESTORE: 20.00 of the lost card return, 10.00 of the new card stay on it."""
    campus = scene.campus
    card = replaced(scene, desk)
    load(scene, card, 0)
    assert money(scene) == (17_000, 3_000)
    campus.set_time("2024-03-17 08:59:59")
    campus.restart()
    scene.w1.sign_in()
    assert kinds(scene, "PurseSettled") == 0
    campus.set_time("2024-03-17 09:00:00")
    wait_until(lambda: money(scene) == (19_000, 1_000))
    campus.stop()
    for path in (campus.data / "registry").iterdir():
        path.unlink()
    campus.start()
    scene.w1.sign_in()
    load(scene, card, 1)
    assert money(scene) == (18_000, 2_000)
    assert (kinds(scene, "PurseCounted"), kinds(scene, "PurseSettled")) == (1, 1)


@pytest.mark.clause("四.6", "六.3a")
def test_it_is_forfeited_where_the_parameter_says_so(scene, desk):
    """FORFEIT: the books follow the new card's purse, which is empty."""
    scene.campus.change_parameter("water_purse_on_loss", "FORFEIT")
    replaced(scene, desk)
    scene.campus.set_time("2024-03-17 09:00:00")
    wait_until(lambda: money(scene) == (18_000, 0))


@pytest.mark.clause("三.5(1)", "四.6")
def test_a_lost_card_that_was_paid_for_gives_its_purse_back(scene, desk):
    campus, a = scene.campus, scene.a
    load(scene, a, 0)
    campus.set_time("2024-03-14 09:00")
    a.lose()
    paid = {"paid_time_us": campus.now_us(), "amount_fen": 3_000, "receipt_no": "R-9"}
    desk("Compensate", account_no=a.account_no, **paid)
    wait_until(lambda: kinds(scene, "PurseCounted") == 1)
    campus.set_time("2024-03-17 09:00:00")
    wait_until(lambda: money(scene) == (20_000, 0))
