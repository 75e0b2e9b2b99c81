"""The page of who may call what, from the table of permissions and the protos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.permissions import PERMISSIONS, PUBLIC, SCOPED, SIGNED_IN, TABLE, Role
from server.app import proto_files
from server.interceptors.identity import permissions_of
from server.interceptors.wrapping import split_method
from tools.markdown import BANNER, table

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRO: Final = """\
# Who may call what

Every method names a permission (option `permission` in its proto); a caller needs one role of that row.
What is not here is denied: `FORBIDDEN` says which roles have the permission, `SESSION_REQUIRED` that
nobody is signed in. A call without a token has the role TERMINAL and no other
([staff](../guides/staff.md)).

Every act stands in the journal with a reason: what the request states, else what came with the call
(`campuscard --reason TEXT`, metadata `x-reason-bin`), else the *ground* of its permission, which is
its ordinary reason and the clause behind it. Where acts are never ordinary one is asked for:
`REASON_REQUIRED`. A dash: no act is made; what a tap moves has records of its own.
"""


def permissions_page() -> Iterator[str]:
    """Yield the lines of permissions.md."""
    yield BANNER.format(source="core/permissions.py and proto/")
    yield from INTRO.splitlines()
    yield ""
    methods = methods_of()
    yield from table(
        ("permission", "roles", "methods", "ground"),
        (
            (f"`{name}`", roles_of(name), "<br>".join(methods.get(name, ())), ground_of(name))
            for name in PERMISSIONS
        ),
    )
    yield "## Roles granted for something"
    yield ""
    yield from table(("role", "granted for"), ((role.name, what) for role, what in SCOPED.items()))


def roles_of(permission: str) -> str:
    """Say who has a permission."""
    if permission in PUBLIC:
        return "everybody"
    if permission in SIGNED_IN:
        return "everybody who is signed in"
    return ", ".join(role.name for role in Role if role in PERMISSIONS[permission])


def ground_of(permission: str) -> str:
    """Say why acts under a permission are done."""
    row = TABLE[permission]
    if not row.acts:
        return "-"
    return row.ground or f"stated each time: {row.why_stated}"


def methods_of() -> dict[str, list[str]]:
    """Return the methods of every permission, as ``Service.Method``."""
    found: dict[str, list[str]] = {}
    for method, permission in permissions_of(proto_files()).items():
        service, name = split_method(method)
        found.setdefault(permission, []).append(f"{service.rsplit('.', 1)[-1]}.{name}")
    return {permission: sorted(names) for permission, names in found.items()}
