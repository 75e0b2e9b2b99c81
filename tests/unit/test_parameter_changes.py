"""The rules of changes under dual control."""

import datetime as dt

import pytest

from core import documents
from core.calendar import DEFAULT_MEALS
from core.categories import FIRST, NUMBER_MAX, Category, CategoryFlag, categories_of, read_category
from core.change_subjects import (
    calendar_days,
    canonical,
    effects_of,
    format_meals,
    parse_meals,
)
from core.parameter_changes import (
    AHEAD_DAYS,
    OPEN_MAX,
    Change,
    Proposal,
    ProposalState,
    Wanted,
    approve,
    propose,
    propose_cancellation,
    reject,
    values_of,
    withdraw,
)
from core.parameters import PARAMETERS, Values
from core.plans import EffectKind
from core.refusals import Refusal
from core.rows import CategoryBody, MealsBody, RulesBody, RulesField
from core.service_hours import hours_of

S = 1_000_000
NOW = 1_710_000_000 * S
DAY = 86_400 * S


def refused(reason, function, *args, **kwargs):
    with pytest.raises(Refusal) as caught:
        function(*args, **kwargs)
    assert caught.value.reason.name == reason, caught.value
    return caught.value.metadata


def change(key, value, effective_us, version=1, seq=10, scheduled=(9,)):
    return Change(
        seq=seq,
        proposal=seq - 5,
        key=key,
        value=value,
        effective_us=effective_us,
        version=version,
        scheduled=scheduled,
    )


def proposal(key="card_fee_fen", value="2500", effective_us=0, cancels=0, **fields):
    values = {"number": 5, "proposer": "staff:1", "state": ProposalState.OPEN} | fields
    return Proposal(key=key, value=value, effective_us=effective_us, cancels=cancels, **values)


def asked(key="card_fee_fen", value="2500", effective_us=0, approved=(), waiting=0):
    wanted = Wanted(key=key, value=value, effective_us=effective_us)
    return propose(wanted, now_us=NOW, approved=approved, waiting=waiting).document


def given(wanted, approved=(), approver="staff:2", last_version=0):
    return approve(
        wanted, approver=approver, now_us=NOW, approved=tuple(approved), last_version=last_version
    )


def test_a_proposal_has_no_effect_yet():
    document = asked(value=" 2500 ")
    assert (document.key, document.value, document.effective_us) == ("card_fee_fen", "2500", 0)


@pytest.mark.parametrize(
    ("effective_us", "reason"),
    [
        (NOW - S, "EFFECTIVE_PAST"),
        (NOW + 1, "FIELD_INVALID"),
        (NOW + (AHEAD_DAYS + 1) * DAY, "FIELD_INVALID"),
        (NOW, ""),
        (NOW + DAY, ""),
    ],
)
def test_the_moment_is_to_come(effective_us, reason):
    if reason:
        refused(reason, asked, effective_us=effective_us)
    else:
        assert asked(effective_us=effective_us).effective_us == effective_us


def test_so_many_wait_at_most():
    assert asked(waiting=OPEN_MAX - 1)
    refused("PROPOSALS_FULL", asked, waiting=OPEN_MAX)
    later = change("card_fee_fen", "1", NOW + DAY)
    refused("PROPOSALS_FULL", propose_cancellation, later, now_us=NOW, waiting=OPEN_MAX)


def test_nobody_approves_their_own_whatever_their_roles():
    refused("SELF_APPROVAL", given, proposal(), approver="staff:1")
    cancels = proposal(cancels=10)
    refused("SELF_APPROVAL", given, cancels, approver="staff:1")


@pytest.mark.parametrize("state", [s for s in ProposalState if s is not ProposalState.OPEN])
def test_what_was_decided_is_decided(state):
    decided = proposal(state=state)
    refused("PROPOSAL_STATE", given, decided)
    refused("PROPOSAL_STATE", reject, decided)
    refused("PROPOSAL_STATE", withdraw, decided, actor="staff:1")


def test_only_the_proposer_withdraws():
    refused("NOT_YOUR_PROPOSAL", withdraw, proposal(), actor="staff:2")
    assert withdraw(proposal(), actor="staff:1").document.proposal == 5
    assert reject(proposal()).document.proposal == 5


def test_an_approval_waits_for_its_moment_in_the_engine():
    plan = given(proposal("day_limit_fen", "15000", NOW + DAY), last_version=3)
    assert plan.document.version == 4
    (effect,) = plan.effects
    assert (effect.kind, effect.mask) == (EffectKind.RULES, RulesField.DAY_LIMIT)
    assert effect.due_s == (NOW + DAY) // S
    assert RulesBody.unpack(effect.body).day_limit == 15_000


def test_a_moment_that_has_passed_meanwhile_is_now():
    plan = given(proposal(effective_us=NOW - DAY))
    assert plan.document.effective_us == 0
    assert plan.effects[0].due_s == NOW // S


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.key)
def test_every_parameter_makes_a_version(parameter):
    (effect,) = effects_of(parameter.key, str(parameter.default), 5)
    assert effect.kind is EffectKind.RULES
    assert bool(effect.mask) == bool(parameter.rules_field)
    if parameter.rules_field:
        name = parameter.rules_field
        assert effect.mask == RulesField[name.upper()]
        field = getattr(RulesBody.unpack(effect.body), name)
        assert field == getattr(RulesBody(), name)


