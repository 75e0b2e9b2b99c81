"""Scenarios 8, 9, 10, 18 and 19 with two at the same moment: a thousand runs of each race.

Accounts go through their races one after the other, all of them at once, so that a run costs a few
calls. Each race's acts start in turns: every outcome that is possible is demanded to happen.
"""

import functools
import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from server.offline import verify
from tests.access import Gates
from tests.campus import CALL_S, Campus, refusal
from tests.cards import JPEG, CardDesk, rfid, uid
from tests.staff import BUSINESS

RUNS = 1_000
THREADS = 8
COUNTER = "2024-03-15 14:30"
"""A Friday on which the counter has opened."""


class Answer:
    """What came of an act: its response, or why it was refused."""

    def __init__(self, call):
        self.response, self.reason = None, "OK"
        try:
            self.response = call()
        except grpc.RpcError as error:
            self.reason = refusal(error)[0]

    @property
    def seq(self):
        return self.response.act.seq


def race(runs, acts):
    """Let the acts of each run go at the same time, each first in its turn; yields run and answers.

    `acts` returns the calls of a run by name.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = []
        for number, run in enumerate(runs):
            calls = list(acts(run).items())
            turn = number % len(calls)
            started = {
                name: pool.submit(Answer, call) for name, call in calls[turn:] + calls[:turn]
            }
            waiting.append((run, started))
        for run, started in waiting:
            yield run, {name: future.result() for name, future in started.items()}


def one_wins(runs, acts, *, loser):
    """Demand that exactly one of a run's acts is done, and each is sometimes the one."""
    winners = Counter()
    for run, answers in race(runs, acts):
        (winner,) = (name for name, answer in answers.items() if answer.reason == "OK")
        reasons = {answer.reason for name, answer in answers.items() if name != winner}
        assert reasons == {loser[winner] if isinstance(loser, dict) else loser}, run
        winners[winner] += 1
        yield run, winner, answers[winner].response
    assert len(winners) > 1, winners


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as campus:
        campus.set_time(COUNTER)
        campus.staff.sign_in()
        yield campus


@pytest.fixture(scope="module")
def desks(campus):
    """Two officers, each at a desk of their own."""
    other = campus.member("other", *BUSINESS)
    desk = CardDesk(campus)
    return desk, functools.partial(_at_another, desk, other)


def _at_another(desk, member, method, **values):
    return desk(method, member, **values)


@pytest.fixture(scope="module")
def tills(campus):
    return [campus.terminal(f"POS-{number}") for number in range(4)]


@pytest.fixture(scope="module")
def gates(campus):
    gates = Gates(campus)
    gates.zone("CAMPUS", "GATE-0", "GATE-1", kind="GATE")
    gates.group("everybody", "CAMPUS", kinds=["STUDENT"])
    return gates


@pytest.fixture(scope="module")
def holders(campus):
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda _: campus.open_account(top_up_fen=100), range(RUNS)))


