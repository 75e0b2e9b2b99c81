"""The registry's parts, one module per domain: tables, what documents write, what acts read."""

from __future__ import annotations

from typing import Final

from server.registers import (
    access,
    acts,
    alerts,
    cards,
    cases,
    holders,
    parameters,
    passes,
    passwords,
    purses,
    staff,
)
from server.registers.base import Register

REGISTERS: Final[tuple[Register, ...]] = (
    acts.REGISTER,
    holders.REGISTER,
    parameters.REGISTER,
    cards.REGISTER,
    cases.REGISTER,
    alerts.REGISTER,
    purses.REGISTER,
    passwords.REGISTER,
    staff.REGISTER,
    access.REGISTER,
    passes.REGISTER,
)
"""All of them, in the order their tables are made."""
