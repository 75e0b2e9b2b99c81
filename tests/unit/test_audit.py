"""Negative controls: the auditor must object to every damaged journal, and to every wrong rule."""

import copy

import pytest

from tests.model import books, payments, undo
from tests.model.audit import Auditor, Violation
from tests.model.model import Model
from tests.model.numbers import Event, Flag, Kind, MediumFlag, Op, Outcome, Reason
from tests.model.rig import PIN, WRONG, Rig, furnish
from tests.model.state import Original


def lunch_and_more(rig):
    """Play something of everything."""
    furnish(rig)
    sale = rig.buy(2_500)
    rig.buy(2_500)
    rig.buy(1_000, pin=WRONG)
    rig.buy(1_000, pin=PIN)
    rig.of(Op.REFUND, sale, 1_000, "POS-08")
    voided = rig.buy(700, "SHOP-1")
    rig.of(Op.REVERSE, voided, 700, "SHOP-1", void=True)
    hold = rig.hold(600)
    rig.of(Op.CAPTURE, hold, 346, "B-1")
    rig.hold(500)
    rig.water(1)
    rig.water(2)
    rig.after(1_800)
    rig.idle()
    rig.card_flags(MediumFlag.LOST, Event.LOSS)
    rig.buy(1, pin=PIN)
    rig.card_flags(MediumFlag(0), Event.UNLOSS)
    rig.at("2024-03-14 12:00:00")
    rig.buy(100)


@pytest.fixture(scope="module")
def journal():
    rig = Rig()
    lunch_and_more(rig)
    return rig.model.books.journal


def audit(records):
    Auditor().feed(records)


def test_a_sound_journal_passes(journal):
    audit(copy.deepcopy(journal))


def first(journal, kind, outcome=Outcome.APPROVED):
    return next(i for i, r in enumerate(journal) if r.type is kind and r.outcome is outcome)


CHANGES = {
    "amount": lambda r: setattr(r, "amount", r.amount + 1),
    "debit_after": lambda r: setattr(r, "debit_after", r.debit_after + 1),
    "credit_after": lambda r: setattr(r, "credit_after", r.credit_after - 1),
    "held_after": lambda r: setattr(r, "held_after", r.held_after + 1),
    "day_used": lambda r: setattr(r, "day_used", r.day_used + 1),
    "meal_used": lambda r: setattr(r, "meal_used", r.meal_used + 1),
    "pin_fails": lambda r: setattr(r, "pin_fails", r.pin_fails + 1),
    "prev_account_seq": lambda r: setattr(r, "prev_account_seq", r.prev_account_seq + 1),
    "prev_terminal_seq": lambda r: setattr(r, "prev_terminal_seq", r.prev_terminal_seq + 1),
    "seq": lambda r: setattr(r, "seq", r.seq + 1),
    "account": lambda r: setattr(r, "account", 2),
    "outcome": lambda r: setattr(r, "outcome", Outcome.DECLINED),
}


@pytest.mark.parametrize("field", CHANGES)
@pytest.mark.parametrize("kind", [Kind.PURCHASE, Kind.CAPTURE, Kind.REVERSAL, Kind.REFUND])
def test_a_changed_field_is_noticed(journal, kind, field):
    records = copy.deepcopy(journal)
    CHANGES[field](records[first(records, kind)])
    with pytest.raises(Violation):
        audit(records)


def test_a_missing_or_doubled_record_is_noticed(journal):
    for index in range(len(journal) - 1):
        with pytest.raises(Violation):
            audit(journal[:index] + journal[index + 1 :])
    index = first(journal, Kind.PURCHASE)
    with pytest.raises(Violation):
        audit([*journal[: index + 1], *journal[index:]])


# ---- wrong rules: what a careless implementation would do ----


def plays(rig):
    lunch_and_more(rig)
    for _ in range(3):
        rig.buy(5_000)


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (payments, "limits_or_pin", lambda case: Reason.OK),
        (payments, "funds_cover", lambda case: Reason.OK),
        (payments, "card_usable", lambda case: Reason.OK),
        (undo, "refund_refused", lambda books, tap, found: Reason.OK),
        (undo, "reversal_refused", lambda books, tap, found: Reason.OK),
    ],
)
def test_a_rule_left_out_is_noticed(monkeypatch, module, name, wrong):
    if name in {"limits_or_pin", "funds_cover", "card_usable"}:
        order = tuple(wrong if c.__name__ == name else c for c in payments.HOW_MUCH)
        monkeypatch.setattr(payments, "HOW_MUCH", order)
        order = tuple(wrong if c.__name__ == name else c for c in payments.WHO)
        monkeypatch.setattr(payments, "WHO", order)
    else:
        monkeypatch.setattr(module, name, wrong)
    rig = Rig()
    with pytest.raises(Violation):  # noqa: PT012 - which step is caught depends on the rule
        plays(rig)
        rig.buy(100_000, "SHOP-1", pin=PIN)
        sale = rig.buy(10, "SHOP-1")
        rig.of(Op.REVERSE, sale, 10, "SHOP-1")
        rig.of(Op.REVERSE, sale, 10, "SHOP-1")
        sale = rig.buy(10, "SHOP-1")
        rig.of(Op.REVERSE, sale, 10, "SHOP-1")
        rig.of(Op.REFUND, sale, 10, "SHOP-1")


def test_a_forgotten_key_is_noticed(monkeypatch):
    monkeypatch.setattr(Model, "key_expired", lambda self, terminal, batch: terminal.keys.clear())
    rig = Rig()
    furnish(rig)
    rig.buy(100, terminal_seq=7)
    with pytest.raises(Violation):
        rig.buy(100, terminal_seq=7)


def test_tries_that_are_not_counted_are_noticed(monkeypatch):
    def forgetful(self, account, pin):
        return (Reason.OK, Flag.PIN_OK) if pin == account.pin else (Reason.PIN_WRONG, Flag.PIN_BAD)

    monkeypatch.setattr(books.Books, "check_pin", forgetful)
    rig = Rig()
    furnish(rig)
    with pytest.raises(Violation):
        rig.buy(6_000, pin=WRONG)


def test_counters_of_today_for_a_sale_of_yesterday_are_noticed(monkeypatch):
    def careless(self, account, day_key, meal_key, amount, counts):
        account.day_used += amount

    monkeypatch.setattr(books.Books, "recount", careless)
    rig = Rig()
    furnish(rig)
    rig.buy(100, terminal_seq=7)
    rig.at("2024-03-14 12:00:00")
    rig.buy(50)
    rig.tap(Op.REVERSE, amount=100, original=Original(batch_no=1, terminal_seq=7))
    with pytest.raises(Violation):
        rig.buy(50)
