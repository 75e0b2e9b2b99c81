"""Alerts: what freezes a card and what closes an alert."""

import pytest

from core.alerts import ALARMING, CLONE, AlertFacts, acknowledge, folds, freeze_clone
from core.cards import CardState
from core.facts import MediumFacts
from core.media import Carrier
from core.refusals import Refusal
from core.rows import MediumBody, MediumFlag, MediumState


def alert(**changes):
    values = {
        "seq": 40,
        "time_us": 1,
        "reason": CLONE,
        "account_number": 5,
        "medium_number": 3,
        "taps": 1,
        "frozen_seq": 0,
        "closed_seq": 0,
    }
    return AlertFacts(**{**values, **changes})


def carrier(state=CardState.ACTIVE, flags=0, engine=MediumState.ACTIVE):
    medium = MediumFacts(
        number=3,
        account_number=5,
        type=1,
        token=b"\x04abc",
        key=bytes(16),
        state=engine,
        flags=MediumFlag(flags),
        expires_day=0,
        lost_seq=0,
        lost_time_us=0,
    )
    return Carrier(state=state, medium=medium, card_no=1)


@pytest.mark.clause("五.1")
@pytest.mark.parametrize("flags", [0, MediumFlag.LOST])
def test_a_card_in_use_is_frozen(flags):
    plan = freeze_clone(alert(), carrier(flags=flags))
    (effect,) = plan.effects
    assert MediumBody.unpack(effect.body).flags == flags | MediumFlag.FROZEN
    assert (plan.document.alert, plan.document.medium, plan.document.account) == (40, 3, 5)


@pytest.mark.parametrize(
    "found",
    [
        None,
        carrier(flags=MediumFlag.FROZEN),
        carrier(CardState.VOID_REPLACED, engine=MediumState.VOID),
        carrier(CardState.EXPIRED),
        carrier(CardState.RETURNED, engine=MediumState.RETURNED),
    ],
)
def test_what_cannot_pay_anyway_needs_no_effect(found):
    assert freeze_clone(alert(), found).effects == ()


def test_only_signs_of_a_copy_stand_alone():
    assert {reason for reason in ALARMING if not folds(reason)} == {CLONE}


@pytest.mark.clause("七.5")
def test_an_alert_is_closed_once_and_not_before_its_card_is_frozen():
    with pytest.raises(Refusal, match="CONFLICT"):
        acknowledge(alert())
    assert acknowledge(alert(frozen_seq=41)).document.alert == 40
    with pytest.raises(Refusal, match="ALERT_CLOSED"):
        acknowledge(alert(frozen_seq=41, closed_seq=42))
    assert acknowledge(alert(reason=min(ALARMING - {CLONE}))).effects == ()
