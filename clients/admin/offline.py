"""``verify``, ``dump``, ``follow``, ``restore``: what is done with a journal apart from serving it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from clients.admin.calls import DEFAULT_ADDRESS, AddressOption
from clients.admin.console import (
    Exit,
    Failure,
    Output,
    OutputOption,
    done,
    note,
    notes,
    print_fields,
    print_json,
    tr,
    yuan,
)
from clients.admin.local import ConfigOption, settings_of
from clients.session import Bearer, token_for

if TYPE_CHECKING:
    from server.offline.verify import Verdict

STEP_RECORDS: Final = 1000


class StateHash(StrEnum):
    """How often the state hash is recomputed."""

    SAMPLED = "sampled"
    EVERY = "every"
    OFF = "off"


DataArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DIRECTORY]",
        help=tr("数据目录; 默认按配置。", "Data directory; default: the configuration's."),
    ),
]
StateHashOption = Annotated[
    StateHash,
    typer.Option(
        help=tr("状态哈希: 抽样、每块、不算。", "State hash: now and then, every block, never.")
    ),
]


@contextlib.contextmanager
def bar(text: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error; yields what to call with (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} / {task.total:,.0f}"),
        TimeRemainingColumn(),
    )
    show = notes.is_terminal and not quiet
    with Progress(*columns, console=notes, disable=not show, transient=True) as bars:
        task: TaskID = bars.add_task(text, total=1)

        def progress(count: int, total: int) -> None:
            bars.update(task, completed=count, total=max(total, 1))

        yield progress


@contextlib.contextmanager
def offline_errors() -> Iterator[None]:
    """Turn what the offline tools raise into words for a person."""
    from server.offline.files import DirectoryError, DirectoryInUse
    from server.offline.findings import Difference

    try:
        yield
    except DirectoryInUse as error:
        step = tr(
            "先停服务器, 或核对一份副本。",
            "Stop the server, or use a copy: campuscard follow --to COPY",
        )
        raise Failure(str(error), code=Exit.LOCAL, step=step) from error
    except (DirectoryError, OSError) as error:
        raise Failure(str(error), code=Exit.LOCAL) from error
    except Difference as error:
        raise Failure(str(error), code=Exit.CHECK_FAILED, reason="VERIFY_FAILED") from error


def data_directory(given: Path | None, config: Path | None) -> Path:
    """Return the directory given, or the configuration's."""
    return given if given is not None else settings_of(config).data.directory


