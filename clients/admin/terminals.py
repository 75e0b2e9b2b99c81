"""``campuscard terminal …``: sign a terminal in and out, and simulate hundreds of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from campuscard.v1 import terminal_service_pb2 as pb
from clients.admin.accounts import card_medium, finish
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, FrontOption, Services, front_of
from clients.admin.console import (
    Exit,
    Failure,
    Output,
    OutputOption,
    done,
    notes,
    print_fields,
    print_json,
    screen,
    tr,
)
from clients.admin.holder import NEW_PIN_VARIABLE, PIN_VARIABLE, new_password
from clients.admin.payments import open_store
from clients.admin.plain import plain
from clients.admin.staff import secret
from clients.campus import FileFormatError
from clients.session import TokenSource, connect_signed
from clients.terminal import Receipt, SqliteStore, connect
from clients.terminal.meter import Meter
from clients.terminal.simulate import Plan, Simulation
from clients.terminal.traffic import Campus, read_campus
from clients.terminal.view import watch

app: Final = typer.Typer(
    no_args_is_help=True,
    help=tr("终端: 签到、签退、模拟。", "Terminals: sign in and out, simulate."),
)

DEMO_FILES: Final = Path(__file__).resolve().parents[2] / "demo"
TerminalArgument = Annotated[str, typer.Argument(metavar="TERMINAL")]
FilesOption = Annotated[
    Path,
    typer.Option(
        "--files",
        show_default="demo/",
        help=tr("校园数据文件目录。", "Directory of the campus files."),
    ),
]
RateOption = Annotated[
    float,
    typer.Option(
        min=0, help=tr("每秒笔数; 0 = 尽快。", "Taps per second; 0: as fast as possible.")
    ),
]
TerminalsOption = Annotated[int, typer.Option(min=1, help=tr("终端数。", "How many terminals."))]
SecondsOption = Annotated[
    float, typer.Option(min=0, help=tr("秒; 0 = 直到 Ctrl-C。", "Seconds; 0: until Ctrl-C."))
]
SeedOption = Annotated[int, typer.Option(help=tr("随机种子。", "Seed of the traffic."))]


def _decided(decision: pb.Decision, text: str, response: Any, output: Output) -> None:
    if output is Output.JSON:
        print_json(plain(response))
    if decision.outcome != pb.OUTCOME_APPROVED:
        told = output is Output.JSON
        raise Failure(f"{text}: {decision.reason}", reason=decision.reason, told=told)
    if output is Output.TEXT:
        done(text)


@app.command("sign-in", help=tr("签到, 得到新批次号。", "Sign in: opens a new batch."))
def sign_in(
    terminal_id: TerminalArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    front: FrontOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Open a new batch for a terminal."""
    with Services(front_of(address, front)) as services:
        request = pb.SignInRequest(terminal_id=terminal_id, software="campuscard-cli")
        response = services.call(services.terminals.SignIn, request)
    text = tr(
        f"{terminal_id} 签到, 批次 {response.batch_no}", f"{terminal_id}: batch {response.batch_no}"
    )
    _decided(response.decision, text, response, output)


