"""``pay``, ``balance``, ``history``, ``transaction``: the money of one card."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from google.protobuf.message import Message
from rich.text import Text

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, FrontOption, Services, front_of
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
    screen,
    tr,
    yuan,
)
from clients.admin.plain import plain
from clients.admin.words import label
from clients.session import state_directory
from clients.terminal import Receipt, Result, SqliteStore, Terminal, card, connect, now_us
from clients.terminal.errors import (
    BatchRegressedError,
    ServerUnreachableError,
    SignInRefusedError,
    StoreBusyError,
)
from core.catalogue import BY_NAME
from core.money import format_yuan, parse_yuan

COUNTER: Final = "COUNTER-001"
KEEP_S: Final = 90 * 86_400  # how long a till remembers

AccountOption = Annotated[
    str, typer.Option("--account", "-a", help=tr("学号或工号。", "Student or staff number."))
]
CardOption = Annotated[
    str, typer.Option("--card", "-c", help=tr("卡片 UID, 十六进制。", "Card UID, hexadecimal."))
]
TerminalOption = Annotated[
    str,
    typer.Option(
        "--terminal",
        "-t",
        envvar="CAMPUSCARD_TERMINAL",
        help=tr("以哪台终端的名义。", "Which terminal this is."),
    ),
]


def amount(text: str) -> int:
    """Read yuan as typed; a wrong form is a usage error."""
    try:
        return parse_yuan(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def local_time(time_us: int) -> str:
    """Write a server time in this machine's zone."""
    moment = dt.datetime.fromtimestamp(time_us // 1_000_000, tz=dt.UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def medium_of(services: Services, account: str, uid: str) -> terminal_pb.Medium:
    """Return the card given by its UID, or the newest usable medium of an account."""
    if bool(account) == bool(uid):
        raise typer.BadParameter(tr("请给出 --account 或 --card 之一", "give --account or --card"))
    if uid:
        try:
            return card(uid)
        except ValueError as error:
            raise typer.BadParameter(f"--card: {error}") from error
    request = accounts_pb.GetAccountRequest(account_no=account)
    response = services.call(services.accounts.GetAccount, request)
    for bound in response.media:
        if bound.state == accounts_pb.MEDIUM_STATE_ACTIVE and not bound.lost:
            return bound.medium
    raise Failure(
        tr(f"{account} 没有可用的卡。", f"{account} has no medium that may be used."),
        step=f"campuscard account show {account}",
    )


def pay(
    amount_yuan: Annotated[
        str, typer.Option("--amount", help=tr("金额 (元), 如 12.50。", "Yuan, as 12.50."))
    ],
    account: AccountOption = "",
    uid: CardOption = "",
    terminal_id: TerminalOption = COUNTER,
    pin: Annotated[
        str,
        typer.Option(
            envvar="CAMPUSCARD_PIN",
            help=tr("交易密码; 不给则在需要时询问。", "Transaction password; asked for if needed."),
        ),
    ] = "",
    send_twice: Annotated[
        bool,
        typer.Option(
            help=tr(
                "同一流水再发一次, 看是否只扣一次。",
                "Send the same key again, to see it charge once.",
            )
        ),
    ] = False,
    store: Annotated[
        Path | None,
        typer.Option(help=tr("终端流水的存放文件。", "File where the terminal saves its keys.")),
    ] = None,
    address: AddressOption = DEFAULT_ADDRESS,
    front: FrontOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Charge a card at a terminal, through the same SDK a vendor would use."""
    amount_fen = amount(amount_yuan)
    with Services(address) as services:
        medium = medium_of(services, account, uid)
    path = store if store is not None else state_directory() / f"terminal-{terminal_id}.db"
    work = _pay(
        front_of(address, front), terminal_id, path, medium, amount_fen, pin=pin, twice=send_twice
    )
    receipts = asyncio.run(work)
    if output is Output.JSON:
        shown = [_receipt_fields(receipt) for receipt in receipts]
        print_json(shown if send_twice else shown[0])
    else:
        for receipt in receipts:
            _show_receipt(receipt, amount_fen)
    if not receipts[0].deliver:
        code = Exit.UNREACHABLE if receipts[0].result is Result.GIVEN_UP else Exit.REFUSED
        raise typer.Exit(code)


async def _pay(
    address: str,
    terminal_id: str,
    path: Path,
    medium: terminal_pb.Medium,
    amount_fen: int,
    *,
    pin: str,
    twice: bool,
) -> list[Receipt]:
    store = open_store(path)
    try:
        async with connect(address) as channel:
            for last in (False, True):
                terminal = Terminal(terminal_id, channel=channel, store=store)
                try:
                    async with terminal:
                        receipt = await terminal.pay(medium, amount_fen, pin=pin, ask_pin=_keypad)
                        return [receipt, await terminal.repeat(receipt)] if twice else [receipt]
                except BatchRegressedError as error:
                    if last:
                        raise Failure(str(error), code=Exit.LOCAL) from error
                    store.close()
                    store = _new_store(path)
                except SignInRefusedError as error:
                    raise _sign_in_failure(error, terminal_id) from error
                except ServerUnreachableError as error:
                    raise Failure(str(error), code=Exit.UNREACHABLE) from error
    finally:
        store.close()
    raise AssertionError  # the loop returns or raises


def open_store(path: Path, *, wait_s: int = 5, keep_s: int = KEEP_S) -> SqliteStore:
    """Open a terminal's store; another command that has it open is waited for."""
    for _ in range(wait_s * 10):
        try:
            return SqliteStore(path, now_us=now_us(), keep_s=keep_s)
        except StoreBusyError:
            time.sleep(0.1)
        except OSError as error:
            raise Failure(f"{path}: {error.strerror}", code=Exit.LOCAL) from error
    raise Failure(
        tr(f"{path} 正被另一个进程使用。", f"{path} is in use by another process."),
        code=Exit.LOCAL,
        step=tr("另选文件: --store PATH", "Choose another file: --store PATH"),
    )


def _new_store(path: Path) -> SqliteStore:
    """The server was set up anew: put the old keys aside, they belong to another journal."""
    aside = path.with_name(f"{path.name}.{time.time_ns() // 1_000_000_000}.old")
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(aside.with_name(aside.name + suffix))
    note(
        tr(
            f"服务器是新建的, 旧流水移到 {aside}",
            f"The server is a new one; old keys moved to {aside}",
        )
    )
    return open_store(path)


def _sign_in_failure(error: SignInRefusedError, terminal_id: str) -> Failure:
    return Failure(
        tr(f"终端 {terminal_id} 签到被拒: {error.reason}", f"Terminal {terminal_id}: {error}"),
        reason=error.reason,
        step=tr(
            "查看终端: campuscard merchant terminals   新建: campuscard merchant add-terminal",
            "List terminals: campuscard merchant terminals   Add: campuscard merchant add-terminal",
        ),
    )


async def _keypad(receipt: Receipt) -> str | None:
    if not sys.stdin.isatty():
        return None
    refusal = receipt.decision.refusal
    note(tr(refusal.text_zh, refusal.text_en))
    text = await asyncio.to_thread(
        typer.prompt, tr("交易密码", "Transaction password"), default="", hide_input=True
    )
    return str(text) or None


def _receipt_fields(receipt: Receipt) -> dict[str, Any]:
    return {
        "result": receipt.result.value,
        "reason": receipt.reason,
        "key": {
            "terminal_id": receipt.key.terminal_id,
            "batch_no": receipt.key.batch_no,
            "terminal_seq": receipt.key.terminal_seq,
        },
        "decision": plain(receipt.decision),
    }


def _show_receipt(receipt: Receipt, amount_fen: int) -> None:
    decision = receipt.decision
    again = tr("  (原结果重发)", "  (the first answer again)") if receipt.replayed else ""
    if receipt.deliver:
        done(
            tr("已扣款 ", "Charged ")
            + yuan(receipt.approved_fen)
            + tr("   余额 ", "   balance ")
            + yuan(receipt.balance_fen)
            + tr("   流水号 ", "   seq ")
            + str(receipt.seq)
            + tr("   授权码 ", "   code ")
            + receipt.auth_code
            + again
        )
        return
    refusal = decision.refusal
    text = tr(refusal.text_zh, refusal.text_en) or receipt.reason
    clause = f"  [{refusal.clause}]" if refusal.clause else ""
    line = f"{yuan(amount_fen)}: {text} ({receipt.reason}){clause}{again}"
    screen.print(Text.assemble(("✗ ", "red"), line))
    if receipt.result is Result.GIVEN_UP:
        note(
            tr(
                "结果未知: 冲正已保存, 下次运行时继续。请勿交付。",
                "Outcome unknown: a reversal is saved and goes on next time. Do not deliver.",
            )
        )
        return
    if step := _next_step(receipt):
        note(f"  {step}")


def _next_step(receipt: Receipt) -> str:
    """Say what to do after a refusal."""
    if receipt.reason == "PIN_REQUIRED":
        return tr("带密码再试: --pin 六位数字", "Again with the password: --pin SIX_DIGITS")
    known = BY_NAME.get(receipt.reason)
    return known.action if known is not None else ""


def balance(
    account: AccountOption = "",
    uid: CardOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the wallets, counters and limits of an account."""
    if bool(account) == bool(uid):
        raise typer.BadParameter(tr("请给出 --account 或 --card 之一", "give --account or --card"))
    request = accounts_pb.GetAccountRequest(account_no=account)
    if uid:
        request = accounts_pb.GetAccountRequest(medium=card(uid))
    with Services(address) as services:
        response = services.call(services.accounts.GetAccount, request)
    if output is Output.JSON:
        print_json({"account_no": response.account.account_no, **plain(response.wallets)})
        return
    print_fields(
        wallet_fields(response.wallets),
        title=f"{response.account.account_no}  {response.account.name}",
    )


def wallet_fields(wallets: accounts_pb.Wallets) -> dict[str, str]:
    """Name and amount of everything an account holds and has used."""
    fields = {
        tr("在线钱包", "Online"): yuan(wallets.online_fen),
        tr("补助", "Subsidy"): yuan(wallets.subsidy_fen),
        tr("热水", "Water"): yuan(wallets.water_fen),
        tr("预扣", "Held"): yuan(wallets.held_fen),
        tr(
            "今日累计", "Used today"
        ): f"{yuan(wallets.day_used_fen)} / {yuan(wallets.day_limit_fen)}",
        tr(
            "本餐累计", "Used this meal"
        ): f"{yuan(wallets.meal_used_fen)} / {yuan(wallets.meal_limit_fen)}",
        tr("截至流水", "As of seq"): str(wallets.as_of_seq),
    }
    if wallets.pin_locked:
        fields[tr("交易密码", "Password")] = tr("已锁定", "locked")
    return fields


def history(
    account: Annotated[str, typer.Argument(help=tr("学号或工号。", "Student or staff number."))],
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help=tr("最多几条。", "At most so many."))
    ] = 20,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List what happened to an account, newest first."""
    request = accounts_pb.ListTransactionsRequest(account_no=account)
    with Services(address) as services:
        records = services.pages(
            services.accounts.ListTransactions, request, "transactions", limit=limit
        )
    if output is Output.JSON:
        print_json([plain(record) for record in records])
        return
    print_history(records)


def print_history(records: Sequence[accounts_pb.AccountTransaction]) -> None:
    """Show records of an account's history as a table."""
    columns = tr(
        "流水号 时间 类型 结果 金额 余额 商户", "seq time type outcome amount balance merchant"
    ).split()
    print_table(columns, [_history_cells(record) for record in records])


def _history_cells(record: accounts_pb.AccountTransaction) -> list[str]:
    # What the office did was no decision: it has no outcome.
    outcome = label(terminal_pb.Outcome.DESCRIPTOR, record.outcome) if record.outcome else ""
    sign, after = "", ""
    if record.from_wallet:
        sign, after = "-", format_yuan(record.from_balance_fen)
    elif record.to_wallet:
        sign, after = "+", format_yuan(record.to_balance_fen)
    fen = record.amount_fen or record.asked_fen
    return [
        str(record.seq),
        local_time(record.time_us),
        record.type,
        record.reason if record.reason not in {"", "OK"} else outcome,
        f"{sign if record.amount_fen else ''}{format_yuan(fen)}" if fen else "",
        after,
        record.merchant_name or record.merchant_id,
    ]


def transaction(
    seq: Annotated[
        int, typer.Argument(help=tr("流水号 (日志序号)。", "Position in the journal."), min=0)
    ] = 0,
    terminal_id: Annotated[str, typer.Option("--terminal", "-t")] = "",
    batch_no: Annotated[int, typer.Option("--batch", min=0)] = 0,
    terminal_seq: Annotated[int, typer.Option("--terminal-seq", min=0)] = 0,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Find one decision by its journal position or by the terminal's key."""
    request = terminal_pb.GetTransactionRequest(seq=seq)
    if terminal_id:
        key = terminal_pb.TransactionKey(
            terminal_id=terminal_id, batch_no=batch_no, terminal_seq=terminal_seq
        )
        request = terminal_pb.GetTransactionRequest(key=key)
    elif not seq:
        raise typer.BadParameter(
            tr(
                "请给出流水号或 --terminal --batch --terminal-seq",
                "give SEQ, or --terminal --batch --terminal-seq",
            )
        )
    with Services(address) as services:
        response = services.call(services.terminals.GetTransaction, request)
    if output is Output.JSON:
        print_json(plain(response))
        return
    print_fields(_flat(response), title=f"{response.type} {response.decision.seq}")


def _flat(message: Message) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in plain(message).items():
        if isinstance(value, dict):
            for inner, deep in value.items():
                fields[inner] = str(deep)
        else:
            fields[name] = str(value)
    for name, text in fields.items():
        if name.endswith("_fen"):
            fields[name] = yuan(int(text))
        elif name == "time_us":
            fields[name] = local_time(int(text))
    return {name: text for name, text in fields.items() if text not in {"", "[]", "{}"}}
