"""``campuscard office``: alerts, taps of cards that are void, lost or perhaps copied."""

from __future__ import annotations

from typing import Annotated

import typer

from campuscard.v1 import card_office_service_pb2 as pb
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption
from clients.admin.console import Output, OutputOption, tr
from clients.admin.office_calls import act, print_list, read_pages
from clients.admin.office_cards import LimitOption
from clients.admin.office_cases import NeededReason
from clients.admin.office_roster import app
from clients.admin.payments import local_time


@app.command(
    "alerts", help=tr("告警: 作废卡、挂失卡、疑似复制卡。", "Alerts of void, lost, copied cards.")
)
def alerts(
    account: Annotated[str, typer.Option(help=tr("只列此账号。", "Of this account only."))] = "",
    only_open: Annotated[
        bool, typer.Option("--open", help=tr("只列未处理。", "Open only."))
    ] = False,
    limit: LimitOption = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List alerts, newest first."""
    request = pb.ListAlertsRequest(account_no=account, open=only_open)
    found = read_pages(address, "ListAlerts", request, "alerts", limit)
    rows = [
        [
            str(row.seq),
            row.reason,
            row.account_no,
            row.name,
            str(row.card_no or ""),
            row.terminal_id,
            str(row.taps),
            local_time(row.last_time_us),
            tr("是", "yes") if row.frozen_seq else "",
            row.acknowledged_by,
            row.acknowledged_reason,
        ]
        for row in found
    ]
    head = tr(
        "序号 原因 账号 姓名 卡号 终端 次数 最近 冻结 处理人 处理意见",
        "seq reason account name card terminal taps latest frozen acknowledged-by finding",
    )
    print_list(found, output, head, rows)


@app.command("acknowledge-alert", help=tr("告警已处理。", "Close an alert with what was found."))
def acknowledge_alert(
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=1)],
    reason: NeededReason,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Close an alert; a card it froze stays frozen until ``resume``."""
    request = pb.AcknowledgeAlertRequest(seq=seq, reason=reason)
    act(address, "AcknowledgeAlert", request, output=output, text=tr("已处理", "Acknowledged"))
