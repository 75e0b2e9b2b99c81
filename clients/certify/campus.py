"""The campus of a certification: a server of its own in a test directory, four cards, one terminal.

One meal lasts for as long as a run may, so that limits of meals can be met at any hour.
"""

from __future__ import annotations

import datetime as dt
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from google.protobuf.message import Message

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import card_office_service_pb2 as office_pb
from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import ops_service_pb2 as ops_pb
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from campuscard.v1 import terminal_service_pb2 as pb
from clients.admin import local
from clients.admin.calls import Services, new_request_id
from clients.admin.child import ServerProcess
from clients.admin.console import yuan
from clients.admin.demo import EXTRA, first_secret, free_or_any
from clients.admin.demo_staff import CLERK, DemoStaff
from clients.session import REASON_HEADER, signed_metadata
from clients.terminal import card

TERMINAL: Final = "CERT-1"
PIN: Final = "888888"  # of whoever gave no ID number
WRONG_PIN: Final = "135792"
MEAL_FEN: Final = 2_000  # what LIMITED may spend at a meal without the password
CHINA: Final = dt.timezone(dt.timedelta(hours=8))
BEFORE: Final = dt.timedelta(hours=2)
LASTS: Final = dt.timedelta(hours=12)
SEGMENT_BYTES: Final = 8 << 20
WHY: Final = (REASON_HEADER, b"certification")
PAGE: Final = 200
ANY_PORT: Final = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Role:
    """A card and the account behind it."""

    name: str
    account_no: str
    top_up_fen: int
    day_fen: int | None = None  # personal limits; None: the campus's
    meal_fen: int | None = None


MAIN: Final = Role("MAIN", "90000001", 100_000, 50_000, 20_000)
LIMITED: Final = Role("LIMITED", "90000002", 50_000, None, MEAL_FEN)
POOR: Final = Role("POOR", "90000003", 500)
LOST: Final = Role("LOST", "90000004", 10_000)
ROLES: Final = (MAIN, LIMITED, POOR, LOST)
UNKNOWN_UID: Final = "04FFFFFFFFFF01"


@dataclass(frozen=True, slots=True)
class Purse:
    """An account's money."""

    online_fen: int
    held_fen: int

    def __str__(self) -> str:
        return f"{yuan(self.online_fen)} + {yuan(self.held_fen)}"


