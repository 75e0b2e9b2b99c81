"""The decision at a gate: every state with its reason, in order. Regulation 二.1, 四.1a, 四.2; D19."""

import itertools
from dataclasses import replace

import pytest

from core.access import (
    Direction,
    Emergency,
    MediumType,
    Moment,
    Passback,
    Passer,
    Shown,
    Verdict,
    Zone,
    account_fault,
    decide,
    medium_fault,
)
from core.catalogue import BY_NAME
from core.facts import MediumFacts
from core.holders import HolderStatus
from core.rows import AccountStatus, MediumFlag, MediumState, ServiceStatus
from core.time_windows import Timetable, Window

WEDNESDAY_NOON = Moment(time_us=1_710_302_400_000_000, utc_offset_s=28_800)
TODAY = WEDNESDAY_NOON.today
OPEN = Timetable(weekly={day: (Window(0, 1_440),) for day in range(7)}, days={})
SHUT = Timetable(weekly={0: (Window(0, 1),)}, days={})
ZONE = Zone(
    zone="D1",
    emergency=Emergency.NONE,
    passback=Passback.ENFORCE,
    passback_minutes=10,
    exits=False,
)
PASSER = Passer(
    account_status=AccountStatus.NORMAL,
    holder_status=HolderStatus.ENROLLED,
    timetables=(OPEN,),
)
MINUTE_US = 60_000_000


def medium(kind=MediumType.RFID_CARD, state=MediumState.ACTIVE, flags=0, expires_day=0):
    return MediumFacts(
        number=3,
        account_number=5,
        type=kind,
        token=b"\x04",
        key=bytes(16),
        state=state,
        flags=MediumFlag(flags),
        expires_day=expires_day,
        lost_seq=0,
        lost_time_us=0,
    )


def check(
    *,
    zone=ZONE,
    gate=ServiceStatus.IN_SERVICE,
    direction=Direction.IN,
    shown=None,
    passer=PASSER,
    moment=WEDNESDAY_NOON,
):
    verdict = decide(zone, gate, direction, shown or Shown(medium=medium()), passer, moment)
    assert verdict.reason in BY_NAME
    return verdict


def refused(reason):
    return Verdict(granted=False, reason=reason)


def expected_fault(state, flags, expires_day):
    """The order of payments: VOID, LOST, FROZEN, EXPIRED, NOT_ACTIVE."""
    if state in {MediumState.NONE, MediumState.UNBOUND}:
        return "CARD_UNKNOWN"
    order = [
        ("CARD_VOID", state in {MediumState.VOID, MediumState.RETURNED}),
        ("CARD_LOST", bool(flags & MediumFlag.LOST)),
        ("CARD_FROZEN", bool(flags & MediumFlag.FROZEN)),
        ("CARD_EXPIRED", expires_day and expires_day <= TODAY),
        ("CARD_NOT_ACTIVE", state is not MediumState.ACTIVE),
    ]
    return next((reason for reason, wrong in order if wrong), "")


@pytest.mark.parametrize(
    ("state", "flags", "expires_day"),
    list(itertools.product(MediumState, range(4), [0, TODAY - 1, TODAY, TODAY + 1])),
)
def test_every_medium_has_the_reason_it_has_at_a_till(state, flags, expires_day):
    shown = medium(state=state, flags=flags, expires_day=expires_day)
    fault = expected_fault(state, MediumFlag(flags), expires_day)
    assert medium_fault(shown, TODAY) == fault
    verdict = check(shown=Shown(medium=shown))
    assert verdict == (refused(fault) if fault else Verdict(granted=True))


def test_a_medium_that_is_not_known():
    assert check(shown=Shown(medium=None), passer=None) == refused("CARD_UNKNOWN")
    assert check(passer=None) == refused("CARD_UNKNOWN")


@pytest.mark.parametrize("fault", ["QR_INVALID", "QR_EXPIRED", "QR_USED"])
def test_what_is_wrong_with_a_code_comes_before_its_phone(fault):
    lost = medium(MediumType.MOBILE_QR, flags=MediumFlag.LOST)
    assert check(shown=Shown(medium=lost, fault=fault)) == refused(fault)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (AccountStatus.NORMAL, "OK"),
        (AccountStatus.SUSPENDED, "ACCOUNT_SUSPENDED"),
        (AccountStatus.CLOSING, "ACCOUNT_CLOSED"),
        (AccountStatus.CLOSED, "ACCOUNT_CLOSED"),
    ],
)
def test_accounts(status, reason):
    assert (account_fault(status) or "OK") == reason
    assert check(passer=replace(PASSER, account_status=status)).reason == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (HolderStatus.ENROLLED, "OK"),
        (HolderStatus.ON_LEAVE, "HOLDER_ON_LEAVE"),
        (HolderStatus.GRADUATED, "HOLDER_LEFT"),
        (HolderStatus.WITHDRAWN, "HOLDER_LEFT"),
        (HolderStatus.STAFF_LEFT, "HOLDER_LEFT"),
    ],
)
def test_where_a_holder_stands_with_the_school(status, reason):
    assert check(passer=replace(PASSER, holder_status=status)).reason == reason