def each(runs, act):
    """Do one act of every run, several at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(act, runs))


def paying(tills, holder):
    """Return a call that pays one fen, as an answer with a seq."""
    till = tills[holder.number % len(tills)]
    request = till.purchase(holder, 1)
    return lambda: till.campus.terminals.Authorize(request, timeout=CALL_S)


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.clause("二.1", "三.2a", "三.2b")
def test_loss_beside_loss_payment_and_passage(holders, desks, tills, gates):
    """Scenario 8: one first loss, and nothing approved or let pass after it."""
    seen = Counter()

    def acts(holder):
        passing = gates.request("GATE-0", holder.medium)
        return {
            "pay": paying(tills, holder),
            "lose": lambda: desks[0]("ReportLoss", account_no=holder.account_no),
            "pass": lambda: gates.send(passing),
            "again": lambda: desks[1]("ReportLoss", account_no=holder.account_no),
        }

    for _, answers in race(holders, acts):
        first, again = answers["lose"].response, answers["again"].response
        assert (first.act.seq, first.lost_time_us) == (again.act.seq, again.lost_time_us)
        decision = answers["pay"].response.decision
        assert (decision.reason, decision.seq < first.act.seq) in LEGAL
        passage = answers["pass"].response
        assert (passage.reason, passage.act.seq < first.act.seq) in LEGAL
        seen.update([("pay", decision.reason), ("pass", passage.reason)])
    assert len(seen) == 4, seen


LEGAL = {("OK", True), ("CARD_LOST", False)}


@pytest.mark.clause("三.3a")
def test_unloss_beside_unloss_and_payment(holders, desks, tills):
    """Scenario 9: one takes the loss back, and nothing is approved before it."""
    seen = Counter()

    def acts(holder):
        shown = {"account_no": holder.account_no, "medium": holder.medium}
        return {
            "one": lambda: desks[0]("Unloss", **shown),
            "pay": paying(tills, holder),
            "two": lambda: desks[1]("Unloss", **shown),
        }

    for _, answers in race(holders, acts):
        reasons = {name: answers[name].reason for name in ("one", "two")}
        assert set(reasons.values()) == {"OK", "NOT_LOST"}
        found = next(answers[name] for name, reason in reasons.items() if reason == "OK")
        decision = answers["pay"].response.decision
        assert (decision.reason, decision.seq > found.seq) in LEGAL
        seen.update([next(n for n, r in reasons.items() if r == "OK"), decision.reason])
    assert len(seen) == 4, seen


@pytest.mark.clause("八.1")
def test_suspension_beside_suspension_and_payment(holders, desks, tills):
    """One suspends and one resumes; payments stand on the right side of both."""
    seen = Counter()
    for method, loser, side in (
        ("Suspend", "SUSPENDED", True),
        ("Resume", "NOT_SUSPENDED", False),
    ):

        def acts(holder, method=method):
            whom = {"account_no": holder.account_no, "reason": "查明"}
            return {
                "one": lambda: desks[0](method, **whom),
                "pay": paying(tills, holder),
                "two": lambda: desks[1](method, **whom),
            }

        for _, answers in race(holders, acts):
            reasons = [answers[name].reason for name in ("one", "two")]
            assert sorted(reasons) == sorted(["OK", loser])
            done = answers["one" if reasons[0] == "OK" else "two"]
            decision = answers["pay"].response.decision
            free = (decision.seq < done.seq) == side
            assert decision.reason == ("OK" if free else "ACCOUNT_SUSPENDED")
            seen[method, decision.reason] += 1
    assert len(seen) == 4, seen


@pytest.mark.clause("三.4(1)", "三.4(2)", "三.4(3)")
def test_a_replacement_step_by_step_beside_itself(holders, desks):
    """Scenario 10: one case, one use of a receipt, one new card, one pick-up."""
    each(holders, lambda holder: holder.lose())

    def both(method, **options):
        return {
            name: (lambda desk=desk: desk(method, **options))
            for name, desk in zip(("one", "two"), desks, strict=True)
        }

    cases = {
        holder.number: response.case_no
        for holder, _, response in one_wins(
            holders,
            lambda holder: both("OpenReplacement", account_no=holder.account_no),
            loser="CASE_EXISTS",
        )
    }
    for paper in (pb.CASE_PAPER_FORM, pb.CASE_PAPER_PHOTO):
        each(
            cases.values(),
            lambda case, paper=paper: desks[0](
                "AttachDocument", case_no=case, paper=paper, content=JPEG
            ),
        )

    pairs = list(zip(*[iter(cases.values())] * 2, strict=True))

    def pay(case_no, receipt_no, desk):
        paid = {"amount_fen": 3_000, "paid_time_us": desk_time(holders)}
        return desk("ConfirmFee", case_no=case_no, receipt_no=receipt_no, **paid)

    def one_receipt(pair):
        return {
            str(side): (lambda side=side: pay(pair[side], f"PAIR-{pair[0]}", desks[side]))
            for side in (0, 1)
        }

    left = [
        pair[1 - int(winner)]
        for pair, winner, _ in one_wins(pairs, one_receipt, loser="RECEIPT_ALREADY_USED")
    ]
    each(left, lambda case: pay(case, f"OWN-{case}", desks[0]))

    blanks = {case: uid() for case in cases.values()}
    made = one_wins(
        cases.values(),
        lambda case: both("MakeCard", case_no=case, uid=blanks[case]),
        loser="CASE_STATE",
    )
    assert len({response.card_no for _, _, response in made}) == RUNS
    picked = one_wins(
        cases.values(),
        lambda case: both("PickUp", case_no=case, uid=blanks[case]),
        loser="CASE_STATE",
    )
    assert sum(1 for _ in picked) == RUNS
    for holder in holders:
        holder.medium = rfid(blanks[cases[holder.number]])


def desk_time(holders):
    return holders[0].campus.now_us()


@pytest.mark.clause("三.5(1)", "三.5(2)")
def test_return_beside_loss_and_compensation_beside_unloss(holders, desks):
    """Scenario 18: a card is given back or lost; a lost one is found or paid for."""
    outcomes = one_wins(
        holders,
        lambda holder: {
            "return": lambda: desks[0](
                "ReturnCard", account_no=holder.account_no, uid=holder.medium.token
            ),
            "lose": lambda: desks[1]("ReportLoss", account_no=holder.account_no),
        },
        loser={"return": "CARD_VOID", "lose": "CARD_LOST"},
    )
    lost = [holder for holder, winner, _ in outcomes if winner == "lose"]
    ended = one_wins(
        lost,
        lambda holder: {
            "pay": lambda: desks[0](
                "Compensate",
                account_no=holder.account_no,
                receipt_no=f"LOST-{holder.number}",
                amount_fen=3_000,
                paid_time_us=desk_time(holders),
            ),
            "find": lambda: desks[1]("Unloss", account_no=holder.account_no, medium=holder.medium),
        },
        loser={"pay": "CARD_VOID", "find": "NOT_LOST"},
    )
    for holder, winner, _ in ended:
        card = desks[0]("GetCard", account_no=holder.account_no).card
        found = pb.CARD_STATE_ACTIVE if winner == "find" else pb.CARD_STATE_VOID_COMPENSATED
        assert (card.state, card.lost) == (found, winner == "pay")


@pytest.mark.clause("四.1a")
def test_a_code_at_two_gates(campus, holders, gates):
    """A dynamic code is used once, whoever reads it first."""
    phones = each(holders, lambda holder: gates.phone(holder)[0])
    granted = Counter()

    def acts(run):
        code = gates.code(*run)
        requests = [gates.request(f"GATE-{n}", code) for n in (0, 1)]
        return {n: (lambda n=n: gates.send(requests[n])) for n in (0, 1)}

    for _, answers in race(zip(holders, phones, strict=True), acts):
        reasons = {n: answer.response.reason for n, answer in answers.items()}
        assert sorted(reasons.values()) == ["OK", "QR_USED"]
        granted.update(n for n, reason in reasons.items() if reason == "OK")
    assert len(granted) == 2


@pytest.mark.clause("四.6")
def test_two_water_taps_and_money_for_one(campus, holders):
    """Scenario 12: exactly one tap is approved, and never more is reserved than there is."""
    taps = [
        campus.terminal(f"W-{n}", merchant="WATER", category="WATER", keypad=False) for n in (0, 1)
    ]
    people = each(holders, lambda _: campus.open_account(top_up_fen=1_500))
    first = Counter()

    def acts(holder):
        return {n: (lambda n=n: taps[n].hold(holder, water=True, card_counter=1)) for n in (0, 1)}

    for holder, answers in race(people, acts):
        reasons = {n: answer.response.reason for n, answer in answers.items()}
        assert "OK" in reasons.values()
        money = holder.read().wallets
        assert (money.online_fen, money.held_fen, money.water_fen) == (1_500, 1_000, 0)
        first.update(n for n, reason in reasons.items() if reason == "OK")
    assert len(first) == 2


@pytest.mark.clause("六.3a")
def test_an_approval_beside_an_approval_and_a_withdrawal(campus):
    """Scenario 19: a proposal is approved once, or withdrawn, never both."""
    second = campus.member("second", "PARAM_CHECKER")
    made = Counter()
    versions = itertools.count(1)
    for number in range(RUNS // 20):
        proposals = [
            campus.propose("passage_days", 90 + (20 * number + i) % 60).proposal for i in range(20)
        ]

        def acts(proposal):
            withdraw = parameters_pb.WithdrawChangeRequest(
                request_id=campus.request_id(), proposal=proposal
            )
            return {
                "first": approving(campus.checker, proposal),
                "withdraw": lambda: campus.parameters.WithdrawChange(withdraw, timeout=CALL_S),
                "second": approving(second, proposal),
            }

        for _, answers in race(proposals, acts):
            (winner,) = (name for name, answer in answers.items() if answer.reason == "OK")
            losers = {a.reason for name, a in answers.items() if name != winner}
            assert losers == {"PROPOSAL_STATE"}
            if winner != "withdraw":
                next(versions)
            made[winner] += 1
    assert set(made) == {"first", "second", "withdraw"}, made
    request = parameters_pb.GetParameterRequest(key="passage_days")
    found = campus.parameters.GetParameter(request, timeout=CALL_S).parameter
    assert found.version == next(versions) - 1


def test_the_books_are_right_after_all_of_them(campus):
    campus.stop()
    verdict = verify.run(campus.data)
    assert verdict.ok, f"seq {verdict.bad_seq}: {verdict.difference}"


def approving(member, proposal):
    """Return a call by which a member approves a proposal."""
    request = parameters_pb.ApproveChangeRequest(
        request_id=member.campus.request_id(), proposal=proposal
    )
    stub = member.stub("ParameterService")
    return lambda: stub.ApproveChange(request, timeout=CALL_S)
