"""The lunch rush: seeded, with the mix and the merchants it promises; and its measures."""

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from clients.terminal import Key, Kind, Receipt, Result
from clients.terminal.meter import Histogram, Meter
from clients.terminal.traffic import MIX, Tap, Traffic, read_campus

DEMO = Path(__file__).resolve().parents[2] / "demo"


@pytest.fixture(scope="module")
def campus():
    return read_campus(DEMO, terminals=300)


def take(traffic, count):
    return [next(traffic) for _ in range(count)]


def test_the_same_seed_is_the_same_rush(campus):
    one = take(Traffic(campus, seed=7, rate=100), 500)
    assert one == take(Traffic(campus, seed=7, rate=100), 500)
    assert one != take(Traffic(campus, seed=8, rate=100), 500)


def test_the_mix_is_the_promised_one(campus):
    taps = Counter(arrival.tap for arrival in take(Traffic(campus, seed=1, rate=0), 50_000))
    for tap, thousandths in MIX.items():
        expected = 50 * thousandths
        assert abs(taps[tap] - expected) < 5 * expected**0.5 + 5, tap


def test_merchants_follow_zipf(campus):
    sellers = {
        terminal: index
        for index, seller in enumerate(campus.sellers)
        for terminal in seller.terminal_ids
    }
    sales = Counter(
        sellers[arrival.terminal_id]
        for arrival in take(Traffic(campus, seed=1, rate=0), 30_000)
        if arrival.tap is Tap.PURCHASE
    )
    assert sales[0] / sales[1] == pytest.approx(2**1.1, rel=0.1)
    assert sales[0] / sales[9] == pytest.approx(10**1.1, rel=0.2)


def test_arrivals_come_at_the_rate(campus):
    arrivals = take(Traffic(campus, seed=3, rate=200), 20_000)
    assert arrivals[-1].at_s == pytest.approx(100, rel=0.05)
    assert all(one.at_s <= two.at_s for one, two in itertools.pairwise(arrivals))


@pytest.mark.parametrize("terminals", [1, 10, 40, 300, 1000])
def test_fewer_terminals_keep_every_kind_that_fits(terminals):
    campus = read_campus(DEMO, terminals=terminals)
    assert len(campus.terminal_ids) == min(terminals, 300)
    assert "COUNTER-001" not in campus.terminal_ids
    take(Traffic(campus, seed=1, rate=0), 200)
    if terminals >= 40:
        assert {seller.category for seller in campus.sellers} >= {"CANTEEN", "WATER", "BATH"}


def test_holders_know_their_initial_password(campus):
    assert len(campus.holders) == 5300
    assert all(len(holder.pin) == 6 and holder.pin.isdigit() for holder in campus.holders)
    assert any(holder.pin == "888888" for holder in campus.holders)


def test_percentiles_are_within_one_percent():
    rng = random.Random(1)
    values = sorted(int(rng.expovariate(1 / 3000)) for _ in range(20_000))
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    for percent in (1, 50, 90, 99):
        exact = values[-(-len(values) * percent // 100) - 1]
        assert histogram.percentile_us(percent) == pytest.approx(exact, rel=0.01, abs=1)
    assert histogram.percentile_us(100) == values[-1]
    assert Histogram().percentile_us(99) == 0


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 257, 10**6, 2**38])
def test_every_duration_has_its_bucket(value):
    histogram = Histogram()
    histogram.add(value)
    assert histogram.percentile_us(50) == value


def receipt(*, result=Result.APPROVED, seq=5, replayed=False, reason="OK"):
    decision = pb.Decision(seq=seq, approved_fen=100, replayed=replayed, reason=reason)
    key = Key(terminal_id="POS-001", batch_no=1, terminal_seq=1)
    return Receipt(key=key, kind=Kind.AUTHORIZE, result=result, reason=reason, decision=decision)


def test_the_meter_counts_and_compares():
    meter = Meter(started_s=0.0)
    meter.answered(receipt(), waited_us=1000, now_s=1.0)
    meter.answered(receipt(result=Result.DECLINED, reason="CARD_LOST"), waited_us=1, now_s=1.5)
    meter.answered(receipt(result=Result.GIVEN_UP, reason="UNKNOWN"), waited_us=1, now_s=2.0)
    meter.repeated(receipt(), receipt(replayed=True))
    meter.repeated(receipt(), receipt(seq=6, replayed=True))
    summary = meter.summary(10.0)
    assert summary["results"] == {"approved": 1, "declined": 1, "given_up": 1}
    assert summary["declines"] == {"CARD_LOST": 1, "UNKNOWN": 1}
    assert (summary["replays"], summary["replay_mismatches"]) == (2, 1)
    assert summary["money_fen"] == 100
    assert summary["terminal_errors"] == {"POS-001": 2}
