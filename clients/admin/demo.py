"""``campuscard demo``: a campus to look at, in one command."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import grpc.aio
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from clients.admin import local
from clients.admin.calls import DEFAULT_ADDRESS, DEFAULT_FRONT, AddressOption, failure_of
from clients.admin.child import ServerProcess, die_with_parent
from clients.admin.console import (
    Exit,
    Failure,
    Output,
    OutputOption,
    done,
    note,
    notes,
    print_json,
    print_table,
    screen,
    tr,
)
from clients.admin.demo_staff import CLERK, PASSWORD, TOTP_STEPS, DemoStaff
from clients.admin.findings import is_held
from clients.admin.load import Loader, Report
from clients.admin.payments import open_store
from clients.admin.terminals import (
    DEMO_FILES,
    FilesOption,
    RateOption,
    SecondsOption,
    SeedOption,
    TerminalsOption,
    finish_simulation,
    load_campus,
    run_simulation,
)
from clients.campus import FileFormatError
from clients.session import TokenSource, connect_signed
from clients.terminal.simulate import Plan

app: Final = typer.Typer(invoke_without_command=True)

DIRECTORY: Final = Path("var/demo")
METRICS: Final = "127.0.0.1:9464"
SEGMENT_BYTES: Final = 64 << 20  # a demo's journal grows by about 4 GiB a month at 100 taps/s
FAILURES_SHOWN: Final = 20
SECRET_MARK: Final = "One-time secret of "  # noqa: S105 - what serve prints before it
ACCOUNT: Final = "202371010101"  # the first student of the files
KEEP_S: Final = 3_600  # a demo runs for ever: its tills forget what is settled
EXTRA: Final = f"""
[log]
format = "json"
level = "warning"

[staff]
totp_steps = {TOTP_STEPS}
"""

DirectoryOption = Annotated[
    Path, typer.Option("--directory", help=tr("演示数据的目录。", "Where the demo keeps its data."))
]


@app.callback()
def demo(
    context: typer.Context,
    directory: DirectoryOption = DIRECTORY,
    rate: RateOption = 100.0,
    terminals: TerminalsOption = 300,
    seconds: SecondsOption = 0.0,
    seed: SeedOption = 1,
    address: Annotated[
        str, typer.Option(help=tr("gRPC 地址; 端口 0 = 任选。", "Where gRPC listens; port 0: any."))
    ] = DEFAULT_ADDRESS,
    front: Annotated[
        str,
        typer.Option(help=tr("终端连接的地址。", "Where terminals call.")),
    ] = DEFAULT_FRONT,
    metrics: Annotated[str, typer.Option(help=tr("指标地址。", "Where metrics are."))] = METRICS,
    files: FilesOption = DEMO_FILES,
    output: OutputOption = Output.TEXT,
) -> None:
    """Set up a demo campus, start its server and let 300 terminals pay."""
    if context.invoked_subcommand is not None:
        return
    die_with_parent()
    campus = load_campus(files, terminals=terminals)
    plan = Plan(rate=rate, duration_s=seconds, seed=seed)
    there = Places(address=address, front=front, metrics=metrics)
    with running(directory, files, there) as (server, served, staff):
        header = places(directory, server, served)
        if not screen.is_terminal or output is Output.JSON:
            for line in header:
                note(line)
        with contextlib.closing(open_store(directory / "terminals.db", keep_s=KEEP_S)) as store:
            quiet = output is Output.JSON
            work = run_simulation(
                server.address,
                campus,
                plan,
                store,
                front=server.front_address,
                quiet=quiet,
                header=header,
                until=server.ended,
                token=staff.token,
            )
            meter, summary = asyncio.run(work)
        if not server.is_running():
            raise server.failure()
    finish_simulation(meter, summary, output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a demo's server listens."""

    address: str
    front: str
    metrics: str


@contextlib.contextmanager
def running(
    directory: Path, files: Path, there: Places
) -> Iterator[tuple[ServerProcess, str, DemoStaff]]:
    """Make, start and load the demo campus; drain the server at the end.

    Yields the server, where its metrics are, and its staff, signed in.
    """
    check_port(there.address, "--address")
    address = free_or_any(there.address)  # the same after a restart
    front = free_or_any(there.front)
    config = directory / local.CONFIG_NAME
    if not config.exists():
        local.create(directory, test=True, extra=EXTRA, segment_bytes=SEGMENT_BYTES)
        note(tr(f"已建立 {directory}", f"Made {directory}"))
    metrics = free_or_any(there.metrics)
    options = ("--address", address, "--front", front, "--metrics", metrics)
    server = ServerProcess(config, log=directory / "server.log", options=options)
    started_s = time.monotonic()
    server.start()
    try:
        elapsed_s = time.monotonic() - started_s
        note(tr(f"服务器已启动 ({elapsed_s:.1f} s)", f"The server is up ({elapsed_s:.1f} s)"))
        staff = DemoStaff(directory, server.address)
        if not staff.known():
            staff.enter(first_secret(server))
        staff.sign_in()
        load_once(directory, files, server.address, staff)
        yield server, metrics, staff
    finally:
        if server.is_running():
            clean = server.drain()
            note(
                tr("服务器已排空并停止。", "The server drained and stopped.")
                if clean
                else tr("服务器未能正常停止。", "The server did not stop cleanly.")
            )


