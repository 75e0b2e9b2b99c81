"""The after-images of rows as papers write and read them: 56 bytes each.

Mirrors the bodies of ``ext/records.h``; sizes and golden bytes are compared in the tests.

**Source:** docs/reference/decisions.md "Office commands".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag
from typing import Final

from core.calendar import MEALS_MAX, MealPeriod

BODY_BYTES: Final = 56
LIMIT_DEFAULT: Final = 0xFFFF_FFFF
"""A personal limit that is not set."""


class AccountStatus(IntEnum):
    """``CC_AS_*``."""

    NONE = 0
    NORMAL = 1
    SUSPENDED = 2
    CLOSING = 3
    CLOSED = 4


class MediumState(IntEnum):
    """``CC_MS_*``."""

    NONE = 0
    PRODUCED = 1
    IN_TRANSIT = 2
    ACTIVE = 3
    VOID = 4
    RETURNED = 5
    UNBOUND = 6


class MediumFlag(IntFlag):
    """``CC_M_*``."""

    LOST = 1
    FROZEN = 2


class ServiceStatus(IntEnum):
    """``CC_TS_*``: of terminals and merchants."""

    NONE = 0
    IN_SERVICE = 1
    SUSPENDED = 2
    WITHDRAWN = 3


class RowEvent(IntEnum):
    """``CC_E_*``: what an effect on an account or a medium was."""

    NONE = 0
    OPEN = 1
    STATUS = 2
    LIMITS = 3
    PIN_SET = 4
    PIN_RESET = 5
    BIND = 6
    STATE = 7
    UNBIND = 8
    LOSS = 9
    UNLOSS = 10


MUST_CHANGE: Final = 1
"""Account flag: the transaction password is the initial one."""
KEYPAD: Final = 1
"""Terminal flag: it has a keypad."""

_ACCOUNT: Final = struct.Struct("<16s8sIIIBBBBBBH12x")
_MEDIUM: Final = struct.Struct("<16sBBBxHH32x")
_MERCHANT: Final = struct.Struct("<BBB53x")
_TERMINAL: Final = struct.Struct("<16sIBB34x")
_CATEGORY: Final = struct.Struct("<BB54x")
_RULES: Final = struct.Struct("<10Ii4B2H4x")
_MEALS: Final = struct.Struct("<B3x16HI16x")
_SCHEDULED: Final = struct.Struct("<IHHBBBBBx42s")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBody:
    """After-image of an account's papers, without its password."""

    status: int = 0
    kind: int = 0
    day_limit: int = LIMIT_DEFAULT
    meal_limit: int = LIMIT_DEFAULT
    flags: int = 0
    pin_version: int = 0
    pin_fails: int = 0
    event: int = 0
    changes: int = 0
    """How often the status was set, modulo 65,536; the engine's."""

    def pack(self) -> bytes:
        """Return the 56 bytes of an effect's body; password fields are the engine's."""
        return _ACCOUNT.pack(
            bytes(16),
            bytes(8),
            self.pin_version,
            self.day_limit,
            self.meal_limit,
            self.status,
            self.flags,
            self.pin_fails,
            0,
            self.kind,
            self.event,
            self.changes,
        )

    @classmethod
    def unpack(cls, body: bytes) -> AccountBody:
        """Read the 56 bytes of a record; the password's tag and salt are left out."""
        fields = _ACCOUNT.unpack(body)
        _, _, version, day, meal, status, flags, fails, _, kind, event, changes = fields
        return cls(
            status=status,
            kind=kind,
            day_limit=day,
            meal_limit=meal,
            flags=flags,
            pin_version=version,
            pin_fails=fails,
            event=event,
            changes=changes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumBody:
    """After-image of a medium."""

    key: bytes = bytes(16)
    state: int = 0
    flags: int = 0
    event: int = 0
    expires_day: int = 0
    changes: int = 0
    """How often FROZEN was set or cleared, modulo 65,536; the engine's."""

    def pack(self) -> bytes:
        """Return the 56 bytes of an effect's body."""
        papers = (self.state, self.flags, self.event, self.expires_day, self.changes)
        return _MEDIUM.pack(self.key, *papers)

    @classmethod
    def unpack(cls, body: bytes) -> MediumBody:
        """Read the 56 bytes of a record."""
        return cls(**dict(zip(cls.__dataclass_fields__, _MEDIUM.unpack(body), strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantBody:
    """After-image of a merchant."""

    category: int
    status: int = ServiceStatus.IN_SERVICE
    flags: int = 0

    def pack(self) -> bytes:
        """Return the 56 bytes of an effect's body."""
        return _MERCHANT.pack(self.category, self.status, self.flags)

    @classmethod
    def unpack(cls, body: bytes) -> MerchantBody:
        """Read the 56 bytes of a record."""
        category, status, flags = _MERCHANT.unpack(body)
        return cls(category=category, status=status, flags=flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalBody:
    """After-image of a terminal."""

    name: str
    max_amount: int = 0
    status: int = ServiceStatus.IN_SERVICE
    flags: int = 0

    def pack(self) -> bytes:
        """Return the 56 bytes of an effect's body."""
        name = self.name.encode("ascii").ljust(16, b"\0")
        return _TERMINAL.pack(name, self.max_amount, self.status, self.flags)

    @classmethod
    def unpack(cls, body: bytes) -> TerminalBody:
        """Read the 56 bytes of a record."""
        name, max_amount, status, flags = _TERMINAL.unpack(body)
        text = name.rstrip(b"\0").decode("ascii")
        return cls(name=text, max_amount=max_amount, status=status, flags=flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryBody:
    """After-image of a category of merchants; ``flags`` as ``core.categories.CategoryFlag``."""

    category: int
    flags: int

    def pack(self) -> bytes:
        """Return the 56 bytes of an effect's body."""
        return _CATEGORY.pack(self.category, self.flags)

    @classmethod
    def unpack(cls, body: bytes) -> CategoryBody:
        """Read the 56 bytes of a record."""
        category, flags = _CATEGORY.unpack(body)
        return cls(category=category, flags=flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesBody:
    """One versioned set of rules; defaults are the regulation's (四.3, 四.6)."""

    version: int = 0
    day_limit: int = 10_000
    meal_limit: int = 5_000
    day_ceiling: int = 50_000
    meal_ceiling: int = 20_000
    hold_seconds: int = 1_800
    water_hold_seconds: int = 300
    late_capture_seconds: int = 40 * 86_400
    water_tap: int = 1_000
    water_cap: int = 0
    utc_offset_seconds: int = 28_800
    pin_max: int = 3
    meal_scope: int = 0
    limit_day: int = 0
    pin_reset: int = 0
    pin_session_seconds: int = 0
    day_cut_minutes: int = 0

    def pack(self) -> bytes:
        """Return the 56 bytes of an effect's body."""
        return _RULES.pack(
            self.version,
            self.day_limit,
            self.meal_limit,
            self.day_ceiling,
            self.meal_ceiling,
            self.hold_seconds,
            self.water_hold_seconds,
            self.late_capture_seconds,
            self.water_tap,
            self.water_cap,
            self.utc_offset_seconds,
            self.pin_max,
            self.meal_scope,
            self.limit_day,
            self.pin_reset,
            self.pin_session_seconds,
            self.day_cut_minutes,
        )

    @classmethod
    def unpack(cls, body: bytes) -> RulesBody:
        """Read the 56 bytes of a record."""
        values = _RULES.unpack(body)
        return cls(**dict(zip(cls.__dataclass_fields__, values, strict=True)))


class RulesField(IntFlag):
    """Fields of the rules as a scheduled change names them; 0 makes a new version only.

    Those from ``LIMIT_DAY`` on and those before do not go into one effect.
    """

    DAY_LIMIT = 1
    MEAL_LIMIT = 2
    DAY_CEILING = 4
    MEAL_CEILING = 8
    HOLD_SECONDS = 16
    WATER_HOLD_SECONDS = 32
    LATE_CAPTURE_SECONDS = 64
    WATER_TAP = 128
    WATER_CAP = 256
    UTC_OFFSET_SECONDS = 512
    PIN_MAX = 1024
    MEAL_SCOPE = 2048
    LIMIT_DAY = 4096
    PIN_RESET = 8192
    PIN_SESSION_SECONDS = 16384
    DAY_CUT_MINUTES = 32768


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledBody:
    """An effect that waits for its time, or will not happen (``cc_scheduled_body``).

    ``kind`` is an ``EffectKind``, ``mask`` a ``RulesField`` or ``MediumFlag``; ``values`` are 42
    bytes as the journal's format says.
    """

    due_s: int
    mask: int
    changes: int
    kind: int
    event: int
    expect: int
    expect_status: int
    expect_flags: int
    values: bytes

    @classmethod
    def unpack(cls, body: bytes) -> ScheduledBody:
        """Read the 56 bytes of a record."""
        return cls(**dict(zip(cls.__dataclass_fields__, _SCHEDULED.unpack(body), strict=True)))


class ScheduleState(IntEnum):
    """What became of an effect that waits for its time; the registry's numbers."""

    WAITING = 0
    CARRIED_OUT = 1
    CANCELLED = 2
    LAPSED = 3


@dataclass(frozen=True, slots=True)
class MealsBody:
    """One versioned set of meal periods; their names stand in the document."""

    periods: tuple[MealPeriod, ...]
    version: int = 0

    def pack(self) -> bytes:
        """Return the 56 bytes of an effect's body."""
        minutes = [m for p in self.periods for m in (p.start_minute, p.end_minute)]
        minutes += [0] * (2 * MEALS_MAX - len(minutes))
        return _MEALS.pack(len(self.periods), *minutes, self.version)

    @classmethod
    def unpack(cls, body: bytes) -> MealsBody:
        """Read the 56 bytes of a record; periods are named ``MEAL-1`` and so on."""
        count, *minutes, version = _MEALS.unpack(body)
        pairs = zip(minutes[0 : 2 * count : 2], minutes[1 : 2 * count : 2], strict=True)
        periods = (MealPeriod(f"MEAL-{i}", a, b) for i, (a, b) in enumerate(pairs, start=1))
        return cls(tuple(periods), version)

    def named(self, names: tuple[str, ...]) -> MealsBody:
        """Return the same periods with these names, if there are as many."""
        if len(names) != len(self.periods):
            return self
        periods = zip(self.periods, names, strict=True)
        return replace(self, periods=tuple(replace(p, name=name) for p, name in periods))
