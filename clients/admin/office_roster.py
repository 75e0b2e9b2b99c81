"""``campuscard office …``: rosters, holders and photos."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import grpc
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import roster_pb2 as pb
from clients.admin.accounts import AccountArgument, choice, finish
from clients.admin.calls import (
    DEFAULT_ADDRESS,
    AddressOption,
    Services,
    failure_of,
    new_request_id,
)
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
    print_table,
    tr,
)
from clients.admin.payments import local_time
from clients.admin.plain import plain
from clients.admin.words import label

PIECE: Final = 61_440
"""Bytes of one piece of a file on its way."""
IMPORT_S: Final = 1_800.0
"""How long an import or an upload may take."""
SHOWN: Final = 20
"""Refused rows a person is shown; --report has all of them."""
_CELL_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

app: Final = typer.Typer(
    no_args_is_help=True,
    help=tr(
        "卡务: 名册、照片、持卡人、制卡、挂失、补卡、退卡。",
        "The card office: rosters, photos, holders, cards.",
    ),
)

FileArgument = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, metavar="FILE")
]
ClassOption = Annotated[
    str, typer.Option("--class", help=tr("只限此班级或部门。", "This class or department only."))
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help=tr("只检查, 不写入。", "Check only, write nothing."))
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        dir_okay=False,
        metavar="FILE.csv",
        help=tr("把有问题的行写入此文件。", "Write what is refused or warned of to this file."),
    ),
]


# ---- rosters ----


@app.command(
    "import",
    help=tr(
        "导入《信息收集汇总表》(.xlsx 或 .csv)。中断后再次导入同一文件即可继续。",
        "Import a roster (.xlsx or .csv). After an interruption import the same file again.",
    ),
)
def import_roster(
    file: FileArgument,
    group: ClassOption = "",
    kind: Annotated[str, typer.Option(help="student, staff.")] = "student",
    dry_run: DryRunOption = False,
    report: ReportOption = None,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Import a roster."""
    header = pb.ImportHoldersHeader(
        request_id=new_request_id(),
        file_name=file.name,
        kind=choice(accounts_pb.HolderKind, kind, "--kind"),  # type: ignore[arg-type] # checked
        class_name=group,
        dry_run=dry_run,
    )

    def requests() -> Iterator[pb.ImportHoldersRequest]:
        yield pb.ImportHoldersRequest(header=header)
        for piece in _pieces(file):
            yield pb.ImportHoldersRequest(content=piece)

    rows: list[pb.RowResult] = []
    summary = pb.ImportSummary()
    with Services(address) as services, _bar(output) as bar:
        task = bar.add_task(file.name, total=None)
        for response in _each(services.office.ImportHolders, requests(), address):
            part = response.WhichOneof("part")
            if part == "rows":
                rows += response.rows.rows
                bar.advance(task, len(response.rows.rows))
            elif part == "progress":
                _known_total(bar, task, response.progress.rows)
            else:
                summary = response.summary
        _known_total(bar, task, summary.rows)
    noted = [row for row in rows if row.faults or row.warnings]
    _write_report(
        report, ["line", "account_no", "outcome", "field", "reason", "text"], _lines(noted)
    )
    _end_import(summary, noted, output)


def _lines(rows: Sequence[pb.RowResult]) -> Iterator[list[str]]:
    for row in rows:
        outcome = label(pb.RowOutcome.DESCRIPTOR, row.outcome)
        for fault in (*row.faults, *row.warnings):
            text = tr(fault.text_zh, fault.text_en)
            yield [str(row.line), row.account_no, outcome, fault.field, fault.reason, text]


def _end_import(summary: pb.ImportSummary, noted: Sequence[pb.RowResult], output: Output) -> None:
    if output is Output.JSON:
        print_json({"summary": plain(summary), "rows": [plain(row) for row in noted]})
    else:
        refused = [row for row in noted if row.faults]
        shown = list(_lines(refused[:SHOWN])) + list(
            _lines([row for row in noted if not row.faults][:SHOWN])
        )
        if shown:
            columns = tr("行 账号 结果 栏目 原因 说明", "line account outcome column reason text")
            print_table(columns.split(), shown)
        if len(noted) > SHOWN:
            note(tr("更多见 --report FILE.csv", "More with --report FILE.csv"))
        did = tr("检查", "Checked") if summary.dry_run else tr("导入", "Imported")
        numbers = (summary.added, summary.changed, summary.unchanged, summary.refused)
        zh = "新增 {}, 变更 {}, 不变 {}, 拒绝 {}"
        en = "{} new, {} changed, {} unchanged, {} refused"
        done(f"{did} {summary.rows}: {tr(zh, en).format(*numbers)}")
    if summary.refused:
        raise Failure(
            tr(f"{summary.refused} 行被拒绝。", f"{summary.refused} rows were refused."),
            step=tr("改正后再次导入同一文件。", "Correct them, then import the file again."),
            told=output is Output.JSON,
        )


# ---- photos ----


