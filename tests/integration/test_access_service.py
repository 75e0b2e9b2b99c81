"""Gates through the API: zones, groups, hours, second entries, emergencies, faces, rebuild."""

import datetime as dt

import grpc
import pytest

from campuscard.v1 import access_service_pb2 as pb
from campuscard.v1 import access_service_pb2_grpc as pb_grpc
from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import holder_service_pb2, holder_service_pb2_grpc, roster_pb2
from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from tests.access import FACE, Gates
from tests.campus import CALL_S, Campus, refusal
from tests.cards import refused, rfid, uid

WEDNESDAY = "2024-03-13"
DAY = (dt.date(2024, 3, 13) - dt.date(1970, 1, 1)).days


@pytest.fixture(scope="module")
def gates(campus):
    return Gates(campus)


def reason(response):
    return response.reason if not response.granted else f"+{response.reason}"


def put(gates, group_id, *holders, remove=False):
    numbers = [holder.account_no for holder in holders]
    method = "RemoveMember" if remove else "PutMember"
    return gates(method, group_id=group_id, account_nos=numbers)


@pytest.mark.clause("二.1", "四.2")
def test_a_passage_and_its_answer_again(campus, gates):
    gates.zone("HALL", "HALL-1")
    gates.group("hall", "HALL", kinds=["STUDENT"])
    holder = campus.open_account()
    request = gates.request("HALL-1", holder.medium)
    first = gates.send(request)
    assert (first.granted, first.reason, first.zone_id) == (True, "OK", "HALL")
    assert (first.text_zh, first.text_en, first.clause) == ("请通行", "Pass", "")
    holder.lose()
    again = gates.send(request)
    assert again.act.replayed
    first.act.replayed = True
    assert again == first, "a retry is answered as it was, whatever came since"
    lost = gates.check("HALL-1", holder.medium)
    assert (lost.granted, lost.reason, lost.clause) == (False, "CARD_LOST", "三.2")
    other = gates.request("HALL-1", holder.medium, "OUT")
    other.request_id = request.request_id
    refused("REQUEST_ID_REUSED", gates.send, other)
    assert reason(gates.check("HALL-1", rfid(uid()))) == "CARD_UNKNOWN"


def test_what_a_gate_cannot_send(campus, gates):
    medium = campus.open_account().medium
    gates.zone("Z-FORM", "FORM-1")

    def fault(**changes):
        request = gates.request("FORM-1", medium)
        for name, value in changes.items():
            if name == "carrier":
                request.carrier.CopyFrom(value)
            else:
                setattr(request, name, value)
        return refused("FIELD_INVALID", gates.send, request)["field"]

    assert fault(request_id="x") == "request_id"
    assert fault(terminal_id="") == "terminal_id"
    assert fault(direction=0) == "direction"
    assert fault(direction=9) == "direction"
    assert fault(carrier=pb.Carrier()) == "carrier"
    assert fault(carrier=pb.Carrier(qr="x" * 101)) == "carrier.qr"
    assert fault(carrier=pb.Carrier(qr="")) == "carrier.qr"
    assert fault(carrier=pb.Carrier(face_token=b"short")) == "face_token"
    static = terminal_pb.Medium(type=terminal_pb.MEDIUM_TYPE_MOBILE_QR, token=b"phone")
    assert fault(carrier=pb.Carrier(medium=static)) == "carrier.medium.type"
    for gate in "NOWHERE", "POS-07":
        request = gates.request(gate, medium)
        assert refused("NOT_FOUND", gates.send, request)["what"] == "gate"


