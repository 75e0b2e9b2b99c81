"""Rules of the counter, of replacement and of leaving, clause by clause."""

import datetime as dt

import pytest

from core import clearance, issuing, losses, media, replacement, sanctions, service_hours
from core.account_holds import Held
from core.card_facts import CardFacts, CaseFacts
from core.cards import CardEvent, CardState, CardType
from core.certificates import parse, signed, unsigned
from core.counter import Moment, admit, refuse_other_class
from core.facts import AccountFacts, MediumFacts
from core.fees import Receipt
from core.losses import LossScope
from core.parameters import Values
from core.plans import EffectKind, Wallet
from core.refusals import Refusal
from core.replacement import CaseState, FeeState, Paper
from core.rows import AccountBody, AccountStatus, MediumBody, MediumFlag, MediumState

CHINA_S = 28_800
DAY = (dt.date(2024, 3, 15) - dt.date(1970, 1, 1)).days


def at(text):
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    return (int(moment.timestamp()) - CHINA_S) * 1_000_000


def moment(text="2024-03-15 14:30:00", *, channel="COUNTER", calendar=None, override=0, **values):
    return Moment(
        time_us=at(text),
        utc_offset_s=CHINA_S,
        values=Values({key: str(value) for key, value in values.items()}),
        channel=channel,
        calendar=calendar or {},
        override=override,
    )


def account(**changes):
    values = {
        "number": 5,
        "account_no": "200571020316",
        "kind": 1,
        "name": "",
        "class_name": "1班",
        "erased": False,
        "status": AccountStatus.NORMAL,
        "day_limit": None,
        "meal_limit": None,
        "must_change": False,
        "open_time_us": 0,
    }
    return AccountFacts(**{**values, **changes})


def medium(state=MediumState.ACTIVE, flags=0, **changes):
    values = {
        "number": 3,
        "account_number": 5,
        "type": 1,
        "token": b"\x04abc",
        "key": bytes(16),
        "state": state,
        "flags": MediumFlag(flags),
        "expires_day": 0,
        "lost_seq": 0,
        "lost_time_us": 0,
    }
    return MediumFacts(**{**values, **changes})


def card(state=CardState.ACTIVE, flags=0, **changes):
    engine = {CardState.PRODUCED: MediumState.PRODUCED}.get(state, MediumState.ACTIVE)
    values = {
        "card_no": 1,
        "account_number": 5,
        "card_seq": 1,
        "type": CardType.FORMAL,
        "state": state,
        "batch": 0,
        "successor": 0,
        "made_us": 0,
        "ended_us": 0,
        "medium": medium(engine, flags, lost_time_us=at("2024-03-14 09:00:00") if flags & 1 else 0),
    }
    return CardFacts(**{**values, **changes})


def carrier(state=CardState.ACTIVE, flags=0, **changes):
    return media.carrier_of_card(card(state, flags, **changes), DAY)


def case(state=CaseState.READY, **changes):
    values = {
        "case_no": 1,
        "account_number": 5,
        "state": state,
        "old_card_no": 1,
        "new_card_no": 0,
        "papers": {Paper.FORM: "a", Paper.PHOTO: "b"},
        "fee_fen": 3_000,
        "fee_state": FeeState.PAID,
        "proposed_by": "",
        "receipt_no": "",
        "early": False,
        "faulty": False,
        "opened_us": 0,
        "changed_us": 0,
    }
    return CaseFacts(**{**values, **changes})


def refused(name, function, *args, **kwargs):
    with pytest.raises(Refusal) as caught:
        function(*args, **kwargs)
    assert caught.value.reason.name == name, caught.value
    return caught.value.metadata


# ---- hours ----


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2024-03-15 14:29:59", False),
        ("2024-03-15 14:30:00", True),
        ("2024-03-15 16:59:59", True),
        ("2024-03-15 17:00:00", False),
        ("2024-03-13 15:00:00", True),
        ("2024-03-14 15:00:00", False),
        ("2024-03-16 15:00:00", False),
    ],
)
def test_the_counter_is_open_on_wednesday_and_friday(when, is_open):
    """Regulation 三.4(4): 每周三、五下午14:30—17:00."""
    local = dt.datetime.fromisoformat(when)
    assert service_hours.is_open(Values({}), {}, local) is is_open
    assert service_hours.local_time(at(when), CHINA_S) == local


