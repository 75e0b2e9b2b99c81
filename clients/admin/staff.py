"""``campuscard staff``: signing in, members, roles, sessions, the audit trail."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import segno
import typer

from campuscard.v1 import staff_service_pb2 as pb
from clients.admin.accounts import choice, finish
from clients.admin.calls import (
    DEFAULT_ADDRESS,
    AddressOption,
    ReasonOption,
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
from clients.admin.payments import local_time
from clients.admin.plain import plain
from clients.admin.words import label
from clients.session import forget_session, keep_session, signed_metadata

app: Final = typer.Typer(
    no_args_is_help=True,
    help=tr("员工: 登录、角色、会话、审计。", "Staff: sign in, roles, sessions, audit."),
)

PASSWORD_VARIABLE: Final = "CAMPUSCARD_PASSWORD"  # noqa: S105 - the name of a variable
NEW_PASSWORD_VARIABLE: Final = "CAMPUSCARD_NEW_PASSWORD"  # noqa: S105

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=tr("登录名。", "Sign-in name."))]
ScopeOption = Annotated[
    str,
    typer.Option(help=tr("班主任的班级或商户号。", "Class of a CLASS_TEACHER, id of a MERCHANT.")),
]
CodeOption = Annotated[
    str, typer.Option(help=tr("六位动态码。", "Six digits of the authenticator."))
]


@app.command(
    "sign-in", help=tr("登录; 首次登录时设置密码与动态码。", "Sign in; the first time also set up.")
)
def sign_in(
    name: NameArgument,
    channel: Annotated[
        str, typer.Option(help=tr("counter 柜台, office 办公室。", "counter or office."))
    ] = "office",
    code: CodeOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Sign in and keep the session."""
    request = pb.StaffServiceSignInRequest(
        name=name,
        password=secret(
            PASSWORD_VARIABLE, tr("密码或一次性口令: ", "Password or one-time secret: ")
        ),
        code=code or _asked(tr("动态码 (首次登录留空): ", "Code (empty the first time): ")),
        channel=choice(pb.StaffChannel, channel, "--channel"),  # type: ignore[arg-type] # checked
    )
    with Services(address) as services:
        response = services.call(services.staff.SignIn, request)
        token, until_us = response.token, response.until_us
        if response.enrolment_required:
            old = request.password if response.password_set else ""
            token, until_us = _enrol(services, token, old=old, password_set=response.password_set)
    path = keep_session(address, name=name, token=token, until_us=until_us)
    if output is Output.JSON:
        print_json({"name": name, "until_us": until_us, "file": str(path)})
    else:
        until = local_time(until_us)
        done(tr(f"已登录: {name}, 至 {until}", f"Signed in: {name}, until {until}"))


def _enrol(services: Services, token: str, *, old: str, password_set: bool) -> tuple[str, int]:
    """Set password and authenticator; returns the session that allows everything."""
    signed = signed_metadata(token)
    if not password_set:
        changed = pb.ChangePasswordRequest(
            request_id=new_request_id(), new_password=_new_password()
        )
        services.call(services.staff.ChangePassword, changed, metadata=signed)
    offered = services.call(
        services.staff.EnrolTotp, pb.EnrolTotpRequest(password=old), metadata=signed
    )
    show_key(offered.otpauth_uri)
    code = _asked(tr("应用显示的动态码: ", "Code the app shows: "))
    confirmed = services.call(
        services.staff.ConfirmTotp,
        pb.ConfirmTotpRequest(request_id=new_request_id(), code=code),
        metadata=signed,
    )
    return confirmed.token, confirmed.until_us


@app.command("sign-out", help=tr("退出登录。", "Sign out."))
def sign_out(address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT) -> None:
    """End the session and forget it."""
    try:
        with Services(address) as services:
            services.call(services.staff.SignOut, pb.SignOutRequest())
    finally:
        forget_session(address)
    if output is Output.JSON:
        print_json({"signed_out": True})
    else:
        done(tr("已退出", "Signed out"))


@app.command("whoami", help=tr("我是谁, 能做什么。", "Who I am and what I may do."))
def whoami(address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT) -> None:
    """Show the caller."""
    with Services(address) as services:
        me = services.call(services.staff.WhoAmI, pb.WhoAmIRequest())
    if output is Output.JSON:
        print_json(plain(me))
        return
    print_fields(
        {
            tr("登录名", "Name"): f"{me.name} ({me.actor})",
            tr("角色", "Roles"): _grants(me.grants),
            tr("渠道", "Channel"): me.channel,
            tr("会话至", "Until"): local_time(me.until_us),
            tr("权限", "May"): " ".join(me.permissions),
        }
    )


@app.command("change-password", help=tr("修改自己的密码。", "Change the own password."))
def change_password(
    address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT
) -> None:
    """Change the own password; all sessions end."""
    request = pb.ChangePasswordRequest(
        old_password=secret(PASSWORD_VARIABLE, tr("现密码: ", "Present password: ")),
        new_password=_new_password(),
    )
    with Services(address) as services:
        response = services.act(services.staff.ChangePassword, request)
    forget_session(address)
    finish(response, output, tr("密码已改, 请重新登录", "Changed: sign in again"))