@pytest.mark.clause("四.2")
def test_hours_of_a_dormitory(campus, gates):
    """Over midnight, on exception days, by the campus's clock."""
    gates.zone("D1", "D1-IN", check_exits=False)
    nights = [(day, 1_320, 360) for day in range(1, 8)]
    gates.group("d1", "D1", windows=nights, days=[(DAY + 1, []), (DAY + 3, [(600, 660)])])
    holder = campus.open_account()
    put(gates, "d1", holder)
    seen = {}
    for time in (
        *(f"{WEDNESDAY} 21:59:59", f"{WEDNESDAY} 22:00", "2024-03-14 05:59:59"),
        *("2024-03-14 06:00", "2024-03-14 23:00", "2024-03-15 00:30", "2024-03-15 22:30"),
        *("2024-03-16 05:30", "2024-03-16 10:30", "2024-03-16 23:00", "2024-03-17 01:00"),
    ):
        campus.set_time(time)
        seen[time[8:]] = gates.check("D1-IN", holder.medium).granted
        assert gates.check("D1-IN", holder.medium, "OUT").granted, "nobody is shut in"
    assert seen == {
        "13 21:59:59": False,
        "13 22:00": True,
        "14 05:59:59": True,
        "14 06:00": False,
        "14 23:00": False,
        "15 00:30": False,
        "15 22:30": True,
        "16 05:30": True,
        "16 10:30": True,
        "16 23:00": False,
        "17 01:00": False,
    }
    gates.zone("D1", "D1-IN", check_exits=True)
    assert reason(gates.check("D1-IN", holder.medium, "OUT")) == "OUTSIDE_WINDOW"


def test_groups_by_kind_class_and_account(campus, gates):
    gates.zone("LIB", "LIB-1", kind="LIBRARY")
    gates.group("lib", "LIB", kinds=["STAFF"], class_names=["2024级法学"])
    staff = campus.open_account(kind="STAFF", class_name="图书馆")
    of_class = campus.open_account(class_name="2024级法学")
    other = campus.open_account(class_name="2024级法学1")
    for holder, wanted in ((staff, "+OK"), (of_class, "+OK"), (other, "NOT_ADMITTED")):
        assert reason(gates.check("LIB-1", holder.medium)) == wanted
    assert put(gates, "lib", other, other).added == 1
    assert put(gates, "lib", other, staff).added == 1
    assert reason(gates.check("LIB-1", other.medium)) == "+OK"
    assert put(gates, "lib", other, of_class, remove=True).removed == 1
    assert reason(gates.check("LIB-1", other.medium)) == "NOT_ADMITTED"
    (group,) = gates("ListGroups", zone_id="LIB").groups
    assert (group.group_id, group.members, list(group.class_names)) == ("lib", 1, ["2024级法学"])
    refused("NOT_FOUND", put, gates, "nobody", other)
    refused("NOT_FOUND", gates, "PutMember", group_id="lib", account_nos=["NOBODY"])
    refused("FIELD_INVALID", gates, "PutMember", group_id="lib", account_nos=[])


def test_a_holder_on_leave_stays_out(campus, gates):
    """D19: on leave one spends and does not pass; who is back passes."""
    gates.zone("Z-LEAVE", "LEAVE-1")
    gates.group("leave", "Z-LEAVE", kinds=["STUDENT"])
    holder = campus.open_account(top_up_fen=100)

    def set_status(status):
        request = roster_pb2.ChangeHolderRequest(
            request_id=campus.request_id(),
            account_no=holder.account_no,
            status=roster_pb2.HolderStatus.Value(f"HOLDER_STATUS_{status}"),
            reason="test",
        )
        campus.cards.ChangeHolder(request, timeout=CALL_S)

    set_status("ON_LEAVE")
    assert reason(gates.check("LEAVE-1", holder.medium)) == "HOLDER_ON_LEAVE"
    set_status("ENROLLED")
    assert reason(gates.check("LEAVE-1", holder.medium)) == "+OK"
    set_status("GRADUATED")
    assert reason(gates.check("LEAVE-1", holder.medium)) == "HOLDER_LEFT"
    holder.suspend()
    assert reason(gates.check("LEAVE-1", holder.medium)) == "ACCOUNT_SUSPENDED"


