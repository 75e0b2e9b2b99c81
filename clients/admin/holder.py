"""``campuscard holder``: self-service from the command line, as the phone does it.

The holder's session is kept beside that of staff, under its own name. Passwords are asked for, or
taken from the environment; never from the command line, which other users of a machine can read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from google.protobuf.message import Message

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import card_office_service_pb2 as cards_pb
from campuscard.v1 import holder_service_pb2 as pb
from campuscard.v1 import staff_service_pb2 as staff_pb
from clients.admin.accounts import choice, finish
from clients.admin.calls import (
    DEFAULT_ADDRESS,
    AddressOption,
    Response,
    Services,
    new_request_id,
)
from clients.admin.console import (
    Exit,
    Failure,
    Output,
    OutputOption,
    done,
    note,
    print_fields,
    print_json,
    print_table,
    tr,
)
from clients.admin.payments import amount, local_time, print_history, wallet_fields
from clients.admin.plain import enum_word, plain
from clients.admin.staff import print_acts, secret
from clients.session import forget_session, keep_session, signed_metadata, token_for

app: Final = typer.Typer(
    no_args_is_help=True,
    help=tr("自助: 查询、挂失、密码、限额。", "Self-service: account, loss, passwords, limits."),
)

QUERY_VARIABLE: Final = "CAMPUSCARD_QUERY_PASSWORD"
NEW_QUERY_VARIABLE: Final = "CAMPUSCARD_NEW_QUERY_PASSWORD"
PIN_VARIABLE: Final = "CAMPUSCARD_PIN"
NEW_PIN_VARIABLE: Final = "CAMPUSCARD_NEW_PIN"
PAGE: Final = 1_000

LimitOption = Annotated[int, typer.Option(min=1, max=100_000, help=tr("最多几条。", "At most."))]


@app.command("sign-in", help=tr("用查询密码登录。", "Sign in with the query password."))
def sign_in(
    account: Annotated[
        str, typer.Argument(metavar="NUMBER", help=tr("学号或工号。", "Student or staff number."))
    ],
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Sign in and keep the session."""
    request = pb.HolderServiceSignInRequest(account_no=account, query_password=_query_password())
    with Services(address) as services:
        response = services.call(services.holders.SignIn, request)
    path = keep_session(
        _kept(address), name=account, token=response.token, until_us=response.until_us
    )
    if output is Output.JSON:
        facts = {"account_no": account, "until_us": response.until_us, "file": str(path)}
        print_json(facts | {"must_change": plain(response.must_change)})
        return
    until = local_time(response.until_us)
    done(tr(f"已登录: {account}, 至 {until}", f"Signed in: {account}, until {until}"))
    _remind(response.must_change)


@app.command("sign-out", help=tr("退出登录。", "Sign out."))
def sign_out(address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT) -> None:
    """End the session and forget it."""
    try:
        with Services(address) as services:
            _call(services, services.holders.SignOut, pb.HolderServiceSignOutRequest())
    finally:
        forget_session(_kept(address))
    if output is Output.JSON:
        print_json({"signed_out": True})
    else:
        done(tr("已退出", "Signed out"))


@app.command("show", help=tr("账户、余额、限额、卡片。", "Account, money, limits, cards."))
def show(address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT) -> None:
    """Show one's own account."""
    with Services(address) as services:
        mine = _call(services, services.holders.GetMyAccount, pb.GetMyAccountRequest())
    if output is Output.JSON:
        print_json(plain(mine))
        return
    holder = mine.account
    print_fields(
        {
            tr("班级/部门", "Class"): holder.class_name,
            tr("状态", "Status"): enum_word(accounts_pb.AccountStatus.DESCRIPTOR, holder.status),
            **wallet_fields(mine.wallets),
        },
        title=f"{holder.account_no}  {holder.name}",
    )
    rows = [
        [
            str(card.card_no),
            enum_word(cards_pb.CardType.DESCRIPTOR, card.type),
            enum_word(cards_pb.CardState.DESCRIPTOR, card.state),
            local_time(card.lost_time_us) if card.lost else "",
            tr("是", "yes") if card.frozen else "",
        ]
        for card in mine.cards
    ]
    print_table(tr("卡号 种类 状态 挂失 冻结", "card type state lost frozen").split(), rows)
    _remind(mine.must_change)