@app.command("enrol-totp", help=tr("更换动态码应用。", "Enrol another authenticator."))
def enrol_totp(
    address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT
) -> None:
    """Enrol a new authenticator; all other sessions end."""
    password = secret(PASSWORD_VARIABLE, tr("密码: ", "Password: "))
    with Services(address) as services:
        me = services.call(services.staff.WhoAmI, pb.WhoAmIRequest())
        offered = services.call(services.staff.EnrolTotp, pb.EnrolTotpRequest(password=password))
        show_key(offered.otpauth_uri)
        request = pb.ConfirmTotpRequest(
            code=_asked(tr("应用显示的动态码: ", "Code the app shows: "))
        )
        response = services.act(services.staff.ConfirmTotp, request)
    keep_session(address, name=me.name, token=response.token, until_us=response.until_us)
    response.ClearField("token")
    finish(response, output, tr("已更换", "Enrolled"))


@app.command(
    "create", help=tr("新建员工, 显示一次性口令。", "Enter a member; shows a one-time secret.")
)
def create(
    name: NameArgument,
    reason: ReasonOption,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help=tr("角色, 可多次: ROLE 或 ROLE:范围。", "Role, repeatable: ROLE or ROLE:scope.")
        ),
    ] = None,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Enter a member of staff."""
    pairs = (text.partition(":") for text in role or ())
    grants = [pb.RoleGrant(role=first, scope=scope) for first, _, scope in pairs]
    request = pb.CreateStaffRequest(name=name, grants=grants, reason=reason)
    with Services(address) as services:
        response = services.act(services.staff.CreateStaff, request)
    _show_secret(response, name, output)


@app.command("list", help=tr("员工列表。", "List members."))
def list_staff(
    role: Annotated[str, typer.Option(help=tr("只列此角色。", "Only with this role."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List members."""
    request = pb.ListStaffRequest(role=role)
    with Services(address) as services:
        found = services.pages(services.staff.ListStaff, request, "staff")
    if output is Output.JSON:
        print_json([plain(member) for member in found])
        return
    rows = [
        [
            str(member.number),
            member.name,
            _grants(member.grants),
            _state(member),
            local_time(member.sign_in_time_us) if member.sign_in_time_us else "",
        ]
        for member in found
    ]
    print_table(
        tr("编号 登录名 角色 状态 上次登录", "number name roles state signed-in").split(), rows
    )


