"""``campuscard office``: replacement cases, sanctions, leave to be late, notices."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from clients.admin.accounts import AccountArgument, choice
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption
from clients.admin.console import (
    Exit,
    Failure,
    Output,
    OutputOption,
    print_fields,
    print_json,
    tr,
    yuan,
)
from clients.admin.office_calls import act, print_list, read, read_pages, uid_of
from clients.admin.office_cards import (
    CardOption,
    ClassOption,
    LimitOption,
    ReasonOption,
    moment_us,
)
from clients.admin.office_roster import app
from clients.admin.payments import amount, local_time
from clients.admin.plain import plain
from clients.admin.words import label

replace_app: Final = typer.Typer(
    no_args_is_help=True, help=tr("补卡: 开单、材料、查看、作废。", "Replacement cases.")
)
app.add_typer(replace_app, name="replace")

CaseArgument = Annotated[int, typer.Argument(metavar="CASE", help=tr("补卡单号。", "Case."))]
NeededReason = Annotated[
    str, typer.Option("--reason", help=tr("原因, 必填。", "Why; needed."), show_default=False)
]
ReceiptOption = Annotated[str, typer.Option(help=tr("收据号。", "Number of the receipt."))]
PaidOption = Annotated[
    str,
    typer.Option(
        metavar="YYYY-MM-DD HH:MM", help=tr("缴费时间; 默认现在。", "When it was paid; now.")
    ),
]


@replace_app.command("open", help=tr("开补卡单; 须先挂失。", "Open a case; the card is lost."))
def open_case(
    account: AccountArgument,
    faulty: Annotated[bool, typer.Option(help=tr("制造缺陷。", "The maker's fault."))] = False,
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Open the replacement case of a lost card."""
    request = pb.OpenReplacementRequest(account_no=account, faulty=faulty, reason=reason)
    text = tr(f"已开补卡单 {account}", f"A case is open for {account}")
    act(address, "OpenReplacement", request, output=output, text=text)


