"""``campuscard office settle-transfer``: a transfer to the water purse whose end nobody has told."""

from __future__ import annotations

from typing import Annotated

import typer

from campuscard.v1 import card_office_service_pb2 as pb
from clients.admin.accounts import AccountArgument, choice, finish
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, Services
from clients.admin.console import Output, OutputOption, done, print_json, tr, yuan
from clients.admin.office_calls import ACT_S
from clients.admin.office_cases import NeededReason
from clients.admin.office_roster import DryRunOption, app
from clients.admin.plain import plain


@app.command(
    "settle-transfer",
    help=tr(
        "结清无回报的热水转款: 查明已写卡或未写卡。",
        "Settle a water transfer nobody told the end of: written, or not.",
    ),
)
def settle_transfer(
    account: AccountArgument,
    seq: Annotated[
        int,
        typer.Argument(
            metavar="SEQ", help=tr("转款的 seq, 见 account show。", "As account show has it.")
        ),
    ],
    end: Annotated[str, typer.Argument(metavar="END", help="written, not-written.")],
    reason: NeededReason,
    dry_run: DryRunOption = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Settle a transfer on what the office has found."""
    request = pb.SettleTransferRequest(
        account_no=account,
        hold_seq=seq,
        end=choice(pb.TransferEnd, end, "END"),  # type: ignore[arg-type] # checked there
        reason=reason,
        dry_run=dry_run,
    )
    with Services(address) as services:
        response = services.act(services.office.SettleTransfer, request, timeout_s=ACT_S)
    amount, online = yuan(response.amount_fen), yuan(response.online_fen)
    if not dry_run:
        finish(
            response, output, tr(f"已结清 {amount}, 余额 {online}", f"Settled {amount}: {online}")
        )
    elif output is Output.JSON:
        print_json(plain(response))
    else:
        done(tr(f"可结清 {amount}, 余额将为 {online}", f"Would settle {amount}: {online}"))
