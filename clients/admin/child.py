"""A server as a child process: started, waited for, killed, drained."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from clients.admin.console import Exit, Failure, tr

TERMINALS: Final = "terminals "  # what serve prints before the address of terminals,
LISTENING: Final = "listening "  # and then before its own
DIES_WITH_PARENT: Final = "CAMPUSCARD_DIES_WITH_PARENT"
START_S: Final = 60.0
DRAIN_S: Final = 30.0
_POLL_S: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1
_TAIL_LINES: Final = 12


class ServerProcess:
    """One ``campuscard serve`` with its log in a file."""

    def __init__(self, config: Path, *, log: Path, options: tuple[str, ...] = ()) -> None:
        self._config = config
        self._log = log
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self.address = ""
        self.front_address = ""

    @property
    def pid(self) -> int:
        """Its process, 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it and wait until it takes calls.

        Raises:
            Failure: see wait_ready.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it; call this in the main thread, whose end is the server's end."""
        command = [sys.executable, "-m", "clients.admin.cli", "--lang", tr("zh", "en"), "serve"]
        command += ["--config", str(self._config), *self._options]
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, DIES_WITH_PARENT: "1"},
                process_group=0,  # Ctrl-C is for the demo, which then drains the server
            )

    def wait_ready(self) -> None:
        """Wait until it takes calls.

        Raises:
            Failure: it ended, or did not start in a minute; the text is the end of its log.
        """
        ends = time.monotonic() + START_S
        while not self._started():
            if not self.is_running() or time.monotonic() > ends:
                self.kill()
                raise self.failure()
            time.sleep(_POLL_S)

    def printed(self) -> str:
        """Return what it has printed for a person since it was last asked; this is not logged."""
        if self._process is None or self._process.stdout is None or self._process.stdout.closed:
            return ""
        os.set_blocking(self._process.stdout.fileno(), False)
        return (self._process.stdout.read() or b"").decode(errors="replace")

    def failure(self) -> Failure:
        """Say why it does not run, in its own words."""
        lines = [_words(line) for line in self._lines() if line.strip()]
        text = "\n".join(lines[-_TAIL_LINES:]) or tr("没有输出", "no output")
        return Failure(
            tr(f"服务器没有运行:\n{text}", f"The server does not run:\n{text}"),
            code=Exit.LOCAL,
            step=tr(f"全部日志: {self._log}", f"Its whole log: {self._log}"),
        )

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def drain(self) -> bool:
        """Ask it to finish and end; False when it had to be killed."""
        if self._process is None or self._process.poll() is not None:
            return False
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(DRAIN_S) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    async def ended(self) -> None:
        """Wait until it has ended, for whatever reason."""
        if self._process is not None:
            while self._process.poll() is None:  # noqa: ASYNC110 - a process sets no event
                await asyncio.sleep(_POLL_S * 4)

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def _started(self) -> bool:
        for line in self._lines():
            if line.startswith(TERMINALS):
                self.front_address = line.removeprefix(TERMINALS)
            if line.startswith(LISTENING):
                self.address = line.removeprefix(LISTENING)
                return True
        return False

    def _lines(self) -> list[str]:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace").splitlines()


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _words(line: str) -> str:
    event = _event(line)
    return " ".join(f"{name}={value}" for name, value in event.items()) if event else line


def die_with_parent() -> None:
    """Where a parent asked for it (a demo its server, make a demo): end when it is killed."""
    if os.environ.get(DIES_WITH_PARENT):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:  # it was gone before we asked
            raise SystemExit(Exit.LOCAL)
