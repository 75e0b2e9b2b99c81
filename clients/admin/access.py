"""``campuscard access …``: zones, groups and their hours, passages, faces, dynamic codes."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import typer

from campuscard.v1 import access_service_pb2 as pb
from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from clients.admin.access_hours import read_days, read_windows, write_day, write_windows
from clients.admin.accounts import AccountArgument, choice, finish
from clients.admin.calls import DEFAULT_ADDRESS, PAGE, AddressOption, ReasonOption, Services
from clients.admin.console import (
    Failure,
    Output,
    OutputOption,
    done,
    print_json,
    print_table,
    tr,
)
from clients.admin.office_cards import moment_us
from clients.admin.office_roster import DryRunOption
from clients.admin.payments import CardOption, local_time
from clients.admin.plain import plain, reason_words
from clients.admin.words import label
from clients.terminal import card

app: Final = typer.Typer(
    no_args_is_help=True,
    help=tr("出入管控: 区域、通行组、门禁记录、人脸。", "Gates: zones, groups, passages, faces."),
)

ZoneArgument = Annotated[str, typer.Argument(metavar="ZONE", help=tr("区域号。", "Zone."))]
GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help=tr("通行组。", "Group."))]
Names = Annotated[list[str] | None, typer.Option()]


def _hexadecimal(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from error


# -- zones ----------------------------------------------------------------------------------------


@app.command("zones", help=tr("区域列表。", "List zones."))
def zones(
    kind: Annotated[str, typer.Option(help=tr("只列此类别。", "Only this kind."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List zones."""
    with Services(address) as services:
        request = pb.ListZonesRequest(kind=kind.upper())
        found = services.pages(services.access.ListZones, request, "zones")
    if output is Output.JSON:
        print_json([plain(zone) for zone in found])
        return
    rows = [
        [
            zone.zone_id,
            zone.name,
            zone.kind,
            " ".join(zone.terminal_ids),
            _passback(zone),
            tr("是", "yes") if zone.check_exits else tr("否", "no"),
            label(pb.EmergencyMode.DESCRIPTOR, zone.emergency),
        ]
        for zone in found
    ]
    columns = tr(
        "区域 名称 类别 门禁 重复进入 离开检查 应急",
        "zone name kind gates passback exits-checked emergency",
    )
    print_table(columns.split(), rows)


def _passback(zone: pb.Zone) -> str:
    word = label(pb.PassbackMode.DESCRIPTOR, zone.passback)
    if zone.passback == pb.PASSBACK_MODE_OFF:
        return word
    return f"{word} {zone.passback_minutes} min"


