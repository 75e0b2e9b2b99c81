"""Documents of staff: who there is, what they may do, when they came and went.

Passwords and code secrets are sealed under a key of the server and one-time secrets are keyed
hashes: whoever reads the journal can try none of them. ``staff`` is the member's number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from core.documents.base import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffCreated(Document):
    """A member of staff was entered; ``grants`` are ``ROLE`` or ``ROLE:scope``."""

    KIND: ClassVar[int] = 96
    staff: int
    name: str
    grants: tuple[str, ...]
    secret_mac: bytes
    secret_until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffSignedIn(Document):
    """Somebody signed in; ``totp_step`` is the code's that was used, 0 before enrolment."""

    KIND: ClassVar[int] = 97
    staff: int
    totp_step: int
    until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffSignInFailed(Document):
    """A password, code or one-time secret was wrong: the count after it, and the lock if any."""

    KIND: ClassVar[int] = 98
    staff: int
    fails: int
    locked_until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffSignedOut(Document):
    """Somebody signed out."""

    KIND: ClassVar[int] = 99
    staff: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffPasswordSet(Document):
    """A password was set; ``sealed`` holds its argon2id hash."""

    KIND: ClassVar[int] = 100
    staff: int
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffTotpSet(Document):
    """An authenticator was enrolled; ``sealed`` holds its secret."""

    KIND: ClassVar[int] = 101
    staff: int
    sealed: bytes
    totp_step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffRoleGranted(Document):
    """A role was granted; ``scope`` is empty but for roles that are granted for something."""

    KIND: ClassVar[int] = 102
    staff: int
    role: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffRoleRevoked(Document):
    """A role was taken back."""

    KIND: ClassVar[int] = 103
    staff: int
    role: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffDisabled(Document):
    """A member may no longer sign in."""

    KIND: ClassVar[int] = 104
    staff: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffEnabled(Document):
    """A member may sign in again."""

    KIND: ClassVar[int] = 105
    staff: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffReset(Document):
    """Password and authenticator were taken off, a new one-time secret was given."""

    KIND: ClassVar[int] = 106
    staff: int
    secret_mac: bytes
    secret_until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffSessionsRevoked(Document):
    """Sessions were ended from outside; ``session`` names one of them, empty: all."""

    KIND: ClassVar[int] = 107
    staff: int
    session: str


DOCUMENTS: Final[tuple[type[Document], ...]] = (
    StaffCreated,
    StaffSignedIn,
    StaffSignInFailed,
    StaffSignedOut,
    StaffPasswordSet,
    StaffTotpSet,
    StaffRoleGranted,
    StaffRoleRevoked,
    StaffDisabled,
    StaffEnabled,
    StaffReset,
    StaffSessionsRevoked,
)