def places(directory: Path, server: ServerProcess, metrics: str) -> list[str]:
    """Say where everything is and what to try."""
    there = "" if server.address == DEFAULT_ADDRESS else f" --server {server.address}"
    front = "" if server.front_address == DEFAULT_FRONT else f" --front {server.front_address}"
    command = typed_command()
    tries = (
        f"pay --account {ACCOUNT} --amount 12.50 --send-twice{front}",
        f"history {ACCOUNT} --limit 5",
        f"office cards --account {ACCOUNT}",
        "staff acts --limit 5",
        "status",
    )
    return [
        tr("演示校园运行中。Ctrl-C 停止。", "The demo campus is running. Ctrl-C ends it."),
        f"  gRPC     {server.address}   " + tr("(reflection 开)", "(reflection on)"),
        tr("  终端     ", "  taps     ") + server.front_address,
        tr("  指标     ", "  metrics  ") + f"http://{metrics}/metrics",
        tr("  数据     ", "  data     ")
        + tr(
            f"{directory}/   (日志 server.log; 删除: {command} demo reset)",
            f"{directory}/   (log: server.log; remove: {command} demo reset)",
        ),
        tr(
            f"  员工     {CLERK}, 密码 {PASSWORD!r}, 已登录; 再登录: {command} demo sign-in",
            f"  staff    {CLERK}, password {PASSWORD!r}, signed in; again: {command} demo sign-in",
        ),
        tr("  另开一个终端, 试试:", "  in a second shell, try:"),
        *(f"    {command} {line}{there}" for line in tries),
        tr("  停止之后, 拔电源试试:", "  after Ctrl-C, pull the plug:"),
        f"    {command} demo crash",
        "",
    ]


def first_secret(server: ServerProcess) -> str:
    """Return the one-time secret a new directory's server has printed."""
    for line in server.printed().splitlines():
        if line.startswith(SECRET_MARK):
            return line.split()[4]
    raise Failure(
        tr("演示数据来自旧版本。", "The demo's data is of an earlier version."),
        code=Exit.LOCAL,
        step=f"{typed_command()} demo reset",
    )


def typed_command() -> str:
    """Return what a person types to run this program: its name where PATH has it, else its path."""
    program = Path(sys.argv[0])
    found = shutil.which("campuscard")
    if program.name != "campuscard" or (found is not None and Path(found).samefile(program)):
        return "campuscard"
    with contextlib.suppress(ValueError):
        program = program.absolute().relative_to(Path.cwd())
    return str(program)


# -- loading --------------------------------------------------------------------------------------


def load_once(directory: Path, files: Path, address: str, staff: DemoStaff) -> None:
    """Load the files unless exactly these have been loaded into this directory."""
    marker = directory / "loaded"
    digest = files_digest(files)
    if marker.exists() and marker.read_text(encoding="utf-8") == digest:
        return
    report = load_files(files, address, quiet=False, token=staff.token, checker=staff.checker_token)
    show_report(report)
    if not report.failures:
        marker.write_text(digest, encoding="utf-8")


