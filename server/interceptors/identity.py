"""Who calls, and whether the method's permission is theirs: deny by default.

A method names its permission in the proto (option ``permission``); ``core.permissions`` says which
roles have it. A caller says who they are by ``authorization: Bearer TOKEN``. What somebody without a
token may call is settled once per method, so that a tap is not looked up at all.

**Source:** regulation 六.1-六.3, 七.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from campuscard.v1 import options_pb2
from core.permissions import (
    PERMISSIONS,
    PUBLIC,
    SIGNED_IN,
    WITH_INITIAL_PASSWORD,
    Role,
    allowing,
)
from core.refusals import Refusal, invalid
from server.identity import enter
from server.services import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from google.protobuf.descriptor import FileDescriptor

    from server.identity import Principal
    from server.interceptors.wrapping import Context
    from server.sessions import Session, Sessions

    Admission = Callable[[Context], Session | None]

HEADER: Final = "authorization"
REASON_HEADER: Final = "x-reason-bin"
"""Why somebody calls, UTF-8: for acts whose request has no field of its own for it."""
_OPEN: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.")
_SCHEME: Final = "bearer "


def permissions_of(files: Iterable[FileDescriptor]) -> dict[str, str]:
    """Return the permission of every method, as ``/package.Service/Method``; empty: it names none."""
    return {
        f"/{service.full_name}/{method.name}": method.GetOptions().Extensions[
            options_pb2.permission
        ]
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }


class IdentityGuard:
    """Lets callers in whose role has the method's permission.

    Args:
        sessions: of everybody who is signed in.
        permissions: per method, from ``permissions_of``.
        nobody: who calls without a token.
    """

    def __init__(
        self, sessions: Sessions, permissions: Mapping[str, str], *, nobody: Principal
    ) -> None:
        self._sessions = sessions
        self._permissions = permissions
        self._nobody = nobody

    def admission(self, method: str, *, signed: bool) -> Admission | None:
        """Return what lets a call of a method in; None: everybody may, and nobody is looked up.

        Args:
            method: full name, ``/package.Service/Method``.
            signed: the call carries a token.
        """
        if method.startswith(_OPEN):
            return None
        permission = self._permissions.get(method, "")
        if signed:
            return self._by_token(permission)
        if permission in PUBLIC or allowing(permission, self._nobody.roles) is not None:
            return None

        def refuse(_: Context) -> Session | None:
            raise refusal(permission, None)

        return refuse

    def _by_token(self, permission: str) -> Admission:
        sessions, nobody = self._sessions, self._nobody

        def admit(context: Context) -> Session | None:
            session = sessions.session(token_of(context))
            principal = nobody if session is None else session.principal
            role = allowing(permission, principal.roles)
            if role is None and not _may_anyway(permission, session):
                raise refusal(permission, None if session is None else principal)
            if principal.initial and permission not in WITH_INITIAL_PASSWORD:
                raise Refusal("INITIAL_PASSWORD")
            enter(principal, role, why=reason_of(context))
            if session is not None:
                structlog.contextvars.bind_contextvars(actor=principal.actor)
            return session

        return admit


def is_signed(metadata: Iterable[tuple[str, Any]] | None) -> bool:
    """Tell whether a call carries a token."""
    for key, _ in metadata or ():  # noqa: SIM110 - a generator costs a tap more than the look
        if key == HEADER:
            return True
    return False


def token_of(context: Context) -> str:
    """Return the token of a call; empty when it carries none that can be read."""
    for key, value in context.invocation_metadata() or ():
        if key == HEADER and isinstance(value, str) and value[: len(_SCHEME)].lower() == _SCHEME:
            return value[len(_SCHEME) :].strip()
    return ""


def reason_of(context: Context) -> str:
    """Return the reason that came with a call; empty when none did.

    Raises:
        Refusal: FIELD_INVALID when it is no text or too long.
    """
    for key, value in context.invocation_metadata() or ():
        if key == REASON_HEADER:
            return _reason_text(value)
    return ""


def refusal(permission: str, principal: Principal | None) -> Refusal:
    """Return why a call is not let in.

    Args:
        permission: of the method.
        principal: who is signed in; None: nobody.
    """
    if principal is None:
        return Refusal("SESSION_REQUIRED")
    if principal.pending:
        return Refusal("ENROLMENT_REQUIRED")
    roles = PERMISSIONS.get(permission, frozenset[Role]())
    return Refusal("FORBIDDEN", permission=permission or "-", roles=", ".join(sorted(roles)) or "-")


def _reason_text(value: str | bytes) -> str:
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise invalid(REASON_HEADER, "text in UTF-8") from None
    return fields.reason(text)


def _may_anyway(permission: str, session: Session | None) -> bool:
    return permission in PUBLIC or (session is not None and permission in SIGNED_IN)
