"""Rules of staff: who may become what, and who may decide about whom.

**Source:** regulation 六.1-六.3 (who does what, nobody alone), 七.3; one-time codes: RFC 6238.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.documents import staff as documents
from core.permissions import SCOPED, Role
from core.plans import Plan
from core.refusals import Refusal, illegal, invalid, missing, taken

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from core.documents import Document

FIRST_ADMIN: Final = "admin"
"""Sign-in name of the member a directory begins with."""
NAME_MAX: Final = 32
PASSWORD_MAX: Final = 128
"""Characters of a staff password at most."""
SCOPE_MAX: Final = 64
STAFF_MAX: Final = 100_000
GRANTS_MAX: Final = 64
"""Grants of one member at once."""
"""Members of staff at most: their numbers stay far below the holders' in the journal."""
NOT_FOR_STAFF: Final = frozenset({Role.HOLDER, Role.TERMINAL})
"""Roles that are what somebody is, not granted."""

_NAME: Final = re.compile(r"[0-9a-z][0-9a-z._-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A role, and for what: a class name, a merchant id, or empty."""

    role: Role
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.role.name}:{self.scope}" if self.scope else self.role.name


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffFacts:
    """A member of staff as the registry knows them. Sealed and keyed bytes are empty when unset.

    ``fails`` counts wrong tries since the last right one; times are microseconds since 1970 UTC.
    """

    number: int
    name: str
    disabled: bool = False
    grants: tuple[Grant, ...] = ()
    password: bytes = field(default=b"", repr=False)
    totp: bytes = field(default=b"", repr=False)
    totp_step: int = 0
    secret_mac: bytes = field(default=b"", repr=False)
    secret_until_us: int = 0
    fails: int = 0
    locked_until_us: int = 0
    created_us: int = 0
    signed_in_us: int = 0

    @property
    def actor(self) -> str:
        """As in ``core.documents.By``."""
        return f"staff:{self.number}"

    @property
    def enrolled(self) -> bool:
        """Password and authenticator are set."""
        return bool(self.password and self.totp)

    @property
    def roles(self) -> frozenset[Role]:
        """What they may act as."""
        return frozenset(grant.role for grant in self.grants)

    def scopes(self, role: Role) -> frozenset[str]:
        """Return what a scoped role is granted for."""
        return frozenset(grant.scope for grant in self.grants if grant.role is role)

    def locked_at(self, now_us: int) -> bool:
        """Tell whether too many wrong tries keep them out."""
        return now_us < self.locked_until_us


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTime:
    """A one-time secret as the journal keeps it."""

    mac: bytes = field(repr=False)
    until_us: int


def is_name(text: str) -> bool:
    """Tell whether a text may be a sign-in name: 1 to 32 of ``[0-9a-z._-]``, a letter or digit first.

    It stands in the journal for ever: a staff number, never a person's name.
    """
    return _NAME.fullmatch(text) is not None


def read_grant(role: str, scope: str) -> Grant:
    """Read a grant.

    Raises:
        Refusal: FIELD_INVALID for a role staff cannot have, or a scope where none belongs.
    """
    if role not in Role.__members__ or Role[role] in NOT_FOR_STAFF:
        raise invalid("role", "a role of staff, as CARD_OFFICER")
    if (Role[role] in SCOPED) is not bool(scope):
        what = SCOPED.get(Role[role])
        raise invalid("scope", f"a {what}" if what else f"{role} is not granted for anything")
    if len(scope) > SCOPE_MAX or scope != scope.strip() or not scope.isprintable():
        raise invalid("scope", f"1 to {SCOPE_MAX} printable characters")
    return Grant(Role[role], scope)


def parse_grant(text: str) -> Grant:
    """Read a grant as documents hold it: ``ROLE`` or ``ROLE:scope``."""
    role, _, scope = text.partition(":")
    return Grant(Role[role], scope)


def create(
    name: str, grants: tuple[Grant, ...], secret: OneTime, *, known: StaffFacts | None, number: int
) -> Plan:
    """Enter a member of staff, who signs in with the one-time secret first.

    Args:
        name: sign-in name.
        grants: what they may act as from the beginning.
        secret: as it will stand in the journal.
        known: who has this name already.
        number: the next free one.
    """
    if known is not None:
        raise taken("staff")
    if number > STAFF_MAX:
        raise Refusal("TABLE_FULL", table="staff")
    _check_count(set(grants))
    _check_exclusive(frozenset(grant.role for grant in grants))
    document = documents.StaffCreated(
        staff=number,
        name=name,
        grants=tuple(str(grant) for grant in sorted(set(grants))),
        secret_mac=secret.mac,
        secret_until_us=secret.until_us,
    )
    return _only(document)


