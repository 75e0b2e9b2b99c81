"""One day with everything in it, for tests that want a journal with every kind of record."""

from dataclasses import replace

from tests.model.numbers import (
    AccountStatus,
    EffectKind,
    Event,
    MediumFlag,
    MediumState,
    Op,
    Wallet,
)
from tests.model.office import Effect
from tests.model.rig import PIN, WRONG, fund, furnish, medium_state, rules
from tests.model.state import SEED_CATEGORIES, SEED_MEALS, Original


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
    play_waiting(rig)
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
    for written in (True, False):
        grey = rig.account().water_hold
        settle = Effect(kind=EffectKind.SETTLE, row=1, hold_seq=grey, written=written)
        rig.do([settle])
        rig.perform([settle])
        rig.water(8)
        rig.after(512)  # the due times of play_waiting keep the bits that tests flip
        rig.idle()
    rig.water(8)
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


def play_waiting(rig):
    """Acts for later: carried out, cancelled, lapsed; several at one time."""
    due_s = rig.now_us // 1_000_000 + 600
    status = Effect(kind=EffectKind.ACCOUNT_STATUS, row=2, event=Event.STATUS)
    suspended = replace(status, status=AccountStatus.SUSPENDED)
    expects = {"expect_status": AccountStatus.SUSPENDED, "unchanged": True, "due_s": due_s}
    normal = replace(status, status=AccountStatus.NORMAL, **expects)
    frozen = medium_state(MediumState.ACTIVE, MediumFlag.FROZEN, row=2)
    thawed = replace(
        frozen, status=0, flags=0, expect_status=0, expect_flags=MediumFlag.FROZEN, due_s=due_s
    )
    rig.do([suspended, normal, frozen, replace(thawed, mask=MediumFlag.FROZEN)])
    rig.do([replace(normal, row=1), replace(rules(pin_max=4), due_s=due_s, mask=0b100_0000_0001)])
    first = rig.model.books.journal[-3].seq
    rig.do(
        [
            replace(rules(meal_limit=5_100), due_s=due_s - 1, mask=2),
            Effect(kind=EffectKind.MEALS, meals=SEED_MEALS, due_s=due_s),
            Effect(kind=EffectKind.CATEGORY, category=1, flags=SEED_CATEGORIES[1], due_s=due_s),
            replace(rules(), due_s=due_s + 1, mask=0),
        ]
    )
    rig.perform([Effect(kind=EffectKind.CANCEL, scheduled_seq=first + 1)] * 2)
    rig.do([Effect(kind=EffectKind.CANCEL, scheduled_seq=first + 1)])
    rig.card_flags(MediumFlag.FROZEN | MediumFlag.LOST, Event.LOSS, medium=2)
    rig.after(600)
    rig.buy(10)
    rig.card_flags(MediumFlag(0), Event.UNLOSS, medium=2)
    rig.after(1)
    rig.idle()
