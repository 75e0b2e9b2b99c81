"""A campus for tests: a real server process on a free port, on a clock that the test moves.

    campus = Campus(tmp_path)
    campus.start()
    campus.set_time("2024-03-13 11:40")
    zhang = campus.open_account("200571020316", id_number="44070320050812123X", top_up_fen=20_000)
    pos = campus.terminal("POS-07")
    assert pos.pay(zhang, 3_000).reason == "OK"
    campus.kill9()
    campus.restart()

Times are local (China). The clock is a file; block time never runs backwards, so move it forward.
"""

import contextlib
import datetime as dt
import itertools
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import (
    account_service_pb2_grpc,
    card_office_service_pb2_grpc,
    holder_service_pb2_grpc,
    merchant_service_pb2_grpc,
    ops_service_pb2_grpc,
    parameter_service_pb2_grpc,
    staff_service_pb2_grpc,
    terminal_service_pb2_grpc,
)
from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import ops_service_pb2 as ops_pb
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from campuscard.v1 import staff_service_pb2 as staff_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from core.ids import make_request_id
from tests.holders import Holder
from tests.staff import BUSINESS, CALL_S, REASON, Member, grants_of, one_time_secret
from tests.terminals import Pos

ROOT = Path(__file__).resolve().parents[1]
CHINA = dt.timezone(dt.timedelta(hours=8))
START = "2024-03-13 08:00"
SLOW = 6 if os.environ.get("CC_SANITIZED") == "1" else 1
START_S = 20 * SLOW
STOP_S = 20 * SLOW
RECEIVE_MAX = 8 << 20
STUBS = {
    "AccountService": account_service_pb2_grpc.AccountServiceStub,
    "CardOfficeService": card_office_service_pb2_grpc.CardOfficeServiceStub,
    "HolderService": holder_service_pb2_grpc.HolderServiceStub,
    "MerchantService": merchant_service_pb2_grpc.MerchantServiceStub,
    "OpsService": ops_service_pb2_grpc.OpsServiceStub,
    "ParameterService": parameter_service_pb2_grpc.ParameterServiceStub,
    "StaffService": staff_service_pb2_grpc.StaffServiceStub,
    "TerminalService": terminal_service_pb2_grpc.TerminalServiceStub,
}
SETTINGS = {
    "server": {"address": "127.0.0.1:0", "drain_seconds": 5},
    "metrics": {"address": "127.0.0.1:0"},
    "data": {"directory": "data", "key_file": "campuscard.key"},
    "engine": {
        "accounts_max": 65_536,
        "media_max": 65_536,
        "merchants_max": 1_024,
        "terminals_max": 256,
        "holds_max": 4_096,
        "segment_bytes": 8 << 20,
    },
    "limits": {"terminal_rate": 1_000_000, "terminal_burst": 1_000_000},
    # Cheap passwords, and codes of many steps around now: the clock of a test stands still.
    "staff": {"argon2_memory_kib": 8, "argon2_passes": 1, "totp_steps": 500, "refusal_ms": 0},
    "log": {"level": "info", "format": "json"},
}


class ServerFailedError(Exception):
    """The server did not start or end; the text is its log."""


