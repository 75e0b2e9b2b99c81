"""The authorization on Redis: a Lua function, appendfsync always, called by redis-benchmark."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import random
import selectors
import socket
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from bench.arrivals import NS, poisson
from bench.peers import debian
from bench.peers.campus import (
    BATCHES,
    SEQ_MAX,
    Account,
    Answer,
    Medium,
    Rows,
    Standing,
    Tap,
    Terminal,
)
from bench.peers.daemon import Daemon
from bench.peers.runs import Run
from bench.workload import SEED, TERMINALS
from ext.histogram import Histogram

_LUA: Final = Path(__file__).with_name("pay.lua")
_RUN_S: Final = 120
_READ: Final = 1 << 16
_PROBE: Final = 2_000
_RANDOM_MAX: Final = (1 << 31) - 1  # of redis-benchmark's numbers
_LEAP: Final = 100  # batches: one run's keys, and more
_FILL: Final = 2_000
_LOOKED_AT: Final = 20  # terminals
_NEW: Final = 0.99  # of calls: redis-benchmark draws some keys twice


class Redis:
    """A server of its own, reached over a socket in its directory."""

    name: ClassVar = "redis"

    def __init__(self, directory: Path, rows: Rows) -> None:
        self._programs = debian.redis()
        data = directory / "redis"
        data.mkdir(mode=0o700)
        self._path = data / "socket"
        self._accounts = len(rows.accounts)
        self._batch = 1
        self._daemon = Daemon(
            self._programs,
            [
                *("redis-server", "--port", "0", "--unixsocket", str(self._path)),
                *("--unixsocketperm", "700", "--dir", str(data), "--save", ""),
                *("--appendonly", "yes", "--appendfsync", "always"),
                *("--auto-aof-rewrite-percentage", "0"),
            ],
            log=directory / "redis.log",
            prefix=[],
        )
        with self._daemon.ended_by_errors():
            self._daemon.wait(self._path.exists)
            self._connection = Connection(self._path)
            self._connection.call("FUNCTION", "LOAD", _LUA.read_text(encoding="utf-8"))
            self._fill(rows)

    @property
    def what(self) -> str:
        """What was measured."""
        info = self._connection.call("INFO", "server").decode()
        version = info.partition("redis_version:")[2].split()[0]
        return f"Redis {version}, Lua function, appendfsync always, redis-benchmark, Unix socket"

    def close(self) -> None:
        """Stop it."""
        self._connection.close()
        self._daemon.stop()

    def _fill(self, rows: Rows) -> None:
        commands = [
            *(
                _hash(f"g:{c.number}", spend=c.spend, day=c.day, meal=c.meal, subsidy=c.subsidy)
                for c in rows.categories
            ),
            *(_hash(f"m:{m.number}", status=m.status, category=m.category) for m in rows.merchants),
            *map(_terminal, rows.terminals),
            *map(_account, rows.accounts),
            *map(_medium, rows.media),
        ]
        for at in range(0, len(commands), _FILL):
            self._connection.call_all(commands[at : at + _FILL])

    # ---- one tap ----

    def ask(self, tap: Tap) -> Answer:
        """Decide one tap."""
        reason, approved, replayed = self._connection.call(*_command(tap))
        return Answer(reason.decode(), approved, replayed=bool(replayed))

    def standing(self, account: int) -> Standing:
        """Return an account's row."""
        fields = ("online", "subsidy", "day_used", "meal_used", "fails")
        found = self._connection.call("HMGET", f"a:{account}", *fields)
        return Standing(*(int(value or 0) for value in found))

    # ---- measured ----

    def closed(self, clients: int, seconds: float) -> Run:
        """Let redis-benchmark call as fast as it is answered; it keeps the latencies itself."""
        probe = self._benchmark(clients, _PROBE)
        return self._benchmark(clients, max(_PROBE, int(probe.per_s * seconds)))

    def _benchmark(self, clients: int, calls: int) -> Run:
        first = self._next_batch()
        done = subprocess.run(
            [
                *(str(self._programs.directory / "redis-benchmark"), "-s", str(self._path)),
                *("-c", str(clients), "-n", str(calls), "-r", str(_RANDOM_MAX), "--csv"),
                *("FCALL", "tap", "0", "__rand_int__", "__rand_int__", str(self._accounts)),
                str(first),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=_RUN_S,
            env={"PATH": "/usr/bin:/bin", **self._programs.environment},
        )
        row = list(csv.DictReader(io.StringIO(done.stdout)))[-1]
        self._approved(first, calls)
        return Run(
            float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]), None
        )

    def _approved(self, first: int, calls: int) -> None:
        """Refuse to measure refusals and what was written before: count the keys, look at some."""
        kept = 0
        for batch in range(first, first + _LEAP):
            names = [f"j:{terminal}:{batch}" for terminal in range(1, TERMINALS + 1)]
            kept += sum(self._connection.call_all([("HLEN", name) for name in names]))
            for values in self._connection.call_all(
                [("HVALS", name) for name in names[:_LOOKED_AT]]
            ):
                if any(b" 0 OK " not in value for value in values):
                    raise RuntimeError("redis-benchmark was refused something")
        if kept < calls * _NEW:
            raise RuntimeError(f"{calls} calls, {kept} in the journal")

    def open(self, clients: int, per_s: float, seconds: float) -> Run:
        """Let taps come at Poisson times, on each connection in turn, whether or not it is answered."""
        first, rng, took = self._next_batch(), random.Random(SEED), Histogram()
        gaps, count = itertools.cycle(poisson(per_s)), int(per_s * seconds)
        pool = [Connection(self._path) for _ in range(clients)]
        waiting: list[deque[int]] = [deque() for _ in pool]
        selector = selectors.DefaultSelector()
        for at, one in enumerate(pool):
            selector.register(one.socket, selectors.EVENT_READ, at)
        began = due = time.perf_counter_ns()
        sent = 0
        while took.total < count:
            while sent < count and due <= time.perf_counter_ns():
                tap = self._tap(sent, first, rng)
                pool[sent % clients].send([_command(tap)])
                waiting[sent % clients].append(due)
                sent, due = sent + 1, due + next(gaps)
            left = (due - time.perf_counter_ns()) / NS if sent < count else 1.0
            for key, _ in selector.select(max(0.0, left)):
                for answer in pool[key.data].received():
                    if answer[0] != b"OK":
                        raise RuntimeError(f"not approved: {answer}")
                    took.add(time.perf_counter_ns() - waiting[key.data].popleft())
        ns = time.perf_counter_ns() - began
        selector.close()
        for one in pool:
            one.close()
        return Run.of(count * NS / ns, took)

    def _next_batch(self) -> int:
        first, self._batch = self._batch, self._batch + _LEAP
        if self._batch > BATCHES:
            raise RuntimeError("more runs than the terminals have batches")
        return first

    def _tap(self, at: int, first: int, rng: random.Random) -> Tap:
        return Tap(
            at % TERMINALS + 1,
            first + at // TERMINALS // SEQ_MAX,
            at // TERMINALS % SEQ_MAX + 1,
            rng.randrange(self._accounts) + 1,
            rng.randrange(50, 4_001),
            "",
            time.time_ns() // 1_000,
        )


