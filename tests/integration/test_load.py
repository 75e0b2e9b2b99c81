"""The benchmark's load: what it counts, and that a stall of the server is in the latencies."""

import os
import signal
import threading
import time

import pytest

from server.front import available

if not available():
    pytest.skip("the native front end was not built", allow_module_level=True)

from bench.arrivals import poisson, steady
from bench.certificates import issue
from bench.load import Shape, Terminals
from bench.serving import Setting, serving
from bench.workload import TINY_BYTES, draws, terminal_name
from ext.front import load

ACCOUNTS = 200
SHAPES = {
    "unary": Shape("unary", load.UNARY, 4, 2),
    "stream": Shape("stream", load.STREAM, 2, 16),
    "batch": Shape("batch", load.BATCH, 1, 2, items=10),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    directory = tmp_path_factory.mktemp("load")
    with serving(directory, ACCOUNTS, segment_bytes=TINY_BYTES) as server:
        yield server


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("gaps", [None, poisson(2_000)], ids=["closed", "open"])
def test_every_call_is_made_once_and_counted(served, kind, gaps):
    shape = SHAPES[kind]
    before = served.metrics()["campuscard_records_total"]
    with Terminals(served, shape, draws(ACCOUNTS)) as terminals:
        signed_in = 2
        ran = terminals.run(300, gaps_ns=gaps)
        again = terminals.run(300, gaps_ns=gaps)
    assert ran.took.total == again.took.total == 300
    records = served.metrics()["campuscard_records_total"] - before
    assert records == 600 * shape.items + signed_in


def test_an_echo_reaches_no_journal(served):
    before = served.metrics()["campuscard_records_total"]
    for shape in SHAPES.values():
        with Terminals(served, shape, draws(ACCOUNTS)) as terminals:
            assert terminals.echo(200) > 0
    assert served.metrics()["campuscard_records_total"] == before


def test_a_stall_is_in_the_latency_of_all_that_should_have_come_meanwhile(served):
    """Who waits for the answer before he asks again would have seen one slow call."""
    stall_s, per_s, seconds = 0.5, 200, 2
    before = served.metrics()["campuscard_records_total"]

    def stall():
        wait_for_records(served, before + 50)
        os.kill(served.process.pid, signal.SIGSTOP)
        time.sleep(stall_s)
        os.kill(served.process.pid, signal.SIGCONT)

    with Terminals(served, SHAPES["unary"], draws(ACCOUNTS)) as terminals:
        thread = threading.Thread(target=stall)
        thread.start()
        ran = terminals.run(per_s * seconds, gaps_ns=steady(per_s))
        thread.join()
    # A quarter of the arrivals fell into the stall; half of these waited more than half of it.
    slow = 1 - stall_s / seconds / 2
    assert ran.took.at(int((slow + 0.02) * 1_000_000)) >= stall_s / 2 * 1e9 * 0.8


def test_a_run_of_another_thread_can_be_ended(served):
    for shape in SHAPES.values():
        with Terminals(served, shape, draws(ACCOUNTS)) as terminals:
            done = []
            thread = threading.Thread(target=lambda t=terminals, d=done: d.append(t.run(100_000)))
            before = served.metrics()["campuscard_records_total"]
            thread.start()
            wait_for_records(served, before + 1_000)  # well past its sign-ins
            terminals.stop()
            thread.join(60)
            assert done, "it still runs"
            assert 0 < done[0].took.total < 100_000


def test_terminals_with_certificates_speak_for_themselves(tmp_path):
    count = 4
    certificates = issue(tmp_path / "pem", [terminal_name(n + 1) for n in range(count)])
    shape = Shape("mtls", load.UNARY, count, 1, mutual_tls=True)
    setting = Setting(front=certificates.front_toml())
    with (
        serving(tmp_path, ACCOUNTS, segment_bytes=TINY_BYTES, setting=setting) as server,
        Terminals(server, shape, draws(ACCOUNTS), certificates=certificates) as terminals,
    ):
        assert terminals.run(200).took.total == 200


def wait_for_records(server, count):
    while server.metrics()["campuscard_records_total"] < count:
        time.sleep(0.02)
