"""WhatIf agrees with the past where nothing changes, and with a fresh server under other values."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from campuscard.v1 import parameter_service_pb2 as pb
from tests.campus import Campus, refusal

DAYS = ("2024-03-14", "2024-03-15")
HOURS = ("07:30", "12:00", "18:00", "22:30")
PAYMENTS = 240
PIN = "812123"
ID = "44070320050812123X"


def steps(seed=7):
    """Payments in order of time: who, where, how much, and what they do when they are asked."""
    dice = random.Random(seed)
    moments = [f"{day} {hour}" for day in DAYS for hour in HOURS]
    tills = ["C-1", "C-1", "S-1", "N-1", "W-1"]
    amounts = [100, 900, 1_500, 2_500, 4_000, 5_000, 6_000]
    return [
        (
            moment,
            dice.randrange(4),
            dice.choice(tills),
            dice.choice(amounts),
            dice.choice(["pays", "pays", "leaves"]),
            dice.random() < 0.1,
        )
        for moment in moments
        for _ in range(PAYMENTS // len(moments))
    ]


class Life:
    """One campus on which the payments are made; `asked` and `ended` are first and last answers."""

    def __init__(self, directory, values):
        self.campus = Campus(directory).start()
        for key, value in values.items():
            self.campus.change_parameter(key, value)
        self.people = [
            self.campus.open_account(id_number=ID, top_up_fen=5_000_000, class_name=f"{n % 2}班")
            for n in range(4)
        ]
        self.tills = {
            "C-1": self.campus.terminal("C-1"),
            "S-1": self.campus.terminal("S-1", merchant="M2", category="SHOP"),
            "N-1": self.campus.terminal("N-1", merchant="M1", keypad=False),
            "W-1": self.campus.terminal("W-1", merchant="M3", category="WATER", keypad=False),
        }
        self.counters = dict.fromkeys(range(4), 0)
        self.first, self.last, self.seqs = [], [], []

    def live(self, plan, past=None):
        """Make the payments; who is asked only now gives the password, what is new is not undone."""
        for number, (moment, who, till, fen, habit, undone) in enumerate(plan):
            self.campus.set_time(moment)
            asked = past is None or past.first[number] == "PIN_REQUIRED"
            paid = past is None or past.last[number] == "OK"
            if till == "W-1":
                self._tap(who)
            else:
                leaves = asked and habit == "leaves"
                self._pay(self.people[who], self.tills[till], fen, leaves, undone and paid)
        return self

    def _tap(self, who):
        till = self.tills["W-1"]
        held = till.hold(
            self.people[who], water=True, card_counter=self.counters[who], seq=next(till.seqs)
        )
        self._note(held, held)
        if held.reason == "OK":
            self.counters[who] += 1
            till.capture(held.seq, 1_000)

    def _pay(self, person, till, fen, leaves, undone):
        seq = next(till.seqs)
        first = last = till.pay(person, fen, seq=seq)
        if first.reason == "PIN_REQUIRED" and till is not self.tills["N-1"] and not leaves:
            last = till.pay(person, fen, seq=seq, pin=PIN)
        self._note(first, last)
        if last.reason == "OK" and undone:
            till.reverse(seq, fen)

    def _note(self, first, last):
        self.first.append(first.reason)
        self.last.append(last.reason)
        self.seqs.append(first.seq)

    def what_if(self, values, days=DAYS):
        request = pb.WhatIfRequest(
            values=[pb.WhatIfValue(key=key, value=value) for key, value in values.items()],
            from_date=days[0],
            to_date=days[-1],
        )
        (*_, last) = self.campus.parameters.WhatIf(request, timeout=60)
        assert last.done
        return last


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    life = Life(tmp_path_factory.mktemp("past"), {})
    yield life.live(steps())
    life.campus.stop()


def totals(response, by="TOTAL"):
    found = {}
    for count in response.counts:
        if count.by == by:
            kind = pb.WhatIfKind.Name(count.kind).removeprefix("WHAT_IF_KIND_")
            found[kind] = found.get(kind, 0) + count.count
    return found


def test_the_values_that_were_in_force_change_nothing(past):
    values = {"day_limit_fen": "10000", "meal_limit_fen": "5000", "meal_limit_scope": "MEAL"}
    same = past.what_if(values | {"water_cap_fen": "0"})
    assert (list(same.counts), list(same.examples)) == ([], [])
    assert same.decisions_count > PAYMENTS
    assert "PIN_REQUIRED" in past.first


@pytest.mark.parametrize(
    "values",
    [
        {"day_limit_fen": "15000"},
        {"day_limit_fen": "6000", "meal_limit_fen": "3000"},
        {"meal_limit_scope": "TXN"},
        {"meal_limit_fen": "0"},
        {"day_limit_fen": "100000", "meal_limit_fen": "100000"},
        {"water_cap_fen": "1500"},
    ],
    ids=lambda values: "-".join(f"{key}={value}" for key, value in values.items()),
)
def test_other_values_are_as_on_a_fresh_server(past, tmp_path, values):
    keys = {"day_ceiling_fen": "100000", "meal_ceiling_fen": "100000"} | values
    fresh = Life(tmp_path, keys)
    try:
        fresh.live(steps(), past)
    finally:
        fresh.campus.stop()
    wanted, seqs = {}, set()
    for before, then, seq in zip(
        zip(past.first, past.last, strict=True),
        zip(fresh.first, fresh.last, strict=True),
        past.seqs,
        strict=True,
    ):
        kind = difference(before, then)
        if kind:
            wanted[kind] = wanted.get(kind, 0) + 1
            seqs.add(seq)
    found = past.what_if(values)
    assert wanted
    shown = {example.seq for example in found.examples}
    assert totals(found) == wanted, (sorted(seqs - shown)[:3], sorted(shown - seqs)[:3])
    for by in ("DAY", "CATEGORY", "CLASS"):
        assert totals(found, by) == wanted
    assert {example.seq for example in found.examples} <= seqs
    assert len(found.examples) == min(100, len(seqs))
    assert {example.account_no for example in found.examples} <= {
        person.account_no for person in past.people
    }


def difference(before, then):
    """Name what became different for one payment: first and last answer, then and now."""
    (first, last), (first_then, last_then) = before, then
    if first == first_then:
        return ""
    if first == "OK":
        return "ASKED" if last_then == "OK" else "DECLINED"
    if first == "PIN_REQUIRED" and first_then == "OK":
        return "NOT_ASKED" if last == "OK" else "PASSED"
    return "PASSED" if first_then == "OK" else ""


def outcome(past):
    """Ask for a what-if; return why it is refused, or that it was answered."""
    try:
        return "answered" if past.what_if({"day_limit_fen": "1"}).counts else "nothing"
    except grpc.RpcError as error:
        return refusal(error)[0]


def test_one_at_a_time(past):
    assert past.campus.staff.token, "signed in before they all ask"
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(outcome, [past] * 4))
    assert sorted(outcomes) == ["WHAT_IF_BUSY"] * 3 + ["answered"]


def test_a_caller_who_goes_away_makes_room(past):
    request = pb.WhatIfRequest(
        values=[pb.WhatIfValue(key="day_limit_fen", value="1")],
        from_date=DAYS[0],
        to_date=DAYS[1],
    )
    gone = past.campus.parameters.WhatIf(request, timeout=60)
    gone.cancel()
    ends = time.monotonic() + 10
    while (found := outcome(past)) == "WHAT_IF_BUSY":
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert found == "answered"


def test_what_nobody_can_say_is_said(past):
    papers = past.what_if({"card_fee_fen": "2000", "day_ceiling_fen": "60000"})
    assert papers.scope == pb.WHAT_IF_SCOPE_PAPERS
    unknowable = past.what_if({"water_tap_fen": "2000"})
    assert unknowable.scope == pb.WHAT_IF_SCOPE_UNKNOWABLE


@pytest.mark.parametrize(
    ("values", "days", "reason"),
    [
        ({}, DAYS, "FIELD_INVALID"),
        ({"nothing": "1"}, DAYS, "NOT_FOUND"),
        ({"day_limit_fen": "x"}, DAYS, "PARAMETER_VALUE"),
        ({"day_limit_fen": "1"}, ("2024-03-15", "2024-03-14"), "FIELD_INVALID"),
        ({"day_limit_fen": "1"}, ("2024-01-01", "2024-06-01"), "FIELD_INVALID"),
        ({"day_limit_fen": "1"}, ("", "2024-06-01"), "FIELD_INVALID"),
    ],
)
def test_bad_requests_say_what_is_wrong(past, values, days, reason):
    with pytest.raises(grpc.RpcError) as caught:
        past.what_if(values, days)
    assert refusal(caught.value)[0] == reason


def test_a_day_without_payments_has_no_changes(past):
    other = past.what_if({"day_limit_fen": "0"}, ("2024-03-10", "2024-03-12"))
    assert (list(other.counts), other.decisions_count) == ([], 0)