def test_days_of_the_calendar_have_hours_of_their_own():
    friday, saturday = dt.date(2024, 3, 15), dt.date(2024, 3, 16)
    calendar = {friday: (), saturday: ((540, 600), (840, 900))}
    local = dt.datetime.fromisoformat
    assert not service_hours.is_open(Values({}), calendar, local("2024-03-15 15:00:00"))
    assert service_hours.is_open(Values({}), calendar, local("2024-03-16 14:59:59"))
    opens = service_hours.next_opening(Values({}), calendar, local("2024-03-15 13:00:00"))
    assert opens == local("2024-03-16 09:00:00")
    opens = service_hours.next_opening(Values({}), calendar, local("2024-03-16 10:00:00"))
    assert opens == local("2024-03-16 14:00:00")
    never = Values({"counter_hours": ""})
    assert service_hours.next_opening(never, {}, local("2024-03-16 10:00:00")) is None


def test_what_is_bound_to_hours_is_a_parameter():
    """D9: unloss, card making and pick-up; others by choice."""
    late = "2024-03-15 17:00:00"
    for event in (CardEvent.UNLOSS, CardEvent.REPLACE, CardEvent.PICK_UP):
        assert refused("OUTSIDE_SERVICE_HOURS", admit, event, moment(late))["opens"] == (
            "2024-03-20 14:30"
        )
        assert admit(event, moment(late, override=77)) == 77
        assert admit(event, moment(override=77)) == 0, "not used up where it is not needed"
    for event in (CardEvent.REPORT_LOSS, CardEvent.RETURN, CardEvent.UPGRADE):
        assert admit(event, moment(late)) == 0
    assert admit(CardEvent.UNLOSS, moment(late, counter_operations="RETURN")) == 0
    refused(
        "OUTSIDE_SERVICE_HOURS", admit, CardEvent.RETURN, moment(late, counter_operations="RETURN")
    )
    refused("CHANNEL_NOT_ALLOWED", admit, CardEvent.UNLOSS, moment(channel="SELF_SERVICE"))


def test_a_teacher_speaks_for_own_classes():
    refuse_other_class("1班", frozenset({"1班"}))
    refuse_other_class("2班", None)
    refused("NOT_YOUR_CLASS", refuse_other_class, "2班", frozenset({"1班"}))


# ---- loss ----


def test_a_void_card_cannot_be_lost_and_a_loss_covers_eight_media():
    refused("NO_CARD", losses.report_loss, (), LossScope.CARD, moment())
    void = carrier(CardState.VOID_REPLACED, 1)
    refused("CARD_VOID", losses.report_loss, (void,), LossScope.CARD, moment())
    lost = carrier(flags=1)
    assert losses.report_loss((lost,), LossScope.CARD, moment()) is None
    many = tuple(carrier() for _ in range(12))
    assert len(losses.report_loss(many, LossScope.ALL_MEDIA, moment()).effects) == 8


def test_an_expired_or_frozen_card_can_be_lost():
    expired = carrier(medium=medium(expires_day=DAY))
    assert expired.state is CardState.EXPIRED
    (effect,) = losses.report_loss((expired,), LossScope.CARD, moment()).effects
    assert MediumBody.unpack(effect.body).flags == MediumFlag.LOST
    (effect,) = losses.report_loss((carrier(flags=2),), LossScope.CARD, moment()).effects
    assert MediumBody.unpack(effect.body).flags == MediumFlag.LOST | MediumFlag.FROZEN


