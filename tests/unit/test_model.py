"""The reference model tells the regulation's scenarios with the regulation's numbers."""

import pytest

from tests.model.numbers import (
    Counts,
    EffectKind,
    Event,
    Flag,
    Kind,
    MediumFlag,
    MediumState,
    Op,
    Outcome,
    Reason,
    Wallet,
)
from tests.model.office import Effect
from tests.model.rig import PIN, WRONG, Rig, bind, card, fund, furnish, medium_state, rules
from tests.model.state import Original


@pytest.fixture
def rig():
    rig = Rig()
    furnish(rig)
    return rig


def test_exactly_at_the_meal_limit(rig):
    assert rig.buy(3_000).approved == 3_000
    assert rig.buy(2_000).approved == 2_000
    assert rig.used() == (5_000, 5_000)
    key = {"terminal_seq": 900}
    asked = rig.buy(1, **key)
    assert asked.outcome is Outcome.PIN_REQUIRED
    assert asked.records[0].flags & (Flag.OVER_DAY | Flag.OVER_MEAL) == Flag.OVER_MEAL
    assert rig.account().online == 15_000
    approved = rig.buy(1, pin=PIN, **key)
    assert approved.outcome is Outcome.APPROVED
    assert rig.account().online == 14_999
    assert rig.buy(1).reason is Reason.PIN_REQUIRED


def test_exactly_at_the_day_limit(rig):
    rig.buy(3_000)
    rig.buy(2_000)
    rig.buy(1, pin=PIN)
    rig.at("2024-03-13 17:30:00")
    assert rig.buy(4_999).approved == 4_999
    assert rig.used() == (10_000, 4_999)
    assert rig.account().online == 10_000
    asked = rig.buy(1)
    assert asked.records[0].flags & (Flag.OVER_DAY | Flag.OVER_MEAL) == Flag.OVER_DAY
    rig.at("2024-03-14 00:00:00")
    assert rig.buy(1_000).approved == 1_000
    assert rig.used() == (1_000, 1_000)
    assert rig.account().meal == (rig.model.books.day_key - 1, 4)


def test_wrong_passwords_stop_at_three(rig):
    rig.buy(5_000)
    reasons = [rig.buy(1, pin=WRONG).reason for _ in range(100)]
    assert reasons == [Reason.PIN_WRONG] * 3 + [Reason.PIN_LOCKED] * 97
    assert rig.buy(1, pin=PIN).reason is Reason.PIN_LOCKED
    assert rig.account().online == 15_000
    rig.at("2024-03-13 17:30:00")
    assert rig.buy(1_200).approved == 1_200
    rig.do([Effect(kind=EffectKind.PIN_RESET, row=1, event=Event.PIN_RESET, pin="135790")])
    reply = rig.buy(3_801, pin="135790")
    assert reply.approved == 3_801
    assert reply.records[0].flags & Flag.MUST_CHANGE


def test_retry_and_conflict(rig):
    key = {"terminal_seq": 1001}
    first = rig.buy(1_250, **key)
    for _ in range(5):
        again = rig.buy(1_250, **key)
        assert again.replayed
        assert again.records == first.records
    assert rig.buy(1_350, **key).reason is Reason.DUPLICATE_MISMATCH
    assert rig.buy(1_250, **key).records == first.records
    assert rig.account().online == 18_750


def test_reversal_overtakes_the_original(rig):
    batch = rig.batches["POS-07"]
    original = Original(batch_no=batch, terminal_seq=1002)
    reversal = {"amount": 2_500, "original": original, "terminal_seq": 1003}
    tombstone = rig.tap(Op.REVERSE, **reversal)
    assert tombstone.records[0].type is Kind.TOMBSTONE
    assert tombstone.records[0].original_seq == batch << 32 | 1002
    rig.after(2)
    assert rig.buy(2_500, terminal_seq=1002).reason is Reason.ORIGINAL_REVERSED
    for _ in range(3):
        assert rig.tap(Op.REVERSE, **reversal).replayed
    assert rig.account().online == 20_000
    assert rig.used() == (0, 0)


def test_timeout_reversal_of_an_approved_sale(rig):
    rig.at("2024-03-13 13:59:00")
    sale = rig.buy(2_500)
    rig.at("2024-03-13 14:31:00")
    rig.buy(700)
    part = rig.of(Op.REVERSE, sale, 2_000, "POS-07")
    assert part.reason is Reason.REVERSAL_AMOUNT_MISMATCH
    whole = rig.of(Op.REVERSE, sale, 2_500, "POS-07")
    assert whole.approved == 2_500
    assert whole.records[0].meal_key == 2
    assert rig.account().online == 19_300
    assert rig.used() == (700, 700)
    assert rig.of(Op.REFUND, sale, 100, "POS-07").reason is Reason.ALREADY_REVERSED


