"""The first member of staff: a directory without staff gets one administrator, who gets one secret."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from core.documents import SYSTEM
from core.permissions import Role
from core.refusals import Refusal
from core.staff import FIRST_ADMIN, Grant, create
from server.registers import staff as register
from server.services.staff import make_one_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.plans import Plan
    from server.office_lane import Desk
    from server.services.office import Office
    from server.staff_secrets import StaffSecrets

MARK: Final = "One-time secret of "
"""What the line on the console begins with."""
WAIT_S: Final = 2.0
"""How long a start waits for it: payments do not."""
RETRY_S: Final = 1.0

_log = structlog.get_logger("campuscard.server")


@asynccontextmanager
async def entering_first_admin(office: Office, secrets: StaffSecrets) -> AsyncIterator[None]:
    """See to the first member while the server starts, and go on while it runs.

    Without a registry nobody knows whether there is staff: it is asked again until it is there.
    """
    task = asyncio.create_task(_enter_when_known(office, secrets), name="first-admin")
    await asyncio.wait({task}, timeout=WAIT_S)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _enter_when_known(office: Office, secrets: StaffSecrets) -> None:
    while True:
        try:
            return await enter_first_admin(office, secrets)
        except Refusal as refusal:
            _log.warning("first_admin_waits", reason=refusal.reason.name)
            await asyncio.sleep(RETRY_S)


async def enter_first_admin(office: Office, secrets: StaffSecrets) -> None:
    """Enter ``admin`` as SEC_ADMIN unless there is staff, and print the one-time secret.

    The secret goes to standard output once, after the act is durable, and nowhere else: the log is
    standard error.
    """
    if await office.projector.look(lambda r: register.next_number(r.connection)) > 1:
        return
    text = ""

    async def decide(desk: Desk) -> Plan:
        nonlocal text
        number = await desk.read(lambda r: register.next_number(r.connection))
        text, secret = make_one_time(secrets.one_time_mac, await desk.parameters(), desk.now_us)
        grants = (Grant(Role.SEC_ADMIN),)
        return create(FIRST_ADMIN, grants, secret, known=None, number=number)

    await office.record("StaffCreated", decide, by=SYSTEM, actor=0)
    sys.stdout.write(f"{MARK}{FIRST_ADMIN}: {text} (shown once; campuscard staff sign-in admin)\n")
    sys.stdout.flush()
