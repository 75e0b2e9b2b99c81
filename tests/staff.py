"""Staff of a test campus: entered, enrolled and signed in through the real calls.

clerk = campus.member("clerk", "CARD_OFFICER")
clerk.stub("AccountService").GetAccount(...)
teacher = campus.member("t1", ("CLASS_TEACHER", "高一(3)班"))
"""

import base64
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlparse

import grpc

from campuscard.v1 import staff_service_pb2 as pb
from campuscard.v1 import staff_service_pb2_grpc
from core import totp

CALL_S = 10
FRESH_US = 20 * 60 * 1_000_000
"""A token unused for longer, by the campus's clock, is not relied on: sessions end after 30 minutes."""
LIFE_US = 7 * 3_600 * 1_000_000
PASSWORD = "正确的马 battery staple"
BUSINESS = (
    *("CARD_OFFICER", "CARD_SUPERVISOR", "FINANCE", "STUDENT_AFFAIRS"),
    *("PARAM_MAKER", "PARAM_CHECKER", "AUDITOR", "OPS"),
)
"""Roles of the default caller: everything but SEC_ADMIN and the roles granted for something."""
REASON = "test"


@dataclass
class Member:
    """A member of staff who is signed in again whenever that is needed."""

    campus: object
    name: str
    password: str = PASSWORD
    channel_kind: int = pb.STAFF_CHANNEL_COUNTER
    secret: bytes = b""
    step: int = 0
    _token: str = ""
    _opened_us: int = 0
    _used_us: int = 0
    _channel: grpc.Channel | None = field(default=None, repr=False)

    @property
    def token(self):
        now_us = self.campus.now_us()
        idle, old = now_us - self._used_us > FRESH_US, now_us - self._opened_us > LIFE_US
        if not self._token or idle or old:
            self.sign_in()
        self._used_us = max(now_us, self._used_us)
        return self._token

    def forget(self):
        """The server that knew the token is gone."""
        self._channel = None
        self.forget_token()

    def forget_token(self):
        """Sign in again before the next call."""
        self._token = ""

    def code(self):
        """Return a code that was not used yet."""
        self.step = max(self.step + 1, totp.step_at(self.campus.now_us()))
        return totp.code_of(self.secret, self.step)

    def request(self, **changes):
        """Build a sign-in that would succeed."""
        values = {"name": self.name, "password": self.password, "channel": self.channel_kind}
        if "code" not in changes and self.secret:
            values["code"] = self.code()
        return pb.StaffServiceSignInRequest(**(values | changes))

    def sign_in(self):
        response = self._staff().SignIn(self.request(), timeout=CALL_S)
        self._keep(response.token)
        return response

    def enrol(self, one_time_secret):
        """Sign in for the first time: set password and authenticator."""
        self.secret = b""
        first = self._staff().SignIn(
            self.request(password=one_time_secret, code=""), timeout=CALL_S
        )
        self._keep(first.token)
        staff = self.stub("StaffService")
        staff.ChangePassword(
            pb.ChangePasswordRequest(
                request_id=self.campus.request_id(), new_password=self.password
            ),
            timeout=CALL_S,
        )
        offered = staff.EnrolTotp(pb.EnrolTotpRequest(), timeout=CALL_S)
        self.secret = secret_of(offered.otpauth_uri)
        confirmed = staff.ConfirmTotp(
            pb.ConfirmTotpRequest(request_id=self.campus.request_id(), code=self.code()),
            timeout=CALL_S,
        )
        self._keep(confirmed.token)
        return self

    def stub(self, service):
        """Return the stub of a service, called as this member."""
        return self.campus.stubs[service](self.channel)

    @property
    def channel(self):
        if self._channel is None:
            self._channel = grpc.intercept_channel(self.campus.raw_channel, Bearer(self))
        return self._channel

    def _keep(self, token):
        self._token = token
        self._opened_us = self._used_us = self.campus.now_us()

    def _staff(self):
        return staff_service_pb2_grpc.StaffServiceStub(self.campus.raw_channel)


class Bearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends a member's token with every call that is no terminal's."""

    def __init__(self, member):
        self._member = member

    def _send(self, continuation, client_call_details, request):
        return continuation(self._signed(client_call_details), request)

    intercept_unary_unary = intercept_unary_stream = _send
    intercept_stream_unary = intercept_stream_stream = _send

    def _signed(self, details):
        if not details.method.startswith("/campuscard.") or "TerminalService" in details.method:
            return details
        sent = tuple(details.metadata or ())
        if any(key == "authorization" for key, _ in sent):
            return details
        metadata = (*sent, ("authorization", f"Bearer {self._member.token}"))
        if details.method.endswith("/SignOut"):
            self._member.forget_token()
        return details._replace(metadata=metadata)


def secret_of(uri):
    """Return the secret of a key URI, as an authenticator app reads it."""
    (text,) = parse_qs(urlparse(uri).query)["secret"]
    return base64.b32decode(text)


def grants_of(roles):
    """Read roles as the tests write them: a name, or a name and what it is granted for."""
    pairs = ((role, "") if isinstance(role, str) else role for role in roles)
    return [pb.RoleGrant(role=role, scope=scope) for role, scope in pairs]


def one_time_secret(console):
    """Return the secret of the first administrator from what the server printed."""
    (line,) = [line for line in console.splitlines() if line.startswith("One-time secret of admin")]
    return line.split()[4]
