"""Alerts: taps of lost, void and copied cards, and what becomes of a copied one."""

import urllib.request

import pytest

from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import staff_service_pb2 as staff_pb
from tests.acceptance.conftest import wait_until
from tests.campus import CALL_S
from tests.cards import CardDesk, refused, rfid, uid


@pytest.fixture
def desk(scene):
    return CardDesk(scene.campus)


def alerts(desk, member=None, **filters):
    return list(desk("ListAlerts", member, **filters).alerts)


def freezings(auditor, holder):
    """Return the acts that froze a holder's card."""
    request = staff_pb.ListActsRequest(account_no=holder.account_no)
    acts = auditor.stub("StaffService").ListActs(request, timeout=CALL_S).acts
    return [act for act in acts if act.kind == "CloneFrozen"]


def open_metric(campus):
    with urllib.request.urlopen(f"http://{campus.metrics_address}/metrics", timeout=5) as page:
        lines = page.read().decode().splitlines()
    (line,) = [line for line in lines if line.startswith("campuscard_alerts_open ")]
    return int(float(line.split()[1]))


@pytest.mark.clause("五.1", "七.5", "八.1")
def test_a_card_whose_counter_falls_is_frozen_at_once(scene, desk):
    """Regulation 五.1: freeze and alert, not silent; an officer ends it with a reason."""
    campus, a, w1 = scene.campus, scene.a, scene.w1
    hold = w1.hold(a, water=True, card_counter=7)
    copied = w1.hold(a, water=True, card_counter=6)
    assert copied.reason == "CARD_COUNTER_REGRESSION"
    wait_until(lambda: scene.pos7.pay(a, 1).reason == "CARD_FROZEN", timeout_s=1)
    assert w1.hold(a, water=True, card_counter=8).reason == "CARD_FROZEN"
    (alert,) = alerts(desk)
    assert (alert.seq, alert.reason) == (copied.seq, "CARD_COUNTER_REGRESSION")
    assert (alert.account_no, alert.terminal_id, alert.taps) == (a.account_no, "W-1", 1)
    assert alert.card_no == desk.card(a.account_no).card_no
    assert alert.frozen_seq > copied.seq
    auditor = campus.member("auditor", "AUDITOR")
    (act,) = freezings(auditor, a)
    assert (act.seq, act.actor) == (alert.frozen_seq, "system")
    assert str(copied.seq) in act.reason
    (notice,) = desk("ListNotices", unread=True).notices
    assert notice.kind == pb.NOTICE_KIND_SUSPENSION
    wait_until(lambda: open_metric(campus) == 1)

    before = alerts(desk)
    campus.kill9()
    campus.restart()
    assert alerts(desk) == before
    campus.stop()
    for path in (campus.data / "registry").iterdir():
        path.unlink()
    campus.start()
    assert alerts(desk) == before
    scene.pos7.sign_in()
    assert scene.pos7.pay(a, 1).reason == "CARD_FROZEN"
    assert freezings(auditor, a) == [act], "once for ever"

    close = {"seq": alert.seq, "reason": "柜台核实"}
    desk.refused("FIELD_INVALID", "AcknowledgeAlert", seq=alert.seq)
    desk.refused("NOT_FOUND", "AcknowledgeAlert", seq=alert.seq + 1, reason="x")
    desk("AcknowledgeAlert", **close)
    desk.refused("ALERT_CLOSED", "AcknowledgeAlert", **close)
    assert not alerts(desk, open=True)
    (alert,) = alerts(desk, account_no=a.account_no)
    assert (alert.acknowledged, alert.acknowledged_reason) == (True, "柜台核实")
    assert alert.acknowledged_by.startswith("staff:")
    assert scene.pos7.pay(a, 1).reason == "CARD_FROZEN", "closed is not resumed"
    desk("Resume", medium=a.medium, reason="卡为本人持有")
    assert scene.pos7.pay(a, 1).reason == "OK"
    scene.w1.sign_in()
    assert scene.w1.capture(hold.seq, 1_000).reason == "OK"
    wait_until(lambda: open_metric(campus) == 0)


@pytest.mark.clause("五.1", "七.1")
def test_what_a_crash_left_undone_is_made_up_for(scene, desk):
    """Killed as the answer arrives: the next start freezes the card, once."""
    campus, a = scene.campus, scene.a
    scene.w1.hold(a, water=True, card_counter=7)
    copied = scene.w1.hold(a, water=True, card_counter=6)
    campus.kill9()
    campus.restart()
    scene.pos7.sign_in()
    wait_until(lambda: scene.pos7.pay(a, 1).reason == "CARD_FROZEN", timeout_s=3)
    (act,) = freezings(campus.staff, a)
    assert act.seq > copied.seq


@pytest.mark.clause("五.1")
def test_every_sign_of_a_copy_freezes_anew(scene, desk):
    a, w1 = scene.a, scene.w1
    w1.hold(a, water=True, card_counter=7)
    for times in (1, 2):
        assert w1.hold(a, water=True, card_counter=6).reason == "CARD_COUNTER_REGRESSION"
        wait_until(lambda: scene.pos7.pay(a, 1).reason == "CARD_FROZEN", timeout_s=1)
        desk("Resume", medium=a.medium, reason="核实")
        assert scene.pos7.pay(a, 1).reason == "OK"
        assert len(alerts(desk)) == times


@pytest.mark.clause("三.2b", "三.3b")
def test_taps_of_lost_and_void_cards_are_told(scene, desk):
    """Scenario 10: the old UID after its replacement is CARD_VOID and an alert."""
    campus, a = scene.campus, scene.a
    assert scene.pos7.pay(a, 1).reason == "OK"
    assert not alerts(desk)
    a.lose()
    for _ in range(3):
        assert scene.pos7.pay(a, 1).reason == "CARD_LOST"
    assert scene.shop.pay(a, 1).reason == "CARD_LOST"
    shop, till = alerts(desk)
    assert (till.reason, till.terminal_id, till.taps) == ("CARD_LOST", "POS-07", 3)
    assert (shop.terminal_id, shop.merchant_id, shop.taps) == ("SHOP-1", "M4", 1)
    desk("AcknowledgeAlert", seq=till.seq, reason="已联系食堂")
    assert scene.pos7.pay(a, 1).reason == "CARD_LOST"
    assert len(alerts(desk, open=True)) == 2, "after it was closed it is a new one"

    campus.set_time("2024-03-15 14:50")
    case_no = desk.ready_case(a.account_no, "R-1")
    desk("MakeCard", case_no=case_no, uid=uid())
    assert scene.pos7.pay(a, 1).reason == "CARD_VOID"
    newest, *_ = alerts(desk, open=True)
    assert (newest.reason, newest.account_no) == ("CARD_VOID", a.account_no)
    assert scene.pos7.pay(rfid(uid()), 1).reason == "CARD_UNKNOWN"
    assert len(alerts(desk)) == 4
    auditor = campus.member("auditor", "AUDITOR")
    assert alerts(desk, auditor) == alerts(desk)
    refused("FORBIDDEN", desk, "AcknowledgeAlert", auditor, seq=newest.seq, reason="x")

    pages, token = [], ""
    while not pages or token:
        page = desk("ListAlerts", page_size=3, page_token=token)
        pages.append(list(page.alerts))
        token = page.next_page_token
    assert [alert for page in pages for alert in page] == alerts(desk)
    before = alerts(desk)
    campus.stop()
    for path in (campus.data / "registry").iterdir():
        path.unlink()
    campus.start()
    assert alerts(desk) == before
