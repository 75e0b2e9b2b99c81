"""A peer's server as a child: ends with us, however we end, and leaves no file behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench.peers.debian import Programs

START_S: Final = 30
STOP_S: Final = 10
_LOOK_S: Final = 0.05
_NOBODY: Final = (
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    # To reach a directory of root's.
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)


def as_nobody(directory: Path) -> list[str]:
    """Return what a command is prefixed with so that it does not run as root, and give it the place.

    PostgreSQL refuses to run as root.
    """
    if os.geteuid() != 0:
        return []
    shutil.chown(directory, "nobody", "nogroup")
    return list(_NOBODY)


class Daemon:
    """A program that runs until it is stopped.

    Args:
        programs: where it is.
        command: its name and arguments.
        log: what it prints.
        prefix: see as_nobody.
    """

    def __init__(
        self, programs: Programs, command: list[str], *, log: Path, prefix: list[str]
    ) -> None:
        self._log = log
        name, *arguments = command
        starter = prefix or ["setpriv"]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                # The kernel ends it with us, whatever kills us.
                [*starter, "--pdeathsig=QUIT", str(programs.directory / name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **programs.environment},
                cwd="/",
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until it takes calls.

        Raises:
            RuntimeError: it ended, or did not start in time; the text is the end of its log.
        """
        ends = time.monotonic() + START_S
        while not ready():
            if self._process.poll() is not None or time.monotonic() > ends:
                self.stop()
                words = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
                raise RuntimeError("did not start: " + " ".join(words[-3:]))
            time.sleep(_LOOK_S)

    @contextlib.contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        """Stop it when its caller cannot go on: nobody else would."""
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ask it to end, and see to it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
