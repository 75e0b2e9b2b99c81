"""Kill -9 under load: what was acknowledged is there, what was not has at most one effect.

`CC_KILLS` says how often (default 4).
"""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2 as pb
from tests.acceptance.conftest import same_answer
from tests.campus import ROOT, Campus

KILLS = int(os.environ.get("CC_KILLS", "4"))
THREADS = 6
HOLDERS = 8
OPENING = 1_000_000
CALL_S = 10
INITIAL_PIN = "888888"
NO_PIN = 0.1


@dataclass
class Sent:
    """A request, and the first answer if one came."""

    request: pb.AuthorizeRequest
    holder: int
    answer: pb.Decision | None = None


class Lunch:
    """Threads that pay without pause until the server is gone."""

    def __init__(self, campus, seed):
        self.campus = campus
        self.random = random.Random(seed)
        self.holders = [campus.open_account(top_up_fen=OPENING) for _ in range(HOLDERS)]
        self.terminals = [campus.terminal(f"C-{n}") for n in range(THREADS)]
        self.sent: list[Sent] = []

    def pay(self, pos, seed):
        chance = random.Random(seed)
        authorize = self.campus.terminals.Authorize
        with contextlib.suppress(grpc.RpcError, ValueError):  # the channel closes under it
            while True:
                holder = chance.randrange(HOLDERS)
                fen = chance.choice((1, 350, 1_250, 6_000))
                pin = "" if chance.random() < NO_PIN else INITIAL_PIN
                request = pos.purchase(self.holders[holder], fen, pin=pin)
                sent = Sent(request, holder)
                self.sent.append(sent)
                sent.answer = authorize(request, timeout=CALL_S).decision

    def until_killed(self):
        """Pay for a moment, then kill the server in the middle of it."""
        threads = [
            threading.Thread(target=self.pay, args=(pos, self.random.random()))
            for pos in self.terminals
        ]
        for thread in threads:
            thread.start()
        time.sleep(self.random.uniform(0.05, 0.6))
        self.campus.process.kill()
        for thread in threads:
            thread.join()
        self.campus.kill9()


def settle(campus, sent):
    """Ask for a key, then retry it twice: one decision, the same for ever."""
    key = pb.TransactionKey(
        terminal_id=sent.request.terminal_id,
        batch_no=sent.request.batch_no,
        terminal_seq=sent.request.terminal_seq,
    )
    found = None
    try:
        response = campus.terminals.GetTransaction(pb.GetTransactionRequest(key=key))
        found = response.decision
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
    first = campus.terminals.Authorize(sent.request, timeout=CALL_S).decision
    again = campus.terminals.Authorize(sent.request, timeout=CALL_S).decision
    final = first.outcome != pb.OUTCOME_PIN_REQUIRED
    if sent.answer is not None:
        assert found is not None, "an acknowledged decision is gone"
        assert found.seq == sent.answer.seq
        if final:
            assert first.replayed
            assert same_answer(sent.answer, first)
    if final:
        assert again.replayed
        assert same_answer(first, again)
    return first.approved_fen


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.clause("七.1")
def test_kill_under_load(tmp_path, seed):
    with Campus(tmp_path) as campus:
        lunch = Lunch(campus, seed)
        spent = [0] * HOLDERS
        for _ in range(KILLS):
            lunch.until_killed()
            campus.start()
            assert lunch.sent, "the load did not start"
            for sent in lunch.sent:
                spent[sent.holder] += settle(campus, sent)
            lunch.sent.clear()
            balances = [holder.online_fen for holder in lunch.holders]
            assert balances == [OPENING - fen for fen in spent]
        assert campus.stop() == 0
        verify(campus)


def verify(campus):
    """The offline walk recomputes every balance and counter with code of its own."""
    command = [sys.executable, "-m", "clients.admin.cli", "verify", str(campus.data)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "build" / "stubs")])
    done = subprocess.run(
        command,
        cwd=campus.directory,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
