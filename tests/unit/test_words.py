"""Tables at the counter speak Chinese where the clerk does."""

import pytest

from campuscard.v1 import (
    access_service_pb2,
    account_service_pb2,
    merchant_service_pb2,
    options_pb2,
    parameter_service_pb2,
    roster_pb2,
    staff_service_pb2,
    terminal_service_pb2,
)
from campuscard.v1 import card_office_service_pb2 as cards_pb
from clients.admin import console, words

FILES = (
    access_service_pb2,
    account_service_pb2,
    cards_pb,
    merchant_service_pb2,
    parameter_service_pb2,
    roster_pb2,
    staff_service_pb2,
    terminal_service_pb2,
)


def named_enums():
    """Every enum of which a value has a Chinese name: all of them must."""
    found = [enum for file in FILES for enum in file.DESCRIPTOR.enum_types_by_name.values()]
    zh = options_pb2.zh
    return [e for e in found if any(v.GetOptions().HasExtension(zh) for v in e.values)]


@pytest.mark.parametrize("enum", named_enums(), ids=lambda enum: enum.name)
def test_every_value_has_a_chinese_name_of_its_own(enum):
    names = [v.GetOptions().Extensions[options_pb2.zh] for v in enum.values if v.number]
    assert all(names)
    assert len(set(names)) == len(names)


def test_what_is_shown_is_of_the_language(monkeypatch):
    enum = cards_pb.CardState.DESCRIPTOR
    monkeypatch.setattr(console, "LANGUAGE", "zh")
    assert words.label(enum, cards_pb.CARD_STATE_IN_TRANSIT) == "在途"
    assert words.label(cards_pb.LossScope.DESCRIPTOR, cards_pb.LOSS_SCOPE_ALL_MEDIA) == "all_media"
    monkeypatch.setattr(console, "LANGUAGE", "en")
    assert words.label(enum, cards_pb.CARD_STATE_IN_TRANSIT) == "in_transit"
