"""``campuscard param``: parameters, meals, categories and calendar, changed by two people."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import parameter_service_pb2 as pb
from clients.admin.accounts import choice, finish
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, Services
from clients.admin.console import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    tr,
    yuan,
)
from clients.admin.payments import local_time
from clients.admin.plain import enum_word, plain

app: Final = typer.Typer(
    no_args_is_help=True,
    help=tr(
        "参数、餐次、类别、日历: 一人提案, 另一人复核。",
        "Parameters, meals, categories, calendar: one proposes, another approves.",
    ),
)

PAGE: Final = 1_000
CATEGORY_FLAGS: Final = {
    "day": "counts_toward_day",
    "meal": "counts_toward_meal",
    "refundable": "refundable",
    "hold": "holds",
    "spend": "purchases",
    "subsidy": "subsidy",
}

KeyArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help=tr(
            "参数名, meals, category.N 或 day.YYYY-MM-DD。",
            "A parameter's name, meals, category.N or day.YYYY-MM-DD.",
        ),
    ),
]
ReasonOption = Annotated[
    str, typer.Option(prompt=True, help=tr("原因, 记入日志。", "Why; it is journaled."))
]
FromOption = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="DATE",
        help=tr("自该日零点起生效; 省略: 复核即生效。", "From this midnight on; else at approval."),
    ),
]
ProposalArgument = Annotated[
    int, typer.Argument(metavar="PROPOSAL", min=1, help=tr("提案号。", "Number of the proposal."))
]


@app.command("list", help=tr("全部参数及现值。", "All parameters with their values."))
def list_parameters(
    address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT
) -> None:
    """List the parameters in force."""
    with Services(address) as services:
        response = services.call(services.parameters.ListParameters, pb.ListParametersRequest())
    if output is Output.JSON:
        print_json(plain(response))
        return
    rows = [
        [
            parameter.key,
            _shown(parameter.value, parameter.unit),
            str(parameter.version),
            f"{parameter.next.value} @ {local_time(parameter.next.effective_us)}"
            if parameter.HasField("next")
            else "",
            parameter.clause,
            tr(parameter.name_zh, parameter.name_en),
        ]
        for parameter in response.parameters
    ]
    columns = tr("参数 现值 版本 下次变更 条款 说明", "key value version next clause meaning")
    print_table(columns.split(), rows)
    print_fields({tr("餐次", "meals"): response.meals})


@app.command("show", help=tr("一个参数: 范围、现值、下次变更。", "One parameter and its range."))
def show(
    key: KeyArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show one key."""
    response = _read(address, key)
    parameter = response.parameter
    if output is Output.JSON:
        print_json(plain(parameter))
        return
    allowed = ", ".join(parameter.choices) or (
        f"{parameter.low}..{parameter.high}" if parameter.kind == "NUMBER" else parameter.kind
    )
    fields = {
        tr("说明", "Meaning"): tr(parameter.name_zh, parameter.name_en),
        tr("条款", "Clause"): parameter.clause,
        tr("现值", "Value"): _shown(parameter.value, parameter.unit),
        tr("默认值", "Default"): _shown(parameter.default_value, parameter.unit),
        tr("范围", "Range"): allowed,
        tr("单位", "Unit"): parameter.unit,
        tr("版本", "Version"): str(parameter.version),
    }
    if parameter.HasField("next"):
        following = parameter.next
        moment = local_time(following.effective_us)
        fields[tr("下次变更", "Next")] = f"{following.value} @ {moment}   ({following.change})"
    print_fields({name: text for name, text in fields.items() if text}, title=key)


