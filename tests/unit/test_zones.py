"""Zones and groups as staff sets them up (regulation 四.2)."""

import pytest

from core import zones
from core.access import Emergency, Passback
from core.documents.access import GroupSet, ZoneEmergencySet
from core.facts import TerminalFacts
from core.refusals import Refusal
from core.rows import ServiceStatus
from core.time_windows import Timetable, Window
from core.zones import GATES_MAX, NAMES_MAX, GroupFacts, WantedGroup, WantedZone, ZoneFacts

TABLE = Timetable(weekly={1: (Window(600, 660),), 0: (Window(22 * 60, 360),)}, days={9: (), 8: (Window(0, 60),)})  # fmt: skip
ZONE = ZoneFacts(
    zone="D1",
    name="一栋",
    kind="DORMITORY",
    terminals=("G1",),
    passback=Passback.OFF,
    passback_minutes=0,
    exits=False,
    emergency=Emergency.NONE,
    changed_seq=0xAB,
)


def gate(number, status=ServiceStatus.IN_SERVICE):
    return TerminalFacts(
        number=number,
        terminal_id=f"G{number}",
        merchant_number=1,
        merchant_id="M",
        flags=0,
        max_amount=0,
        status=status,
        place="",
        batch_no=0,
        changed_seq=0,
    )


def wanted(**changes):
    values = {
        "zone": "D1",
        "name": "一栋",
        "kind": "DORMITORY",
        "passback": Passback.OFF,
        "passback_minutes": 0,
        "exits": False,
        "etag": "",
    }
    return WantedZone(**(values | changes))


def group(**changes):
    values = {
        "group": "g",
        "name": "g",
        "zones": ("Z", "A", "Z"),
        "kinds": (2, 1),
        "class_names": ("b", "a"),
        "timetable": TABLE,
        "etag": "",
    }
    return WantedGroup(**(values | changes))


def refused(name, function, *args, **kwargs):
    with pytest.raises(Refusal) as caught:
        function(*args, **kwargs)
    assert caught.value.reason.name == name
    return caught.value.metadata


def set_zone(want=None, gates=(), known=None, others=()):
    return zones.set_zone(want or wanted(), gates, known=known, others=others).document


@pytest.mark.parametrize("kind", ["GATE", "SPORTS_HALL_2", "A"])
def test_kinds_are_names(kind):
    assert set_zone(wanted(kind=kind)).kind == kind


@pytest.mark.parametrize("kind", ["", "gate", "1A", "A" * 33, "馆", "A B"])
def test_kinds_that_are_none(kind):
    assert refused("FIELD_INVALID", set_zone, wanted(kind=kind))["field"] == "kind"


def test_a_zone_and_its_gates():
    assert set_zone(gates=[gate(9), gate(3), gate(9)]).terminals == (3, 9)
    metadata = refused("GATE_TAKEN", set_zone, gates=[gate(9)], others=["G9"])
    assert metadata["terminal"] == "G9"
    refused("STATE_TRANSITION", set_zone, gates=[gate(9, ServiceStatus.WITHDRAWN)])
    refused("FIELD_INVALID", set_zone, gates=[gate(n) for n in range(GATES_MAX + 1)])


@pytest.mark.parametrize("minutes", [-1, 0, 10_081])
def test_a_second_entry_needs_its_time(minutes):
    want = wanted(passback=Passback.WARN, passback_minutes=minutes)
    refused("FIELD_INVALID", set_zone, want)


def test_an_old_etag():
    assert set_zone(wanted(etag="ab"), known=ZONE)
    refused("CONFLICT", set_zone, wanted(etag="aa"), known=ZONE)
    refused("CONFLICT", set_zone, wanted(etag="aa"))


def test_a_group_is_written_in_order():
    plan = zones.set_group(group(), known=None, zones=frozenset({"A", "Z"}))
    assert plan.document == GroupSet(
        group="g",
        name="g",
        zones=("A", "Z"),
        kinds=(1, 2),
        class_names=("a", "b"),
        windows=(0, 1_320, 360, 1, 600, 660),
        days=(8, 9),
        day_windows=(8, 0, 60),
    )
    assert plan.effects == ()


def test_groups_that_are_refused():
    there = frozenset({"A", "Z"})
    refused("NOT_FOUND", zones.set_group, group(), known=None, zones=frozenset({"A"}))
    many = tuple(f"Z{n}" for n in range(NAMES_MAX + 1))
    refused("FIELD_INVALID", zones.set_group, group(zones=many), known=None, zones=there)
    none = Timetable(weekly={}, days={})
    refused("FIELD_INVALID", zones.set_group, group(timetable=none), known=None, zones=there)


def test_members_are_named_once():
    facts = GroupFacts(
        group="g", name="", zones=(), kinds=(), class_names=(), timetable=TABLE, members=0, changed_seq=1
    )  # fmt: skip
    assert zones.put_members(facts, [3, 1, 3]).document.accounts == (1, 3)
    assert zones.remove_members(facts, [3, 1, 3]).document.accounts == (1, 3)


def test_an_emergency_says_what_was_before():
    plan = zones.set_emergency(ZONE, Emergency.LOCKED)
    assert plan.document == ZoneEmergencySet(zone="D1", mode=3, previous=1)
    refused("STATE_TRANSITION", zones.set_emergency, ZONE, Emergency.NONE)