def test_two_terminals_one_balance(rig):
    rig.top_up(5_000, account=2)
    replies = [rig.buy(3_000, name, medium=card(2)) for name in ("POS-07", "POS-08")]
    assert [reply.reason for reply in replies] == [Reason.OK, Reason.INSUFFICIENT]
    assert rig.account(2).online == 2_000


def test_a_loss_stops_everything_after_it(rig):
    assert rig.buy(1).approved == 1
    rig.card_flags(MediumFlag.LOST, Event.LOSS)
    assert rig.buy(1).reason is Reason.CARD_LOST
    rig.card_flags(MediumFlag(0), Event.UNLOSS)
    assert rig.buy(1).approved == 1


def test_hot_water(rig):
    rig.top_up(3_500, account=2)
    for counter in range(3):
        transfer = rig.water(counter, medium=card(2))
        assert transfer.approved == 1_000
        assert rig.of(Op.CAPTURE, transfer, 1_000, "W-1").approved == 1_000
    assert (rig.account(2).online, rig.account(2).water) == (500, 3_000)
    assert rig.water(3, medium=card(2)).reason is Reason.INSUFFICIENT
    assert rig.water(3, medium=card(2), partial_ok=True).reason is Reason.INSUFFICIENT


@pytest.mark.parametrize(("before", "reason"), [(9_500, Reason.PIN_REQUIRED), (9_000, Reason.OK)])
def test_water_counts_towards_the_day(rig, before, reason):
    rig.buy(before, "SHOP-1")
    reply = rig.water(0)
    assert reply.reason is reason
    assert reply.outcome is (Outcome.DECLINED if reason else Outcome.APPROVED)


def test_torn_card(rig):
    rig.water(7)
    assert rig.account().available == 19_000
    again = rig.water(7)
    assert [record.type for record in again.records] == [Kind.RELEASE, Kind.HOLD]
    assert rig.account().available == 19_000
    assert rig.account().water == 0
    rig.sign_in("W-1")
    written = rig.water(8)
    assert [record.type for record in written.records] == [Kind.CAPTURE, Kind.HOLD]
    assert written.approved == 1_000
    assert (rig.account().online, rig.account().held) == (19_000, 1_000)
    assert rig.account().water == 1_000
    rig.after(301)
    rig.idle()
    assert rig.account().held == 1_000, "GREY stays held until the card tells"
    assert rig.water(7).reason is Reason.CARD_COUNTER_REGRESSION


def test_bath_meter(rig):
    hold = rig.hold(600)
    done = rig.of(Op.CAPTURE, hold, 346, "B-1", terminal_seq=500)
    assert done.approved == 346
    assert (rig.account().online, rig.account().held, rig.used()[0]) == (19_654, 0, 346)
    assert rig.of(Op.CAPTURE, hold, 346, "B-1", terminal_seq=500).replayed
    assert rig.of(Op.CAPTURE, hold, 346, "B-1").reason is Reason.HOLD_CLOSED
    excess = rig.of(Op.CAPTURE, rig.hold(600), 650, "B-1")
    assert excess.approved == 600
    assert excess.records[0].flags & Flag.EXCESS
    assert excess.records[0].aux == 650


def test_a_dead_meter_frees_the_hold_and_may_capture_late(rig):
    hold = rig.hold(600)
    rig.after(1_800)
    rig.idle()
    assert (rig.account().held, rig.used()[0]) == (0, 0)
    rig.at("2024-03-14 09:00:00")
    late = rig.of(Op.CAPTURE, hold, 346, "B-1").records[0]
    assert late.flags & (Flag.LATE | Flag.FORCED) == Flag.LATE | Flag.FORCED
    assert late.day_key == rig.model.books.day_key - 1
    assert rig.account().online == 19_654
    assert rig.used()[0] == 0, "it counts to the day of the shower"
    assert rig.auditor.totals[1].by_day[late.day_key] == 346


def test_a_loss_during_the_shower(rig):
    hold = rig.hold(600)
    rig.card_flags(MediumFlag.LOST, Event.LOSS)
    assert rig.of(Op.CAPTURE, hold, 346, "B-1").approved == 346
    assert rig.hold(600).reason is Reason.CARD_LOST