@app.command("set-zone", help=tr("新建或修改区域。", "Make a zone, or change all of it."))
def set_zone(
    zone: ZoneArgument,
    name: Annotated[str, typer.Option(help=tr("名称。", "Name."))],
    kind: Annotated[str, typer.Option(help="GATE, DORMITORY, LIBRARY, …")],
    gate: Names = None,
    passback: Annotated[str, typer.Option(help="off, warn, enforce.")] = "off",
    passback_minutes: Annotated[int, typer.Option(min=0)] = 0,
    check_exits: Annotated[
        bool, typer.Option(help=tr("离开也查时段与通行组。", "Ask for hours on the way out, too."))
    ] = False,
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a zone, or change all of it."""
    wanted = pb.Zone(
        zone_id=zone,
        name=name,
        kind=kind.upper(),
        terminal_ids=gate or [],
        passback=choice(pb.PassbackMode, passback, "--passback"),  # type: ignore[arg-type] # checked
        passback_minutes=passback_minutes,
        check_exits=check_exits,
    )
    with Services(address) as services:
        request = pb.SetZoneRequest(zone=wanted, reason=reason)
        response = services.act(services.access.SetZone, request)
    finish(response, output, tr(f"区域 {zone} 已设", f"Zone {zone} is set"))


@app.command("emergency", help=tr("应急开放、封闭、恢复。", "Open a zone, lock it, or end that."))
def emergency(
    zone: ZoneArgument,
    mode: Annotated[str, typer.Argument(help="open, locked, none.")],
    reason: Annotated[str, typer.Option(help=tr("原因, 记入日志。", "Why; it is journaled."))],
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Open a zone for everybody, lock it, or let it work again."""
    request = pb.SetEmergencyRequest(
        zone_id=zone,
        mode=choice(pb.EmergencyMode, mode, "MODE"),  # type: ignore[arg-type] # checked there
        reason=reason,
    )
    with Services(address) as services:
        response = services.act(services.access.SetEmergency, request)
    finish(response, output, f"{zone}: {mode}")


# -- groups ---------------------------------------------------------------------------------------


@app.command("groups", help=tr("通行组列表。", "List groups."))
def groups(
    zone: Annotated[str, typer.Option(help=tr("只列此区域的。", "Only those of this zone."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List groups with who is in them and their hours."""
    with Services(address) as services:
        request = pb.ListGroupsRequest(zone_id=zone)
        found = services.pages(services.access.ListGroups, request, "groups")
    if output is Output.JSON:
        print_json([plain(group) for group in found])
        return
    closed = tr("关闭", "closed")
    rows = [
        [
            group.group_id,
            group.name,
            " ".join(group.zone_ids),
            " ".join(_who(group)),
            write_windows(list(group.windows)),
            ", ".join(write_day(day, closed) for day in group.exception_days),
        ]
        for group in found
    ]
    columns = tr("通行组 名称 区域 成员 时段 例外日", "group name zones members hours exceptions")
    print_table(columns.split(), rows)


def _who(group: pb.AccessGroup) -> list[str]:
    words = [label(accounts_pb.HolderKind.DESCRIPTOR, kind) for kind in group.kinds]
    words += group.class_names
    return [*words, f"+{group.members}"] if group.members else words


@app.command("set-group", help=tr("新建或修改通行组。", "Make a group, or change all of it."))
def set_group(
    group: GroupArgument,
    name: Annotated[str, typer.Option(help=tr("名称。", "Name."))],
    window: Annotated[list[str], typer.Option(help="MON-FRI 06:00-23:00, DAILY 22:00-06:00.")],
    zone: Names = None,
    kind: Annotated[list[str] | None, typer.Option(help="student, staff, …")] = None,
    class_name: Annotated[list[str] | None, typer.Option("--class")] = None,
    day: Annotated[
        list[str] | None,
        typer.Option(
            help=tr(
                "例外日, 无时段为关闭: 2024-10-01 08:00-12:00。",
                "2024-10-01 08:00-12:00; no hours: closed.",
            )
        ),
    ] = None,
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a group, or change all of it but its members by account."""
    kinds = [choice(accounts_pb.HolderKind, word, "--kind") for word in kind or []]
    wanted = pb.AccessGroup(
        group_id=group,
        name=name,
        zone_ids=zone or [],
        kinds=kinds,  # type: ignore[arg-type] # checked there
        class_names=class_name or [],
        windows=read_windows(window),
        exception_days=read_days(day or []),
    )
    with Services(address) as services:
        request = pb.SetGroupRequest(group=wanted, reason=reason)
        response = services.act(services.access.SetGroup, request)
    finish(response, output, tr(f"通行组 {group} 已设", f"Group {group} is set"))


AccountsArgument = Annotated[
    list[str], typer.Argument(metavar="ACCOUNT", help=tr("学号或工号。", "Account numbers."))
]


@app.command("add-member", help=tr("按学工号加入通行组。", "Put accounts into a group."))
def add_member(
    group: GroupArgument,
    account: AccountsArgument,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Put accounts into a group by their numbers."""
    request = pb.PutMemberRequest(
        group_id=group, account_nos=account, reason=reason, dry_run=dry_run
    )
    with Services(address) as services:
        response = services.act(services.access.PutMember, request)
    if dry_run:
        text = tr(f"可加入 {response.added} 人", f"{response.added} would be put in")
        unchanged = tr("已在组内", "is in it already")
        _end_dry_run(response, output, text, tr("加入", "put in"), unchanged)
        return
    finish(response, output, tr(f"加入 {response.added} 人", f"{response.added} put in"))


@app.command("remove-member", help=tr("从通行组移除。", "Take accounts out of a group."))
def remove_member(
    group: GroupArgument,
    account: AccountsArgument,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take accounts out of a group they were put into by their numbers."""
    request = pb.RemoveMemberRequest(
        group_id=group, account_nos=account, reason=reason, dry_run=dry_run
    )
    with Services(address) as services:
        response = services.act(services.access.RemoveMember, request)
    if dry_run:
        text = tr(f"可移除 {response.removed} 人", f"{response.removed} would be taken out")
        unchanged = tr("未按学工号加入", "was not put in by number")
        _end_dry_run(response, output, text, tr("移除", "taken out"), unchanged)
        return
    finish(response, output, tr(f"移除 {response.removed} 人", f"{response.removed} taken out"))


def _end_dry_run(response: Any, output: Output, text: str, changed: str, unchanged: str) -> None:
    """Print what would become of each account; one that does not exist stops them all."""
    if output is Output.JSON:
        print_json({"dry_run": True, **plain(response)})
    else:
        rows = [
            [item.account_no, reason_words(item) or (changed if item.changed else unchanged)]
            for item in response.results
        ]
        print_table(tr("账号 结果", "account result").split(), rows)
    refused = sum(bool(item.reason) for item in response.results)
    if refused:
        raise Failure(
            tr(f"{refused} 个账号有误, 整个请求会被拒绝。", f"{refused} accounts refuse them all."),
            told=output is Output.JSON,
        )
    if output is Output.TEXT:
        done(text)


# -- passages -------------------------------------------------------------------------------------


@app.command("check", help=tr("在门禁出示一次。", "Show a carrier at a gate."))
def check(
    gate: Annotated[str, typer.Argument(metavar="GATE", help=tr("门禁终端号。", "Terminal."))],
    uid: CardOption = "",
    qr: Annotated[str, typer.Option(help=tr("动态二维码。", "Text of a dynamic code."))] = "",
    face: Annotated[str, typer.Option(help=tr("人脸令牌 (十六进制)。", "Face token, hex."))] = "",
    leave: Annotated[bool, typer.Option("--out", help=tr("离开。", "On the way out."))] = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Decide a passage as a gate does. Exit code 1 when it is refused."""
    direction = pb.PASS_DIRECTION_OUT if leave else pb.PASS_DIRECTION_IN
    request = pb.CheckAccessRequest(
        terminal_id=gate, carrier=_carrier(uid, qr, face), direction=direction
    )
    with Services(address) as services:
        response = services.act(services.access.CheckAccess, request)
    text = tr(response.text_zh, response.text_en)
    if not response.granted:
        if output is Output.JSON:
            print_json(plain(response))
        raise Failure(
            f"{text} ({response.reason})", reason=response.reason, told=output is Output.JSON
        )
    finish(response, output, text)


def _carrier(uid: str, qr: str, face: str) -> pb.Carrier:
    if sum(map(bool, (uid, qr, face))) != 1:
        raise typer.BadParameter(tr("--card、--qr、--face 择一", "one of --card, --qr, --face"))
    if qr:
        return pb.Carrier(qr=qr)
    if face:
        return pb.Carrier(face_token=_hexadecimal(face, "--face"))
    try:
        return pb.Carrier(medium=card(uid))
    except ValueError as error:
        raise typer.BadParameter(f"--card: {error}") from error


@app.command("passes", help=tr("通行记录。", "Decisions at gates, newest first."))
def passes(
    account: Annotated[str, typer.Option(help=tr("学号或工号。", "Whose."))] = "",
    zone: Annotated[str, typer.Option(help=tr("区域。", "Where."))] = "",
    refused: Annotated[bool, typer.Option(help=tr("只列被拒。", "Only refusals."))] = False,
    limit: Annotated[int, typer.Option(min=1, max=PAGE)] = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List decisions at gates of an account or a zone."""
    request = pb.ListPassesRequest(
        account_no=account, zone_id=zone, refused=refused, page_size=limit
    )
    with Services(address) as services:
        found = services.call(services.access.ListPasses, request).passes
    if output is Output.JSON:
        print_json([plain(each) for each in found])
        return
    rows = [
        [
            str(each.seq),
            local_time(each.time_us),
            each.zone_id,
            each.terminal_id,
            label(pb.PassDirection.DESCRIPTOR, each.direction),
            each.account_no,
            label(terminal_pb.MediumType.DESCRIPTOR, each.medium_type),
            tr("放行", "granted") if each.granted else tr("拒绝", "refused"),
            each.reason,
        ]
        for each in found
    ]
    columns = tr(
        "流水 时间 区域 门禁 方向 账户 介质 结果 原因",
        "seq time zone gate direction account carrier result reason",
    )
    print_table(columns.split(), rows)


# -- faces -----------------------------------------------------------------------------


@app.command("enrol-face", help=tr("凭同意书登记人脸。", "Bind a face with its consent."))
def enrol_face(
    account: AccountArgument,
    token: Annotated[str, typer.Option(help=tr("设备令牌 (十六进制)。", "Device's token, hex."))],
    born: Annotated[str, typer.Option(help="YYYY-MM-DD")],
    text_version: Annotated[str, typer.Option(help=tr("同意书版本。", "Version of the text."))],
    consented: Annotated[
        str, typer.Option(help=tr("同意时间 YYYY-MM-DD HH:MM, 默认现在。", "When; default: now."))
    ] = "",
    guardian: Annotated[str, typer.Option(help=tr("监护人姓名。", "Guardian's name."))] = "",
    guardian_phone: Annotated[str, typer.Option()] = "",
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Bind a face with the consent to it."""
    consent = pb.FaceConsent(
        given_time_us=moment_us(consented) or time.time_ns() // 1_000,
        text_version=text_version,
        guardian_name=guardian,
        guardian_phone=guardian_phone,
    )
    request = pb.EnrolFaceRequest(
        account_no=account,
        face_token=_hexadecimal(token, "--token"),
        consent=consent,
        birth_date=born,
        reason=reason,
    )
    with Services(address) as services:
        response = services.act(services.access.EnrolFace, request)
    finish(response, output, tr(f"{account} 人脸已登记", f"The face of {account} is bound"))


@app.command("withdraw-face", help=tr("撤回人脸。", "Take a face off for good."))
def withdraw_face(
    account: Annotated[str, typer.Argument(metavar="[ACCOUNT]")] = "",
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take a face off; a holder who is signed in needs no account."""
    request = pb.WithdrawFaceRequest(account_no=account, reason=reason)
    with Services(address) as services:
        response = services.act(services.access.WithdrawFace, request)
    finish(response, output, tr("人脸已撤回", "The face is taken off"))
