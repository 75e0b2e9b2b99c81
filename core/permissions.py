"""Who may do what: one table of permissions and the roles that have them. Nothing else allows anything.

Every RPC names its permission in the proto (option ``permission``); a caller needs one role of that
row. A permission that is not here belongs to nobody. A row also says why its acts are ordinarily done:
no act stands in the journal without a reason.

**Source:** regulation 一.2 (users, managers), 六.1-六.3 (who does what, nobody alone), 七.3, 八.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class Role(StrEnum):
    """What a caller may act as."""

    HOLDER = "HOLDER"
    """A student or member of staff, about their own account."""
    CLASS_TEACHER = "CLASS_TEACHER"
    """班主任: own classes only."""
    STUDENT_AFFAIRS = "STUDENT_AFFAIRS"
    """学生处: rosters, hand-out and return of cards, clearance."""
    CARD_OFFICER = "CARD_OFFICER"
    """卡务: the counter of the card centre."""
    CARD_SUPERVISOR = "CARD_SUPERVISOR"
    """Head of the counter: overrides its hours, with a reason."""
    FINANCE = "FINANCE"
    """财务室: fees, refunds, money in; never a holder's balance."""
    MERCHANT = "MERCHANT"
    """A merchant's operator, own merchants only."""
    TERMINAL = "TERMINAL"
    """A till, meter, gate or water machine."""
    PARAM_MAKER = "PARAM_MAKER"
    """经办: proposes parameters."""
    PARAM_CHECKER = "PARAM_CHECKER"
    """复核: approves them, never their own."""
    SEC_ADMIN = "SEC_ADMIN"
    """Staff, roles and sessions; nothing else."""
    AUDITOR = "AUDITOR"
    """Reads everything that is no secret, changes nothing."""
    OPS = "OPS"
    """Runs the machine: head, checkpoint, follow, verify."""


class Channel(StrEnum):
    """By which way a caller came. It stands in every act."""

    COUNTER = "COUNTER"
    """Staff at a counter of the card centre, the holder before them."""
    OFFICE = "OFFICE"
    """Staff anywhere else."""
    SELF_SERVICE = "SELF_SERVICE"
    """The holder on their own: public account, portal."""
    TERMINAL = "TERMINAL"
    """A terminal's connection."""


SCOPED: Final = {Role.CLASS_TEACHER: "class name", Role.MERCHANT: "merchant id"}
"""Roles that are granted for something, and what."""

PUBLIC: Final = frozenset({"session.open", "loss.report"})
"""Permissions of callers who are not signed in, too."""

SIGNED_IN: Final = frozenset({"session.own", "session.read"})
"""Permissions of everybody who is signed in, whatever their roles: their own session and password."""

SELF: Final = "SELF"
"""Stands for the role in acts about one's own session: of somebody who has several roles, or none yet."""

WITH_INITIAL_PASSWORD: Final = PUBLIC | SIGNED_IN | {"own.session", "own.password"}
"""Permissions of a holder whose query password is still the initial one (五.2), which others can guess:
to change passwords, and to report a loss."""

_HOLDER: Final = Role.HOLDER
_TEACHER: Final = Role.CLASS_TEACHER
_AFFAIRS: Final = Role.STUDENT_AFFAIRS
_OFFICER: Final = Role.CARD_OFFICER
_SUPERVISOR: Final = Role.CARD_SUPERVISOR
_FINANCE: Final = Role.FINANCE
_MERCHANT: Final = Role.MERCHANT
_TERMINAL: Final = Role.TERMINAL
_MAKER: Final = Role.PARAM_MAKER
_CHECKER: Final = Role.PARAM_CHECKER
_SECURITY: Final = Role.SEC_ADMIN
_AUDITOR: Final = Role.AUDITOR
_OPS: Final = Role.OPS


@dataclass(frozen=True, slots=True)
class Row:
    """A permission.

    Attributes:
        roles: who has it; an act names the first of them its caller has.
        acts: its methods are written to the journal as acts.
        ground: the ordinary reason of such an act: what stands in it when nobody states another;
            empty: there is none, a reason is asked for.
        why_stated: why there is none.
    """

    roles: tuple[Role, ...]
    acts: bool = False
    ground: str = ""
    why_stated: str = ""


def _no_act(*roles: Role) -> Row:
    """Reads, or moves money by records that are no acts, as taps do."""
    return Row(roles)


def _usual(ground: str, *roles: Role) -> Row:
    return Row(roles, acts=True, ground=ground)


def _stated(why: str, *roles: Role) -> Row:
    return Row(roles, acts=True, why_stated=why)


