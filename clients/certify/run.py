"""One certification as a case sees it: steps, and looks at the journal that settle what is true."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from campuscard.v1 import terminal_service_pb2 as pb
from clients.admin.console import tr, yuan
from clients.certify.campus import Campus, Purse, Role
from clients.certify.proxy import MONEY, Proxy, Sent
from clients.certify.till import Shown, Till

SETTLE_S: Final = 60.0  # a terminal takes back what it has given up within this
STILL_S: Final = 0.3  # and then nothing changes any more
LOOK_S: Final = 0.1
RECORDS_SHOWN: Final = 8


class NotOfferedError(Exception):
    """The terminal does not do this, and need not."""


class AbandonedError(Exception):
    """A check failed that all later ones stand on."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what had to be, what was."""

    what: str
    expected: str
    got: str

    @property
    def good(self) -> bool:
        """Whether it was as it had to be."""
        return self.expected == self.got


@dataclass(slots=True)
class Case:
    """One case of this run: its checks, and what the journal and the line had of it."""

    checks: list[Check] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    seq: int = 0  # the journal's end before it
    sent: int = 0  # requests seen before it


@dataclass(slots=True)
class Run:
    """What cases have in hand."""

    campus: Campus
    proxy: Proxy
    till: Till
    server: str  # where the terminal is told to connect
    settle_s: float = SETTLE_S
    case: Case = field(default_factory=Case)
    left: dict[Role, Purse] = field(default_factory=dict)  # by the last case with that card

    def begin(self) -> Case:
        """Begin a case."""
        self.case = Case(seq=self.campus.head(), sent=len(self.proxy.sent))
        return self.case

    # -- steps ------------------------------------------------------------------------------

    def tap(self, role: str, fen: int, *, pin: str = "") -> Shown:
        """Have a card held to the reader; the password is entered when it is asked for."""
        return self.finish(self.begin_tap(role, fen), pin=pin)

    def begin_tap(self, role: str, fen: int) -> int:
        """Have it held there, and go on with something else."""
        return self.till.begin("tap", card=self.campus.uids[role], amount_fen=fen)

    def finish(self, step: int, *, pin: str = "") -> Shown:
        """Wait until the display shows an end."""
        shown = self.till.end(step)
        if shown.word == "PIN_REQUIRED" and pin:
            return self.till.ask("pin", pin=pin)
        return shown

    def offered(self, shown: Shown) -> Shown:
        """Go on only with what the terminal can do.

        Raises:
            NotOfferedError: it cannot.
        """
        if shown.word == "UNSUPPORTED":
            raise NotOfferedError
        return shown

    # -- checks -----------------------------------------------------------------------------

    def check(self, what: str, expected: object, got: object, *, vital: bool = False) -> bool:
        """Note a check.

        Raises:
            AbandonedError: it failed, and all later ones stand on it.
        """
        check = Check(what, str(expected), str(got))
        self.case.checks.append(check)
        if vital and not check.good:
            raise AbandonedError
        return check.good

    def shows(self, shown: Shown, *words: str) -> None:
        """Check the display's word."""
        expected = " / ".join(words)
        what = tr("显示", "display")
        self.check(what, expected, expected if shown.word in words else str(shown))

    def before(self, role: Role) -> Purse:
        """Return an account's money; nothing may have moved since the last case with its card."""
        purse = self.campus.purse(role)
        if role in self.left:
            what = tr(f"此前结束后未变 ({role.name})", f"unmoved since the last case ({role.name})")
            self.check(what, self.left[role], purse)
        return purse

    def charged(self, role: Role, before: Purse, fen: int, *, held: int = 0) -> None:
        """Check that an account has paid this much in the end, and stays so."""
        wanted = Purse(before.online_fen - fen, before.held_fen + held)
        ends = time.monotonic() + self.settle_s
        purse = self.campus.purse(role)
        while purse != wanted and time.monotonic() < ends:
            time.sleep(LOOK_S)
            purse = self.campus.purse(role)
        if purse == wanted:
            time.sleep(STILL_S)
            purse = self.campus.purse(role)
        self.left[role] = purse
        self._keep_records(role)
        self.check(tr("扣款", "charged"), yuan(fen), yuan(before.online_fen - purse.online_fen))
        self.check(tr("预扣", "held"), yuan(held), yuan(purse.held_fen - before.held_fen))

    def agrees(self, shown: Shown, role: Role, before: Purse, fen: int) -> None:
        """Check that who was shown APPROVED has paid once, and everybody else nothing."""
        self.charged(role, before, fen if shown.word == "APPROVED" else 0)

    def one_key(self, *methods: str) -> None:
        """Check that all sends of this case's payment were the same key with the same body."""
        bodies = {body_of(sent) for sent in self.sends(*methods)}
        what = tr("重发用同一流水号、同一内容", "sent again under the same key, the same body")
        self.check(what, 1, len(bodies))

    def sends(self, *methods: str) -> list[Sent]:
        """Return what has been sent in this case."""
        wanted = methods or tuple(MONEY)
        return [sent for sent in self.proxy.sent[self.case.sent :] if sent.method in wanted]

    def until(self, what: str, holds: Callable[[], Any]) -> None:
        """Wait for something to happen.

        Raises:
            AbandonedError: it does not.
        """
        ends = time.monotonic() + self.settle_s
        while not holds():
            if time.monotonic() > ends:
                self.check(what, tr("发生", "happens"), tr("未发生", "does not"), vital=True)
            time.sleep(LOOK_S)

    def _keep_records(self, role: Role) -> None:
        found = self.campus.records(role, after=self.case.seq)
        self.case.records = [
            f"{r.seq} {r.type} {pb.Outcome.Name(r.outcome).removeprefix('OUTCOME_')} {r.reason} "
            f"{yuan(r.amount_fen)} key {r.key.batch_no}/{r.key.terminal_seq}"
            for r in found[-RECORDS_SHOWN:]
        ]


def key_of(sent: Sent) -> tuple[int, int] | None:
    """Return batch and number of a request; None: it has no key."""
    message: Any = sent.message
    if sent.method == "AuthorizeStream" and message is not None:
        message = message.authorization
    if message is None or "terminal_seq" not in message.DESCRIPTOR.fields_by_name:
        return None
    return message.batch_no, message.terminal_seq


def body_of(sent: Sent) -> bytes:
    """Return what the same key must repeat: all but the password and the terminal's clock."""
    message: Any = sent.message
    if message is None:
        return b""
    copy = type(message).FromString(message.SerializeToString())
    inner = copy.authorization if sent.method == "AuthorizeStream" else copy
    for name in ("pin", "terminal_time_us"):
        if name in inner.DESCRIPTOR.fields_by_name:
            inner.ClearField(name)
    return sent.method.encode() + bytes(copy.SerializeToString(deterministic=True))
