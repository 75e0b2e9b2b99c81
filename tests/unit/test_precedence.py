"""Which threads go first, as the system sees it. Each case is a process: a priority is not taken back."""

import json
import os
import subprocess
import sys

import pytest

from tests.campus import ROOT

CHILD = """
import json, os, resource, sys, threading
from server.precedence import put_payments_first
os.sched_setscheduler(0, getattr(os, sys.argv[1]), os.sched_param(0))
os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[2]))
ended = threading.Event()
for name in ("sequencer", "committer", "front-0", "projector", "reader"):
    threading.Thread(target=ended.wait, name=name).start()
if sys.argv[3] == "one core":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
if sys.argv[3] == "forbidden":
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    if os.geteuid() == 0:
        os.setuid(65_534)
found = put_payments_first()
later = threading.Thread(target=ended.wait, name="later")
later.start()
policies = {
    one.name: (
        os.sched_getscheduler(one.native_id) & ~os.SCHED_RESET_ON_FORK,
        os.sched_getparam(one.native_id).sched_priority,
        os.getpriority(os.PRIO_PROCESS, one.native_id),
    )
    for one in threading.enumerate()
}
ended.set()
print(json.dumps([found, policies]))
"""
OTHERS = ("MainThread", "front-0", "projector", "reader", "later")


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
    found, policies = json.loads(done.stdout)
    return found, {name: tuple(values) for name, values in policies.items()}


def test_only_threads_that_sleep_at_every_commit_go_first():
    found, policies = ran()
    if found == "equal":
        pytest.skip("no real-time priority here: one core, or no CAP_SYS_NICE and no RLIMIT_RTPRIO")
    assert found == "first"
    assert policies["sequencer"] == policies["committer"] == (os.SCHED_RR, 1, 0)
    assert {policies[name] for name in OTHERS} == {(os.SCHED_OTHER, 0, 0)}


@pytest.mark.parametrize("right", ["forbidden", "one core"])
def test_what_is_not_permitted_changes_no_thread(right):
    found, policies = ran(right=right)
    assert found == "equal"
    assert set(policies.values()) == {(os.SCHED_OTHER, 0, 0)}


@pytest.mark.parametrize(("policy", "niceness"), [("SCHED_IDLE", 0), ("SCHED_OTHER", 7)])
def test_a_chosen_priority_stays(policy, niceness):
    found, policies = ran(policy, niceness)
    assert found == "inherited"
    assert set(policies.values()) == {(getattr(os, policy), 0, niceness)}