def files_digest(files: Path) -> str:
    """Name the content of all campus files."""
    digest = hashlib.sha256()
    for path in sorted([*files.glob("*.csv"), *files.glob("*.toml")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def load_files(
    files: Path,
    address: str,
    *,
    quiet: bool,
    token: TokenSource | None = None,
    checker: TokenSource | None = None,
) -> Report:
    """Load a directory of campus files, with progress bars for a person.

    ``checker`` is the token of who approves the rules; None: they are proposed and wait.
    """

    async def work(bars: Progress) -> Report:
        tasks: dict[str, Any] = {}

        def progress(file: str, count: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=count)

        async with contextlib.AsyncExitStack() as stack:
            maker = await stack.enter_async_context(connect_signed(address, token=token))
            approver = None
            if checker is not None:
                approver = await stack.enter_async_context(connect_signed(address, token=checker))
            return await Loader(maker, progress=progress, checker=approver).load(files)

    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    show = notes.is_terminal and not quiet
    try:
        with Progress(*columns, console=notes, disable=not show) as bars:
            return asyncio.run(work(bars))
    except FileFormatError as error:
        raise Failure(str(error), code=Exit.LOCAL) from error
    except grpc.aio.AioRpcError as error:
        raise failure_of(error, address) from error


def show_report(report: Report) -> None:
    """Print what was loaded, and the rows to correct."""
    totals = {"created": 0, "unchanged": 0, "failed": 0}
    for counts in report.counts().values():
        for name, count in counts.items():
            totals[name] += count
    note(
        tr(
            f"装载 {report.seconds:.1f} s: 新增 {totals['created']}, 未变 {totals['unchanged']}, "
            f"失败 {totals['failed']}",
            f"Loaded in {report.seconds:.1f} s: {totals['created']} created, "
            f"{totals['unchanged']} unchanged, {totals['failed']} failed",
        )
    )
    if report.rules_waiting:
        note(
            tr(
                f"{report.rules_waiting} 项参数待另一人复核: campuscard param proposals",
                f"{report.rules_waiting} rules wait for another person: campuscard param proposals",
            )
        )
    if report.failures:
        rows = [
            [str(failure.source), failure.key, failure.reason]
            for failure in report.failures[:FAILURES_SHOWN]
        ]
        print_table(tr("行 编号 原因", "row key reason").split(), rows)


@app.command(
    "load",
    help=tr(
        "装载一个目录的校园文件; 逐行结果; 重复装载不变。",
        "Load a directory of campus files, row by row; twice changes nothing.",
    ),
)
def load(
    files: FilesOption = DEMO_FILES,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Load a directory of campus files into a running server."""
    report = load_files(files, address, quiet=output is Output.JSON)
    if output is Output.JSON:
        print_json(report_fields(report))
    else:
        show_report(report)
        done(tr("完成", "Done")) if not report.failures else None
    if report.failures:
        raise typer.Exit(Exit.REFUSED)


def report_fields(report: Report) -> dict[str, Any]:
    """Return a report as plain values."""
    return {
        "seconds": round(report.seconds, 3),
        "files": {name: dict(counts) for name, counts in report.counts().items()},
        "rules_changed": report.rules_changed,
        "rules_waiting": report.rules_waiting,
        "failures": [
            {
                "file": failure.source.file,
                "line": failure.source.line,
                "key": failure.key,
                "reason": failure.reason,
            }
            for failure in report.failures
        ],
    }


@app.command(
    "sign-in",
    help=tr("以演示员工登录: demo 或 admin。", "Sign in as staff of the demo: demo or admin."),
)
def sign_in(
    name: Annotated[str, typer.Argument(help=tr("登录名。", "Sign-in name."))] = CLERK,
    directory: DirectoryOption = DIRECTORY,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Sign in with the password and authenticator a demo directory keeps."""
    DemoStaff(directory, address).sign_in(name)
    if output is Output.JSON:
        print_json({"name": name})
    else:
        done(tr(f"已登录: {name}", f"Signed in: {name}"))


@app.command(
    "reset", help=tr("删除演示数据, 下次从头开始。", "Remove the demo's data, to start afresh.")
)
def reset(directory: DirectoryOption = DIRECTORY, output: OutputOption = Output.TEXT) -> None:
    """Remove the demo's directory; refuses any other."""
    there = directory.exists()
    if there:
        _remove(directory)
    if output is Output.JSON:
        print_json({"removed": str(directory) if there else None})
    elif there:
        done(tr(f"已删除 {directory}", f"Removed {directory}"))
    else:
        note(tr(f"没有 {directory}", f"There is no {directory}"))


def _remove(directory: Path) -> None:
    if not (directory / local.CONFIG_NAME).exists() or not (directory / "server.log").exists():
        raise Failure(
            tr(f"{directory} 不是演示目录。", f"{directory} is no demo directory."),
            code=Exit.LOCAL,
            step=tr("指明: --directory var/demo", "Name it: --directory var/demo"),
        )
    data = directory / "data"
    if data.is_dir() and is_held(data):
        raise Failure(
            tr(f"服务器正在使用 {directory}。", f"A server is using {directory}."),
            code=Exit.LOCAL,
            step=tr("先用 Ctrl-C 停止演示。", "End the demo first, with Ctrl-C."),
        )
    shutil.rmtree(directory)


# -- addresses ------------------------------------------------------------------------------------


def check_port(address: str, option: str) -> None:
    """Say early, and kindly, that a port is taken."""
    if not _is_free(address):
        raise Failure(
            tr(f"{address} 已被占用。", f"{address} is taken."),
            code=Exit.LOCAL,
            step=tr(
                f"已有演示在运行? campuscard status   换一个: {option} 127.0.0.1:0, "
                f'或 make run ARGS="{option} 127.0.0.1:0"',
                f"Is a demo running? campuscard status   Another: {option} 127.0.0.1:0, "
                f'or make run ARGS="{option} 127.0.0.1:0"',
            ),
        )


def free_or_any(address: str) -> str:
    """Return the address, or one with a free port where it is taken or 0."""
    host, _, port = address.rpartition(":")
    if port != "0" and _is_free(address):
        return address
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host.strip("[]"), 0))
        return f"{host}:{probe.getsockname()[1]}"


def _is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
