"""What the registry knows, as the rules read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.rows import AccountStatus, MediumFlag, MediumState, ServiceStatus

if TYPE_CHECKING:
    from core.holders import HolderStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """An account's papers. Limits in fen, None where the system's default holds."""

    number: int
    account_no: str
    kind: int
    name: str
    class_name: str
    erased: bool
    status: AccountStatus
    day_limit: int | None
    meal_limit: int | None
    must_change: bool
    open_time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumFacts:
    """A medium. ``lost_seq`` and ``lost_time_us`` are 0 unless it is lost."""

    number: int
    account_number: int
    type: int
    token: bytes
    key: bytes
    state: MediumState
    flags: MediumFlag
    expires_day: int
    lost_seq: int
    lost_time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantFacts:
    """A merchant. ``changed_seq`` is the etag."""

    number: int
    merchant_id: str
    name: str
    category: int
    status: ServiceStatus
    changed_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalFacts:
    """A terminal. ``max_amount`` in fen, 0: the system's bound. ``batch_no`` 0: signed off."""

    number: int
    terminal_id: str
    merchant_number: int
    merchant_id: str
    flags: int
    max_amount: int
    status: ServiceStatus
    place: str
    batch_no: int
    changed_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFacts:
    """A holder's papers. ``photo_version`` 0: there is no photo. ``changed_seq`` is the etag.

    ``held_for_leave``: the account is suspended because of a leave, and for nothing else.
    """

    number: int
    account_no: str
    kind: int
    name: str
    class_name: str
    phone: str
    status: HolderStatus
    erased: bool
    photo_version: int
    account_status: AccountStatus
    open_time_us: int
    changed_seq: int
    held_for_leave: bool