class Campus:
    """One run's campus; use it with ``with``."""

    def __init__(self, directory: Path, *, uids: dict[str, str], front: bool) -> None:
        """``uids`` are those of real cards by the role's name; ``front``: it was built."""
        self.uids = {role.name: uids.get(role.name) or made_uid() for role in ROLES}
        self.uids["UNKNOWN"] = uids.get("UNKNOWN") or UNKNOWN_UID
        self.directory = directory
        self._front = free_or_any(ANY_PORT) if front else ""
        self._server = ServerProcess(
            directory / local.CONFIG_NAME,
            log=directory / "server.log",
            options=("--address", free_or_any(ANY_PORT), "--metrics", ANY_PORT),
        )
        self._staff: DemoStaff | None = None
        self._services: Services | None = None
        self._token = ""

    def __enter__(self) -> Self:
        front = f'\n[front]\naddress = "{self._front}"\n' if self._front else ""
        local.create(self.directory, test=True, extra=EXTRA + front, segment_bytes=SEGMENT_BYTES)
        self._server.start()
        try:
            self._services = Services(self._server.address)
            self._staff = DemoStaff(self.directory, self._server.address)
            self._staff.enter(first_secret(self._server))
            self._token = self._staff.open_session(CLERK).token
            self._furnish(self._staff.checker_token())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._services is not None:
            self._services.__exit__()
        if self._server.is_running():
            self._server.drain()

    @property
    def door(self) -> tuple[str, int]:
        """Where terminals are served: the native front end where there is one."""
        host, port = (self._front or self._server.address).rsplit(":", 1)
        return host, int(port)

    @property
    def services(self) -> Services:
        """The server's services."""
        if self._services is None:
            raise RuntimeError("the campus is not open")
        return self._services

    # -- what the office does ---------------------------------------------------------------

    def _act(self, method: Any, request: Any, *, token: str = "") -> Any:
        request.request_id = new_request_id()
        metadata = (*signed_metadata(token or self._token), WHY)
        return self.services.call(method, request, metadata=metadata)

    def _read(self, method: Any, request: Message) -> Any:
        return self.services.call(method, request, metadata=signed_metadata(self._token))

    def _furnish(self, checker: str) -> None:
        s = self.services
        self._change("meals", _meal(dt.datetime.now(CHINA)), checker)
        merchant = merchants_pb.CreateMerchantRequest(merchant_id="CERT", name="认证食堂")
        merchant.category = merchants_pb.MERCHANT_CATEGORY_CANTEEN
        self._act(s.merchants.CreateMerchant, merchant)
        terminal = merchants_pb.CreateTerminalRequest(
            terminal_id=TERMINAL, merchant_id="CERT", keypad=True
        )
        self._act(s.merchants.CreateTerminal, terminal)
        for role in ROLES:
            self._open(role)
        lost = office_pb.ReportLossRequest(account_no=LOST.account_no, reason="certification")
        self._act(s.office.ReportLoss, lost)

    def _change(self, key: str, value: str, checker: str) -> None:
        s = self.services
        proposal = parameters_pb.ProposeChangeRequest(key=key, value=value, reason="certification")
        number = self._act(s.parameters.ProposeChange, proposal).proposal
        approval = parameters_pb.ApproveChangeRequest(proposal=number, reason="certification")
        self._act(s.parameters.ApproveChange, approval, token=checker)

    def _open(self, role: Role) -> None:
        accounts = self.services.accounts
        opened = accounts_pb.OpenAccountRequest(
            account_no=role.account_no,
            kind=accounts_pb.HOLDER_KIND_STUDENT,
            name=role.name,
            medium=card(self.uids[role.name]),
        )
        self._act(accounts.OpenAccount, opened)
        paid = accounts_pb.TopUpRequest(
            account_no=role.account_no,
            source=accounts_pb.TOP_UP_SOURCE_CASH,
            channel_txn_id=f"CERT-{role.account_no}",
            amount_fen=role.top_up_fen,
        )
        self._act(accounts.TopUp, paid)
        if role.day_fen is not None or role.meal_fen is not None:
            limits = accounts_pb.SetPersonalLimitsRequest(
                account_no=role.account_no,
                day_limit_fen=role.day_fen,
                meal_limit_fen=role.meal_fen,
                pin=PIN,
            )
            self._act(accounts.SetPersonalLimits, limits)

    def close_batch(self) -> None:
        """Sign the terminal off, as the office does at the end of a day."""
        beat = pb.HeartbeatRequest(terminal_id=TERMINAL)
        batch_no = self.services.call(self.services.terminals.Heartbeat, beat).batch_no
        if batch_no:
            request = pb.SignOffRequest(terminal_id=TERMINAL, batch_no=batch_no)
            self.services.call(self.services.terminals.SignOff, request)

    # -- what the journal says --------------------------------------------------------------

    def purse(self, role: Role) -> Purse:
        """Read an account's money."""
        request = accounts_pb.GetAccountRequest(account_no=role.account_no)
        wallets = self._read(self.services.accounts.GetAccount, request).wallets
        return Purse(wallets.online_fen, wallets.held_fen)

    def records(self, role: Role, *, after: int) -> list[accounts_pb.AccountTransaction]:
        """Read what the journal has of an account behind a position, oldest first."""
        request = accounts_pb.ListTransactionsRequest(account_no=role.account_no, page_size=PAGE)
        page = self._read(self.services.accounts.ListTransactions, request).transactions
        return sorted((r for r in page if r.seq > after), key=lambda record: record.seq)

    def head(self) -> int:
        """Return the journal's end."""
        head = self._read(self.services.ops.GetHead, ops_pb.GetHeadRequest())
        return int(head.acknowledged_seq)

    def batch(self) -> int:
        """Return the terminal's present batch, 0: signed off."""
        beat = pb.HeartbeatRequest(terminal_id=TERMINAL)
        return int(self.services.call(self.services.terminals.Heartbeat, beat).batch_no)

    # -- what befalls it --------------------------------------------------------------------

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._server.kill()

    def restart(self) -> None:
        """Start it again on what is on disk, at the same addresses."""
        self._server.start()
        if self._staff is not None:
            self._token = self._staff.open_session(CLERK).token

    def verify(self) -> str:
        """Drain, and keep the books again from the first record; returns what is wrong, if that is."""
        self.__exit__()
        done = subprocess.run(  # noqa: S603 - our own program
            [
                *(sys.executable, "-m", "clients.admin.cli", "--lang", "en"),
                *("verify", str(self.directory / "data"), "--output", "json"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()[-2_000:]


def made_uid() -> str:
    """Make up a card's UID."""
    return "04" + secrets.token_hex(6).upper()


def _meal(now: dt.datetime) -> str:
    begins, ends = now - BEFORE, now + LASTS
    return f"MEAL {begins:%H:%M}-{ends:%H:%M}"
