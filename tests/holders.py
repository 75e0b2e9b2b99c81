"""An account of a test campus, and what its holder and the counter do with it."""

from dataclasses import dataclass
from typing import Any

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import card_office_service_pb2 as cards_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from tests.staff import CALL_S, REASON


@dataclass
class Holder:
    """An account opened by a test, with its first medium."""

    campus: Any
    account_no: str
    number: int
    medium: terminal_pb.Medium

    def read(self):
        """Read the account: account, wallets, media."""
        request = accounts_pb.GetAccountRequest(account_no=self.account_no)
        return self.campus.accounts.GetAccount(request, timeout=CALL_S)

    @property
    def online_fen(self):
        return self.read().wallets.online_fen

    def top_up(self, fen, *, channel_txn_id=None, source=accounts_pb.TOP_UP_SOURCE_CASH):
        request = accounts_pb.TopUpRequest(
            request_id=self.campus.request_id(),
            account_no=self.account_no,
            source=source,
            channel_txn_id=channel_txn_id or f"R-{next(self.campus.numbers)}",
            amount_fen=fen,
        )
        return self.campus.accounts.TopUp(request, timeout=CALL_S)

    def lose(self, **options):
        """Report the card lost at the counter."""
        request = cards_pb.ReportLossRequest(
            request_id=self.campus.request_id(), account_no=self.account_no, **options
        )
        return self.campus.cards.ReportLoss(request, timeout=CALL_S)

    def unlose(self, medium=None, **options):
        """Take the loss back at the counter, the card (or another medium) presented."""
        request = cards_pb.UnlossRequest(
            request_id=self.campus.request_id(),
            account_no=self.account_no,
            medium=medium or self.medium,
            **options,
        )
        return self.campus.cards.Unloss(request, timeout=CALL_S)

    def unlose_late(self):
        """The same outside the hours of the counter, with a supervisor's leave."""
        request = cards_pb.OverrideHoursRequest(
            request_id=self.campus.request_id(),
            account_no=self.account_no,
            operation=cards_pb.COUNTER_OPERATION_UNLOSS,
            reason=REASON,
        )
        self.campus.cards.OverrideHours(request, timeout=CALL_S)
        return self.unlose()

    def set_status(self, status):
        request = accounts_pb.SetAccountStatusRequest(
            request_id=self.campus.request_id(),
            account_no=self.account_no,
            status=accounts_pb.AccountStatus.Value(f"ACCOUNT_STATUS_{status}"),
            note=REASON,
        )
        return self.campus.accounts.SetAccountStatus(request, timeout=CALL_S)

    def suspend(self, until_us=0):
        request = cards_pb.SuspendRequest(
            request_id=self.campus.request_id(),
            account_no=self.account_no,
            until_time_us=until_us,
            reason=REASON,
        )
        return self.campus.cards.Suspend(request, timeout=CALL_S)

    def resume(self):
        request = cards_pb.ResumeRequest(
            request_id=self.campus.request_id(), account_no=self.account_no, reason=REASON
        )
        return self.campus.cards.Resume(request, timeout=CALL_S)

    def set_password(self, old, new):
        request = accounts_pb.SetTransactionPasswordRequest(
            request_id=self.campus.request_id(),
            account_no=self.account_no,
            old_pin=old,
            new_pin=new,
        )
        return self.campus.accounts.SetTransactionPassword(request, timeout=CALL_S)

    def reset_password(self, id_number=""):
        request = accounts_pb.ResetTransactionPasswordRequest(
            request_id=self.campus.request_id(), account_no=self.account_no, id_number=id_number
        )
        return self.campus.accounts.ResetTransactionPassword(request, timeout=CALL_S)

    def history(self):
        """Return every record of the account, newest first, in as many pages as it takes."""
        request = accounts_pb.ListTransactionsRequest(account_no=self.account_no)
        found = []
        while True:
            page = self.campus.accounts.ListTransactions(request, timeout=CALL_S)
            found += page.transactions
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
