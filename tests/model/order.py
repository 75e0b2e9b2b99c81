"""The decision order as data: everything is wrong at once, and is mended one row at a time.

Each row names the reason that must win while its own cause and the causes of all rows below it
are present, the fields its tap needs, and how its cause is then removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.model.numbers import (
    KEYPAD,
    AccountStatus,
    Category,
    Counts,
    EffectKind,
    Event,
    MediumFlag,
    MediumState,
    Op,
    Reason,
    Wallet,
)
from tests.model.office import Effect
from tests.model.rig import (
    PIN,
    WRONG,
    Rig,
    bind,
    card,
    fund,
    medium_state,
    merchant,
    open_account,
    rules,
    terminal,
)
from tests.model.state import Original


class Row(NamedTuple):
    """One row of the order."""

    reason: Reason
    tap: dict[str, Any]
    mend: Callable[[Rig], object]


class Order(NamedTuple):
    """A command's rows: how everything is broken first, and the tap all rows share."""

    break_all: Callable[[Rig], object]
    op: Op
    terminal: str
    tap: dict[str, Any]
    rows: tuple[Row, ...]


def play(rig: Rig, order: Order) -> None:
    """Send the tap at every row, and mend the row once its reason has won."""
    order.break_all(rig)
    for row in order.rows:
        reply = rig.tap(order.op, order.terminal, **{**order.tap, **row.tap})
        assert reply.reason is row.reason, f"{row.reason.name} expected, {reply.reason.name} came"
        row.mend(rig)


def perform(*effects: Effect) -> Callable[[Rig], object]:
    """Return a mend that is one office act."""
    return lambda rig: rig.do(effects)


def nothing(_rig: Rig) -> None:
    """Mend what the next row's tap leaves out."""


def account_status(status: AccountStatus, row: int = 1) -> Effect:
    """Return a change of an account's status."""
    return Effect(kind=EffectKind.ACCOUNT_STATUS, row=row, event=Event.STATUS, status=status)


def category(number: Category, counts: Counts) -> Effect:
    """Return what a category allows and counts towards."""
    return Effect(kind=EffectKind.CATEGORY, category=number, flags=counts)


LOST_AND_FROZEN = MediumFlag.LOST | MediumFlag.FROZEN
BROKE = fund(EffectKind.ADJUST, 1, 20_300, debit=Wallet.ONLINE, credit=Wallet.INCOME)
CANTEEN = Counts.DAY | Counts.MEAL | Counts.REFUNDABLE | Counts.SPEND | Counts.SUBSIDY


# ---- the card, from worst to best; shared by AUTHORIZE and HOLD ----

BAD_CARD = medium_state(MediumState.VOID, LOST_AND_FROZEN, expires_day=1)
CARD_ROWS = (
    Row(Reason.CARD_UNKNOWN, {"medium": card(99)}, nothing),
    Row(
        Reason.CARD_VOID,
        {},
        perform(medium_state(MediumState.RETURNED, LOST_AND_FROZEN, expires_day=1)),
    ),
    Row(
        Reason.CARD_VOID,
        {},
        perform(medium_state(MediumState.IN_TRANSIT, LOST_AND_FROZEN, expires_day=1)),
    ),
    Row(
        Reason.CARD_LOST,
        {},
        perform(medium_state(MediumState.IN_TRANSIT, MediumFlag.FROZEN, expires_day=1)),
    ),
    Row(Reason.CARD_FROZEN, {}, perform(medium_state(MediumState.IN_TRANSIT, expires_day=1))),
    Row(Reason.CARD_EXPIRED, {}, perform(medium_state(MediumState.IN_TRANSIT))),
    Row(Reason.CARD_NOT_ACTIVE, {}, perform(medium_state(MediumState.PRODUCED))),
    Row(Reason.CARD_NOT_ACTIVE, {}, perform(medium_state(MediumState.ACTIVE))),
)
ACCOUNT_ROWS = (
    Row(Reason.ACCOUNT_CLOSED, {}, perform(account_status(AccountStatus.CLOSING))),
    Row(Reason.ACCOUNT_CLOSED, {}, perform(account_status(AccountStatus.SUSPENDED))),
    Row(Reason.ACCOUNT_SUSPENDED, {}, perform(account_status(AccountStatus.NORMAL))),
    Row(Reason.ACCOUNT_DEBT, {}, perform(fund(EffectKind.TOP_UP, 1, 300))),
)


# ---- AUTHORIZE ----


def break_authorize(rig: Rig) -> None:
    """A signed-off terminal of a closed merchant, a void card, a closed account in debt, ..."""
    rig.buy(100, terminal_seq=500)
    rig.tap(
        Op.REVERSE,
        amount=100,
        original=Original(batch_no=rig.batches["POS-07"], terminal_seq=600),
    )
    rig.do([fund(EffectKind.TOP_UP, 1, 100), rules(day_limit=0)])
    for _ in range(3):
        rig.buy(1, pin=WRONG)
    rig.do([open_account(4, pin="")])
    rig.do([bind(4, 4), fund(EffectKind.TOP_UP, 4, 10_000)])
    rig.tap(Op.SIGN_OFF, terminal_seq=0)
    rig.do([BAD_CARD, BROKE, account_status(AccountStatus.CLOSED)])
    rig.do(
        [
            merchant(1, Category.CANTEEN, status=2),
            terminal(1, "POS-07", 1, status=2, max_amount=100),
            category(Category.CANTEEN, CANTEEN & ~Counts.SPEND),
        ]
    )