TABLE: Final[dict[str, Row]] = {
    # signing in
    "session.open": _usual("登录 · signing in (四.4, 七.3)", *Role),
    "session.own": _usual(
        "本人会话与密码 · one's own session and password (七.3)",
        *(role for role in Role if role is not Role.TERMINAL),
    ),
    "session.read": _no_act(*(role for role in Role if role is not Role.TERMINAL)),
    # self-service without a session: the query password says who it is
    "loss.report": _usual("持卡人挂失 · the holder's own loss report (三.2)", *Role),
    # terminals
    "tap": _no_act(_TERMINAL),
    "pin.change": _usual("终端改密 · changed by the holder at a terminal (五.2)", _TERMINAL),
    "transaction.read": _no_act(_TERMINAL, _OFFICER, _SUPERVISOR, _AUDITOR),
    # accounts
    "account.open": _usual("开户 · account of a new holder (三.1)", _OFFICER),
    "account.read": _no_act(_OFFICER, _SUPERVISOR, _AUDITOR),
    "account.list": _no_act(_OFFICER, _SUPERVISOR, _AUDITOR),
    "account.status": _stated("it stops or closes a holder's money", _OFFICER, _SUPERVISOR),
    "account.limits": _usual(
        "持卡人申请 · asked for by the holder at the counter (四.3)", _OFFICER
    ),
    "account.password": _usual(
        "持卡人申请 · asked for by the holder at the counter (四.3)", _OFFICER
    ),
    "account.history": _no_act(_OFFICER, _SUPERVISOR, _AUDITOR),
    "account.erase": _stated("nothing brings it back", _SUPERVISOR),
    "medium.bind": _usual("持卡人申请 · a carrier of the holder's choice (四.1)", _OFFICER),
    "money.in": _usual("充值 · money paid in for the holder (四.5)", _OFFICER, _FINANCE),
    "money.subsidy": _usual("发放补助 · subsidy granted to the holder (六.1)", _FINANCE),
    # holders and rosters
    "roster.import": _usual(
        "班级汇总表 · summary sheet of the class (三.1)", _AFFAIRS, _OFFICER, _TEACHER
    ),
    "holder.read": _no_act(_AFFAIRS, _OFFICER, _SUPERVISOR, _AUDITOR, _TEACHER),
    "holder.change": _stated(
        "a person's particulars: a correction, a move, a leave", _AFFAIRS, _OFFICER
    ),
    "photo.submit": _usual("办卡照片 · photo for the card (三.1)", _AFFAIRS, _OFFICER, _TEACHER),
    "photo.read": _no_act(_AFFAIRS, _OFFICER, _SUPERVISOR, _TEACHER),
    # cards
    "card.issue": _usual("批量发卡 · cards made for new holders (三.1)", _OFFICER),
    "card.hand_over": _usual("移交学生处 · cards collected for registration (三.1)", _OFFICER),
    "card.activate": _usual("报到领卡 · card given to its holder (三.1)", _OFFICER, _AFFAIRS),
    "card.read": _no_act(_AFFAIRS, _TEACHER, _OFFICER, _SUPERVISOR, _AUDITOR),
    "card.lose": _usual("持卡人挂失 · loss reported by the holder (三.2)", _HOLDER, _OFFICER),
    "card.unlose": _usual("找回解挂 · lost card found again (三.3)", _HOLDER, _OFFICER),
    "card.upgrade": _usual("补交照片换卡 · photo supplied for a temporary card (三.1)", _OFFICER),
    "card.renew": _usual("到期换期 · the card's time has run out (三.1)", _OFFICER),
    "card.return": _usual("离校退卡 · card given back on leaving (三.5)", _OFFICER, _AFFAIRS),
    "case.open": _usual("挂失补卡 · new card for a lost one (三.4)", _TEACHER, _OFFICER),
    "case.submit": _usual("补卡材料 · paper of a replacement (三.4)", _TEACHER, _OFFICER),
    "case.read": _no_act(_TEACHER, _AFFAIRS, _OFFICER, _SUPERVISOR, _FINANCE, _AUDITOR),
    "case.fee": _usual("凭据收费 · fee paid, by its receipt (三.4, 三.5)", _FINANCE, _OFFICER),
    "case.waive": _stated("the regulation names no exception from the fee", _FINANCE, _SUPERVISOR),
    "case.refund": _stated("money goes back", _FINANCE),
    "case.make": _usual("手续齐全制卡 · all papers there (三.4)", _OFFICER),
    "case.fail": _stated("a number is burnt", _OFFICER),
    "case.pick_up": _usual("领取新卡 · new card collected (三.4)", _OFFICER),
    "case.cancel": _stated("papers and fee were handed in already", _OFFICER),
    "clearance.read": _no_act(_AFFAIRS, _TEACHER, _OFFICER, _SUPERVISOR, _AUDITOR),
    "clearance.certify": _usual("离校清算 · nothing is owed (三.5)", _AFFAIRS, _OFFICER),
    "clearance.revoke": _stated("what was certified does not hold", _AFFAIRS, _OFFICER),
    "refund.list": _no_act(_FINANCE, _AUDITOR),
    "transfer.settle": _stated("how it is known what was written", _OFFICER, _SUPERVISOR),
    "sanction.set": _stated("八.1: for what, and until when", _OFFICER, _SUPERVISOR),
    "hours.override": _stated("the regulation names no exception from the hours", _SUPERVISOR),
    "alert.read": _no_act(_OFFICER, _SUPERVISOR, _AUDITOR),
    "alert.close": _stated("what was found", _OFFICER, _SUPERVISOR),
    "notice.read": _no_act(_TEACHER, _AFFAIRS, _OFFICER, _SUPERVISOR),
    "notice.close": _usual(
        "通知已阅 · read by whom it is for (三.4)", _TEACHER, _AFFAIRS, _OFFICER, _SUPERVISOR
    ),
    # the holder's own
    "own.session": _usual("本人退出 · the holder's own session (四.4)", _HOLDER),
    "own.read": _no_act(_HOLDER),
    "own.password": _usual("本人修改 · the holder's own password (四.4, 五.2)", _HOLDER),
    "own.limits": _usual("本人修改 · the holder's own limits (四.3)", _HOLDER),
    "own.qr": _no_act(_HOLDER),
    # merchants and terminals
    "merchant.read": _no_act(_MERCHANT, _OFFICER, _FINANCE, _AUDITOR, _OPS),
    "merchant.create": _usual("商户入网 · merchant admitted (四.2)", _OFFICER),
    "merchant.change": _stated("it moves or stops somebody's income", _OFFICER),
    "terminal.create": _usual("终端入网 · terminal set up (四.2)", _OFFICER, _OPS),
    "terminal.change": _stated("it moves or stops somebody's income", _OFFICER, _OPS),
    # parameters
    "parameter.read": _no_act(_MAKER, _CHECKER, _OFFICER, _SUPERVISOR, _AUDITOR, _OPS),
    "parameter.propose": _stated("六.3: nothing changes without a cause", _MAKER),
    "parameter.withdraw": _usual("提案撤回 · withdrawn by its proposer (六.3)", _MAKER),
    "parameter.approve": _usual("复核通过 · approved as proposed (六.3)", _CHECKER),
    "parameter.reject": _stated("the proposer learns why", _CHECKER),
    "parameter.what_if": _no_act(_MAKER, _CHECKER, _AUDITOR),
    "category.read": _no_act(
        _MAKER, _CHECKER, _OFFICER, _SUPERVISOR, _FINANCE, _MERCHANT, _AUDITOR, _OPS
    ),
    "calendar.read": _no_act(*(role for role in Role if role is not Role.TERMINAL)),
    # access
    "access.check": _usual("出入 · carrier presented at a gate (四.2)", _TERMINAL),
    "access.change": _usual("出入安排 · who may pass where and when (四.2)", _OFFICER, _SUPERVISOR),
    "access.read": _no_act(_OFFICER, _SUPERVISOR, _AUDITOR),
    "access.emergency": _stated("every door of a zone opens or closes", _OFFICER, _SUPERVISOR),
    "face.enrol": _usual("本人同意 · with the holder's consent (四.1)", _OFFICER),
    "face.withdraw": _usual("撤回同意 · consent withdrawn (四.1)", _HOLDER, _OFFICER),
    # staff
    "staff.read": _no_act(_SECURITY, _AUDITOR),
    "staff.change": _stated("it gives or takes power over others' money", _SECURITY),
    "acts.read": _no_act(_AUDITOR),
    # the machine
    "ops.read": _no_act(_OPS, _AUDITOR),
    "ops.run": _no_act(_OPS),
}

PERMISSIONS: Final = {name: frozenset(row.roles) for name, row in TABLE.items()}
"""Per permission the roles that have it."""


def ground(permission: str) -> str:
    """Return the ordinary reason of an act under a permission; empty: it has to be stated."""
    return TABLE[permission].ground if permission in TABLE else ""


def allowing(permission: str, roles: Iterable[Role]) -> Role | None:
    """Return the role among a caller's that has a permission; None: it is denied.

    The table's order decides where several would do, so that an act always names the same one; a
    role that is granted for something comes after all others: who acts as one has no wider right.
    """
    held = frozenset(roles)
    row = [role for role in TABLE[permission].roles if role in held] if permission in TABLE else []
    return min(row, key=SCOPED.__contains__, default=None)
