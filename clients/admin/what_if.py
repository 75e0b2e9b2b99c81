"""``campuscard param what-if``: what past days would have been under other values."""

from __future__ import annotations

from typing import Annotated, Final

import grpc
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from campuscard.v1 import parameter_service_pb2 as pb
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, Services, failure_of
from clients.admin.console import (
    Output,
    OutputOption,
    note,
    notes,
    print_fields,
    print_json,
    print_table,
    tr,
    yuan,
)
from clients.admin.plain import enum_word, plain

TIMEOUT_S: Final = 3_600.0
EXAMPLES: Final = 10

_KINDS: Final = {
    pb.WHAT_IF_KIND_ASKED: tr("新增要求密码", "asked for the password"),
    pb.WHAT_IF_KIND_NOT_ASKED: tr("不再要求密码", "not asked any more"),
    pb.WHAT_IF_KIND_DECLINED: tr("新增拒绝", "refused"),
    pb.WHAT_IF_KIND_PASSED: tr("新增通过", "passed"),
}
_SCOPES: Final = {
    pb.WHAT_IF_SCOPE_PAPERS: tr(
        "这些参数只影响柜台业务, 不影响已记录的交易。",
        "Only papers depend on these: no recorded decision would have been another one.",
    ),
    pb.WHAT_IF_SCOPE_UNKNOWABLE: tr(
        "这些参数会改变金额或时间, 无法重放。",
        "These change amounts or times of what would have been asked: nobody can say.",
    ),
}


def what_if(
    values: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help=tr("试算的值。", "The values to try.")),
    ],
    first: Annotated[str, typer.Option("--from", metavar="DATE")],
    last: Annotated[str, typer.Option("--to", metavar="DATE")],
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Decide past days again under other values."""
    request = pb.WhatIfRequest(from_date=first, to_date=last)
    for text in values:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"KEY=VALUE, not {text!r}")
        request.values.add(key=key, value=value)
    result = _run(request, address, quiet=output is Output.JSON)
    if output is Output.JSON:
        print_json(plain(result))
        return
    if result.scope in _SCOPES:
        note(_SCOPES[result.scope])
        return
    _show(result)


def _run(request: pb.WhatIfRequest, address: str, *, quiet: bool) -> pb.WhatIfResponse:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    hidden = quiet or not notes.is_terminal
    result = pb.WhatIfResponse()
    with (
        Services(address) as services,
        Progress(*columns, console=notes, disable=hidden, transient=True) as bars,
    ):
        task = bars.add_task(tr("试算", "what if"), total=None)
        try:
            for result in services.parameters.WhatIf(request, timeout=TIMEOUT_S):
                bars.update(task, completed=result.seq, total=max(result.head_seq, 1))
        except grpc.RpcError as error:
            raise failure_of(error, address) from error
    return result


def _show(result: pb.WhatIfResponse) -> None:
    print_fields(
        {
            tr("重新判定", "Decided again"): str(result.decisions_count),
            tr("假设", "Assumed"): result.assumption,
        }
    )
    rows = [
        [count.by.lower(), count.name, _KINDS[count.kind], str(count.count), yuan(count.amount_fen)]
        for count in result.counts
    ]
    print_table(tr("按 值 变化 笔数 金额", "by which change count amount").split(), rows)
    rows = [
        [
            str(example.seq),
            example.account_no,
            enum_word(pb.WhatIfKind.DESCRIPTOR, example.kind),
            yuan(example.amount_fen),
            f"{yuan(example.day_used_fen)} → {yuan(example.day_used_then_fen)}",
            f"{yuan(example.meal_used_fen)} → {yuan(example.meal_used_then_fen)}",
        ]
        for example in result.examples[:EXAMPLES]
    ]
    columns = tr("流水 账号 变化 金额 当日累计 本餐累计", "seq account change amount day meal")
    print_table(columns.split(), rows)