AUTHORIZE = Order(
    break_all=break_authorize,
    op=Op.AUTHORIZE,
    terminal="POS-07",
    tap={"amount": 6_000},
    rows=(
        Row(Reason.TERMINAL_NOT_SIGNED_IN, {"batch_no": 9, "terminal_seq": 500}, nothing),
        Row(Reason.TERMINAL_NOT_SIGNED_IN, {"batch_no": 2, "terminal_seq": 500}, nothing),
        Row(Reason.DUPLICATE_MISMATCH, {"terminal_seq": 500}, nothing),
        Row(Reason.ORIGINAL_REVERSED, {"terminal_seq": 600}, nothing),
        Row(
            Reason.TERMINAL_NOT_SIGNED_IN,
            {},
            lambda rig: (rig.do([terminal(1, "POS-07", 1)]), rig.sign_in("POS-07")),
        ),
        Row(Reason.MERCHANT_INVALID, {}, perform(terminal(1, "POS-07", 1, status=2))),
        Row(Reason.TERMINAL_SUSPENDED, {}, perform(terminal(1, "POS-07", 1, max_amount=100))),
        Row(Reason.MERCHANT_INVALID, {}, perform(merchant(1, Category.CANTEEN))),
        *CARD_ROWS,
        *ACCOUNT_ROWS,
        Row(Reason.CATEGORY_NOT_ALLOWED, {}, perform(category(Category.CANTEEN, CANTEEN))),
        Row(Reason.AMOUNT_INVALID, {"amount": 101}, perform(terminal(1, "POS-07", 1))),
        Row(Reason.AMOUNT_INVALID, {"amount": 0}, nothing),
        Row(Reason.AMOUNT_INVALID, {"amount": -1}, nothing),
        Row(Reason.AMOUNT_INVALID, {"amount": 100_000_001}, nothing),
        Row(Reason.INSUFFICIENT, {}, perform(fund(EffectKind.TOP_UP, 1, 10_000))),
        Row(Reason.PIN_REQUIRED, {}, perform(terminal(1, "POS-07", 1, flags=0))),
        Row(Reason.PIN_REQUIRED, {}, perform(terminal(1, "POS-07", 1, flags=KEYPAD))),
        Row(Reason.PIN_LOCKED, {"pin": PIN}, nothing),
        Row(Reason.PIN_NOT_SET, {"pin": PIN, "medium": card(4)}, nothing),
        Row(
            Reason.PIN_LOCKED,
            {"pin": WRONG},
            perform(Effect(kind=EffectKind.PIN_RESET, row=1, event=Event.PIN_RESET, pin=PIN)),
        ),
        Row(Reason.PIN_WRONG, {"pin": WRONG}, nothing),
        Row(Reason.OK, {"pin": PIN}, nothing),
    ),
)


# ---- HOLD for the water purse ----


def break_water(rig: Rig) -> None:
    """An open transfer of another medium, at a category that may not hold, no money."""
    rig.do([bind(4, 1)])
    rig.water(10, medium=card(4))
    rig.do([BAD_CARD, BROKE, account_status(AccountStatus.CLOSED)])
    rig.do([merchant(2, Category.BATH), rules(day_limit=0, water_cap=500)])
    rig.do([terminal(3, "W-1", 2, max_amount=999, flags=0)])


WATER = Order(
    break_all=break_water,
    op=Op.HOLD,
    terminal="W-1",
    tap={"water": True, "card_counter": 9},
    rows=(
        *CARD_ROWS,
        *ACCOUNT_ROWS,
        Row(Reason.CATEGORY_NOT_ALLOWED, {}, perform(merchant(2, Category.WATER))),
        Row(Reason.HOLD_PENDING, {}, nothing),
        Row(Reason.CARD_COUNTER_REGRESSION, {"medium": card(4)}, nothing),
        # the counter resolves the open transfer on the way to this refusal
        Row(
            Reason.AMOUNT_INVALID,
            {"medium": card(4), "card_counter": 10},
            perform(terminal(3, "W-1", 2, flags=0)),
        ),
        Row(Reason.WATER_CAP, {}, perform(rules(day_limit=0, water_cap=1_000))),
        Row(Reason.INSUFFICIENT, {}, perform(fund(EffectKind.TOP_UP, 1, 999))),
        Row(Reason.INSUFFICIENT, {"partial_ok": True}, perform(fund(EffectKind.TOP_UP, 1, 1))),
        Row(Reason.PIN_REQUIRED, {}, perform(rules())),
        Row(Reason.OK, {}, nothing),
    ),
)


# ---- REVERSE and REFUND ----