@app.command("history", help=tr("全部版本: 谁提、谁批。", "All versions: who proposed, approved."))
def history(
    key: KeyArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the versions of a key, newest first."""
    response = _read(address, key)
    if output is Output.JSON:
        print_json([plain(version) for version in response.versions])
        return
    rows = [
        [
            str(version.version),
            version.value,
            local_time(version.effective_us),
            version.proposer,
            version.approver,
            str(version.change),
            tr("已取消", "cancelled")
            if version.cancelled_seq
            else str(version.in_force_seq or tr("待生效", "waits")),
            version.reason,
        ]
        for version in response.versions
    ]
    columns = tr(
        "版本 值 生效 提案 复核 变更号 生效流水 原因",
        "version value effective proposer approver change in-force reason",
    )
    print_table(columns.split(), rows)


@app.command("propose", help=tr("提案: 改一个值。", "Propose a value."))
def propose(
    key: KeyArgument,
    value: Annotated[str, typer.Argument(help=tr("新值。", "The new value."))],
    reason: ReasonOption,
    effective: FromOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Propose a value; somebody else approves it."""
    request = pb.ProposeChangeRequest(key=key, value=value, effective_date=effective, reason=reason)
    with Services(address) as services:
        response = services.act(services.parameters.ProposeChange, request)
    _proposed(response, output, key)


@app.command("cancel", help=tr("提案: 取消未生效的变更。", "Propose to cancel a change."))
def cancel(
    change: Annotated[int, typer.Argument(metavar="CHANGE", min=1)],
    reason: ReasonOption,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Propose that an approved change does not take effect; see ``history`` for its number."""
    request = pb.ProposeCancellationRequest(change=change, reason=reason)
    with Services(address) as services:
        response = services.act(services.parameters.ProposeCancellation, request)
    text = tr(f"提案 {response.proposal}", f"Proposal {response.proposal}")
    finish(response, output, text)


@app.command("approve", help=tr("复核通过 (须另一人)。", "Approve what somebody else proposed."))
def approve(
    proposal: ProposalArgument,
    reason: Annotated[str, typer.Option(help=tr("备注。", "Remark."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Approve a proposal."""
    request = pb.ApproveChangeRequest(proposal=proposal, reason=reason)
    with Services(address) as services:
        response = services.act(services.parameters.ApproveChange, request)
    if not response.version:
        finish(
            response,
            output,
            tr(f"变更 {response.change} 已取消", f"Change {response.change} is cancelled"),
        )
        return
    moment = local_time(response.effective_us)
    text = tr(
        f"版本 {response.version}, {moment} 起生效",
        f"Version {response.version}, in force from {moment}",
    )
    if response.overridden_version:
        text += tr(
            f" (取代同一时刻的版本 {response.overridden_version})",
            f" (overrides version {response.overridden_version} of the same moment)",
        )
    finish(response, output, text)


@app.command("reject", help=tr("复核不通过。", "Refuse a proposal."))
def reject(
    proposal: ProposalArgument,
    reason: ReasonOption,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Refuse a proposal."""
    request = pb.RejectChangeRequest(proposal=proposal, reason=reason)
    with Services(address) as services:
        response = services.act(services.parameters.RejectChange, request)
    finish(response, output, tr(f"提案 {proposal} 未通过", f"Proposal {proposal} is rejected"))


@app.command("withdraw", help=tr("撤回自己的提案。", "Take back one's own proposal."))
def withdraw(
    proposal: ProposalArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take back one's own proposal."""
    with Services(address) as services:
        response = services.act(
            services.parameters.WithdrawChange, pb.WithdrawChangeRequest(proposal=proposal)
        )
    finish(response, output, tr(f"提案 {proposal} 已撤回", f"Proposal {proposal} is withdrawn"))


@app.command("proposals", help=tr("提案列表。", "List proposals."))
def proposals(
    state: Annotated[
        str, typer.Option(help="open, approved, rejected, withdrawn; all: " + tr("全部。", "all."))
    ] = "open",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List proposals, newest first."""
    number = 0 if state == "all" else choice(pb.ProposalState, state, "--state")
    request: Any = pb.ListProposalsRequest(page_size=PAGE)
    request.state = number
    found: list[pb.Proposal] = []
    with Services(address) as services:
        while True:
            response = services.call(services.parameters.ListProposals, request)
            found += response.proposals
            request.page_token = response.next_page_token
            if not request.page_token:
                break
    if output is Output.JSON:
        print_json([plain(proposal) for proposal in found])
        return
    rows = [
        [
            str(proposal.proposal),
            (tr("取消 ", "cancel ") if proposal.cancels else "") + proposal.key,
            proposal.value,
            local_time(proposal.effective_us)
            if proposal.effective_us
            else tr("复核即生效", "at approval"),
            enum_word(pb.ProposalState.DESCRIPTOR, proposal.state),
            proposal.proposer,
            proposal.decider,
            proposal.reason,
        ]
        for proposal in found
    ]
    columns = tr(
        "提案 对象 值 生效 状态 提案人 复核人 原因",
        "proposal key value effective state proposer decider reason",
    )
    print_table(columns.split(), rows)


@app.command("meals", help=tr("餐次: 查看或提案。", "Show the meals, or propose others."))
def meals(
    periods: Annotated[
        str, typer.Option("--set", help="LUNCH 10:00-14:30, DINNER 14:30-21:00")
    ] = "",
    reason: Annotated[str, typer.Option(help=tr("原因。", "Why."))] = "",
    effective: FromOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the meal periods in force, or propose others."""
    if periods:
        propose("meals", periods, reason, effective, address, output)
        return
    with Services(address) as services:
        found = services.call(
            services.merchants.GetMealPeriods, merchants_pb.GetMealPeriodsRequest()
        )
    if output is Output.JSON:
        print_json(plain(found))
        return
    rows = [[p.name, _clock(p.start_minute), _clock(p.end_minute)] for p in found.periods]
    print_table(tr("餐次 开始 结束", "meal start end").split(), rows)


@app.command("category", help=tr("商户类别: 查看或提案。", "Show categories, or propose one."))
def category(
    number: Annotated[int, typer.Argument(min=0, max=15)] = 0,
    code: Annotated[str, typer.Option(help=tr("代码。", "Code, as GYM."))] = "",
    zh: Annotated[str, typer.Option(help=tr("中文名。", "Name in Chinese."))] = "",
    en: Annotated[str, typer.Option(help=tr("英文名。", "Name in English."))] = "",
    flags: Annotated[str, typer.Option(help=",".join(CATEGORY_FLAGS))] = "",
    reason: Annotated[str, typer.Option(help=tr("原因。", "Why."))] = "",
    effective: FromOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the categories in force, or propose a new or changed one."""
    with Services(address) as services:
        if number:
            wanted = pb.Category(number=number, code=code, name_zh=zh, name_en=en)
            for word in filter(None, (piece.strip() for piece in flags.split(","))):
                if word not in CATEGORY_FLAGS:
                    raise typer.BadParameter(f"--flags: {', '.join(CATEGORY_FLAGS)}")
                setattr(wanted, CATEGORY_FLAGS[word], True)
            request = pb.ProposeCategoryRequest(
                category=wanted, reason=reason, effective_date=effective
            )
            response = services.act(services.parameters.ProposeCategory, request)
            _proposed(response, output, f"category.{number}")
            return
        found = services.call(services.parameters.ListCategories, pb.ListCategoriesRequest())
    if output is Output.JSON:
        print_json([plain(one) for one in found.categories])
        return
    rows = [
        [
            str(one.number),
            one.code,
            tr(one.name_zh, one.name_en),
            ",".join(word for word, name in CATEGORY_FLAGS.items() if getattr(one, name)),
        ]
        for one in found.categories
    ]
    print_table(tr("号 代码 名称 属性", "number code name flags").split(), rows)


@app.command(
    "calendar", help=tr("柜台日历: 查看或提案。", "Hours of the counter, or propose a day.")
)
def calendar(
    date: Annotated[str, typer.Argument(metavar="[DATE]")] = "",
    hours: Annotated[
        str, typer.Option("--set", help="CLOSED, WEEKLY, 09:00-11:30, 14:30-17:00")
    ] = "",
    days: Annotated[int, typer.Option(min=1, max=400)] = 31,
    reason: Annotated[str, typer.Option(help=tr("原因。", "Why."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the hours of the counter day by day, or propose a day's."""
    with Services(address) as services:
        if hours:
            request = pb.ProposeCalendarDayRequest(date=date, hours=hours, reason=reason)
            response = services.act(services.parameters.ProposeCalendarDay, request)
            _proposed(response, output, f"day.{date}")
            return
        found = services.call(
            services.parameters.GetCalendar, pb.GetCalendarRequest(from_date=date, days=days)
        )
    if output is Output.JSON:
        print_json([plain(day) for day in found.days])
        return
    rows = [
        [
            day.date,
            ", ".join(day.hours) or tr("不开放", "closed"),
            tr("例外", "exception") if day.exception else "",
        ]
        for day in found.days
        if day.hours or day.exception
    ]
    print_table(tr("日期 时间 备注", "date hours note").split(), rows)


def _read(address: str, key: str) -> pb.GetParameterResponse:
    with Services(address) as services:
        return services.call(
            services.parameters.GetParameter, pb.GetParameterRequest(key=key, page_size=PAGE)
        )


def _proposed(response: Any, output: Output, key: str) -> None:
    moment = (
        local_time(response.effective_us)
        if response.effective_us
        else tr("复核即生效", "at approval")
    )
    text = tr(
        f"提案 {response.proposal}: {key} = {response.value}, {moment}; 待另一人复核",
        f"Proposal {response.proposal}: {key} = {response.value}, {moment}; another approves it",
    )
    finish(response, output, text)


def _shown(value: str, unit: str) -> str:
    if unit == "fen" and value.isdigit():
        return f"{value} ({yuan(int(value))})"
    return f"{value} {unit}".strip()


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
