"""Scenarios 17 (upgrade) and 18 (without the payout): a temporary card, a class that graduates."""

import pytest

from campuscard.v1 import card_office_service_pb2 as pb
from clients.admin.certificates import CertificateError, verify
from tests.campus import microseconds
from tests.cards import CardDesk, rfid, state_of, uid

GRADUATES = "2020级1班"


@pytest.fixture
def desk(scene):
    return CardDesk(scene.campus)


@pytest.mark.clause("三.1(4)")
def test_a_temporary_card_becomes_a_formal_one_without_a_fee(scene, desk):
    """Regulation 三.1(4): nothing was lost, so nothing is paid and the balance stays."""
    campus, pos = scene.campus, scene.pos7
    holder = campus.open_account(name="李四", top_up_fen=3_720, card=False)
    first, second = uid(), uid()
    issued = desk.issue((holder.account_no, first))
    assert issued.results[0].type == pb.CARD_TYPE_TEMPORARY
    desk("HandOver", batch=issued.batch)
    assert desk("ActivateCards", batch=issued.batch).activated == 1
    assert pos.pay(rfid(first), 1).reason == "OK"
    upgrade = {"account_no": holder.account_no, "uid": second}
    desk.refused("PHOTO_REQUIRED", "UpgradeTemporary", **upgrade)
    desk.photo("李四", holder.account_no)
    holder.lose()
    metadata = desk.refused("CARD_STATE", "UpgradeTemporary", **upgrade)
    assert metadata["state"] == "ACTIVE+LOST"
    assert "REPLACE" in metadata["legal"]
    campus.set_time("2024-03-13 14:30")
    holder.unlose(medium=rfid(first))
    done = desk("UpgradeTemporary", **upgrade)
    old, new = (desk("GetCard", card_no=n).card for n in (done.old_card_no, done.card_no))
    assert (state_of(old), state_of(new)) == ("VOID_UPGRADED", "PRODUCED")
    assert (new.type, new.card_seq) == (pb.CARD_TYPE_FORMAL, 2)
    desk("ActivateCards", uids=[second])
    assert pos.pay(rfid(first), 1).reason == "CARD_VOID"
    assert pos.pay(rfid(second), 1).reason == "OK"
    assert holder.online_fen == 3_718
    assert "ADJUST" not in {record.type for record in holder.history()}, "no fee"
    desk.refused("NOT_TEMPORARY", "UpgradeTemporary", account_no=holder.account_no, uid=uid())


@pytest.mark.clause("三.5(1)", "三.5(2)", "三.5(3)")
def test_a_class_of_45_graduates(scene, desk):
    campus = scene.campus
    holders = [
        campus.open_account(
            f"2020{number:04}", class_name=GRADUATES, top_up_fen=1_000 if number % 2 else 0
        )
        for number in range(45)
    ]
    indebted, paid, unpaid = holders[1], holders[2], holders[3]
    hold = scene.b1.hold(indebted, 300)
    campus.pass_time(minutes=31)
    assert scene.pos7.pay(indebted, 1_000).reason == "OK"
    assert scene.b1.capture(hold.seq, 300).balance_fen == -300
    for holder in (paid, unpaid):
        holder.lose()
    foreign = campus.open_account("2021000001", class_name="2021级1班")

    box = [h.medium.token for h in holders if h not in (paid, unpaid)] + [foreign.medium.token]
    dry = desk("ReturnCards", class_name=GRADUATES, uids=box, dry_run=True)
    assert (dry.returned, dry.act.seq, len(dry.missing)) == (43, 0, 2)
    request = desk.request("ReturnCards", class_name=GRADUATES, uids=box)
    done = desk.send("ReturnCards", request)
    assert done.returned == 43
    assert sorted(done.missing) == sorted(h.account_no for h in (paid, unpaid))
    (strange,) = [result for result in done.results if result.reason]
    assert (strange.reason, strange.account_no) == ("CARD_MISMATCH", foreign.account_no)
    assert strange.index == 43
    assert state_of(desk.card(foreign.account_no)) == "ACTIVE"
    again = desk.send("ReturnCards", request)
    assert again.act.replayed
    again.act.replayed = False
    assert again == done, "the same request, the same answer"
    assert scene.pos7.pay(holders[5], 1).reason == "CARD_VOID"

    compensate = {
        "account_no": paid.account_no,
        "amount_fen": 3_000,
        "paid_time_us": campus.now_us(),
    }
    desk("Compensate", receipt_no="R-901", **compensate)
    assert state_of(desk.card(paid.account_no)) == "VOID_COMPENSATED+lost"
    desk.refused("NO_CARD", "Compensate", receipt_no="R-902", **compensate)

    answers = {h.account_no: desk("GetClearance", account_no=h.account_no) for h in holders}
    blocked = {no: list(a.reasons) for no, a in answers.items() if not a.cleared}
    assert blocked == {
        indebted.account_no: ["DEBT"],
        unpaid.account_no: ["CARD_NOT_RETURNED"],
    }
    assert answers[indebted.account_no].debt_fen == 300
    metadata = desk.refused("NOT_CLEARED", "IssueCertificate", account_no=indebted.account_no)
    assert metadata["reasons"] == "DEBT"
    certified(desk, holders[5].account_no)

    refunds = {"class_name": GRADUATES, "page_size": 10}
    assert not desk("ListRefunds", **refunds).refunds, "late payments may still come"
    campus.pass_time(days=3)
    rows, token = [], ""
    while True:
        page = desk("ListRefunds", **refunds, page_token=token)
        assert page.total_fen == sum(row.amount_fen for row in page.refunds)
        rows += page.refunds
        token = page.next_page_token
        if not token:
            break
    expected = {h.account_no for n, h in enumerate(holders) if n % 2 and n not in (1, 3)}
    assert {row.account_no for row in rows} == expected
    assert sum(row.amount_fen for row in rows) == 1_000 * len(expected)
    indebted.top_up(300)
    assert desk("GetClearance", account_no=indebted.account_no).cleared, "the third run"


def certified(desk, account_no):
    """Issue a certificate, verify it with the public key alone, revoke it."""
    issued = desk("IssueCertificate", account_no=account_no)
    key = desk("GetClearanceKey")
    found = verify(issued.certificate, key.public_key, revoked=())
    assert found.account_no == account_no
    assert found.issued_s == microseconds("2024-03-13 12:11") // 1_000_000
    forged = issued.certificate.replace(account_no, "20209999")
    with pytest.raises(CertificateError):
        verify(forged, key.public_key, revoked=())
    with pytest.raises(CertificateError):
        verify(issued.certificate, bytes(32), revoked=())
    shown = desk("GetCertificate", certificate_no=issued.certificate_no)
    assert shown.certificate == issued.certificate
    assert shown.qr_svg.startswith("<svg")
    assert shown.qr_png.startswith(b"\x89PNG")
    assert desk("GetClearance", account_no=account_no).certificate_no == issued.certificate_no
    revoke = {"certificate_no": issued.certificate_no, "reason": "误发"}
    desk("RevokeCertificate", **revoke)
    desk.refused("NOT_FOUND", "RevokeCertificate", **revoke)
    key = desk("GetClearanceKey")
    with pytest.raises(CertificateError):
        verify(issued.certificate, key.public_key, revoked=key.revoked)
    assert not desk("GetClearance", account_no=account_no).certificate_no