@app.command(
    "photos",
    help=tr(
        "提交照片: 一个 .zip, 或若干 .jpg。文件名为 姓名+学号。",
        "Send photos: a .zip, or .jpg files, named name and number of the holder.",
    ),
)
def photos(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            metavar="FILE",
            help=tr("一个 .zip, 或若干 .jpg。", "One .zip, or .jpg files."),
        ),
    ],
    recent_frontal: Annotated[
        bool,
        typer.Option(
            "--recent-frontal",
            help=tr(
                "本人确认均为近期正面免冠照。", "I have looked: recent portraits, from the front."
            ),
        ),
    ] = False,
    dry_run: DryRunOption = False,
    report: ReportOption = None,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Send photos."""
    archives = [file for file in files if file.suffix.lower() == ".zip"]
    if archives and len(files) > 1:
        raise typer.BadParameter(tr("一次只能提交一个 .zip", "one .zip at a time"))
    with Services(address) as services, _bar(output) as bar:
        if archives:
            header = pb.UploadPhotoArchiveHeader(
                request_id=new_request_id(),
                file_name=files[0].name,
                recent_frontal=recent_frontal,
                dry_run=dry_run,
            )
            found = _send_archive(services, files[0], header, bar)
        else:
            found = _send_photos(
                services, files, bar, recent_frontal=recent_frontal, dry_run=dry_run
            )
    refused = [photo for photo in found if photo.outcome == pb.PHOTO_OUTCOME_REFUSED]
    lines = [
        [photo.file_name, photo.fault.reason, tr(photo.fault.text_zh, photo.fault.text_en)]
        for photo in refused
    ]
    _write_report(report, ["file", "reason", "text"], lines)
    _end_photos(found, lines, output, dry_run=dry_run)


def _send_archive(
    services: Services, file: Path, header: pb.UploadPhotoArchiveHeader, bar: Progress
) -> list[pb.PhotoResult]:
    def requests() -> Iterator[pb.UploadPhotoArchiveRequest]:
        yield pb.UploadPhotoArchiveRequest(header=header)
        for piece in _pieces(file):
            yield pb.UploadPhotoArchiveRequest(content=piece)

    found: list[pb.PhotoResult] = []
    task = bar.add_task(file.name, total=None)
    for response in _each(services.office.UploadPhotoArchive, requests(), services.address):
        part = response.WhichOneof("part")
        if part == "photos":
            found += response.photos.photos
            bar.advance(task, len(response.photos.photos))
        else:
            told = response.progress.rows if part == "progress" else response.summary.photos
            _known_total(bar, task, told)
    return found


def _send_photos(
    services: Services,
    files: Sequence[Path],
    bar: Progress,
    *,
    recent_frontal: bool,
    dry_run: bool,
) -> list[pb.PhotoResult]:
    """Send photos singly; one that is refused does not stop the others."""
    found = []
    task = bar.add_task(tr("照片", "photos"), total=len(files))
    for file in files:
        request = pb.UploadPhotoRequest(
            file_name=file.name,
            content=file.read_bytes(),
            recent_frontal=recent_frontal,
            dry_run=dry_run,
        )
        result = pb.PhotoResult(file_name=file.name)
        try:
            sent = services.act(services.office.UploadPhoto, request, timeout_s=60)
        except Failure as failure:
            if failure.code is not Exit.REFUSED:
                raise
            result.outcome = pb.PHOTO_OUTCOME_REFUSED
            result.fault.reason = failure.reason
            result.fault.text_zh = result.fault.text_en = failure.text
        else:
            result.outcome = pb.PHOTO_OUTCOME_ADDED
            result.account_no, result.version = sent.account_no, sent.version
        found.append(result)
        bar.advance(task)
    return found


def _end_photos(
    found: Sequence[pb.PhotoResult], lines: list[list[str]], output: Output, *, dry_run: bool
) -> None:
    if output is Output.JSON:
        print_json([plain(photo) for photo in found])
    else:
        if lines:
            print_table(tr("文件 原因 说明", "file reason text").split(), lines[:SHOWN])
        taken = len(found) - len(lines)
        words = tr("可接收", "would be taken") if dry_run else tr("接收", "taken")
        done(tr(f"{words} {taken}, 拒绝 {len(lines)}", f"{taken} {words}, {len(lines)} refused"))
    if lines:
        raise Failure(
            tr(f"{len(lines)} 张照片被拒绝。", f"{len(lines)} photos were refused."),
            told=output is Output.JSON,
        )


@app.command("photo", help=tr("取出持卡人的照片。", "Get a holder's photo."))
def photo(
    account: AccountArgument,
    to: Annotated[Path, typer.Option("--to", dir_okay=False, metavar="FILE.jpg")],
    version: Annotated[int, typer.Option(min=0, help=tr("0: 最新。", "0: the newest."))] = 0,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Get a holder's photo."""
    with Services(address) as services:
        request = pb.GetPhotoRequest(account_no=account, version=version)
        found = services.call(services.office.GetPhoto, request)
    to.write_bytes(found.content)
    if output is Output.JSON:
        told = plain(found)
        del told["content"]
        print_json({"file": str(to), **told})
        return
    done(f"{to}  {found.width}x{found.height}  v{found.version}")