def grant_role(member: StaffFacts, grant: Grant, *, actor: str) -> Plan:
    """Give a role. Nobody changes their own; SEC_ADMIN goes with no other role (六.3a)."""
    _check_other(member, actor)
    if grant in member.grants:
        raise taken("grant")
    _check_count({*member.grants, grant})
    _check_exclusive(member.roles | {grant.role})
    return _only(
        documents.StaffRoleGranted(staff=member.number, role=grant.role.name, scope=grant.scope)
    )


def revoke_role(member: StaffFacts, grant: Grant, *, actor: str, other_admins: int) -> Plan:
    """Take a role back. Nobody changes their own; one SEC_ADMIN always stays.

    Args:
        member: whose.
        grant: exactly as it was given.
        actor: who acts.
        other_admins: members beside this one who can act as SEC_ADMIN.
    """
    if grant.role is Role.SEC_ADMIN:
        _check_last_admin(member, other_admins)
    _check_other(member, actor)
    if grant not in member.grants:
        raise missing("grant")
    return _only(
        documents.StaffRoleRevoked(staff=member.number, role=grant.role.name, scope=grant.scope)
    )


def disable(member: StaffFacts, *, actor: str, other_admins: int) -> Plan:
    """Keep a member out from now on. One SEC_ADMIN always stays."""
    _check_last_admin(member, other_admins)
    _check_other(member, actor)
    if member.disabled:
        raise illegal("DISABLED", "DISABLE", ["ENABLE"])
    return _only(documents.StaffDisabled(staff=member.number))


def enable(member: StaffFacts, *, actor: str) -> Plan:
    """Let a disabled member in again."""
    _check_other(member, actor)
    if not member.disabled:
        raise illegal("ENABLED", "ENABLE", ["DISABLE"])
    return _only(documents.StaffEnabled(staff=member.number))


def reset(member: StaffFacts, secret: OneTime, *, actor: str) -> Plan:
    """Take password and authenticator off and give a new one-time secret."""
    _check_other(member, actor)
    return _only(
        documents.StaffReset(
            staff=member.number, secret_mac=secret.mac, secret_until_us=secret.until_us
        )
    )


def fail(member: StaffFacts, *, now_us: int, tries: int, lock_seconds: int) -> Plan:
    """Count a wrong try; the last one locks.

    Args:
        member: whose.
        now_us: the clock.
        tries: how many may be wrong.
        lock_seconds: how long the lock lasts; after it the count begins again.
    """
    begun_again = member.locked_until_us and not member.locked_at(now_us)
    fails = 1 if begun_again else member.fails + 1
    until_us = now_us + lock_seconds * 1_000_000 if fails >= tries else 0
    document = documents.StaffSignInFailed(
        staff=member.number, fails=fails, locked_until_us=until_us
    )
    return _only(document)


def password_fault(password: str, name: str, *, shortest: int) -> str:
    """Name what is wrong with a new password: TOO_SHORT, TOO_LONG, THE_NAME, FEW_CHARACTERS or nothing."""
    folded = password.casefold()
    rules = (
        ("TOO_SHORT", len(password) < shortest),
        ("TOO_LONG", len(password) > PASSWORD_MAX),
        ("THE_NAME", folded.replace(name.casefold(), "").strip() == ""),
        ("FEW_CHARACTERS", len(set(password)) < 3),
    )
    return next((rule for rule, broken in rules if broken), "")


def _only(document: Document) -> Plan:
    return Plan(document=document, effects=())


def _check_count(grants: AbstractSet[Grant]) -> None:
    if len(grants) > GRANTS_MAX:
        raise Refusal("TABLE_FULL", table="grants")


def _check_exclusive(roles: frozenset[Role]) -> None:
    if Role.SEC_ADMIN in roles and len(roles) > 1:
        raise Refusal("ROLE_EXCLUSIVE")


def _check_other(member: StaffFacts, actor: str) -> None:
    if member.actor == actor:
        raise Refusal("NOT_ABOUT_ONESELF")


def _check_last_admin(member: StaffFacts, other_admins: int) -> None:
    if Role.SEC_ADMIN in member.roles and not other_admins:
        raise Refusal("LAST_ADMIN")
