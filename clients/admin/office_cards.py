"""``campuscard office``: cards from issue to use, loss, renewal, upgrade, sanctions, notices."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from clients.admin.accounts import AccountArgument, choice
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, Services
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
    tr,
)
from clients.admin.office_calls import ACT_S, act, end_items, print_list, read_pages, uid_of
from clients.admin.office_roster import DryRunOption, app
from clients.admin.payments import local_time
from clients.admin.plain import plain, reason_words
from clients.admin.words import label
from clients.campus import FileFormatError, read_cards

SLICE: Final = 400
"""Cards sent with one call."""

CardOption = Annotated[
    str, typer.Option("--card", "-c", help=tr("卡片 UID, 十六进制。", "Card UID, hexadecimal."))
]
ReasonOption = Annotated[
    str, typer.Option(help=tr("原因, 记入日志; 勿写个人信息。", "Why; no personal data."))
]
ClassOption = Annotated[str, typer.Option("--class", help=tr("班级。", "Class."))]
LimitOption = Annotated[int, typer.Option(min=1, max=1_000_000)]
BatchArgument = Annotated[int, typer.Argument(metavar="BATCH", help=tr("批次号。", "Batch."))]


def card_mark(row: pb.Card) -> str:
    """Name a card's state with its marks."""
    marks = [label(pb.CardState.DESCRIPTOR, row.state)]
    marks += [tr("挂失", "lost")] if row.lost else []
    return "+".join([*marks, *([tr("冻结", "frozen")] if row.frozen else [])])


def day_text(day: int) -> str:
    """Write a local day; empty for none."""
    return str(dt.date(1970, 1, 1) + dt.timedelta(days=day)) if day else ""


def day_number(text: str) -> int:
    """Read a date as typed, days since 1970-01-01; a wrong form is a usage error."""
    try:
        return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days if text else 0
    except ValueError as error:
        raise typer.BadParameter(f"YYYY-MM-DD: {text!r}") from error


def moment_us(text: str) -> int:
    """Read a local time as typed, microseconds since 1970 UTC; empty is 0."""
    try:
        return (
            int(dt.datetime.fromisoformat(text).astimezone().timestamp()) * 1_000_000 if text else 0
        )
    except ValueError as error:
        raise typer.BadParameter(f"YYYY-MM-DD HH:MM: {text!r}") from error