@app.command("transactions", help=tr("自己的流水。", "One's own history."))
def transactions(
    limit: LimitOption = 20,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List what happened to one's own account, newest first."""
    found: list[accounts_pb.AccountTransaction] = []
    request = pb.ListMyTransactionsRequest()
    with Services(address) as services:
        while len(found) < limit:
            request.page_size = min(PAGE, limit - len(found))
            page = _call(services, services.holders.ListMyTransactions, request)
            found += page.transactions
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    if output is Output.JSON:
        print_json([plain(record) for record in found])
    else:
        print_history(found)


@app.command("lose", help=tr("挂失: 任何时间, 立即生效。", "Report a loss: at any hour, at once."))
def lose(
    account: Annotated[
        str,
        typer.Option(
            "--account",
            "-a",
            help=tr("未登录时: 学号或工号, 再输入查询密码。", "Without a session: the number."),
        ),
    ] = "",
    scope: Annotated[
        str, typer.Option(help=tr("card 仅卡片, all_media 全部介质。", "card or all_media."))
    ] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Report one's own card lost."""
    request = pb.HolderServiceReportLossRequest(account_no=account, request_id=new_request_id())
    if scope:
        request.scope = choice(cards_pb.LossScope, scope, "--scope")  # type: ignore[assignment] # checked
    with Services(address) as services:
        if account:
            request.query_password = _query_password()
            response = services.call(services.holders.ReportLoss, request)
        else:
            response = _call(services, services.holders.ReportLoss, request)
    when = local_time(response.lost_time_us)
    text = tr(f"已挂失, 自 {when} 起", f"Reported lost since {when}")
    finish(response, output, text)
    if output is not Output.JSON:
        note(tr("解挂请持卡到服务中心", "To take it back, come to the card centre with the card"))


@app.command("change-query-password", help=tr("修改查询密码。", "Change the query password."))
def change_query_password(
    address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT
) -> None:
    """Change the query password; all sessions end."""
    request = pb.ChangeQueryPasswordRequest(
        request_id=new_request_id(), old_password=_query_password()
    )
    request.new_password, request.confirm_password = new_password(NEW_QUERY_VARIABLE)
    with Services(address) as services:
        response = _call(services, services.holders.ChangeQueryPassword, request)
    forget_session(_kept(address))
    _finish_change(response, output, tr("查询密码已改, 请重新登录", "Changed: sign in again"))


@app.command(
    "change-transaction-password", help=tr("修改交易密码。", "Change the transaction password.")
)
def change_transaction_password(
    address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT
) -> None:
    """Change the transaction password."""
    old = secret(PIN_VARIABLE, tr("原交易密码: ", "Present transaction password: "))
    request = pb.ChangeTransactionPasswordRequest(request_id=new_request_id(), old_password=old)
    request.new_password, request.confirm_password = new_password(NEW_PIN_VARIABLE)
    with Services(address) as services:
        response = _call(services, services.holders.ChangeTransactionPassword, request)
    _finish_change(response, output, tr("交易密码已改", "Transaction password changed"))


@app.command(
    "limits", help=tr("个人限额; 调高需交易密码。", "Personal limits; a raise needs the PIN.")
)
def limits(
    day: Annotated[
        str, typer.Option(help=tr("日限额 (元) 或 default。", "Yuan, or default."))
    ] = "",
    meal: Annotated[
        str, typer.Option(help=tr("餐限额 (元) 或 default。", "Yuan, or default."))
    ] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Set or clear one's own limits; the transaction password is asked for when one rises."""
    request = pb.SetMyLimitsRequest(
        request_id=new_request_id(),
        default_day_limit=day == "default",
        default_meal_limit=meal == "default",
    )
    if day and day != "default":
        request.day_limit_fen = amount(day)
    if meal and meal != "default":
        request.meal_limit_fen = amount(meal)
    with Services(address) as services:
        try:
            response = _call(services, services.holders.SetMyLimits, request)
        except Failure as failure:
            if failure.reason != "PASSWORD_REFUSED":
                raise
            request.request_id = new_request_id()
            request.transaction_password = secret(
                PIN_VARIABLE, tr("交易密码: ", "Transaction password: ")
            )
            response = _call(services, services.holders.SetMyLimits, request)
    finish(response, output, tr("限额已设", "Limits set"))


@app.command("qr", help=tr("本人手机的动态二维码。", "A code for one's own phone."))
def qr(address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT) -> None:
    """Make a dynamic code; a device that draws it reads the text."""
    with Services(address) as services:
        response = _call(services, services.holders.IssueQr, pb.IssueQrRequest())
    if output is Output.JSON:
        print_json(plain(response))
        return
    until = local_time(response.until_time_us)
    note(tr(f"至 {until}, 只能用一次", f"until {until}, for one use"))
    print(response.qr)


@app.command("acts", help=tr("谁对我的账户做了什么。", "Who did what about one's account."))
def acts(
    limit: LimitOption = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List acts about one's own account, newest first."""
    found: list[staff_pb.ActEntry] = []
    request = pb.ListMyActsRequest()
    with Services(address) as services:
        while len(found) < limit:
            request.page_size = min(PAGE, limit - len(found))
            page = _call(services, services.holders.ListMyActs, request)
            found += page.acts
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    if output is Output.JSON:
        print_json([plain(act) for act in found])
    else:
        print_acts(found)


# -- what they share ------------------------------------------------------------------------------


def _kept(address: str) -> str:
    """Return the name a holder's session of a server is kept under."""
    return f"holder@{address}"


def _call(services: Services, method: Callable[..., Response], request: Message) -> Response:
    """Call as the holder who is signed in."""
    token = token_for(_kept(services.address))
    if not token:
        raise Failure(
            tr("请先登录。", "Nobody is signed in."),
            code=Exit.REFUSED,
            step="campuscard holder sign-in NUMBER",
            reason="SESSION_REQUIRED",
        )
    return services.call(method, request, metadata=signed_metadata(token))


def _query_password() -> str:
    return secret(QUERY_VARIABLE, tr("查询密码: ", "Query password: "))


def new_password(variable: str) -> tuple[str, str]:
    """Ask for a new password and for its repetition; the server compares them."""
    new = secret(variable, tr("新密码: ", "New password: "))
    return new, secret(variable, tr("再次输入新密码: ", "New password again: "))


def _finish_change(response: Any, output: Output, text: str) -> None:
    finish(response, output, text)
    if output is not Output.JSON:
        if response.weak_rule:
            note(tr(f"弱密码: {response.weak_rule}", f"A weak password: {response.weak_rule}"))
        _remind(response.must_change)


def _remind(must_change: pb.MustChange) -> None:
    if must_change.query_password:
        note(
            tr("请修改初始查询密码: ", "Change the initial query password: ")
            + "campuscard holder change-query-password"
        )
    if must_change.transaction_password:
        note(
            tr("请修改初始交易密码: ", "Change the initial transaction password: ")
            + "campuscard holder change-transaction-password"
        )
