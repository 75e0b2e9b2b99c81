"""A refusal says it in both languages; an illegal transition says what would be legal."""

import re
from pathlib import Path

import pytest

from core import media, merchants
from core.cards import CardEvent, CardState, legal_events, take
from core.catalogue import BY_NAME
from core.facts import MediumFacts, MerchantFacts
from core.refusals import Refusal
from core.rows import MediumFlag, MediumState, ServiceStatus
from server.errors_map import fill, status_of, texts
from server.zh_names import NOUNS

ROOT = Path(__file__).resolve().parents[2]
NOUN = re.compile(r"\b(?:missing|taken)\(\"(\w+)\"")
STATE_REASONS = ("STATE_TRANSITION", "CARD_STATE", "CASE_STATE", "HOLDER_STATUS")
RAISED = re.compile(r"Refusal\(\s*\"(" + "|".join(STATE_REASONS) + r")\"(.*?)\)\n", re.DOTALL)


def sources():
    return [p for name in ("core", "server") for p in sorted((ROOT / name).rglob("*.py"))]


@pytest.mark.parametrize("name", STATE_REASONS)
def test_illegal_transitions_say_what_is_legal_in_both_languages(name):
    numbers = {"state": "ACTIVE", "wanted": "UNLOSS", "legal": "RETURN"}
    reason = BY_NAME[name]
    for text in (reason.zh, reason.en):
        filled = fill(text, numbers, currency="")
        assert "RETURN" in filled, text
        assert "?" not in filled, text


def test_every_place_that_refuses_a_transition_names_what_is_legal():
    found = [
        (path.name, name, arguments)
        for path in sources()
        for name, arguments in RAISED.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(found) >= len(STATE_REASONS)
    assert not [place for place in found if "legal=" not in place[2]]


def test_every_noun_has_its_chinese():
    nouns = {noun for path in sources() for noun in NOUN.findall(path.read_text(encoding="utf-8"))}
    assert len(nouns) > 10
    assert not nouns - NOUNS.keys()


def test_chinese_texts_name_states_and_acts_in_chinese():
    with pytest.raises(Refusal) as caught:
        take(CardState.ACTIVE, MediumFlag.LOST, CardEvent.PICK_UP)
    zh, en = texts(caught.value.reason, caught.value.metadata)
    assert zh == "卡状态 在用+挂失 不能 领卡; 可办: 解挂, 补卡作废, 赔偿作废, 暂停使用"
    assert "ACTIVE+LOST cannot PICK_UP" in en


@pytest.mark.parametrize("state", MediumState)
@pytest.mark.parametrize("flags", [MediumFlag(0), MediumFlag.LOST, MediumFlag.FROZEN])
def test_a_card_that_stays_bound_says_what_may_happen_to_it(state, flags):
    card = MediumFacts(
        number=1, account_number=1, type=1, token=b"t", key=b"k", state=state, flags=flags,
        expires_day=0, lost_seq=0, lost_time_us=0,
    )  # fmt: skip
    if state is MediumState.RETURNED:
        assert media.unbind(card).effects
        return
    with pytest.raises(Refusal) as caught:
        media.unbind(card)
    legal = str(caught.value.metadata["legal"])
    if state.name not in CardState.__members__:
        assert legal == "-"
    else:
        expected = {event.name for event in legal_events(CardState[state.name], flags)}
        assert set(legal.split(", ")) == expected


def test_what_is_over_for_ever_has_nothing_legal():
    gone = MerchantFacts(
        number=1, merchant_id="M", name="", category=1, status=ServiceStatus.WITHDRAWN,
        changed_seq=1,
    )  # fmt: skip
    with pytest.raises(Refusal) as caught:
        merchants.update_merchant(gone, merchants.WantedMerchant())
    assert caught.value.metadata["legal"] == "-"
    assert "WITHDRAWN" in status_of(caught.value).details
