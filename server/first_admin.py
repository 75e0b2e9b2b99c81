"""The first member of staff: a directory without staff gets one administrator, who gets one secret.

The secret goes to standard output once, after the act is durable, and nowhere else: the log is
standard error. Who lost it, or the authenticator, is given another one by whoever may start the
server: ``serve --reset-admin``.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from core.documents import SYSTEM, By
from core.permissions import Role
from core.refusals import Refusal, missing
from core.staff import FIRST_ADMIN, Grant, create, reset
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
"""How long the start of a young directory waits for it."""
YOUNG_SEQ: Final = 1_000
"""Where a journal is no longer young: its registry may take long, and payments do not wait."""
RETRY_S: Final = 1.0
_FIRST_BY: Final = By(actor=SYSTEM.actor, reason="first start: no staff yet")
_RESET_BY: Final = By(actor=SYSTEM.actor, reason="serve --reset-admin")

_log = structlog.get_logger("campuscard.server")


@asynccontextmanager
async def entering_first_admin(
    office: Office, secrets: StaffSecrets, *, reset: str = ""
) -> AsyncIterator[None]:
    """See to the administrator while the server starts, and go on while it runs.

    Without a registry nobody knows whether there is staff: it is asked again until it is there.

    Args:
        office: for the acts.
        secrets: keys of one-time secrets.
        reset: sign-in name of a SEC_ADMIN who gets a new secret; empty: nobody.
    """
    task = asyncio.create_task(_enter_when_known(office, secrets, reset), name="first-admin")
    if office.engine.head()["acknowledged_seq"] < YOUNG_SEQ:
        await asyncio.wait({task}, timeout=WAIT_S)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _enter_when_known(office: Office, secrets: StaffSecrets, name: str) -> None:
    while True:
        try:
            if await office.projector.look(lambda r: register.next_number(r.connection)) == 1:
                await _enter_first(office, secrets)
            elif name:
                await _reset(office, secrets, name)
        except Refusal as refusal:
            _log.warning("first_admin_waits", reason=refusal.reason.name)
            if not refusal.reason.retryable:
                return
            await asyncio.sleep(RETRY_S)
        except OSError as error:
            _log.error("one_time_secret_not_shown", error=str(error))
            return
        else:
            return


async def _enter_first(office: Office, secrets: StaffSecrets) -> None:
    text = ""

    async def decide(desk: Desk) -> Plan:
        nonlocal text
        number = await desk.read(lambda r: register.next_number(r.connection))
        text, secret = make_one_time(secrets.one_time_mac, await desk.parameters(), desk.now_us)
        grants = (Grant(Role.SEC_ADMIN),)
        return create(FIRST_ADMIN, grants, secret, known=None, number=number)

    await office.record("StaffCreated", decide, by=_FIRST_BY)
    _show(FIRST_ADMIN, text)


async def _reset(office: Office, secrets: StaffSecrets, name: str) -> None:
    text = ""

    async def decide(desk: Desk) -> Plan:
        nonlocal text
        member = await desk.read(lambda r: register.member(r.connection, name))
        if member is None or Role.SEC_ADMIN not in member.roles:
            raise missing("staff")
        text, secret = make_one_time(secrets.one_time_mac, await desk.parameters(), desk.now_us)
        return reset(member, secret, actor=SYSTEM.actor)

    await office.record("StaffReset", decide, by=_RESET_BY)
    _show(name, text)


def _show(name: str, text: str) -> None:
    sys.stdout.write(f"{MARK}{name}: {text} (shown once; campuscard staff sign-in {name})\n")
    sys.stdout.flush()
