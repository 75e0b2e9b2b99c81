"""``campuscard merchant …``: merchants and their terminals."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from campuscard.v1 import merchant_service_pb2 as pb
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from clients.admin.accounts import choice, finish
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, ReasonOption, Services
from clients.admin.console import (
    Output,
    OutputOption,
    print_json,
    print_table,
    tr,
    yuan,
)
from clients.admin.payments import amount
from clients.admin.plain import plain
from clients.admin.words import label

app: Final = typer.Typer(
    no_args_is_help=True,
    help=tr("商户与终端。", "Merchants and terminals."),
)


def category_numbers(services: Services) -> dict[str, int]:
    """Return the number of every category in force by its code."""
    found = services.call(services.parameters.ListCategories, parameters_pb.ListCategoriesRequest())
    return {category.code: category.number for category in found.categories}


@app.command("list", help=tr("商户列表。", "List merchants."))
def list_merchants(
    address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT
) -> None:
    """List merchants."""
    with Services(address) as services:
        found = services.pages(
            services.merchants.ListMerchants, pb.ListMerchantsRequest(), "merchants"
        )
        codes = {number: code.lower() for code, number in category_numbers(services).items()}
    if output is Output.JSON:
        print_json([plain(merchant) | {"category": codes[merchant.category]} for merchant in found])
        return
    rows = [
        [
            merchant.merchant_id,
            merchant.name,
            codes[merchant.category],
            label(pb.ServiceStatus.DESCRIPTOR, merchant.status),
        ]
        for merchant in found
    ]
    print_table(tr("商户号 名称 类别 状态", "merchant name category status").split(), rows)


@app.command("add", help=tr("新建商户。", "Create a merchant."))
def add(
    merchant_id: Annotated[str, typer.Argument(metavar="MERCHANT")],
    name: Annotated[str, typer.Option(help=tr("名称。", "Name."))],
    category: Annotated[
        str, typer.Option(help=tr("类别代码, 见 param category。", "Code: see param category."))
    ],
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Create a merchant."""
    request = pb.CreateMerchantRequest(merchant_id=merchant_id, name=name)
    with Services(address) as services:
        numbers = category_numbers(services)
        if category.upper() not in numbers:
            raise typer.BadParameter(f"--category: one of {', '.join(numbers).lower()}")
        request.category = numbers[category.upper()]  # type: ignore[assignment] # names are the first ones
        response = services.act(services.merchants.CreateMerchant, request, reason=reason)
    finish(response, output, tr(f"已建商户 {merchant_id}", f"Created {merchant_id}"))


@app.command("status", help=tr("商户启用/暂停/注销。", "Suspend, resume or withdraw a merchant."))
def set_status(
    merchant_id: Annotated[str, typer.Argument(metavar="MERCHANT")],
    status: Annotated[str, typer.Argument(help="in_service, suspended, withdrawn.")],
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Change a merchant's status."""
    request = pb.UpdateMerchantRequest(
        merchant_id=merchant_id,
        status=choice(pb.ServiceStatus, status, "STATUS"),  # type: ignore[arg-type] # checked there
        reason=reason,
    )
    with Services(address) as services:
        response = services.act(services.merchants.UpdateMerchant, request)
    finish(response, output, f"{merchant_id}: {status}")


@app.command("terminals", help=tr("终端列表。", "List terminals."))
def list_terminals(
    merchant_id: Annotated[str, typer.Option("--merchant", "-m")] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List terminals."""
    with Services(address) as services:
        request = pb.ListTerminalsRequest(merchant_id=merchant_id)
        found = services.pages(services.merchants.ListTerminals, request, "terminals")
    if output is Output.JSON:
        print_json([plain(terminal) for terminal in found])
        return
    rows = [
        [
            terminal.terminal_id,
            terminal.merchant_id,
            tr("有", "yes") if terminal.keypad else tr("无", "no"),
            yuan(terminal.max_amount_fen) if terminal.max_amount_fen else "",
            label(pb.ServiceStatus.DESCRIPTOR, terminal.status),
            terminal.place,
        ]
        for terminal in found
    ]
    columns = tr("终端号 商户 键盘 单笔上限 状态 位置", "terminal merchant keypad max status place")
    print_table(columns.split(), rows)


@app.command("add-terminal", help=tr("新建终端。", "Create a terminal."))
def add_terminal(
    terminal_id: Annotated[str, typer.Argument(metavar="TERMINAL")],
    merchant_id: Annotated[str, typer.Option("--merchant", "-m")],
    keypad: Annotated[bool, typer.Option(help=tr("有密码键盘。", "It has a keypad."))] = True,
    max_amount: Annotated[
        str, typer.Option(help=tr("单笔上限 (元)。", "Yuan a transaction."))
    ] = "",
    place: Annotated[str, typer.Option(help=tr("位置。", "Where it stands."))] = "",
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Create a terminal of a merchant."""
    request = pb.CreateTerminalRequest(
        terminal_id=terminal_id,
        merchant_id=merchant_id,
        keypad=keypad,
        max_amount_fen=amount(max_amount) if max_amount else 0,
        place=place,
    )
    with Services(address) as services:
        response = services.act(services.merchants.CreateTerminal, request, reason=reason)
    finish(response, output, tr(f"已建终端 {terminal_id}", f"Created {terminal_id}"))


@app.command("terminal-status", help=tr("终端启用/暂停/注销。", "Suspend or withdraw a terminal."))
def terminal_status(
    terminal_id: Annotated[str, typer.Argument(metavar="TERMINAL")],
    status: Annotated[str, typer.Argument(help="in_service, suspended, withdrawn.")],
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Change a terminal's status."""
    request = pb.UpdateTerminalRequest(
        terminal_id=terminal_id,
        status=choice(pb.ServiceStatus, status, "STATUS"),  # type: ignore[arg-type] # checked there
        reason=reason,
    )
    with Services(address) as services:
        response = services.act(services.merchants.UpdateTerminal, request)
    finish(response, output, f"{terminal_id}: {status}")
