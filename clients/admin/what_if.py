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
from clients.admin.plain import plain

TIMEOUT_S: Final = 3_600.0
EXAMPLES: Final = 10

_KINDS: Final = {
    pb.WHAT_IF_KIND_ASKED: tr("新增要求密码", "asked for the password"),
    pb.WHAT_IF_KIND_NOT_ASKED: tr("不再要求密码", "not asked any more"),
    pb.WHAT_IF_KIND_DECLINED: tr("新增拒绝", "refused"),
    pb.WHAT_IF_KIND_PASSED: tr("新增通过", "passed"),
}
_BY: Final = {
    "TOTAL": tr("合计", "in all"),
    "DAY": tr("日期", "day"),
    "MEAL": tr("餐次", "meal"),
    "CATEGORY": tr("类别", "category"),
    "CLASS": tr("班级", "class"),
}
_SCOPES: Final = {
    pb.WHAT_IF_SCOPE_PAPERS: tr(
        "这些参数只影响柜台业务, 不影响已记录的交易。",
        "Only papers depend on these: no recorded decision would have been another one.",
    ),
    pb.WHAT_IF_SCOPE_UNKNOWABLE: tr(
        "以下参数会改变金额、时间、扣款钱包或何时询问密码, 无法重放: ",
        "These change amounts, times, purses or when a password is asked, nobody can say: ",
    ),
}


_ASSUMPTION_ZH: Final = "同样的人提出同样的交易: 新增要求密码的会输入密码, 当时放弃的若不要求密码则会付款, 新增通过的余额足够。"


def what_if(
    first: Annotated[
        str,
        typer.Option("--from", metavar="DATE", help=tr("首日, 含。", "First booking day.")),
    ],
    last: Annotated[
        str,
        typer.Option("--to", metavar="DATE", help=tr("末日, 含。", "Last booking day, included.")),
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help=tr(
                "试算的值; KEY 为参数名、meals 或 category.N。",
                "The values to try; KEY is a parameter's name, meals or category.N.",
            ),
        ),
    ] = None,
    proposal: Annotated[
        list[int] | None,
        typer.Option(min=1, help=tr("试算此提案; 可重复。", "Try this proposal; repeatable.")),
    ] = None,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Decide past days again under other values."""
    request = pb.WhatIfRequest(from_date=first, to_date=last, proposals=proposal or [])
    for text in values or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(
                tr(f"应为 KEY=VALUE, 不是 {text!r}", f"KEY=VALUE, not {text!r}")
            )
        request.values.add(key=key, value=value)
    if not request.values and not request.proposals:
        raise typer.BadParameter(tr("给出 KEY=VALUE 或 --proposal", "KEY=VALUE or --proposal"))
    result = _run(request, address, quiet=output is Output.JSON)
    if output is Output.JSON:
        print_json(plain(result))
        return
    if result.scope in _SCOPES:
        note(_SCOPES[result.scope] + ", ".join(result.unknowable_keys))
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
            tr("假设", "Assumed"): tr(_ASSUMPTION_ZH, result.assumption),
        }
    )
    rows = [
        [_BY[count.by], _name(count), _KINDS[count.kind], str(count.count), yuan(count.amount_fen)]
        for count in sorted(result.counts, key=lambda count: list(_BY).index(count.by))
    ]
    print_table(tr("按 值 变化 笔数 金额", "by which change count amount").split(), rows)
    rows = [
        [
            str(example.seq),
            example.account_no,
            _KINDS[example.kind],
            yuan(example.amount_fen),
            f"{yuan(example.day_used_fen)} → {yuan(example.day_used_then_fen)}",
            f"{yuan(example.meal_used_fen)} → {yuan(example.meal_used_then_fen)}",
        ]
        for example in result.examples[:EXAMPLES]
    ]
    columns = tr("流水 账号 变化 金额 当日累计 本餐累计", "seq account change amount day meal")
    print_table(columns.split(), rows)


def _name(count: pb.WhatIfCount) -> str:
    """Name what a row counts; the meals of a day have no name outside them."""
    if count.by == "MEAL" and count.name == "0":
        return tr("非餐时", "outside meals")
    return tr(count.title_zh, count.title_en) or count.name
