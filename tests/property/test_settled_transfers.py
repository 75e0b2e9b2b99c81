"""What the office may settle, on engine and model side by side."""

from dataclasses import replace

import pytest

from ext.engine import Effect as EngineEffect
from ext.engine import Refused
from tests.model.numbers import EffectKind, Flag, Kind, Op, Outcome, Reason, Wallet
from tests.model.office import Effect
from tests.model.rig import PIN, card, fund, furnish
from tests.model.state import Original
from tests.property.engine_rig import EngineRig


@pytest.fixture
def rig(tmp_path):
    made = EngineRig(tmp_path)
    furnish(made)
    yield made
    made.close()


def grey(rig):
    """Return the settling of a transfer of account 1 that nobody told of, as written."""
    rig.water(0)
    rig.after(300)
    rig.idle()
    seq = rig.account().water_hold
    assert rig.model.books.holds[seq].state == "GREY"
    return Effect(kind=EffectKind.SETTLE, row=1, hold_seq=seq, written=True)


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.clause("四.6")
def test_a_grey_transfer_ends_once_and_another_may_begin(rig, written):
    effect = replace(grey(rig), written=written)
    before = rig.account().last_seq
    record = rig.do([effect]).records[0]
    assert record.type is (Kind.CAPTURE if written else Kind.RELEASE)
    assert (record.outcome, record.amount, record.terminal) == (Outcome.EFFECT, 1_000, 0)
    assert record.flags & Flag.KEY_IS_REQUEST
    assert (record.original_seq, record.prev_account_seq) == (effect.hold_seq, before)
    assert rig.perform([effect]).status == "CONFLICT"
    rig.compare_rows()
    assert rig.water(5).reason is Reason.OK
    rig.restart(without_state=True)
    rig.compare_rows()
    assert rig.engine.stats()["ledger_sum"] == 0


def test_only_a_grey_hold_of_its_account_is_settled(rig):
    rig.hold(600)
    bath = rig.model.books.journal[-1].seq
    rig.water(0)
    held = rig.account().water_hold
    settle = Effect(kind=EffectKind.SETTLE, row=1, hold_seq=held, written=True)
    for effect in (settle, replace(settle, hold_seq=bath), replace(settle, hold_seq=0)):
        assert rig.perform([effect]).status == "CONFLICT"
    rig.after(300)
    rig.idle()
    assert rig.perform([replace(settle, row=2)]).status == "CONFLICT"
    assert rig.perform([replace(settle, row=60)]).status == "INVALID"
    assert rig.perform([replace(settle, row=0)]).status == "INVALID"
    assert rig.perform([settle, replace(settle, written=False)]).status == "CONFLICT"
    assert rig.perform([replace(settle, due_s=rig.now_us // 1_000_000 + 60)]).status == "INVALID"
    for event in (0, Kind.PURCHASE, Kind.HOLD, Kind.HOLD_EXPIRED):
        wrong = EngineEffect(EffectKind.SETTLE, row=1, hold_seq=held, event=event)
        with pytest.raises(Refused) as refused:
            rig.wait(lambda future, wrong=wrong: submit(rig, wrong, future))
        assert refused.value.reason == "FIELD_INVALID"
    assert rig.account().held == 1_600
    rig.compare_rows()


def submit(rig, effect, future):
    rig.engine.office(
        b"papers", [effect], future, request_id=rig.request_id(), fingerprint=1, document_kind=0
    )


def test_it_goes_with_other_effects_and_a_password(rig):
    """Posted, and moved on to ONLINE in the same act; the first effect is seen by the second."""
    effect = grey(rig)
    moved = fund(EffectKind.ADJUST, 1, 1_000, debit=Wallet.WATER, credit=Wallet.ONLINE)
    reply = rig.perform([effect, moved], pin_account=1, pin=PIN)
    kinds = [record.type for record in reply.records]
    assert kinds == [Kind.PIN_CHECK, Kind.CAPTURE, Kind.ADJUST, Kind.DOCUMENT]
    assert reply.records[1].flags & Flag.PIN_OK
    account = rig.account()
    assert (account.online, account.held, account.water) == (20_000, 0, 0)
    rig.compare_rows()


@pytest.mark.clause("四.6")
def test_no_terminal_undoes_what_the_office_settled(rig):
    effect = grey(rig)
    posted = rig.do([effect]).records[0].seq
    hold = Original(seq=effect.hold_seq)
    for op, original, reason in (
        (Op.CAPTURE, hold, Reason.HOLD_CLOSED),
        (Op.RELEASE, hold, Reason.HOLD_CLOSED),
        (Op.REVERSE, hold, Reason.HOLD_CLOSED),
        (Op.REVERSE, Original(seq=posted), Reason.ORIGINAL_NOT_FOUND),
        (Op.REFUND, Original(seq=posted), Reason.REFUND_NOT_ALLOWED),
    ):
        amount = 0 if op is Op.RELEASE else 1_000
        assert rig.tap(op, "W-1", original=original, amount=amount).reason is reason
    assert rig.account().water == 1_000
    rig.compare_rows()


def test_the_limits_of_its_day_get_it_back(rig):
    """Not written: the tap no longer counts, on the day it counted on."""
    effect = replace(grey(rig), written=False)
    assert rig.used()[0] == 1_000
    rig.do([effect])
    assert rig.used()[0] == 0
    effect = replace(grey(rig), written=False)
    rig.after(86_400)
    rig.buy(100, "SHOP-1", medium=card(1))
    rig.do([effect])
    assert rig.used()[0] == 100
    rig.compare_rows()
