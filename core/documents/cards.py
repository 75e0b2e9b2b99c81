"""Documents of cards: issue, loss, replacement, return, clearance, sanctions.

Accounts are named by their number in the journal, cases, cards and certificates by their own.
Items of a batch are named by their index in the request; what was refused stands beside what was
done, so that a repeated request is answered the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from core.documents.base import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class CardsIssued(Document):
    """Cards were issued, one MEDIUM record each; ``batch`` 0 begins one, named by this act's seq."""

    KIND: ClassVar[int] = 48
    batch: int
    indexes: tuple[int, ...]
    uids: tuple[bytes, ...]
    types: tuple[int, ...]
    card_nos: tuple[int, ...]
    refused: tuple[int, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardsHandedOver(Document):
    """Cards of a batch are on their way."""

    KIND: ClassVar[int] = 49
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardsActivated(Document):
    """Cards were activated on delivery."""

    KIND: ClassVar[int] = 50
    indexes: tuple[int, ...]
    refused: tuple[int, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReported(Document):
    """Media were reported lost; ``scope`` as in the proto's LossScope."""

    KIND: ClassVar[int] = 51
    scope: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCancelled(Document):
    """A medium was found again; ``case_no`` is cancelled with it, 0: none."""

    KIND: ClassVar[int] = 52
    case_no: int
    override: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpened(Document):
    """A replacement case was opened; ``closes`` is an earlier one whose new card was lost, 0: none."""

    KIND: ClassVar[int] = 53
    account: int
    case_no: int
    card_no: int
    fee_fen: int
    faulty: int
    closes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperAttached(Document):
    """A paper of a case; ``file`` names its sealed content, ``state`` is the case's after it."""

    KIND: ClassVar[int] = 54
    account: int
    case_no: int
    paper: int
    file: str
    state: int

    def files(self) -> tuple[bytes, ...]:
        """Return the paper's address."""
        return (bytes.fromhex(self.file),)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeConfirmed(Document):
    """A case's fee was paid outside; ``early``: the receipt is older than the loss."""

    KIND: ClassVar[int] = 55
    account: int
    case_no: int
    receipt_no: str
    paid_us: int
    early: int
    state: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverProposed(Document):
    """One person proposes to waive a case's fee."""

    KIND: ClassVar[int] = 56
    account: int
    case_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeWaived(Document):
    """A second person agreed."""

    KIND: ClassVar[int] = 57
    account: int
    case_no: int
    state: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRefunded(Document):
    """The fee of a cancelled case was paid back."""

    KIND: ClassVar[int] = 58
    account: int
    case_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardMade(Document):
    """The new card of a case: the last MEDIUM record; one before it makes the old one void."""

    KIND: ClassVar[int] = 59
    case_no: int
    card_no: int
    uid: bytes
    override: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeFailed(Document):
    """A card could not be encoded: ``card_no`` is never used."""

    KIND: ClassVar[int] = 60
    account: int
    case_no: int
    card_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPickedUp(Document):
    """The new card is in its holder's hands: the first MEDIUM record; a second one makes the old void."""

    KIND: ClassVar[int] = 61
    case_no: int
    override: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseCancelled(Document):
    """A case was given up before its card was made."""

    KIND: ClassVar[int] = 62
    account: int
    case_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardUpgraded(Document):
    """A temporary card's formal successor: the second MEDIUM record; the first makes it void."""

    KIND: ClassVar[int] = 63
    card_no: int
    uid: bytes
    override: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRenewed(Document):
    """A card got a new expiry; the record carries it."""

    KIND: ClassVar[int] = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CardsReturned(Document):
    """Cards were given back; ``owners`` are the accounts of what was refused, 0 where not known."""

    KIND: ClassVar[int] = 65
    indexes: tuple[int, ...]
    refused: tuple[int, ...]
    reasons: tuple[str, ...]
    owners: tuple[int, ...]
    override: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnListed(Document):
    """A class's return is counted; ``missing`` are the accounts whose card is not given back."""

    KIND: ClassVar[int] = 66
    returned: int
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardCompensated(Document):
    """A lost card was paid for; ``early``: the receipt is older than the loss."""

    KIND: ClassVar[int] = 67
    receipt_no: str
    paid_us: int
    early: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateIssued(Document):
    """A signed certificate of clearance."""

    KIND: ClassVar[int] = 68
    account: int
    certificate_no: int
    certificate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRevoked(Document):
    """A certificate counts no more."""

    KIND: ClassVar[int] = 69
    account: int
    certificate_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderWarned(Document):
    """A holder was warned; why stands in ``by``."""

    KIND: ClassVar[int] = 70
    account: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UseSuspended(Document):
    """An account (``medium`` 0) or one medium was suspended; ``until_us`` 0: until resumed."""

    KIND: ClassVar[int] = 71
    account: int
    medium: int
    until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UseResumed(Document):
    """A suspension was ended."""

    KIND: ClassVar[int] = 72
    account: int
    medium: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursOverridden(Document):
    """One act at the counter may pass outside its hours on this local day."""

    KIND: ClassVar[int] = 73
    account: int
    operation: str
    day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeAcknowledged(Document):
    """A notice was read."""

    KIND: ClassVar[int] = 74
    account: int
    notice: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneFrozen(Document):
    """A card with signs of a copy was frozen by the system; without effect it could not pay anyway.

    ``alert`` is the seq of the tap that showed it.
    """

    KIND: ClassVar[int] = 75
    account: int
    medium: int
    alert: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAcknowledged(Document):
    """An alert was looked into; why it is closed stands in ``by``."""

    KIND: ClassVar[int] = 76
    account: int
    alert: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PurseCounted(Document):
    """What stood on the water purse of a lost card; ``purse`` is the act that ended its story.

    From ``due_us`` on it goes to the wallet ``side``.
    """

    KIND: ClassVar[int] = 77
    account: int
    purse: int
    water_fen: int
    due_us: int
    side: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PurseSettled(Document):
    """What was counted left WATER; without effect nothing of it was there any more."""

    KIND: ClassVar[int] = 78
    account: int
    purse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettled(Document):
    """The office said what became of a transfer to the water purse; how it knows stands in ``by``.

    ``hold`` is the transfer's seq, ``written`` 1 or 0. What was written is part of ``purse``, counted
    before; 0: of none.
    """

    KIND: ClassVar[int] = 79
    account: int
    hold: int
    written: int
    purse: int


DOCUMENTS: Final[tuple[type[Document], ...]] = (
    CardsIssued,
    CardsHandedOver,
    CardsActivated,
    LossReported,
    LossCancelled,
    CaseOpened,
    PaperAttached,
    FeeConfirmed,
    WaiverProposed,
    FeeWaived,
    FeeRefunded,
    CardMade,
    MakeFailed,
    CardPickedUp,
    CaseCancelled,
    CardUpgraded,
    CardRenewed,
    CardsReturned,
    ReturnListed,
    CardCompensated,
    CertificateIssued,
    CertificateRevoked,
    HolderWarned,
    UseSuspended,
    UseResumed,
    HoursOverridden,
    NoticeAcknowledged,
    CloneFrozen,
    AlertAcknowledged,
    PurseCounted,
    PurseSettled,
    TransferSettled,
)