def test_a_second_entry(campus, gates):
    gates.zone("GYM", "GYM-1", "GYM-2", passback="ENFORCE", passback_minutes=5)
    gates.group("gym", "GYM", kinds=["STUDENT"])
    holder, other = campus.open_account(), campus.open_account()
    first = gates.check("GYM-1", holder.medium)
    assert reason(gates.check("GYM-2", holder.medium)) == "PASSBACK"
    assert reason(gates.check("GYM-2", other.medium)) == "+OK"
    assert reason(gates.check("GYM-1", holder.medium, "OUT")) == "+OK"
    assert reason(gates.check("GYM-2", holder.medium)) == "+OK"
    campus.pass_time(minutes=4, seconds=59)
    assert reason(gates.check("GYM-2", holder.medium)) == "PASSBACK"
    campus.pass_time(seconds=1)
    assert reason(gates.check("GYM-2", holder.medium)) == "+OK"
    gates.zone("GYM", "GYM-1", "GYM-2", passback="WARN", passback_minutes=5)
    assert reason(gates.check("GYM-1", holder.medium)) == "+PASSBACK"
    gates.zone("GYM", "GYM-1", passback="OFF")
    assert reason(gates.check("GYM-1", holder.medium)) == "+OK"
    refused("NOT_FOUND", gates.check, "GYM-2", holder.medium)
    listed = gates.passes(account_no=holder.account_no, refused=True)
    assert [(p.terminal_id, p.reason) for p in listed] == [("GYM-2", "PASSBACK")] * 2
    everything = gates.passes(account_no=holder.account_no)
    assert everything[-1].seq == first.act.seq


def test_a_second_entry_at_the_same_moment(campus, gates):
    """Eight readers see one card at once: one lets it in."""
    readers = [f"RUSH-{n}" for n in range(8)]
    gates.zone("RUSH", *readers, passback="ENFORCE", passback_minutes=5)
    gates.group("rush", "RUSH", kinds=["STUDENT"])
    holder = campus.open_account()
    check = gates.terminal().CheckAccess
    futures = [check.future(gates.request(r, holder.medium), timeout=CALL_S) for r in readers]
    reasons = sorted(future.result().reason for future in futures)
    assert reasons == ["OK"] + ["PASSBACK"] * 7


@pytest.mark.clause("八.3")
def test_emergencies_are_acts_with_a_reason(campus, gates):
    gates.zone("FIRE", "FIRE-1")
    holder = campus.open_account()
    stranger = rfid(uid())
    mode = pb.EMERGENCY_MODE_OPEN
    refused("FIELD_INVALID", gates, "SetEmergency", zone_id="FIRE", mode=mode)
    opened = gates("SetEmergency", zone_id="FIRE", mode=mode, reason="火警演习")
    assert opened.previous == pb.EMERGENCY_MODE_NONE
    assert reason(gates.check("FIRE-1", stranger)) == "+ZONE_OPEN"
    refused("STATE_TRANSITION", gates, "SetEmergency", zone_id="FIRE", mode=mode, reason="x")
    gates("SetEmergency", zone_id="FIRE", mode=pb.EMERGENCY_MODE_LOCKED, reason="x")
    assert reason(gates.check("FIRE-1", holder.medium)) == "ZONE_LOCKED"
    assert reason(gates.check("FIRE-1", holder.medium, "OUT")) == "+OK"
    gates("SetEmergency", zone_id="FIRE", mode=pb.EMERGENCY_MODE_NONE, reason="x")
    assert reason(gates.check("FIRE-1", holder.medium)) == "NOT_ADMITTED"
    refused("NOT_FOUND", gates, "SetEmergency", zone_id="NONE", mode=mode, reason="x")


