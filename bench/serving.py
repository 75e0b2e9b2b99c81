"""A server process to measure and the messages that its clients send."""

from __future__ import annotations

import contextlib
import itertools
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc

from bench.workload import SPARE_ROWS, TERMINALS, make_campus, terminal_name
from campuscard.v1 import terminal_service_pb2 as pb
from clients.admin.child import ServerProcess
from clients.admin.demo import free_or_any

SERVICE: Final = "/campuscard.v1.TerminalService/"
CHANNEL: Final = (
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.enable_retries", 0),
)
CALL_S: Final = 20
SEQ_MAX: Final = 65_535
_HOST: Final = "127.0.0.1"


def settings_toml(accounts: int) -> str:
    """Return settings that fit the campus and limit no caller."""
    return f"""
[server]
address = "{_HOST}:0"
[engine]
accounts_max = {accounts + SPARE_ROWS}
media_max = {accounts + SPARE_ROWS}
[limits]
terminal_rate = 1000000
terminal_burst = 1000000
"""


class Served:
    """A server of its own process on a campus; ``metrics`` reads what it says of itself."""

    def __init__(self, directory: Path, paths: dict[str, Path]) -> None:
        self._metrics = free_or_any(f"{_HOST}:0")
        self.process = ServerProcess(
            paths["config"], log=directory / "server.log", options=("--metrics", self._metrics)
        )

    @property
    def address(self) -> str:
        """Where it takes calls."""
        return self.process.address

    def metrics(self) -> dict[str, float]:
        """Return its figures by name with labels."""
        with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=CALL_S) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def memory_bytes(self) -> int:
        """Return its resident anonymous memory: RssAnon of /proc/PID/status."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1_024
        raise OSError("no RssAnon")


@contextlib.contextmanager
def serving(directory: Path, accounts: int, *, segment_bytes: int) -> Iterator[Served]:
    """Make a campus, serve it, end the server."""
    paths = make_campus(
        directory / "campus", accounts, toml=settings_toml(accounts), segment_bytes=segment_bytes
    )
    served = Served(directory, paths)
    served.process.start()
    try:
        yield served
    finally:
        served.process.kill()


class Tills:
    """Hands out keys of terminals that are signed in, for ever."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=CHANNEL)
        self._sign_in: Callable[..., Any] = self._channel.unary_unary(
            SERVICE + "SignIn",
            request_serializer=pb.SignInRequest.SerializeToString,
            response_deserializer=pb.SignInResponse.FromString,
        )
        self._numbers = itertools.cycle(range(1, TERMINALS + 1))
        self._name = ""
        self._batch_no = 0
        self._next = SEQ_MAX + 1

    def close(self) -> None:
        """Close the connection that signed in."""
        self._channel.close()

    def take(self, count: int) -> tuple[str, int, int]:
        """Return terminal, batch_no and the first of ``count`` unused terminal_seq."""
        if self._next + count > SEQ_MAX + 1:
            self._name = terminal_name(next(self._numbers))
            answer = self._sign_in(pb.SignInRequest(terminal_id=self._name), timeout=CALL_S)
            if not answer.batch_no:
                raise RuntimeError(f"{self._name} could not sign in: {answer.decision.reason}")
            self._batch_no, self._next = answer.batch_no, 1
        first = self._next
        self._next += count
        return self._name, self._batch_no, first


def card(account: int) -> bytes:
    """Return the token of the card that ``Campus.populate`` gave an account."""
    return account.to_bytes(4, "little")
