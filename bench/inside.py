"""A running engine in this process, with all its threads: batches go in, answers come out."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Self

from bench.requests import Requests, approved_batch
from bench.workload import draws, options
from campuscard.v1 import terminal_service_pb2 as pb
from ext.engine import Engine
from ext.wire import METHODS

_DRAIN_S = 30


class Inside:
    """One caller of an engine; use it with ``with``."""

    def __init__(self, campus: Path, accounts: int) -> None:
        self.engine = Engine(
            str(campus / "data"), str(campus / "campuscard.key"), options(accounts)
        )
        self._loop = asyncio.new_event_loop()
        self.requests = Requests(draws(accounts), self._sign_in)

    def __enter__(self) -> Self:
        self.engine.start()
        self._loop.add_reader(self.engine.eventfd, self.engine.answer)
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.drain(_DRAIN_S)
        self._loop.remove_reader(self.engine.eventfd)
        self._loop.close()
        self.engine.close()

    def pay(self, batches: list[bytes], items: int) -> list[int]:
        """Send batches one after another, each its own block; nanoseconds of each.

        Raises:
            RuntimeError: an authorization was not approved.
        """
        took, answers = self._loop.run_until_complete(self._pay(batches))
        if sum(map(approved_batch, answers)) != len(batches) * items:
            raise RuntimeError("not every authorization was approved")
        return took

    async def _pay(self, batches: list[bytes]) -> tuple[list[int], list[bytes]]:
        took, answers = [], []
        for message in batches:
            future: asyncio.Future[bytes] = self._loop.create_future()
            began = time.perf_counter_ns()
            self.engine.submit_batch(message, future)
            answers.append(await future)
            took.append(time.perf_counter_ns() - began)
        return took, answers

    def _sign_in(self, request: pb.SignInRequest) -> pb.SignInResponse:
        async def call() -> bytes:
            future: asyncio.Future[bytes] = self._loop.create_future()
            self.engine.submit(METHODS["SignIn"], request.SerializeToString(), future)
            return await future

        return pb.SignInResponse.FromString(self._loop.run_until_complete(call()))


class Checkpoints:
    """Runs checkpoints of an engine one after another in a thread, while used with ``with``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            began = time.perf_counter()
            self._engine.checkpoint()
            self.seconds.append(time.perf_counter() - began)