@app.command("issue", help=tr("制卡发卡: 单张或清单。", "Issue cards: one, or a list."))
def issue(
    account: Annotated[
        str, typer.Argument(metavar="ACCOUNT", help=tr("学号或工号。", "Student or staff number."))
    ] = "",
    uid: CardOption = "",
    file: Annotated[
        Path | None, typer.Option(help=tr("CSV: 学工号, 卡片UID。", "CSV: 学工号, 卡片UID."))
    ] = None,
    batch: Annotated[int, typer.Option(help=tr("加入的批次。", "Batch to add to."))] = 0,
    dry_run: DryRunOption = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Issue cards: FORMAL for holders with a photo, else TEMPORARY."""
    items = _issue_items(account, uid, file)
    results: list[pb.ItemResult] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Services(address) as services,
        Progress(*columns, console=notes, disable=output is Output.JSON) as bars,
    ):
        bar = bars.add_task(tr("发卡", "Issuing"), total=len(items))
        for start in range(0, len(items), SLICE):
            some = items[start : start + SLICE]
            request = pb.IssueCardsRequest(items=some, batch=batch, dry_run=dry_run)
            response = services.act(services.office.IssueCards, request, timeout_s=ACT_S)
            batch = response.batch
            for result in response.results:
                result.index += start
                results.append(result)
            bars.advance(bar, len(some))
    _end_issue(results, output, batch, dry_run=dry_run)


def _issue_items(account: str, uid: str, file: Path | None) -> list[pb.IssueItem]:
    if (file is None) == (not account):
        raise typer.BadParameter(
            tr("给出 ACCOUNT 与 --card, 或 --file", "ACCOUNT with --card, or --file")
        )
    if file is None:
        return [pb.IssueItem(account_no=account, uid=uid_of(uid))]
    try:
        table = read_cards(file)
    except FileFormatError as error:
        raise Failure(str(error), code=Exit.LOCAL) from error
    for fault in table.faults:
        note(f"{fault.source}: {fault.reason}")
    if table.faults or not table.rows:
        raise Failure(
            tr("清单有误, 未发卡", "The list has faults: nothing was issued"), code=Exit.USAGE
        )
    return [pb.IssueItem(account_no=row.account_no, uid=row.uid) for row in table.rows]


def _end_issue(results: list[pb.ItemResult], output: Output, batch: int, *, dry_run: bool) -> None:
    """Print each item of a dry run, else those refused; then how many in all."""
    issued = sum(not result.reason for result in results)
    if output is Output.JSON:
        told = [plain(result) for result in results]
        print_json({"batch": batch, "dry_run": dry_run, "results": told})
    else:
        rows = [
            [
                str(result.index + 1),
                result.account_no,
                reason_words(result) or label(pb.CardType.DESCRIPTOR, result.type),
            ]
            for result in results
            if dry_run or result.reason
        ]
        if rows:
            print_table(tr("序号 账号 结果", "item account result").split(), rows)
        if dry_run:
            done(tr(f"可发 {issued} 张", f"{issued} cards would be issued"))
        else:
            done(tr(f"已发 {issued} 张, 批次 {batch}", f"{issued} cards issued, batch {batch}"))
    end_items(results, output)


@app.command(
    "hand-over",
    help=tr("一批卡移交学生处。", "Hand a batch over to the student affairs office."),
)
def hand_over(
    batch: BatchArgument,
    dry_run: DryRunOption = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Hand the cards of a batch over to the student affairs office."""
    request = pb.HandOverRequest(batch=batch, dry_run=dry_run)
    response = _whole(address, "HandOver", request, "handed_over")
    text = tr(
        f"{'可移交' if dry_run else '已移交'} {response.handed_over} 张",
        f"{response.handed_over} cards {'would be ' if dry_run else ''}handed over",
    )
    _end_whole(response, [], output, text, dry_run=dry_run)


@app.command(
    "activate", help=tr("启用卡: 逐张按 UID, 或整批。", "Activate cards: by UID, or a whole batch.")
)
def activate(
    uids: Annotated[
        list[str] | None,
        typer.Argument(metavar="UID", help=tr("卡片 UID, 十六进制。", "Card UIDs, hexadecimal.")),
    ] = None,
    batch: Annotated[int, typer.Option(help=tr("整批。", "A whole batch."))] = 0,
    dry_run: DryRunOption = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Activate cards on delivery."""
    tokens = [uid_of(text) for text in uids or []]
    request = pb.ActivateCardsRequest(uids=tokens, batch=batch, dry_run=dry_run)
    response = _whole(address, "ActivateCards", request, "activated")
    text = tr(
        f"{'可启用' if dry_run else '已启用'} {response.activated} 张",
        f"{response.activated} cards {'would be ' if dry_run else ''}activated",
    )
    _end_whole(response, tokens, output, text, dry_run=dry_run)


def _whole(address: str, method: str, request: Any, count: str) -> Any:
    """Call until no card of a batch remains; the response has the count and results of all calls."""
    total, results = 0, list[pb.ItemResult]()
    with Services(address) as services:
        while True:
            response: Any = services.act(getattr(services.office, method), request, timeout_s=ACT_S)
            total += getattr(response, count)
            for result in response.results:
                result.index += len(results)
            results += response.results
            if not response.remaining:
                break
            if request.dry_run:
                request.after_card_no = response.results[-1].card_no
    setattr(response, count, total)
    del response.results[:]
    response.results.extend(results)
    return response


def _end_whole(
    response: Any, uids: list[bytes], output: Output, text: str, *, dry_run: bool
) -> None:
    """Print each card of a dry run, else those refused; then how many in all."""
    results = list(response.results)
    if output is Output.JSON:
        print_json({"dry_run": dry_run, **plain(response)})
    else:
        rows = [_result_row(item, uids) for item in results if dry_run or item.reason]
        if rows:
            columns = tr("卡号 账号 结果", "card account result").split()
            print_table([*(["UID"] if uids else []), *columns], rows)
        done(text if dry_run else f"{text}   seq {response.act.seq}")
    end_items(results, output)


def _result_row(item: pb.ItemResult, uids: list[bytes]) -> list[str]:
    uid = [uids[item.index].hex().upper()] if uids else []
    became = reason_words(item) or label(pb.CardState.DESCRIPTOR, item.state)
    return [*uid, str(item.card_no or ""), item.account_no, became]


@app.command("cards", help=tr("卡列表。", "List cards."))
def cards(
    group: ClassOption = "",
    account: Annotated[str, typer.Option(help=tr("账号。", "Account."))] = "",
    state: Annotated[str, typer.Option(help="produced, in_transit, active, returned, void_…")] = "",
    batch: Annotated[int, typer.Option(help=tr("批次。", "Batch."))] = 0,
    lost: Annotated[bool, typer.Option(help=tr("只列挂失的。", "Lost ones only."))] = False,
    expires_before: Annotated[str, typer.Option(metavar="YYYY-MM-DD")] = "",
    limit: LimitOption = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List cards in the order of their numbers."""
    request = pb.ListCardsRequest(
        class_name=group,
        account_no=account,
        state=choice(pb.CardState, state, "--state") if state else 0,  # type: ignore[arg-type] # checked
        batch=batch,
        lost=lost,
        expires_before=day_number(expires_before),
    )
    found = read_pages(address, "ListCards", request, "cards", limit)
    rows = [
        [
            str(row.card_no),
            row.account_no,
            row.name,
            row.class_name,
            label(pb.CardType.DESCRIPTOR, row.type),
            card_mark(row),
            row.uid.hex().upper(),
            day_text(row.expires_day),
        ]
        for row in found
    ]
    names = tr(
        "卡号 账号 姓名 班级 类别 状态 UID 到期", "card account name class type state UID expires"
    )
    print_list(found, output, names, rows)


@app.command("batches", help=tr("批次列表。", "List batches."))
def batches(
    limit: LimitOption = 20,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List batches, newest first."""
    found = read_pages(address, "ListBatches", pb.ListBatchesRequest(), "batches", limit)
    rows = [
        [str(n) for n in (row.batch, row.cards, row.produced, row.in_transit)]
        + [local_time(row.time_us)]
        for row in found
    ]
    names = tr("批次 张数 未移交 在途 时间", "batch cards produced in_transit time")
    print_list(found, output, names, rows)


@app.command("lose", help=tr("挂失, 任何时间。", "Report a loss, at any hour."))
def lose(
    account: AccountArgument,
    everything: Annotated[
        bool, typer.Option("--all-media", help=tr("连同手机和人脸。", "Phones and faces too."))
    ] = False,
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Report a card lost at the counter."""
    scope = pb.LOSS_SCOPE_ALL_MEDIA if everything else pb.LOSS_SCOPE_UNSPECIFIED
    request = pb.ReportLossRequest(account_no=account, scope=scope, reason=reason)
    act(
        address,
        "ReportLoss",
        request,
        output=output,
        text=tr(f"已挂失 {account}", f"{account} is lost"),
    )


@app.command(
    "unlose", help=tr("解挂: 柜台, 出示卡。", "Take a loss back: at the counter, with the card.")
)
def unlose(
    account: AccountArgument,
    uid: CardOption,
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take a loss back."""
    medium = terminal_pb.Medium(type=terminal_pb.MEDIUM_TYPE_RFID_CARD, token=uid_of(uid))
    request = pb.UnlossRequest(account_no=account, medium=medium, reason=reason)
    act(
        address,
        "Unloss",
        request,
        output=output,
        text=tr(f"已解挂 {account}", f"{account} is found"),
    )


@app.command("upgrade", help=tr("临时卡换正式卡, 免费。", "A formal card for a temporary one."))
def upgrade(
    account: AccountArgument,
    uid: CardOption,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make the formal successor of a temporary card."""
    request = pb.UpgradeTemporaryRequest(account_no=account, uid=uid_of(uid))
    text = tr(f"已换正式卡 {account}", f"{account} has a formal card")
    act(address, "UpgradeTemporary", request, output=output, text=text)


@app.command("renew", help=tr("延期。", "Give a card a new expiry."))
def renew(
    account: AccountArgument,
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD")] = "",
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Renew a card."""
    request = pb.RenewCardRequest(account_no=account, expires_day=day_number(until), reason=reason)
    act(
        address,
        "RenewCard",
        request,
        output=output,
        text=tr(f"已延期 {account}", f"{account} renewed"),
    )