@replace_app.command("attach", help=tr("上传表格、照片、收据。", "Attach form, photo, receipt."))
def attach(
    case: CaseArgument,
    paper: Annotated[str, typer.Argument(help="form, photo, receipt.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Attach a paper to a case."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}", code=Exit.LOCAL) from error
    request = pb.AttachDocumentRequest(
        case_no=case,
        paper=choice(pb.CasePaper, paper, "PAPER"),  # type: ignore[arg-type] # checked there
        content=content,
    )
    act(
        address,
        "AttachDocument",
        request,
        output=output,
        text=tr(f"已上传 {paper}", f"{paper} attached"),
    )


@replace_app.command("show", help=tr("查看补卡单。", "Show a case."))
def show_case(
    case: CaseArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show a case and what may happen to it next."""
    response = read(address, "GetCase", pb.GetCaseRequest(case_no=case))
    if output is Output.JSON:
        print_json(plain(response))
        return
    found = response.case
    print_fields(
        {
            tr("班级", "Class"): found.class_name,
            tr("状态", "State"): label(pb.CaseState.DESCRIPTOR, found.state),
            tr("缺", "Missing"): ", ".join(found.missing),
            tr(
                "费用", "Fee"
            ): f"{yuan(found.fee_fen)} {label(pb.FeeState.DESCRIPTOR, found.fee_state)}",
            tr("收据", "Receipt"): found.receipt_no,
            tr("旧卡/新卡", "Old/new card"): f"{found.old_card_no} / {found.new_card_no or '-'}",
            tr("可办", "Legal"): ", ".join(response.legal),
        },
        title=f"{found.case_no}  {found.account_no}  {found.name}",
    )


@replace_app.command("cancel", help=tr("作废补卡单。", "Give a case up."))
def cancel(
    case: CaseArgument,
    reason: NeededReason,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Cancel a case before its card is made."""
    request = pb.CancelCaseRequest(case_no=case, reason=reason)
    act(
        address,
        "CancelCase",
        request,
        output=output,
        text=tr(f"已作废 {case}", f"Case {case} cancelled"),
    )


@app.command("cases", help=tr("补卡单列表。", "List cases."))
def cases(
    group: ClassOption = "",
    state: Annotated[str, typer.Option(help="open, docs, ready, card_made, …")] = "",
    limit: LimitOption = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List cases, newest first."""
    request = pb.ListCasesRequest(
        class_name=group,
        state=choice(pb.CaseState, state, "--state") if state else 0,  # type: ignore[arg-type] # checked
    )
    found = read_pages(address, "ListCases", request, "cases", limit)
    rows = [
        [
            str(row.case_no),
            row.account_no,
            row.name,
            row.class_name,
            label(pb.CaseState.DESCRIPTOR, row.state),
            ", ".join(row.missing),
            label(pb.FeeState.DESCRIPTOR, row.fee_state),
        ]
        for row in found
    ]
    print_list(
        found,
        output,
        tr("单号 账号 姓名 班级 状态 缺 费用", "case account name class state missing fee"),
        rows,
    )


@app.command("fee", help=tr("确认工本费。", "Confirm the fee of a case."))
def fee(
    case: CaseArgument,
    receipt: ReceiptOption,
    amount_yuan: Annotated[str, typer.Option("--amount", help=tr("元。", "Yuan."))],
    paid: PaidOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Confirm that the fee of a case was paid."""
    request = pb.ConfirmFeeRequest(
        case_no=case,
        receipt_no=receipt,
        amount_fen=amount(amount_yuan),
        paid_time_us=moment_us(paid) or time.time_ns() // 1_000,
    )
    act(
        address,
        "ConfirmFee",
        request,
        output=output,
        text=tr(f"已确认 {receipt}", f"{receipt} confirmed"),
    )


@app.command("waive-fee", help=tr("减免工本费: 两人。", "Waive a fee: two persons."))
def waive_fee(
    case: CaseArgument,
    reason: NeededReason,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Propose to waive a fee, or agree as a second person."""
    request = pb.WaiveFeeRequest(case_no=case, reason=reason)
    act(address, "WaiveFee", request, output=output, text=tr("已记录", "Recorded"))


@app.command("refund-fee", help=tr("工本费退款入账。", "Book a fee back."))
def refund_fee(
    case: CaseArgument,
    reason: NeededReason,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Book the fee of a cancelled case back."""
    request = pb.RefundFeeRequest(case_no=case, reason=reason)
    act(address, "RefundFee", request, output=output, text=tr("已退", "Refunded"))


@app.command("make", help=tr("制新卡, 旧卡作废。", "Make the new card; the old one is void."))
def make(
    case: CaseArgument,
    uid: CardOption,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make the new card of a case."""
    request = pb.MakeCardRequest(case_no=case, uid=uid_of(uid))
    act(address, "MakeCard", request, output=output, text=tr(f"已制卡 {uid}", f"Card {uid} made"))


@app.command("fail-make", help=tr("写卡失败, 卡号作废。", "A card could not be encoded."))
def fail_make(
    case: CaseArgument,
    reason: NeededReason,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Burn the number of a card that could not be encoded."""
    request = pb.FailMakeRequest(case_no=case, reason=reason)
    act(address, "FailMake", request, output=output, text=tr("卡号已作废", "The number is burnt"))


@app.command("pick-up", help=tr("领新卡。", "Hand the new card out."))
def pick_up(
    case: CaseArgument,
    uid: CardOption,
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Hand the new card to its holder."""
    request = pb.PickUpRequest(case_no=case, uid=uid_of(uid), reason=reason)
    act(address, "PickUp", request, output=output, text=tr(f"已领 {uid}", f"Card {uid} handed out"))


# ---- sanctions, hours, notices ----


def _whom(request: Any, account: str, uid: str) -> Any:
    if bool(account) == bool(uid):
        raise typer.BadParameter(tr("账号或 --card 二选一", "an account or --card, one of both"))
    if account:
        request.account_no = account
    else:
        request.medium.type = terminal_pb.MEDIUM_TYPE_RFID_CARD
        request.medium.token = uid_of(uid)
    return request


OptionalAccount = Annotated[str, typer.Argument(metavar="ACCOUNT")]


@app.command("warn", help=tr("警告。", "Warn a holder."))
def warn(
    account: AccountArgument,
    reason: NeededReason,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Warn a holder."""
    request = pb.WarnRequest(account_no=account, reason=reason)
    act(address, "Warn", request, output=output, text=tr(f"已警告 {account}", f"{account} warned"))


@app.command("suspend", help=tr("暂停使用: 账户或一张卡。", "Suspend an account or one card."))
def suspend(
    reason: NeededReason,
    account: OptionalAccount = "",
    uid: CardOption = "",
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD HH:MM")] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Suspend an account or one card."""
    request = pb.SuspendRequest(reason=reason, until_time_us=moment_us(until))
    text = tr(f"已暂停 {account or uid}", f"{account or uid} suspended")
    act(address, "Suspend", _whom(request, account, uid), output=output, text=text)


@app.command("resume", help=tr("恢复使用。", "End a suspension."))
def resume(
    reason: NeededReason,
    account: OptionalAccount = "",
    uid: CardOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """End a suspension."""
    request = _whom(pb.ResumeRequest(reason=reason), account, uid)
    text = tr(f"已恢复 {account or uid}", f"{account or uid} resumed")
    act(address, "Resume", request, output=output, text=text)


@app.command("override-hours", help=tr("主管: 允许一次非时段办理。", "One act outside the hours."))
def override_hours(
    account: AccountArgument,
    operation: Annotated[str, typer.Argument(help="unloss, make_card, pick_up, …")],
    reason: NeededReason,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let one act at the counter pass outside its hours today."""
    request = pb.OverrideHoursRequest(
        account_no=account,
        operation=choice(pb.CounterOperation, operation, "OPERATION"),  # type: ignore[arg-type] # checked
        reason=reason,
    )
    act(address, "OverrideHours", request, output=output, text=tr("已允许一次", "Allowed once"))


@app.command("notices", help=tr("通知: 领卡、警告、暂停。", "Notices."))
def notices(
    group: ClassOption = "",
    unread: Annotated[bool, typer.Option(help=tr("只列未读。", "Unread ones only."))] = False,
    limit: LimitOption = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List notices, newest first."""
    request = pb.ListNoticesRequest(class_name=group, unread=unread)
    found = read_pages(address, "ListNotices", request, "notices", limit)
    rows = [
        [
            str(row.seq),
            label(pb.NoticeKind.DESCRIPTOR, row.kind),
            row.account_no,
            row.name,
            row.class_name,
            local_time(row.time_us),
            row.text,
        ]
        for row in found
    ]
    print_list(
        found,
        output,
        tr("序号 类别 账号 姓名 班级 时间 内容", "seq kind account name class time text"),
        rows,
    )


@app.command("acknowledge", help=tr("通知已阅。", "Say that a notice was read."))
def acknowledge(
    seq: Annotated[int, typer.Argument(metavar="SEQ")],
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say that a notice was read."""
    request = pb.AcknowledgeNoticeRequest(seq=seq)
    act(address, "AcknowledgeNotice", request, output=output, text=tr("已阅", "Read"))