def test_refund_fills_the_wallets_backwards(rig):
    rig.do([fund(EffectKind.SUBSIDY, 1, 3_000)])
    sale = rig.buy(4_000)
    assert [(r.debit_wallet, r.amount) for r in sale.records] == [
        (Wallet.SUBSIDY, 3_000),
        (Wallet.ONLINE, 1_000),
    ]
    back = rig.of(Op.REFUND, sale, 1_500, "POS-08")
    assert [(r.credit_wallet, r.amount) for r in back.records] == [
        (Wallet.ONLINE, 1_000),
        (Wallet.SUBSIDY, 500),
    ]
    assert rig.of(Op.REFUND, sale, 2_501, "POS-07").reason is Reason.REFUND_EXCEEDS_ORIGINAL
    assert rig.of(Op.REFUND, sale, 2_500, "POS-07").approved == 2_500
    assert rig.used()[0] == 4_000, "a refund does not lift a limit"
    assert rig.of(Op.REVERSE, sale, 4_000, "POS-07").reason is Reason.ALREADY_REFUNDED


def test_a_debt_is_netted_by_the_next_top_up(rig):
    rig.do([fund(EffectKind.ADJUST, 2, 300, debit=Wallet.ONLINE, credit=Wallet.INCOME)])
    assert rig.buy(1, medium=card(2)).reason is Reason.ACCOUNT_DEBT
    rig.top_up(5_000, account=2)
    assert rig.account(2).online == 4_700


def test_an_office_act_happens_once_or_not_at_all(rig):
    request = rig.request_id()
    top_up = fund(EffectKind.TOP_UP, 1, 5_000)
    assert not rig.perform([top_up], request_id=request).replayed
    assert rig.perform([top_up], request_id=request).replayed
    other = fund(EffectKind.TOP_UP, 1, 5_001)
    assert rig.perform([other], request_id=request).status == "REQUEST_REUSED"
    stale = Effect(kind=EffectKind.ACCOUNT_STATUS, row=1, status=2, expect_last_seq=1)
    assert rig.perform([top_up, stale]).status == "CONFLICT"
    assert rig.account().online == 25_000


def test_a_batch_that_was_closed_answers_but_decides_no_more(rig):
    first = rig.buy(100, terminal_seq=5)
    assert rig.tap(Op.SIGN_OFF, terminal_seq=0).outcome is Outcome.APPROVED
    assert rig.buy(100, terminal_seq=5).records == first.records
    assert rig.buy(100).reason is Reason.TERMINAL_NOT_SIGNED_IN
    assert rig.tap(Op.SIGN_OFF, terminal_seq=0).replayed
    rig.sign_in("POS-07")
    assert rig.buy(100, batch_no=1, terminal_seq=6).approved == 100


def test_an_old_batch_is_forgotten_after_64_days(rig):
    rig.buy(100, terminal_seq=5)
    rig.sign_in("POS-07")
    rig.sign_in("POS-07")
    rig.after(64 * 86_400)
    assert rig.buy(100, batch_no=1, terminal_seq=5).replayed
    rig.after(1)
    assert rig.buy(100, batch_no=1, terminal_seq=5).reason is Reason.KEY_EXPIRED


def test_new_rules_hold_from_the_next_block(rig):
    rig.do([rules(meal_limit=100)])
    assert rig.buy(101).reason is Reason.PIN_REQUIRED
    assert rig.model.books.rules.version == 2


def test_replacing_a_card_keeps_the_account(rig):
    rig.do([medium_state(MediumState.UNBOUND), bind(4, 1)])
    assert rig.buy(1).reason is Reason.CARD_UNKNOWN
    assert rig.buy(1, medium=card(4)).approved == 1


def test_a_partial_approval_takes_what_there_is(rig):
    rig.top_up(350, account=2)
    reply = rig.buy(500, medium=card(2), partial_ok=True)
    assert reply.approved == 350
    assert reply.records[0].flags & Flag.PARTIAL
    unknown = rig.of(Op.REVERSE, reply, 500, "POS-07")
    assert unknown.approved == 350


def test_categories_are_data(rig):
    rig.do([Effect(kind=EffectKind.CATEGORY, category=5, flags=Counts.SPEND)])
    rig.do([rules(day_limit=0)])
    assert rig.buy(100, "SHOP-1").approved == 100, "it no longer counts towards the day"