def break_undo(rig: Rig) -> None:
    """Keys 501.. of POS-07: refused, reversed, refunded; a tombstone; 505 untouched."""
    rig.top_up(100)
    rig.buy(20_101, terminal_seq=501)
    for key in (502, 503, 505):
        rig.buy(100, terminal_seq=key)
    rig.tap(Op.REVERSE, amount=100, original=named(rig, 502))
    rig.tap(Op.REFUND, amount=40, original=named(rig, 503))
    rig.tap(Op.REVERSE, amount=100, original=named(rig, 504))
    rig.do([account_status(AccountStatus.CLOSED)])
    rig.do([category(Category.CANTEEN, CANTEEN & ~Counts.REFUNDABLE)])
    drain = fund(EffectKind.ADJUST, 1, 60, debit=Wallet.MERCHANT, credit=Wallet.INCOME, link=1)
    rig.do([drain])


def named(_rig: Rig, terminal_seq: int) -> Original:
    """Name an original of POS-07's first batch."""
    return Original(batch_no=1, terminal_seq=terminal_seq)


def key(terminal_seq: int) -> dict[str, Any]:
    """Return the field that names an original of POS-07's first batch."""
    return {"original": Original(batch_no=1, terminal_seq=terminal_seq)}


REVERSE = Order(
    break_all=break_undo,
    op=Op.REVERSE,
    terminal="POS-07",
    tap={"amount": 99},
    rows=(
        Row(Reason.ORIGINAL_NOT_FOUND, {"original": Original(seq=10**9)}, nothing),
        Row(Reason.ORIGINAL_NOT_FOUND, {"original": Original(batch_no=9, terminal_seq=1)}, nothing),
        Row(Reason.ORIGINAL_NOT_FOUND, {**key(700), "terminal_seq": 700}, nothing),
        Row(Reason.ORIGINAL_NOT_APPROVED, {"original": Original(seq=1)} | key(501), nothing),
        Row(Reason.ALREADY_REVERSED, key(504), nothing),
        Row(Reason.ALREADY_REVERSED, key(502), nothing),
        Row(Reason.ALREADY_REFUNDED, key(503), nothing),
        Row(Reason.REVERSAL_AMOUNT_MISMATCH, key(505), nothing),
        Row(Reason.OK, {**key(505), "amount": 100}, nothing),
    ),
)

REFUND = Order(
    break_all=break_undo,
    op=Op.REFUND,
    terminal="POS-07",
    tap={"amount": 0},
    rows=(
        Row(Reason.ORIGINAL_NOT_FOUND, {"original": Original(seq=10**9)}, nothing),
        Row(Reason.ORIGINAL_NOT_FOUND, key(701), nothing),
        Row(Reason.ALREADY_REVERSED, key(504), nothing),
        Row(Reason.ORIGINAL_NOT_APPROVED, key(501), nothing),
        Row(Reason.REFUND_NOT_ALLOWED, key(502), perform(category(Category.CANTEEN, CANTEEN))),
        Row(Reason.ACCOUNT_CLOSED, key(502), perform(account_status(AccountStatus.CLOSING))),
        Row(Reason.AMOUNT_INVALID, key(502), nothing),
        Row(Reason.ALREADY_REVERSED, {**key(502), "amount": 101}, nothing),
        Row(Reason.REFUND_EXCEEDS_ORIGINAL, {**key(505), "amount": 101}, nothing),
        Row(Reason.REFUND_EXCEEDS_ORIGINAL, {**key(503), "amount": 61}, nothing),
        Row(Reason.OK, {**key(503), "amount": 60}, nothing),
        Row(Reason.MERCHANT_SHORT, {**key(505), "amount": 41}, nothing),
        Row(Reason.OK, {**key(505), "amount": 40}, nothing),
    ),
)


# ---- CAPTURE ----


def break_capture(rig: Rig) -> None:
    """Key 501 of B-1 a refused hold, 502 a captured one, 503 open, on a card reported lost."""
    rig.hold(0, terminal_seq=501)
    for number in (502, 503):
        rig.hold(600, terminal_seq=number)
    rig.tap(Op.CAPTURE, "B-1", amount=600, **key(502))
    rig.do([BAD_CARD, account_status(AccountStatus.CLOSED)])


CAPTURE = Order(
    break_all=break_capture,
    op=Op.CAPTURE,
    terminal="B-1",
    tap={"amount": 0},
    rows=(
        Row(Reason.HOLD_NOT_FOUND, {"original": Original(seq=10**9)}, nothing),
        Row(Reason.HOLD_NOT_FOUND, key(700), nothing),
        Row(Reason.HOLD_NOT_FOUND, key(501), nothing),
        Row(Reason.HOLD_CLOSED, key(502), nothing),
        Row(Reason.AMOUNT_INVALID, key(503), nothing),
        Row(Reason.OK, {**key(503), "amount": 601}, nothing),
    ),
)

ORDERS = {
    "authorize": AUTHORIZE,
    "water": WATER,
    "reverse": REVERSE,
    "refund": REFUND,
    "capture": CAPTURE,
}