def test_zones_and_gates(campus, gates):
    made = gates.zone("Z-A", "ZA-1", kind="SWIMMING_POOL")
    gates.gate("ZA-2")
    zone = pb.Zone(
        zone_id="Z-A",
        name="泳池",
        kind="SWIMMING_POOL",
        terminal_ids=["ZA-2", "ZA-1"],
        passback=pb.PASSBACK_MODE_OFF,
        etag=made.etag,
    )
    changed = gates("SetZone", zone=zone)
    refused("CONFLICT", gates, "SetZone", zone=zone)
    (listed,) = gates("ListZones", kind="SWIMMING_POOL").zones
    zone.etag, zone.emergency = changed.etag, pb.EMERGENCY_MODE_NONE
    del zone.terminal_ids[:]
    zone.terminal_ids.extend(["ZA-1", "ZA-2"])
    assert listed == zone
    assert refused("GATE_TAKEN", gates.zone, "Z-B", "ZA-1")["terminal"] == "ZA-1"
    refused("FIELD_INVALID", gates.zone, "Z-B", kind="pool")
    refused("FIELD_INVALID", gates, "SetZone", zone=listed)
    first = gates("ListZones", page_size=1)
    rest = gates("ListZones", page_size=1, page_token=first.next_page_token)
    assert first.zones[0].zone_id < rest.zones[0].zone_id
    refused("NOT_FOUND", gates.group, "g", "NO-ZONE")
    refused("FIELD_INVALID", gates.group, "g", windows=[(1, 0, 10), (1, 9, 20)])
    refused("FIELD_INVALID", gates.group, "g", windows=[(8, 0, 10)])
    refused("FIELD_INVALID", gates.group, "g", days=[(DAY, []), (DAY, [])])


def test_pages_of_passes(campus, gates):
    gates.zone("PAGED", "PAGED-1")
    gates.group("paged", "PAGED", kinds=["STUDENT"])
    holder = campus.open_account()
    seqs = [gates.check("PAGED-1", holder.medium).act.seq for _ in range(5)]
    found, token = [], ""
    while True:
        page = gates("ListPasses", zone_id="PAGED", page_size=2, page_token=token)
        found += [each.seq for each in page.passes]
        token = page.next_page_token
        if not token:
            break
    assert found == seqs[::-1]
    refused("FIELD_INVALID", gates, "ListPasses")
    refused("NOT_FOUND", gates, "ListPasses", account_no="NOBODY")


@pytest.mark.clause("四.1a")
def test_a_face_with_its_consent(campus, gates, pos):
    gates.zone("Z-FACE", "FACE-1")
    gates.group("face", "Z-FACE", kinds=["STUDENT"])
    holder = campus.open_account(top_up_fen=100)
    assert reason(gates.check("FACE-1", FACE)) == "CARD_UNKNOWN"
    refused("GUARDIAN_REQUIRED", gates.enrol, holder, born="2013-01-01")
    later = campus.now_us() + 1
    refused("CONSENT_INVALID", gates.enrol, holder, given_time_us=later)
    assert refused("FIELD_INVALID", gates.enrol, holder, born="2013-02-30")["field"] == "birth_date"
    bare = campus.open_account(card=False)
    refused("FACE_ONLY", gates.enrol, bare)
    gates.enrol(holder, born="2013-01-01", guardian_name="李四", guardian_phone="13800138000")
    refused("ALREADY_EXISTS", gates.enrol, holder, b"another-token-of-it")
    refused("ALREADY_EXISTS", gates.enrol, campus.open_account())
    assert reason(gates.check("FACE-1", FACE)) == "+OK"
    paid = pos.pay(gates.present("POS-07", FACE).medium, 1)
    assert paid.reason == "OK"
    holder.lose()
    assert reason(gates.check("FACE-1", FACE)) == "FACE_ONLY"
    refused("FACE_ONLY", gates.present, "POS-07", FACE)
    gates.phone(holder)
    assert reason(gates.check("FACE-1", FACE)) == "+OK"
    holder.lose(scope=2)
    assert reason(gates.check("FACE-1", FACE)) == "CARD_LOST"
    gates("WithdrawFace", account_no=holder.account_no, reason="test")
    assert reason(gates.check("FACE-1", FACE)) == "CARD_UNKNOWN"
    assert all(not m.medium.token for m in holder.read().media if m.medium.type == 4)
    refused("NOT_FOUND", gates, "WithdrawFace", account_no=holder.account_no)
    unlost = campus.open_account()
    gates.enrol(unlost)
    assert reason(gates.check("FACE-1", FACE)) == "+OK", "a token that was given up may be bound"