def test_groups_and_hours():
    assert check(passer=replace(PASSER, timetables=())) == refused("NOT_ADMITTED")
    assert check(passer=replace(PASSER, timetables=(SHUT,))) == refused("OUTSIDE_WINDOW")
    assert check(passer=replace(PASSER, timetables=(SHUT, OPEN))).granted


def test_nobody_is_shut_in_unless_the_zone_says_so():
    late = replace(PASSER, timetables=(SHUT,))
    assert check(passer=late, direction=Direction.OUT).granted
    strict = replace(ZONE, exits=True)
    verdict = check(passer=late, direction=Direction.OUT, zone=strict)
    assert verdict == refused("OUTSIDE_WINDOW")
    lost = Shown(medium=medium(flags=MediumFlag.LOST))
    assert check(shown=lost, direction=Direction.OUT) == refused("CARD_LOST")


@pytest.mark.parametrize(
    ("mode", "first", "after"),
    [
        (Passback.OFF, Verdict(granted=True), Verdict(granted=True)),
        (Passback.WARN, Verdict(granted=True, reason="PASSBACK"), Verdict(granted=True)),
        (Passback.ENFORCE, refused("PASSBACK"), Verdict(granted=True)),
    ],
)
def test_a_second_entry(mode, first, after):
    zone = replace(ZONE, passback=mode)
    now = WEDNESDAY_NOON.time_us
    just = replace(PASSER, inside_since_us=now - 10 * MINUTE_US + 1)
    long_ago = replace(PASSER, inside_since_us=now - 10 * MINUTE_US)
    assert check(zone=zone, passer=just) == first
    assert check(zone=zone, passer=long_ago) == after
    assert check(zone=zone, passer=just, direction=Direction.OUT) == Verdict(granted=True)


def test_emergencies_come_first():
    open_zone = replace(ZONE, emergency=Emergency.OPEN)
    everybody = Verdict(granted=True, reason="ZONE_OPEN")
    unknown = Shown(medium=None)
    suspended = ServiceStatus.SUSPENDED
    assert check(zone=open_zone, shown=unknown, passer=None, gate=suspended) == everybody
    locked = replace(ZONE, emergency=Emergency.LOCKED)
    assert check(zone=locked) == refused("ZONE_LOCKED")
    assert check(zone=locked, direction=Direction.OUT).granted


@pytest.mark.parametrize("status", [s for s in ServiceStatus if s is not ServiceStatus.IN_SERVICE])
def test_a_gate_out_of_service_opens_for_nobody(status):
    assert check(gate=status) == refused("TERMINAL_SUSPENDED")


OTHERS = [
    ((), False),
    ((medium(MediumType.FACE),), False),
    ((medium(flags=MediumFlag.LOST),), False),
    ((medium(state=MediumState.VOID), medium(MediumType.FACE)), False),
    ((medium(expires_day=TODAY),), False),
    ((medium(flags=MediumFlag.LOST), medium(MediumType.MOBILE_QR)), True),
    ((medium(),), True),
    ((medium(MediumType.MOBILE_NFC),), True),
]


@pytest.mark.parametrize(("others", "granted"), OTHERS)
@pytest.mark.clause("四.1a")
def test_a_face_is_never_the_only_carrier(others, granted):
    shown = Shown(medium=medium(MediumType.FACE), others=others)
    assert check(shown=shown) == (Verdict(granted=True) if granted else refused("FACE_ONLY"))
    lost = Shown(medium=medium(MediumType.FACE, flags=MediumFlag.LOST), others=others)
    assert check(shown=lost) == refused("CARD_LOST")


LADDER = [
    ("TERMINAL_SUSPENDED", {"gate": ServiceStatus.SUSPENDED}, {}),
    ("ZONE_LOCKED", {"zone": replace(ZONE, emergency=Emergency.LOCKED)}, {}),
    ("CARD_LOST", {"shown": Shown(medium=medium(flags=MediumFlag.LOST))}, {}),
    ("ACCOUNT_SUSPENDED", {}, {"account_status": AccountStatus.SUSPENDED}),
    ("HOLDER_ON_LEAVE", {}, {"holder_status": HolderStatus.ON_LEAVE}),
    ("NOT_ADMITTED", {}, {"timetables": ()}),
    ("PASSBACK", {}, {"inside_since_us": WEDNESDAY_NOON.time_us - 1}),
]


@pytest.mark.parametrize("first", range(len(LADDER)), ids=[name for name, _, _ in LADDER])
def test_the_first_thing_that_is_wrong_decides(first):
    """Everything from a rung on is wrong at once: that rung's reason is given."""
    facts, passer = {}, {}
    for _, of_check, of_passer in LADDER[first:]:
        facts |= of_check
        passer |= of_passer
    verdict = check(**facts, passer=replace(PASSER, **passer))
    assert verdict == refused(LADDER[first][0])