class Connection:
    """Commands and replies in order, as RESP 2."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(_RUN_S)
        self.socket.connect(str(path))
        self._bytes = bytearray()

    def close(self) -> None:
        """Let go of it."""
        self.socket.close()

    def send(self, commands: list[tuple[Any, ...]]) -> None:
        """Send commands; the replies come in their order."""
        out = bytearray()
        for command in commands:
            out += b"*%d\r\n" % len(command)
            for part in command:
                text = str(part).encode()
                out += b"$%d\r\n%b\r\n" % (len(text), text)
        self.socket.sendall(out)

    def received(self) -> Iterator[Any]:
        """Read once and yield the replies that are whole."""
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionError("Redis has closed the connection")
        self._bytes += data
        while self._bytes:
            try:
                reply, end = _reply(bytes(self._bytes), 0)
            except _Half:
                return
            del self._bytes[:end]
            yield reply

    def call_all(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Send commands and wait for all replies.

        Raises:
            RuntimeError: one is an error.
        """
        self.send(commands)
        replies: list[Any] = []
        while len(replies) < len(commands):
            replies += self.received()
        return replies

    def call(self, *command: Any) -> Any:
        """Send one command and return its reply."""
        return self.call_all([command])[0]


class _Half(Exception):
    """The reply is not whole yet."""


def _reply(data: bytes, at: int) -> tuple[Any, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise _Half
    kind, text, at = data[at : at + 1], data[at + 1 : end], end + 2
    if kind == b"-":
        raise RuntimeError(f"Redis: {text.decode()}")
    if kind == b"+":
        return text, at
    if kind == b":":
        return int(text), at
    size = int(text)
    if kind == b"*":
        items = []
        for _ in range(size):
            item, at = _reply(data, at)
            items.append(item)
        return items, at
    if size < 0:
        return None, at
    if len(data) < at + size + 2:
        raise _Half
    return data[at : at + size], at + size + 2


def _command(tap: Tap) -> tuple[Any, ...]:
    return (
        *("FCALL", "pay", 0, tap.terminal, tap.batch_no, tap.seq, tap.token, tap.amount),
        *(tap.pin, tap.now_us),
    )


def _hash(key: str, **fields: int | str) -> tuple[Any, ...]:
    values = (
        (name, int(value) if isinstance(value, bool) else value) for name, value in fields.items()
    )
    return ("HSET", key, *itertools.chain.from_iterable(values))


def _terminal(one: Terminal) -> tuple[Any, ...]:
    return _hash(
        f"t:{one.number}",
        status=one.status,
        keypad=one.keypad,
        max=one.max_amount,
        batch=one.batch_no,
        merchant=one.merchant,
    )


def _medium(one: Medium) -> tuple[Any, ...]:
    return _hash(
        f"c:{one.token}",
        account=one.account,
        state=one.state,
        lost=one.lost,
        frozen=one.frozen,
        expires=one.expires_day,
    )


def _account(one: Account) -> tuple[Any, ...]:
    text = f"campus{one.number}:{one.pin}".encode()
    return _hash(
        f"a:{one.number}",
        status=one.status,
        online=one.online,
        subsidy=one.subsidy,
        held=one.held,
        day_limit=one.day_limit,
        meal_limit=one.meal_limit,
        pin=hashlib.sha1(text).hexdigest() if one.pin else "",  # noqa: S324 - all that Redis has
        **dict.fromkeys(("fails", "day", "day_used", "meal_day", "meal", "meal_used"), 0),
    )
