"""Which threads go first, as the system sees it. Each case is a process: a priority is not taken back."""

import json
import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from server.precedence import FLOOD, Hurry, Place, place_of, workers_ns
from tests.campus import ROOT

CHILD = """
import asyncio, json, os, resource, sys, threading, time
from server.precedence import PaymentsFirst
os.sched_setscheduler(0, getattr(os, sys.argv[1]), os.sched_param(0))
os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[2]))
ended, calm = threading.Event(), threading.Event()
def compute():
    while not calm.is_set():
        sum(range(1_000))
for name in ("sequencer", "committer", "front-0", "projector", "reader"):
    threading.Thread(target=ended.wait, name=name).start()
if sys.argv[3] == "one core":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
if sys.argv[3] == "forbidden":
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    if os.geteuid() == 0:
        os.setuid(65_534)
def policies():
    return {
        one.name: (
            os.sched_getscheduler(one.native_id) & ~os.SCHED_RESET_ON_FORK,
            os.sched_getparam(one.native_id).sched_priority,
            os.getpriority(os.PRIO_PROCESS, one.native_id),
        )
        for one in threading.enumerate()
    }
async def changed(before):
    end = time.monotonic() + 60
    while policies()["sequencer"] == before["sequencer"] and time.monotonic() < end:
        await asyncio.sleep(0.05)
    return policies()
async def run():
    first = PaymentsFirst()
    threading.Thread(target=compute, name="later").start()
    start = policies()
    first.start()
    busy = await changed(start) if first.precedence == "first" else policies()
    calm.set()
    after = await changed(busy) if first.precedence == "first" else policies()
    await first.stop()
    return first.precedence, start, busy, after
found = asyncio.run(run())
ended.set()
print(json.dumps(found))
"""
PAYING = ("sequencer", "committer", "front-0")
OTHERS = ("MainThread", "projector", "reader", "later")


def ran(policy="SCHED_OTHER", niceness=0, *, right="own"):
    """Have a process of a priority put payments first; ``right`` is what it has of the machine."""
    if policy == "SCHED_OTHER" and os.sched_getscheduler(0) == os.SCHED_IDLE and os.geteuid() != 0:
        pytest.skip("started at idle priority, which may not be left")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, policy, str(niceness), right],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found, *seen = json.loads(done.stdout)
    return found, [{name: tuple(values) for name, values in one.items()} for one in seen]


def test_only_threads_that_sleep_at_every_commit_go_first_and_only_while_python_is_busy():
    found, (start, busy, after) = ran()
    if found == "equal":
        pytest.skip("no real-time priority here: one core, or no CAP_SYS_NICE and no RLIMIT_RTPRIO")
    assert found == "first"
    assert set(start.values()) == {(os.SCHED_OTHER, 0, 0)}
    assert {busy[name] for name in PAYING} == {(os.SCHED_RR, 1, 0)}
    assert {busy[name] for name in OTHERS} == {(os.SCHED_OTHER, 0, 0)}
    assert {after[name] for name in PAYING} == {(os.SCHED_OTHER, 0, 0)}


def test_payments_hurry_at_once_and_for_a_while():
    hurry = Hurry()
    seen = [
        hurry.now(share, at_s) for share, at_s in ((0.1, 10), (0.5, 11), (0.4, 11.9), (0.4, 12))
    ]
    assert seen == [False, True, True, False]


@pytest.mark.parametrize(
    ("name", "share", "first", "place"),
    [
        ("front-0", FLOOD, True, Place.AHEAD),
        ("front-0", FLOOD - 0.1, True, Place.FIRST),
        ("sequencer", 1.0, True, Place.FIRST),
        ("front-0", 1.0, False, Place.ALONG),
    ],
)
def test_a_flooded_front_end_is_not_before_all_else(name, share, first, place):
    assert place_of(name, share, first=first) is place


def test_a_worker_process_counts_while_it_lives():
    worker = multiprocessing.get_context("spawn").Process(target=sum, args=(range(10**15),))
    worker.start()
    end = time.monotonic() + 60
    while sum(workers_ns()) < 50_000_000 and time.monotonic() < end:
        time.sleep(0.02)
    seen = sum(workers_ns())
    worker.kill()
    worker.join()
    assert seen >= 50_000_000
    assert list(workers_ns()) == []


@pytest.mark.parametrize("right", ["forbidden", "one core"])
def test_what_is_not_permitted_changes_no_thread(right):
    found, seen = ran(right=right)
    assert found == "equal"
    assert {values for one in seen for values in one.values()} == {(os.SCHED_OTHER, 0, 0)}


@pytest.mark.parametrize(("policy", "niceness"), [("SCHED_IDLE", 0), ("SCHED_OTHER", 7)])
def test_a_chosen_priority_stays(policy, niceness):
    found, seen = ran(policy, niceness)
    assert found == "inherited"
    assert {values for one in seen for values in one.values()} == {
        (getattr(os, policy), 0, niceness)
    }