# ---- holders ----


@app.command("holders", help=tr("持卡人列表。", "List holders."))
def holders(
    group: ClassOption = "",
    name: Annotated[str, typer.Option(help=tr("姓名开头。", "Names that begin so."))] = "",
    number: Annotated[str, typer.Option(help=tr("账号开头。", "Numbers that begin so."))] = "",
    status: Annotated[
        str, typer.Option(help="enrolled, on_leave, graduated, withdrawn, staff_left.")
    ] = "",
    photo: Annotated[
        str, typer.Option("--photo", help=tr("with 有照片, without 无照片。", "with, without."))
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000)] = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List holders."""
    request = pb.ListHoldersRequest(
        class_name=group,
        name_prefix=name,
        account_no_prefix=number,
        status=choice(pb.HolderStatus, status, "--status") if status else 0,  # type: ignore[arg-type] # checked
        photo=choice(pb.PhotoFilter, photo, "--photo") if photo else 0,  # type: ignore[arg-type] # checked
    )
    with Services(address) as services:
        found = services.pages(services.office.ListHolders, request, "holders", limit=limit)
    if output is Output.JSON:
        print_json([plain(holder) for holder in found])
        return
    rows = [
        [
            holder.account_no,
            holder.name,
            holder.class_name,
            label(pb.HolderStatus.DESCRIPTOR, holder.status),
            str(holder.photo_version or ""),
        ]
        for holder in found
    ]
    print_table(
        tr("账号 姓名 班级/部门 状态 照片", "account name class status photo").split(), rows
    )


@app.command("holder", help=tr("查看或更改一名持卡人。", "Show or change one holder."))
def holder(
    account: AccountArgument,
    name: Annotated[str | None, typer.Option(help=tr("新姓名。", "New name."))] = None,
    group: Annotated[
        str | None, typer.Option("--class", help=tr("新班级或部门。", "New class or department."))
    ] = None,
    phone: Annotated[
        str | None, typer.Option(help=tr("新电话; 空则删除。", "New telephone; empty removes it."))
    ] = None,
    status: Annotated[
        str, typer.Option(help="enrolled, on_leave, graduated, withdrawn, staff_left.")
    ] = "",
    reason: Annotated[str, typer.Option(help=tr("原因, 记入日志。", "Why, for the journal."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show or change one holder."""
    changes: dict[str, Any] = {"name": name, "class_name": group, "phone": phone}
    changes = {field: value for field, value in changes.items() if value is not None}
    with Services(address) as services:
        if changes or status:
            request = pb.ChangeHolderRequest(account_no=account, reason=reason, **changes)
            if status:
                request.status = choice(pb.HolderStatus, status, "--status")  # type: ignore[assignment] # checked
            response = services.act(services.office.ChangeHolder, request)
            finish(response, output, tr(f"已更改 {account}", f"Changed {account}"))
            return
        found = services.call(services.office.GetHolder, pb.GetHolderRequest(account_no=account))
    if output is Output.JSON:
        print_json(plain(found.holder))
        return
    _print_holder(found.holder)


def _print_holder(found: pb.Holder) -> None:
    print_fields(
        {
            tr("班级/部门", "Class"): found.class_name,
            tr("类别", "Kind"): label(accounts_pb.HolderKind.DESCRIPTOR, found.kind),
            tr("状态", "Status"): label(pb.HolderStatus.DESCRIPTOR, found.status),
            tr("账户", "Account"): label(
                accounts_pb.AccountStatus.DESCRIPTOR, found.account_status
            ),
            tr("电话", "Telephone"): found.phone,
            tr("照片", "Photo"): str(found.photo_version or tr("无", "none")),
            tr("开户", "Opened"): local_time(found.open_time_us),
            tr("已清除", "Erased"): tr("是", "yes") if found.erased else "",
        },
        title=f"{found.account_no}  {found.name}",
    )


# ---- what they share ----


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


def _each(method: Any, requests: Iterator[Any], address: str) -> Iterator[Any]:
    try:
        yield from method(requests, timeout=IMPORT_S)
    except grpc.RpcError as error:
        raise failure_of(error, address) from error


def _bar(output: Output) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=notes, disable=output is Output.JSON, transient=True)


def _known_total(bar: Progress, task: TaskID, total: int) -> None:
    if total:
        bar.update(task, total=total)


def _write_report(
    file: Path | None, heading: Sequence[str], lines: Iterator[list[str]] | list[list[str]]
) -> None:
    """Write CSV for spreadsheets; no cell of it can become a formula."""
    if file is None:
        return
    try:
        with file.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(heading)
            for line in lines:
                writer.writerow(["'" + c if c.startswith(_CELL_STARTS) else c for c in line])
    except OSError as error:
        raise Failure(
            tr(f"写不了 {file}: {error}", f"Cannot write {file}: {error}"), code=Exit.LOCAL
        ) from error