@app.command("show", help=tr("一名员工。", "Show a member."))
def show(
    name: NameArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show a member."""
    with Services(address) as services:
        member = services.call(services.staff.GetStaff, pb.GetStaffRequest(name=name)).staff
    if output is Output.JSON:
        print_json(plain(member))
        return
    print_fields(
        {
            tr("登录名", "Name"): f"{member.name} (staff:{member.number})",
            tr("角色", "Roles"): _grants(member.grants),
            tr("状态", "State"): _state(member),
            tr("新建", "Created"): local_time(member.create_time_us),
        }
    )


@app.command("grant", help=tr("授予角色。", "Give a role."))
def grant(
    name: NameArgument,
    role: Annotated[str, typer.Argument(metavar="ROLE")],
    reason: ReasonOption,
    scope: ScopeOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a role."""
    given = pb.RoleGrant(role=role, scope=scope)
    request = pb.GrantRoleRequest(name=name, grant=given, reason=reason)
    _act(address, "GrantRole", request, output, f"{name}: + {role} {scope}".rstrip())


@app.command("revoke", help=tr("收回角色。", "Take a role back."))
def revoke(
    name: NameArgument,
    role: Annotated[str, typer.Argument(metavar="ROLE")],
    reason: ReasonOption,
    scope: ScopeOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take a role back."""
    given = pb.RoleGrant(role=role, scope=scope)
    request = pb.RevokeRoleRequest(name=name, grant=given, reason=reason)
    _act(address, "RevokeRole", request, output, f"{name}: - {role} {scope}".rstrip())


@app.command("disable", help=tr("停用员工。", "Keep a member out."))
def disable(
    name: NameArgument,
    reason: ReasonOption,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Keep a member out."""
    request = pb.DisableStaffRequest(name=name, reason=reason)
    text = tr(f"已停用 {name}", f"Disabled {name}")
    _act(address, "DisableStaff", request, output, text)


@app.command("enable", help=tr("恢复员工。", "Let a member in again."))
def enable(
    name: NameArgument,
    reason: ReasonOption,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let a member in again."""
    request = pb.EnableStaffRequest(name=name, reason=reason)
    text = tr(f"已恢复 {name}", f"Enabled {name}")
    _act(address, "EnableStaff", request, output, text)


@app.command("reset", help=tr("重置: 新的一次性口令。", "Reset: a new one-time secret."))
def reset(
    name: NameArgument,
    reason: ReasonOption,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take password and authenticator off and give a new one-time secret."""
    request = pb.ResetStaffRequest(name=name, reason=reason)
    with Services(address) as services:
        response = services.act(services.staff.ResetStaff, request)
    _show_secret(response, name, output)


@app.command("sessions", help=tr("员工的会话。", "List a member's sessions."))
def sessions(
    name: NameArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List a member's sessions."""
    with Services(address) as services:
        found = services.call(services.staff.ListSessions, pb.ListSessionsRequest(name=name))
    if output is Output.JSON:
        print_json([plain(session) for session in found.sessions])
        return
    rows = [
        [
            session.session,
            label(pb.StaffChannel.DESCRIPTOR, session.channel),
            *map(local_time, (session.open_time_us, session.use_time_us, session.until_us)),
        ]
        for session in found.sessions
    ]
    print_table(tr("会话 渠道 开始 最近 至", "session channel opened used until").split(), rows)


@app.command("revoke-sessions", help=tr("结束员工的会话。", "End a member's sessions."))
def revoke_sessions(
    name: NameArgument,
    reason: ReasonOption,
    session: Annotated[str, typer.Option(help=tr("只这一个。", "Only this one."))] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """End a member's sessions."""
    request = pb.RevokeSessionsRequest(name=name, session=session, reason=reason)
    with Services(address) as services:
        response = services.act(services.staff.RevokeSessions, request)
    ended = response.ended_count
    finish(response, output, tr(f"已结束 {ended} 个会话", f"Ended {ended} sessions"))


@app.command("acts", help=tr("审计: 谁做了什么。", "Audit: who did what."))
def acts(
    actor: Annotated[str, typer.Option(help="system, staff:NUMBER, holder:NUMBER.")] = "",
    account: Annotated[str, typer.Option(help=tr("学工号。", "Account."))] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List acts, newest first."""
    request = pb.ListActsRequest(actor=actor, account_no=account)
    with Services(address) as services:
        found = services.pages(services.staff.ListActs, request, "acts", limit=limit)
    if output is Output.JSON:
        print_json([plain(act) for act in found])
        return
    print_acts(found)


def print_acts(found: Sequence[pb.ActEntry]) -> None:
    """Show acts as a table."""
    rows = [
        [
            str(act.seq),
            local_time(act.time_us),
            act.kind + (f" ({act.refusal})" if act.refusal else ""),
            *(act.account_no, act.actor, act.role, act.channel, act.reason),
        ]
        for act in found
    ]
    columns = tr(
        "流水 时间 事项 账户 经办 角色 渠道 原因", "seq time act account actor role channel reason"
    )
    print_table(columns.split(), rows)


# -- texts ----------------------------------------------------------------------------------------


def show_key(uri: str) -> None:
    """Show an authenticator's key for a camera, and as text, on standard error."""
    note(tr("用动态码应用扫描:", "Scan this with an authenticator app:"))
    if sys.stderr.isatty():
        segno.make(uri, error="l").terminal(out=sys.stderr, compact=True)
    note(uri)


def _act(address: str, method: str, request: Any, output: Output, text: str) -> None:
    """Call an act of StaffService and print its end."""
    with Services(address) as services:
        response = services.act(getattr(services.staff, method), request)
    finish(response, output, text)


def _show_secret(response: Any, name: str, output: Output) -> None:
    if output is Output.JSON:
        print_json(plain(response))
        return
    if not response.one_time_secret:
        note(tr("口令只显示一次; 再发: staff reset", "It was shown before; another: staff reset"))
        return
    until = local_time(response.secret_until_us)
    done(tr(f"{name} 的一次性口令, 至 {until}:", f"One-time secret of {name}, until {until}:"))
    print(response.one_time_secret)


def _grants(grants: Any) -> str:
    return " ".join(f"{g.role}:{g.scope}" if g.scope else g.role for g in grants)


def _state(member: pb.StaffMember) -> str:
    if member.disabled:
        return tr("停用", "disabled")
    return tr("启用", "active") if member.enrolled else tr("待首次登录", "not enrolled")


def secret(variable: str, prompt: str) -> str:
    """Take a secret from the environment, or ask without showing it."""
    given = os.environ.get(variable, "")
    if given:
        return given
    if not sys.stdin.isatty():
        raise Failure(
            tr("没有终端可输入密码。", "There is no terminal to ask for the password."),
            code=Exit.USAGE,
            step=f"{variable}=...",
        )
    return getpass.getpass(prompt)


def _new_password() -> str:
    """Ask for a new password twice."""
    first = secret(NEW_PASSWORD_VARIABLE, tr("新密码: ", "New password: "))
    if os.environ.get(NEW_PASSWORD_VARIABLE):
        return first
    if getpass.getpass(tr("再输一次: ", "Again: ")) != first:
        raise Failure(tr("两次不一致。", "They differ."), code=Exit.USAGE)
    return first


def _asked(prompt: str) -> str:
    """Ask on the terminal; where there is none, one line of standard input."""
    if sys.stdin.isatty():
        sys.stderr.write(prompt)
        sys.stderr.flush()
    return sys.stdin.readline().strip()
