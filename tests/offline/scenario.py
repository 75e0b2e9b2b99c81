"""One day with everything in it, for tests that want a journal with every kind of record."""

from tests.model.numbers import AccountStatus, EffectKind, Event, MediumFlag, Op, Wallet
from tests.model.office import Effect
from tests.model.rig import PIN, WRONG, fund, furnish, rules
from tests.model.state import Original


def play_day(rig):
    """Purchases, passwords, holds, water, undoing, papers, signing off; returns the rig."""
    furnish(rig)
    rig.do([fund(EffectKind.SUBSIDY, 1, 2_500), fund(EffectKind.TOP_UP, 2, 6_000)])
    lunch = rig.buy(3_000)
    rig.buy(2_500)
    rig.buy(2_500, pin=WRONG)
    dinner = rig.buy(2_500, pin=PIN)
    rig.of(Op.REFUND, lunch, 1_000, "POS-07")
    rig.of(Op.REFUND, lunch, 2_000, "POS-07")
    rig.of(Op.REVERSE, dinner, 2_500, "POS-07", void=True)
    rig.of(Op.REVERSE, dinner, 2_500, "POS-07")
    play_holds(rig)
    play_water(rig)
    play_keys(rig)
    play_papers(rig)
    return rig


def play_holds(rig):
    bath = rig.hold(1_000)
    rig.of(Op.CAPTURE, bath, 1_500, "B-1")
    rig.of(Op.RELEASE, rig.hold(700), 0, "B-1")
    rig.of(Op.REVERSE, rig.hold(300), 300, "B-1")
    late = rig.hold(1_000)
    rig.after(3_600)
    rig.idle()
    rig.of(Op.CAPTURE, late, 700, "B-1")
    rig.hold(100)
    rig.after(3_600)
    rig.idle()
    rig.after(41 * 86_400)
    rig.idle()


def play_water(rig):
    rig.water(5)
    rig.water(6)
    rig.water(6)
    rig.after(600)
    rig.idle()
    rig.water(3)
    open_transfer = rig.water(7)
    captured = rig.of(Op.CAPTURE, open_transfer, 1_000, "W-1")
    rig.of(Op.REVERSE, captured, 1_000, "W-1")


def play_keys(rig):
    batch = rig.batches["POS-08"]
    late = Original(batch_no=batch, terminal_seq=40_000)
    rig.tap(Op.REVERSE, "POS-08", amount=500, original=late)
    rig.buy(500, "POS-08", terminal_seq=40_000)
    rig.buy(120, "POS-08", terminal_seq=41)
    rig.buy(120, "POS-08", terminal_seq=41)
    rig.buy(121, "POS-08", terminal_seq=41)
    rig.buy(99, "POS-08", medium=bytes([1, 4]) + b"none" + bytes(10))
    rig.tap(Op.SIGN_OFF, "POS-08", terminal_seq=0)
    rig.sign_in("POS-08")
    rig.buy(130, "POS-08", terminal_seq=41, partial_ok=True)


def play_papers(rig):
    rig.card_flags(MediumFlag.LOST, Event.LOSS)
    rig.buy(100)
    rig.card_flags(MediumFlag(0), Event.UNLOSS)
    limits = Effect(
        kind=EffectKind.ACCOUNT_LIMITS, row=2, event=Event.LIMITS, day_limit=100, meal_limit=5_000
    )
    rig.perform([limits], pin_account=2, pin=WRONG)
    rig.perform([limits], pin_account=2, pin=PIN)
    rig.do([Effect(kind=EffectKind.PIN_RESET, row=2, event=Event.PIN_RESET, pin="135790")])
    closing = Effect(
        kind=EffectKind.ACCOUNT_STATUS, row=3, event=Event.STATUS, status=AccountStatus.CLOSING
    )
    rig.do([closing])
    rig.do([fund(EffectKind.ADJUST, 1, 40, debit=Wallet.ONLINE, credit=Wallet.ADJUSTMENT)])
    rig.do([rules(day_limit=20_000)])
    rig.after(1)
    rig.buy(6_000)
    rig.buy(60)
