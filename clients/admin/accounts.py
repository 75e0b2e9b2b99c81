"""``campuscard account …``: holders, what carries their accounts, and money that comes in."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer

from campuscard.v1 import account_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, Services, new_request_id
from clients.admin.console import (
    Output,
    OutputOption,
    done,
    print_fields,
    print_json,
    print_table,
    tr,
    yuan,
)
from clients.admin.payments import CardOption, amount, local_time, wallet_fields
from clients.admin.plain import enum_number, plain
from clients.admin.words import label
from clients.terminal import card

app: Final = typer.Typer(
    no_args_is_help=True,
    help=tr("账户、介质、限额、密码、充值。", "Accounts, media, limits, passwords, top-ups."),
)

AccountArgument = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help=tr("学号或工号。", "Student or staff number."))
]


def finish(response: Any, output: Output, text: str) -> None:
    """Print the end of an act: its message as JSON, or one line with its place in the journal."""
    if output is Output.JSON:
        print_json(plain(response))
        return
    again = tr(" (已办过)", " (was done before)") if response.act.replayed else ""
    done(f"{text}   seq {response.act.seq}{again}")


def choice(enum: Any, word: str, option: str) -> int:
    """Read an enum's word; a wrong one is a usage error that lists the right ones."""
    try:
        return enum_number(enum.DESCRIPTOR, word)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from error


def card_medium(uid: str) -> terminal_pb.Medium:
    """Read a card's UID as given."""
    try:
        return card(uid)
    except ValueError as error:
        raise typer.BadParameter(f"--card: {error}") from error


def ask_secret(given: str, zh: str, en: str) -> str:
    """Return a password given as an option, or ask for it without showing it."""
    if given or not sys.stdin.isatty():
        return given
    return str(typer.prompt(tr(zh, en), hide_input=True))


@app.command("open", help=tr("开户, 可同时绑卡。", "Open an account, with a first card if given."))
def open_account(
    account: AccountArgument,
    name: Annotated[str, typer.Option(help=tr("姓名。", "Name."))],
    kind: Annotated[str, typer.Option(help="student, staff, temporary, operator.")] = "student",
    group: Annotated[
        str, typer.Option("--class", help=tr("班级或部门。", "Class or department."))
    ] = "",
    id_number: Annotated[
        str,
        typer.Option(
            help=tr(
                "身份证号, 只用于初始密码, 不保存。", "Only makes the first password; not kept."
            )
        ),
    ] = "",
    uid: CardOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Open an account, with a first card if given."""
    request = pb.OpenAccountRequest(
        account_no=account,
        kind=choice(pb.HolderKind, kind, "--kind"),  # type: ignore[arg-type] # checked just there
        name=name,
        class_name=group,
        id_number=id_number,
        medium=card_medium(uid) if uid else None,
    )
    with Services(address) as services:
        response = services.act(services.accounts.OpenAccount, request)
    finish(response, output, tr(f"已开户 {account}", f"Opened {account}"))


@app.command("show", help=tr("账户、钱包、介质。", "Holder, wallets and media."))
def show(
    account: AccountArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show holder, wallets and media."""
    with Services(address) as services:
        request = pb.GetAccountRequest(account_no=account)
        response = services.call(services.accounts.GetAccount, request)
    if output is Output.JSON:
        print_json(plain(response))
        return
    holder = response.account
    print_fields(
        {
            tr("班级/部门", "Class"): holder.class_name,
            tr("类别", "Kind"): label(pb.HolderKind.DESCRIPTOR, holder.kind),
            tr("状态", "Status"): label(pb.AccountStatus.DESCRIPTOR, holder.status),
            **({tr("原因", "Held by"): _holds_text(holder)} if holder.holds else {}),
            tr("初始密码未改", "Initial password"): tr("是", "yes")
            if holder.must_change_pin
            else "",
            **wallet_fields(response.wallets),
            tr("热水转款", "Open transfer"): _transfer_text(response),
        },
        title=f"{holder.account_no}  {holder.name}",
    )
    rows = [
        [
            label(terminal_pb.MediumType.DESCRIPTOR, bound.medium.type),
            bound.medium.token.hex().upper(),
            label(pb.MediumState.DESCRIPTOR, bound.state),
            local_time(bound.lost_time_us) if bound.lost else "",
            tr("是", "yes") if bound.frozen else "",
        ]
        for bound in response.media
    ]
    print_table(tr("介质 标识 状态 挂失 冻结", "medium token state lost frozen").split(), rows)


def _transfer_text(response: pb.GetAccountResponse) -> str:
    """Say which transfer to the water purse is open, and since when; empty: none."""
    if not response.HasField("open_transfer"):
        return ""
    found = response.open_transfer
    state = tr("待结清", "to be settled") if found.grey else tr("待回报", "awaiting its machine")
    since, fen = local_time(found.time_us), yuan(found.amount_fen)
    return f"seq {found.seq}  {fen}  {since}  {found.terminal_id}  {state}"


def _holds_text(holder: pb.Account) -> str:
    """Say what holds an account and until when; empty where nothing does."""
    words = [label(pb.AccountHold.DESCRIPTOR, hold) for hold in holder.holds]
    until = local_time(holder.sanction_until_us) if holder.sanction_until_us else ""
    return ", ".join(words) + (
        tr(f", 处分至 {until}", f", sanction until {until}") if until else ""
    )


@app.command("list", help=tr("账户列表。", "List accounts."))
def list_accounts(
    group: Annotated[str, typer.Option("--class")] = "",
    name: Annotated[str, typer.Option(help=tr("姓名开头。", "Names that begin so."))] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000)] = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List accounts in order of their number."""
    request = pb.ListAccountsRequest(class_name=group, name_prefix=name)
    with Services(address) as services:
        found = services.pages(services.accounts.ListAccounts, request, "accounts", limit=limit)
    if output is Output.JSON:
        print_json([plain(account) for account in found])
        return
    rows = [
        [
            account.account_no,
            account.name,
            account.class_name,
            label(pb.AccountStatus.DESCRIPTOR, account.status),
        ]
        for account in found
    ]
    print_table(tr("账号 姓名 班级/部门 状态", "account name class status").split(), rows)


@app.command(
    "unbind", help=tr("退回的卡解绑, 以便重新写卡。", "Take a returned card off its account.")
)
def unbind(
    uid: CardOption,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take a card that was given back off its account, to encode it anew."""
    with Services(address) as services:
        request = pb.UnbindMediumRequest(medium=card_medium(uid))
        response = services.act(services.accounts.UnbindMedium, request)
    finish(response, output, tr(f"已解绑 {uid}", f"Unbound {uid}"))


