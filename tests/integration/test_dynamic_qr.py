"""Dynamic QR codes from phone to gate and till: a minute, once, of this server (regulation 四.1a)."""

import itertools
import os

import pytest

from campuscard.v1 import access_service_pb2 as pb
from campuscard.v1 import access_service_pb2_grpc as pb_grpc
from campuscard.v1 import card_office_service_pb2 as cards_pb
from campuscard.v1 import holder_service_pb2 as holder_pb
from core import qr
from tests.access import Gates
from tests.campus import CALL_S
from tests.cards import refused
from tests.self_service import SelfService, reset_query

ID_NUMBER = "440703200603011215"
ID_TAIL = "011215"
CHOSEN = itertools.count(10)


@pytest.fixture(scope="module")
def gates(campus):
    gates = Gates(campus)
    gates.zone("HALL", *(f"HALL-{n}" for n in range(8)))
    gates.group("hall", "HALL", kinds=["STUDENT"])
    return gates


@pytest.fixture
def holder(campus):
    return campus.open_account(top_up_fen=1_000, id_number=ID_NUMBER)


def reason(response):
    return response.reason


def at_the_phone(campus, holder):
    reset_query(campus, holder.account_no, ID_NUMBER)
    own = SelfService(campus, holder.account_no)
    own.enter(ID_TAIL, f"lantern-{next(CHOSEN)}")
    return own


def signed_in(campus, holder):
    """Sign the holder in; returns what calls AccessService in their name."""
    own = at_the_phone(campus, holder)
    stub = pb_grpc.AccessServiceStub(campus.raw_channel)
    metadata = [("authorization", f"Bearer {own.token}")]
    return lambda method, request: getattr(stub, method)(request, timeout=CALL_S, metadata=metadata)


def issue(campus, holder):
    """Sign the holder in and let the phone ask for a code."""
    own = at_the_phone(campus, holder)
    return lambda: own.call("IssueQr", holder_pb.IssueQrRequest())


@pytest.mark.clause("四.1a")
def test_from_the_phone_to_the_gate_and_the_till(campus, gates, pos, holder):
    ask = issue(campus, holder)
    refused("PHONE_REQUIRED", ask)
    gates.phone(holder)
    issued = ask()
    assert len(issued.qr) <= 100
    now_us = campus.now_us()
    assert now_us < issued.until_time_us <= now_us + 60_000_000
    passed = gates.check("HALL-0", issued.qr)
    assert (passed.granted, passed.reason) == (True, "OK")
    assert reason(gates.check("HALL-1", issued.qr)) == "QR_USED"
    refused("QR_USED", gates.present, "POS-07", issued.qr)
    second = ask()
    assert second.qr != issued.qr
    request_id = campus.request_id()
    shown = gates.present("POS-07", second.qr, request_id)
    assert pos.pay(shown.medium, 100).reason == "OK"
    again = gates.present("POS-07", second.qr, request_id)
    assert again.medium == shown.medium, "the till asks again and gets the same answer"
    assert again.act.replayed
    refused("QR_USED", gates.present, "POS-07", second.qr)
    assert reason(gates.check("HALL-0", second.qr)) == "QR_USED"
    assert holder.online_fen == 900
    assert [p.medium_type for p in gates.passes(account_no=holder.account_no)] == [2, 2, 2]


@pytest.mark.clause("三.2d")
def test_a_lost_card_leaves_the_phone_and_a_lost_everything_does_not(campus, gates, pos, holder):
    """Regulation 三.2d: by default the card only."""
    ask = issue(campus, holder)
    gates.phone(holder)
    holder.lose()
    assert gates.check("HALL-0", ask().qr).granted
    assert pos.pay(gates.present("POS-07", ask().qr).medium, 1).reason == "OK"
    open_code = ask().qr
    holder.lose(scope=cards_pb.LOSS_SCOPE_ALL_MEDIA)
    assert reason(gates.check("HALL-0", open_code)) == "CARD_LOST"
    refused("CARD_LOST", gates.present, "POS-07", gates.code(holder, phone_of(holder)))
    refused("CARD_LOST", ask)


def phone_of(holder):
    return next(m.number for m in holder.read().media if m.medium.type == 2)


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(0, "OK"), (59, "OK"), (60, "QR_EXPIRED"), (61, "QR_EXPIRED")]
)
def test_a_minute(campus, gates, holder, seconds, wanted):
    number, _ = gates.phone(holder)
    code = gates.code(holder, number)
    campus.pass_time(seconds=seconds)
    assert reason(gates.check("HALL-0", code)) == wanted


