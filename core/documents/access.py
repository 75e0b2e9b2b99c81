"""Documents of access: zones, groups, passages, dynamic QR codes, faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from core.documents.base import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSet(Document):
    """A zone as it is afterwards.

    ``terminals`` are the numbers of its gates, ``passback`` as in the proto, ``exits`` 1: who leaves
    is checked like who enters.
    """

    KIND: ClassVar[int] = 128
    zone: str
    name: str
    kind: str
    terminals: tuple[int, ...]
    passback: int
    passback_minutes: int
    exits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneEmergencySet(Document):
    """A zone stands open or locked from now on, or works again. ``mode`` as in the proto."""

    KIND: ClassVar[int] = 129
    zone: str
    mode: int
    previous: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSet(Document):
    """A group as it is afterwards, but for its members by account.

    ``windows`` are triples of weekday (0: Monday), start and end minute; ``days`` the exception days
    since 1970-01-01, ``day_windows`` triples of a day, start and end minute.
    """

    KIND: ClassVar[int] = 130
    group: str
    name: str
    zones: tuple[str, ...]
    kinds: tuple[int, ...]
    class_names: tuple[str, ...]
    windows: tuple[int, ...]
    days: tuple[int, ...]
    day_windows: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersPut(Document):
    """Accounts come into a group by their numbers, whatever their class."""

    KIND: ClassVar[int] = 131
    group: str
    accounts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersRemoved(Document):
    """Accounts are no longer in a group by their numbers."""

    KIND: ClassVar[int] = 132
    group: str
    accounts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageDecided(Document):
    """Somebody was let pass at a gate, or not.

    ``account`` and ``medium`` are 0 as far as they did not resolve; ``reason`` is the number of the
    catalogue (0: nothing to say); ``nonce`` of the dynamic QR it used up, else empty. Older than
    ``keep_days`` it leaves the registry.
    """

    KIND: ClassVar[int] = 133
    terminal: int
    zone: str
    direction: int
    account: int
    medium: int
    medium_type: int
    granted: int
    reason: int
    nonce: bytes
    keep_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierPresented(Document):
    """A dynamic QR or a face was shown to a till; ``nonce`` of the QR it used up, else empty."""

    KIND: ClassVar[int] = 134
    terminal: int
    account: int
    medium: int
    medium_type: int
    nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceEnrolled(Document):
    """A face is bound by the medium's record, with the consent to it.

    ``token`` is a keyed hash of the device's token, ``text_version`` of what was consented to,
    ``minor`` 1: under fourteen; ``guardian`` sealed under the holder's key, empty where none consents.
    """

    KIND: ClassVar[int] = 135
    account: int
    token: bytes
    consent_us: int
    text_version: str
    minor: int
    guardian: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceWithdrawn(Document):
    """A face is unbound by the medium's record; its token is erased from the registry."""

    KIND: ClassVar[int] = 136
    account: int


DOCUMENTS: Final[tuple[type[Document], ...]] = (
    ZoneSet,
    ZoneEmergencySet,
    GroupSet,
    MembersPut,
    MembersRemoved,
    PassageDecided,
    CarrierPresented,
    FaceEnrolled,
    FaceWithdrawn,
)