def verify(
    directory: DataArgument = None,
    state_hash: StateHashOption = StateHash.SAMPLED,
    config: ConfigOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Walk a stopped or copied journal from its first record and keep the books again."""
    quiet = output is Output.JSON
    verdict = walk(data_directory(directory, config), state_hash=state_hash, quiet=quiet)
    if quiet:
        print_json(verdict_fields(verdict))
    judge(verdict, show=not quiet)


def walk(data: Path, *, state_hash: StateHash = StateHash.SAMPLED, quiet: bool = False) -> Verdict:
    """Verify a directory, with a progress bar."""
    from server.offline import verify as tool

    with offline_errors(), bar(tr("校验", "Verifying"), quiet=quiet) as progress:
        return tool.run(data, state_hash=state_hash.value, progress=progress)


def judge(verdict: Verdict, *, show: bool) -> None:
    """Show a good verdict; a difference is a failed check.

    Raises:
        Failure: it is not good; the JSON, if any, was printed before.
    """
    if not verdict.ok:
        raise Failure(
            tr(
                f"校验失败 seq {verdict.bad_seq}: {verdict.difference}",
                f"Verification failed at seq {verdict.bad_seq}: {verdict.difference}",
            ),
            code=Exit.CHECK_FAILED,
            reason="VERIFY_FAILED",
            step=tr(
                "停用此目录, 从镜像恢复: campuscard restore MIRROR NEW",
                "Stop using this directory; restore the mirror: campuscard restore MIRROR NEW",
            ),
            told=True,
        )
    if show:
        show_verdict(verdict)


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain values."""
    return {
        "ok": verdict.ok,
        "difference": verdict.difference,
        "bad_seq": verdict.bad_seq,
        "head_seq": verdict.head_seq,
        "segments": verdict.segments,
        "blocks": verdict.blocks,
        "records": verdict.records,
        "seconds": round(verdict.seconds, 3),
        "sum_fen": verdict.sum_fen,
        "chain": verdict.chain.hex(),
        "state_hash": verdict.state_hash.hex(),
        "checked": verdict.checked,
        "types": verdict.types,
    }


def show_verdict(verdict: Verdict) -> None:
    """Print a good verdict."""
    done(
        tr(
            f"校验通过: {verdict.records:,} 条记录, {verdict.blocks:,} 个区块, {verdict.seconds:.1f} s",
            f"Verified: {verdict.records:,} records in {verdict.blocks:,} blocks, {verdict.seconds:.1f} s",
        )
    )
    print_fields(
        {
            tr("序号连续到", "Gap-free up to seq"): f"{verdict.head_seq:,}",
            tr("全部账户之和", "Sum of all accounts"): yuan(verdict.sum_fen),
            tr("链哈希", "Chain hash"): verdict.chain.hex(),
            tr("状态哈希", "State hash"): verdict.state_hash.hex(),
            **{name: f"{count:,}" for name, count in verdict.checked.items()},
        }
    )


def dump(
    directory: DataArgument = None,
    account: Annotated[
        int,
        typer.Option(
            min=0,
            help=tr("只要此账户 (日志编号)。", "Only this account, by its number in the journal."),
        ),
    ] = 0,
    from_seq: Annotated[int, typer.Option("--from", min=1)] = 1,
    to_seq: Annotated[
        int, typer.Option("--to", min=0, help=tr("0 = 到最后。", "0: to the end."))
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help=tr("写入文件; 默认标准输出。", "File; default: standard output.")),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write records of a stopped or copied journal as JSON lines."""
    from server.offline import dump as tool

    data = data_directory(directory, config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(offline_errors())
        file = (
            stack.enter_context(out.open("w", encoding="utf-8")) if out is not None else sys.stdout
        )
        text = tr("导出", "Dumping")
        progress = stack.enter_context(bar(text, quiet=out is None))
        with contextlib.suppress(BrokenPipeError):  # `| head` has seen enough
            result = tool.run(
                data, file, account=account, from_seq=from_seq, to_seq=to_seq, progress=progress
            )
            note(tr(f"{result.records:,} 条", f"{result.records:,} records"))


def follow(
    to: Annotated[
        Path,
        typer.Option("--to", help=tr("副本目录; 可续传。", "The copy; goes on where it stopped.")),
    ],
    stop_at_head: Annotated[
        bool, typer.Option(help=tr("追上即止。", "End when it has caught up."))
    ] = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Copy a running server's journal and files, checked: backup, mirror, audit copy."""
    from server.offline import follow as tool

    stopping = False

    def on_signal(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    try:
        with (
            offline_errors(),
            bar(tr("跟随", "Following"), quiet=output is Output.JSON) as progress,
        ):
            result = tool.run(
                address,
                to,
                stop_at_head=stop_at_head,
                progress=progress,
                stop=lambda: stopping,
                interceptors=[Bearer(lambda: token_for(address))],
            )
    except tool.FollowError as error:
        raise Failure(str(error), code=Exit.UNREACHABLE) from error
    if output is Output.JSON:
        print_json(
            {
                "directory": result.directory,
                "from_seq": result.from_seq,
                "last_seq": result.last_seq,
                "head_seq": result.head_seq,
                "blocks": result.blocks,
                "size_bytes": result.size_bytes,
                "seconds": round(result.seconds, 3),
                "complete": result.complete,
                "chain": result.chain.hex(),
                "files": result.files.copied,
                "files_bytes": result.files.size_bytes,
                "files_missing": result.files.missing,
            }
        )
        return
    if result.files.missing:
        note(
            tr(
                f"源服务器缺少或损坏 {result.files.missing} 个照片或材料文件。",
                f"The source has lost {result.files.missing} photos or papers, or they are damaged.",
            )
        )
    done(
        tr(
            f"{to}: 到 seq {result.last_seq:,} (源 {result.head_seq:,}), {result.blocks:,} 个区块,"
            f" {result.files.copied:,} 个文件",
            f"{to}: at seq {result.last_seq:,} of {result.head_seq:,}, {result.blocks:,} blocks and"
            f" {result.files.copied:,} files copied",
        )
    )


def restore(
    source: Annotated[
        Path, typer.Argument(help=tr("跟随或复制得到的目录。", "A followed or copied directory."))
    ],
    target: Annotated[
        Path | None,
        typer.Argument(
            help=tr("新数据目录; 不给则只校验。", "The new data directory; none: only check.")
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help=tr("与之相配的密钥文件。", "The key file that goes with it.")),
    ] = None,
    state_hash: StateHashOption = StateHash.SAMPLED,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check a copy completely and make it a directory to serve from."""
    from server.offline import restore as tool

    bars = {"verify": tr("校验", "Verifying"), "copy": tr("复制", "Copying")}
    with offline_errors(), bar(bars["verify"], quiet=output is Output.JSON) as progress:
        result = tool.run(
            source,
            target,
            key_file=key_file,
            state_hash=state_hash.value,
            progress=lambda _, count, total: progress(count, total),
        )
    if output is Output.JSON:
        print_json(
            {
                "verdict": verdict_fields(result.verdict),
                "directory": result.directory,
                "last_seq": result.last_seq,
                "blocks": result.blocks,
                "seconds": round(result.seconds, 3),
                "missing": list(result.missing),
            }
        )
    elif result.ok:
        show_verdict(result.verdict)
        if result.directory:
            done(tr(f"已恢复到 {result.directory}", f"Restored to {result.directory}"))
    for name in result.missing if target is not None else ():
        note(
            tr(
                f"缺 {name}/: 从它自己的备份取回。",
                f"{name}/ is missing: bring it from its own backup.",
            )
        )
    if not result.ok:
        raise Failure(
            f"seq {result.verdict.bad_seq}: {result.verdict.difference}",
            told=True,
            code=Exit.CHECK_FAILED,
            reason="VERIFY_FAILED",
        )
