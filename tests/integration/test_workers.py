"""Worker processes: work comes back, and what kills a worker is refused without harm to the rest."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.refusals import Refusal
from server import workers as module
from server.workers import Workers


def square(number):
    return number * number, os.getpid(), os.nice(0)


def end_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


def never_end():
    while True:
        time.sleep(1)


def eat_memory():
    return len(bytearray(module.MEMORY_BYTES))


def run(work):
    async def main():
        pool = Workers(1)
        try:
            return await work(pool)
        finally:
            pool.close()

    return asyncio.run(main())


async def refused(pool, seconds, function):
    with pytest.raises(Refusal) as caught:
        await pool.run(seconds, function)
    return caught.value


def test_work_is_done_in_another_process_of_low_priority():
    async def work(pool):
        return await asyncio.gather(*(pool.run(30, square, at) for at in range(4)))

    results = run(work)
    assert [result[0] for result in results] == [0, 1, 4, 9]
    assert {result[1] for result in results} != {os.getpid()}
    assert {result[2] for result in results} == {min(19, os.nice(0) + module.NICE)}


@pytest.mark.parametrize(("seconds", "function"), [(30, end_oneself), (0.5, never_end)])
def test_a_worker_that_ends_or_never_ends_is_replaced(seconds, function):
    async def work(pool):
        await pool.run(30, square, 1)
        refusal = await refused(pool, seconds, function)
        return refusal, await pool.run(30, square, 3)

    refusal, after = run(work)
    assert refusal.reason.name == "FILE_REFUSED"
    assert after[0] == 9


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="no bound holds a sanitizer's map")
def test_memory_is_bounded():
    async def work(pool):
        with pytest.raises(MemoryError):
            await pool.run(30, eat_memory)

    run(work)


def test_waiting_work_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 1)

    async def work(pool):
        first = asyncio.create_task(pool.run(30, square, 5))
        await asyncio.sleep(0)
        refusal = await refused(pool, 30, square)
        return refusal.reason.name, (await first)[0]

    assert run(work) == ("QUEUE_FULL", 25)


PARENT = """
import asyncio, sys, time
from server.workers import Workers
from tests.integration.test_workers import square

async def main():
    print((await Workers(1).run(30, square, 2))[1], flush=True)
    time.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_workers_end_with_a_server_that_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    worker = int(parent.stdout.readline())
    assert Path(f"/proc/{worker}").exists()
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    end = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < end, "it would wait for work for ever"
        time.sleep(0.05)
