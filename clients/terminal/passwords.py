"""Changing the transaction password at a terminal: an act of the office, not a payment.

It has no terminal_seq and nothing is stored: passwords live in memory for this call only. One
request_id stands for all tries of a call, so that an answer that was lost is asked for again and
nothing is changed twice.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from campuscard.v1 import terminal_service_pb2 as pb
from clients.terminal.backoff import Backoff
from clients.terminal.errors import CallRejectedError, ServerUnreachableError
from clients.terminal.link import Link, NotYet, Rejected
from clients.terminal.settler import now_us
from core.ids import make_request_id

if TYPE_CHECKING:
    from clients.terminal.settings import Settings


async def change_pin(
    terminal_id: str,
    medium: pb.Medium,
    *,
    old: str,
    new: str,
    confirm: str,
    link: Link,
    settings: Settings,
) -> pb.ChangePinResponse:
    """Change a password, asking again with the same request_id until patience ends.

    Args:
        terminal_id: signed in, with a keypad.
        medium: what was presented.
        old: the present password, six digits.
        new: the wanted one.
        confirm: the wanted one, entered again.
        link: to the server.
        settings: patience and pauses.

    Raises:
        CallRejectedError: refused; nothing was changed.
        ServerUnreachableError: no answer in time; it may have been changed.
    """
    request = pb.ChangePinRequest(
        terminal_id=terminal_id,
        request_id=make_request_id(now_us() // 1_000, os.urandom(10)),
        medium=medium,
        old_pin=old,
        new_pin=new,
        confirm_pin=confirm,
    )
    loop = asyncio.get_running_loop()
    ends = loop.time() + settings.patience_s
    pauses = Backoff(first_s=settings.first_pause_s, most_s=settings.most_pause_s)
    while True:
        reply = await link.call("ChangePin", request, timeout_s=settings.attempt_s)
        if isinstance(reply, pb.ChangePinResponse):
            return reply
        if isinstance(reply, Rejected):
            raise CallRejectedError(reply.reason, reply.detail)
        wait_s = reply.wait_s if isinstance(reply, NotYet) else 0.0
        pause_s = pauses.pause_s(at_least_s=wait_s)
        if loop.time() + pause_s >= ends:
            raise ServerUnreachableError(f"no answer to ChangePin: {reply}")
        await asyncio.sleep(pause_s)
