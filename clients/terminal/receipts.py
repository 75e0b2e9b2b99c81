"""What a payment came to, in the terms of the person at the counter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from campuscard.v1 import terminal_service_pb2 as pb
from clients.terminal.entries import Key, Kind


class Result(StrEnum):
    """How a call of the SDK ended."""

    APPROVED = "approved"
    DECLINED = "declined"
    PIN_REQUIRED = "pin_required"  # nobody entered the password: nothing moved
    GIVEN_UP = "given_up"  # outcome unknown: a reversal is queued; do not deliver
    QUEUED = "queued"  # will be repeated until the server has it; carry on
    REJECTED = "rejected"  # the server will never take this request


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The end of one call. ``decision`` is empty unless the server decided."""

    key: Key
    kind: Kind
    result: Result
    reason: str
    decision: pb.Decision
    expire_time_s: int = 0

    @property
    def deliver(self) -> bool:
        """Whether goods may be handed out: only after an approval."""
        return self.result is Result.APPROVED

    @property
    def final(self) -> bool:
        """Whether the server gives this answer to the key for ever: not while it asks a password."""
        return self.result in {Result.APPROVED, Result.DECLINED}

    @property
    def approved_fen(self) -> int:
        """Fen that moved or were reserved, 0 unless approved."""
        return self.decision.approved_fen if self.deliver else 0

    @property
    def balance_fen(self) -> int:
        """Fen left in the wallet debited last."""
        return self.decision.balance_fen

    @property
    def seq(self) -> int:
        """Position in the journal, 0 when nothing was decided."""
        return self.decision.seq

    @property
    def auth_code(self) -> str:
        """Six characters for the slip, empty unless approved."""
        return self.decision.auth_code

    @property
    def replayed(self) -> bool:
        """Whether this was the server's first answer again, after a retry."""
        return self.decision.replayed


def card(uid: str) -> pb.Medium:
    """A contactless card by its UID in hexadecimal, as ``"04A1B2C3D4E5F6"``."""
    return pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=bytes.fromhex(uid))


def phone_qr(token: bytes) -> pb.Medium:
    """A code shown on a phone."""
    return pb.Medium(type=pb.MEDIUM_TYPE_MOBILE_QR, token=token)
