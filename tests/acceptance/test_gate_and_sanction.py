"""The end of a suspension among passages: what stands before it was refused, what after it let pass."""

import contextlib
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from campuscard.v1 import card_office_service_pb2 as cards_pb
from server.offline import verify
from tests.access import Gates
from tests.campus import CALL_S, Campus
from tests.cards import CardDesk

RACES = 1_000
GATES = 4
SECOND_US = 1_000_000


@pytest.fixture
def campus(tmp_path):
    with Campus(tmp_path) as campus:
        yield campus


def ends(campus):
    """Return where in the journal the suspension of each account, or of its card, ended."""
    with contextlib.closing(sqlite3.connect(campus.data / "registry" / "registry.db")) as sql:
        rows = sql.execute(
            "SELECT account_number, ended_seq FROM scheduled WHERE state = 1"
        ).fetchall()
    return dict(rows)


@pytest.mark.slow
@pytest.mark.clause("二.1", "八.1")
def test_a_passage_finds_what_it_was_decided_on(campus):
    """A thousand suspensions, of accounts and of cards, end by themselves among passages."""
    gates, desk = Gates(campus), CardDesk(campus)
    readers = [f"GATE-{number}" for number in range(GATES)]
    gates.zone("CAMPUS", *readers, kind="GATE")
    gates.group("everybody", "CAMPUS", kinds=["STUDENT"])
    began_us = campus.now_us()

    def suspended(number):
        holder = campus.open_account()
        whom = {"medium": holder.medium} if number % 4 > 1 else {"account_no": holder.account_no}
        until_us = began_us + (number + 1) * SECOND_US
        desk("Suspend", until_time_us=until_us, reason="晚归", **whom)
        return holder

    with ThreadPoolExecutor(8) as pool:
        holders = list(pool.map(suspended, range(RACES)))
    check, answers = gates.terminal().CheckAccess.future, []
    for run, holder in enumerate(holders):
        requests = [gates.request(reader, holder.medium) for reader in readers]
        early, late = requests[: GATES // 2], requests[GATES // 2 :]
        futures = [check(request, timeout=CALL_S) for request in early]
        if run % 2:
            futures[0].result()
        campus.pass_time(seconds=1)
        futures += [check(request, timeout=CALL_S) for request in late]
        answers += [(holder.number, future.result()) for future in futures]
    listed = gates.passes(zone_id="CAMPUS", page_size=1_000)
    assert {row.reason for row in listed} == {"OK", "ACCOUNT_SUSPENDED", "CARD_FROZEN"}
    campus.stop()
    verdict = verify.run(campus.data)
    assert verdict.ok, f"seq {verdict.bad_seq}: {verdict.difference}"

    ended = ends(campus)
    assert len(ended) == RACES
    wrong = [
        (number, answer.act.seq, ended[number], answer.reason)
        for number, answer in answers
        if answer.granted != (answer.act.seq > ended[number])
    ]
    assert not wrong
    assert len({answer.act.seq for _, answer in answers}) == RACES * GATES, "each is decided once"
    assert min(Counter(answer.granted for _, answer in answers).values()) >= RACES // 4


def test_who_is_not_about_to_be_let_in_leaves_the_passage_alone(campus):
    """Only where an end waits does a passage write more than itself."""
    gates, desk = Gates(campus), CardDesk(campus)
    gates.zone("CAMPUS", "GATE-0", kind="GATE")
    gates.group("everybody", "CAMPUS", kinds=["STUDENT"])
    free, held = campus.open_account(), campus.open_account()
    until_us = campus.now_us() + 60 * SECOND_US
    desk("Suspend", until_time_us=until_us, account_no=held.account_no, reason="晚归")
    before = gates.check("GATE-0", free.medium).act.seq
    refused = gates.check("GATE-0", held.medium)
    assert (refused.reason, refused.act.seq) == ("ACCOUNT_SUSPENDED", before + 2)
    assert gates.check("GATE-0", free.medium).act.seq == refused.act.seq + 1
    again = cards_pb.ResumeRequest(
        request_id=campus.request_id(), account_no=held.account_no, reason="查明"
    )
    campus.cards.Resume(again, timeout=CALL_S)
    granted = gates.check("GATE-0", held.medium)
    assert granted.granted
    assert gates.check("GATE-0", held.medium).act.seq == granted.act.seq + 1
