"""A simulation on a screen: a live table, or a line now and then where there is no screen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc.aio
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from campuscard.v1 import ops_service_pb2 as ops_pb
from campuscard.v1 import ops_service_pb2_grpc as ops_grpc
from clients.terminal.meter import PERCENTILES
from clients.terminal.simulate import Simulation
from core.catalogue import BY_NAME
from core.money import format_yuan

Translate = Callable[[str, str], str]

REFRESH_S: Final = 0.5
LINE_S: Final = 5.0
STATUS_S: Final = 1.0
LISTED: Final = 8


@dataclass(slots=True, kw_only=True)
class ServerSide:
    """What the operator's door said last."""

    head_seq: int = 0
    queue_depth: int = 0
    ledger_sum_fen: int = 0
    reachable: bool = False


async def watch(
    simulation: Simulation,
    *,
    channel: grpc.aio.Channel,
    console: Console,
    tr: Translate,
    header: Sequence[str] = (),
) -> None:
    """Show a simulation until it is cancelled. ``header`` lines stay above the table."""
    server = ServerSide()
    poll = asyncio.create_task(_poll(channel, server))
    try:
        if console.is_terminal:
            await _live(simulation, server, console, tr, header)
        else:
            await _lines(simulation, server, console, tr)
    finally:
        poll.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await poll


async def _live(
    simulation: Simulation,
    server: ServerSide,
    console: Console,
    tr: Translate,
    header: Sequence[str],
) -> None:
    with Live(console=console, auto_refresh=False, transient=False) as live:
        try:
            while True:
                live.update(render(simulation, server, tr=tr, header=header), refresh=True)
                await asyncio.sleep(REFRESH_S)
        finally:
            live.update(render(simulation, server, tr=tr, header=header), refresh=True)


async def _lines(
    simulation: Simulation, server: ServerSide, console: Console, tr: Translate
) -> None:
    while True:
        await asyncio.sleep(LINE_S)
        console.print(Text(line(simulation, server, tr=tr)), soft_wrap=True)


async def _poll(channel: grpc.aio.Channel, server: ServerSide) -> None:
    stub = ops_grpc.OpsServiceStub(channel)
    while True:
        try:
            head = await stub.GetHead(ops_pb.GetHeadRequest(), timeout=STATUS_S)
            status = await stub.GetStatus(ops_pb.GetStatusRequest(), timeout=STATUS_S)
        except grpc.aio.AioRpcError:
            server.reachable = False
        else:
            server.reachable = True
            server.head_seq = head.acknowledged_seq
            server.queue_depth = status.queue_depth
            server.ledger_sum_fen = status.ledger_sum_fen
        await asyncio.sleep(STATUS_S)


def line(simulation: Simulation, server: ServerSide, *, tr: Translate) -> str:
    """One line for a log."""
    meter = simulation.meter
    now_s = asyncio.get_running_loop().time()
    approved = meter.results["approved"]
    parts = [
        f"{now_s - meter.started_s:7.1f} s",
        f"{meter.rate(now_s):7.1f}/s",
        " ".join(f"p{p} {_ms(meter.latency.percentile_us(p))}" for p in PERCENTILES),
        tr(f"批准 {approved}", f"approved {approved}"),
        tr(f"拒绝 {meter.results['declined']}", f"declined {meter.results['declined']}"),
        tr(f"重发 {meter.replays}", f"replays {meter.replays}"),
        tr(f"错误 {meter.errors.total()}", f"errors {meter.errors.total()}"),
        f"seq {server.head_seq}",
        f"Σ {format_yuan(server.ledger_sum_fen)}"
        if server.reachable
        else tr("服务器无应答", "no server"),
    ]
    return "  ".join(parts)


def render(
    simulation: Simulation, server: ServerSide, *, tr: Translate, header: Sequence[str] = ()
) -> RenderableType:
    """The whole picture: rate and waiting, results, reasons, terminals in trouble."""
    return Group(
        *(Text(text) for text in header),
        _figures(simulation, server, tr),
        Columns([_results(simulation, tr), _reasons(simulation, tr), _errors(simulation, tr)]),
    )


def _figures(simulation: Simulation, server: ServerSide, tr: Translate) -> Table:
    meter = simulation.meter
    now_s = asyncio.get_running_loop().time()
    table = Table(show_header=True, header_style="bold", expand=False)
    columns = [tr("用时", "time"), tr("笔/秒", "per second")]
    columns += [f"p{percent}" for percent in PERCENTILES] + ["max", tr("等候", "waiting")]
    columns += ["seq", tr("队列", "queue"), tr("账目之和", "sum of accounts")]
    for column in columns:
        table.add_column(column, justify="right")
    balanced = server.reachable and server.ledger_sum_fen == 0
    books = Text(
        f"{format_yuan(server.ledger_sum_fen)} ✓" if balanced else _imbalance(server, tr),
        style="green" if balanced else "red",
    )
    table.add_row(
        f"{now_s - meter.started_s:.0f} s",
        f"{meter.rate(now_s):.1f}",
        *(_ms(meter.latency.percentile_us(percent)) for percent in PERCENTILES),
        _ms(meter.latency.max_us),
        str(meter.waiting),
        str(server.head_seq),
        str(server.queue_depth),
        books,
    )
    return table


def _imbalance(server: ServerSide, tr: Translate) -> str:
    if not server.reachable:
        return tr("服务器无应答", "no server")
    return f"{format_yuan(server.ledger_sum_fen)} !"


def _results(simulation: Simulation, tr: Translate) -> Table:
    meter = simulation.meter
    questions, given_up, reversals = simulation.retries
    rows = {
        tr("批准", "approved"): str(meter.results["approved"]),
        tr("金额", "amount"): f"¥{format_yuan(meter.money_fen)}",
        tr("拒绝", "declined"): str(meter.results["declined"]),
        tr("要密码未输", "password not entered"): str(meter.results["pin_required"]),
        tr("放弃并冲正", "given up, reversed"): f"{given_up} / {reversals}",
        tr("待冲正", "to be reversed"): str(simulation.background),
        tr("问询", "questions"): str(questions),
        tr("同号重发", "same key again"): f"{meter.replays} ({meter.replay_mismatches} ≠)",
        tr("充值 / 挂失", "top-ups / losses"): f"{meter.top_ups} / {meter.losses}",
    }
    return _grid(tr("结果", "results"), rows)


def _reasons(simulation: Simulation, tr: Translate) -> Table:
    rows = {}
    for reason, count in simulation.meter.reasons.most_common(LISTED):
        known = BY_NAME.get(reason)
        # A catalogue text may hold numbers to fill in; its first words are enough here.
        words = tr(known.zh, known.en).split("{")[0].rstrip(" :(,") if known is not None else ""
        rows[words[:24] or reason] = str(count)
    return _grid(tr("拒绝原因", "declined because"), rows)


def _errors(simulation: Simulation, tr: Translate) -> Table:
    meter = simulation.meter
    rows = {terminal: str(count) for terminal, count in meter.errors.most_common(LISTED)}
    if meter.shed:
        rows[tr("排队过长离开", "left the line")] = str(meter.shed)
    if meter.trouble:
        rows[meter.trouble[:40]] = ""
    return _grid(tr("终端错误", "terminal errors"), rows)


def _grid(title: str, rows: dict[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, min_width=30)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    if not rows:
        table.add_row(Text("-", style="dim"), "")
    return table


def _ms(us: int) -> str:
    return f"{us / 1000:.1f} ms"
