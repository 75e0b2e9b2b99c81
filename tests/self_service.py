"""Holders at their phones: self-service through the real calls.

zhang = SelfService(campus, "200571020316")
zhang.sign_in("812123")
zhang.change_query("812123", "lantern-42")
"""

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import holder_service_pb2 as pb
from campuscard.v1 import holder_service_pb2_grpc

CALL_S = 10


class SelfService:
    """One holder, signed in or not."""

    def __init__(self, campus, account_no):
        self.campus = campus
        self.account_no = account_no
        self.token = ""

    def call(self, method, request):
        stub = holder_service_pb2_grpc.HolderServiceStub(self.campus.raw_channel)
        metadata = [("authorization", f"Bearer {self.token}")] if self.token else []
        return getattr(stub, method)(request, timeout=CALL_S, metadata=metadata)

    def act(self, method, request_type, **fields):
        values = {"request_id": self.campus.request_id()} | fields
        return self.call(method, request_type(**values))

    def sign_in(self, password):
        request = pb.HolderServiceSignInRequest(account_no=self.account_no, query_password=password)
        response = self.call("SignIn", request)
        self.token = response.token
        return response

    def enter(self, initial, chosen="lantern-42"):
        """Sign in for the first time: with the initial password, which is changed at once."""
        self.sign_in(initial)
        self.change_query(initial, chosen)
        return self.sign_in(chosen)

    def sign_out(self):
        self.call("SignOut", pb.HolderServiceSignOutRequest())

    def show(self):
        return self.call("GetMyAccount", pb.GetMyAccountRequest())

    def transactions(self, **fields):
        return self.call("ListMyTransactions", pb.ListMyTransactionsRequest(**fields))

    def acts(self, **fields):
        return self.call("ListMyActs", pb.ListMyActsRequest(**fields))

    def lose(self, **fields):
        return self.act("ReportLoss", pb.HolderServiceReportLossRequest, **fields)

    def unlose(self):
        return self.act("Unloss", pb.HolderServiceUnlossRequest)

    def change_query(self, old, new, confirm=None, **fields):
        fields |= {"old_password": old, "new_password": new}
        fields["confirm_password"] = new if confirm is None else confirm
        return self.act("ChangeQueryPassword", pb.ChangeQueryPasswordRequest, **fields)

    def change_transaction(self, old, new, confirm=None, **fields):
        fields |= {"old_password": old, "new_password": new}
        fields["confirm_password"] = new if confirm is None else confirm
        return self.act("ChangeTransactionPassword", pb.ChangeTransactionPasswordRequest, **fields)

    def set_limits(self, **fields):
        return self.act("SetMyLimits", pb.SetMyLimitsRequest, **fields)


def reset_query(campus, account_no, id_number, *, member=None):
    """Give back an initial query password at the counter."""
    request = accounts_pb.ResetQueryPasswordRequest(
        request_id=campus.request_id(), account_no=account_no, id_number=id_number
    )
    accounts = (member or campus).stub("AccountService")
    return accounts.ResetQueryPassword(request, timeout=CALL_S)
