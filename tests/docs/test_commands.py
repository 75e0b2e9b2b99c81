"""What the pages tell a newcomer to type works, and prints what they show.

Commands run in an empty directory that has the checkout's ``.venv`` and a ``demo/`` of fewer people,
against a demo campus that the recipe of ``make run`` started there. The comment ``<!-- after Ctrl-C -->`` before a
block ends that demo first; ``<!-- not run: reason -->`` leaves a block out.
"""

import ast
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docs.blocks import AFTER_CTRL_C, blocks_of, missing_line
from tests.few_people import write_few

ROOT = Path(__file__).resolve().parents[2]
RUNS = ("console", "sh")
PAGES = [  # README.md ends the demo and removes it: last, so that it is loaded once
    *("README.zh-CN.md", "CONTRIBUTING.md", "demo/README.md"),
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/guides/*.md")),
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/concepts/*.md")),
    *("bench/README.md", "README.md"),
]
NOT_RUN = {  # page: reasons, so that leaving one out is a change of this table too
    "README.md": ["this test is one of them"],
    "README.zh-CN.md": ["this test is one of them", "README.md runs it"],
    "CONTRIBUTING.md": ["this test is one of them"],
    "bench/README.md": ["each takes from 40 seconds to half an hour"],
}
COMMAND_S = 90
NAMED = re.compile(r"`((?:clients|core|ext|server|tests)/[\w/]+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(page, *languages):
    found = blocks_of(page, (ROOT / page).read_text(encoding="utf-8"))
    return [block for block in found if block.language in languages]


def planned(*arguments):
    """Ask make what it would do, as if no other make had started these tests."""
    of_make = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
    return subprocess.run(
        ["make", "-n", *arguments],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if name not in of_make},
        capture_output=True,
        text=True,
        check=False,
    )


class Newcomer:
    """An empty directory, a demo campus in it, and a shell."""

    def __init__(self, directory):
        self.directory = directory
        self._demo = None
        (directory / ".venv").symlink_to(Path(sys.prefix))
        write_few(directory / "demo", students=200, staff=20)
        kept = {name: text for name, text in os.environ.items() if not name.startswith("CAMPUS")}
        self.environment = {
            **kept,
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "HOME": str(directory),
            "XDG_STATE_HOME": str(directory / "state"),
        }

    def start(self):
        """Type ``make run``: its recipe's last line, for the set-up and the build are done."""
        if self._demo is not None:
            return self.printed()
        where = "ARGS=--address 127.0.0.1:0 --metrics 127.0.0.1:0 --rate 2 --files demo"
        plan = planned("run", where)
        assert plan.returncode == 0, plan.stderr
        with (self.directory / "demo.log").open("w") as log:
            self._demo = subprocess.Popen(
                ["bash", "-c", plan.stdout.splitlines()[-1]],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ends = time.monotonic() + 60
        while not (found := re.search(r"gRPC +(127\S+)[\s\S]+demo crash", self.printed())):
            assert self._demo.poll() is None, self.printed()
            assert time.monotonic() < ends, self.printed()
            time.sleep(0.1)
        self.environment["CAMPUSCARD_ADDRESS"] = found[1]
        return self.printed()

    def printed(self):
        return (self.directory / "demo.log").read_text(encoding="utf-8")

    def stop(self):
        """Press Ctrl-C: everybody in the foreground hears it, and it ends well."""
        if self._demo is not None:
            os.killpg(self._demo.pid, signal.SIGINT)
            assert self._demo.wait(30) == 0, self.printed()
            assert "drained" in self.printed()
            self._demo = None

    def type(self, command):
        """Run one command; return what it printed."""
        if command == "make run":
            return self.start()
        if " demo crash" in command:
            command += " --files demo"  # a reader's are the checkout's, which is the default
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == 0 or "✗" in done.stdout, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    someone = Newcomer(tmp_path_factory.mktemp("newcomer"))
    yield someone
    someone.stop()
    shutil.rmtree(someone.directory / "var", ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES)
def test_commands_do_what_the_page_shows(newcomer, page):
    for block in blocks(page, *RUNS):
        if block.reason_not_run:
            continue
        if block.note == AFTER_CTRL_C:
            newcomer.stop()
        else:
            newcomer.start()
        for command, shown in block.commands:
            printed = newcomer.type(command)
            failed = "✗" in printed and not any("✗" in line for line in shown)
            assert not failed, (str(block), command, printed)
            line = missing_line(shown, printed)
            assert line is None, f"{block}: `{command}` printed no line {line!r}:\n{printed}"


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_has_a_reason(page):
    reasons = [b.reason_not_run for b in blocks(page, *RUNS) if b.reason_not_run]
    assert reasons == NOT_RUN.get(page, [])


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_could_be(page):
    for block in blocks(page, *RUNS):
        for command, _ in block.commands:
            words = shlex.split(command, comments=True)
            if words[0] == "make":
                plan = planned(*words[1:])
                assert plan.returncode == 0, (str(block), plan.stderr)


@pytest.mark.parametrize("page", PAGES)
def test_python_on_a_page_is_python(page):
    for block in blocks(page, "python"):
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
        compile("\n".join(block.lines), str(block), "exec", flags=flags)


def test_every_block_says_what_it_is():
    for page in PAGES:
        for block in blocks_of(page, (ROOT / page).read_text(encoding="utf-8")):
            assert block.language, f"{block}: name its language"


def test_links_lead_somewhere():
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")]
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert not broken


def test_files_named_in_the_architecture_are_there():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(NAMED.findall(text))
    assert len(named) > 15
    gone = [
        name for name in named if not list(ROOT.glob(f"{name}.*")) and not (ROOT / name).is_dir()
    ]
    assert not gone


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        (["a 1", "…", "b"], "a 234\nx\nb\n", None),
        (["b", "a 1"], "a 1\nb\n", "a 1"),
        (["code 0017GY"], "code 00ZZ01", None),
        (["code 0017GY"], "code", "code 0017GY"),
        (["✓ … ok"], "✗ 1 ok", "✓ … ok"),
        (["balance ¥1.00"], "balance   ¥317.70", None),
    ],
)
def test_what_is_shown_is_compared(shown, printed, missing):
    assert missing_line(shown, printed) == missing
