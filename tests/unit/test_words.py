"""Tables at the counter speak Chinese where the clerk does."""

import pytest
from google.protobuf import descriptor_pool

from campuscard.v1 import card_office_service_pb2 as cards_pb
from campuscard.v1 import parameter_service_pb2  # noqa: F401 - its enums are looked up by name
from clients.admin import console, words
from clients.admin.plain import enum_word


@pytest.mark.parametrize("name", sorted(words._ZH))
def test_every_value_has_a_chinese_name_of_its_own(name):
    enum = descriptor_pool.Default().FindEnumTypeByName(f"campuscard.v1.{name}")
    wanted = {enum_word(enum, value.number) for value in enum.values if value.number}
    assert set(words._ZH[name]) == wanted
    assert len(set(words._ZH[name].values())) == len(wanted)


def test_what_is_shown_is_of_the_language(monkeypatch):
    enum = cards_pb.CardState.DESCRIPTOR
    monkeypatch.setattr(console, "LANGUAGE", "zh")
    assert words.label(enum, cards_pb.CARD_STATE_IN_TRANSIT) == "在途"
    assert words.label(cards_pb.LossScope.DESCRIPTOR, cards_pb.LOSS_SCOPE_ALL_MEDIA) == "all_media"
    monkeypatch.setattr(console, "LANGUAGE", "en")
    assert words.label(enum, cards_pb.CARD_STATE_IN_TRANSIT) == "in_transit"