def test_meals_and_categories_tell_the_engine_what_changes():
    (meals,) = effects_of("meals", format_meals(DEFAULT_MEALS), 5)
    unpacked = MealsBody.unpack(meals.body)
    assert unpacked.named(tuple(m.name for m in DEFAULT_MEALS)).periods == DEFAULT_MEALS
    category, version = effects_of("category.7", "GYM;健身;Gym;DAY,SPEND", 5)
    assert CategoryBody.unpack(category.body) == CategoryBody(category=7, flags=1 | 16)
    assert (version.kind, version.mask) == (EffectKind.RULES, 0)


def test_a_change_in_force_is_not_cancelled():
    refused("CHANGE_IN_FORCE", propose_cancellation, change("x", "1", NOW), now_us=NOW, waiting=0)
    late = change("card_fee_fen", "1", NOW)
    refused("CHANGE_IN_FORCE", given, proposal(cancels=10), [late])
    refused("CHANGE_CANCELLED", given, proposal(cancels=11), [late])


def test_cancelling_cancels_everything_that_waits():
    later = change("category.7", "GYM;健身;Gym;DAY", NOW + DAY, scheduled=(8, 9))
    plan = given(proposal(cancels=10), [later])
    assert [effect.scheduled_seq for effect in plan.effects] == [8, 9]
    assert isinstance(plan.document, documents.parameters.CancellationApproved)


def test_limits_are_never_above_ceilings():
    ceiling = change("day_ceiling_fen", "12000", NOW + 2 * DAY)
    metadata = refused("PARAMETER_ORDER", asked, "day_limit_fen", "12001", approved=[ceiling])
    assert (metadata["key"], metadata["otherValueFen"]) == ("day_limit_fen", 12_000)
    assert asked("day_limit_fen", "12000", approved=[ceiling])
    raised = change("day_limit_fen", "60000", NOW + 2 * DAY)
    room = change("day_ceiling_fen", "60000", NOW + DAY, seq=20)
    refused("PARAMETER_ORDER", given, proposal(cancels=20), [raised, room])


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("card_fee_fen", "-1"),
        ("old_card_void_at", "NEVER"),
        ("meals", "LUNCH"),
        ("meals", "A 10:00-10:00"),
        ("meals", "A 10:60-11:00"),
        ("meals", "A 10:00-12:00, B 11:00-13:00"),
        ("meals", "A 10:00-12:00, A 13:00-14:00"),
        ("meals", "X" * 17 + " 10:00-12:00"),
        ("category.7", "gym;健身;Gym;"),
        ("category.7", "GYM;健身;Gym"),
        ("category.7", "GYM;;Gym;"),
        ("category.7", "GYM;健身;Gym;FREE"),
        ("category.16", "GYM;健身;Gym;DAY"),
        ("day.2024-05-01", ""),
        ("day.2024-05-01", "25:00-26:00"),
        ("day.2024-05-01", "09:00-11:00, 10:00-12:00"),
        ("card_fee_fen", "1" * 500),
    ],
)
def test_what_is_no_value_is_refused(key, text):
    assert refused("PARAMETER_VALUE", canonical, key, text)["allowed"]


@pytest.mark.parametrize("key", ["", "fee", "category.", "category.07", "day.", "day.2024-02-30"])
def test_a_key_there_is_not(key):
    refused("NOT_FOUND", canonical, key, "1")


def test_meals_are_read_as_they_are_written():
    assert parse_meals(format_meals(DEFAULT_MEALS)) == DEFAULT_MEALS
    assert canonical("meals", "LUNCH 10:00-14:30 ,  NIGHT 21:00-24:00") == (
        "LUNCH 10:00-14:30, NIGHT 21:00-00:00"
    )


def test_categories_in_force():
    values = Values({"category.7": "GYM;健身;Gym;DAY,SPEND", "category.1": FIRST[0].text()})
    found = categories_of(values)
    assert [category.number for category in found.values()] == [1, 2, 3, 4, 5, 6, 7]
    assert found[7] == Category(
        number=7, code="GYM", zh="健身", en="Gym", flags=CategoryFlag.DAY | CategoryFlag.SPEND
    )
    for category in FIRST:
        assert read_category(category.number, category.text()) == category
    with pytest.raises(ValueError, match="numbers"):
        read_category(NUMBER_MAX + 1, "GYM;健身;Gym;")


def test_codes_stay_and_differ():
    refused("PARAMETER_VALUE", asked, "category.7", "SHOP;商店;Shop;DAY")
    refused("PARAMETER_VALUE", asked, "category.5", "STORE;商店;Shop;DAY")
    gym = change("category.7", "GYM;健身;Gym;DAY", NOW - DAY)
    refused("PARAMETER_VALUE", asked, "category.8", "GYM;健身;Gym;DAY", approved=[gym])


def test_days_with_hours_of_their_own():
    values = Values(
        {
            "day.2024-05-01": "CLOSED",
            "day.2024-05-02": "09:00-11:30, 14:30-17:00",
            "day.2024-05-03": "WEEKLY",
        }
    )
    days = calendar_days(values)
    assert days == {
        dt.date(2024, 5, 1): (),
        dt.date(2024, 5, 2): ((540, 690), (870, 1_020)),
    }
    assert hours_of(values, days, dt.date(2024, 5, 3)) == ((870, 1_020),)  # a Friday


def test_the_later_approval_wins_the_same_moment():
    both = [change("qr_seconds", "20", NOW, version=2), change("qr_seconds", "30", NOW, version=1)]
    assert values_of(both, NOW).number("qr_seconds") == 20
    assert values_of(both, NOW - 1).number("qr_seconds") == 60
