"""Make docs/images/demo.svg: the screen of a real `campuscard demo` after some seconds.

Run as ``python -m tools.gen_picture``. The demo runs in a terminal of its own, in a new directory.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

ROOT: Final = Path(__file__).resolve().parent.parent
PICTURE: Final = ROOT / "docs" / "images" / "demo.svg"
COLUMNS: Final = 110
ROWS: Final = 50
SECONDS: Final = 12
REDRAWN: Final = re.compile(r"\r?(?:\x1b\[1A|\x1b\[2K)+")  # rich goes up and clears before a frame
CONTROL: Final = re.compile(r"\x1b\[\?\d+[hl]")
WEB_FONT: Final = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # a page should fetch nothing


def run_demo(directory: Path) -> str:
    """Run the demo and return all it wrote on its terminal."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [".venv/bin/campuscard", "demo", "--seconds", str(SECONDS)]
    command += ["--directory", str(directory / "var" / "demo")]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "CAMPUSCARD_LANG": "en"},
    )
    os.close(terminal)
    written = io.BytesIO()
    while True:
        try:
            written.write(os.read(master, 65_536))
        except OSError:  # nobody has the other end any more
            break
    if process.wait() != 0:
        sys.exit(written.getvalue().decode(errors="replace"))
    return written.getvalue().decode()


def last_frame(written: str) -> str:
    """Return the newest picture of the live table, without the summary after it."""
    frames = [part for part in REDRAWN.split(written) if "sum of accounts" in part]
    text = CONTROL.sub("", frames[-1]).replace("\r", "")
    return text.partition("The server drained")[0].rstrip()


def main() -> None:
    """Draw it."""
    with tempfile.TemporaryDirectory() as name:
        frame = last_frame(run_demo(Path(name))).replace(f"{name}/", "")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ make run", style="bold"))
    console.print(Text.from_ansi(frame))
    PICTURE.parent.mkdir(exist_ok=True)
    svg = console.export_svg(title="campuscard", unique_id="demo")
    PICTURE.write_text(WEB_FONT.sub("", svg), encoding="utf-8")
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
