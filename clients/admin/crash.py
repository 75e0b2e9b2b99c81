"""``campuscard demo crash``: pull the plug under a running campus and look for every answer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Final

import typer

from clients.admin import offline
from clients.admin.console import Exit, Failure, Output, OutputOption, done, note, print_json, tr
from clients.admin.demo import (
    DIRECTORY,
    FAILURES_SHOWN,
    KEEP_S,
    DirectoryOption,
    Places,
    running,
)
from clients.admin.payments import open_store
from clients.admin.terminals import (
    DEMO_FILES,
    FilesOption,
    RateOption,
    SeedOption,
    TerminalsOption,
    load_campus,
    run_simulation,
)
from clients.terminal import Key, Receipt, connect
from clients.terminal.link import Answer, Decided, Link, NotYet, Unknown
from clients.terminal.simulate import Plan

ASK_S: Final = 10.0
ASK_TRIES: Final = 20
ASK_PAUSE_S: Final = 0.5


def crash(
    directory: DirectoryOption = DIRECTORY,
    seconds: Annotated[
        float,
        typer.Option(min=2, help=tr("秒, 一半时断电。", "Seconds; the plug is pulled halfway.")),
    ] = 10.0,
    rate: RateOption = 200.0,
    terminals: TerminalsOption = 300,
    seed: SeedOption = 1,
    files: FilesOption = DEMO_FILES,
    output: OutputOption = Output.TEXT,
) -> None:
    """Kill the server mid-traffic, restart it, and check that no answer was lost."""
    campus = load_campus(files, terminals=terminals)
    plan = Plan(rate=rate, duration_s=seconds, seed=seed)
    answered: list[Receipt] = []
    free = "127.0.0.1:0"
    there = Places(address=free, front=free, metrics=free)
    with running(directory, files, there) as (server, _, staff):

        async def pull_the_plug() -> None:
            await asyncio.sleep(seconds / 2)
            server.kill()
            note(tr("⚡ kill -9, 重启中…", "⚡ kill -9, restarting…"))
            server.launch()
            await asyncio.to_thread(server.wait_ready)
            await asyncio.to_thread(staff.sign_in)  # sessions end with the process
            note(tr("服务器已恢复。", "The server is back."))
            await server.ended()

        with contextlib.closing(open_store(directory / "terminals.db", keep_s=KEEP_S)) as store:
            work = run_simulation(
                server.address,
                campus,
                plan,
                store,
                front=server.front_address,
                quiet=output is Output.JSON,
                until=pull_the_plug,
                on_receipt=answered.append,
                token=staff.token,
            )
            _, summary = asyncio.run(work)
        lost = asyncio.run(lost_answers(server.front_address, answered))
    kept = [receipt for receipt in answered if receipt.final]
    if output is Output.TEXT:
        done(
            tr(
                f"断电前后共 {len(kept)} 个答复, 丢失 {len(lost)} 个; 放弃 {summary['given_up']}, "
                f"冲正确认 {summary['reversals']}",
                f"{len(kept)} answers before and after the power cut, {len(lost)} lost; "
                f"{summary['given_up']} given up, {summary['reversals']} reversed",
            )
        )
    if lost or summary["unsettled"]:
        raise Failure(
            tr("有答复丢失!", "Answers were lost!"),
            code=Exit.CHECK_FAILED,
            step="\n  ".join(lost[:FAILURES_SHOWN]),
        )
    verdict = offline.walk(directory / "data", quiet=output is Output.JSON)
    if output is Output.JSON:
        fields = {"answers": len(kept), "lost": 0, "traffic": summary}
        print_json(fields | {"verdict": offline.verdict_fields(verdict)})
    offline.judge(verdict, show=output is Output.TEXT)


async def lost_answers(address: str, answered: list[Receipt]) -> list[str]:
    """Ask the server for every decision a terminal was told; say which it does not have."""
    gate = asyncio.Semaphore(64)
    lost: list[str] = []
    async with connect(address) as channel:
        link = Link(channel)

        async def one(receipt: Receipt) -> None:
            async with gate:
                answer = await _ask(link, receipt.key)
            if not isinstance(answer, Decided):
                lost.append(f"{receipt.key} seq {receipt.seq}: {answer}")
            elif answer.decision.seq != receipt.seq:
                lost.append(f"{receipt.key} seq {receipt.seq}: now {answer.decision.seq}")

        await asyncio.gather(*(one(receipt) for receipt in answered if receipt.final))
    return lost


async def _ask(link: Link, key: Key) -> Answer:
    """Ask until there is an answer that says something."""
    answer = await link.ask(key, timeout_s=ASK_S)
    for _ in range(ASK_TRIES):
        if not isinstance(answer, NotYet | Unknown):
            break
        await asyncio.sleep(answer.wait_s if isinstance(answer, NotYet) else ASK_PAUSE_S)
        answer = await link.ask(key, timeout_s=ASK_S)
    return answer