def test_unloss_ends_with_the_new_card():
    """Regulation 三.3: 一旦补办新卡, 原卡即告作废, also where the old card dies at the pick-up."""
    made = case(CaseState.CARD_MADE, new_card_no=2)
    refused("REPLACED", losses.unloss, carrier(flags=1), case=made, moment=moment())
    plan = losses.unloss(carrier(flags=1), case=case(), moment=moment())
    assert plan.document.case_no == 1
    gone = case(CaseState.CANCELLED)
    assert losses.unloss(carrier(flags=1), case=gone, moment=moment()).document.case_no == 0


# ---- replacement ----


def test_a_replacement_waits_where_a_parameter_says_so():
    """D10 of docs/regulation.md."""
    make = {"uid": b"new1", "card_no": 2, "bound": None}
    old = carrier(flags=1)
    waits = moment(replace_wait_hours=30)
    assert refused("REPLACE_WAIT", replacement.make_card, case(), old, moment=waits, **make) == {
        "until": "2024-03-15 15:00"
    }
    later = moment("2024-03-15 15:00:00", replace_wait_hours=30)
    assert replacement.make_card(case(), old, moment=later, **make)
    refused(
        "ALREADY_EXISTS",
        replacement.make_card,
        case(),
        old,
        moment=later,
        **{**make, "bound": medium()},
    )
    refused("NOT_LOST", replacement.make_card, case(), carrier(), moment=later, **make)


def test_the_old_card_dies_when_the_new_is_made_or_picked_up():
    """D7 of docs/regulation.md."""
    make = {"uid": b"new1", "card_no": 2, "bound": None}
    plan = replacement.make_card(case(), carrier(flags=1), moment=moment(), **make)
    kinds = [effect.kind for effect in plan.effects]
    assert kinds == [EffectKind.MEDIUM_STATE, EffectKind.MEDIUM_BIND]
    assert MediumBody.unpack(plan.effects[0].body).state == MediumState.VOID
    late = moment(old_card_void_at="PICKUP")
    plan = replacement.make_card(case(), carrier(flags=1), moment=late, **make)
    assert [effect.kind for effect in plan.effects] == [EffectKind.MEDIUM_BIND]
    made = case(CaseState.CARD_MADE, new_card_no=2)
    new = carrier(CardState.PRODUCED, card_no=2)
    plan = replacement.pick_up(made, new, carrier(flags=1), uid=b"\x04abc", moment=late)
    states = [MediumBody.unpack(effect.body).state for effect in plan.effects]
    assert states == [MediumState.ACTIVE, MediumState.VOID]
    lost = carrier(CardState.PRODUCED, 1, card_no=2)
    refused("CARD_STATE", replacement.pick_up, made, lost, None, uid=b"\x04abc", moment=late)


def test_a_fault_of_the_maker_may_be_free():
    """D14 of docs/regulation.md."""
    opened = {"case_no": 1, "earlier": None, "faulty": True}
    old = carrier(flags=1)
    plan = replacement.open_case(account(), old, moment=moment(), **opened)
    assert plan.document.fee_fen == 3_000
    free = moment(damaged_card_fee="NO_FEE")
    assert replacement.open_case(account(), old, moment=free, **opened).document.fee_fen == 0
    papers = {Paper.FORM: "a"}
    attached = replacement.attach(
        case(CaseState.DOCS, papers=papers, fee_fen=0, fee_state=FeeState.NONE), Paper.PHOTO, "b"
    )
    assert attached.document.state == CaseState.READY


def test_a_new_card_lost_before_the_pick_up_gets_a_new_case():
    earlier = case(CaseState.CARD_MADE, new_card_no=2)
    lost_again = carrier(CardState.PRODUCED, 1, card_no=2)
    plan = replacement.open_case(
        account(), lost_again, case_no=2, earlier=earlier, faulty=False, moment=moment()
    )
    assert plan.document.closes == 1
    never_fetched = case(CaseState.NOTIFIED, new_card_no=2)
    third = carrier(flags=1, card_no=3)
    plan = replacement.open_case(
        account(), third, case_no=2, earlier=never_fetched, faulty=False, moment=moment()
    )
    assert plan.document.closes == 1, "its card was paid for, and another issued since"
    refused(
        "CASE_EXISTS",
        replacement.open_case,
        account(),
        carrier(flags=1),
        case_no=2,
        earlier=case(CaseState.OPEN),
        faulty=False,
        moment=moment(),
    )


