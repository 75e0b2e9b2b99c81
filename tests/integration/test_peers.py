"""The peers of the benchmark decide as the reference model does, so what is measured is the same work."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.peers import same
from bench.peers.campus import Answer, Standing, measured
from bench.peers.debian import Missing, postgres, redis
from bench.peers.postgres import Postgres
from bench.peers.redis import Redis
from bench.peers.sqlite import Sqlite
from tests.model.model import Model
from tests.model.numbers import AccountStatus, MediumFlag, MediumState, Op
from tests.model.state import Account, Medium, Merchant, Terminal
from tests.model.state import Tap as ModelTap

TAPS = 2_500
WAIT_S = 60
FEWER_TAPS = 400  # each is a process for PostgreSQL
REASONS = {
    "OK", "TERMINAL_NOT_SIGNED_IN", "DUPLICATE_MISMATCH", "TERMINAL_SUSPENDED", "MERCHANT_INVALID",
    "CARD_UNKNOWN", "CARD_VOID", "CARD_LOST", "CARD_FROZEN", "CARD_EXPIRED", "CARD_NOT_ACTIVE",
    "ACCOUNT_CLOSED", "ACCOUNT_SUSPENDED", "ACCOUNT_DEBT", "CATEGORY_NOT_ALLOWED",
    "AMOUNT_INVALID", "INSUFFICIENT", "PIN_REQUIRED", "PIN_WRONG", "PIN_LOCKED", "PIN_NOT_SET",
}  # fmt: skip


class Reference:
    """The model on the same rows."""

    def __init__(self, rows):
        self._model = Model()
        books = self._model.books
        books.rules = replace(books.rules, fails_until_reset=True)  # as the peers lock
        for one in rows.accounts:
            books.accounts[one.number] = Account(
                number=one.number, online=one.online, held=one.held, subsidy=one.subsidy,
                status=AccountStatus(one.status), day_limit=one.day_limit,
                meal_limit=one.meal_limit, pin=one.pin, pin_version=1 if one.pin else 0,
            )  # fmt: skip
        for number, card in enumerate(rows.media, start=1):
            flags = MediumFlag(card.lost + 2 * card.frozen)
            books.media[number] = Medium(
                number=number, key=key_of(card.token), account=card.account,
                state=MediumState(card.state), flags=flags, expires_day=card.expires_day,
            )  # fmt: skip
        for merchant in rows.merchants:
            books.merchants[merchant.number] = Merchant(
                number=merchant.number, category=merchant.category, status=merchant.status
            )
        for terminal in rows.terminals:
            books.terminals[terminal.number] = Terminal(
                number=terminal.number, name=str(terminal.number), merchant=terminal.merchant,
                max_amount=terminal.max_amount, status=terminal.status, flags=int(terminal.keypad),
                batch_no=terminal.batch_no, signed_in=True,
                sign_ins=dict.fromkeys(range(1, terminal.batch_no + 1), same.START_US),
            )  # fmt: skip

    def ask(self, tap):
        """Answer as the model does."""
        self._model.begin_block(tap.now_us)
        reply = self._model.tap(
            ModelTap(
                op=Op.AUTHORIZE, terminal=str(tap.terminal), batch_no=tap.batch_no,
                terminal_seq=tap.seq, medium=key_of(tap.token), amount=tap.amount,
                pin=tap.pin or None,
            )
        )  # fmt: skip
        return Answer(reply.reason.name, reply.approved, reply.replayed)

    def standing(self, account):
        """Return the row of the model's account."""
        one = self._model.books.accounts[account]
        return Standing(one.online, one.subsidy, one.day_used, one.meal_used, one.pin_fails)


def key_of(token):
    return token.to_bytes(8, "little")


def test_sqlite_decides_as_the_model(tmp_path):
    peer = Sqlite(tmp_path, same.small())
    agreed = same.compare(peer, Reference(same.small()), same.small(), count=TAPS)
    peer.close()
    assert set(agreed.reasons) == REASONS, "taps that no longer reach every check"
    assert agreed.replayed > 100


def installed(find):
    """A peer's programs where they are there already: a test fetches nothing."""
    if not shutil.which("setpriv"):
        return False
    try:
        return find(fetch=False) is not None
    except Missing:
        return False


@pytest.mark.parametrize(("make", "find"), [(Postgres, postgres), (Redis, redis)])
def test_the_others_decide_as_the_model(tmp_path, make, find):
    if not installed(find):
        pytest.skip(f"{make.name} is not installed; `make bench-peers` fetches and compares it")
    peer = make(tmp_path, same.small())
    try:
        same.compare(peer, Reference(same.small()), same.small(), count=FEWER_TAPS)
    finally:
        peer.close()
    assert not subprocess.run(
        ["pgrep", "-f", str(tmp_path)], check=False, capture_output=True
    ).stdout


def test_a_peer_that_decides_otherwise_is_found(tmp_path):
    class Generous(Sqlite):
        def ask(self, tap):
            answer = super().ask(tap)
            return (
                Answer("OK", tap.amount, replayed=False) if answer.reason == "CARD_LOST" else answer
            )

    peer = Generous(tmp_path, same.small())
    with pytest.raises(RuntimeError, match="CARD_LOST"):
        same.compare(peer, Reference(same.small()), same.small(), count=TAPS)
    peer.close()


def test_a_measured_campus_approves_everything(tmp_path):
    peer = Sqlite(tmp_path, measured(50))
    closed = peer.closed(4, 0.05)
    opened = peer.open(4, 200.0, 0.2)
    peer.close()
    assert closed.per_s > 0
    assert 0 < opened.p50_ms <= opened.p99_ms <= opened.p999_ms


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_when_it_is_interrupted(tmp_path, number):
    if not (installed(postgres) or installed(redis)):
        pytest.skip("neither PostgreSQL nor Redis is installed; `make bench-peers` fetches them")
    command = [sys.executable, "-m", "bench.peers", "--tiny", "--directory", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as bench:
        ends = time.monotonic() + WAIT_S
        while not (processes_in(tmp_path) - {bench.pid}):
            assert bench.poll() is None
            assert time.monotonic() < ends, "no peer was started"
            time.sleep(0.05)
        bench.send_signal(number)
        bench.wait(WAIT_S)
    ends = time.monotonic() + WAIT_S
    while processes_in(tmp_path):
        assert time.monotonic() < ends, "a peer has outlived the benchmark"
        time.sleep(0.05)
    if number != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == [], "what a benchmark writes it removes"


def processes_in(directory):
    """Numbers of processes whose command line names the directory."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(directory).encode() in path.read_bytes():
                found.add(int(path.parent.name))
    return found
