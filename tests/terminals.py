"""A terminal of a test campus: every operation as one call with the next key."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from campuscard.v1 import terminal_service_pb2 as terminal_pb
from tests.staff import CALL_S


@dataclass
class Pos:
    """A terminal that is signed in. Methods return the Decision; `seq` chooses the terminal_seq."""

    campus: Any
    terminal_id: str
    batch_no: int = 0
    seqs: itertools.count = field(default_factory=lambda: itertools.count(1))

    def sign_in(self):
        request = terminal_pb.SignInRequest(terminal_id=self.terminal_id)
        response = self.campus.terminals.SignIn(request, timeout=CALL_S)
        if response.batch_no:
            self.batch_no, self.seqs = response.batch_no, itertools.count(1)
        return response.decision

    def sign_off(self):
        request = terminal_pb.SignOffRequest(terminal_id=self.terminal_id, batch_no=self.batch_no)
        return self.campus.terminals.SignOff(request, timeout=CALL_S).decision

    def key(self, seq=None, batch_no=None):
        """Return the fields of a key: the next one, or of `seq`."""
        return {
            "terminal_id": self.terminal_id,
            "batch_no": self.batch_no if batch_no is None else batch_no,
            "terminal_seq": next(self.seqs) if seq is None else seq,
        }

    def purchase(self, holder, fen, *, pin="", seq=None, partial_ok=False, batch_no=None):
        """Build the request of a purchase, without sending it."""
        return terminal_pb.AuthorizeRequest(
            **self.key(seq, batch_no),
            medium=medium_of(holder),
            amount_fen=fen,
            pin=pin,
            partial_ok=partial_ok,
        )

    def pay(self, holder, fen, **options):
        request = self.purchase(holder, fen, **options)
        return self.campus.terminals.Authorize(request, timeout=CALL_S).decision

    def hold(self, holder, fen=0, *, pin="", seq=None, water=False, card_counter=0):
        request = terminal_pb.HoldRequest(
            **self.key(seq),
            medium=medium_of(holder),
            amount_fen=fen,
            pin=pin,
            water_transfer=water,
            card_counter=card_counter,
        )
        return self.campus.terminals.Hold(request, timeout=CALL_S).decision

    def capture(self, hold_seq, fen=0, *, seq=None):
        request = terminal_pb.CaptureRequest(
            **self.key(seq), hold=terminal_pb.Original(seq=hold_seq), amount_fen=fen
        )
        return self.campus.terminals.Capture(request, timeout=CALL_S).decision

    def release(self, hold_seq, *, seq=None):
        request = terminal_pb.ReleaseRequest(
            **self.key(seq), hold=terminal_pb.Original(seq=hold_seq)
        )
        return self.campus.terminals.Release(request, timeout=CALL_S).decision

    def reverse(self, original_seq, fen, *, seq=None, void_sale=False, batch_no=None):
        """Reverse by the original's terminal_seq."""
        original = terminal_pb.Original(
            batch_no=self.batch_no if batch_no is None else batch_no, terminal_seq=original_seq
        )
        request = terminal_pb.ReverseRequest(
            **self.key(seq), original=original, amount_fen=fen, void_sale=void_sale
        )
        return self.campus.terminals.Reverse(request, timeout=CALL_S).decision

    def refund(self, journal_seq, fen, *, seq=None):
        """Refund by the original's position in the journal."""
        request = terminal_pb.RefundRequest(
            **self.key(seq), original=terminal_pb.Original(seq=journal_seq), amount_fen=fen
        )
        return self.campus.terminals.Refund(request, timeout=CALL_S).decision

    def transaction(self, seq, batch_no=None):
        """Ask what became of a key."""
        request = terminal_pb.GetTransactionRequest(
            key=terminal_pb.TransactionKey(**self.key(seq, batch_no))
        )
        return self.campus.terminals.GetTransaction(request, timeout=CALL_S)

    def balance(self, holder):
        request = terminal_pb.GetBalanceRequest(
            terminal_id=self.terminal_id, medium=medium_of(holder)
        )
        return self.campus.terminals.GetBalance(request, timeout=CALL_S)


def medium_of(holder):
    """Return the medium of a holder, or the medium itself."""
    return holder if isinstance(holder, terminal_pb.Medium) else holder.medium