def test_who_may_do_what(campus, gates):
    student = campus.open_account()
    auditor = campus.member("gate-auditor", "AUDITOR")
    supervisor = campus.member("gate-head", "CARD_SUPERVISOR")
    finance = campus.member("gate-finance", "FINANCE")
    gates.zone("Z-ROLES", "ROLES-1")
    assert gates("ListZones", auditor).zones
    refused("FORBIDDEN", gates, "ListZones", finance)
    refused("FORBIDDEN", gates.enrol, student, member=auditor)
    mode = pb.EMERGENCY_MODE_LOCKED
    refused("FORBIDDEN", gates, "SetEmergency", auditor, zone_id="Z-ROLES", mode=mode, reason="x")
    gates("SetEmergency", supervisor, zone_id="Z-ROLES", mode=mode, reason="x")
    own = holder_service_pb2_grpc.HolderServiceStub(campus.channel)
    refused("FORBIDDEN", own.IssueQr, holder_service_pb2.IssueQrRequest(), timeout=CALL_S)
    nobody = pb_grpc.AccessServiceStub(campus.raw_channel)
    refused("SESSION_REQUIRED", nobody.ListZones, pb.ListZonesRequest(), timeout=CALL_S)
    refused("FORBIDDEN", gates.staff(auditor).CheckAccess, gates.request("ROLES-1", student.medium))


def everything(gates, holders):
    """Return all that is read of gates."""
    return (
        gates("ListZones"),
        gates("ListGroups"),
        [gates("ListPasses", account_no=holder.account_no) for holder in holders],
        gates("ListPasses", zone_id="R1"),
    )


def test_a_rebuilt_registry_says_the_same(own_campus):
    campus = own_campus
    campus.start()
    gates = Gates(campus)
    holders = [campus.open_account() for _ in range(3)]
    gates.zone("R1", "R1-1", passback="ENFORCE", passback_minutes=600)
    gates.group("r1", "R1", kinds=["STAFF"], days=[(DAY, [(0, 1_440)]), (DAY + 1, [])])
    put(gates, "r1", *holders)
    put(gates, "r1", holders[2], remove=True)
    number, _ = gates.phone(holders[1])
    code = gates.code(holders[1], number)
    gates.enrol(holders[0], b"a-face-that-goes-on")
    requests = [gates.request("R1-1", holder.medium) for holder in holders]
    requests.append(gates.request("R1-1", code, "OUT"))
    answers = [gates.send(request) for request in requests]
    assert [reason(answer) for answer in answers] == ["+OK", "+OK", "NOT_ADMITTED", "+OK"]
    before = everything(gates, holders)
    campus.stop()
    for path in (campus.data / "registry").iterdir():
        path.unlink()
    campus.start()
    assert everything(gates, holders) == before
    for request, answer in zip(requests, answers, strict=True):
        answer.act.replayed = True
        assert gates.send(request) == answer
    assert reason(gates.check("R1-1", holders[0].medium)) == "PASSBACK"
    assert reason(gates.check("R1-1", holders[1].medium)) == "+OK"
    assert reason(gates.check("R1-1", code, "OUT")) == "QR_USED", "also after a rebuild"
    assert reason(gates.check("R1-1", b"a-face-that-goes-on", "OUT")) == "+OK"