def test_a_code_of_the_future_or_of_longer_life(campus, gates, holder):
    number, _ = gates.phone(holder)
    now_s = campus.now_us() // 1_000_000
    assert reason(gates.check("HALL-0", gates.code(holder, number, issued_s=now_s + 1))) == (
        "QR_EXPIRED"
    )


@pytest.mark.clause("四.1a")
def test_used_by_many_at_once(campus, gates, holder):
    """Eight gates and four tills read one code: exactly one of them gets it."""
    number, _ = gates.phone(holder)
    for _ in range(10):
        code = gates.code(holder, number)
        stub = gates.terminal()
        passing = [
            stub.CheckAccess.future(gates.request(f"HALL-{n}", code), timeout=CALL_S)
            for n in range(8)
        ]
        paying = [
            stub.PresentCarrier.future(
                pb.PresentCarrierRequest(
                    request_id=campus.request_id(),
                    terminal_id="POS-07",
                    carrier=pb.Carrier(qr=code),
                ),
                timeout=CALL_S,
            )
            for _ in range(4)
        ]
        passed = [future.result().granted for future in passing]
        paid = [future.exception() is None for future in paying]
        assert sum(passed) + sum(paid) == 1, (passed, paid)


def test_codes_that_are_none(campus, gates, pos, holder):
    assert pos.terminal_id == "POS-07"
    number, _ = gates.phone(holder)
    other = campus.open_account()
    good = gates.code(holder, number)
    tampered = good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
    of_another_server = qr.write(
        qr.Code(
            account=holder.number,
            medium=number,
            issued_s=campus.now_us() // 1_000_000,
            life_s=60,
            nonce=os.urandom(8),
        ),
        os.urandom(32),
    )
    not_a_phone = next(m.number for m in holder.read().media if m.medium.type == 1)
    for code in (
        *(tampered, of_another_server, "x", "学号"),
        gates.code(holder, not_a_phone),
        gates.code(other, number),
        gates.code(holder, 4_000_000_000),
    ):
        assert reason(gates.check("HALL-0", code)) == "QR_INVALID"
        refused("QR_INVALID", gates.present, "POS-07", code)
    assert gates.check("HALL-0", good).granted


def test_what_a_till_may_present(campus, gates, pos, holder):
    assert pos.terminal_id == "POS-07"
    number, _ = gates.phone(holder)
    refused("FIELD_INVALID", gates.present, "POS-07", holder.medium)
    refused("NOT_FOUND", gates.present, "NOWHERE", gates.code(holder, number))
    code = gates.code(holder, number)
    holder.suspend()
    refused("ACCOUNT_SUSPENDED", gates.present, "POS-07", code)
    holder.resume()
    assert gates.present("POS-07", code).medium.type == 2, "what was refused is not used up"


def test_what_was_used_stays_used(own_campus):
    campus = own_campus
    campus.start()
    gates = Gates(campus)
    gates.zone("HALL", "HALL-0")
    gates.group("hall", "HALL", kinds=["STUDENT"])
    holder = campus.open_account()
    number, _ = gates.phone(holder)
    used, fresh = gates.code(holder, number), gates.code(holder, number)
    assert gates.check("HALL-0", used).granted
    campus.kill9()
    campus.restart()
    assert reason(gates.check("HALL-0", used)) == "QR_USED"
    assert gates.check("HALL-0", fresh).granted, "the key outlives the process"


def test_holders_give_up_their_own_face_and_no_other(campus, gates, holder):
    other = campus.open_account()
    gates.enrol(holder, b"face-of-the-first")
    gates.enrol(other, b"face-of-the-second")
    call = signed_in(campus, holder)

    def withdraw(**whose):
        request = pb.WithdrawFaceRequest(request_id=campus.request_id(), **whose)
        return call("WithdrawFace", request)

    refused("FORBIDDEN", withdraw, account_no=other.account_no)
    refused("FORBIDDEN", call, "ListZones", pb.ListZonesRequest())
    withdraw()
    refused("NOT_FOUND", withdraw, account_no=holder.account_no)
    assert reason(gates.check("HALL-0", b"face-of-the-first")) == "CARD_UNKNOWN"
    assert gates.check("HALL-0", b"face-of-the-second").granted
