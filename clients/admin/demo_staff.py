"""Staff of a demo campus: entered at its first start, with passwords everybody may know.

Only for directories made with ``init --test``: ``staff.json`` beside the data holds everything that
is needed to sign in, authenticators included.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlparse

from campuscard.v1 import staff_service_pb2 as pb
from clients.admin.calls import Services, new_request_id
from clients.admin.console import Exit, Failure, tr
from clients.session import keep_session, signed_metadata
from core import totp

ADMIN: Final = "admin"
CLERK: Final = "demo"
PASSWORD: Final = "campus card demo"  # noqa: S105 - of a demo: everybody may know it
ROLES: Final = (
    *("CARD_OFFICER", "CARD_SUPERVISOR", "FINANCE", "STUDENT_AFFAIRS"),
    *("PARAM_MAKER", "AUDITOR", "OPS"),
)
CHECKER: Final = "checker"
CHECKER_ROLES: Final = ("PARAM_CHECKER",)
TOTP_STEPS: Final = 60  # codes are used faster than they change: half an hour of them is good
FILE_NAME: Final = "staff.json"
_EARLY_S: Final = 600


class DemoStaff:
    """The staff of one demo directory, at the server that runs on it."""

    def __init__(self, directory: Path, address: str) -> None:
        self._path = directory / FILE_NAME
        self._address = address
        self._token = ""
        self._checker = ""
        self._until_s = 0.0

    def enter(self, one_time_secret: str) -> None:
        """Enrol the administrator, the clerk and who approves the clerk's proposals."""
        members: dict[str, dict[str, Any]] = {}
        with Services(self._address) as services:
            members[ADMIN], token = _enrolled(services, ADMIN, one_time_secret)
            for name, roles in ((CLERK, ROLES), (CHECKER, CHECKER_ROLES)):
                request = pb.CreateStaffRequest(
                    request_id=new_request_id(),
                    name=name,
                    grants=[pb.RoleGrant(role=role) for role in roles],
                    reason="demo",
                )
                created = services.call(
                    services.staff.CreateStaff, request, metadata=signed_metadata(token)
                )
                members[name], _ = _enrolled(services, name, created.one_time_secret)
        self._write(members)

    def sign_in(self, name: str = CLERK) -> str:
        """Sign in and keep the session for the commands of this person; returns the token."""
        response = self.open_session(name)
        keep_session(self._address, name=name, token=response.token, until_us=response.until_us)
        if name == CLERK:
            self._token, self._until_s = response.token, response.until_us / 1e6
        return response.token

    def checker_token(self) -> str:
        """Return the token of who approves; no command of this person is given it."""
        if not self._checker:
            self._checker = self.open_session(CHECKER).token
        return self._checker

    def open_session(self, name: str) -> pb.StaffServiceSignInResponse:
        """Sign in and keep nothing."""
        members = self._read()
        if name not in members:
            raise Failure(
                tr(f"演示没有员工 {name}。", f"The demo has no member {name}."),
                code=Exit.USAGE,
                step=" ".join(members),
            )
        request = pb.StaffServiceSignInRequest(
            name=name,
            password=PASSWORD,
            code=_next_code(members[name]),
            channel=pb.STAFF_CHANNEL_COUNTER,
        )
        self._write(members)  # a code is good once, whatever becomes of the call
        with Services(self._address) as services:
            return services.call(services.staff.SignIn, request)

    def token(self) -> str:
        """Return the clerk's token, signing in again before it runs out."""
        if time.time() > self._until_s - _EARLY_S:
            self.sign_in()
        return self._token

    def known(self) -> bool:
        """Whether the directory has its staff."""
        return self._path.exists()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            value = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Failure(
                tr(f"没有演示员工: {error}", f"The demo has no staff: {error}"),
                code=Exit.LOCAL,
                step="campuscard demo reset",
            ) from error
        return dict(value)

    def _write(self, members: dict[str, dict[str, Any]]) -> None:
        temporary = self._path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(members, stream, indent=2)
        temporary.replace(self._path)


def _enrolled(services: Services, name: str, secret: str) -> tuple[dict[str, Any], str]:
    """Sign in for the first time, set password and authenticator; returns them and the token."""
    staff = services.staff
    first = services.call(
        staff.SignIn,
        pb.StaffServiceSignInRequest(name=name, password=secret, channel=pb.STAFF_CHANNEL_COUNTER),
    )
    signed = signed_metadata(first.token)
    changed = pb.ChangePasswordRequest(request_id=new_request_id(), new_password=PASSWORD)
    services.call(staff.ChangePassword, changed, metadata=signed)
    offered = services.call(staff.EnrolTotp, pb.EnrolTotpRequest(), metadata=signed)
    (key,) = parse_qs(urlparse(offered.otpauth_uri).query)["secret"]
    member: dict[str, Any] = {"password": PASSWORD, "totp": key, "step": 0}
    confirmed = pb.ConfirmTotpRequest(request_id=new_request_id(), code=_next_code(member))
    response = services.call(staff.ConfirmTotp, confirmed, metadata=signed)
    return member, response.token


def _next_code(member: dict[str, Any]) -> str:
    """Return a code that was not used yet, and remember that it is used now."""
    step = max(int(member["step"]) + 1, totp.step_at(time.time_ns() // 1_000))
    member["step"] = step
    return totp.code_of(base64.b32decode(member["totp"]), step)
