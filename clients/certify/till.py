"""The terminal under test: a program that is told by lines of JSON, or a person at a device.

::

    {"id": 1, "do": "start", "server": "127.0.0.1:41817", "terminal_id": "CERT-1", "state": "…"}
    {"id": 1, "shown": "READY", "software": "ACME POS 4.2"}
    {"id": 2, "do": "tap", "card": "04C0FFEE0001", "amount_fen": 1250}
    {"id": 2, "shown": "APPROVED", "amount_fen": 1250, "balance_fen": 8750}

docs/guides/vendor.md has all of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import typer

from clients.admin.console import Exit, Failure, note, tr, yuan

ANSWER_S: Final = 90.0  # longer than any terminal lets a customer wait
END_S: Final = 10.0
LINE_MAX: Final = 65_536
WORDS: Final = (
    *("READY", "APPROVED", "DECLINED", "PIN_REQUIRED"),
    *("NOT_PAID", "QUEUED", "DONE", "UNSUPPORTED"),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the display shows at the end of a step; None where it does not show a number."""

    word: str
    amount_fen: int | None = None
    balance_fen: int | None = None
    reason: str = ""
    software: str = ""

    def __str__(self) -> str:
        said = [self.word]
        said += [self.reason] if self.reason not in {"", "OK"} else []
        said += [yuan(self.amount_fen)] if self.amount_fen is not None else []
        return " ".join(said)


class TillError(Exception):
    """The terminal does not answer, or not by the rules of the lines."""


class Till(Protocol):
    """A terminal under test."""

    def start(self, server: str) -> Shown:
        """Switch it on."""

    def ask(self, do: str, **fields: Any) -> Shown:
        """Have something done; returns what it shows when it is finished with that."""

    def begin(self, do: str, **fields: Any) -> int:
        """Have something done without waiting for it; returns what ``end`` is asked with."""

    def end(self, step: int) -> Shown:
        """Wait for what was begun."""

    def pull_plug(self) -> None:
        """Cut its power."""

    def stop(self) -> None:
        """Switch it off."""


def shown_of(line: str) -> tuple[int, Shown]:
    """Read one line of a program.

    Raises:
        TillError: it is none.
    """
    try:
        value = json.loads(line)
        word, number = value["shown"], value["id"]
        amount, balance = value.get("amount_fen"), value.get("balance_fen")
        reason, software = str(value.get("reason", "")), str(value.get("software", ""))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TillError(f"not a line with id and shown: {line[:200]!r}") from error
    if word not in WORDS:
        raise TillError(f"shown is one of {', '.join(WORDS)}, not {word!r}")
    for fen in (amount, balance):
        if fen is not None and (not isinstance(fen, int) or isinstance(fen, bool)):
            raise TillError(f"fen are whole numbers, not {fen!r}")
    return int(number), Shown(word, amount, balance, reason[:64], software[:64])


@dataclass(slots=True, kw_only=True)
class Program:
    """A vendor's program."""

    command: Sequence[str]
    terminal_id: str
    state: Path  # a directory that is the terminal's disk: it survives the plug
    log: Path
    answer_s: float = ANSWER_S
    _process: subprocess.Popen[str] | None = None
    _lines: queue.Queue[str] = field(default_factory=queue.Queue)
    _step: int = 0

    def start(self, server: str) -> Shown:
        """Start it and tell it where it is.

        Raises:
            TillError: it does not say READY.
            Failure: it cannot be started.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        self._lines = queue.Queue()
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - the program the person named
                    list(self.command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    bufsize=1,
                    start_new_session=True,
                )
        except OSError as error:
            raise Failure(f"{self.command[0]}: {error.strerror}", code=Exit.LOCAL) from error
        threading.Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
        shown = self.ask(
            "start", server=server, terminal_id=self.terminal_id, state=str(self.state.resolve())
        )
        if shown.word != "READY":
            raise TillError(f"start is answered by READY, not by {shown.word}")
        return shown

    def ask(self, do: str, **fields: Any) -> Shown:
        """See Till."""
        return self.end(self.begin(do, **fields))

    def begin(self, do: str, **fields: Any) -> int:
        """See Till."""
        self._step += 1
        line = json.dumps({"id": self._step, "do": do, **fields})
        try:
            if self._process is None or self._process.stdin is None:
                raise BrokenPipeError
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise TillError(f"it has ended; what it wrote: {self.log}") from error
        return self._step

    def end(self, step: int) -> Shown:
        """See Till; answers to steps that the plug cut short are passed over."""
        while True:
            try:
                line = self._lines.get(timeout=self.answer_s)
            except queue.Empty:
                raise TillError(f"no answer to step {step} in {self.answer_s:.0f} s") from None
            if not line:
                raise TillError(f"it has ended; what it wrote: {self.log}")
            number, shown = shown_of(line)
            if number == step:
                return shown

    def pull_plug(self) -> None:
        """Kill it and what it has started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end; kill it when it does not."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(TillError):
            self.begin("end")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        self.pull_plug()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    if process.stdout is not None:
        while line := process.stdout.readline(LINE_MAX):
            if line.strip():
                lines.put(line)
    lines.put("")


@dataclass(slots=True, kw_only=True)
class Person:
    """Somebody at a device who does what is printed and types what it shows."""

    terminal_id: str
    _begun: dict[int, str] = field(default_factory=dict)
    _step: int = 0

    def start(self, server: str) -> Shown:
        """Have it set up."""
        note(
            tr(
                f"终端号 {self.terminal_id}, 服务器 {server}: 设置后开机。",
                f"Set it to terminal {self.terminal_id} and server {server}, and switch it on.",
            )
        )
        return Shown("READY", software=typer.prompt(tr("软件版本", "Its software"), err=True))

    def ask(self, do: str, **fields: Any) -> Shown:
        """See Till."""
        return self.end(self.begin(do, **fields))

    def begin(self, do: str, **fields: Any) -> int:
        """Print what to do."""
        words = ", ".join(
            f"{name} {yuan(value) if name.endswith('_fen') else value}"
            for name, value in fields.items()
        )
        note(f"→ {do} {words}")
        self._step += 1
        self._begun[self._step] = do
        return self._step

    def end(self, step: int) -> Shown:
        """Ask what it shows."""
        note(f"? {self._begun.pop(step)}")
        word = ""
        while word not in WORDS:
            word = typer.prompt(tr("显示", "It shows") + f" ({' '.join(WORDS[1:])})", err=True)
            word = word.strip().upper()
        return Shown(word)

    def pull_plug(self) -> None:
        """Have it done."""
        typer.prompt(
            tr("拔掉终端电源, 回车", "Pull its plug, then press Enter"),
            default="",
            show_default=False,
            err=True,
        )

    def stop(self) -> None:
        """Nothing is left to do."""
