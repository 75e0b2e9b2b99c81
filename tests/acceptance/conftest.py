"""The campus of the acceptance scenarios: a real server, and A with 200.00 at 11:40 on a Wednesday."""

import time
from dataclasses import dataclass, field

import pytest

from tests.campus import Campus, Holder, Pos

A = "200571020316"
A_ID = "44070320050812123X"
A_PIN = "812123"
NEW_PIN = "904617"
WRONG = "000007"
DEADLINE_S = 30


@dataclass
class Scene:
    """POS-07 and POS-08 are a canteen's, W-1 a water machine without keypad, B-1 a bath meter."""

    campus: Campus
    a: Holder
    pos7: Pos
    pos8: Pos
    w1: Pos
    b1: Pos
    shop: Pos
    crowd: list[Pos] = field(default_factory=list)

    def crash(self):
        """Kill the server as a power cut would kill the process, and start it again."""
        self.campus.kill9()
        self.campus.restart()

    def canteen(self, count):
        """Return so many terminals more at the canteen."""
        return [self.campus.terminal(f"C-{number:02}") for number in range(count)]

    def poor(self, fen):
        """Return another holder with so much on ONLINE."""
        return self.campus.open_account(top_up_fen=fen)


@pytest.fixture
def scene(tmp_path):
    with Campus(tmp_path) as campus:
        campus.set_time("2024-03-13 11:40")
        scene = Scene(
            campus=campus,
            a=campus.open_account(A, id_number=A_ID, top_up_fen=20_000),
            pos7=campus.terminal("POS-07"),
            pos8=campus.terminal("POS-08"),
            w1=campus.terminal("W-1", merchant="M2", category="WATER", keypad=False),
            b1=campus.terminal("B-1", merchant="M3", category="BATH"),
            shop=campus.terminal("SHOP-1", merchant="M4", category="SHOP"),
        )
        yield scene


def wait_until(condition, timeout_s=DEADLINE_S):
    """Wait for something the server does by itself."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def same_answer(first, again):
    """Whether two decisions differ in `replayed` only."""
    copy = type(first)()
    copy.CopyFrom(again)
    copy.replayed = first.replayed
    return copy == first


def reasons(decisions):
    """Return how often each reason came."""
    counts = {}
    for decision in decisions:
        counts[decision.reason] = counts.get(decision.reason, 0) + 1
    return counts