@app.command(
    "change-pin",
    help=tr("在终端上改交易密码。", "Change a transaction password at a terminal."),
)
def change_pin(
    terminal_id: TerminalArgument,
    uid: Annotated[
        str, typer.Option("--card", "-c", help=tr("卡片 UID, 十六进制。", "Card UID, hexadecimal."))
    ],
    address: AddressOption = DEFAULT_ADDRESS,
    front: FrontOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Change the transaction password, the card presented; passwords are asked for."""
    request = pb.ChangePinRequest(
        terminal_id=terminal_id,
        medium=card_medium(uid),
        old_pin=secret(PIN_VARIABLE, tr("原交易密码: ", "Present transaction password: ")),
    )
    request.new_pin, request.confirm_pin = new_password(NEW_PIN_VARIABLE)
    with Services(front_of(address, front)) as services:
        response = services.act(services.terminals.ChangePin, request)
    finish(response, output, tr("交易密码已改", "Transaction password changed"))


@app.command("sign-off", help=tr("签退, 关闭批次。", "Sign off: closes the batch."))
def sign_off(
    terminal_id: TerminalArgument,
    batch_no: Annotated[int, typer.Option("--batch", min=0)] = 0,
    address: AddressOption = DEFAULT_ADDRESS,
    front: FrontOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Close a terminal's batch; the present one unless another is named."""
    with Services(front_of(address, front)) as services:
        if not batch_no:
            beat = pb.HeartbeatRequest(terminal_id=terminal_id)
            batch_no = services.call(services.terminals.Heartbeat, beat).batch_no
        request = pb.SignOffRequest(terminal_id=terminal_id, batch_no=batch_no)
        response = services.call(services.terminals.SignOff, request)
    text = tr(f"{terminal_id} 签退, 批次 {batch_no}", f"{terminal_id}: batch {batch_no} closed")
    _decided(response.decision, text, response, output)


@app.command("heartbeat", help=tr("心跳: 服务器时间与批次。", "Heartbeat: server time and batch."))
def heartbeat(
    terminal_id: TerminalArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    front: FrontOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Ask the server's time and the terminal's present batch."""
    with Services(front_of(address, front)) as services:
        request = pb.HeartbeatRequest(terminal_id=terminal_id)
        response = services.call(services.terminals.Heartbeat, request)
    if output is Output.JSON:
        print_json(plain(response))
    else:
        print_fields({name: str(value) for name, value in plain(response).items()})


@app.command(
    "simulate", help=tr("模拟午餐高峰: 许多终端同时刷卡。", "A lunch rush of many terminals.")
)
def simulate(
    terminals: TerminalsOption = 300,
    rate: RateOption = 100.0,
    duration: SecondsOption = 0.0,
    seed: SeedOption = 1,
    files: FilesOption = DEMO_FILES,
    store: Annotated[
        Path | None,
        typer.Option(
            help=tr("流水文件; 不给则用临时文件。", "File of the keys; default: a temporary one.")
        ),
    ] = None,
    address: AddressOption = DEFAULT_ADDRESS,
    front: FrontOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Let many terminals tap at once and show what comes of it."""
    campus = load_campus(files, terminals=terminals)
    plan = Plan(rate=rate, duration_s=duration, seed=seed)
    with contextlib.ExitStack() as stack:
        path = store
        if path is None:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "keys.db"
        keys = stack.enter_context(contextlib.closing(open_store(path)))
        work = run_simulation(
            address,
            campus,
            plan,
            keys,
            front=front_of(address, front),
            quiet=output is Output.JSON,
        )
        meter, summary = asyncio.run(work)
    finish_simulation(meter, summary, output)


def load_campus(files: Path, *, terminals: int) -> Campus:
    """Read the files a simulation takes its people and terminals from."""
    try:
        campus = read_campus(files, terminals=terminals)
    except FileFormatError as error:
        raise Failure(str(error), code=Exit.LOCAL, step="--files DIRECTORY") from error
    if len(campus.terminal_ids) < terminals:
        known = len(campus.terminal_ids)
        notes.print(tr(f"文件中只有 {known} 台终端。", f"The files have only {known} terminals."))
    return campus


async def run_simulation(
    address: str,
    campus: Campus,
    plan: Plan,
    store: SqliteStore,
    *,
    front: str,
    quiet: bool = False,
    header: Sequence[str] = (),
    until: Callable[[], Coroutine[Any, Any, None]] | None = None,
    on_receipt: Callable[[Receipt], None] | None = None,
    token: TokenSource | None = None,
) -> tuple[Meter, dict[str, Any]]:
    """Simulate until the plan's end, Ctrl-C, SIGTERM, or until ``until`` returns."""
    loop = asyncio.get_running_loop()
    async with connect(front) as channel, connect_signed(address, token=token) as office:
        simulation = Simulation(
            campus,
            plan=plan,
            channel=channel,
            office=office,
            store=store,
            on_receipt=on_receipt,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, simulation.stop.set)
        shown = asyncio.create_task(
            watch(
                simulation,
                channel=office,
                console=notes if quiet else screen,
                tr=tr,
                header=header,
            )
        )
        ended = asyncio.create_task(_end_when(until, simulation)) if until is not None else None
        try:
            meter = await simulation.run()
        finally:
            for task in (shown, ended):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        questions, given_up, reversals = simulation.retries
        summary = {
            **meter.summary(loop.time()),
            "questions": questions,
            "given_up": given_up,
            "reversals": reversals,
            "unsettled": simulation.background,
        }
        return meter, summary


async def _end_when(until: Callable[[], Coroutine[Any, Any, None]], simulation: Simulation) -> None:
    await until()
    simulation.stop.set()


def finish_simulation(meter: Meter, summary: dict[str, Any], output: Output) -> None:
    """Print the summary; an answer that changed on repetition is a failed check."""
    if output is Output.JSON:
        print_json(summary)
    else:
        shown = (
            "seconds answers rate_per_s p50_ms p90_ms p99_ms max_ms results declines "
            "replays replay_mismatches given_up reversals unsettled shed"
        )
        print_fields({name: _words(summary[name]) for name in shown.split()})
    if meter.replay_mismatches:
        raise Failure(
            tr("同一流水得到不同答复。", "The same key got different answers."),
            told=True,
            code=Exit.CHECK_FAILED,
        )
    if not meter.latency.count:
        raise Failure(
            tr(f"没有任何应答: {meter.trouble}", f"Nothing was answered: {meter.trouble}"),
            told=True,
            code=Exit.UNREACHABLE,
            step=tr("先启动并装载: campuscard demo", "Start and load one first: campuscard demo"),
        )


def _words(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {count}" for name, count in value.items()) or "-"
    return str(value)
