"""Making dynamic QR codes for a holder's own phone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core import faces, qr
from core.access import account_fault
from core.calendar import day_key
from core.refusals import Refusal, missing
from server.registers.parameters import values_at

if TYPE_CHECKING:
    from core.facts import MediumFacts
    from core.ports import HolderKeys
    from server.registry import Registry
    from server.services.office import Office

US_PER_S: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCode:
    """A code as the phone shows it; refused from ``until_us`` on."""

    text: str
    until_us: int


def signing_key(keys: HolderKeys) -> bytes:
    """Return the key that codes are signed with."""
    return keys.derive("dynamic-qr")


async def issue(office: Office, account_number: int) -> IssuedCode:
    """Make a code for the newest phone of an account that works.

    Args:
        office: the registry, the keys and the clock.
        account_number: of the holder.

    Raises:
        Refusal: PHONE_REQUIRED, CARD_LOST and its like, ACCOUNT_SUSPENDED, ACCOUNT_CLOSED.
    """
    now_us = office.clock.now_us()

    def look(registry: Registry) -> tuple[MediumFacts, int]:
        account = registry.account_by_number(account_number)
        if account is None:
            raise missing("account")
        fault = account_fault(account.status)
        if fault:
            raise Refusal(fault)
        today = day_key(now_us, registry.rules().utc_offset_seconds)
        phone = faces.usable_phone(registry.media_of(account_number), today)
        return phone, values_at(registry.connection, now_us).number("qr_seconds")

    phone, seconds = await office.projector.look(look)
    code = qr.Code(
        account=account_number,
        medium=phone.number,
        issued_s=now_us // US_PER_S,
        life_s=min(seconds, qr.LIFE_MAX_S),
        nonce=secrets.token_bytes(qr.NONCE_BYTES),
    )
    return IssuedCode(
        text=qr.write(code, signing_key(office.keys)),
        until_us=(code.issued_s + code.life_s) * US_PER_S,
    )