@app.command(
    "status",
    help=tr(
        "销户: closing, closed; 撤回: normal。",
        "Close an account: closing, closed; take it back: normal.",
    ),
)
def set_status(
    account: AccountArgument,
    status: Annotated[str, typer.Argument(help="closing, closed, normal.")],
    note: Annotated[
        str, typer.Option(help=tr("原因, 勿写个人信息。", "Why; no personal data."))
    ] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Close an account, or take the beginning of it back."""
    request = pb.SetAccountStatusRequest(
        account_no=account,
        status=choice(pb.AccountStatus, status, "STATUS"),  # type: ignore[arg-type] # checked there
        note=note,
    )
    with Services(address) as services:
        response = services.act(services.accounts.SetAccountStatus, request)
    before = label(pb.AccountStatus.DESCRIPTOR, response.previous_status)
    finish(response, output, f"{account}: {before} → {status}")


@app.command("erase", help=tr("抹除已销户持卡人的身份信息。", "Erase who a closed account was of."))
def erase(
    account: AccountArgument,
    reason: Annotated[
        str, typer.Option(help=tr("原因, 勿写个人信息。", "Why; no personal data."))
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help=tr("不再询问。", "Do not ask."))] = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Destroy the holder's key: there is no way back."""
    if not yes:
        question = tr(f"永久抹除 {account} 的身份信息?", f"Erase for ever who {account} was?")
        typer.confirm(question, abort=True)
    request = pb.EraseHolderRequest(account_no=account, reason=reason)
    with Services(address) as services:
        response = services.act(services.accounts.EraseHolder, request)
    finish(response, output, tr(f"{account}: 已抹除", f"{account}: erased"))


@app.command("limits", help=tr("个人限额。", "Personal limits."))
def limits(
    account: AccountArgument,
    day: Annotated[
        str, typer.Option(help=tr("日限额 (元) 或 default。", "Yuan, or default."))
    ] = "",
    meal: Annotated[
        str, typer.Option(help=tr("餐限额 (元) 或 default。", "Yuan, or default."))
    ] = "",
    pin: Annotated[
        str, typer.Option(help=tr("调高时需要。", "Needed to raise one."), envvar="CAMPUSCARD_PIN")
    ] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Set or clear the holder's own limits."""
    request = pb.SetPersonalLimitsRequest(
        account_no=account, default_day_limit=day == "default", default_meal_limit=meal == "default"
    )
    request.pin = pin
    if day and day != "default":
        request.day_limit_fen = amount(day)
    if meal and meal != "default":
        request.meal_limit_fen = amount(meal)
    with Services(address) as services:
        response = services.act(services.accounts.SetPersonalLimits, request)
    finish(response, output, tr(f"已设限额 {account}", f"Limits of {account} set"))


@app.command("password", help=tr("改交易密码。", "Change the transaction password."))
def password(
    account: AccountArgument,
    old: Annotated[str, typer.Option(envvar="CAMPUSCARD_PIN")] = "",
    new: Annotated[str, typer.Option(envvar="CAMPUSCARD_NEW_PIN")] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Change the transaction password; both are asked for when not given."""
    request = pb.SetTransactionPasswordRequest(account_no=account)
    request.old_pin = ask_secret(old, "原密码", "Old password")
    request.new_pin = ask_secret(new, "新密码", "New password")
    with Services(address) as services:
        response = services.act(services.accounts.SetTransactionPassword, request)
    finish(response, output, tr("密码已改", "Password changed"))


@app.command("reset-password", help=tr("重置为初始密码并解锁。", "Back to the initial password."))
def reset_password(
    account: AccountArgument,
    id_number: Annotated[str, typer.Option(help=tr("身份证号, 不保存。", "Not kept."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give back the initial password and unlock it; the holder stands at the counter."""
    request = pb.ResetTransactionPasswordRequest(account_no=account, id_number=id_number)
    with Services(address) as services:
        response = services.act(services.accounts.ResetTransactionPassword, request)
    finish(response, output, tr("密码已重置", "Password reset"))


@app.command(
    "reset-query-password",
    help=tr("重置查询密码, 解除自助服务锁定。", "Query password back to the initial one."),
)
def reset_query_password(
    account: AccountArgument,
    id_number: Annotated[str, typer.Option(help=tr("身份证号, 不保存。", "Not kept."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give back the initial query password; ends the lock of self-service and all sessions."""
    request = pb.ResetQueryPasswordRequest(account_no=account, id_number=id_number)
    with Services(address) as services:
        response = services.act(services.accounts.ResetQueryPassword, request)
    finish(response, output, tr("查询密码已重置", "Query password reset"))


@app.command("topup", help=tr("充值。", "Credit money that came in."))
def topup(
    account: AccountArgument,
    amount_yuan: Annotated[str, typer.Option("--amount", help=tr("元。", "Yuan."))],
    source: Annotated[str, typer.Option(help="cash, wechat, bank.")] = "cash",
    receipt: Annotated[
        str,
        typer.Option(
            help=tr("渠道流水或收据号; 只入账一次。", "Channel or receipt number; credited once.")
        ),
    ] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Credit money that came in through a channel."""
    request = pb.TopUpRequest(
        account_no=account,
        source=choice(pb.TopUpSource, source, "--source"),  # type: ignore[arg-type] # checked there
        channel_txn_id=receipt or f"CLI-{new_request_id()}",
        amount_fen=amount(amount_yuan),
    )
    with Services(address) as services:
        response = services.act(services.accounts.TopUp, request)
    finish(response, output, _with_balance(tr("已充值", "Credited"), response.online_fen))


def _with_balance(done: str, fen: int) -> str:
    """Name the balance after a credit; the finance office gets 0, which says nothing."""
    return done + tr(f", 余额 {yuan(fen)}", f", balance {yuan(fen)}") if fen else done


@app.command("subsidy", help=tr("发补助。", "Credit a subsidy."))
def subsidy(
    account: AccountArgument,
    amount_yuan: Annotated[str, typer.Option("--amount", help=tr("元。", "Yuan."))],
    label: Annotated[str, typer.Option(help=tr("哪项补助。", "Which subsidy."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Credit a subsidy."""
    request = pb.GrantSubsidyRequest(
        account_no=account, amount_fen=amount(amount_yuan), label=label
    )
    with Services(address) as services:
        response = services.act(services.accounts.GrantSubsidy, request)
    finish(response, output, _with_balance(tr("已发放", "Granted"), response.subsidy_fen))