def test_the_fee_is_booked_beside_the_purse_and_back_once():
    receipt = Receipt(
        receipt_no="R", amount_fen=3_000, paid_us=at("2024-03-13 08:00:00"), used=False
    )
    due = case(CaseState.DOCS, fee_state=FeeState.DUE)
    plan = replacement.confirm_fee(
        due, receipt, finance=True, lost_us=at("2024-03-14 09:00:00"), moment=moment()
    )
    (effect,) = plan.effects
    sides = (effect.debit_wallet, effect.credit_wallet, effect.amount_fen)
    assert sides == (Wallet.FINANCE_FEES, Wallet.INCOME, 3_000)
    assert (plan.document.early, plan.document.state) == (1, CaseState.READY)
    back = case(CaseState.CANCELLED, fee_state=FeeState.REFUNDABLE)
    (effect,) = replacement.refund_fee(back).effects
    assert (effect.debit_wallet, effect.credit_wallet) == (Wallet.INCOME, Wallet.FINANCE_FEES)
    refusal = refused(
        "CASE_STATE", replacement.refund_fee, case(CaseState.CANCELLED, fee_state=FeeState.DUE)
    )
    assert refusal["legal"] == "-"
    paid = case(CaseState.DOCS, fee_state=FeeState.PAID)
    refusal = refused("CASE_STATE", replacement.waive_fee, paid, "staff:1")
    assert (refusal["state"], refusal["legal"]) == ("DOCS, fee PAID", "ATTACH, CANCEL")
    refused("CASE_STATE", replacement.cancel, case(CaseState.CARD_MADE, new_card_no=2))
    assert replacement.fee_after_cancel(FeeState.PAID) is FeeState.REFUNDABLE
    assert replacement.fee_after_cancel(FeeState.WAIVED) is FeeState.WAIVED


# ---- issuing ----


def test_an_upgrade_needs_photo_and_temporary_card():
    """Regulation 三.1(4)."""
    temporary = card(type=CardType.TEMPORARY)
    asked = {"uid": b"form", "card_no": 2, "bound": None, "has_photo": True, "moment": moment()}
    refused("NO_CARD", issuing.upgrade, None, None, **asked)
    refused("NOT_TEMPORARY", issuing.upgrade, card(), carrier(), **asked)
    old = media.carrier_of_card(temporary, DAY)
    refused("PHOTO_REQUIRED", issuing.upgrade, temporary, old, **{**asked, "has_photo": False})
    refused("ALREADY_EXISTS", issuing.upgrade, temporary, old, **{**asked, "bound": medium()})
    plan = issuing.upgrade(temporary, old, **asked)
    assert [effect.kind for effect in plan.effects] == [
        EffectKind.MEDIUM_STATE,
        EffectKind.MEDIUM_BIND,
    ]
    assert all(effect.kind is not EffectKind.ADJUST for effect in plan.effects), "no fee"


def test_cards_are_not_issued_for_closed_accounts():
    closed = account(status=AccountStatus.CLOSED)
    item = issuing.IssueItem(
        index=0, uid=b"uid0", account=closed, live=None, bound=None, has_photo=True
    )
    refused("ACCOUNT_CLOSED", issuing.judge, item)


# ---- leaving ----


def test_clearance_names_every_blocker():
    """Regulation 三.5(3), D12: a balance does not block."""
    asked = {"left_us": 0, "wait_days": 3}
    found = clearance.clearance(has_card=True, online_fen=-300, transfer_seq=7, **asked)
    assert found.reasons == ("CARD_NOT_RETURNED", "DEBT", "TRANSFER_OPEN")
    assert found.transfer_seq == 7
    assert (found.debt_fen, found.refund_fen) == (300, 0)
    left = at("2024-03-15 15:00:00")
    asked = {"has_card": False, "online_fen": 500, "left_us": left, "wait_days": 3}
    found = clearance.clearance(transfer_seq=7, **asked)
    assert (found.reasons, found.refund_from_us) == (("TRANSFER_OPEN",), 0)
    found = clearance.clearance(transfer_seq=0, **asked)
    assert not found.reasons
    assert (found.refund_fen, found.refund_from_us) == (500, at("2024-03-18 15:00:00"))


