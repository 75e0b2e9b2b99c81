"""The office settles a transfer: by whom the end is told first, and where the amount goes."""

import pytest

from core.blocks import RecordType
from core.counter import Moment
from core.facts import AccountFacts
from core.parameters import Values
from core.plans import EffectKind, Wallet
from core.refusals import Refusal
from core.rows import AccountStatus
from core.water_purse import Purse
from core.water_transfers import Standing, Transfer, settle

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
TAPPED = 10 * DAY_US
GREY = TAPPED + 300_000_000
TRANSFER = Transfer(
    seq=40,
    account_number=5,
    medium_number=3,
    terminal_number=2,
    amount_fen=1_000,
    held_us=TAPPED,
    grey_us=GREY,
)


def account(**changes):
    values = {
        "number": 5,
        "account_no": "200571020316",
        "kind": 1,
        "name": "",
        "class_name": "",
        "erased": False,
        "status": AccountStatus.NORMAL,
        "day_limit": None,
        "meal_limit": None,
        "must_change": False,
        "open_time_us": 0,
    }
    return AccountFacts(**{**values, **changes})


def moment(time_us=GREY, **values):
    return Moment(
        time_us=time_us,
        utc_offset_s=28_800,
        values=Values({key: str(value) for key, value in values.items()}),
        channel="COUNTER",
        calendar={},
    )


def purse(**changes):
    values = {"seq": 90, "account_number": 5, "lost_us": 1, "ended_us": 2, "counted_seq": 91}
    return Purse(**{**values, "side": Wallet.ONLINE, **changes})


def decided(standing=None, *, transfer=TRANSFER, of=None, written=True, now=None):
    standing = standing or Standing(open_seq=40, grey=True)
    return settle(of or account(), transfer, standing, written=written, moment=now or moment())


def refused(name, *args, **kwargs):
    with pytest.raises(Refusal) as caught:
        decided(*args, **kwargs)
    assert caught.value.reason.name == name
    return caught.value.metadata


@pytest.mark.parametrize("status", [s for s in AccountStatus if s not in {0, AccountStatus.CLOSED}])
def test_a_grey_transfer_is_settled_whatever_holds_its_account(status):
    plan = decided(of=account(status=status))
    (effect,) = plan.effects
    assert (effect.kind, effect.row, effect.hold_seq) == (EffectKind.SETTLE, 5, 40)
    assert effect.event == RecordType.CAPTURE
    assert (plan.document.hold, plan.document.written, plan.document.purse) == (40, 1, 0)
    (effect,) = decided(written=False).effects
    assert effect.event == RecordType.RELEASE


def test_what_it_cannot_be():
    refused("ACCOUNT_CLOSED", of=account(status=AccountStatus.CLOSED))
    refused("HOLD_NOT_FOUND", transfer=None)
    refused("HOLD_NOT_FOUND", of=account(number=6))
    refused("HOLD_CLOSED", Standing(open_seq=0))
    refused("HOLD_CLOSED", Standing(open_seq=41, grey=True))


def test_the_machine_is_waited_for_until_it_is_grey():
    """By what the engine says, or by the second at which it will."""
    held = Standing(open_seq=40)
    early = moment(GREY - 1)
    assert refused("TRANSFER_WAITS", held, now=early) == {"until": "1970-01-11 08:05:00"}
    assert decided(held).effects
    assert decided(Standing(open_seq=40, grey=True), now=early).effects


def test_a_card_that_may_tell_is_waited_for():
    live = Standing(open_seq=40, grey=True, may_tell=True)
    told = refused("TRANSFER_CARD_TELLS", live, now=moment(TAPPED + 3 * DAY_US - 1))
    assert told == {"until": "1970-01-14 08:00:00"}
    assert decided(live, now=moment(TAPPED + 3 * DAY_US)).effects
    assert decided(live, now=moment(GREY, refund_wait_days=0)).effects


@pytest.mark.parametrize("side", [Wallet.ONLINE, Wallet.INCOME])
def test_what_was_written_goes_the_way_of_its_purse(side):
    """D11: counted, it goes with it; settled before, it follows at once."""
    counted = Standing(open_seq=40, grey=True, purse=purse(side=side))
    plan = decided(counted)
    assert (plan.document.purse, len(plan.effects)) == (90, 1)
    gone = Standing(open_seq=40, grey=True, purse=purse(side=side, settled_seq=95))
    plan = decided(gone)
    _, moved = plan.effects
    assert (moved.kind, moved.amount_fen) == (EffectKind.ADJUST, 1_000)
    assert (moved.debit_wallet, moved.credit_wallet) == (Wallet.WATER, side)
    plan = decided(gone, written=False)
    assert (plan.document.purse, len(plan.effects)) == (0, 1)
