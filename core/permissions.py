"""Who may do what: one table of permissions and the roles that have them. Nothing else allows anything.

Every RPC names its permission in the proto (option ``permission``); a caller needs one role of that
row. A permission that is not here belongs to nobody.

**Source:** regulation 一.2 (users, managers), 六.1-六.3 (who does what, nobody alone), 七.3.
"""

from __future__ import annotations

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

SIGNED_IN: Final = frozenset({"session.own"})
"""Permissions of everybody who is signed in, whatever their roles: their own session and password."""

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

_TABLE: Final[dict[str, tuple[Role, ...]]] = {
    # signing in
    "session.open": tuple(Role),
    "session.own": tuple(role for role in Role if role is not Role.TERMINAL),
    # self-service without a session: the query password says who it is
    "loss.report": tuple(Role),
    # terminals
    "tap": (_TERMINAL,),
    "transaction.read": (_TERMINAL, _OFFICER, _SUPERVISOR, _AUDITOR),
    # accounts
    "account.open": (_OFFICER,),
    "account.read": (_OFFICER, _SUPERVISOR, _AUDITOR),
    "account.list": (_OFFICER, _SUPERVISOR, _AUDITOR),
    "account.status": (_OFFICER, _SUPERVISOR),
    "account.limits": (_OFFICER,),
    "account.password": (_OFFICER,),
    "account.history": (_OFFICER, _SUPERVISOR, _AUDITOR),
    "account.erase": (_SUPERVISOR,),
    "medium.bind": (_OFFICER,),
    "money.in": (_OFFICER, _FINANCE),
    "money.subsidy": (_FINANCE,),
    # holders and rosters
    "roster.import": (_AFFAIRS, _OFFICER, _TEACHER),
    "holder.read": (_AFFAIRS, _OFFICER, _SUPERVISOR, _AUDITOR, _TEACHER),
    "holder.change": (_AFFAIRS, _OFFICER),
    "photo.submit": (_AFFAIRS, _OFFICER, _TEACHER),
    "photo.read": (_AFFAIRS, _OFFICER, _SUPERVISOR, _TEACHER),
    # cards
    "card.issue": (_OFFICER,),
    "card.hand_over": (_OFFICER,),
    "card.activate": (_OFFICER, _AFFAIRS),
    "card.read": (_AFFAIRS, _TEACHER, _OFFICER, _SUPERVISOR, _AUDITOR),
    "card.lose": (_HOLDER, _OFFICER),
    "card.unlose": (_HOLDER, _OFFICER),
    "card.upgrade": (_OFFICER,),
    "card.renew": (_OFFICER,),
    "card.return": (_OFFICER, _AFFAIRS),
    "case.open": (_TEACHER, _OFFICER),
    "case.submit": (_TEACHER, _OFFICER),
    "case.read": (_TEACHER, _AFFAIRS, _OFFICER, _SUPERVISOR, _FINANCE, _AUDITOR),
    "case.fee": (_FINANCE, _OFFICER),
    "case.waive": (_FINANCE, _SUPERVISOR),
    "case.refund": (_FINANCE,),
    "case.make": (_OFFICER,),
    "case.pick_up": (_OFFICER,),
    "case.cancel": (_OFFICER,),
    "clearance.read": (_AFFAIRS, _TEACHER, _OFFICER, _SUPERVISOR, _AUDITOR),
    "clearance.certify": (_AFFAIRS, _OFFICER),
    "refund.list": (_FINANCE, _AUDITOR),
    "sanction.set": (_OFFICER, _SUPERVISOR),
    "hours.override": (_SUPERVISOR,),
    "alert.read": (_OFFICER, _SUPERVISOR, _AUDITOR),
    "alert.close": (_OFFICER, _SUPERVISOR),
    "notice.read": (_TEACHER, _AFFAIRS, _OFFICER, _SUPERVISOR),
    # the holder's own
    "own.session": (_HOLDER,),
    "own.read": (_HOLDER,),
    "own.password": (_HOLDER,),
    "own.limits": (_HOLDER,),
    "own.qr": (_HOLDER,),
    # merchants and terminals
    "merchant.read": (_MERCHANT, _OFFICER, _FINANCE, _AUDITOR, _OPS),
    "merchant.change": (_OFFICER,),
    "terminal.change": (_OFFICER, _OPS),
    # parameters
    "parameter.read": (_MAKER, _CHECKER, _OFFICER, _SUPERVISOR, _AUDITOR, _OPS),
    "parameter.propose": (_MAKER,),
    "parameter.approve": (_CHECKER,),
    "parameter.what_if": (_MAKER, _CHECKER, _AUDITOR),
    "category.read": (_MAKER, _CHECKER, _OFFICER, _SUPERVISOR, _FINANCE, _MERCHANT, _AUDITOR, _OPS),
    "calendar.read": tuple(role for role in Role if role is not Role.TERMINAL),
    # access
    "access.check": (_TERMINAL,),
    "access.change": (_OFFICER, _SUPERVISOR),
    "access.read": (_OFFICER, _SUPERVISOR, _AUDITOR),
    "access.emergency": (_OFFICER, _SUPERVISOR),
    "face.enrol": (_OFFICER,),
    "face.withdraw": (_HOLDER, _OFFICER),
    # staff
    "staff.read": (_SECURITY, _AUDITOR),
    "staff.change": (_SECURITY,),
    "acts.read": (_AUDITOR,),
    # the machine
    "ops.read": (_OPS, _AUDITOR),
    "ops.run": (_OPS,),
}

PERMISSIONS: Final = {name: frozenset(roles) for name, roles in _TABLE.items()}
"""Per permission the roles that have it."""


def allowing(permission: str, roles: Iterable[Role]) -> Role | None:
    """Return the role among a caller's that has a permission; None: it is denied.

    The table's order decides where several would do, so that an act always names the same one; a
    role that is granted for something comes after all others: who acts as one has no wider right.
    """
    held = frozenset(roles)
    row = [role for role in _TABLE.get(permission, ()) if role in held]
    return min(row, key=SCOPED.__contains__, default=None)
