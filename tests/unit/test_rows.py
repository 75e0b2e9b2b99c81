import re
import struct
from pathlib import Path

import pytest

from core import blocks, media, plans, rows
from core.calendar import DEFAULT_MEALS
from core.rows import (
    BODY_BYTES,
    AccountBody,
    MealsBody,
    MediumBody,
    MerchantBody,
    RulesBody,
    TerminalBody,
)

HEADERS = Path(__file__).resolve().parents[2] / "ext"


@pytest.mark.parametrize(
    "body",
    [
        AccountBody(status=1, kind=2, day_limit=3, meal_limit=4, flags=1, event=1),
        MediumBody(key=b"\x01\x04abcd".ljust(16, b"\0"), state=3, flags=1, event=9, expires_day=8),
        MerchantBody(category=1, status=2),
        TerminalBody(name="POS-07", max_amount=5, status=1, flags=1),
        RulesBody(version=7, utc_offset_seconds=-3600, meal_scope=1),
        MealsBody(DEFAULT_MEALS, 3).named(tuple(f"MEAL-{i}" for i in range(1, 5))),
    ],
    ids=lambda body: type(body).__name__,
)
def test_bodies_are_56_bytes_and_read_back(body):
    packed = body.pack()
    assert len(packed) == BODY_BYTES
    assert type(body).unpack(packed) == body


def test_meals_take_names_only_if_as_many():
    meals = MealsBody.unpack(MealsBody(DEFAULT_MEALS).pack())
    assert meals.named(("A",)) == meals
    assert meals.named(tuple(meal.name for meal in DEFAULT_MEALS)).periods == DEFAULT_MEALS


@pytest.mark.parametrize("field", rows.RulesField, ids=lambda field: field.name)
def test_a_mask_s_bit_is_the_place_of_its_field(field):
    name = field.name.lower()
    assert list(RulesBody.__dataclass_fields__)[field.bit_length()] == name


def test_a_scheduled_body_reads_its_fields():
    packed = struct.pack("<IHHBBBBBx42s", 1, 2, 3, 4, 5, 6, 7, 8, bytes(range(42)))
    waits = rows.ScheduledBody.unpack(packed)
    numbers = [getattr(waits, name) for name in waits.__dataclass_fields__]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8, bytes(range(42))]


def c_numbers(header, prefix):
    """Read `PREFIX_NAME = number` from a C header."""
    text = (HEADERS / header).read_text(encoding="utf-8")
    found = re.findall(rf"\b{prefix}_([A-Z0-9_]+)\s*=\s*(\d+)", text)
    return {name: int(number) for name, number in found}


@pytest.mark.parametrize(
    ("header", "prefix", "enum"),
    [
        ("records.h", "CC_T", blocks.RecordType),
        ("records.h", "CC_O", blocks.Outcome),
        ("records.h", "CC_AS", rows.AccountStatus),
        ("records.h", "CC_MS", rows.MediumState),
        ("records.h", "CC_M", rows.MediumFlag),
        ("records.h", "CC_E", rows.RowEvent),
        ("records.h", "CC_W", plans.Wallet),
        ("commands.h", "CC_EF", plans.EffectKind),
        ("commands.h", "CC_X", plans.Expect),
    ],
)
def test_numbers_are_those_of_the_c_headers(header, prefix, enum):
    theirs = c_numbers(header, prefix)
    for member in enum:
        name = member.name
        if name in {"NONE", "ANY"} and name not in theirs:
            continue
        assert theirs[name] == member.value, name


def test_terminal_states_are_those_of_the_header():
    theirs = c_numbers("records.h", "CC_TS")
    assert {m.name: m.value for m in rows.ServiceStatus if m.value} == theirs


def test_medium_types_are_those_of_the_header():
    assert c_numbers("records.h", "CC_MT")["RFID_CARD"] == media.PHYSICAL_CARD


@pytest.mark.parametrize(
    ("medium_type", "token"),
    [(1, b"\x04\xa1\xb2\xc3"), (1, bytes(14)), (2, b"q"), (2, b"x" * 15), (4, bytes(range(64)))],
)
def test_medium_keys_are_the_decoders(medium_type, token):
    """The office binds media under the keys that taps arrive with."""
    wire = pytest.importorskip("ext.wire")
    from campuscard.v1.terminal_service_pb2 import GetBalanceRequest, Medium

    request = GetBalanceRequest(terminal_id="T", medium=Medium(type=medium_type, token=token))
    command = wire.decode(wire.METHODS["GetBalance"], request.SerializeToString())
    assert command["medium_key"] == media.medium_key(medium_type, token)
