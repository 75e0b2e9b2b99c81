"""The water purse of a lost card, by numbers."""

import pytest

from core.parameters import Values
from core.plans import EffectKind, Expect, Wallet
from core.water_purse import Purse, count, settle

DAY_US = 86_400_000_000
LOST, PICKED_UP = 10 * DAY_US, 11 * DAY_US


def purse(**changes):
    values = {"seq": 90, "account_number": 5, "lost_us": LOST, "ended_us": PICKED_UP}
    return Purse(**{**values, **changes})


@pytest.mark.clause("四.6")
@pytest.mark.parametrize(
    ("days", "due_us"), [(0, PICKED_UP), (1, PICKED_UP), (3, LOST + 3 * DAY_US)]
)
def test_it_is_due_when_late_payments_can_no_longer_come(days, due_us):
    """D11, D12: not before the new card is there, nor within the wait from the loss."""
    values = Values({"refund_wait_days": str(days)})
    plan = count(purse(), water_fen=3_000, pending_fen=0, values=values)
    assert plan.effects == ()
    found = plan.document
    assert (found.purse, found.account, found.water_fen, found.due_us) == (90, 5, 3_000, due_us)


@pytest.mark.parametrize(
    ("water", "pending", "counted"), [(0, 0, 0), (5_000, 3_000, 2_000), (2_000, 3_000, 0)]
)
def test_what_an_earlier_card_left_is_not_counted_twice(water, pending, counted):
    plan = count(purse(), water_fen=water, pending_fen=pending, values=Values({}))
    assert plan.document.water_fen == counted


@pytest.mark.parametrize(
    ("parameter", "side"), [("RESTORE", Wallet.ONLINE), ("FORFEIT", Wallet.INCOME)]
)
def test_the_parameter_says_where_it_goes(parameter, side):
    """D11."""
    values = Values({"water_purse_on_loss": parameter})
    counted = count(purse(), water_fen=3_000, pending_fen=0, values=values).document
    plan = settle(purse(water_fen=3_000, side=counted.side), water_fen=4_000, last_seq=77)
    (effect,) = plan.effects
    assert (effect.kind, effect.row, effect.amount_fen) == (EffectKind.ADJUST, 5, 3_000)
    assert (effect.debit_wallet, effect.credit_wallet) == (Wallet.WATER, side)
    assert (effect.expect, effect.expect_last_seq) == (Expect.LAST_SEQ, 77)


@pytest.mark.parametrize(("water", "moved"), [(2_000, [2_000]), (0, []), (-100, [])])
def test_an_undone_transfer_leaves_less(water, moved):
    plan = settle(purse(water_fen=3_000, side=Wallet.ONLINE), water_fen=water, last_seq=1)
    assert [effect.amount_fen for effect in plan.effects] == moved