def microseconds(when):
    """Read a local time, as text or datetime, into microseconds since 1970 UTC."""
    if isinstance(when, str):
        when = dt.datetime.fromisoformat(when)
    if when.tzinfo is None:
        when = when.replace(tzinfo=CHINA)
    return (when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


class Campus:
    """A data directory and the server on it.

    `settings` is merged into `SETTINGS`, section by section; `command` starts the server and gets
    `--config FILE` and, with `test`, `--clock file:PATH`.
    """

    def __init__(
        self, directory, *, settings=None, test=True, command=(sys.executable, "-m", "server")
    ):
        self.directory = Path(directory)
        self.data = self.directory / "data"
        self.test = test
        self.numbers = itertools.count(1)
        self.process = None
        self.address = ""
        self.metrics_address = ""
        self.front_address = ""
        self._settings = {
            name: {**SETTINGS.get(name, {}), **(settings or {}).get(name, {})}
            for name in {*SETTINGS, *(settings or {})}
        }
        self._command = command
        self._log = self.directory / "server.log"
        self._console = self.directory / "console"
        self.admin = Member(self, "admin")
        self.staff = Member(self, "staff")
        self._members = [self.admin, self.staff]
        self._checker = None
        self._clock = self.directory / "clock"
        self._channel = None

    # ---- the process ----

    def init(self):
        """Make the data directory, the key file and the clock."""
        from ext import engine

        self.directory.mkdir(parents=True, exist_ok=True)
        self.set_time(START)
        engine.init(
            str(self.data),
            str(self.directory / "campuscard.key"),
            test=self.test,
            segment_bytes=self._settings["engine"]["segment_bytes"],
        )

    def start(self):
        """Start the server, on a new directory when there is none; return when it takes calls."""
        if not self.data.exists():
            self.init()
        config = self.directory / "campuscard.toml"
        config.write_text(as_toml(self._settings), encoding="utf-8")
        command = [*self._command, "--config", str(config)]
        if self.test:
            command += ["--clock", f"file:{self._clock}"]
        for member in self._members:
            member.forget()
        log = self._log.open("ab")
        offset = log.tell()
        paths = [str(ROOT), str(ROOT / "build" / "stubs"), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONFAULTHANDLER": "1",
        }
        with log, self._console.open("ab") as console:
            self.process = subprocess.Popen(
                command, cwd=self.directory, stdout=console, stderr=log, env=environment
            )
        self._await_start(offset)
        self._channel = grpc.insecure_channel(
            self.address,
            options=[("grpc.max_receive_message_length", RECEIVE_MAX), ("grpc.enable_retries", 0)],
        )
        if not self.admin.secret:
            self._enter_staff()
        return self

    def _enter_staff(self):
        """Enrol the administrator whose secret the console shows, and the default caller."""
        self.admin.enrol(one_time_secret(self.console()))
        self.staff.enrol(self.create_staff("staff", *BUSINESS).one_time_secret)

    def create_staff(self, name, *roles):
        """Enter a member; roles are names, or pairs of a name and what it is granted for."""
        request = staff_pb.CreateStaffRequest(
            request_id=self.request_id(), name=name, grants=grants_of(roles), reason=REASON
        )
        return self.admin.stub("StaffService").CreateStaff(request, timeout=CALL_S)

    def member(self, name, *roles, **options):
        """Enter and enrol a member; returns the Member, signed in."""
        member = Member(self, name, **options)
        member.enrol(self.create_staff(name, *roles).one_time_secret)
        self._members.append(member)
        return member

    @property
    def checker(self):
        """Somebody else than the default caller, who approves what that one proposes."""
        if self._checker is None:
            self._checker = self.member("checker", "PARAM_CHECKER")
        return self._checker

    def _await_start(self, offset):
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            for line in self._log.read_bytes()[offset:].splitlines():
                event = parsed(line)
                if event.get("event") == "server_started":
                    self.address, self.metrics_address = event["address"], event["metrics"]
                    self.front_address = event["front"]
                    return
            if self.process.poll() is not None:
                raise ServerFailedError(self._log.read_bytes()[offset:].decode())
            time.sleep(0.01)
        self.process.kill()
        raise ServerFailedError("no start in time: " + self._log.read_bytes()[offset:].decode())

    def stop(self):
        """SIGTERM: drain and end; returns the exit status."""
        if self.process is None:
            return 0
        self._close_channel()
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def kill9(self):
        """SIGKILL: the process is gone between two instructions."""
        self._close_channel()
        self.process.kill()
        return self._ended()

    def restart(self):
        """Stop unless it is dead already, then start."""
        if self.process is not None:
            self.stop()
        return self.start()

    def _ended(self):
        process, self.process = self.process, None
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # faulthandler writes every thread's stack
            process.wait()
            raise ServerFailedError(self.log_text()[-8_000:]) from None

    def _close_channel(self):
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process is not None:
            self.stop()

    def anonymous_acts(self):
        """Return acts that do not say who did them, as what, by which way and why; the server is stopped.

        The system acts under no role and comes by no way; of an act refused for a wrong password, and so
        not done, the journal keeps who tried.
        """
        with contextlib.closing(sqlite3.connect(self.data / "registry" / "registry.db")) as sql:
            return sql.execute(
                "SELECT seq, kind, actor, role, channel, why FROM acts WHERE actor = ''"
                " OR reason <> 0 AND actor = 'system' OR reason = 0 AND"
                " (why = '' OR actor <> 'system' AND (channel = '' OR role = ''))"
            ).fetchall()

    def log(self):
        """Return all lines of the log as events."""
        return [parsed(line) for line in self._log.read_bytes().splitlines()]

    def log_text(self):
        return self._log.read_text(encoding="utf-8")

    def console(self):
        """Return what the server printed for a person, which is not in its log."""
        return self._console.read_text(encoding="utf-8")

    def metrics(self):
        """Return the metrics as {name with labels: value}."""
        with urllib.request.urlopen(
            f"http://{self.metrics_address}/metrics", timeout=5
        ) as response:
            lines = response.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    # ---- the clock ----

    def set_time(self, when):
        """Set the clock: local time as text or datetime."""
        raw = struct.pack("<q", microseconds(when))
        mode = "r+b" if self._clock.exists() else "wb"
        with self._clock.open(mode) as stream:
            stream.write(raw)

    def now_us(self):
        return struct.unpack("<q", self._clock.read_bytes())[0]

    def pass_time(self, **delta):
        """Move the clock on, as pass_time(minutes=5)."""
        step = dt.timedelta(**delta) // dt.timedelta(microseconds=1)
        with self._clock.open("r+b") as stream:
            stream.write(struct.pack("<q", self.now_us() + step))

    # ---- calls ----

    stubs = STUBS

    def stub(self, service):
        """Return the stub of a service by name, as "AccountService"; terminals have no token."""
        return STUBS[service](self.raw_channel if service == "TerminalService" else self.channel)

    @property
    def channel(self):
        """The channel of the default caller, who has all roles of business."""
        return self.staff.channel

    @property
    def raw_channel(self):
        """The channel of nobody: a terminal's."""
        return self._channel

    @property
    def accounts(self):
        return self.stub("AccountService")

    @property
    def cards(self):
        return self.stub("CardOfficeService")

    @property
    def merchants(self):
        return self.stub("MerchantService")

    @property
    def parameters(self):
        return self.stub("ParameterService")

    @property
    def terminals(self):
        return self.stub("TerminalService")

    @property
    def ops(self):
        return self.stub("OpsService")

    def propose(self, key, value, effective=None, *, by=None):
        """Propose a value, effective at once or from a local time on; returns the response."""
        request = parameters_pb.ProposeChangeRequest(
            request_id=self.request_id(),
            key=key,
            value=str(value),
            effective_us=microseconds(effective) if effective else 0,
            reason=REASON,
        )
        stub = (by or self.staff).stub("ParameterService")
        return stub.ProposeChange(request, timeout=CALL_S)

    def approve(self, proposal, *, by=None):
        """Approve a proposal as somebody else; returns when what is due has taken effect."""
        request = parameters_pb.ApproveChangeRequest(
            request_id=self.request_id(), proposal=proposal
        )
        approved = (
            (by or self.checker).stub("ParameterService").ApproveChange(request, timeout=CALL_S)
        )
        if approved.version and approved.effective_us <= self.now_us():
            self._await_change(approved.change)
        return approved

    def _await_change(self, change):
        """Wait for the block after an approval, in which its effects are."""
        ends = time.monotonic() + CALL_S
        while self.ops.GetHead(ops_pb.GetHeadRequest(), timeout=CALL_S).acknowledged_seq <= change:
            assert time.monotonic() < ends, "the change does not take effect"
            time.sleep(0.002)

    def change_parameter(self, key, value, effective=None):
        """Have a value proposed by one person and approved by another; returns the approval."""
        return self.approve(self.propose(key, value, effective).proposal)

    def request_id(self):
        """Make a request id on the campus clock."""
        return make_request_id(self.now_us() // 1_000, os.urandom(10))

    def open_account(
        self,
        account_no=None,
        *,
        name="张三",
        class_name="2023级1班",
        id_number="",
        kind="STUDENT",
        top_up_fen=0,
        token=None,
        card=True,
    ):
        """Open an account with an active card, or none yet; returns the Holder."""
        number = next(self.numbers)
        account_no = account_no or f"{20_230_000 + number}"
        medium = terminal_pb.Medium(
            type=terminal_pb.MEDIUM_TYPE_RFID_CARD,
            token=token or b"\x04" + os.urandom(6),
        )
        request = accounts_pb.OpenAccountRequest(
            request_id=self.request_id(),
            account_no=account_no,
            kind=accounts_pb.HolderKind.Value(f"HOLDER_KIND_{kind}"),
            name=name,
            class_name=class_name,
            id_number=id_number,
            medium=medium if card else None,
        )
        response = self.accounts.OpenAccount(request, timeout=CALL_S)
        holder = Holder(self, account_no, response.number, medium)
        if top_up_fen:
            holder.top_up(top_up_fen)
        return holder

    def merchant(self, merchant_id="M1", *, category="CANTEEN", name=None):
        """Create a merchant unless it is there."""
        request = merchants_pb.CreateMerchantRequest(
            request_id=self.request_id(),
            merchant_id=merchant_id,
            name=name or merchant_id,
            category=merchants_pb.MerchantCategory.Value(f"MERCHANT_CATEGORY_{category}"),
        )
        try:
            self.merchants.CreateMerchant(request, timeout=CALL_S)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        return merchant_id

    def terminal(
        self,
        terminal_id,
        *,
        merchant="M1",
        category="CANTEEN",
        keypad=True,
        max_amount_fen=0,
        sign_in=True,
    ):
        """Create a terminal, and its merchant unless it is there; returns the Pos, signed in."""
        self.merchant(merchant, category=category)
        request = merchants_pb.CreateTerminalRequest(
            request_id=self.request_id(),
            terminal_id=terminal_id,
            merchant_id=merchant,
            keypad=keypad,
            max_amount_fen=max_amount_fen,
        )
        self.merchants.CreateTerminal(request, timeout=CALL_S)
        pos = Pos(self, terminal_id)
        if sign_in:
            pos.sign_in()
        return pos


def parsed(line):
    """Read a JSON line of the log; other lines are {"text": line}."""
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"text": line.decode("utf-8", "replace")}


def as_toml(settings):
    """Write sections of scalars as TOML."""
    lines = []
    for section, values in settings.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def refusal(error):
    """Return reason, metadata and details by type name of a gRPC error."""
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    status = rpc_status.from_call(error)
    found = {}
    for packed in status.details if status else ():
        name = packed.type_url.rsplit(".", 1)[-1]
        message = getattr(error_details_pb2, name)()
        packed.Unpack(message)
        assert name not in found, "each kind of detail at most once"
        found[name] = message
    info = found.get("ErrorInfo")
    return (info.reason, dict(info.metadata), found) if info else ("", {}, found)


def reason_of(call, *arguments, **options):
    """Return why a call was refused, which it must be."""
    with pytest.raises(grpc.RpcError) as refused:
        call(*arguments, **options)
    return refusal(refused.value)[0]