def test_an_erased_holder_was_nowhere(own_campus):
    campus = own_campus
    campus.start()
    gates = Gates(campus)
    holder = campus.open_account()
    gates.zone("R1", "R1-1")
    gates.group("r1", "R1", kinds=["STUDENT"])
    gates.enrol(holder, guardian_name="李四")
    gates.check("R1-1", holder.medium)
    holder.set_status("CLOSING")
    holder.set_status("CLOSED")
    erase = accounts_pb.EraseHolderRequest(
        request_id=campus.request_id(), account_no=holder.account_no
    )
    campus.accounts.EraseHolder(erase, timeout=CALL_S)
    for _ in range(2):
        (passed,) = gates.passes(zone_id="R1")
        assert passed.account_no == ""
        assert all(not m.medium.token for m in holder.read().media if m.medium.type == 4)
        campus.stop()
        for path in (campus.data / "registry").iterdir():
            path.unlink()
        campus.start()


def test_old_passes_leave_the_registry(own_campus):
    campus = own_campus
    campus.start()
    gates = Gates(campus)
    holder = campus.open_account()
    gates.zone("R1", "R1-1")
    gates.group("r1", "R1", kinds=["STUDENT"])
    request = gates.request("R1-1", holder.medium)
    first = gates.send(request)
    campus.pass_time(days=89, hours=23)
    second = gates.check("R1-1", holder.medium)
    campus.pass_time(hours=2)
    assert [p.seq for p in gates.passes(zone_id="R1")] == [second.act.seq]
    third = gates.check("R1-1", holder.medium)
    assert [p.seq for p in gates.passes(account_no=holder.account_no)] == [
        third.act.seq,
        second.act.seq,
    ]
    refused("KEY_EXPIRED", gates.send, request)
    assert first.act.seq < second.act.seq


def test_a_gate_out_of_service(campus, gates):
    gates.zone("Z-OUT", "OUT-1")
    medium = campus.open_account().medium
    request = merchants_pb.UpdateTerminalRequest(
        request_id=campus.request_id(),
        terminal_id="OUT-1",
        status=merchants_pb.SERVICE_STATUS_SUSPENDED,
    )
    campus.merchants.UpdateTerminal(request, timeout=CALL_S)
    assert reason(gates.check("OUT-1", medium)) == "TERMINAL_SUSPENDED"


def test_passages_at_the_bound_of_the_queue(campus, gates):
    """Whatever comes at once is answered, each with its own decision."""
    gates.zone("MANY", "MANY-1")
    gates.group("many", "MANY", kinds=["STUDENT"])
    holder = campus.open_account()
    check = gates.terminal().CheckAccess
    requests = [gates.request("MANY-1", holder.medium) for _ in range(200)]
    requests += requests[:50]
    futures = [check.future(request, timeout=3 * CALL_S) for request in requests]
    answers = [answered(future) for future in futures]
    assert all(answer.granted for answer in answers)
    assert len({answer.act.seq for answer in answers}) == 200
    assert sum(answer.act.replayed for answer in answers) == 50


def answered(future):
    try:
        return future.result()
    except grpc.RpcError as error:
        raise AssertionError(error.details()) from error


def test_a_gate_beyond_its_rate_is_told_when_to_come_back(tmp_path):
    """Regulation 七.4: one gate that runs wild takes nothing from the others."""
    settings = {"limits": {"terminal_rate": 1, "terminal_burst": 3}}
    with Campus(tmp_path / "c", settings=settings) as campus:
        gates = Gates(campus)
        gates.zone("R1", "R1-1", "R1-2")
        gates.group("r1", "R1", kinds=["STUDENT"])
        medium = campus.open_account().medium
        check = gates.terminal().CheckAccess
        futures = [check.future(gates.request("R1-1", medium), timeout=CALL_S) for _ in range(20)]
        faults = [fault for future in futures if (fault := future.exception()) is not None]
        assert 10 <= len(faults) < 20
        assert {refusal(fault)[0] for fault in faults} == {"RATE_LIMITED"}
        assert gates.check("R1-2", medium).granted