def test_a_card_in_the_box_is_judged_alone():
    item = clearance.ReturnItem
    refused("CARD_UNKNOWN", clearance.judge_return, item(index=0, card=None))
    refused("CARD_MISMATCH", clearance.judge_return, item(index=0, card=carrier(), foreign=True))
    refused("CARD_LOST", clearance.judge_return, item(index=0, card=carrier(flags=1)))
    refused("CARD_STATE", clearance.judge_return, item(index=0, card=carrier(CardState.PRODUCED)))
    refused("CARD_VOID", clearance.judge_return, item(index=0, card=carrier()), {3})
    assert clearance.judge_return(item(index=0, card=carrier(flags=2)))


def test_compensation_is_for_lost_cards_without_a_case():
    receipt = Receipt(
        receipt_no="R", amount_fen=3_000, paid_us=at("2024-03-15 08:00:00"), used=False
    )
    refused("NOT_LOST", clearance.compensate, carrier(), receipt, open_case=0, moment=moment())
    lost = carrier(flags=1)
    refused("CASE_EXISTS", clearance.compensate, lost, receipt, open_case=4, moment=moment())
    plan = clearance.compensate(lost, receipt, open_case=0, moment=moment())
    assert [effect.kind for effect in plan.effects] == [EffectKind.MEDIUM_STATE, EffectKind.ADJUST]
    free = moment(card_fee_fen=0)
    nothing = Receipt(receipt_no="R", amount_fen=0, paid_us=0, used=False)
    assert len(clearance.compensate(lost, nothing, open_case=0, moment=free).effects) == 1


def test_certificates_are_one_short_line():
    text = signed(unsigned("200571020316", 7, 1_710_000_000), bytes(range(64)))
    assert len(text) < 140
    found = parse(text)
    assert (found.account_no, found.certificate_no) == ("200571020316", 7)
    assert found.signature == bytes(range(64))
    assert found.signed == b"CCC1.200571020316.7.1710000000"
    for wrong in ("", "CCC1", text + "A", text.replace("CCC1", "CCC2"), text[:-1] + "!", "x" * 300):
        with pytest.raises(ValueError, match="not a clearance certificate"):
            parse(wrong)


# ---- sanctions ----


def test_a_suspension_ends_by_an_effect_that_waits():
    """Regulation 八.1: until an end date, unless somebody changed it meanwhile."""
    now = at("2024-03-15 15:00:00")
    plan = sanctions.suspend_account(account(), until_us=now + 1, now_us=now)
    first, last = plan.effects
    assert AccountBody.unpack(first.body).status == AccountStatus.SUSPENDED
    assert AccountBody.unpack(last.body).status == AccountStatus.NORMAL
    assert last.due_s == now // 1_000_000 + 1, "the first whole second at or after it"
    assert len(sanctions.suspend_account(account(), until_us=0, now_us=now).effects) == 1
    for until in (now, 2**32 * 1_000_000):
        refused("FIELD_INVALID", sanctions.check_until, until, now)
    closed = account(status=AccountStatus.CLOSED)
    refused("STATE_TRANSITION", sanctions.suspend_account, closed, until_us=0, now_us=now)
    held = account(status=AccountStatus.SUSPENDED, held=Held(sanction=True))
    refused("SUSPENDED", sanctions.suspend_account, held, until_us=0, now_us=now)
    on_leave = account(status=AccountStatus.SUSPENDED, held=Held(leave=True))
    for free in (account(), on_leave):
        refused("NOT_SUSPENDED", sanctions.resume_account, free, now_us=now)
    refused("NOT_SUSPENDED", sanctions.resume_medium, carrier())
    refused("FIELD_INVALID", sanctions.override_hours, account(), "PASSWORD_RESET", moment())
